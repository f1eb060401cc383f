"""`manage.py work <name> <room> <count>`: a project's own command shows how far it has come."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from playground.bars import work


class Command(BaseCommand):
    """Drive a bar from a process that serves nobody."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the bar, the room ("" for everybody) and the number of rows."""
        parser.add_argument("name")
        parser.add_argument("room")
        parser.add_argument("count", type=int)

    def handle(self, *args: Any, name: str, room: str, count: int, **options: Any) -> None:
        """Work."""
        work(name or None, room or None, count)
