"""Rooms, what was last said in them, and who may not say more."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timeuntil

if TYPE_CHECKING:
    from chat.people import Person

HISTORY: Final = 100
"""How many messages a room keeps; older ones are deleted as new ones come."""
MAX_TEXT: Final = 2000
"""Characters in one message."""
MODERATE: Final = "chat.moderate"
"""The permission to mute and ban, and to be in every room."""

MODERATORS: Final = "moderators"
"""The group that has it from the start, and the Socket.IO room of those who have it, whether by that group or not."""


class RoomQuerySet(models.QuerySet["Room"]):
    """Rooms, of which not everybody sees all."""

    def open_to(self, user: Any) -> RoomQuerySet:
        """Leave out the private rooms of others."""
        if user.has_perm(MODERATE):
            return self
        is_open = Q(is_private=False)
        if user.is_authenticated:
            is_open |= Q(members=user.pk) | Q(groups__in=user.groups.all())
        return self.filter(is_open).distinct()


class Room(models.Model):
    """A place to talk, and a Socket.IO room: `enter_room(sid, room)`, `emit(..., to=room)`."""

    slug = models.SlugField(unique=True, help_text="The name in the address, and the one that pages join by.")
    name = models.CharField(max_length=60)
    is_private = models.BooleanField(default=False, help_text="Only members and moderators see it and may join it.")
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="private_rooms")
    groups = models.ManyToManyField(Group, blank=True, help_text="Their users are members too.")

    objects = RoomQuerySet.as_manager()

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the page that opens in this room."""
        return reverse("chat:room", args=[self.slug])

    def history(self) -> list[Message]:
        """Return the messages that are kept, oldest first."""
        newest = self.messages.select_related("room").order_by("-pk")[:HISTORY]
        return list(reversed(newest))


class MessageManager(models.Manager["Message"]):
    """Messages, written one way only: with the bound on a room's history."""

    def post(self, room: Room, author: Person, text: str) -> Message:
        """Keep a message, and forget those of the room that are now too old."""
        with transaction.atomic():
            message = self.create(
                room=room, author_id=author.user_id, author_topic=author.id, author_name=author.name, text=text
            )
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
    author_topic = models.CharField(max_length=100, default="", editable=False)
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
            "author": {"id": self.author_topic, "name": self.author_name, "guest": self.author_id is None},
            "text": self.text,
            "created": self.created,
        }


class SanctionManager(models.Manager["Sanction"]):
    """Sanctions, of which each person has one of a kind at most."""

    def impose(self, kind: str, person: dict[str, Any], minutes: int | None) -> Sanction:
        """Mute or ban somebody, as `Person.as_event` describes them, for some minutes or, with None, for good."""
        until = None if minutes is None else timezone.now() + timedelta(minutes=minutes)
        return self.update_or_create(kind=kind, who=person["id"], defaults={"name": person["name"], "until": until})[0]

    def active(self) -> models.QuerySet[Sanction]:
        """Leave out those that have ended."""
        return self.filter(Q(until=None) | Q(until__gt=timezone.now()))

    def of(self, who: str, kind: str) -> Sanction | None:
        """Find out whether somebody is under a sanction."""
        return self.active().filter(who=who, kind=kind).first()

    def listed(self) -> list[dict[str, Any]]:
        """Return what the event `sanctions` carries."""
        return [sanction.as_event() for sanction in self.active()]


class Sanction(models.Model):
    """Somebody may not write, or not be here, for a while. What changes here reaches pages at once: signals.py."""

    class Kind(models.TextChoices):
        """What is not allowed."""

        MUTE = "mute", "muted"
        BAN = "ban", "banned"

    kind = models.CharField(max_length=4, choices=Kind)
    who = models.CharField(max_length=100, help_text="The topic of a user, or of a guest's session.")
    name = models.CharField(max_length=150)
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: until somebody lifts it.")

    objects = SanctionManager()

    class Meta:
        ordering = ("pk",)
        permissions = [("moderate", "Can mute and ban people, and be in every room")]
        constraints = [models.UniqueConstraint(fields=["kind", "who"], name="one_sanction_of_a_kind")]

    def __str__(self) -> str:
        return f"{self.name} is {self.get_kind_display()}"

    @property
    def text(self) -> str:
        """What the person is told."""
        done = f"A moderator has {self.get_kind_display()} you"
        if self.until is None:
            return f"{done}, until somebody lifts it."
        return f"{done}, for another {timeuntil(self.until + timedelta(minutes=1))}."  # rounded up

    def as_event(self) -> dict[str, Any]:
        """Return what pages get: that of the person, and those of moderators."""
        return {
            "id": self.pk,
            "kind": self.kind,
            "who": self.who,
            "name": self.name,
            "until": self.until,
            "text": self.text,
        }
