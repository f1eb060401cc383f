"""The opening handshake of a WebSocket, and taking its socket over; RFC 6455 4.2, wire rules E13 and E14, row D-50."""

from __future__ import annotations

import io
import socket
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from eventlet.green.ssl import GreenSSLSocket
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import PerMessageDeflate

from dtws_sio.engine.handshake import Handshake, early_bytes, has_gone, is_tls, request_socket, set_no_delay, take_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD = {
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_UPGRADE": "websocket",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}

ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What RFC 6455 section 1.3 answers to that key."""

OFFERS = {"HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate; client_max_window_bits"}


def read(response: bytes) -> tuple[str, dict[str, str]]:
    head, _, rest = response.decode("ascii").partition("\r\n\r\n")
    assert rest == ""
    status, *lines = head.split("\r\n")
    headers = [(line.partition(": ")[0], line.partition(": ")[2]) for line in lines]
    assert len({name for name, _ in headers}) == len(headers)
    return status, dict(headers)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"HTTP_UPGRADE": "WebSocket"},
        {"HTTP_CONNECTION": "upgrade"},
        {"HTTP_SEC_WEBSOCKET_PROTOCOL": "chat"},
        {"HTTP_COOKIE": "sessionid=1", "HTTP_HOST": "testserver", "CONTENT_LENGTH": ""},
    ],
    ids=repr,
)
def test_a_handshake_is_answered_with_its_key_accepted(change: dict[str, str]) -> None:
    """Without a subprotocol, as Engine.IO has none."""
    response, extensions = Handshake(compression=False).answer({**GOOD, **change})
    assert read(response) == (
        "HTTP/1.1 101 Switching Protocols",
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": ACCEPT},
    )
    assert extensions == []


@pytest.mark.parametrize("name", GOOD)
def test_each_part_of_a_handshake_is_needed(name: str) -> None:
    environ = dict(GOOD)
    del environ[name]
    with pytest.raises(InvalidHandshake):
        Handshake(compression=False).answer(environ)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_UPGRADE", ""),
        ("HTTP_UPGRADE", "h2c"),
        ("HTTP_UPGRADE", "websocket, h2c"),
        ("HTTP_CONNECTION", "close"),
        ("HTTP_CONNECTION", "@"),
        ("HTTP_SEC_WEBSOCKET_VERSION", "8"),
        ("HTTP_SEC_WEBSOCKET_VERSION", ""),
        ("HTTP_SEC_WEBSOCKET_KEY", ""),
        ("HTTP_SEC_WEBSOCKET_KEY", "c2hvcnQ="),
        ("HTTP_SEC_WEBSOCKET_KEY", "no base64 at all"),
        ("HTTP_SEC_WEBSOCKET_KEY", "\xe9" * 24),
    ],
)
def test_a_handshake_that_breaks_a_rule_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidHandshake):
        Handshake(compression=False).answer({**GOOD, name: value})


def test_extensions_that_make_no_sense_are_refused_where_they_are_looked_at() -> None:
    environ = {**GOOD, "HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate; ="}
    with pytest.raises(InvalidHandshake):
        Handshake(compression=True).answer(environ)
    assert Handshake(compression=False).answer(environ)[1] == []


@pytest.mark.parametrize("compression", [False, True])
def test_compression_is_agreed_to_only_where_the_setting_asks_for_it_wire_e13(compression: bool) -> None:
    response, extensions = Handshake(compression=compression).answer({**GOOD, **OFFERS})
    agreed = read(response)[1].get("Sec-WebSocket-Extensions")
    if compression:
        assert agreed is not None
        name, *parameters = agreed.split("; ")
        assert name == "permessage-deflate"
        assert {"server_no_context_takeover", "client_no_context_takeover"} <= set(parameters)
        assert [type(extension) for extension in extensions] == [PerMessageDeflate]
    else:
        assert (agreed, extensions) == (None, [])


def test_a_handshake_leaves_nothing_for_the_next() -> None:
    """One object answers all: neither the key nor the extensions of one client are another's."""
    shaker = Handshake(compression=True)
    _, first = shaker.answer({**GOOD, **OFFERS})
    response, none = shaker.answer({**GOOD, "HTTP_SEC_WEBSOCKET_KEY": "x3JJHMbDL1EzLkh9GBhXDw=="})
    _, second = shaker.answer({**GOOD, **OFFERS})
    assert read(response)[1]["Sec-WebSocket-Accept"] == "HSmrc0sMlYUkAGmm5OPpG2HaGWk="
    assert none == []
    assert len(first) == len(second) == 1
    assert first[0] is not second[0]


# The socket


class Input:
    """The body of a request, as eventlet's WSGI server has it: it knows the socket."""

    def __init__(self, sock: Any, rfile: Any = None) -> None:
        self._sock = sock
        if rfile is not None:
            self.rfile = rfile

    def get_socket(self) -> Any:
        return self._sock


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of a connection."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("server", ["eventlet", "gunicorn"])
def test_the_socket_of_a_request_is_found_under_either_server(server: str) -> None:
    sock = object()
    environs: dict[str, dict[str, Any]] = {
        "eventlet": {"eventlet.input": Input(sock)},
        "gunicorn": {"gunicorn.socket": sock},
    }
    assert request_socket(environs[server]) is sock


def test_closing_the_servers_own_object_harms_the_taken_socket_not(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """WSGI servers shut a connection down when its request has ended."""
    ours, theirs = pair
    raw, early = take_over({"gunicorn.socket": ours})
    with raw:
        assert (ours.fileno(), early) == (-1, b"")
        ours.close()
        assert raw.getblocking() is False
        raw.send(b"still here")
        assert theirs.recv(100) == b"still here"
        with pytest.raises(BlockingIOError):
            raw.recv(1)


@pytest.mark.parametrize(
    ("happens", "gone"),
    [
        (lambda theirs: None, False),
        (lambda theirs: theirs.sendall(b"GET"), False),
        (lambda theirs: theirs.close(), True),
        (lambda theirs: theirs.shutdown(socket.SHUT_WR), True),
    ],
    ids=["it waits", "it sent more", "it closed", "it said that it sends no more"],
)
def test_a_client_that_has_gone_is_noticed_and_nothing_taken(
    pair: tuple[socket.socket, socket.socket], happens: Callable[[socket.socket], object], gone: bool
) -> None:
    ours, theirs = pair
    happens(theirs)
    assert has_gone(SimpleNamespace(fd=ours)) is gone
    if not gone:
        ours.setblocking(False)
        theirs.sendall(b"!")
        assert ours.recv(10) in (b"!", b"GET!")


def test_of_a_socket_that_cannot_be_looked_at_nothing_is_said(pair: tuple[socket.socket, socket.socket]) -> None:
    """Without eventlet's wrapper, or closed already."""
    ours, _ = pair
    assert has_gone(None) is False
    ours.close()
    assert has_gone(SimpleNamespace(fd=ours)) is True


def test_what_came_right_behind_the_handshake_is_not_lost(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"GET / HTTP/1.1\r\n\r\nframes")
    rfile = ours.makefile("rb")
    assert (rfile.readline(), rfile.readline()) == (b"GET / HTTP/1.1\r\n", b"\r\n")
    raw, early = take_over({"eventlet.input": Input(ours, rfile)})
    with raw:
        assert early == b"frames"


def test_looking_for_more_never_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    """The socket is gone by then, so a buffered reader that has nothing cannot ask it."""
    ours, theirs = pair
    theirs.sendall(b"\r\n")
    rfile = ours.makefile("rb")
    rfile.readline()
    raw, early = take_over({"eventlet.input": Input(ours, rfile)})
    with raw:
        assert early == b""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"dtws_sio.early_bytes": lambda: bytearray(b"frames")}, b"frames"),
        ({"dtws_sio.early_bytes": lambda: b""}, b""),
        ({"eventlet.input": Input(None, io.BufferedReader(io.BytesIO(b"frames")))}, b"frames"),
        ({"eventlet.input": Input(None)}, b""),
        ({"eventlet.input": Input(None, io.BytesIO(b"no peek"))}, b""),
        ({}, b""),
    ],
    ids=["gunicorn", "gunicorn, none", "eventlet", "no reader", "unbuffered", "another server"],
)
def test_early_bytes_are_looked_for_where_each_server_has_them(environ: dict[str, Any], expected: bytes) -> None:
    assert early_bytes(environ) == expected


def test_only_a_tls_socket_speaks_tls(pair: tuple[socket.socket, socket.socket]) -> None:
    assert not is_tls(pair[0])
    assert is_tls(ssl.SSLSocket.__new__(GreenSSLSocket))


def test_small_frames_are_not_held_back_wire_e14() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        set_no_delay(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("error", [OSError(95, "not supported")])
def test_a_socket_without_that_option_is_no_error(error: OSError) -> None:
    def setsockopt(*arguments: int) -> None:
        raise error

    set_no_delay(SimpleNamespace(setsockopt=setsockopt))
