"""The settings for the tests of permessage-deflate."""

from settings import *  # noqa: F403

DTWS_SIO: dict[str, object] = {"COMPRESSION": True, "MAX_PAYLOAD": 1_000_000}
