"""
The names of clients: nobody can guess one, and everybody can tell that it is one.

The private room of a client is named by its sid. A handler that puts clients into rooms which they name must not put
them into that of somebody else, who may be connected to another process; so each process knows a sid when it sees it.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from secrets import token_bytes
from typing import Final
from zlib import crc32

LENGTH: Final = 20
"""Characters of a sid: 96 random bits, and 24 that follow from them."""

_RANDOM: Final = 16


def make() -> str:
    """Make the name of a client."""
    random = urlsafe_b64encode(token_bytes(_RANDOM * 3 // 4)).decode()
    return random + _mark(random)


def is_sid(room: object) -> bool:
    """Tell whether a room has the name of a client; of all other names of that length, one in 16 million has."""
    return isinstance(room, str) and len(room) == LENGTH and room.isascii() and room[_RANDOM:] == _mark(room[:_RANDOM])


def _mark(random: str) -> str:
    return urlsafe_b64encode(crc32(random.encode()).to_bytes(4, "big")[1:]).decode()
