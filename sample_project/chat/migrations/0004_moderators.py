"""The group of those who may mute and ban; add users to it in the admin."""

from __future__ import annotations

from typing import Any

from django.db import migrations


def add_group(apps: Any, schema_editor: Any) -> None:
    """
    Add the group with its permission.

    Django adds permissions after all migrations have run, and leaves those alone that are there by then.
    """
    using = schema_editor.connection.alias
    content_type, _ = (
        apps.get_model("contenttypes", "ContentType")
        .objects.using(using)
        .get_or_create(app_label="chat", model="sanction")
    )
    permission, _ = (
        apps.get_model("auth", "Permission")
        .objects.using(using)
        .get_or_create(
            codename="moderate",
            content_type=content_type,
            defaults={"name": "Can mute and ban people, and be in every room"},
        )
    )
    group, _ = apps.get_model("auth", "Group").objects.using(using).get_or_create(name="moderators")
    group.permissions.add(permission)


class Migration(migrations.Migration):
    """Going back keeps the group: it may have users."""

    dependencies = [
        ("chat", "0003_private_rooms_and_sanctions"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(add_group, migrations.RunPython.noop)]
