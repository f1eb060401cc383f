"""
The clients of this process: what they send, and their life in a namespace from CONNECT to the disconnect handler.

One `Client` is kept for each client in each namespace that it joined. What arrives goes packet by packet through
`Clients.received`; a packet that breaks a rule closes the whole connection. Handlers run through `dtws_sio.dispatch`.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from io import BytesIO
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import socketio
import socketio.exceptions
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError

from dtws_sio import conf, dispatch, identity, permissions, runtime, security
from dtws_sio.client import Client
from dtws_sio.csrf import check_csrf, without_token
from dtws_sio.deadlines import Deadlines
from dtws_sio.dispatch import ANY, NO_ACK, Deferred, Handler, HandlerFailedError, HandlerTable, Origin
from dtws_sio.engine.answers import Refusal
from dtws_sio.exceptions import (
    EventError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    TooManyConnectionsError,
)
from dtws_sio.limits import Bucket, Caller, Refusals, too_often
from dtws_sio.manager import Manager, connecting, outgoing
from dtws_sio.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet, read_event
from dtws_sio.pool import Load
from dtws_sio.revocation import Revocation
from dtws_sio.security import SparingLog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from dtws_sio.attendance import Attendance
    from dtws_sio.engine import Server, StockServer
    from dtws_sio.limits import Connections, Lease, Rate, RateLimit, RateStore
    from dtws_sio.pool import Mailbox, Pool
    from dtws_sio.surroundings import Surroundings

logger = logging.getLogger("dtws_sio.clients")

DISCONNECT_PATIENCE: Final = 1.0
"""Seconds that a disconnect handler waits for events of its client that came before it; then it runs beside them."""

ANSWERS: Final = (EventError, PermissionDenied)
"""What a handler raises to answer an event with an error: ours, or Django's."""

REFUSALS: Final = (socketio.exceptions.ConnectionRefusedError, ConnectionRefusedError, *ANSWERS)
"""What refuses a client when its connect handler raises it: python-socketio's error, Python's, or an answer."""

LEFT_NAMESPACE: Final = "client namespace disconnect"
"""Reason: the client left this namespace; its connection may live on (wire rule H3)."""

FAILED: Final = ("handler_failed", "Internal server error")
"""Code and message of the error that answers an event whose handler raised; what it raised is for the log only."""

_NO_BODY: Final = BytesIO()

_NO_LEASES: Final[dict[str, Lease]] = {}
"""Shared by all strangers, who are most."""

MAILBOX_EVENTS: Final = 1000
"""Events of one connection that may wait or run; with more, it is not read until all of them are done."""


MOST_NAMESPACES: Final = 100
"""Namespaces that one connection may be in at once; where any may be joined, a client could make up no end of them."""


