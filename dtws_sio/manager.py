"""
Who is connected where, and how an emit finds them.

`Manager` serves one process. `RedisManager` joins processes through a message queue, and `Publisher` is its half for
processes that serve nobody. Clients are told the same, in the same order, whichever way an emit came, because all emits
to this process's clients end in `Manager.emit`.

A room is a plain set of the clients that were accepted and are still here; a broadcast walks through it and hands each
the same encoded packet.
"""

from __future__ import annotations

import contextvars
import logging
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import socketio

from dtws_sio import dispatch, json, runtime, security, sids, topics
from dtws_sio.conf import without_password
from dtws_sio.dispatch import HandlerFailedError, Origin, give_back_connections
from dtws_sio.engine import Outgoing
from dtws_sio.exceptions import (
    EmitError,
    EventError,
    MissingDependencyError,
    NotServingError,
    PermissionDeniedError,
    RoomNameError,
)
from dtws_sio.limits import check_emit
from dtws_sio.packet import EVENT, encode
from dtws_sio.rights import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dtws_sio.client import Client
    from dtws_sio.conf import Settings

connecting: contextvars.ContextVar[str | None] = contextvars.ContextVar("dtws_sio_connecting", default=None)
"""The client whose connect handler runs in this context."""

_volatile: contextvars.ContextVar[bool] = contextvars.ContextVar("dtws_sio_volatile", default=False)
"""Whether the emit in this context may be dropped for a client that is behind."""

CHANGE: Final = "dtws_sio.change"
"""The kind of message that tells of changed rights."""

logger = logging.getLogger("dtws_sio.manager")

_NOBODY: Final[frozenset[Any]] = frozenset()


def for_server(settings: Settings) -> Manager:
    """Make the manager of a process that serves clients."""
    found = Manager() if settings.message_queue is None else RedisManager(**_queue_options(settings))
    found.max_emit = settings.max_emit
    return found


def for_publisher(settings: Settings) -> Publisher:
    """
    Make the manager of a process that serves nobody: what it emits goes to the others, through the message queue.

    Raises:
        NotServingError: If no message queue is configured.
    """
    if settings.message_queue is None:
        raise NotServingError(
            "this process serves no Socket.IO clients, so an emit would reach nobody; set DTWS_SIO['MESSAGE_QUEUE'] to "
            "a URL such as 'redis://localhost:6379/0', here and where the clients are served"
        )
    found = Publisher(write_only=True, json=json, **_queue_options(settings))
    found.max_emit = settings.max_emit
    return found


def _queue_options(settings: Settings) -> dict[str, Any]:
    if find_spec("redis") is None:
        raise MissingDependencyError(
            f"DTWS_SIO['MESSAGE_QUEUE'] is {without_password(str(settings.message_queue))!r}, and the package redis is "
            "not installed: pip install 'dtws_sio[redis]'"
        )
    return {"url": settings.message_queue, "channel": settings.message_channel}


def outgoing(kind: int, namespace: str, data: Any, id: int | None = None, key: Any = None) -> Outgoing:
    """Encode a packet, with its attachments, once for all that will receive it."""
    return Outgoing(*encode(kind, namespace, data, id, prefix="4"), key=key)


