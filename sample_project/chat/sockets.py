"""
The chat. Its page is chat/static/chat/chat.js.

| from the page        | acknowledgement                 | to everyone in the room                         |
|----------------------|---------------------------------|-------------------------------------------------|
| `join slug`          | `{room, you, history, members}` | `presence_joined {room, who}`                   |
| `leave slug`         |                                 | `presence_left {room, who}`                     |
| `message slug, text` | `{id}`                          | `new_message {id, room, author, text, created}` |
| `mute who, minutes`  |                                 |                                                 |
| `ban who, minutes`   |                                 |                                                 |
| `lift id`            |                                 |                                                 |

Whom it concerns is sent `muted`, `removed {room}` and, if a moderator, `sanctions`; see signals.py. What is refused is
answered `{error: {code, message}}`. Announcements come from announcements.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from django.contrib.auth import get_user_model
from django.core.validators import validate_slug
from dtws_sio import EventError, Namespace, rate_limit, sio
from dtws_sio.permissions import permission_required
from dtws_sio.topics import topic
from dtws_sio.validation import Choice

from chat.models import MAX_TEXT, MODERATE, MODERATORS, Message, Room, Sanction
from chat.people import Person
from chat.permissions import unless

if TYPE_CHECKING:
    from dtws_sio.identity import HandshakeRequest

UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
"""Characters that JSON can carry and a database cannot keep: NUL, and halves of a surrogate pair."""


def clean_text(text: str) -> str:
    """Return a message without the space around it; what it raises is for the page to show."""
    text = UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text).strip()
    if not text:
        raise ValueError("The message is empty.")
    if len(text) > MAX_TEXT:
        raise ValueError(f"A message has {MAX_TEXT} characters at most; this one has {len(text)}.")
    return text


Slug = Annotated[str, validate_slug]
Text = Annotated[str, clean_text]
Minutes = Annotated[int, Choice([10, 60, 24 * 60])] | None  # None: until it is lifted


@unless(Sanction.Kind.BAN)
class Chat(Namespace):
    """Users and guests, in rooms; what pages send is checked by the annotations of the handlers."""

    tracks_presence = True

    def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        mute = Sanction.objects.of(self.person(sid).id, Sanction.Kind.MUTE)
        self.emit("muted", mute and mute.as_event(), to=sid)
        if self.user(sid).has_perm(MODERATE):
            self.enter_room(sid, MODERATORS)
            self.emit("sanctions", Sanction.objects.listed(), to=sid)

    def person(self, sid: str) -> Person:
        """Tell who a client is now; the session in which a guest's name was kept may have ended meanwhile."""
        person = Person.of(self.request(sid))
        if person is None:
            raise EventError("Please give a name, or sign in.", code="nameless")
        return person

    def describe(self, sid: str) -> dict[str, Any]:
        return self.person(sid).as_event()

    # Rooms

    def may_enter_room(self, request: HandshakeRequest, room: Any) -> bool:
        if room == MODERATORS:
            return request.user.has_perm(MODERATE)
        return Room.objects.open_to(request.user).filter(pk=room.key).exists()

    def removed_from_room(self, sid: str, room: Any) -> None:
        self.emit("removed", {"room": room}, to=sid)

    def on_join(self, sid: str, slug: Slug) -> dict[str, Any]:
        room = self.open_room(sid, slug)
        # Into the room before reading: what is said meanwhile then comes twice, and the page knows it by its id.
        self.enter_room(sid, room)
        return {
            "room": {"id": topic(room), "slug": room.slug, "name": room.name},
            "you": self.person(sid).as_event(),
            "history": [message.as_event() for message in room.history()],
            "members": self.present(room),
        }

    def on_leave(self, sid: str, slug: Slug) -> None:
        for room in Room.objects.filter(slug=slug):
            self.leave_room(sid, room)

    @rate_limit("20/10s")
    @unless(Sanction.Kind.MUTE)
    def on_message(self, sid: str, slug: Slug, text: Text) -> dict[str, int]:
        room = self.open_room(sid, slug)
        if topic(room) not in self.rooms(sid):
            raise EventError("Join the room first.", code="not_joined")
        message = Message.objects.post(room, self.person(sid), text)
        self.emit("new_message", message.as_event(), to=room)
        return {"id": message.pk}

    def open_room(self, sid: str, slug: str) -> Room:
        """Find a room; a private one of others is answered like one that does not exist."""
        try:
            return Room.objects.open_to(self.user(sid)).get(slug=slug)
        except Room.DoesNotExist:
            raise EventError(f"There is no room “{slug[:50]}”.", code="no_room") from None

    # Moderators; saving and deleting does the rest, in signals.py

    @permission_required(MODERATE)
    def on_mute(self, sid: str, who: str, minutes: Minutes) -> None:
        Sanction.objects.impose(Sanction.Kind.MUTE, self.somebody(who), minutes)

    @permission_required(MODERATE)
    def on_ban(self, sid: str, who: str, minutes: Minutes) -> None:
        Sanction.objects.impose(Sanction.Kind.BAN, self.somebody(who), minutes)

    @permission_required(MODERATE)
    def on_lift(self, sid: str, pk: int) -> None:
        Sanction.objects.filter(pk=pk).delete()

    def somebody(self, who: str) -> dict[str, Any]:
        """Find somebody who is in the chat, in whichever room, and is no moderator."""
        found = [person for person in self.present() if person["id"] == who]
        if not found:
            raise EventError("They are not here any more.", code="gone")
        if any(topic(user) == who for user in get_user_model().objects.with_perm(MODERATE)):
            raise EventError("Moderators cannot be muted or banned.", code="moderator")
        return found[0]


sio.register_namespace(Chat("/chat"))
