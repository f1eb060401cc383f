"""python-engineio's own server, for gevent and threads, with the interface that the Socket.IO layer uses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import engineio
from engineio import packet

from dtws_sio import runtime
from dtws_sio.engine.answers import PAYLOAD_TOO_LARGE, Refusal, cors_headers, too_large

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.engine.outgoing import Outgoing
    from dtws_sio.engine.threads import HubThread


class AnyThread:
    """Without eventlet, python-engineio's queues may be used from every thread."""

    def is_current(self) -> bool:
        """Tell that nothing has to be handed over."""
        return True

    def close(self) -> None:
        """Do nothing."""


class StockServer(engineio.Server):  # type: ignore[misc]
    """
    An Engine.IO server with python-engineio's sockets.

    It keeps fewer of the protocol's rules than `dtws_sio.engine.Server`; the documentation lists them.

    Args:
        compression: Whether a WebSocket may compress its messages (eventlet's only).
        options: As for `engineio.Server`.
    """

    class reason(engineio.Server.reason):  # type: ignore[misc]  # noqa: N801  upstream's name
        """Why a session ended."""

        CLIENT_DISCONNECT = "transport close"
        """The packet CLOSE is the end of the transport, not of a namespace (wire rule H3)."""

        PARSE_ERROR = "parse error"
        """The client broke a rule of the protocol."""

        RIGHTS_REVOKED = "rights revoked"
        """What let its client in does not hold any more."""

    _async: dict[str, Any]

    def __init__(self, *, compression: bool = False, **options: Any) -> None:
        super().__init__(**{"http_compression": False, **options})
        self.owner_of: Callable[[dict[str, Any]], object] = lambda environ: None
        """Gives what all requests of a session have to have in common with its handshake; None if that is nothing."""
        self.refused: Callable[[str], object] = lambda name: None
        """Told the name of each refusal that is made here and worth counting."""
        self.thread: AnyThread | HubThread = _thread()
        websocket = self._async["websocket"]
        if websocket is not None:
            if not compression and hasattr(websocket, "_negotiate_permessage_deflate"):
                websocket = _uncompressed(websocket)
            self._async = {**self._async, "websocket": _counting(websocket, self)}

    def handle_request(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request of a client; a WSGI application."""
        try:
            self._check(environ)
            return super().handle_request(environ, start_response)
        except Refusal as refusal:
            start_response(refusal.answer.status, [*refusal.answer.headers, *self._cors_headers(environ)])
            return [refusal.answer.body]

    def _check(self, environ: dict[str, Any]) -> None:
        """
        Look at what upstream does not.

        Raises:
            Refusal: For JSONP; and for a session that there is not, that has just ended or is somebody else's, which
                is not told apart; and for a POST that is too long.
        """
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if "j" in query:  # any site could read the answer, with the user's cookies
            raise Refusal("400 Bad Request", 0, "Transport unknown")
        if "sid" not in query or environ["REQUEST_METHOD"] == "OPTIONS":
            return  # a CORS preflight has no cookies
        sid = query["sid"][0]
        socket = self.sockets.get(sid)
        if socket is not None and socket.owner is not None and self.owner_of(environ) != socket.owner:
            raise Refusal("400 Bad Request", 1, "Session ID unknown")
        if socket is None or socket.closed:
            self.sockets.pop(sid, None)
            raise Refusal("400 Bad Request", 1, "Session ID unknown")
        length = environ.get("CONTENT_LENGTH") or "0"
        if environ["REQUEST_METHOD"] == "POST" and not (
            length.isdecimal() and int(length[:20]) <= self.max_http_buffer_size
        ):
            self.close(sid, self.reason.PARSE_ERROR)
            self.refused(PAYLOAD_TOO_LARGE)
            raise too_large()

    def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        """
        Call a handler.

        Raises:
            Refusal: If a connect handler returned it, to choose the answer; upstream would log each with a warning.
        """
        if event != "connect":
            return super()._trigger_event(event, *args, **options)
        sid, environ = args
        self.sockets[sid].owner = self.owner_of(environ)
        answer = super()._trigger_event(event, *args, **options)
        if isinstance(answer, Refusal):
            del self.sockets[sid]
            raise answer
        return answer

    def _cors_headers(self, environ: dict[str, Any]) -> list[tuple[str, str]]:
        """Give what upstream gives, for accepted origins only and with Vary."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or self.cors_allowed_origins == []:
            return []
        allowed = self._cors_allowed_origins(environ)
        if allowed is not None and origin not in allowed:
            return []
        return cors_headers(environ, credentials=self.cors_credentials)

    def shutdown(self) -> None:
        """Let go of what only a serving process needs."""
        super().shutdown()
        self.thread.close()

    def disconnect(self, sid: str | None = None) -> None:
        """End a session, or all of them; upstream's waits until the client has read what was sent to it."""
        for each in [sid] if sid is not None else list(self.sockets):
            self.close(each, self.reason.SERVER_DISCONNECT)

    def close(self, sid: str, reason: str) -> None:
        """End a session at once, whether or not the client still reads; nothing happens if it has ended."""
        socket = self.sockets.get(sid)
        if socket is not None:
            socket.close(wait=False, reason=reason)

    def deliver(self, sid: str, outgoing: Outgoing, volatile: bool = False) -> None:
        """Send packets to a client; those for a session that has ended go nowhere."""
        socket = self.sockets.get(sid)
        if socket is None or socket.closed:
            return
        for part in outgoing.parts:
            socket.send(packet.Packet(packet.MESSAGE, part if isinstance(part, bytes) else part[1:]))

    def deliverer(self, sid: str) -> Callable[[Outgoing, bool], None]:
        """Give a function that sends to a client, as `deliver` does."""
        return partial(self.deliver, sid)

    def flush(self, sid: str) -> None:
        """Do nothing: each session's own greenlet or thread sends when it comes to it."""

    def pause(self, sid: str) -> None:
        """Do nothing: python-engineio's sockets read as fast as clients send."""

    resume = pause


def _thread() -> AnyThread | HubThread:
    if runtime.current() != "eventlet":
        return AnyThread()
    from dtws_sio.engine.threads import HubThread

    return HubThread()


def _counting(websocket: type, server: StockServer) -> type:
    """Make a WebSocket class that has messages counted for which upstream is about to close it."""

    def wait(self: Any) -> Any:
        message = websocket.wait(self)  # type: ignore[attr-defined]
        if message and len(message) > server.max_http_buffer_size:
            server.refused(PAYLOAD_TOO_LARGE)
        return message

    return type("CountingWebSocket", (websocket,), {"wait": wait})


def _uncompressed(websocket: type) -> type:
    """Make a WebSocket class that offers no compression (eventlet/websocket.py:327 always does)."""
    return type("UncompressedWebSocket", (websocket,), {"_negotiate_permessage_deflate": lambda self, extensions: None})
