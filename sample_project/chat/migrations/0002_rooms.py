"""The rooms that a new database starts with."""

from __future__ import annotations

from typing import Any

from django.db import migrations

ROOMS = {"lobby": "Lobby", "help": "Help", "random": "Random"}


def add_rooms(apps: Any, schema_editor: Any) -> None:
    """Add those that are not there."""
    rooms = apps.get_model("chat", "Room").objects.using(schema_editor.connection.alias)
    for slug, name in ROOMS.items():
        rooms.get_or_create(slug=slug, defaults={"name": name})


class Migration(migrations.Migration):
    """Going back keeps the rooms: people may have talked in them."""

    dependencies = [("chat", "0001_initial")]
    operations = [migrations.RunPython(add_rooms, migrations.RunPython.noop)]
