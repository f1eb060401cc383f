"""
The clients of this process: what they send, and their life in a namespace from CONNECT to the disconnect handler.

One `Client` is kept for each client in each namespace that it joined. What arrives goes packet by packet through
`Clients.received`; a packet that breaks a rule closes the whole connection. Handlers run through `dtws_sio.dispatch`.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from dtws_sio import dispatch, identity, runtime, security, sids
from dtws_sio.admission import REFUSALS, Admission
from dtws_sio.answering import Answering
from dtws_sio.carrier import Carrier
from dtws_sio.client import Client
from dtws_sio.deadlines import Deadlines
from dtws_sio.dispatch import ANSWERS, ANY, HandlerFailedError, HandlerTable
from dtws_sio.engine.answers import PAYLOAD_TOO_LARGE, Refusal
from dtws_sio.exceptions import OversizedPacketError, ProtocolError, TooManyConnectionsError
from dtws_sio.limits import Bucket, Refusals, too_often
from dtws_sio.manager import Manager, outgoing
from dtws_sio.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet, read_event
from dtws_sio.pool import Load
from dtws_sio.revocation import Revocation
from dtws_sio.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from dtws_sio.attendance import Attendance
    from dtws_sio.engine import Server, StockServer
    from dtws_sio.limits import Connections, Rate, RateStore
    from dtws_sio.pool import Pool
    from dtws_sio.surroundings import Surroundings

logger = logging.getLogger("dtws_sio.clients")

DISCONNECT_PATIENCE: Final = 1.0
"""Seconds that a disconnect handler waits for events of its client that came before it; then it runs beside them."""

LEFT_NAMESPACE: Final = "client namespace disconnect"
"""Reason: the client left this namespace; its connection may live on (wire rule H3)."""

MAILBOX_EVENTS: Final = 1000
"""Events of one connection that may wait or run; with more, it is not read until all of them are done."""

CONCURRENT_PART: Final = 4
"""The part of the handler pool that the `@concurrent` handlers of one connection may take; two places at least."""

MOST_NAMESPACES: Final = 100
"""Namespaces that one connection may be in at once; where any may be joined, a client could make up no end of them."""

TOO_MANY_NAMESPACES: Final = {"code": "too_many_namespaces"}


class Clients:
    """
    Everybody who is connected to this process.

    Args:
        table: The handlers.
        engine: The Engine.IO server that carries the packets.
        manager: Who is in which room.
        attendance: Who is present, for all processes.
        pool: Runs the handlers.
        open_namespaces: Namespaces that may be joined although they have no handler; "*" for all.
        ack_errors: The setting ACK_ERRORS.
        authenticators: What recognises clients, in namespaces that have none of their own.
        connections: Bounds how many there are.
        rates: Keeps the buckets of handlers that bound how often they are called.
        event_rate: How many events one connection may send, or None.
        surroundings_of: Gives the language and time zone of a client's request, or None for the project's own.
        mailbox_bytes: Bytes that the events of one connection may hold until they are done.
        rights_sweep: Seconds between two looks at everybody's rights.
        connect_timeout: Seconds in which a session has to join a namespace (wire rule H4).
    """

    def __init__(
        self,
        *,
        table: HandlerTable,
        engine: Server | StockServer,
        manager: Manager,
        attendance: Attendance,
        pool: Pool,
        open_namespaces: Collection[str],
        ack_errors: bool,
        authenticators: Sequence[identity.Authenticator],
        connections: Connections,
        rates: RateStore,
        event_rate: Rate | None,
        surroundings_of: Callable[[identity.HandshakeRequest], Surroundings | None],
        rights_sweep: float,
        connect_timeout: float,
        mailbox_bytes: int,
    ) -> None:
        self._table = table
        self._engine = engine
        self._manager = manager
        self._attendance = attendance
        self._pool = pool
        self._open_namespaces = open_namespaces
        self._connections = connections
        self._event_rate = event_rate
        self.refusals = Refusals()
        self.answering = Answering(
            table, ack_errors=ack_errors, connections=connections, rates=rates, refusals=self.refusals
        )
        self._admission = Admission(
            table,
            self.answering,
            authenticators=authenticators,
            connections=connections,
            surroundings_of=surroundings_of,
        )
        self._standing = Standing(table, manager, attendance, self._revoke)
        self.revocation = Revocation(self._standing, sweep_seconds=rights_sweep)
        self._carriers: dict[str, Carrier] = {}
        self._mailbox_bytes = mailbox_bytes
        self._idle = Deadlines(connect_timeout, self._close_idle)

    # Engine.IO sessions; these three are called where nothing may wait

    def opened(self, eio_sid: str, environ: dict[str, Any]) -> None:
        """
        Note that a session begins.

        Raises:
            Refusal: If its address has too many, or comes too often.
        """
        try:
            lease = self._connections.admit_address(environ)
        except TooManyConnectionsError as error:
            if self.refusals.add(error.code):
                security.logger.warning("refused a connection: %s", error.reason)
            raise Refusal(
                "429 Too Many Requests",
                4,
                error.message,
                [("Retry-After", str(max(1, ceil(error.wait))))],
                name=error.code,
            ) from error
        pause, resume = partial(self._engine.pause, eio_sid), partial(self._engine.resume, eio_sid)
        load = Load(MAILBOX_EVENTS, self._mailbox_bytes, pause, resume)
        bucket = None if self._event_rate is None else Bucket(self._event_rate)
        self._carriers[eio_sid] = Carrier(environ, load, bucket, lease)
        self._idle.add(eio_sid)

    def closed(self, eio_sid: str, reason: str) -> None:
        """Take everything out that a session carried; it has ended."""
        carrier = self._carriers.pop(eio_sid, None)
        if carrier is not None:
            for client in list(carrier.clients.values()):
                self._leave(client, reason)
            carrier.release()

    def received(self, eio_sid: str, data: Any) -> None:
        """Take in one Engine.IO message: a packet, or one of its attachments."""
        carrier = self._carriers.get(eio_sid)
        if carrier is None:
            return
        try:
            if type(data) is str and data.startswith("2[") and not carrier.awaits_attachments:
                # An event of "/" that wants no acknowledgement: most packets are such.
                self._event(carrier, "/", read_event(data[1:]), None, len(data))
                return
            packet = carrier.completed(data, self._mailbox_bytes)
            if packet is not None:
                _ARRIVALS[packet.packet_type](self, carrier, eio_sid, packet)
        except ProtocolError as error:
            if isinstance(error, OversizedPacketError):
                self.refusals.add(PAYLOAD_TOO_LARGE)
            _later(logger, logging.WARNING, "closed the connection of %s: %s", carrier.address, error)
            self._engine.close(eio_sid, self._engine.reason.PARSE_ERROR)

    def _close_idle(self, eio_sid: str, when: float) -> None:
        carrier = self._carriers.get(eio_sid)
        if carrier is not None and not carrier.clients:
            self._engine.close(eio_sid, self._engine.reason.TRANSPORT_CLOSE)

    # What arrives

    def _on_connect(self, carrier: Carrier, eio_sid: str, packet: Packet) -> None:
        namespace = packet.namespace or "/"
        if namespace not in self._table and ANY not in self._open_namespaces and namespace not in self._open_namespaces:
            _later(logger, logging.INFO, "refused %s (%s): there is no such namespace", namespace, carrier.address)
            self._send(eio_sid, CONNECT_ERROR, namespace, {"message": "Invalid namespace"})
            return
        present = carrier.clients.get(namespace)
        if present is not None:
            if present.accepted:
                raise ProtocolError(f"a second CONNECT to the namespace {namespace!r}")
            return  # a page that calls connect() twice means one connection
        if len(carrier.clients) >= MOST_NAMESPACES:
            self.refusals.add(TOO_MANY_NAMESPACES["code"])
            _later(logger, logging.INFO, "refused %s (%s): it is in too many namespaces", namespace, carrier.address)
            answer = {"message": "Too many namespaces", "data": TOO_MANY_NAMESPACES}
            self._send(eio_sid, CONNECT_ERROR, namespace, answer)
            return
        if not self._may_try(carrier, eio_sid, namespace):
            return
        # Whoever leaves and comes again before it was let in waits for its own turn: one handler at once, not many.
        mailbox = carrier.unsettled.setdefault(namespace, self._pool.mailbox())
        client = Client(
            sids.make(),
            eio_sid,
            namespace,
            carrier.environ,
            mailbox,
            carrier.load,
            self._engine.deliverer(eio_sid),
        )
        carrier.clients[namespace] = client
        self._manager.register(client)
        carrier.load.add(packet.size)
        mailbox.put(partial(self._connect, client, carrier, packet.data, packet.size))

    def _may_try(self, carrier: Carrier, eio_sid: str, namespace: str) -> bool:
        """
        Count an attempt to join as one to connect; the first to join a namespace that was registered is free.

        Otherwise one connection could try tokens as fast as it can send them.
        """
        is_named = self._table.is_registered(namespace) or namespace in self._open_namespaces
        if is_named and carrier.tries(namespace):
            return True
        try:
            self._connections.admit_again(carrier.environ, eio_sid)
        except TooManyConnectionsError as error:
            if self.refusals.add(error.code):
                _later(security.logger, logging.WARNING, "refused to let in again: %s", error.reason)
            answer = {"message": error.message, "data": {"code": error.code, **error.details}}
            self._send(eio_sid, CONNECT_ERROR, namespace, answer)
            return False
        return True

    def _on_disconnect(self, carrier: Carrier, eio_sid: str, packet: Packet) -> None:
        client = carrier.clients.get(packet.namespace or "/")
        if client is not None:
            self._leave(client, LEFT_NAMESPACE)

    def _on_event(self, carrier: Carrier, eio_sid: str, packet: Packet) -> None:
        self._event(carrier, packet.namespace or "/", packet.data, packet.id, packet.size)

    def _event(self, carrier: Carrier, namespace: str, payload: list[Any], number: int | None, size: int) -> None:
        """Have an event handled in its client's order; `number` is the id of the acknowledgement it wants, if any."""
        client = carrier.clients.get(namespace)
        if client is None or client.left is not None:
            raise ProtocolError(f"an event for the namespace {namespace!r}, which is not joined")
        event = str(payload[0])
        if carrier.bucket is not None and (wait := carrier.bucket.take(monotonic())):
            self._refuse_event(client, carrier, event, number, wait)
            return
        found = self._table.find(event, namespace, (client.sid, *payload[1:]))
        if found is None:
            _later(dispatch.logger, logging.INFO, "nobody handles %s", client.origin(event))
            self.answering.refuse(client, number, "unknown_event", f"Unknown event: {event}")
            return
        handler, arguments = found
        if not handler.takes(len(arguments)):
            _later(dispatch.logger, logging.INFO, "a wrong number of arguments came with %s", client.origin(event))
            error: dict[str, Any] = {"code": "wrong_arguments", "message": f"Wrong number of arguments for {event}"}
            if missing := handler.missing(len(arguments)):
                error["fields"] = {name: ["is missing"] for name in missing}
            self.answering.send_error(client, number, error)
            return
        carrier.load.add(size)
        job = partial(self.answering.handle, client, handler, arguments, event, number, size)
        if handler.concurrent and client.accepted:
            if carrier.beside is None:
                carrier.beside = self._pool.mailbox(max(2, self._pool.size // CONCURRENT_PART))
            carrier.beside.put(job)
        else:
            client.mailbox.put(job)

    def _refuse_event(self, client: Client, carrier: Carrier, event: str, number: int | None, wait: float) -> None:
        assert self._event_rate is not None  # noqa: S101
        error = too_often(self._event_rate, wait)
        if self.refusals.add(error.code):
            message = "dropped %s: more events than DTWS_SIO['MAX_EVENTS'] (%s) allows"
            _later(security.logger, logging.WARNING, message, client.origin(event), self._event_rate)
        self.answering.send_error(client, number, error.answer)

    def _on_ack(self, carrier: Carrier, eio_sid: str, packet: Packet) -> None:
        client = carrier.clients.get(packet.namespace or "/")
        if client is not None:
            self._manager.trigger_callback(client.sid, packet.id, packet.data)

    # Joining

    def _connect(self, client: Client, carrier: Carrier, auth: Any, size: int) -> None:
        """Ask the connect handler, and accept or refuse the client. Source: wire rules C1 to C6."""
        try:
            if client.left is not None:
                self._forget(client)  # it left before its turn came
            elif (refusal := self._admission.ask(client, carrier, auth)) is None:
                self._accept(client)
            else:
                self._refuse(client, refusal)
        finally:
            present = carrier.clients.get(client.namespace)
            if present in (None, client) and carrier.unsettled.get(client.namespace) is client.mailbox:
                del carrier.unsettled[client.namespace]
            carrier.load.done(size)

    def _refuse(self, client: Client, refusal: dict[str, Any]) -> None:
        logger.info("refused %s: %s", client, refusal["message"])
        self._forget(client)
        if client.left is None:
            try:
                self._send(client.eio_sid, CONNECT_ERROR, client.namespace, refusal)
            except (TypeError, ValueError) as error:  # it carries what has no JSON form
                dispatch.report(client.origin("connect"), error)
                self._send(client.eio_sid, CONNECT_ERROR, client.namespace, {"message": str(refusal["message"])})

    def _accept(self, client: Client) -> None:
        if client.left in (None, self._engine.reason.SERVER_DISCONNECT):
            welcome = outgoing(CONNECT, client.namespace, {"sid": client.sid})
            client.accept(welcome, partial(self._engine.flush, client.eio_sid))
        else:
            client.accepted = True  # it went by itself, and is not told what it missed
        if client.left is None:
            self._manager.accept(client)
            if client.identity is not None or self._standing.has_rules(client.namespace):
                self.revocation.enrol(client)
            self._quietly(self._attendance.joined, client)
            after_connect = self._table.terms(client.namespace).after_connect
            if after_connect is not None:
                self._quietly(lambda client: after_connect(client.sid), client, "connect")
        elif client.left_early and client.left == self._engine.reason.SERVER_DISCONNECT:
            self._send(client.eio_sid, DISCONNECT, client.namespace)
        logger.info("connected %s", client)
        if client.left_early:  # it went while its connect handler ran
            self._say_goodbye(client)

    # Leaving

    def disconnect(self, client: Client, reason: str) -> None:
        """Take a client out of its namespace, and tell it."""
        if client.left is None:
            if client.accepted:
                self._send(client.eio_sid, DISCONNECT, client.namespace)
            self._leave(client, reason)

    def _leave(self, client: Client, reason: str) -> None:
        """From now on nothing is sent to the client; its disconnect handler runs, once, if it had been accepted."""
        if not client.leave(reason):
            return
        carrier = self._carriers.get(client.eio_sid)
        if carrier is not None:
            carrier.clients.pop(client.namespace, None)
        if client.left_early:
            return  # `_connect` is still at it, and sees to the rest
        self._manager.withdraw(client)
        self.revocation.forget(client)
        goodbye = _Once(partial(self._say_goodbye, client))
        if client.mailbox.put(goodbye):
            runtime.call_later(DISCONNECT_PATIENCE, partial(self._pool.submit, goodbye))

    def _revoke(self, client: Client) -> None:
        self._engine.close(client.eio_sid, self._engine.reason.RIGHTS_REVOKED)

    def _say_goodbye(self, client: Client) -> None:
        client.is_gone = True
        logger.info("disconnected %s: %s", client, client.left)
        try:
            with suppress(HandlerFailedError, *REFUSALS):  # logged already; nobody is left to be told
                self._admission.say_goodbye(client)
            self._quietly(self._attendance.gone, client)
        finally:
            self._forget(client)

    def _forget(self, client: Client) -> None:
        self._manager.withdraw(client)
        self._manager.forget(client)
        self.revocation.forget(client)
        carrier = self._carriers.get(client.eio_sid)
        if carrier is not None and carrier.clients.get(client.namespace) is client:
            del carrier.clients[client.namespace]

    def _quietly(self, function: Callable[[Client], object], client: Client, event: str = "presence") -> None:
        """Do what follows from a client's coming or going, such as entering it on the rolls; log what is raised."""
        with suppress(HandlerFailedError, *ANSWERS):
            dispatch.run(function, (client,), partial(client.origin, event), ANSWERS, client.surroundings)

    def _send(self, eio_sid: str, kind: int, namespace: str, data: Any = None, number: int | None = None) -> None:
        self._engine.deliver(eio_sid, outgoing(kind, namespace, data, number))


_ARRIVALS: Final[dict[int, Callable[[Clients, Carrier, str, Packet], None]]] = {
    CONNECT: Clients._on_connect,
    DISCONNECT: Clients._on_disconnect,
    EVENT: Clients._on_event,
    ACK: Clients._on_ack,
}


def _later(log: logging.Logger, level: int, *arguments: Any) -> None:
    """Log on a greenlet of its own: a handler of the log may wait, and the hub must not."""
    if log.isEnabledFor(level):
        runtime.spawn(log.log, level, *arguments)


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
