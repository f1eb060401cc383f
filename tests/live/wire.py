"""Clients made by hand, which send what no proper client would."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import websocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.servers import Server

SEPARATOR: Final = "\x1e"
"""Stands between two packets in a polling body."""


def endpoint(transport: str, **query: str) -> str:
    """Give the path of the Socket.IO endpoint with what a transport asks in its query."""
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return f"/socket.io/?EIO=4&transport={transport}{more}"


class Polling:
    """A long-polling client, which sends Engine.IO packets as text; `headers` go with each of its requests."""

    def __init__(self, site: Server, **headers: str) -> None:
        self.headers = headers
        self.url = site.url + endpoint("polling")
        opening = self.get()
        self.session: str = json.loads(opening[0][1:])["sid"]
        self.url += f"&sid={self.session}"

    def get(self) -> list[str]:
        """Poll once, and give the packets."""
        with urllib.request.urlopen(self._request(), timeout=10) as answer:
            return str(answer.read().decode()).split(SEPARATOR)

    def post(self, *packets: str) -> int:
        """Send packets in one request, and give the HTTP status."""
        try:
            with urllib.request.urlopen(self._request(SEPARATOR.join(packets).encode()), timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    def _request(self, body: bytes | None = None) -> urllib.request.Request:
        return urllib.request.Request(self.url, body, self.headers)

    def receive(self) -> list[str]:
        """Poll until something other than a ping came."""
        while (packets := [packet for packet in self.get() if packet != "2"]) == []:
            pass
        return packets

    def is_closed(self) -> bool:
        """Tell whether the server has ended the session."""
        try:
            return self.get()[-1] == "1"
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 400


class Socket:
    """A WebSocket client, of which the handshake of Engine.IO is done."""

    def __init__(self, connection: websocket.WebSocket) -> None:
        self.connection = connection
        self.opening: dict[str, Any] = json.loads(connection.recv()[1:])

    def join(self, namespace: str = "/", auth: Any = None) -> str:
        """Join a namespace, and give the sid there."""
        payload = "" if auth is None else json.dumps(auth)
        prefix = "" if namespace == "/" else f"{namespace},"
        self.send(f"40{prefix}{payload}")
        answer = self.receive()
        assert answer.startswith(f"40{prefix}"), answer
        sid: str = json.loads(answer[2 + len(prefix) :])["sid"]
        return sid

    def send(self, data: str | bytes) -> None:
        """Send a frame: Engine.IO's text, or an attachment."""
        (self.connection.send_binary if isinstance(data, bytes) else self.connection.send)(data)

    def receive(self) -> Any:
        """Give the next frame that is no ping."""
        while (frame := self.connection.recv()) == "2":
            pass
        return frame

    def ask(self, *event: Any, number: int = 7, namespace: str = "/") -> Any:
        """Send an event and give its acknowledgement, which has to be the next that comes."""
        prefix = f"{'' if namespace == '/' else f'{namespace},'}{number}"
        self.send(f"42{prefix}{json.dumps(event)}")
        answer = self.receive()
        assert answer.startswith(f"43{prefix}"), answer
        return json.loads(answer.removeprefix(f"43{prefix}"))

    def is_closed(self) -> bool:
        """Wait for the end of the connection; fails with a timeout if it does not come."""
        try:
            while self.connection.recv():
                pass
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            pass
        return True


@contextmanager
def connected(site: Server, **options: Any) -> Iterator[Socket]:
    """Open a WebSocket while the block runs; it says from where it comes only if `origin` is given."""
    url = site.url.replace("http", "ws", 1) + endpoint("websocket")
    if "origin" not in options:
        options["suppress_origin"] = True
    connection = websocket.create_connection(url, timeout=10, **options)
    try:
        yield Socket(connection)
    finally:
        connection.close()
        connection.shutdown()  # after a close frame of the server's, the other does nothing
