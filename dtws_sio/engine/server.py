"""
The Engine.IO server: sessions over HTTP long-polling and WebSocket, on eventlet's hub.

`handle_request` is a WSGI application. It refuses what breaks a rule, and hands the rest to the `Session` that the
request names. Its names are those of python-engineio's server, so it can be used alone:

    eio = Server()

    @eio.on("message")
    def message(sid, data):
        eio.send(sid, data)

    eventlet.wsgi.server(eventlet.listen(("127.0.0.1", 8000)), eio.handle_request)

Source: Engine.IO protocol 4, https://socket.io/docs/v4/engine-io-protocol/; wire rules E1 to E15 and H1 to H3.
"""

from __future__ import annotations

import logging
from functools import partial
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import engineio
from engineio import json
from eventlet import greenthread, hubs
from eventlet.wsgi import WSGI_LOCAL
from websockets.exceptions import InvalidHandshake

from dtws_sio.engine.answers import Answer, Refusal, cors_headers, read_packets, takes_gzip
from dtws_sio.engine.backlog import Backlog
from dtws_sio.engine.connection import Connection, ParkedConnection
from dtws_sio.engine.handlers import Handlers, Receiver
from dtws_sio.engine.handshake import Handshake, is_tls, request_socket, set_no_delay, take_over
from dtws_sio.engine.heartbeat import Heartbeat
from dtws_sio.engine.outgoing import Outgoing
from dtws_sio.engine.session import InvalidPacketError, Session
from dtws_sio.engine.threads import HubThread
from dtws_sio.pool import make_pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse

logger = logging.getLogger("dtws_sio.engine")

UPGRADE_SECONDS: Final = 10.0
"""How long a WebSocket that wants to take a session over may take for it; as in the reference server."""

PACKETS_PER_TURN: Final = 50
"""Packets of one POST that are handled before others have their turn; 160,000 of them would take half a second."""


