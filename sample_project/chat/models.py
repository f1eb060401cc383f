"""Rooms, and what was last said in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import models, transaction
from django.urls import reverse

if TYPE_CHECKING:
    from chat.identity import Person

HISTORY: Final = 100
"""How many messages a room keeps; older ones are deleted as new ones come."""
MAX_TEXT: Final = 2000
"""Characters in one message."""


class Room(models.Model):
    """A place to talk. Whoever may use the admin adds more."""

    slug = models.SlugField(unique=True, help_text="The name in the address, and the one that pages join by.")
    name = models.CharField(max_length=60)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the page that opens in this room."""
        return reverse("chat:room", args=[self.slug])

    @property
    def channel(self) -> str:
        """
        The Socket.IO room of this room.

        Every client is also alone in a Socket.IO room named by its sid. The prefix keeps the two kinds apart: whatever
        name a page sends, it never comes to listen to what is meant for one other client.
        """
        return f"chat:{self.slug}"

    def history(self) -> list[Message]:
        """Return the messages that are kept, oldest first."""
        newest = self.messages.select_related("room").order_by("-pk")[:HISTORY]
        return list(reversed(newest))


class MessageManager(models.Manager["Message"]):
    """Messages, written one way only: with the bound on a room's history."""

    def post(self, room: Room, person: Person, text: str) -> Message:
        """Keep a message, and forget those of the room that are now too old."""
        with transaction.atomic():
            message = self.create(room=room, author_id=person.user_id, author_name=person.name, text=text)
            stale = self.filter(room=room).order_by("-pk").values_list("pk", flat=True)[HISTORY : HISTORY + 1]
            for newest_stale in stale:
                self.filter(room=room, pk__lte=newest_stale).delete()
        return message


class Message(models.Model):
    """Something that was said in a room."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="messages")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        help_text="Empty for a guest. An account that is deleted takes its messages along.",
    )
    author_name = models.CharField(max_length=150)
    text = models.TextField(max_length=MAX_TEXT)
    created = models.DateTimeField(auto_now_add=True)

    objects = MessageManager()

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.author_name}: {self.text[:40]}"

    def as_event(self) -> dict[str, Any]:
        """Return what the event `new_message` and the history carry; read in static/chat/chat.js."""
        return {
            "id": self.pk,
            "room": self.room.slug,
            "author": self.author_name,
            "guest": self.author_id is None,
            "text": self.text,
            "created": self.created.isoformat(),
        }
