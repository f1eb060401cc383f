"""A Socket.IO client for tests, in this process and without a network."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import engineio.packet
import engineio.payload
import socketio.packet
from django.test import Client as HttpClient

from dtws_sio import conf, json
from dtws_sio.exceptions import DtwsSioError
from dtws_sio.server import sio
from dtws_sio.wsgi import SocketIOApplication

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SECONDS: Final = 5.0
"""How long `call` waits for an acknowledgement; handlers run in the same thread, only their own threads take time."""

NOT_CONNECTED: Final = "this client is not connected; call connect() first"

EVENTS: Final = (socketio.packet.EVENT, socketio.packet.BINARY_EVENT)
ACKS: Final = (socketio.packet.ACK, socketio.packet.BINARY_ACK)


class RefusedError(DtwsSioError):
    """
    The server let a client not in.

    Attributes:
        message: What the page would be told.
        data: What it would find in `error.data`, such as `{"code": "login_required"}`.
    """

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


@dataclass(frozen=True, slots=True)
class Event:
    """An event that the server sent: its name, its arguments, and the namespace."""

    name: str
    arguments: tuple[Any, ...] = ()
    namespace: str = "/"


class _Packet(socketio.packet.Packet):  # type: ignore[misc]
    json = json


class SocketIOClient:
    """
    A page's connection to `sio`, which has to serve: see `ClientTestMixin`.

    It comes through the same gate as a browser, with the cookies of Django's test client: origin, host, CSRF and limits
    are checked as the settings say.

    Args:
        http: Django's test client, whose session it shares; a new one if it is left out.
        headers: Headers of its handshake, such as {"Origin": "https://example.com"}.
        query: The query string of its handshake.
    """

    def __init__(
        self, http: HttpClient | None = None, *, headers: dict[str, str] | None = None, query: str = ""
    ) -> None:
        self.http = HttpClient() if http is None else http
        self.sids: dict[str, str] = {}
        self._headers = dict(headers or {})
        self._query = query
        self._application = SocketIOApplication(_no_page)
        self._eio_sid: str | None = None
        self._cookies: dict[str, str] = {}
        self._numbers = iter(range(1, 1_000_000))
        self._events: list[Event] = []
        self._acks: dict[int, list[Any]] = {}
        self._connects: dict[str, Any] = {}
        self._incomplete: Any = None
        self._listeners: dict[str, Callable[..., Any]] = {}

    def force_login(self, user: Any) -> None:
        """Sign a user in; before `connect`, as a browser's handshake carries the cookies of its moment."""
        self.http.force_login(user)

    # Coming and going

    def connect(self, namespace: str = "/", auth: Any = None) -> str:
        """
        Join a namespace, and give the sid there.

        Args:
            namespace: Its path.
            auth: What the page's code gives as `auth`.

        Raises:
            RefusedError: If the server says no, in the handshake or afterwards.
        """
        if self._eio_sid is None:
            self._open()
        self._send(_Packet(socketio.packet.CONNECT, auth, namespace))
        self._wait(lambda: namespace in self._connects, f"an answer to the connection to {namespace}")
        kind, data = self._connects.pop(namespace)
        if kind == socketio.packet.CONNECT_ERROR:
            raise RefusedError(str(data.get("message", data)), data.get("data"))
        self.sids[namespace] = data["sid"]
        return self.sids[namespace]

    def disconnect(self, namespace: str | None = None) -> None:
        """Leave a namespace; all of them, with the connection, if none is named."""
        if namespace is not None:
            self._send(_Packet(socketio.packet.DISCONNECT, None, namespace))
            self.sids.pop(namespace, None)
            return
        if self._eio_sid is not None and self._is_open():
            self._post([engineio.packet.Packet(engineio.packet.CLOSE)])
        self._closed()

    def is_connected(self, namespace: str = "/") -> bool:
        """Tell whether the client is in a namespace, as far as it knows once it has read all that was sent."""
        self._read()
        return namespace in self.sids

    @property
    def sid(self) -> str:
        """The sid in the namespace that it joined first. Raises ConnectionError if it is in none."""
        if not self.sids:
            raise ConnectionError(NOT_CONNECTED)
        return next(iter(self.sids.values()))

    # Events

    def emit(self, event: str, *arguments: Any, namespace: str = "/") -> None:
        """Send an event; its handler has ended when this returns."""
        self._send(_Packet(socketio.packet.EVENT, [event, *arguments], namespace))

    def call(self, event: str, *arguments: Any, namespace: str = "/", seconds: float = SECONDS) -> Any:
        """
        Send an event and give its acknowledgement: nothing is None, one value is itself, several are a tuple.

        Raises:
            TimeoutError: If none came in so many seconds.
            ConnectionResetError: If the server closed the connection, or took the client out of the namespace.
        """
        is_inside = namespace in self.sids
        number = next(self._numbers)
        self._send(_Packet(socketio.packet.EVENT, [event, *arguments], namespace, number))
        self._wait(
            lambda: number in self._acks, f"an acknowledgement of {event!r}", seconds, namespace if is_inside else None
        )
        values = self._acks.pop(number)
        return tuple(values) if len(values) > 1 else next(iter(values), None)

    def received(self) -> list[Event]:
        """Give the events that came since the last time this was asked, in their order."""
        self._read()
        events, self._events = self._events, []
        return events

    def wait_for(self, event: str, seconds: float = SECONDS) -> Event:
        """
        Wait for an event that a thread sends, and take it out of what `received` gives.

        Raises:
            TimeoutError: If none came in so many seconds.
            ConnectionResetError: If the server closed the connection.
        """
        self._wait(lambda: any(each.name == event for each in self._events), f"the event {event!r}", seconds)
        found = next(each for each in self._events if each.name == event)
        self._events.remove(found)
        return found

    def on(self, event: str, function: Callable[..., Any]) -> None:
        """Have a function called with the arguments of each event of a name; what it returns is the acknowledgement."""
        self._listeners[event] = function

    # Engine.IO

    def _open(self) -> None:
        # A browser's WebSocket has no others either, whatever becomes of the session's cookie.
        self._cookies = {"HTTP_COOKIE": self.http._base_environ()["HTTP_COOKIE"]}  # type: ignore[attr-defined]
        status, body = self._request("GET", f"EIO=4&transport=polling&{self._query}".rstrip("&"))
        if not status.startswith("200"):
            raise RefusedError(f"the handshake was answered with {status}: {body.decode(errors='replace')}")
        opened = json.loads(body.split(b"\x1e")[0][1:])
        self._eio_sid = opened["sid"]

    def _is_open(self) -> bool:
        session = sio.eio.sockets.get(self._eio_sid) if sio.serving else None
        return session is not None and not session.closed

    def _has_mail(self) -> bool:
        return self._is_open() and not sio.eio.sockets[self._eio_sid].queue.empty()

    def _closed(self) -> None:
        self._eio_sid = None
        self.sids.clear()

    def _post(self, packets: Iterable[engineio.packet.Packet]) -> None:
        body = engineio.payload.Payload(list(packets)).encode().encode()
        status, answer = self._request("POST", f"EIO=4&transport=polling&sid={self._eio_sid}", body)
        if not status.startswith("200"):
            self._closed()
            raise ConnectionResetError(f"the server has closed the connection: {answer.decode(errors='replace')}")

    def _request(self, method: str, query: str, body: bytes = b"") -> tuple[str, bytes]:
        environ = {
            **self.http._base_environ(),  # type: ignore[attr-defined]
            **self._cookies,
            "REQUEST_METHOD": method,
            "PATH_INFO": conf.settings().url_path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self._headers.items()},
        }
        environ.setdefault("HTTP_HOST", urlsplit(f"//{environ['SERVER_NAME']}").netloc)
        answered: list[str] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            answered[:] = [status]

        content = b"".join(self._application(environ, start_response))
        return answered[0], content

    # Socket.IO

    def _send(self, packet: _Packet) -> None:
        if self._eio_sid is None:
            raise ConnectionError(NOT_CONNECTED)
        encoded = packet.encode()
        parts = encoded if isinstance(encoded, list) else [encoded]
        self._post(engineio.packet.Packet(engineio.packet.MESSAGE, part) for part in parts)
        self._look_at_rights()
        self._read()

    def _look_at_rights(self) -> None:
        """Do here what is done in the background of a server that serves: end what has lost its rights."""
        if sio.serving and not sio.clients.revocation.has_loop:
            sio.clients.revocation.look()

    def _wait(
        self, is_true: Callable[[], bool], what: str, seconds: float = SECONDS, namespace: str | None = None
    ) -> None:
        deadline = time.monotonic() + seconds
        self._read()
        while not is_true():
            if self._eio_sid is None:
                raise ConnectionResetError(f"there is no connection any more; it was closed before {what} came")
            if namespace is not None and namespace not in self.sids:
                raise ConnectionResetError(f"the server took this client out of {namespace} before {what} came")
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
            time.sleep(0.001)
            self._read()

    def _read(self) -> None:
        """Take in all that the server has sent."""
        if self._eio_sid is None:
            return
        self._look_at_rights()
        while self._has_mail():
            _, body = self._request("GET", f"EIO=4&transport=polling&sid={self._eio_sid}")
            for packet in engineio.payload.Payload(encoded_payload=body.decode()).packets:
                if packet.packet_type == engineio.packet.MESSAGE:
                    self._arrived(packet.data)
                elif packet.packet_type == engineio.packet.PING:
                    self._post([engineio.packet.Packet(engineio.packet.PONG, packet.data)])
        if not self._is_open():
            self._closed()

    def _arrived(self, data: str | bytes) -> None:
        if self._incomplete is None:
            packet = _Packet(encoded_packet=data)
            if packet.attachment_count:
                self._incomplete = packet
                return
        else:
            packet = self._incomplete
            if not packet.add_attachment(data):
                return
            self._incomplete = None
        self._take(packet)

    def _take(self, packet: _Packet) -> None:
        namespace = packet.namespace or "/"
        if packet.packet_type in EVENTS:
            self._take_event(Event(packet.data[0], tuple(packet.data[1:]), namespace), packet.id)
        elif packet.packet_type in ACKS:
            self._acks[packet.id] = packet.data
        elif packet.packet_type == socketio.packet.DISCONNECT:
            self.sids.pop(namespace, None)
        else:
            self._connects[namespace] = packet.packet_type, packet.data

    def _take_event(self, event: Event, number: int | None) -> None:
        self._events.append(event)
        listener = self._listeners.get(event.name)
        answer = None if listener is None else listener(*event.arguments)
        if number is not None and listener is not None:
            values = list(answer) if isinstance(answer, tuple) else [] if answer is None else [answer]
            self._send(_Packet(socketio.packet.ACK, values, event.namespace, number))


def _no_page(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    raise AssertionError("only Socket.IO is asked for here")
