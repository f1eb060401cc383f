"""What requests bring, and how they are answered; wire rules E2, E5 to E7 and E15."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from dtws_sio.engine.answers import Answer, Refusal, cors_headers, read_packets
from dtws_sio.engine.outgoing import Outgoing

MOST = 100


class Unread(io.BytesIO):
    """A body that must not be read."""

    def read(self, *arguments: Any) -> bytes:
        pytest.fail("the body was read")


class Counted(io.BytesIO):
    """A body that tells how much was asked for."""

    asked: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked = size
        return super().read(size)


def post(body: bytes | io.BytesIO, **environ: Any) -> dict[str, Any]:
    if isinstance(body, bytes):
        environ = {"CONTENT_LENGTH": str(len(body)), **environ}
        body = io.BytesIO(body)
    return {"wsgi.input": body, **environ}


def refusal(environ: dict[str, Any]) -> str:
    with pytest.raises(Refusal) as caught:
        list(read_packets(environ, MOST))
    return caught.value.answer.status


@pytest.mark.parametrize(
    ("body", "packets"),
    [
        (b"4hello", ["4hello"]),
        (b"4", ["4"]),
        (b"2\x1e3\x1e4a", ["2", "3", "4a"]),
        ("4é\x1e4\U0001f600".encode(), ["4é", "4\U0001f600"]),
        (b"bAP8=", [b"\x00\xff"]),
        (b"b", [b""]),
        (b"4a\x1ebAA==\x1e4b", ["4a", b"\x00", "4b"]),
        (b'4{"a": 1}\x1e4true\x1e4"x"\x1e4 x', ['4{"a": 1}', "4true", '4"x"', "4 x"]),
        (b"\x1e".join([b"4"] * 50), ["4"] * 50),
        (b"4a\x1e\x1e4b", ["4a", "", "4b"]),
        (b"4a\x1e", ["4a", ""]),
        (b"", [""]),
    ],
    ids=ascii,
)
def test_a_body_is_its_packets_and_their_text_is_opaque_wire_e6_e15(body: bytes, packets: list[str | bytes]) -> None:
    """An empty packet is handed on: it is for the session to find that no client may send one."""
    assert list(read_packets(post(body), MOST)) == packets


@pytest.mark.parametrize(("length", "is_taken"), [(MOST - 1, True), (MOST, True), (MOST + 1, False)])
def test_the_limit_is_in_bytes_wire_e7(length: int, is_taken: bool) -> None:
    body = ("4é" + "x" * (length - 3)).encode()
    assert len(body) == length
    if is_taken:
        assert [len(packet) for packet in read_packets(post(body), MOST)] == [length - 1]
    else:
        assert refusal(post(body)).startswith("413")


@pytest.mark.parametrize("length", [str(MOST + 1), "1000000000000", "9" * 30, "-1", "-9999999"])
def test_what_is_too_long_is_refused_without_reading_it_wire_e7(length: str) -> None:
    """A negative length would read without end."""
    assert refusal(post(Unread(b"4"), CONTENT_LENGTH=length)).startswith("413")


@pytest.mark.parametrize("length", ["abc", "1.5", "0x10", "1e3", "4 4", "9" * 5000])
def test_a_length_that_is_no_number_is_refused_without_reading(length: str) -> None:
    """The last has more digits than `int` reads."""
    assert refusal(post(Unread(b"4"), CONTENT_LENGTH=length)).startswith("400")


@pytest.mark.parametrize("environ", [{}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "0"}], ids=str)
def test_a_request_without_length_has_no_body(environ: dict[str, str]) -> None:
    """Some WSGI servers leave the variable out, some have it empty; reading on would wait for the next request."""
    body = Counted(b"4next request")
    assert list(read_packets(post(body, **environ), MOST)) == [""]
    assert body.asked == 0


def test_a_chunked_body_is_read_up_to_the_limit() -> None:
    body = Counted(b"4hello")
    assert list(read_packets(post(body, HTTP_TRANSFER_ENCODING="chunked"), MOST)) == ["4hello"]
    assert body.asked == MOST + 1


def test_a_chunked_body_over_the_limit_is_refused_wire_e7() -> None:
    assert refusal(post(io.BytesIO(b"4" * MOST * 10), HTTP_TRANSFER_ENCODING="chunked")).startswith("413")


@pytest.mark.parametrize(
    "body",
    [b"4\xff", b"4\xc3", b"4\xed\xa0\xbd", b"bA", b"b*", b"bAAA", b"bAA==\n", b"b AA==", "bé".encode()],
    ids=repr,
)
def test_what_is_neither_utf_8_nor_base64_is_refused_wire_e5(body: bytes) -> None:
    assert refusal(post(body)).startswith("400")


def test_packets_before_an_invalid_one_are_given() -> None:
    packets = read_packets(post(b"4good\x1eb*"), MOST)
    assert next(packets) == "4good"
    with pytest.raises(Refusal):
        next(packets)


def test_a_refusal_tells_why_as_the_reference_server_does() -> None:
    answer = Refusal("400 Bad Request", 1, "Session ID unknown").answer
    assert answer.status == "400 Bad Request"
    assert dict(answer.headers)["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {"code": 1, "message": "Session ID unknown"}


def test_a_refusal_that_is_counted_tells_its_name_too() -> None:
    """Official clients compare numbers; pages may want to know more."""
    answer = Refusal("429 Too Many Requests", 4, "Too many", name="too_many_connects").answer
    assert json.loads(answer.body) == {"code": 4, "message": "Too many", "error": "too_many_connects"}


def test_a_preflight_is_told_what_a_page_of_the_origin_may_send() -> None:
    environ = {
        "REQUEST_METHOD": "OPTIONS",
        "HTTP_ORIGIN": "https://a.com",
        "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "x-a",
    }
    assert cors_headers(environ, credentials=True) == [
        ("Access-Control-Allow-Origin", "https://a.com"),
        ("Vary", "Origin"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Methods", "OPTIONS, GET, POST"),
        ("Access-Control-Allow-Headers", "x-a"),
    ]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_any_other_request_is_told_that_its_page_may_read_the_answer(method: str) -> None:
    environ = {"REQUEST_METHOD": method, "HTTP_ORIGIN": "https://a.com", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "x-a"}
    assert cors_headers(environ, credentials=False) == [
        ("Access-Control-Allow-Origin", "https://a.com"),
        ("Vary", "Origin"),
    ]


def test_packets_are_joined_into_one_body() -> None:
    answer = Answer.packets([Outgoing("4é"), Outgoing("4", b"\x00"), Outgoing("6")], [("Set-Cookie", "io=1")])
    assert answer.status == "200 OK"
    assert answer.body == "4é\x1e4\x1ebAA==\x1e6".encode()
    assert dict(answer.headers) == {"Content-Type": "text/plain; charset=UTF-8", "Set-Cookie": "io=1"}


def test_a_lone_surrogate_costs_a_character_and_not_the_answer() -> None:
    body = Answer.packets([Outgoing("4a\ud83db")]).body.decode()
    assert (body[:2], body[-1], len(body)) == ("4a", "b", 4)
