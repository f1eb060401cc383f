"""WebSocket frames that no client may send, and frames that never end. RFC 6455 sections 5 and 7."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.clients import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Dial

PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009
"""Close codes. RFC 6455 section 7.4.1."""

WRONG_FRAMES = {
    "unmasked": (frame(TEXT, "40", masked=False), PROTOCOL_ERROR),
    "reserved bit 1 where nothing is compressed": (frame(TEXT, "40", rsv=4), PROTOCOL_ERROR),
    "reserved bit 2": (frame(TEXT, "40", rsv=2), PROTOCOL_ERROR),
    "reserved bit 3": (frame(TEXT, "40", rsv=1), PROTOCOL_ERROR),
    "a data opcode that does not exist": (frame(0x3, "40"), PROTOCOL_ERROR),
    "a control opcode that does not exist": (frame(0xB), PROTOCOL_ERROR),
    "a continuation of nothing": (frame(CONTINUATION, "40"), PROTOCOL_ERROR),
    "a new message within another": (frame(TEXT, "4", fin=False) + frame(TEXT, "0"), PROTOCOL_ERROR),
    "a ping in fragments": (frame(PING, fin=False), PROTOCOL_ERROR),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), PROTOCOL_ERROR),
    "a close code that may not be sent": (frame(CLOSE, (1005).to_bytes(2, "big")), PROTOCOL_ERROR),
    "half a close code": (frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
    "text that is not UTF-8": (frame(TEXT, b'42["echo","\xff\xfe"]'), INVALID_DATA),
    "half a character, in fragments": (frame(TEXT, b"4\xe2", fin=False) + frame(CONTINUATION, b"\x82"), INVALID_DATA),
    "one byte more than MAX_PAYLOAD": (frame(TEXT, b"", length=1_000_001), TOO_BIG),
    "four exabytes announced": (frame(BINARY, b"x", length=1 << 62), TOO_BIG),
    "a length with its highest bit set": (frame(BINARY, b"x", length=(1 << 64) - 1), TOO_BIG),
}


@pytest.mark.parametrize(("data", "code"), WRONG_FRAMES.values(), ids=WRONG_FRAMES.keys())
def test_a_wrong_frame_closes_its_connection(data: bytes, code: int, dial: Dial, log: Callable[[], list[str]]) -> None:
    attacker = dial.joined()
    attacker.send_raw(data)
    assert attacker.wait_for_end().code == code
    assert log() == []


def test_fragments_without_end_close_at_the_limit(dial: Dial, log: Callable[[], list[str]]) -> None:
    attacker = dial.joined()
    attacker.send_frame(TEXT, "4", fin=False)
    for _ in range(101):
        attacker.send_frame(CONTINUATION, b"x" * 10_000, fin=False)
    assert attacker.wait_for_end().code == TOO_BIG
    assert log() == []
