"""`manage.py announce "text" [--room lobby]`: an emit from a process that serves nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from dtws_sio.exceptions import NotServingError

from chat.announcements import announce
from chat.models import Room

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Hand an announcement to the serving processes, through DTWS_SIO["MESSAGE_QUEUE"]."""

    help = "Tell everyone in the chat something. Needs a message queue: REDIS_URL, here and where the chat is served."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the text and the room."""
        parser.add_argument("text", help="what to say")
        parser.add_argument("--room", metavar="SLUG", help="only to this room (default: to all)")

    def handle(self, *args: Any, text: str, room: str | None, **options: Any) -> None:
        """Emit, or say what is missing."""
        try:
            announce(text, find(room) if room else None)
        except NotServingError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(self.style.SUCCESS(f"announced to {room or 'all rooms'}"))


def find(slug: str) -> Room:
    """
    Return a room.

    Raises:
        CommandError: If there is none; it lists those there are.
    """
    try:
        return Room.objects.get(slug=slug)
    except Room.DoesNotExist:
        known = ", ".join(Room.objects.values_list("slug", flat=True)) or "none; add one in the admin"
        raise CommandError(f"there is no room {slug!r}; there are: {known}") from None
