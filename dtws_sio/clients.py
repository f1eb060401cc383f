"""
The clients of this process: what they send, and their life in a namespace from CONNECT to the disconnect handler.

One `Client` is kept for each client in each namespace that it joined. What arrives goes packet by packet through
`Clients.receive`; a packet that breaks a rule closes the whole connection. Handlers run through `dtws_sio.dispatch`.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import socketio
import socketio.exceptions

from dtws_sio import dispatch, runtime
from dtws_sio.dispatch import ANY, NO_ACK, Handler, HandlerFailedError, HandlerTable, Mailbox, Origin
from dtws_sio.exceptions import EventError, ProtocolError
from dtws_sio.manager import Manager, frames
from dtws_sio.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dtws_sio.engine import Server as Engine

logger = logging.getLogger("dtws_sio.clients")

DISCONNECT_PATIENCE: Final = 1.0
"""Seconds that a disconnect handler waits for events of its client that came before it; then it runs beside them."""

REFUSALS: Final = (socketio.exceptions.ConnectionRefusedError, ConnectionRefusedError, EventError)
"""What a connect handler raises to refuse a client: python-socketio's error, the built-in one of that name, or ours."""

LEFT_NAMESPACE: Final = "client namespace disconnect"
"""Reason: the client left this namespace; its connection may live on (wire rule H3)."""

FAILED: Final = ("handler_failed", "Internal server error")
"""Code and message of the error that answers an event whose handler raised; what it raised is for the log only."""

_connecting: contextvars.ContextVar[str | None] = contextvars.ContextVar("dtws_sio_connecting", default=None)
"""The client whose connect handler runs in this context."""


@dataclass(slots=True, eq=False)
class Client:
    """
    One client in one namespace.

    `accepted` is set once the connect handler let it in; what was emitted to it before that waits in `held`. `left` is
    the reason for which it went, or None while it is here.
    """

    sid: str
    eio_sid: str
    namespace: str
    environ: dict[str, Any]
    mailbox: Mailbox
    accepted: bool = False
    left: str | None = None
    held: list[Any] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.Lock)

    def origin(self, event: str) -> Origin:
        """Say where an event of this client came from."""
        return Origin(event, self.namespace, self.sid, self.environ)

    def __str__(self) -> str:
        return f"{self.namespace} {self.sid} ({self.environ.get('REMOTE_ADDR') or 'local'})"