class Manager(socketio.Manager):  # type: ignore[misc]
    """The clients and rooms of one process."""

    max_emit: int | None = None
    """Bytes of the largest event that may be emitted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._clients: dict[str, Client] = {}
        self._members: dict[tuple[str, Any], set[Client]] = {}

    # Clients, as the server's `Clients` sees them

    def register(self, client: Client) -> None:
        """Know a client, whose connect handler is still to run: it may enter rooms, and is in none yet."""
        self._clients[client.sid] = client

    def accept(self, client: Client) -> None:
        """Let broadcasts reach a client."""
        for room in (None, *client.rooms):
            self._members.setdefault((client.namespace, room), set()).add(client)

    def withdraw(self, client: Client) -> None:
        """Let no broadcast reach a client any more; it can still be looked up, until `forget`."""
        for room in (None, *client.rooms):
            self._drop(client, room)

    def forget(self, client: Client) -> None:
        """Know a client no longer."""
        self._clients.pop(client.sid, None)
        self.callbacks.pop(client.sid, None)

    def _drop(self, client: Client, room: Any) -> None:
        members = self._members.get((client.namespace, room))
        if members is not None:
            members.discard(client)
            if not members:
                del self._members[client.namespace, room]

    def find(self, sid: str, namespace: str) -> Client | None:
        """Give a client of this process, from its CONNECT until its disconnect handler has ended."""
        client = self._clients.get(sid)
        return client if client is not None and client.namespace == namespace else None

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Tell whether a client was accepted and is still here."""
        client = self.find(sid, namespace)
        return client is not None and client.is_here

    def is_pre_connected(self, sid: str, namespace: str) -> bool:
        """Tell whether a client's connect handler still runs."""
        client = self.find(sid, namespace)
        return client is not None and not client.accepted and client.left is None

    # Rooms

    def enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        """
        Put a client of this process into a room.

        Raises:
            ValueError: If there is no such client.
            RoomNameError: If the room is the private one of another.
        """
        client = self.find(sid, namespace)
        if client is None:
            raise ValueError(f"the client {sid!r} is not connected to the namespace {namespace!r}")
        if room == sid:
            return
        self._check_room(room, namespace)
        client.rooms.add(room)
        if client.is_here:
            self._members.setdefault((namespace, room), set()).add(client)

    def leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """
        Take a client of this process out of a room; one that is not in it is no error.

        Raises:
            RoomNameError: As `enter_room` does.
        """
        client = self.find(sid, namespace)
        if client is not None and room != sid:
            self._check_room(room, namespace)
            client.rooms.discard(room)
            self._drop(client, room)

    def close_room(self, room: Any, namespace: str) -> None:
        """
        Take everybody out of a room.

        Raises:
            RoomNameError: If the room is the private one of a client.
        """
        self._check_room(room, namespace)
        for client in self._members.pop((namespace, room), _NOBODY):
            client.rooms.discard(room)

    def _check_room(self, room: Any, namespace: str) -> None:
        if isinstance(room, str) and (sids.is_sid(room) or self.find(room, namespace) is not None):
            raise RoomNameError(f"the room {room!r} is the private room of a client, here or in another process")

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """Give the rooms that a client is in, its private one among them."""
        client = self.find(sid, namespace)
        return [] if client is None else [sid, *client.rooms]

    def get_namespaces(self) -> list[str]:
        """Give the namespaces that somebody is in."""
        return [namespace for namespace, room in self._members if room is None]

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Give the clients of a room as (sid, session id); those still in their connect handler are in no room yet."""
        for client in self._recipients(namespace, room):
            if client.is_here:
                yield client.sid, client.eio_sid

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """Give the session that carries a client."""
        client = self.find(sid, namespace)
        return None if client is None else client.eio_sid

    def publish_change(self, message: dict[str, Any]) -> None:
        """Do nothing: there are no other processes to tell of changed rights."""

    def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Do nothing: a client of this process is taken out by the server."""

    # Emitting

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        volatile: bool = False,
        ignore_queue: bool = False,
    ) -> None:
        """
        Send an event to the clients of this process that are in a room.

        The packet is encoded once, also when nobody is there, so that data which cannot be sent is always told. Only an
        emit with a callback needs a packet for each client, with an acknowledgement id of its own.
        """
        payload = [event, *_arguments(data)]
        shared = outgoing(EVENT, namespace, payload, key=(namespace, event))
        check_emit(shared.size, event, self.max_emit)
        volatile = volatile or _volatile.get()
        recipients = self._recipients(namespace, room if to is None else to)
        if skip_sid is not None:
            skipped = skip_sid if isinstance(skip_sid, (list, tuple, set)) else (skip_sid,)
            recipients = [client for client in recipients if client.sid not in skipped]
        if callback is None:
            for client in recipients:
                client.send(shared, volatile)
        else:
            for client in recipients:
                number = self._generate_ack_id(client.sid, callback)
                client.send(outgoing(EVENT, namespace, payload, number), volatile)

    def _recipients(self, namespace: str, room: Any) -> Iterable[Client]:
        """
        Give everyone whom an emit is for, each once.

        A client whose connect handler still runs gets what is addressed to it alone, and what its own handler emits to
        its rooms; `Client.send` holds it back until the client was told that it is connected (wire rules C1 and C4).
        """
        if type(room) is str and (client := self._clients.get(room)) is not None:
            return (client,) if client.namespace == namespace else ()
        rooms = room if isinstance(room, (list, tuple, set)) else (room,)
        found = [self._members.get((namespace, each), _NOBODY) for each in rooms]
        found += [{client} for each in rooms if isinstance(each, str) and (client := self.find(each, namespace))]
        newcomer = self._clients.get(connecting.get() or "")
        if newcomer is not None and newcomer.is_joining(namespace, rooms):
            found.append({newcomer})
        # A copy: one that is closed for its backlog leaves the set meanwhile.
        return tuple(found[0]) if len(found) == 1 else tuple(set().union(*found))

    def trigger_callback(self, sid: str, id: int | None, data: list[Any]) -> None:
        """Hand an acknowledgement to the callback that waits for it; one that nobody waits for is ignored."""
        waiting = self.callbacks.get(sid, {})
        callback = waiting.pop(id, None) if id else None
        if len(waiting) == 1:  # the counter of ids
            del self.callbacks[sid]
        if callback is not None:
            _acknowledged(callback, data, sid)


