"""`manage.py announce <room> <text>`: what a project's own command does to tell its pages something."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dtws_sio import sio


class Command(BaseCommand):
    """Emit the event `news` to a room."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the room and the text."""
        parser.add_argument("room")
        parser.add_argument("text")

    def handle(self, *args: Any, room: str, text: str, **options: Any) -> None:
        """Emit, from a process that serves nobody."""
        sio.emit("news", {"text": text, "raw": text.encode()}, room=room)
