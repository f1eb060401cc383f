"""What changes in the database, by an event, a view or in the admin, takes effect on those who are connected."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.dispatch import receiver
from dtws_sio import sio
from dtws_sio.exceptions import NotServingError
from dtws_sio.topics import topic

from chat.models import MODERATORS, Room, Sanction

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import Model


def after_commit(task: Callable[..., object], *args: Any) -> None:
    """
    Do something once the change is sure. Whoever saves does not suffer if it fails: that is logged.

    A process that serves nobody, and has no message queue to those that do, has nobody to tell.
    """

    def do() -> None:
        with suppress(NotServingError):
            task(*args)

    transaction.on_commit(do, robust=True)


@receiver([post_save, post_delete], sender=Room)
@receiver(m2m_changed, sender=Room.members.through)
@receiver(m2m_changed, sender=Room.groups.through)
def on_room_change(instance: Model, **kwargs: Any) -> None:
    """
    Have `may_enter_room` asked again about whoever is in the room.

    Members may also be changed from the other side, as by `user.private_rooms.clear()`: then the instance is a user or
    a group, and it is about their clients. What users lose with a group or a permission, the library notices itself.
    """
    after_commit(sio.recheck, topic(instance))


@receiver([post_save, post_delete], sender=Sanction)
def on_sanction_change(instance: Sanction, **kwargs: Any) -> None:
    """Close the banned out, show the muted why they cannot write, and moderators the list of both."""
    after_commit(tell, instance.who)


def tell(who: str) -> None:
    """Do so for one person, who is the same in all tabs and processes."""
    mute = Sanction.objects.of(who, Sanction.Kind.MUTE)
    sio.recheck(who)
    sio.emit("muted", mute and mute.as_event(), to=who, namespace="/chat")
    sio.emit("sanctions", Sanction.objects.listed(), to=MODERATORS, namespace="/chat")
