"""
From a request to a WebSocket: the handshake is answered, and the socket taken from the WSGI server.

Source: RFC 6455 section 4.2.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any, Final

from eventlet import patcher
from eventlet.green.ssl import GreenSSLSocket
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request
from websockets.server import ServerProtocol

_socket = patcher.original("socket")

silent = logging.Logger("websockets")  # noqa: LOG001
"""For `websockets`' protocol objects, which log: nothing may, in the hub."""
silent.disabled = True


class Handshake:
    """
    Answers WebSocket handshakes.

    Args:
        compression: Whether to agree to compress messages, where a client asks for it. It does so without context
            takeover: an idle client costs no compression window, and is given none of another's text.
    """

    def __init__(self, *, compression: bool) -> None:
        factory = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
        self._protocol = ServerProtocol(extensions=[factory] if compression else None, logger=silent)

    def answer(self, environ: dict[str, Any]) -> tuple[bytes, list[Any]]:
        """
        Give the response and the extensions that were agreed on.

        Raises:
            InvalidHandshake: If the request is none, by RFC 6455 section 4.2.1.
        """
        headers = Headers()
        for key, name in _HANDSHAKE:
            if key in environ:
                headers[name] = environ[key]
        accept, extensions, _ = self._protocol.process_request(Request("/", headers))
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines.append(f"Sec-WebSocket-Accept: {accept}")
        if extensions is not None:
            lines.append(f"Sec-WebSocket-Extensions: {extensions}")
        return "\r\n".join([*lines, "", ""]).encode(), list(self._protocol.extensions)


_HANDSHAKE: Final = tuple(
    ("HTTP_" + name.upper().replace("-", "_"), name)
    for name in (
        "Connection",
        "Upgrade",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Extensions",
    )
)
"""What a handshake is made of, as WSGI and as HTTP name it; host and origin are checked before."""


def take_over(environ: dict[str, Any]) -> tuple[Any, bytes]:
    """
    Take a request's socket from the WSGI server, with what the client sent right behind its handshake.

    The server's own object is left without a descriptor, so that closing it harms nobody; a duplicate would be shut
    down with it.
    """
    sock = request_socket(environ)
    raw = _socket.socket(fileno=sock.detach())
    raw.setblocking(False)
    return raw, early_bytes(environ)


def request_socket(environ: dict[str, Any]) -> Any:
    """Give the socket of a request; gunicorn and eventlet's own server have it in different places."""
    if "gunicorn.socket" in environ:
        return environ["gunicorn.socket"]
    return environ["eventlet.input"].get_socket()


def early_bytes(environ: dict[str, Any]) -> bytes:
    """Give what the server read beyond the request."""
    if "dtws_sio.early_bytes" in environ:
        return bytes(environ["dtws_sio.early_bytes"]())
    try:
        return bytes(environ["eventlet.input"].rfile.peek())
    except (AttributeError, KeyError, OSError, ValueError):
        return b""


def has_gone(sock: Any) -> bool:
    """Tell whether the client at the other end has closed, without taking anything that it sent."""
    raw = getattr(sock, "fd", None)
    if raw is None or is_tls(sock):
        return False
    try:
        return bool(raw.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT) == b"")
    except BlockingIOError:
        return False
    except OSError:
        return True


def is_tls(sock: object) -> bool:
    """Tell whether a socket speaks TLS."""
    return isinstance(sock, GreenSSLSocket)


def set_no_delay(sock: Any) -> None:
    """Send small frames at once: Nagle's algorithm would hold the second of two back for 40 ms (wire rule E14)."""
    with suppress(OSError):  # a Unix socket has no such option
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