def _acknowledged(callback: Callable[..., Any], data: list[Any], sid: str) -> None:
    """
    Call what was given to `emit(callback=...)` with the values of an acknowledgement.

    It gets a greenlet of its own: the pool may be full of handlers that wait for just this.
    """
    runtime.spawn(_quietly, callback, tuple(data), sid)


def _quietly(callback: Callable[..., Any], arguments: tuple[Any, ...], sid: str) -> None:
    with suppress(HandlerFailedError, EventError):  # logged already
        dispatch.run(callback, arguments, lambda: Origin("acknowledgement", "", sid))


def _arguments(data: Any) -> list[Any]:
    """Tell an event's arguments from what was emitted: a tuple is several, None is none, as in python-socketio."""
    if isinstance(data, tuple):
        return list(data)
    return [] if data is None else [data]


class _LoudRedisManager(socketio.RedisManager):  # type: ignore[misc]
    """python-socketio's manager for Redis, which logs that it gave up where this one raises."""

    connected: bool
    max_emit: int | None = None

    def emit(self, event: str, data: Any, *args: Any, volatile: bool = False, **kwargs: Any) -> None:
        """Emit to the clients of all processes. Upstream finds bytes in lists and dicts only: tuples become them."""
        arguments = tuple(map(_without_tuples, _arguments(data)))
        token = _volatile.set(volatile)  # it has no place for the mark
        try:
            super().emit(event, arguments, *args, **kwargs)
        finally:
            _volatile.reset(token)

    def publish_change(self, message: dict[str, Any]) -> None:
        """Tell the other processes of changed rights."""
        self._publish({"method": CHANGE, "host_id": self.host_id, **message})

    def _publish(self, data: dict[str, Any]) -> None:
        """
        Publish, or raise: an emit must not be lost without a word. A connection that went stale is replaced once.

        Raises:
            EmitError: If the message queue cannot be reached.
        """
        from redis.exceptions import RedisError

        text = json.dumps({**data, "volatile": True} if _volatile.get() else data)
        if data["method"] == "emit" and self.server is None:  # where clients are served, they came first
            check_emit(len(text), data["event"], self.max_emit)
        for attempt in (1, 2):
            try:
                if not self.connected:
                    self._redis_connect()
                self.redis.publish(self.channel, text)
                return
            except (RedisError, OSError) as error:
                self.connected = False
                if attempt == 2:
                    raise EmitError(
                        f"the message queue {without_password(self.redis_url)} cannot be reached: {error}; start it, "
                        "or correct DTWS_SIO['MESSAGE_QUEUE']"
                    ) from error


