"""The settings for the tests of heartbeats and time limits: everything happens within a second or two."""

from settings import *  # noqa: F403

DTWS_SIO: dict[str, object] = {
    "PING_INTERVAL": 0.3,
    "PING_TIMEOUT": 0.2,
    "MAX_PAYLOAD": 1_000_000,
    "CONNECT_TIMEOUT": 1.5,
}
