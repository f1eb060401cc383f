"""
The chat. Its page is chat/static/chat/chat.js.

| from the page   | acknowledgement                  | to everyone in the room                                |
|-----------------|----------------------------------|--------------------------------------------------------|
| `join {room}`   | `{room, you, history, members}`  | `joined {room, name, guest}`                           |
| `message {text}`| `{id}`                           | `new_message {id, room, author, guest, text, created}` |
| `leave`         | `{}`                             | `left {room, name, guest}`                             |

A handler that raises EventError is answered `{error: {code, message}}`. Announcements come from announcements.py.
"""

from __future__ import annotations

from typing import Any

from dtws_sio import EventError, Namespace, sio

from chat.identity import NameRefusedError, Person, identify
from chat.incoming import find_room, room_of, text_of
from chat.models import Message
from chat.presence import Presence, Visit


class Chat(Namespace):
    """Each client is in one room at a time; its handlers run in the order in which its events came."""

    presence = Presence()

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        try:
            person = identify(environ, auth)
        except NameRefusedError as error:
            raise ConnectionRefusedError(str(error)) from error
        self.save_session(sid, {"person": person})

    def on_join(self, sid: str, data: Any) -> dict[str, Any]:
        room = room_of(data)
        person: Person = self.get_session(sid)["person"]
        self._leave(sid)
        # Into the room before reading: what is said meanwhile then comes twice, and the page knows it by its id.
        self.enter_room(sid, room.channel)
        if self.presence.enter(sid, Visit(room.slug, person)):
            self.emit("joined", {"room": room.slug, **person.as_event()}, room=room.channel, skip_sid=sid)
        return {
            "room": {"slug": room.slug, "name": room.name},
            "you": person.as_event(),
            "history": [message.as_event() for message in room.history()],
            "members": [member.as_event() for member in self.presence.members(room.slug)],
        }

    def on_message(self, sid: str, data: Any) -> dict[str, int]:
        visit = self.presence.of(sid)
        if visit is None:
            raise EventError("Join a room first.", code="no_room")
        room = find_room(visit.slug)
        message = Message.objects.post(room, visit.person, text_of(data))
        self.emit("new_message", message.as_event(), room=room.channel)
        return {"id": message.pk}

    def on_leave(self, sid: str) -> dict[str, Any]:
        self._leave(sid)
        return {}

    def on_disconnect(self, sid: str, reason: str) -> None:
        self._leave(sid)

    def _leave(self, sid: str) -> None:
        visit, is_gone = self.presence.leave(sid)
        if visit is None:
            return
        channel = f"chat:{visit.slug}"
        self.leave_room(sid, channel)
        if is_gone:
            self.emit("left", {"room": visit.slug, **visit.person.as_event()}, room=channel)


sio.register_namespace(Chat("/chat"))