class RedisManager(_LoudRedisManager, Manager):
    """The clients of this process, joined with those of others through Redis."""

    def _listen(self) -> Iterator[Any]:
        """Give what other processes publish, but for the kinds of message that python-socketio does not know."""
        for raw in super()._listen():
            try:
                message = json.loads(raw)
            except ValueError:
                logger.warning("what came through the message queue is not JSON; is %r ours alone?", self.channel)
                continue
            if isinstance(message, dict) and message.get("method") == CHANGE:
                if message.get("host_id") != self.host_id:
                    self.server.notice(Change.from_message(message), ignore_queue=True)
            else:
                yield message

    def _handle_enter_room(self, message: dict[str, Any]) -> None:
        """Ask the namespace's rule here, where the client is; beside the queue's listener, as it may take a while."""
        message = {**message, "room": topics.named(message["room"])}
        runtime.spawn(self._enter_room_by_rule, message)

    def _enter_room_by_rule(self, message: dict[str, Any]) -> None:
        sid, namespace, room = message["sid"], message["namespace"], message["room"]
        try:
            self.server.check_room_rule(sid, namespace, room)
            super()._handle_enter_room(message)
            self.server.note_room(sid, namespace, room)
        except PermissionDeniedError as error:
            security.logger.warning("denied the room %r to %s of %s: %s", room, sid, namespace, error.code)
        except Exception:
            logger.exception("the client %s could not enter the room %r", sid, room)
        finally:
            give_back_connections()

    def _handle_emit(self, message: dict[str, Any]) -> None:
        token = _volatile.set(_volatile.get() or bool(message.get("volatile")))
        try:
            super()._handle_emit(message)
        finally:
            _volatile.reset(token)

    def _handle_leave_room(self, message: dict[str, Any]) -> None:
        super()._handle_leave_room(message)
        runtime.spawn(self._note_left, [message["sid"]], message)

    def _handle_close_room(self, message: dict[str, Any]) -> None:
        if message.get("host_id") == self.host_id:  # `Server.close_room` sees to the rolls itself
            super()._handle_close_room(message)
            return
        sids = self.server.members(message["namespace"], message["room"])
        super()._handle_close_room(message)
        runtime.spawn(self._note_left, sids, message)

    def _note_left(self, sids: list[str], message: dict[str, Any]) -> None:
        for sid in sids:
            self.server.note_room(sid, message["namespace"], topics.named(message["room"]), has_left=True)


class Publisher(_LoudRedisManager):
    """What a process that serves nobody says to those that do."""

    def emit(self, event: str, data: Any, *args: Any, callback: Any = None, **kwargs: Any) -> None:
        """Publish an event. There is nobody here to hand an acknowledgement to, so a callback is refused."""
        if callback is not None:
            raise NotServingError(
                f"emit({event!r}, callback=...) needs a process that serves clients; leave the callback out, or emit "
                "where the clients are served"
            )
        super().emit(event, data, *args, **kwargs)

    def can_disconnect(self, sid: str, namespace: str) -> bool:
        """Tell the processes that serve; none of the clients is here."""
        self.disconnect(sid, namespace)
        return False

    def _handle_emit(self, message: dict[str, Any]) -> None:
        """Do nothing here: this host has no clients."""

    _handle_disconnect = _handle_close_room = _handle_emit


def _without_tuples(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_without_tuples(each) for each in value]
    return {key: _without_tuples(each) for key, each in value.items()} if isinstance(value, dict) else value
