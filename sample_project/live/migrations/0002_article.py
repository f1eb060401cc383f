"""The article that a new database starts with."""

from __future__ import annotations

from typing import Any

from django.db import migrations

TITLE = "Tea is ready"
TEXT = """The kettle was put on at four, and the first cups are on the table in the garden.

Whoever opens this page reads what is true now. Change the text in the admin, and watch it change here: without a reload, \
without a question asked every second, and in every window at once."""


def add_article(apps: Any, schema_editor: Any) -> None:
    """Add it, unless there is one."""
    articles = apps.get_model("live", "Article").objects.using(schema_editor.connection.alias)
    if not articles.exists():
        articles.create(title=TITLE, text=TEXT)


class Migration(migrations.Migration):
    """Going back keeps what was written."""

    dependencies = [("live", "0001_initial")]
    operations = [migrations.RunPython(add_article, migrations.RunPython.noop)]
