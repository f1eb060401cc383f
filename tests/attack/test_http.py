"""Requests that are too large, too slow, or none; and answers that nobody reads."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.live.servers import eventually
from tests.wire.clients import endpoint

from . import attackers as attacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Dial
    from .harness import Attackers, Target

POLLING = endpoint("polling").encode()
START = b"GET " + POLLING + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"

WRONG_REQUESTS = {
    "101 headers": (START + b"X: y\r\n" * 101 + b"\r\n", 431),
    "a header of 9,000 bytes": (START + b"X: " + b"y" * 9000 + b"\r\n\r\n", 431),
    "a name of 9,000 bytes": (START + b"X" * 9000 + b": y\r\n\r\n", 431),
    "a cookie of a megabyte": (START + b"Cookie: " + b"y" * 1_000_000, 431),
    "a target of 5,000 bytes": (b"GET " + POLLING + b"&sid=" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", 414),
    "a line without end": (b"G" * 1_000_000, 414),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "two lengths": (START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "a length and chunks": (START + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    "a length below nothing": (START + b"Content-Length: -1\r\n\r\n", 400),
    "a length of 5,000 digits": (START + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    "a header without a name": (START + b": y\r\n\r\n", 400),
    "a header on two lines": (START + b"X: y\r\n z\r\n\r\n", 400),
    "a zero in a header": (START + b"X: \0\r\n\r\n", 400),
}


@pytest.mark.parametrize(("data", "status"), WRONG_REQUESTS.values(), ids=WRONG_REQUESTS.keys())
def test_a_request_that_is_none_is_refused_with_one_line(
    data: bytes, status: int, target: Target, log: Callable[[], list[str]]
) -> None:
    with socket.create_connection(("127.0.0.1", target.port), 5) as attacker:
        attacker.sendall(data)
        answer = attacker.recv(65536)
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    (line,) = log()
    assert "Invalid request from ip=127.0.0.1" in line
    assert len(line) < 500


def test_headers_that_come_a_byte_at_a_time_are_cut_off(
    target: Target, attackers: Attackers, log: Callable[[], list[str]]
) -> None:
    """gunicorn's keep-alive time, 2 s, is the limit for the headers as a whole."""
    ends = attackers.run(attacks.drip, target.port, START + b"X: ", b"y", 0.2, 200, 6.0)
    assert len(ends) == 200
    assert max(ends) < 4
    assert log() == []


def test_a_body_that_comes_a_byte_at_a_time_is_cut_off(
    target: Target, attackers: Attackers, dial: Dial, log: Callable[[], list[str]]
) -> None:
    """A client has BODY_SECONDS, here 1 s, and one second more for each 500 bytes."""
    session = dial.polling()
    head = f"POST {session.target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n".encode()
    (end,) = attackers.run(attacks.drip, target.port, head, b"x", 0.2, 1, 6.0)
    assert 0.5 < end < 4
    (line,) = log()
    assert "cut off POST /socket.io/ from ('127.0.0.1', " in line
    assert "the request's body came too slowly" in line


def test_bodies_that_come_a_byte_at_a_time_on_many_connections_are_cut_off(
    target: Target, attackers: Attackers
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n"
    ends = attackers.run(attacks.drip, target.port, head, b"x", 0.2, 200, 6.0)
    assert len(ends) == 200


def test_connections_that_say_nothing_are_closed(
    target: Target, attackers: Attackers, log: Callable[[], list[str]]
) -> None:
    ends = attackers.run(attacks.drip, target.port, b"", b"", 0.2, 200, 6.0)
    assert len(ends) == 200
    assert max(ends) < 4
    assert log() == []


def test_answers_that_nobody_reads_are_cut_off(target: Target, dial: Dial, log: Callable[[], list[str]]) -> None:
    """A client may take nothing for READER_SECONDS, here 1 s; its greenlet and its descriptor are free then."""
    for _ in range(3):
        attacker = dial.keep(socket.socket())
        attacker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        attacker.connect(("127.0.0.1", target.port))
        attacker.sendall(b"GET /large/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    eventually(lambda: len(log()) >= 3, "the end of the answers")
    for line in log():
        assert "cut off GET /large/ from ('127.0.0.1', " in line
        assert line.endswith("): nothing of its answer was read for 1 s")


def test_answers_that_are_read_slowly_arrive(target: Target) -> None:
    with socket.create_connection(("127.0.0.1", target.port), 5) as client:
        client.sendall(b"GET /large/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        received, started = 0, time.monotonic()
        while data := client.recv(1_000_000):
            received += len(data)
            time.sleep(len(data) / 8_000_000)
    assert received > 10_000_000
    assert time.monotonic() - started > 1.2, "longer than whoever reads nothing has"
