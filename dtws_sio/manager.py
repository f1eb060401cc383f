"""
Who is connected where, and how an emit finds them.

`Manager` serves one process. `RedisManager` joins processes through a message queue, and `Publisher` is its half for
processes that serve nobody. Clients are told the same, in the same order, whichever way an emit came, because all emits
to this process's clients end in `Manager.emit`.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import socketio
from engineio import packet as engine_packet

from dtws_sio import json
from dtws_sio.exceptions import EmitError, MissingDependencyError, NotServingError
from dtws_sio.packet import EVENT, Packet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dtws_sio.conf import Settings


def for_server(settings: Settings) -> Manager:
    """Make the manager of a process that serves clients."""
    return Manager() if settings.message_queue is None else RedisManager(**_queue_options(settings))


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
    return Publisher(write_only=True, json=json, **_queue_options(settings))


def _queue_options(settings: Settings) -> dict[str, Any]:
    if find_spec("redis") is None:
        raise MissingDependencyError(
            f"DTWS_SIO['MESSAGE_QUEUE'] is {settings.message_queue!r}, and the package redis is not installed: "
            "pip install 'dtws_sio[redis]'"
        )
    return {"url": settings.message_queue, "channel": settings.message_channel}


def frames(packet: Packet) -> list[engine_packet.Packet]:
    """Wrap a packet, and its attachments, once for all that will receive it."""
    encoded = packet.encode()
    parts = encoded if isinstance(encoded, list) else [encoded]
    return [engine_packet.Packet(engine_packet.MESSAGE, part) for part in parts]


class Manager(socketio.Manager):  # type: ignore[misc]
    """The clients and rooms of one process."""

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """
        Send an event to the clients of this process that are in a room.

        The packet is encoded once, also when nobody is there, so that data which cannot be sent is always told. Only an
        emit with a callback needs a packet for each client, with an acknowledgement id of its own.
        """
        room = to or room
        packet = Packet(EVENT, [event, *_arguments(data)], namespace)
        shared = frames(packet)
        skipped = skip_sid if isinstance(skip_sid, (list, tuple, set)) else (skip_sid,)
        for sid, _ in super().get_participants(namespace, room):
            if sid in skipped:
                continue
            if callback is not None:
                packet.id = self._generate_ack_id(sid, callback)
            packets = shared if callback is None else frames(packet)
            self.server.clients.deliver(sid, packets, is_direct=sid == room)

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Give the clients of a room as (sid, session id); those still in their connect handler are in no room yet."""
        for sid, eio_sid in super().get_participants(namespace, room):
            if not self.is_pre_connected(sid, namespace):
                yield sid, eio_sid

    def trigger_callback(self, sid: str, id: int | None, data: list[Any]) -> None:
        """Hand an acknowledgement to the callback that waits for it; one that nobody waits for is ignored."""
        callback = self.callbacks.get(sid, {}).pop(id, None) if id else None
        if callback is not None:
            self.server.clients.acknowledged(callback, data, sid)


def _arguments(data: Any) -> list[Any]:
    """Tell an event's arguments from what was emitted: a tuple is several, None is none, as in python-socketio."""
    if isinstance(data, tuple):
        return list(data)
    return [] if data is None else [data]


class RedisManager(socketio.RedisManager, Manager):  # type: ignore[misc]
    """The clients of this process, joined with those of others through Redis."""


class Publisher(socketio.RedisManager):  # type: ignore[misc]
    """What a process that serves nobody says to those that do."""

    connected: bool

    def emit(self, event: str, data: Any, *args: Any, callback: Any = None, **kwargs: Any) -> None:
        """Publish an event. There is nobody here to hand an acknowledgement to, so a callback is refused."""
        if callback is not None:
            raise NotServingError(
                f"emit({event!r}, callback=...) needs a process that serves clients; leave the callback out, or emit "
                "where the clients are served"
            )
        json.dumps(_arguments(data), _accept_bytes)
        super().emit(event, data, *args, **kwargs)

    def can_disconnect(self, sid: str, namespace: str) -> bool:
        """Tell the processes that serve; none of the clients is here."""
        self.disconnect(sid, namespace)
        return False

    def _handle_emit(self, message: dict[str, Any]) -> None:
        """Do nothing here: this host has no clients."""

    _handle_disconnect = _handle_close_room = _handle_emit

    def _publish(self, data: dict[str, Any]) -> None:
        """
        Publish, or raise: python-socketio only logs that it gave up, and the emit would be lost without a word.

        A connection that went stale is replaced once.
        """
        from redis.exceptions import RedisError

        text = json.dumps(data)
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
                        f"the message queue {_without_password(self.redis_url)} cannot be reached: {error}; start it, "
                        "or correct DTWS_SIO['MESSAGE_QUEUE']"
                    ) from error


def _accept_bytes(value: Any) -> Any:
    return None if isinstance(value, (bytes, bytearray)) else json.encode_django_type(value)


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