class Server(engineio.Server):  # type: ignore[misc]
    """
    An Engine.IO server.

    Args:
        max_backlog: Bytes that may wait for one client.
        backlog_policy: What happens when there are more: "close", "drop-oldest" or "keep-newest".
        compression: Whether a WebSocket may compress its messages; off, as it costs CPU and memory for each client.
        handler_pool: How many handlers of messages run at once, where `on` registered some.
        options: As for `engineio.Server`; `async_mode` can only be "eventlet".
    """

    class reason(engineio.Server.reason):  # type: ignore[misc]  # noqa: N801  upstream's name
        """Why a session ended."""

        CLIENT_DISCONNECT = "transport close"
        PARSE_ERROR = "parse error"
        RIGHTS_REVOKED = "rights revoked"

    def __init__(
        self,
        *,
        max_backlog: int = 1_000_000,
        backlog_policy: str = "close",
        compression: bool = False,
        handler_pool: int = 100,
        **options: Any,
    ) -> None:
        super().__init__(**{"async_mode": "eventlet", "monitor_clients": False, "http_compression": False, **options})
        self.backlog = Backlog(max_backlog, backlog_policy, lambda name: self.refused(name))
        self._handshake = Handshake(compression=compression)
        self.owner_of: Callable[[dict[str, Any]], object] = lambda environ: None
        """Gives what all requests of a session have to have in common with its handshake; None if that is nothing."""
        self.refused: Callable[[str], object] = lambda name: None
        """Told the name of each refusal that is made here and worth counting; it may be in the hub."""
        self.receiver: Receiver = Handlers(self, make_pool(handler_pool))
        self.thread = HubThread()
        self._hub = hubs.get_hub()
        self._dirty: list[Session] = []
        self._terms = (
            f'"pingInterval":{round(self.ping_interval * 1000)},"pingTimeout":{round(self.ping_timeout * 1000)},'
            f'"maxPayload":{self.max_http_buffer_size}'
        )
        self.heartbeat = Heartbeat(
            self.sockets, interval=self.ping_interval, timeout=self.ping_timeout, reason=self.reason.PING_TIMEOUT
        )

    # Requests

    def handle_request(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request of a client; a WSGI application."""
        cors: list[tuple[str, str]] = []
        try:
            cors = self._cors(environ)
            answer = self._answer(environ)
        except Refusal as refusal:
            answer = refusal.answer
        if answer is None:
            start_response("101 Switching Protocols", [])  # for the server's log; the connection is a WebSocket's now
            return []
        headers = [*answer.headers, *cors]
        body = answer.body
        if self.http_compression and len(body) >= self.compression_threshold and takes_gzip(environ):
            body = self._gzip(body)
            headers.append(("Content-Encoding", "gzip"))
        start_response(answer.status, [*headers, ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: dict[str, Any]) -> Answer | None:
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return Answer("200 OK")
        query = parse_qs(environ.get("QUERY_STRING", ""))
        transport, sid = query.get("transport", [""])[0], query.get("sid", [""])[0]
        if query.get("EIO") != ["4"]:
            raise Refusal("400 Bad Request", 5, "Unsupported protocol version")
        if transport not in self.transports or "j" in query:
            raise Refusal("400 Bad Request", 0, "Transport unknown")
        if method != "GET" and (method != "POST" or transport == "websocket" or not sid):
            raise Refusal("400 Bad Request", 2, "Bad handshake method")
        if not sid:
            if transport == "polling":
                return self._open(environ)
            self._open_websocket(environ)
            return None
        session = self._session(sid, environ)
        if transport == "websocket":
            self._upgrade(environ, session)
            return None
        if session.candidate is not None:
            # What the WebSocket that wants the session said may be unread, although it was sent before this request.
            greenthread.sleep()
            greenthread.sleep()
            session = self._session(sid, environ)
        if session.connection is not None:
            raise Refusal("400 Bad Request", 3, "Bad request")
        return self._poll(environ, session) if method == "GET" else self._post(environ, session)

    def _session(self, sid: str, environ: dict[str, Any]) -> Session:
        """
        Give the session that a request names.

        Raises:
            Refusal: If there is none, or it is somebody else's; that is not told apart.
        """
        session: Session | None = self.sockets.get(sid)
        if session is not None and session.owner is not None and self.owner_of(environ) != session.owner:
            raise Refusal("400 Bad Request", 1, "Session ID unknown")
        if session is not None:
            self.heartbeat.check(session)
        if session is None or session.closed:
            raise Refusal("400 Bad Request", 1, "Session ID unknown")
        return session

    def _cors(self, environ: dict[str, Any]) -> list[tuple[str, str]]:
        """
        Give the headers that tell a browser that a page may read the answer.

        Raises:
            Refusal: If the page's origin is not one that may connect.
        """
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or self.cors_allowed_origins == []:
            return []
        allowed = self._cors_allowed_origins(environ)
        if allowed is not None and origin not in allowed:
            raise Refusal("403 Forbidden", 4, "Origin not allowed")
        return cors_headers(environ, credentials=self.cors_credentials)

    # Polling

    def _open(self, environ: dict[str, Any]) -> Answer:
        can_upgrade = self.allow_upgrades and "websocket" in self.transports
        session = self._begin(environ, '"websocket"' if can_upgrade else "")
        cookie = [("Set-Cookie", self._cookie(session.sid))] if self.cookie else []
        return Answer.packets(session.take(), cookie)

    def _cookie(self, sid: str) -> str:
        given = self.cookie if isinstance(self.cookie, dict) else {"name": self.cookie, "path": "/", "SameSite": "Lax"}
        return str(self._generate_sid_cookie(sid, given))

    def _poll(self, environ: dict[str, Any], session: Session) -> Answer:
        if session.poll is not None:
            session.close(self.reason.TRANSPORT_ERROR)
            raise Refusal("400 Bad Request", 3, "Bad request")
        return Answer.packets(session.wait(request_socket(environ)))

    def _post(self, environ: dict[str, Any], session: Session) -> Answer:
        if session.posting:
            session.close(self.reason.TRANSPORT_ERROR)
            raise Refusal("400 Bad Request", 3, "Bad request")
        session.posting = True
        try:
            for number, packet in enumerate(read_packets(environ, self.max_http_buffer_size), 1):
                self._wait_for_room(session)
                session.receive(None, packet)
                if not number % PACKETS_PER_TURN:
                    greenthread.sleep()
        except (Refusal, InvalidPacketError) as error:
            session.close(self.reason.PARSE_ERROR)
            if isinstance(error, Refusal) and error.name is not None:
                self.refused(error.name)
            raise error if isinstance(error, Refusal) else Refusal("400 Bad Request", 3, "Bad request") from error
        finally:
            session.posting = False
        return Answer("200 OK", b"ok", [("Content-Type", "text/html")])

    @staticmethod
    def _wait_for_room(session: Session) -> None:
        while session.paused and not session.closed:
            greenthread.sleep(0.01)

    # WebSocket

    def _open_websocket(self, environ: dict[str, Any]) -> None:
        response, extensions = self._shake_hands(environ)
        session = self._begin(environ, "")
        connection, early = self._connection(environ, session, response, extensions)
        session.carry(connection)
        self._serve(connection, early)

    def _upgrade(self, environ: dict[str, Any], session: Session) -> None:
        if not self.allow_upgrades:
            raise Refusal("400 Bad Request", 3, "Bad request")
        response, extensions = self._shake_hands(environ)
        connection, early = self._connection(environ, session, response, extensions)
        connection.write([])
        if session.connection is not None or session.candidate is not None or session.closed:
            connection.close()
        else:
            session.candidate = connection
            self._hub.schedule_call_global(UPGRADE_SECONDS, session.give_up, connection)
        self._serve(connection, early)

    def _shake_hands(self, environ: dict[str, Any]) -> tuple[bytes, list[Any]]:
        try:
            return self._handshake.answer(environ)
        except InvalidHandshake as error:
            raise Refusal("400 Bad Request", 3, f"Bad request: {error}") from error

    def _connection(
        self, environ: dict[str, Any], session: Session, response: bytes, extensions: list[Any]
    ) -> tuple[Connection, bytes]:
        """Take a request's socket; what else came on it is the beginning of what it will say."""
        sock = request_socket(environ)
        set_no_delay(sock)
        WSGI_LOCAL.already_handled = True
        parks = is_tls(sock)
        raw, early = (sock, b"") if parks else take_over(environ)
        connection = (ParkedConnection if parks else Connection)(
            raw, session, response, extensions, self.max_http_buffer_size, environ.pop("dtws_sio.websocket_ended", None)
        )
        return connection, early

    def _serve(self, connection: Connection, early: bytes) -> None:
        if isinstance(connection, ParkedConnection):
            connection.serve(early)
        else:
            self._hub.schedule_call_global(0, connection.begin, early)

    # The life of a session

    def generate_id(self) -> str:
        """Make the name of a session, which whoever knows it could speak for: 120 random bits."""
        return token_urlsafe(15)

    def _begin(self, environ: dict[str, Any], upgrades: str) -> Session:
        """
        Make a session whose first packet says how to go on (wire rule E1).

        Raises:
            Refusal: If the connect handler does not let it in.
        """
        session = Session(self, self.generate_id(), self.owner_of(environ))
        self.sockets[session.sid] = session
        session.outbox.append(Outgoing(f'0{{"sid":"{session.sid}","upgrades":[{upgrades}],{self._terms}}}'))
        try:
            if self.receiver.opened(session.sid, environ) is False or session.closed:
                raise Refusal("401 Unauthorized", 4, "Forbidden")
        except Refusal:
            self.sockets.pop(session.sid, None)
            session.closed = True
            raise
        self.heartbeat.begin(session)
        return session

    def ended(self, session: Session, reason: str) -> None:
        """Forget a session; called by itself at its end."""
        self.sockets.pop(session.sid, None)
        self.receiver.closed(session.sid, reason)

    # Sending

    def send(self, sid: str, data: Any) -> None:
        """
        Send a message to a client; one that has gone gets nothing.

        Args:
            sid: The client.
            data: Text, bytes, or a list or dict, which is sent as JSON.
        """
        if isinstance(data, (list, dict)):
            data = json.dumps(data, separators=(",", ":"))
        self.deliver(sid, Outgoing(data if isinstance(data, bytes) else f"4{data}"))

    def send_packet(self, sid: str, pkt: Any) -> None:
        """Send one of python-engineio's packets."""
        self.deliver(sid, Outgoing(pkt.encode()))

    def deliver(self, sid: str, outgoing: Outgoing, volatile: bool = False) -> None:
        """Send packets that were encoded before."""
        session = self.sockets.get(sid)
        if session is not None:
            session.send(outgoing, volatile)

    def deliverer(self, sid: str) -> Callable[[Outgoing, bool], None]:
        """Give a function that sends to a client, as `deliver` does."""
        return self.sockets[sid].send  # type: ignore[no-any-return]

    def flush(self, sid: str) -> None:
        """Send what is due to a client now, rather than at the end of the hub's turn."""
        session = self.sockets.get(sid)
        if session is not None:
            session.flush()

    def cork(self, session: Session) -> None:
        """Have a session flushed at the end of the hub's turn, with all others that have something to send."""
        if not self._dirty:
            self._hub.schedule_call_global(0, self._flush)
        self._dirty.append(session)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for session in dirty:
            session.is_dirty = False
            try:
                session.flush()
            except Exception as error:  # the others must get theirs
                greenthread.spawn_n(partial(logger.error, "sending to %s failed", session.sid, exc_info=error))
                session.close(self.reason.TRANSPORT_ERROR)

    # What python-engineio's server offers besides

    def close(self, sid: str, reason: str) -> None:
        """End a session at once; nothing happens if it has ended."""
        session = self.sockets.get(sid)
        if session is not None:
            session.close(reason)

    def disconnect(self, sid: str | None = None) -> None:
        """End a session, or all of them."""
        for each in [sid] if sid is not None else list(self.sockets):
            self.close(each, self.reason.SERVER_DISCONNECT)

    def shutdown(self) -> None:
        """Let go of what only a serving process needs."""
        super().shutdown()
        self.thread.close()

    def pause(self, sid: str) -> None:
        """Read no more from a client, until `resume`."""
        session = self.sockets.get(sid)
        if session is not None and not session.paused:
            session.paused = True
            if session.connection is not None:
                session.connection.pause()

    def resume(self, sid: str) -> None:
        """Read again."""
        session = self.sockets.get(sid)
        if session is not None and session.paused:
            session.paused = False
            self.heartbeat.resumed(session)
            if session.connection is not None:
                session.connection.resume()