class Clients:
    """
    Everybody who is connected to this process.

    Args:
        table: The handlers.
        engine: The Engine.IO server that carries the packets.
        manager: Who is in which room.
        pool: Runs the handlers.
        open_namespaces: Namespaces that may be joined although they have no handler; "*" for all.
        ack_errors: The setting ACK_ERRORS.
    """

    def __init__(
        self,
        *,
        table: HandlerTable,
        engine: Engine,
        manager: Manager,
        pool: runtime.Pool,
        open_namespaces: Collection[str],
        ack_errors: bool,
    ) -> None:
        self._table = table
        self._engine = engine
        self._manager = manager
        self._pool = pool
        self._open_namespaces = open_namespaces
        self._ack_errors = ack_errors
        self._by_sid: dict[str, Client] = {}
        self._by_session: dict[str, dict[str, Client]] = {}
        self._environs: dict[str, dict[str, Any]] = {}
        self._incomplete: dict[str, Packet] = {}

    def get(self, sid: str) -> Client | None:
        """Give a client of this process, also while it connects and until its disconnect handler has ended."""
        return self._by_sid.get(sid)

    # Engine.IO sessions

    def open(self, eio_sid: str, environ: dict[str, Any]) -> None:
        """Remember the handshake of a new session."""
        self._environs[eio_sid] = environ
        self._by_session[eio_sid] = {}

    def close(self, eio_sid: str, reason: str) -> None:
        """Take everything out that a session carried; it has ended."""
        self._incomplete.pop(eio_sid, None)
        self._environs.pop(eio_sid, None)
        for client in list(self._by_session.pop(eio_sid, {}).values()):
            self._leave(client, reason)

    # What arrives

    def receive(self, eio_sid: str, data: Any) -> None:
        """Take in one Engine.IO message: a packet, or one of its attachments."""
        try:
            packet = self._completed(eio_sid, data)
            if packet is not None:
                _ARRIVALS[packet.packet_type](self, eio_sid, packet)
        except ProtocolError as error:
            logger.warning("closed the connection of %s: %s", self._address(eio_sid), error)
            self._engine.close(eio_sid, self._engine.reason.PARSE_ERROR)

    def _completed(self, eio_sid: str, data: Any) -> Packet | None:
        """Give the packet that is complete with what arrived, or None while attachments are due."""
        awaited = self._incomplete.get(eio_sid)
        if isinstance(data, bytes):
            if awaited is None:
                raise ProtocolError("a binary frame where none is due")
            if not awaited.add_attachment(data):
                return None
            del self._incomplete[eio_sid]
            return awaited
        if awaited is not None:
            raise ProtocolError("text where a binary attachment is due")
        if not isinstance(data, str):
            raise ProtocolError("a message that is no Socket.IO packet")
        packet = Packet(encoded_packet=data)
        if not packet.attachment_count:
            return packet
        self._incomplete[eio_sid] = packet
        return None

    def _on_connect(self, eio_sid: str, packet: Packet) -> None:
        namespace = packet.namespace or "/"
        if namespace not in self._table and ANY not in self._open_namespaces and namespace not in self._open_namespaces:
            logger.info("refused %s (%s): there is no such namespace", namespace, self._address(eio_sid))
            self._send(eio_sid, Packet(CONNECT_ERROR, {"message": "Invalid namespace"}, namespace))
            return
        joined = self._by_session.get(eio_sid)
        if joined is None:
            return  # the session ended a moment ago
        sid = None if namespace in joined else self._manager.pre_connect(eio_sid, namespace)
        if sid is None:
            raise ProtocolError(f"a second CONNECT to the namespace {namespace!r}")
        client = Client(sid, eio_sid, namespace, self._environs[eio_sid], Mailbox(self._pool))
        self._by_sid[sid] = joined[namespace] = client
        client.mailbox.put(partial(self._connect, client, packet.data))

    def _on_disconnect(self, eio_sid: str, packet: Packet) -> None:
        client = self._joined(eio_sid, packet)
        if client is not None:
            self._leave(client, LEFT_NAMESPACE)

    def _on_event(self, eio_sid: str, packet: Packet) -> None:
        client = self._joined(eio_sid, packet)
        if client is None or not client.accepted:
            raise ProtocolError(f"an event for the namespace {packet.namespace!r}, which is not joined")
        event = str(packet.data[0])
        found = self._table.find(event, client.namespace, (client.sid, *packet.data[1:]))
        if found is None:
            dispatch.logger.info("nobody handles %s", client.origin(event))
            self._ack_error(client, packet.id, "unknown_event", f"Unknown event: {event}")
            return
        handler, arguments = found
        if not handler.takes(len(arguments)):
            dispatch.logger.info("a wrong number of arguments came with %s", client.origin(event))
            self._ack_error(client, packet.id, "wrong_arguments", f"Wrong number of arguments for {event}")
            return
        job = partial(self._handle, client, handler, arguments, event, packet.id)
        if handler.concurrent:
            self._pool.submit(job)
        else:
            client.mailbox.put(job)

    def _on_ack(self, eio_sid: str, packet: Packet) -> None:
        client = self._joined(eio_sid, packet)
        if client is not None:
            self._manager.trigger_callback(client.sid, packet.id, packet.data)

    def _joined(self, eio_sid: str, packet: Packet) -> Client | None:
        client = self._by_session.get(eio_sid, {}).get(packet.namespace or "/")
        return client if client is not None and client.left is None else None

    # Joining

    def _connect(self, client: Client, auth: Any) -> None:
        """Ask the connect handler, and accept or refuse the client. Source: wire rules C1 to C6."""
        refusal = self._ask(client, auth)
        if refusal is None:
            self._accept(client)
            return
        logger.info("refused %s: %s", client, refusal["message"])
        self._send(client.eio_sid, Packet(CONNECT_ERROR, refusal, client.namespace))
        self._forget(client)

    def _ask(self, client: Client, auth: Any) -> dict[str, Any] | None:
        """Run the connect handler; None if it lets the client in, else what the client is told."""
        try:
            answer = self._call(client, "connect", auth)
        except socketio.exceptions.ConnectionRefusedError as refused:
            return _refusal(refused.error_args)
        except ConnectionRefusedError as refused:
            return {"message": str(refused) or "Connection refused by server"}
        except EventError as refused:
            return {"message": refused.message, "data": {"code": refused.code}}
        except HandlerFailedError:
            return {"message": "Internal server error"}
        return {"message": "Connection rejected by server"} if answer is False else None

    def _call(self, client: Client, event: str, detail: Any) -> Any:
        """Run the handler of a life event; it takes the detail (auth, or the reason) if it has a place for it."""
        given = (client.sid, client.environ, detail) if event == "connect" else (client.sid, detail)
        found = self._table.find(event, client.namespace, given)
        if found is None:
            return None
        handler, arguments = found
        if not handler.takes(len(arguments)):
            arguments = arguments[:-1]
        marked = None if client.accepted else client.sid
        return dispatch.run(partial(_mark, marked, handler.function), arguments, client.origin(event), REFUSALS)

    def _accept(self, client: Client) -> None:
        with client.lock:
            client.accepted = True
            if client.left is None:
                self._manager.connect(client.sid, client.namespace)
                self._send(client.eio_sid, Packet(CONNECT, {"sid": client.sid}, client.namespace))
                for each in client.held:
                    self._engine.send_packets(client.eio_sid, each)
            client.held.clear()
        logger.info("connected %s", client)
        if client.left is not None:  # it went while its connect handler ran
            self._say_goodbye(client)

    def deliver(self, sid: str, packets: list[Any], *, is_direct: bool) -> None:
        """
        Send an emit's packets to one client of this process.

        While the connect handler runs, what it emits, and what is addressed to this client alone, is held until the
        client was told that it is connected; anything else is not for it yet (wire rules C1 and C4).
        """
        client = self._by_sid.get(sid)
        if client is None or client.left is not None:
            return
        if not client.accepted:
            with client.lock:
                if not client.accepted:
                    if is_direct or _connecting.get() == sid:
                        client.held.append(packets)
                    return
        self._engine.send_packets(client.eio_sid, packets)

    # Leaving

    def disconnect(self, client: Client, reason: str) -> None:
        """Take a client out of its namespace, and tell it."""
        if client.left is None:
            if client.accepted:
                self._send(client.eio_sid, Packet(DISCONNECT, namespace=client.namespace))
            self._leave(client, reason)

    def _leave(self, client: Client, reason: str) -> None:
        """From now on nothing is sent to the client; its disconnect handler runs, once, if it had been accepted."""
        with client.lock:
            if client.left is not None:
                return
            client.left = reason
            if not client.accepted:
                return  # `_connect` is still at it, and sees to the rest
        self._manager.pre_disconnect(client.sid, client.namespace)
        goodbye = _Once(partial(self._say_goodbye, client))
        if client.mailbox.put(goodbye):
            runtime.spawn_after(DISCONNECT_PATIENCE, goodbye)

    def _say_goodbye(self, client: Client) -> None:
        logger.info("disconnected %s: %s", client, client.left)
        try:
            with suppress(HandlerFailedError, *REFUSALS):  # logged already; nobody is left to be told
                self._call(client, "disconnect", client.left)
        finally:
            self._forget(client)

    def _forget(self, client: Client) -> None:
        self._manager.basic_disconnect(client.sid, client.namespace)
        self._by_sid.pop(client.sid, None)
        joined = self._by_session.get(client.eio_sid, {})
        if joined.get(client.namespace) is client:
            del joined[client.namespace]

    # Handling and answering

    def _handle(
        self, client: Client, handler: Handler, arguments: tuple[Any, ...], event: str, number: int | None
    ) -> None:
        """Run an event's handler and send what it returns as the acknowledgement. Source: wire rules P4 and P6."""
        origin = client.origin(event)
        try:
            answer = dispatch.run(handler.function, arguments, origin)
        except EventError as error:
            self._ack_error(client, number, error.code, error.message)
        except HandlerFailedError:
            self._ack_error(client, number, *FAILED)
        else:
            if answer is not NO_ACK and number is not None:
                self._answer(client, number, answer, origin)

    def _answer(self, client: Client, number: int, answer: Any, origin: Origin) -> None:
        values = [] if answer is None else list(answer) if isinstance(answer, tuple) else [answer]
        try:
            self._send(client.eio_sid, Packet(ACK, values, client.namespace, number))
        except (TypeError, ValueError) as error:  # the handler returned what has no JSON form
            dispatch.report(origin, error)
            self._ack_error(client, number, *FAILED)

    def _ack_error(self, client: Client, number: int | None, code: str, message: str) -> None:
        if number is not None and self._ack_errors:
            error = {"error": {"code": code, "message": message}}
            self._send(client.eio_sid, Packet(ACK, [error], client.namespace, number))

    def acknowledged(self, callback: Callable[..., Any], data: list[Any], sid: str) -> None:
        """
        Call what was given to `emit(callback=...)` with the values of an acknowledgement.

        It gets a greenlet of its own: the pool may be full of handlers that wait for just this.
        """
        client = self._by_sid.get(sid)
        origin = client.origin("acknowledgement") if client is not None else Origin("acknowledgement", "?", sid)
        runtime.spawn(_quietly, callback, tuple(data), origin)

    def _send(self, eio_sid: str, packet: Packet) -> None:
        self._engine.send_packets(eio_sid, frames(packet))

    def _address(self, eio_sid: str) -> str:
        return str(self._environs.get(eio_sid, {}).get("REMOTE_ADDR") or "local")


_ARRIVALS: Final[dict[int, Callable[[Clients, str, Packet], None]]] = {
    CONNECT: Clients._on_connect,
    DISCONNECT: Clients._on_disconnect,
    EVENT: Clients._on_event,
    ACK: Clients._on_ack,
}


class _Once:
    """A job that may be started from two places and runs from the first."""

    def __init__(self, job: Callable[[], object]) -> None:
        self._jobs = [job]

    def __call__(self) -> None:
        try:
            job = self._jobs.pop()
        except IndexError:
            return
        job()


def _mark(connecting: str | None, function: Callable[..., Any], *arguments: Any) -> Any:
    _connecting.set(connecting)
    return function(*arguments)


def _refusal(error_args: Any) -> dict[str, Any]:
    """Give python-socketio's refusal as an object with a message, which is all that the official client reads."""
    return error_args if isinstance(error_args, dict) and "message" in error_args else {"message": str(error_args)}


def _quietly(function: Callable[..., Any], arguments: tuple[Any, ...], origin: Origin) -> None:
    with suppress(HandlerFailedError, EventError):  # logged already
        dispatch.run(function, arguments, origin)
