"""
The Socket.IO server for Django, and `sio`, the one that a process has.

`sio` takes registrations from the moment it is imported. Clients come only after `start`, which the gunicorn worker,
`runsocketio` and the testing tools call; in any other process `sio` is a publisher to the message queue.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.db import transaction

from dtws_sio import conf, dispatch, engine, limits, manager, origins, runtime, topics
from dtws_sio.attendance import Attendance, Socket, tells
from dtws_sio.clients import LEFT_NAMESPACE, Clients
from dtws_sio.dispatch import namespace_path
from dtws_sio.engine.answers import Refusal
from dtws_sio.exceptions import (
    EmitError,
    EventNameError,
    NotServingError,
    PermissionDeniedError,
)
from dtws_sio.identity import owner_of
from dtws_sio.limits import Connections, Rate
from dtws_sio.packet import RESERVED_EVENTS, Packet
from dtws_sio.pool import make_pool
from dtws_sio.presence import Presence, rolls_for
from dtws_sio.registration import Registration
from dtws_sio.rights import Change, Signals
from dtws_sio.surroundings import surroundings

if TYPE_CHECKING:
    from dtws_sio.client import Client
    from dtws_sio.identity import Authenticator, HandshakeRequest
    from dtws_sio.pool import Pool
    from dtws_sio.presence import Rolls

    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter  # takes no parameters before Python 3.11

logger = logging.getLogger("dtws_sio.server")

F = TypeVar("F", bound=Callable[..., Any])


_SERVE: Final = (
    "Processes that serve Socket.IO clients are started by `manage.py runsocketio`, by gunicorn with "
    "dtws_sio.gunicorn.EventletWorker, or by sio.start()."
)


_OF_SERVING: Final = ("eio", "manager", "clients", "presence", "attendance", "environ")
"""Attributes that only a serving process has."""


class _UpstreamLogger(_LoggerAdapter):
    """python-socketio and python-engineio log every packet, payload and all, as INFO; here that is DEBUG."""

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)


class Server(Registration):
    """
    python-socketio's server, under Django's rules.

    Everything that `socketio.Server` documents keeps its meaning. What is different is named at each method.
    """

    class reason(engine.StockServer.reason):  # noqa: N801  upstream's name
        """Why a client left; what `on_disconnect(sid, reason)` gets."""

        CLIENT_DISCONNECT = LEFT_NAMESPACE

    def __init__(self) -> None:
        # The parent is initialised by `start`: it would choose a concurrency library here and now.
        self.serving = False
        self.stopped = False
        self.logger = _UpstreamLogger(logger, {})
        self._begin_registration()
        self._start_lock = threading.Lock()
        self._published: tuple[conf.Settings, manager.Publisher] | None = None

    def __getattr__(self, name: str) -> Any:
        """Stand in, before `start`, for what only a serving process has."""
        if name == "manager":
            return self._publisher()
        if name in {*_OF_SERVING, "async_mode", "async_handlers"}:
            raise NotServingError(f"sio.{name} exists only where clients are served. {_SERVE}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _publisher(self) -> manager.Publisher:
        """Give what publishes for a process that serves nobody; its connections are used again."""
        settings = conf.settings()
        if self._published is None or self._published[0] is not settings:
            self._published = settings, manager.for_publisher(settings)
        return self._published[1]

    # Rights

    def follow_signals(self) -> None:
        """Hear of logouts and changed rights from Django's signals; called when the app is ready, in every process."""
        self._signals = Signals(self._signalled)
        self._signals.connect()

    def _signalled(self, change: Change) -> None:
        """Pass a change on; whoever logs out or saves a user must not suffer from a queue that is down, or hangs."""
        if not self.serving:
            self._pass_on(change)
            return
        self.clients.revocation.notice(change)
        if self.is_here():
            runtime.spawn(self._pass_on, change)
        else:
            self._pass_on(change)

    def _pass_on(self, change: Change) -> None:
        try:
            self.manager.publish_change(change.as_message())
        except NotServingError:
            pass  # nobody is served here, and there is no queue: the processes that serve find it by their sweep
        except EmitError as error:
            logger.warning("other processes find changed rights by their sweep only: %s", error)

    # Life of the process

    def start(self, *, pool: Pool | None = None, watches: bool = True) -> None:
        """
        Make this process one that serves clients.

        Args:
            pool: Runs the handlers, instead of one of the size that is set.
            watches: Whether rights are looked after in the background; else by `sio.clients.revocation.look()` only.

        Raises:
            ConfigurationError: If DTWS_SIO cannot be used, or names a runtime that this process does not run on.
        """
        with self._start_lock:
            if self.serving:
                return
            settings = conf.settings()
            if settings.runtime != runtime.current():
                raise conf.ConfigurationError(
                    f"DTWS_SIO['RUNTIME'] is {settings.runtime!r}, and this process runs on {runtime.current()!r}: "
                    "serve with `manage.py runsocketio` or `gunicorn -k dtws_sio.gunicorn.EventletWorker`, or set "
                    f"DTWS_SIO['RUNTIME'] = {runtime.current()!r}"
                )
            super().__init__(
                client_manager=manager.for_server(settings),
                serializer=Packet,
                logger=self.logger,
                engineio_logger=_UpstreamLogger(logging.getLogger("dtws_sio.engine"), {}),
                async_mode=settings.runtime,
                ping_interval=settings.ping_interval,
                ping_timeout=settings.ping_timeout,
                max_http_buffer_size=settings.max_payload,
                cors_allowed_origins=origins.checker(settings.allowed_origins),
                compression=settings.compression,
                max_backlog=settings.max_backlog,
                backlog_policy=settings.backlog_policy,
                **settings.server,
            )
            self._pool = make_pool(settings.handler_pool) if pool is None else pool
            self.presence = Presence(rolls_for(settings), self._tell_room, partial(tells, self.table))
            self.attendance = Attendance(self.table, self.presence)
            self._rates = limits.store(settings)
            self.clients = Clients(
                table=self.table,
                engine=self.eio,
                manager=self.manager,
                attendance=self.attendance,
                pool=self._pool,
                open_namespaces=self.namespaces,
                ack_errors=settings.ack_errors,
                authenticators=_authenticators(settings),
                connections=Connections(settings),
                rates=self._rates,
                event_rate=None if settings.max_events is None else Rate.parse(settings.max_events),
                surroundings_of=partial(
                    surroundings,
                    choose_language=conf.load("LANGUAGE", settings.language),
                    choose_time_zone=conf.load("TIME_ZONE", settings.time_zone),
                ),
                rights_sweep=settings.rights_sweep,
                connect_timeout=settings.connect_timeout,
                mailbox_bytes=settings.max_payload,
            )
            self.clients.revocation.has_loop = watches
            self.eio.receiver = self.clients
            self.eio.owner_of = owner_of
            self.eio.refused = self.clients.refusals.add
            self.manager.initialize()
            self.manager_initialized = True
            self.presence.start()
            self.serving = True
            self.stopped = False

    def stop(self, seconds: float = 5.0) -> bool:
        """
        Close every client and serve no more; requests that still come are refused.

        Args:
            seconds: How long to wait for handlers to end, those of the disconnects among them.

        Returns:
            Whether all had ended by then.
        """
        if not self.serving:
            return True
        self.stopped = True
        for eio_sid in list(self.eio.sockets):
            self.eio.close(eio_sid, self.reason.SERVER_DISCONNECT)
        ended = self._pool.wait_until_idle(seconds)
        self.presence.stop()
        self.eio.shutdown()
        self._rates.close()
        self.serving = False
        del (
            self.eio,
            self.manager,
            self.clients,
            self.presence,
            self.attendance,
            self.environ,
        )  # from now on `__getattr__` answers for them
        return ended

    def _engineio_server_class(self) -> type[engine.Server | engine.StockServer]:
        settings = conf.settings()
        return engine.Server if (settings.engine, settings.runtime) == ("own", "eventlet") else engine.StockServer

    # Emitting

    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
        *,
        on_commit: bool = False,
        volatile: bool = False,
    ) -> None:
        """
        Send an event to one client, a room, or every client of a namespace, in this process and all that share its
        message queue.

        Works in views, commands, tasks, threads and the shell alike.

        Args:
            event: The event's name.
            data: What the page's listener gets: anything that JSON or Django's JSON encoder knows, and bytes; a tuple
                is several arguments.
            to: A sid, a room, a user or any other model instance that is watched, or a list of those; None is the whole
                namespace. `room` is its other name.
            skip_sid: A sid, or a list of them, that gets nothing.
            namespace: The path, "/" by default.
            callback: Called with the acknowledgement of the client.
            ignore_queue: Emit to the clients of this process only.
            volatile: Drop it for a client that is behind, rather than let it wait.
            on_commit: Wait for the database transaction to be committed; if it is rolled back, nothing is sent.

        Raises:
            EventNameError: If the event is not a string, or reserved by Socket.IO.
            EmitError: If the data has no JSON form, or the message queue cannot be reached.
            TopicError: If it is for an anonymous user or an unsaved object.
            NotServingError: If this process serves nobody and no message queue is configured.

        Source: rows D-26 to D-30, D-63.
        """
        if type(event) is not str or event in RESERVED_EVENTS:
            _check_event_name(event)
        path = "/" if namespace is None else namespace_path(namespace)
        room = room if to is None else to
        if type(room) is not str and room is not None:
            room = topics.rooms(room)
            if room == []:
                return  # nobody, which is not everybody
        if skip_sid is not None:
            skip_sid = _several(skip_sid)
        if on_commit or not self.is_here():
            rest = (event, data, room, None, skip_sid, path, callback, ignore_queue)
            again = partial(self.emit, *rest, volatile=volatile)
            if on_commit:
                _ = self.manager  # whoever cannot emit is told now, not after the commit
                transaction.on_commit(again)
            else:
                self.eio.thread.run(again)
            return
        try:
            self.manager.emit(event, data, path, room, skip_sid, callback, ignore_queue=ignore_queue, volatile=volatile)
        except (TypeError, ValueError) as error:
            raise EmitError(f"the data of the event {event!r} cannot be sent: {error}") from error

    def is_here(self) -> bool:
        """Tell whether this is the thread of the hub, or none is; only there may its clients be touched."""
        return not self.serving or self.eio.thread.is_current()

    def run_here(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the thread of the hub, in which alone greenlets may wait for each other."""
        return function(*args) if self.is_here() else self.eio.thread.run(partial(function, *args))

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """
        Put a client into a room, in whichever process it is, if the namespace's rule lets it in.

        Args:
            sid: The client.
            room: Any name, or a model instance whose watchers they are.
            namespace: The path, "/" by default.

        Raises:
            PermissionDeniedError: If the rule (`room_rule`, `Namespace.may_enter_room`) says no.
            RoomNameError: If it is None, cannot be a key, has a name that only topics have, or is another client's.
            TopicError: If the room is an unsaved object.
            ValueError: If there is no such client and no message queue.
        """
        topics.check_room(room)
        path, name = namespace_path(namespace), topics.room(room)
        self.check_room_rule(sid, path, name)
        self.run_here(self.manager.enter_room, sid, path, name)
        self.note_room(sid, path, name)

    def note_room(self, sid: str, path: str, name: Any, *, has_left: bool = False) -> None:
        """Keep the rolls of a room that a client, if it is here, has entered or left."""
        client = self._local(sid, path)
        if client is not None:
            (self.attendance.left if has_left else self.attendance.entered)(client, name)

    def check_room_rule(self, sid: str, path: str, name: Any) -> None:
        """
        Ask a namespace's rule, if it has one and the client is here.

        It is asked again if the client's rights were looked at meanwhile: that look did not see this room.

        Raises:
            PermissionDeniedError: If the rule says no.
        """
        client = self._local(sid, path)
        rule = self.table.terms(path).may_enter_room
        looks = None
        while client is not None and rule is not None and looks != client.looks:
            looks = client.looks
            if not rule(client.current_request(), name):
                raise PermissionDeniedError("You may not enter this room.", code="room_denied")

    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Take a client out of a room, in whichever process it is; one that is not in it is no error."""
        topics.check_room(room)
        path, name = namespace_path(namespace), topics.room(room)
        self.run_here(self.manager.leave_room, sid, path, name)
        self.note_room(sid, path, name, has_left=True)

    def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Take everybody out of a room, in all processes. Raises RoomNameError as `enter_room` does."""
        topics.check_room(room)
        path, name = namespace_path(namespace), topics.room(room)
        sids = self.members(path, name)
        self.run_here(self.manager.close_room, name, path)
        for sid in sids:
            self.note_room(sid, path, name, has_left=True)

    def members(self, path: str, name: Any) -> list[str]:
        """Give the sids of this process's clients in a room."""
        return [sid for sid, _ in self.run_here(self._participants, path, name)] if self.serving else []

    def _participants(self, path: str, name: Any) -> list[tuple[str, str]]:
        return list(self.manager.get_participants(path, name))

    def warn(self, sid: str, message: str, namespace: str | None = None) -> None:
        """Send one client the event `warning` with `{"message": message}`. Source: row D-47."""
        self.emit("warning", {"message": message}, to=sid, namespace=namespace)

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a function beside the caller; the database connections that it opened are given back at its end."""

        def task() -> None:
            try:
                target(*args, **kwargs)
            except Exception:
                logging.getLogger("dtws_sio.events").exception("the background task %r failed", target)
            finally:
                dispatch.give_back_connections()

        return self.eio.start_background_task(task)

    @property
    def refusals(self) -> Mapping[str, int]:
        """How often this process refused something since it began to serve, by the code of the error."""
        return self.clients.refusals

    # Each client's own things

    def _client(self, sid: str, namespace: str | None) -> Client:
        if not self.serving:
            raise NotServingError(f"sio has no clients here. {_SERVE}")
        client = self._local(sid, namespace_path(namespace))
        if client is None:
            raise KeyError(f"no client {sid!r} in the namespace {namespace_path(namespace)!r} of this process")
        return client

    def _local(self, sid: str, path: str) -> Client | None:
        return self.manager.find(sid, path) if self.serving else None

    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """
        Give the dict in which handlers keep what belongs to a client; it lasts until its disconnect handler has ended.

        Raises:
            KeyError: If this process has no such client in the namespace.
        """
        return self._client(sid, namespace).session

    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> None:
        """Replace the dict that `get_session` gives. Raises KeyError as it does."""
        self._client(sid, namespace).session = session

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Give the WSGI environ of a client's handshake, or None if this process has no such client."""
        try:
            return self._client(sid, namespace).environ
        except KeyError:
            return None

    def request(self, sid: str, namespace: str | None = None) -> HandshakeRequest:
        """
        Give the HTTP request with which a client connected, with `session` and `user` as they are now.

        Within an event it is the same one each time, so the user is loaded once, and only if it is touched; the next
        event gets a new one.

        Raises:
            KeyError: If this process has no such client in the namespace.
        """
        return self._client(sid, namespace).request()

    def user(self, sid: str, namespace: str | None = None) -> Any:
        """Give a client's Django user as it is now; an anonymous one for strangers. Raises KeyError as `request`."""
        return self.request(sid, namespace).user

    def track_presence(
        self, describe: Callable[[str], dict[str, Any]] | None = None, *, namespace: str | None = None
    ) -> None:
        """
        Keep track of who is in each room of a namespace, and tell its rooms (`presence_joined`, `presence_left`).

        A `Namespace` says `tracks_presence = True` instead.

        Args:
            describe: Called with a sid, gives what others see of that client; by default id and name of its user.
            namespace: The path, "/" by default.
        """
        path = namespace_path(namespace)
        self.table.set_terms(path, describe=describe or partial(self.describe, namespace=path))

    def describe(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Give what others see of a client, where nothing else was said: the id and the name of its user."""
        user = self.user(sid, namespace)
        return {"id": user.pk, "name": user.get_username()} if user.is_authenticated else {"id": None, "name": "guest"}

    def present(self, room: Any = None, namespace: str | None = None) -> list[dict[str, Any]]:
        """
        Give who is in a room, in all processes, as its members see each other, in the order of their arrival.

        Somebody with several tabs is there once. Without a room it is about the whole namespace.

        Raises:
            PresenceError: If the message queue's Redis cannot be reached.
            NotServingError: If this process serves nobody and no message queue is configured.
        """
        members = self._rolls().members(namespace_path(namespace), topics.room(room))
        return [member.info for member in members]

    def sockets(self, user: Any, namespace: str | None = None) -> list[Socket]:
        """
        Give the clients of a user, in all processes, as (namespace, sid).

        Args:
            user: The user.
            namespace: Only those in this namespace; None for all.

        Raises:
            TopicError: If the user is anonymous or unsaved.
            PresenceError, NotServingError: As `present` does.
        """
        path = None if namespace is None else namespace_path(namespace)
        seats = self._rolls().seats(topics.topic(user))
        return [Socket(seat.namespace, seat.sid) for seat in seats if path in (None, seat.namespace)]

    def _rolls(self) -> Rolls:
        if self.serving:
            return self.presence.rolls
        settings = conf.settings()
        if settings.message_queue is None:
            raise NotServingError(f"nobody is present here, and no message queue tells of other processes. {_SERVE}")
        return rolls_for(settings)

    def _tell_room(self, event: str, data: Any, *, namespace: str, room: str | None, skip_sid: str) -> None:
        if self.serving:
            self.emit(event, data, room=room, namespace=namespace, skip_sid=skip_sid)

    def recheck(self, *whom: Any) -> None:
        """
        Have the rights of clients looked at again, in all processes, within a second.

        For changes of which Django's signals do not tell: `QuerySet.update`, and whatever else a project's own guards
        and `may_enter_room` depend on.

        Args:
            whom: Users, rooms and sids, as an emit can be `to` them, in every namespace; everybody without any.

        Raises:
            EmitError: If the message queue cannot be reached.
            NotServingError: If this process serves nobody and no message queue is configured.
            TopicError: If it is about an anonymous user or an unsaved object.
        """
        self.notice(Change(rooms=frozenset(map(topics.room, whom)) if whom else None))

    def notice(self, change: Change, *, ignore_queue: bool = False) -> None:
        """Have those looked at whom a change concerns, here and, unless the queue is ignored, in other processes."""
        if self.serving:
            self.clients.revocation.notice(change)
        if not ignore_queue:
            self.manager.publish_change(change.as_message())

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Take a client out of a namespace, in whichever process it is; one that is in none is no error."""
        self.run_here(self._disconnect, sid, namespace_path(namespace), ignore_queue)

    def _disconnect(self, sid: str, path: str, ignore_queue: bool) -> None:
        client = self._local(sid, path)
        if client is not None:
            self.clients.disconnect(client, self.reason.SERVER_DISCONNECT)
        elif not ignore_queue:
            self.manager.disconnect(sid, path)

    def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> Refusal | None:
        """Begin a session of the stock engine, whose handlers return what refuses."""
        try:
            self.clients.opened(eio_sid, environ)
        except Refusal as refusal:
            return refusal
        return None

    def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        self.clients.received(eio_sid, data)

    def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self.clients.closed(eio_sid, reason)


def _authenticators(settings: conf.Settings) -> list[Authenticator]:
    return [conf.load("AUTHENTICATORS", path)() for path in settings.authenticators]


def _several(names: Any) -> Any:
    """Give a collection of sids or rooms as a list, the only kind that a message queue carries; else the one name."""
    return list(names) if isinstance(names, (list, tuple, set, frozenset)) else names


def _check_event_name(event: object) -> None:
    if not isinstance(event, str) or event in RESERVED_EVENTS:
        raise EventNameError(f"the event name {event!r} cannot be sent; it should be a string that is not reserved")


sio: Final = Server()
