"""
The clients of this process on the rolls: who is in which room of a namespace that tracks presence, and where each user
is connected at all.

Everything here may wait for Redis, so nothing of it runs in the hub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dtws_sio.presence import Member
from dtws_sio.topics import Topic, is_given, is_personal

if TYPE_CHECKING:
    from dtws_sio.client import Client
    from dtws_sio.dispatch import HandlerTable
    from dtws_sio.presence import Presence


class Socket(NamedTuple):
    """A client of a user, in this process or another."""

    namespace: str
    sid: str


class Attendance:
    """
    Enters clients on the rolls, and strikes them off.

    Args:
        table: Knows which namespaces track presence, and how they describe clients.
        presence: Keeps the rolls.
    """

    def __init__(self, table: HandlerTable, presence: Presence) -> None:
        self._table = table
        self._presence = presence

    def joined(self, client: Client) -> None:
        """Enter a client that was accepted, with all rooms that its connect handler put it into."""
        if client.identity is not None and (topic := client.identity.user_topic) is not None:
            self._presence.entered(client.namespace, topic, client.sid, Member(topic))
        if self._table.terms(client.namespace).describe is not None:
            for room in (None, *client.rooms):
                self.entered(client, room)

    def entered(self, client: Client, room: Any) -> None:
        """Enter a client that has entered a room."""
        describe = self._table.terms(client.namespace).describe
        if describe is None or not client.is_here or not _is_tracked(room):
            return
        self._presence.entered(client.namespace, room, client.sid, Member(_key(client), describe(client.sid)))
        if client.left is not None:  # it went meanwhile, and may have been struck off before it was entered
            self._presence.left(client.namespace, room, client.sid)

    def left(self, client: Client, room: Any) -> None:
        """Strike a client off that has left a room."""
        if self._table.terms(client.namespace).describe is not None and _is_tracked(room):
            self._presence.left(client.namespace, room, client.sid)

    def gone(self, client: Client) -> None:
        """Strike a client off everywhere."""
        if client.identity is not None and (topic := client.identity.user_topic) is not None:
            self._presence.left(client.namespace, topic, client.sid)
        for room in (None, *client.rooms):
            self.left(client, room)


def tells(table: HandlerTable, namespace: str, room: str | None) -> bool:
    """Tell whether a room is to hear of who comes and goes; users, and groups of users, are not rooms one goes to."""
    return table.terms(namespace).describe is not None and not (room is not None and is_given(room))


def _is_tracked(room: Any) -> bool:
    """Tell whether a room has a name that all processes can share, and is not one person's own."""
    return room is None or (isinstance(room, str) and not is_personal(room))


def _key(client: Client) -> str:
    """Give what is the same for all tabs of one person; those of a stranger without a session are several people."""
    known = client.identity
    topic: Topic | None = None if known is None else known.user_topic or known.session_topic
    return f"sid:{client.sid}" if topic is None else topic
