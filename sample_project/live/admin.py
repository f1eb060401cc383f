"""Articles in the admin: saving one changes it in every window that shows it."""

from __future__ import annotations

from django.contrib import admin

from live.models import Article


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Nothing here knows of signals; see live/signals.py."""

    list_display = ("title", "changed")