class _Carrier:
    """An Engine.IO session, as what carries a client in each namespace that it joined."""

    __slots__ = ("bucket", "clients", "environ", "incomplete", "lease", "leases", "load", "unsettled")

    def __init__(self, environ: dict[str, Any], load: Load, bucket: Bucket | None, lease: Lease) -> None:
        self.environ = environ
        self.load = load
        self.bucket = bucket
        self.lease = lease
        self.leases: dict[str, Lease] = _NO_LEASES
        self.unsettled: dict[str, Mailbox] = {}
        self.clients: dict[str, Client] = {}
        self.incomplete: Packet | None = None

    @property
    def address(self) -> str:
        return str(self.environ.get("REMOTE_ADDR") or "local")


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
        mailbox_bytes: Bytes that the events of one connection may hold, likewise.
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
        self._ack_errors = ack_errors
        self._authenticators = authenticators
        self._connections = connections
        self._rates = rates
        self._event_rate = event_rate
        self._surroundings_of = surroundings_of
        self.refusals = Refusals()
        self.revocation = Revocation(close=self._revoke, recheck=self._recheck, sweep_seconds=rights_sweep)
        self._carriers: dict[str, _Carrier] = {}
        self._mailbox_bytes = mailbox_bytes
        self._denials = SparingLog()
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
                "429 Too Many Requests", 4, error.message, [("Retry-After", str(max(1, ceil(error.wait))))]
            ) from error
        pause, resume = partial(self._engine.pause, eio_sid), partial(self._engine.resume, eio_sid)
        load = Load(MAILBOX_EVENTS, self._mailbox_bytes, pause, resume)
        bucket = None if self._event_rate is None else Bucket(self._event_rate)
        self._carriers[eio_sid] = _Carrier(_kept(environ), load, bucket, lease)
        self._idle.add(eio_sid)

    def closed(self, eio_sid: str, reason: str) -> None:
        """Take everything out that a session carried; it has ended."""
        carrier = self._carriers.pop(eio_sid, None)
        if carrier is not None:
            for client in list(carrier.clients.values()):
                self._leave(client, reason)
            for lease in (carrier.lease, *carrier.leases.values()):
                lease.release()

    def received(self, eio_sid: str, data: Any) -> None:
        """Take in one Engine.IO message: a packet, or one of its attachments."""
        carrier = self._carriers.get(eio_sid)
        if carrier is None:
            return
        try:
            if type(data) is str and data.startswith("2[") and carrier.incomplete is None:
                # An event of "/" that wants no acknowledgement: most packets are such.
                self._event(carrier, "/", read_event(data[1:]), None, len(data))
                return
            packet = self._completed(carrier, data)
            if packet is not None:
                _ARRIVALS[packet.packet_type](self, carrier, eio_sid, packet)
        except ProtocolError as error:
            _later(logger, logging.WARNING, "closed the connection of %s: %s", carrier.address, error)
            self._engine.close(eio_sid, self._engine.reason.PARSE_ERROR)

    def _completed(self, carrier: _Carrier, data: Any) -> Packet | None:
        """Give the packet that is complete with what arrived, or None while attachments are due."""
        awaited = carrier.incomplete
        if awaited is None:
            if type(data) is not str:
                raise ProtocolError("a binary frame where none is due, or a message that is no packet")
            packet = Packet(encoded_packet=data)
            if not packet.attachment_count:
                return packet
            carrier.incomplete = packet
            return None
        if not isinstance(data, bytes):
            raise ProtocolError("text where a binary attachment is due")
        is_complete = awaited.add_attachment(data)
        if awaited.size > self._mailbox_bytes:
            raise ProtocolError(f"a packet and its attachments of more than {self._mailbox_bytes} bytes together")
        if not is_complete:
            return None
        carrier.incomplete = None
        return awaited

    def _close_idle(self, eio_sid: str, when: float) -> None:
        carrier = self._carriers.get(eio_sid)
        if carrier is not None and not carrier.clients:
            self._engine.close(eio_sid, self._engine.reason.TRANSPORT_CLOSE)

    # What arrives

    def _on_connect(self, carrier: _Carrier, eio_sid: str, packet: Packet) -> None:
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
            _later(logger, logging.INFO, "refused %s (%s): it is in too many namespaces", namespace, carrier.address)
            self._send(eio_sid, CONNECT_ERROR, namespace, {"message": "Too many namespaces"})
            return
        # Whoever leaves and comes again before it was let in waits for its own turn: one handler at once, not many.
        mailbox = carrier.unsettled.setdefault(namespace, self._pool.mailbox())
        client = Client(
            self._engine.generate_id(),
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

    def _on_disconnect(self, carrier: _Carrier, eio_sid: str, packet: Packet) -> None:
        client = carrier.clients.get(packet.namespace or "/")
        if client is not None:
            self._leave(client, LEFT_NAMESPACE)

    def _on_event(self, carrier: _Carrier, eio_sid: str, packet: Packet) -> None:
        self._event(carrier, packet.namespace or "/", packet.data, packet.id, packet.size)

    def _event(self, carrier: _Carrier, namespace: str, payload: list[Any], number: int | None, size: int) -> None:
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
            self._ack_error(client, number, "unknown_event", f"Unknown event: {event}")
            return
        handler, arguments = found
        if not handler.takes(len(arguments)):
            _later(dispatch.logger, logging.INFO, "a wrong number of arguments came with %s", client.origin(event))
            self._ack_error(client, number, "wrong_arguments", f"Wrong number of arguments for {event}")
            return
        carrier.load.add(size)
        job = partial(self._handle, client, handler, arguments, event, number, size)
        if handler.concurrent and client.accepted:
            self._pool.submit(job)
        else:
            client.mailbox.put(job)

    def _refuse_event(self, client: Client, carrier: _Carrier, event: str, number: int | None, wait: float) -> None:
        assert self._event_rate is not None  # noqa: S101
        error = too_often(self._event_rate, wait)
        if self.refusals.add(error.code):
            message = "dropped %s: more events than DTWS_SIO['MAX_EVENTS'] (%s) allows"
            _later(security.logger, logging.WARNING, message, client.origin(event), self._event_rate)
        self._ack(client, number, error.answer)

    def _on_ack(self, carrier: _Carrier, eio_sid: str, packet: Packet) -> None:
        client = carrier.clients.get(packet.namespace or "/")
        if client is not None:
            self._manager.trigger_callback(client.sid, packet.id, packet.data)

    # Joining

    def _connect(self, client: Client, carrier: _Carrier, auth: Any, size: int) -> None:
        """Ask the connect handler, and accept or refuse the client. Source: wire rules C1 to C6."""
        try:
            if client.left is not None:
                self._forget(client)  # it left before its turn came
            elif (refusal := self._ask(client, auth)) is None:
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

    def _ask(self, client: Client, auth: Any) -> dict[str, Any] | None:
        """Find out who a client is, and ask guards and connect handler; None lets it in, else what it is told."""
        try:
            answer = self._call(client, "connect", auth)
        except socketio.exceptions.ConnectionRefusedError as refused:
            return _refusal(refused.error_args)
        except ConnectionRefusedError as refused:
            return {"message": str(refused) or "Connection refused by server"}
        except ANSWERS as refused:
            error = _as_event_error(refused)
            self.tell_denial(client.origin("connect"), error)
            return {"message": error.message, "data": {"code": error.code, **error.details}}
        except HandlerFailedError:
            return {"message": "Internal server error"}
        return {"message": "Connection rejected by server"} if answer is False else None

    def _call(self, client: Client, event: str, detail: Any) -> Any:
        """Run the handler of a life event, and before that of a connect what decides whether it is asked at all."""
        function = self._welcome if event == "connect" else self._handle_life_event
        return dispatch.run(
            function, (client, event, detail), partial(client.origin, event), REFUSALS, client.surroundings
        )

    def _welcome(self, client: Client, event: str, auth: Any) -> Any:
        connecting.set(client.sid)
        if conf.settings().csrf:
            check_csrf(client.environ, auth)
            auth = without_token(auth)
        terms = self._table.terms(client.namespace)
        request = client.request()
        authenticators = self._authenticators if terms.authenticators is None else terms.authenticators
        client.identity = request.identity = identity.recognise(request, auth, authenticators)
        self._count_identity(client)
        permissions.check(self._table.guards_of_connect(client.namespace), request, (auth,))
        if client.identity is not None:
            client.topics = frozenset(identity.topics_of(request))
            client.rooms |= client.topics
        client.surroundings = self._surroundings_of(request)
        if client.surroundings is None:
            return self._handle_life_event(client, event, auth)
        return client.surroundings.run(self._handle_life_event, client, event, auth)

    def _count_identity(self, client: Client) -> None:
        """Count a connection to its session and user. Raises TooManyConnectionsError if they have too many."""
        carrier = self._carriers.get(client.eio_sid)
        if carrier is None or client.identity is None:
            return
        for topic, admit in zip(
            (client.identity.session_topic, client.identity.user_topic),
            (self._connections.admit_session, self._connections.admit_user),
            strict=True,
        ):
            if topic is not None and topic not in carrier.leases:
                carrier.leases = {**carrier.leases, topic: admit(topic)}

    def _handle_life_event(self, client: Client, event: str, detail: Any) -> Any:
        """Call the handler, if there is one; it gets the detail (auth, or the reason) if it has a place for it."""
        given = (client.sid, client.environ, detail) if event == "connect" else (client.sid, detail)
        found = self._table.find(event, client.namespace, given)
        if found is None:
            return None
        handler, arguments = found
        if not handler.takes(len(arguments)):
            arguments = arguments[:-1]
        elif handler.converter is not None:
            arguments = handler.converter(arguments)
        self.check_limits(client, handler.limits, handler.place)
        return handler.function(*arguments)

    def _accept(self, client: Client) -> None:
        if client.left in (None, self._engine.reason.SERVER_DISCONNECT):
            welcome = outgoing(CONNECT, client.namespace, {"sid": client.sid})
            client.accept(welcome, partial(self._engine.flush, client.eio_sid))
        else:
            client.accepted = True  # it went by itself, and is not told what it missed
        if client.left is None:
            self._manager.accept(client)
            self._watch_rights(client)
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

    def _say_goodbye(self, client: Client) -> None:
        client.is_gone = True
        logger.info("disconnected %s: %s", client, client.left)
        try:
            with suppress(HandlerFailedError, *REFUSALS):  # logged already; nobody is left to be told
                self._call(client, "disconnect", client.left)
            self._quietly(self._attendance.gone, client)
        finally:
            self._forget(client)

    def _forget(self, client: Client) -> None:
        self._manager.withdraw(client)
        self._manager.forget(client)
        carrier = self._carriers.get(client.eio_sid)
        if carrier is not None and carrier.clients.get(client.namespace) is client:
            del carrier.clients[client.namespace]

    def _quietly(self, function: Callable[[Client], object], client: Client, event: str = "presence") -> None:
        """Do what follows from a client's coming or going, such as entering it on the rolls; log what is raised."""
        with suppress(HandlerFailedError, *ANSWERS):
            dispatch.run(function, (client,), partial(client.origin, event), ANSWERS, client.surroundings)

    # Rights that end

    def _watch_rights(self, client: Client) -> None:
        """Have a client watched, unless it is a stranger where anybody may be anywhere."""
        has_rules = (
            self._table.terms(client.namespace).may_enter_room is not None
            or self._table.guards_of_connect(client.namespace) != ()
        )
        if has_rules or not client.is_stranger:
            self.revocation.enrol(client)

    def _revoke(self, client: Client, why: str) -> None:
        """End the connection of a client that may not be here any more."""
        security.logger.warning("closed %s: %s", client, why)
        self._engine.close(client.eio_sid, self._engine.reason.RIGHTS_REVOKED)

    def _recheck(self, client: Client, request: identity.HandshakeRequest) -> None:
        """
        Close a client that may not be here any more; take it out of rooms where it may not be.

        Nobody profits from a condition or a rule that fails: the client is closed, and asked again when it comes back.

        Raises:
            OperationalError, InterfaceError: If the database does not answer; the client stays as it is.
        """
        look = self._look_again if client.surroundings is None else partial(client.surroundings.run, self._look_again)
        try:
            copy_context().run(look, client, request)
        except (OperationalError, InterfaceError):
            raise
        except ANSWERS as denial:
            self._revoke(client, f"it does not pass any more ({_as_event_error(denial).code})")
        except Exception as error:
            dispatch.report(client.origin("rights"), error)
            self._revoke(client, "whether it may stay cannot be told")

    def _look_again(self, client: Client, request: identity.HandshakeRequest) -> None:
        client.looks += 1
        if not client.is_stranger and not request.user.is_authenticated:
            self._revoke(client, "its proof of who it is does not hold any more")
            return
        guards = [guard for guard in self._table.guards_of_connect(client.namespace) if not guard.needs_data]
        permissions.check(guards, request)
        terms = self._table.terms(client.namespace)
        terms.recheck(client.sid, request)
        now = frozenset(identity.topics_of(request))
        if not client.is_here:
            return
        before, client.topics = client.topics, now
        for room in before - now:
            self._manager.leave_room(client.sid, client.namespace, room)
        for room in now - before:
            self._manager.enter_room(client.sid, client.namespace, room)
        rule = terms.may_enter_room
        if rule is None:
            return
        for room in client.ruled_rooms:
            if not rule(request, room):
                self._remove(client, room)

    def _remove(self, client: Client, room: Any) -> None:
        """Take a client out of a room in which it may not be any more, and have the namespace tell it."""
        security.logger.warning("took %s out of the room %r, where it may not be any more", client, room)
        self._manager.leave_room(client.sid, client.namespace, room)
        self._attendance.left(client, room)
        told = self._table.terms(client.namespace).removed_from_room
        if told is not None:
            self._quietly(lambda client: told(client.sid, room), client, "removed_from_room")

    # Handling and answering

    def _handle(
        self, client: Client, handler: Handler, arguments: tuple[Any, ...], event: str, number: int | None, size: int
    ) -> None:
        """
        Run an event's handler and send what it returns as the acknowledgement.

        An event that came while the connect handler ran waited for it, and is dropped if the client was refused. So is
        one that still waits when the disconnect handler has begun: that one is the last.

        Source: wire rules C5, P4 and P6.
        """
        try:
            if client.is_gone or not client.accepted:
                dispatch.logger.info("dropped %s, which is gone", client.origin(event))
                return
            function = handler.function
            if not handler.is_plain or client.namespace in self._table.guarded:
                function = partial(self._checked, client, handler)
            self._settle(client, function, arguments, event, number)
        finally:
            client.load.done(size)

    def _settle(
        self,
        client: Client,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        event: str,
        number: int | None,
    ) -> None:
        """Run what gives an acknowledgement, and send it; what is still to come is waited for beside other events."""
        try:
            answer = dispatch.run(function, arguments, partial(client.origin, event), ANSWERS, client.surroundings)
        except ANSWERS as raised:
            error = _as_event_error(raised)
            self.tell_denial(client.origin(event), error)
            self._ack(client, number, error.answer)
        except HandlerFailedError:
            self._ack_error(client, number, *FAILED)
        else:
            if answer is NO_ACK or number is None:
                return
            if isinstance(answer, Deferred):
                runtime.spawn(self._settle, client, answer.wait, (), event, number)
            else:
                self._answer(client, number, answer, event)

    def tell_denial(self, origin: Origin, error: EventError) -> None:
        """Count what was refused, and log it if it is a matter of rights or limits."""
        if isinstance(error, PermissionDeniedError):
            self.refusals.add(error.code)
            self._denials.write(f"denied {origin}: {error.code}")
        elif isinstance(error, (RateLimitedError, TooManyConnectionsError)) and self.refusals.add(error.code):
            security.logger.warning("refused %s: %s", origin, getattr(error, "reason", error.message))

    def _checked(self, client: Client, handler: Handler, *arguments: Any) -> Any:
        """Call a handler, if it is not called too often, its guards let the client pass and the data is valid."""
        self.check_limits(client, handler.limits, handler.place)
        guards = (*self._table.terms(client.namespace).guards, *handler.guards)
        if guards:
            permissions.check(guards, client.request(), arguments[handler.leading :])
        return handler.function(*(arguments if handler.converter is None else handler.converter(arguments)))

    def check_limits(self, client: Client, limits: Sequence[RateLimit], place: tuple[str, str]) -> None:
        """Count a call of what has a place, an event and a namespace. Raises RateLimitedError if it is one too many."""
        if limits:
            caller = Caller(client.sid, self._connections.address_of(client.environ), partial(_user_key, client))
            for limit in limits:
                limit.check(caller, *place, self._rates)

    def _answer(self, client: Client, number: int, answer: Any, event: str) -> None:
        values = [] if answer is None else list(answer) if isinstance(answer, tuple) else [answer]
        try:
            client.send(outgoing(ACK, client.namespace, values, number), False)
        except (TypeError, ValueError) as error:  # the handler returned what has no JSON form
            dispatch.report(client.origin(event), error)
            self._ack_error(client, number, *FAILED)

    def _ack_error(self, client: Client, number: int | None, code: str, message: str) -> None:
        self._ack(client, number, {"code": code, "message": message})

    def _ack(self, client: Client, number: int | None, error: dict[str, Any]) -> None:
        if number is not None and self._ack_errors:
            client.send(outgoing(ACK, client.namespace, [{"error": error}], number), False)

    def acknowledged(self, callback: Callable[..., Any], data: list[Any], sid: str) -> None:
        """
        Call what was given to `emit(callback=...)` with the values of an acknowledgement.

        It gets a greenlet of its own: the pool may be full of handlers that wait for just this.
        """
        runtime.spawn(_quietly, callback, tuple(data), sid)

    def _send(self, eio_sid: str, kind: int, namespace: str, data: Any = None, number: int | None = None) -> None:
        self._engine.deliver(eio_sid, outgoing(kind, namespace, data, number))


_ARRIVALS: Final[dict[int, Callable[[Clients, _Carrier, str, Packet], None]]] = {
    CONNECT: Clients._on_connect,
    DISCONNECT: Clients._on_disconnect,
    EVENT: Clients._on_event,
    ACK: Clients._on_ack,
}


def _kept(environ: dict[str, Any]) -> dict[str, Any]:
    """Give what handlers may want of a handshake; the rest would keep the request's buffers alive with the client."""
    kept = {name: value for name, value in environ.items() if isinstance(value, str)}
    return {**kept, "wsgi.input": _NO_BODY, "wsgi.errors": sys.stderr}


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


def _as_event_error(error: Exception) -> EventError:
    """Give Django's PermissionDenied the form of ours."""
    if isinstance(error, EventError):
        return error
    return PermissionDeniedError(str(error)) if str(error) else PermissionDeniedError()


def _user_key(client: Client) -> str | None:
    """Give the key of a client's user as it is now, or None for a stranger."""
    user = client.request().user
    return identity.user_key_of(user) if user.is_authenticated else None


def _refusal(error_args: Any) -> dict[str, Any]:
    """Give python-socketio's refusal as an object with a message, which is all that the official client reads."""
    return error_args if isinstance(error_args, dict) and "message" in error_args else {"message": str(error_args)}


def _quietly(callback: Callable[..., Any], arguments: tuple[Any, ...], sid: str) -> None:
    with suppress(HandlerFailedError, EventError):  # logged already
        dispatch.run(callback, arguments, lambda: Origin("acknowledgement", "", sid))
