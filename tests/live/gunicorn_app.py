"""
A plain WSGI application for the tests of the gunicorn worker: no Django, no Socket.IO.

The environment variable SPEEDUP holds `NAME=seconds` pairs that replace constants of `dtws_sio.gunicorn`.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from eventlet import websocket

import dtws_sio.gunicorn

# Many projects do this; neither the listening sockets nor the connections may inherit it.
socket.setdefaulttimeout(0.3)

for _pair in os.environ.get("SPEEDUP", "").split():
    _name, _seconds = _pair.split("=")
    assert hasattr(dtws_sio.gunicorn, _name)
    setattr(dtws_sio.gunicorn, _name, float(_seconds))


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Answer each path below with the function of that name."""
    return ROUTES[environ["PATH_INFO"]](environ, start_response)


def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Tell which process answers, which is what most tests want to know."""
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def upload(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with the digest of the body."""
    digest = hashlib.sha256()
    while block := environ["wsgi.input"].read(65536):
        digest.update(block)
    body = digest.hexdigest().encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def lines(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Read a body in each way that PEP 3333 names, and answer with the pieces."""
    source = environ["wsgi.input"]
    pieces = [source.read(2), source.readline(), next(iter(source)), *source.readlines()]
    start_response("200 OK", [])
    return [repr(pieces).encode()]


def file(environ: dict[str, Any], start_response: Any) -> Any:
    """Send the file of the query, with its length if asked to, as Django sends a FileResponse."""
    query = parse_qs(environ["QUERY_STRING"])
    path = Path(query["path"][0])
    start_response("200 OK", [("Content-Length", str(path.stat().st_size))] if "length" in query else [])
    return environ["wsgi.file_wrapper"](path.open("rb"), 4096)


def nap(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Take as many seconds as the query says, letting others run."""
    time.sleep(float(environ["QUERY_STRING"]))
    return hello(environ, start_response)


def spin(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Stop the hub for good, as a handler that computes would."""
    while True:
        pass


def about_socket(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Tell about the connection as the application sees it."""
    connection = environ["eventlet.input"].get_socket()
    facts = {
        "same": connection.fileno() == environ["gunicorn.socket"].fileno(),
        "nodelay": bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)),
        "timeout": connection.gettimeout(),
        "class": type(environ["gunicorn.socket"]).__name__,
    }
    start_response("200 OK", [])
    return [repr(facts).encode()]


@websocket.WebSocketWSGI  # type: ignore[untyped-decorator]
def echo(session: websocket.WebSocket) -> None:
    """Send everything back until the client goes away."""
    while (message := session.wait()) is not None:
        session.send(message)


ROUTES = {
    "/": hello,
    "/upload": upload,
    "/lines": lines,
    "/file": file,
    "/nap": nap,
    "/spin": spin,
    "/socket": about_socket,
    "/echo": echo,
}
