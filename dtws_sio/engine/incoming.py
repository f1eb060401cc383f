"""
What a client sends on its WebSocket: bytes become messages.

Most frames are whole and text. Those of less than 64 KB are read here, as `websockets`' parser takes six times as long
for a short one; all others are its business, and so is everything that may be wrong with a frame.

Source: RFC 6455 sections 5.2 to 5.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from websockets.frames import CloseCode, Opcode
from websockets.streams import StreamReader

from dtws_sio.engine.outgoing import TEXT_FRAME

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.server import ServerProtocol

MASKED: Final = 0x80
"""The bit of a frame's second byte that says that the frame is masked, as all that clients send are."""

LENGTH_IN_TWO_BYTES: Final = 126
"""A length that says that the next two bytes hold it; the one above it, that eight do."""

_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


class Incoming:
    """
    The reading half of a WebSocket.

    Args:
        protocol: What reads all but the plain frames; it is told what is wrong, and then has something to answer.
        max_size: Bytes of the longest message that is taken.
    """

    __slots__ = ("_fragments", "_is_between", "_is_text", "_max_size", "_protocol")

    def __init__(self, protocol: ServerProtocol, max_size: int) -> None:
        self._protocol = protocol
        self._max_size = max_size
        self._is_between = True
        self._is_text: bool | None = None
        self._fragments = bytearray()

    def messages(self, data: bytes) -> Iterator[str | bytes]:
        """Take in bytes, and give the messages that they complete; who stops early leaves the rest unread."""
        if self._is_between:
            start, end = 0, len(data)
            while end - start >= 6 and data[start] == TEXT_FRAME:
                length, body = data[start + 1] - MASKED, start + 6
                if length == LENGTH_IN_TWO_BYTES:
                    length, body = data[start + 2] << 8 | data[start + 3], start + 8
                elif length > LENGTH_IN_TWO_BYTES:
                    break
                stop = body + length
                if stop > end or not 0 <= length <= self._max_size:
                    break
                try:
                    text = apply_mask(data[body:stop], data[body - 4 : body]).decode()
                except UnicodeDecodeError:
                    break  # the parser comes to the same end, and refuses it
                yield text
                start = stop
            if start == end:
                return
            data = data[start:]
        yield from self._parsed(data)

    def _parsed(self, data: bytes) -> Iterator[str | bytes]:
        """
        Have `websockets` read; it checks the order of fragments too (RFC 6455 section 5.4).

        After an error it discards what comes, so that all of that is for it.
        """
        protocol, self._is_between = self._protocol, False
        protocol.receive_data(data)
        is_whole = _is_between_frames(protocol.parser)
        frames: list[Any] = protocol.events_received()
        for frame in frames:
            if frame.opcode not in _DATA:
                continue
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._fragments += frame.data
            if frame.fin:
                try:
                    message = self._joined()
                except UnicodeDecodeError:
                    protocol.fail(CloseCode.INVALID_DATA, "text is not UTF-8")
                    return
                yield message
        self._is_between = is_whole and self._is_text is None and not protocol.eof_sent

    def _joined(self) -> str | bytes:
        fragments, self._fragments = self._fragments, bytearray()
        is_text, self._is_text = self._is_text, None
        return str(fragments, "utf-8") if is_text else bytes(fragments)


def _is_between_frames(parser: Any) -> bool:
    """
    Tell whether `websockets`' parser, a generator, waits between two frames.

    There it asks for the end of the stream (websockets/protocol.py, Protocol.parse). Should a release do otherwise,
    the parser is given every frame from its first on, which is slower and as right.
    """
    while parser.gi_yieldfrom is not None:
        parser = parser.gi_yieldfrom
    return parser.gi_code is StreamReader.at_eof.__code__
