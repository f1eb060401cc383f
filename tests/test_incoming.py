"""What comes over a WebSocket, in whichever pieces; RFC 6455 sections 5.2 to 5.6."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from dtws_sio.engine.incoming import Incoming

LENGTHS = [0, 1, 125, 126, 65535, 65536]
"""Both sides of each step in how RFC 6455 writes a length."""


class Protocol(ServerProtocol):
    """`websockets`' parser, which counts what it is given."""

    def __init__(self, max_size: int) -> None:
        super().__init__(state=OPEN, max_size=max_size, logger=logging.getLogger("tests"))
        self.given = 0

    def receive_data(self, data: Any) -> None:
        self.given += len(data)
        super().receive_data(data)


class Reader:
    """Reads, and remembers what came."""

    def __init__(self, max_size: int = 1_000_000) -> None:
        self.protocol = Protocol(max_size)
        self.incoming = Incoming(self.protocol, max_size)
        self.messages: list[str | bytes] = []

    def read(self, *pieces: bytes) -> Reader:
        for piece in pieces:
            self.messages += self.incoming.messages(piece)
        return self

    @property
    def code(self) -> int | None:
        """The code of the close frame that was sent, if one was."""
        return None if self.protocol.close_sent is None else self.protocol.close_sent.code


def frame(data: str | bytes, opcode: Opcode | None = None, *, fin: bool = True, mask: bool = True) -> bytes:
    kind = opcode if opcode is not None else Opcode.TEXT if isinstance(data, str) else Opcode.BINARY
    return Frame(kind, data.encode() if isinstance(data, str) else data, fin).serialize(mask=mask)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("unit", ["x", b"\xff"], ids=["text", "binary"])
def test_a_message_of_any_length_is_read(length: int, unit: Any) -> None:
    assert Reader().read(frame(unit * length)).messages == [unit * length]


def test_everything_that_one_read_brings_is_taken() -> None:
    many = [f"4é{number}" for number in range(1000)]
    assert Reader().read(b"".join(map(frame, many))).messages == many


@pytest.mark.parametrize("cut", range(1, 30))
def test_frames_may_be_cut_anywhere(cut: int) -> None:
    data = frame("4first") + frame("4second") + frame("4third")
    reader = Reader().read(data[:cut], data[cut:])
    assert reader.messages == ["4first", "4second", "4third"]


def test_whole_text_costs_the_parser_nothing_also_after_it_had_something_to_do() -> None:
    reader = Reader().read(frame("4a"), frame("4b") + frame("4c" * 500))
    assert reader.protocol.given == 0
    others = [frame(b"x"), frame("", Opcode.PING), frame("4d", fin=False), frame("e", Opcode.CONT), frame("4" * 65536)]
    reader.read(*others)
    given = reader.protocol.given
    assert given == sum(map(len, others))
    reader.read(frame("4f"))
    assert reader.messages == ["4a", "4b", "4c" * 500, b"x", "4de", "4" * 65536, "4f"]
    assert reader.protocol.given == given


def test_fragments_are_joined_and_control_frames_may_come_between_them() -> None:
    reader = Reader().read(frame("4a", fin=False), frame("", Opcode.PING), frame("b", Opcode.CONT))
    assert reader.messages == ["4ab"]
    assert reader.protocol.data_to_send() == [b"\x8a\x00"]


def test_a_letter_may_be_cut_by_fragments() -> None:
    cut = "é".encode()
    assert Reader().read(frame(cut[:1], Opcode.TEXT, fin=False), frame(cut[1:], Opcode.CONT)).messages == ["é"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"\xff", Opcode.TEXT), CloseCode.INVALID_DATA),
        (frame(b"\xff" * 50, Opcode.TEXT), CloseCode.INVALID_DATA),
        (frame("4x", mask=False), CloseCode.PROTOCOL_ERROR),
        (frame("4x", Opcode.CONT), CloseCode.PROTOCOL_ERROR),
        (frame("4x", fin=False) + frame("4y"), CloseCode.PROTOCOL_ERROR),
        (b"\xc1\x80abcd", CloseCode.PROTOCOL_ERROR),
        (frame("4" * 51), CloseCode.MESSAGE_TOO_BIG),
        (frame("4" * 26, fin=False) + frame("4" * 26, Opcode.CONT), CloseCode.MESSAGE_TOO_BIG),
    ],
    ids=["utf-8", "long-utf-8", "unmasked", "no-beginning", "no-end", "reserved-bit", "too-big", "too-big-together"],
)
def test_what_breaks_a_rule_ends_it_and_what_came_before_counts(data: bytes, code: CloseCode) -> None:
    reader = Reader(max_size=50).read(frame("4before") + data + frame("4after"))
    assert reader.code == code
    assert reader.messages == ["4before"]


@pytest.mark.parametrize(
    "wrong",
    [
        frame("", Opcode.CONT),
        frame(b"\xff", Opcode.TEXT),
        frame(b"\xff", Opcode.TEXT, fin=False) + frame("", Opcode.CONT),
    ],
    ids=["protocol", "utf-8", "utf-8-in-fragments"],
)
def test_nothing_is_read_after_an_error(wrong: bytes) -> None:
    """However the bytes were cut."""
    assert Reader().read(frame("4before"), wrong, frame("4after")).messages == ["4before"]


def test_the_longest_message_that_is_allowed_is_taken() -> None:
    assert Reader(max_size=50).read(frame("4" * 50)).messages == ["4" * 50]


def test_who_stops_leaves_the_rest_unread() -> None:
    reader = Reader()
    messages = reader.incoming.messages(frame("4a") + frame("4b"))
    assert next(messages) == "4a"
    messages.close()
    assert reader.protocol.given == 0


FRAMES = st.one_of(
    st.text(max_size=200).map(frame),
    st.binary(max_size=200).map(frame),
    st.just(frame("", Opcode.PING)),
    st.text(max_size=5).map(lambda text: frame(text, fin=False)),
    st.text(max_size=5).map(lambda text: frame(text, Opcode.CONT)),
    st.binary(min_size=1, max_size=8),
)


@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 400), max_size=6))
def test_whatever_comes_is_read_as_the_parser_alone_reads_it(frames: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frames)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = Reader().read(*[data[start:end] for start, end in pairwise(places)])
    alone = Reader()
    alone.incoming._is_between = False
    alone.read(data)
    assert (reader.messages, reader.code) == (alone.messages, alone.code)
