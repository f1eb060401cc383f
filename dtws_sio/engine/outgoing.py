"""
What is on its way to clients, in both forms that the transports need.

An emit is encoded once. The WebSocket frames and the polling payload are made from it when a first client needs them,
and then shared by all. Source: Engine.IO protocol 4, "Packet encoding"; RFC 6455 section 5.2.
"""

from __future__ import annotations

from base64 import b64encode
from struct import pack
from typing import Any, Final

SEPARATOR: Final = "\x1e"
"""Between the packets of a polling payload."""

TEXT_FRAME: Final = 0x81
"""A whole text message in one frame: FIN and opcode 1."""

BINARY_FRAME: Final = 0x82
"""A whole binary message in one frame: FIN and opcode 2."""


class Outgoing:
    """
    Packets that belong together: a message, or a message and its binary attachments.

    They are sent, held back or dropped as one.

    Args:
        parts: Each packet: text with its type character in front, or the bytes of a binary message.
        key: What makes a newer one take the place of this one under the policy "keep newest"; None if nothing does
            and it may not be dropped at all.

    Attributes:
        size: Bytes of all packets, without what frames or base64 add.
    """

    __slots__ = ("_frames", "_payload", "key", "parts", "size")

    def __init__(self, *parts: str | bytes, key: Any = None) -> None:
        self.parts = parts
        self.key = key
        first = parts[0]
        is_plain = len(parts) == 1 and type(first) is str and first.isascii()
        self.size = len(first) if is_plain else sum(map(_size, parts))
        self._frames: bytes | None = None
        self._payload: str | None = None

    @property
    def frames(self) -> bytes:
        """The packets as WebSocket frames, unmasked, as servers send them."""
        if self._frames is None:
            self._frames = frame(self.parts[0]) if len(self.parts) == 1 else b"".join(map(frame, self.parts))
        return self._frames

    @property
    def payload(self) -> str:
        """The packets as they stand in a polling payload."""
        if self._payload is None:
            self._payload = SEPARATOR.join(map(_polled, self.parts))
        return self._payload


def frame(part: str | bytes) -> bytes:
    """Put a WebSocket frame around a packet; text is UTF-8, and a lone surrogate becomes a replacement character."""
    if isinstance(part, str):
        opcode, data = TEXT_FRAME, part.encode("utf-8", "replace")
    else:
        opcode, data = BINARY_FRAME, part
    length = len(data)
    if length < 126:
        return b"%c%c%b" % (opcode, length, data)
    if length < 65536:
        return pack("!BBH", opcode, 126, length) + data
    return pack("!BBQ", opcode, 127, length) + data


def _size(part: str | bytes) -> int:
    return len(part.encode("utf-8", "replace")) if isinstance(part, str) else len(part)


def _polled(part: str | bytes) -> str:
    return part if isinstance(part, str) else "b" + b64encode(part).decode()


CLOSE: Final = Outgoing("1")
PING: Final = Outgoing("2")
PROBE_ANSWER: Final = Outgoing("3probe")
NOOP: Final = Outgoing("6")
