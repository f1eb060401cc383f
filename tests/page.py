"""
A Socket.IO client for tests: it speaks the protocol over long-polling, in this process and without a network.

It is written from the protocol's documents and shares no code with the package, so that both being wrong in the same
way is unlikely.
"""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE: Final = 5.0
"""Seconds after which something that should have happened counts as missing."""

SEPARATOR: Final = "\x1e"
"""Stands between two Engine.IO packets of one polling body."""

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

HEAD: Final = re.compile(r"(\d)(?:(\d+)-)?(?:(/[^,]*),)?(\d+)?(.*)", re.DOTALL)


def eventually(is_true: Callable[[], object], *, seconds: float = DEADLINE) -> bool:
    """Poll until something is true; False if it is not by the deadline."""
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


@dataclass(frozen=True, slots=True)
class Arrived:
    """A Socket.IO packet that the server sent, its attachments put in place."""

    type: int
    data: Any = None
    namespace: str = "/"
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What a WSGI application answered."""

    status: str
    headers: dict[str, str]
    body: bytes


def request(application: Any, method: str = "GET", *, body: bytes = b"", **extra: Any) -> Response:
    """Call a WSGI application as a server would; `extra` goes into the environ."""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/socket.io/",
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "testserver",
        "REMOTE_ADDR": "192.0.2.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **extra,
    }
    answered: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        answered[:] = status, dict(headers)

    chunks = application(environ, start_response)
    try:
        content = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    return Response(answered[0], answered[1], content)


class Page:
    """
    One connection of a client, which may join several namespaces.

    Args:
        server: The server, or a WSGI application with one of those at its path.
        engine: The Engine.IO server behind it; where the page looks whether a poll would find something.
        extra: Goes into the environ of the handshake; the cookies in it, into that of every request.
    """

    def __init__(self, server: Any, engine: Any, **extra: Any) -> None:
        self._application = server
        self._engine = engine
        self._cookies = {name: value for name, value in extra.items() if name == "HTTP_COOKIE"}
        self._inbox: deque[str | bytes] = deque()
        self._numbers = iter(range(1_000_000))
        opened = request(server, QUERY_STRING="EIO=4&transport=polling", **extra)
        assert opened.status == "200 OK", opened
        self.handshake: dict[str, Any] = json.loads(opened.body.decode().split(SEPARATOR)[0][1:])
        self.eio_sid: str = self.handshake["sid"]
        self.sids: dict[str, str] = {}

    @property
    def _query(self) -> str:
        return f"EIO=4&transport=polling&sid={self.eio_sid}"

    # Engine.IO

    def post(self, *packets: str) -> Response:
        """Send Engine.IO packets in one request."""
        body = SEPARATOR.join(packets).encode()
        return request(self._application, "POST", body=body, QUERY_STRING=self._query, **self._cookies)

    def send(self, *messages: str | bytes) -> Response:
        """Send Socket.IO packets, and their attachments, in one request."""
        return self.post(*(_message(each) for each in messages))

    def close(self) -> None:
        """End the connection as a page that is left does."""
        self.post("1")

    @property
    def is_closed(self) -> bool:
        """Tell whether the server has ended this connection."""
        session = self._engine.sockets.get(self.eio_sid)
        return session is None or session.closed

    def _has_mail(self) -> bool:
        session = self._engine.sockets.get(self.eio_sid)
        return session is None or session.closed or not session.queue.empty()

    def _poll(self) -> None:
        response = request(self._application, QUERY_STRING=self._query, **self._cookies)
        if response.status != "200 OK":
            raise ConnectionResetError(response.body.decode())
        for packet in response.body.decode().split(SEPARATOR):
            if packet.startswith("b"):
                self._inbox.append(base64.b64decode(packet[1:]))
            elif packet.startswith("4"):
                self._inbox.append(packet[1:])

    def raw(self) -> str | bytes:
        """Wait for the next Engine.IO message."""
        while not self._inbox:
            if not eventually(self._has_mail):
                raise TimeoutError("nothing arrived")
            self._poll()
        return self._inbox.popleft()

    # Socket.IO

    def next(self) -> Arrived:
        """Wait for the next Socket.IO packet."""
        text = self.raw()
        assert isinstance(text, str), text
        head = HEAD.fullmatch(text)
        assert head, text
        kind, count, namespace, number, payload = head.groups()
        attachments = [self.raw() for _ in range(int(count or 0))]
        data = json.loads(payload) if payload else None
        return Arrived(
            {BINARY_EVENT: EVENT, BINARY_ACK: ACK}.get(int(kind), int(kind)),
            _filled(data, attachments) if attachments else data,
            namespace or "/",
            None if number is None else int(number),
        )

    def arrived(self) -> list[Arrived]:
        """Give what is there already, without waiting."""
        packets = []
        while self._inbox or (not self.is_closed and self._has_mail()):
            packets.append(self.next())
        return packets

    def join(self, namespace: str = "/", auth: Any = None) -> Arrived:
        """Ask to join a namespace and wait for the answer."""
        self.send(_address(CONNECT, namespace) + ("" if auth is None else json.dumps(auth)))
        answer = self.next()
        if answer.type == CONNECT:
            self.sids[namespace] = answer.data["sid"]
        return answer

    def leave(self, namespace: str = "/") -> None:
        """Leave a namespace."""
        self.send(_address(DISCONNECT, namespace))

    @property
    def sid(self) -> str:
        """The page's sid in the namespace that it joined first."""
        return next(iter(self.sids.values()))

    def emit(self, event: str | int, *arguments: Any, namespace: str = "/", id: int | None = None) -> None:
        """Send an event."""
        number = "" if id is None else str(id)
        self.send(_address(EVENT, namespace) + number + json.dumps([event, *arguments]))

    def ask(self, event: str | int, *arguments: Any, namespace: str = "/") -> Any:
        """Send an event, and give the values of its acknowledgement, which has to be what comes next."""
        number = next(self._numbers)
        self.emit(event, *arguments, namespace=namespace, id=number)
        answer = self.next()
        assert (answer.type, answer.id, answer.namespace) == (ACK, number, namespace), answer
        return answer.data


def _address(kind: int, namespace: str) -> str:
    return str(kind) if namespace == "/" else f"{kind}{namespace},"


def _message(message: str | bytes) -> str:
    return "b" + base64.b64encode(message).decode() if isinstance(message, bytes) else "4" + message


def _filled(value: Any, attachments: list[Any]) -> Any:
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            return attachments[value["num"]]
        return {key: _filled(item, attachments) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, attachments) for item in value]
    return value
