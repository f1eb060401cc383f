"""What is sent, in the forms of both transports; Engine.IO protocol 4, "Packet encoding", and RFC 6455 section 5.2."""

from __future__ import annotations

import struct
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.engine import outgoing
from dtws_sio.engine.outgoing import CLOSE, NOOP, PING, PROBE_ANSWER, Outgoing, frame

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT, BINARY = 1, 2

LENGTHS = [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 200_000]
"""Both sides of each step in how RFC 6455 writes a length."""


def read_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Take frames apart as RFC 6455 section 5.2 draws them; each is final, unmasked, and no longer than need be."""
    frames = []
    while data:
        first, length = data[0], data[1]
        assert first & 0xF0 == 0x80, "a fragment, or a reserved bit"
        assert length < 128, "a server's frames are not masked"
        start = 2
        if length == 126:
            ((length,), start) = struct.unpack("!H", data[2:4]), 4
            assert length > 125
        elif length == 127:
            ((length,), start) = struct.unpack("!Q", data[2:10]), 10
            assert length > 65535
        assert len(data) >= start + length
        frames.append((first & 0x0F, data[start : start + length]))
        data = data[start + length :]
    return frames


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("unit", "opcode"), [("x", TEXT), (b"\x81", BINARY)], ids=["text", "binary"])
def test_a_packet_of_any_length_is_one_frame(length: int, unit: Any, opcode: int) -> None:
    content = unit * length
    expected = content.encode() if isinstance(content, str) else content
    assert read_frames(frame(content)) == [(opcode, expected)]
    assert Outgoing(content).frames == frame(content)


@pytest.mark.parametrize("text", ["é" * 63, "é" * 62 + "x", "\U0001f600" * 16384, "\x00\x1e\u2028"], ids=len)
def test_the_length_of_text_is_that_of_its_utf_8(text: str) -> None:
    assert read_frames(frame(text)) == [(TEXT, text.encode())]


@pytest.mark.parametrize("text", ["\ud83d", "a\udc00b", "\udc00\ud800"], ids=ascii)
def test_a_lone_surrogate_costs_a_character_and_not_the_connection(text: str) -> None:
    ((opcode, data),) = read_frames(Outgoing("4" + text).frames)
    assert opcode == TEXT
    assert len(data.decode()) == 1 + len(text)
    assert "".join(each for each in text if each < "\x80") == "".join(
        each for each in data.decode()[1:] if each not in "?\ufffd"
    )


def test_packets_that_belong_together_stay_together() -> None:
    both = Outgoing('451-["a",{"_placeholder":true,"num":0}]', b"\x00\xff", "4é")
    assert read_frames(both.frames) == [
        (TEXT, b'451-["a",{"_placeholder":true,"num":0}]'),
        (BINARY, b"\x00\xff"),
        (TEXT, "4é".encode()),
    ]
    assert both.payload.split("\x1e") == ['451-["a",{"_placeholder":true,"num":0}]', "bAP8=", "4é"]


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xfb\xff\xbf", bytes(range(256)) * 10], ids=len)
def test_bytes_are_base64_in_a_polling_payload(content: bytes) -> None:
    """The standard alphabet, with padding, on one line."""
    payload = Outgoing(content).payload
    assert payload[0] == "b"
    assert b64decode(payload[1:], validate=True) == content


@pytest.mark.parametrize(
    "parts", [("4text",), (b"bytes",), ("4text", b"bytes")], ids=["text", "bytes", "text and bytes"]
)
def test_each_form_is_made_once_for_all_who_receive_it(
    parts: tuple[str | bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def noting(real: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def make(part: Any) -> Any:
            made.append(part)
            return real(part)

        return make

    for name in ("frame", "_polled"):
        monkeypatch.setattr(outgoing, name, noting(getattr(outgoing, name)))
    shared = Outgoing(*parts)
    assert made == [], "a form that nobody needs is not made"
    assert shared.frames is shared.frames
    assert made == list(parts)
    assert shared.payload is shared.payload
    assert made == list(parts) * 2


@pytest.mark.parametrize(
    ("parts", "size"),
    [
        (("",), 0),
        (("4abc",), 4),
        ((b"abc",), 3),
        (("4", b"abc", "45"), 6),
        (("4é",), 3),
        (("4\u20ac\U0001f600", b"\xff"), 9),
        (("4\ud83d",), 2),
    ],
    ids=ascii,
)
def test_its_size_is_the_bytes_of_all_its_packets(parts: tuple[str | bytes, ...], size: int) -> None:
    assert Outgoing(*parts).size == size


def test_it_may_be_dropped_only_if_it_has_a_key() -> None:
    assert (Outgoing("4").key, Outgoing("4", key=("/", "news")).key) == (None, ("/", "news"))


@pytest.mark.parametrize(
    ("packet", "text"),
    [(CLOSE, "1"), (PING, "2"), (PROBE_ANSWER, "3probe"), (NOOP, "6")],
    ids=["close", "ping", "probe", "noop"],
)
def test_the_packets_of_the_protocol_itself(packet: Outgoing, text: str) -> None:
    assert (packet.parts, packet.key, packet.payload) == ((text,), None, text)
    assert read_frames(packet.frames) == [(TEXT, text.encode())]
