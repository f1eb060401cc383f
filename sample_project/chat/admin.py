"""Rooms and messages in the admin."""

from __future__ import annotations

from django.contrib import admin

from chat.models import Message, Room


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    """Add rooms here; pages show them the next time they load."""

    list_display = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    """Read messages, and delete what should not stay."""

    list_display = ("created", "room", "author_name", "text")
    list_filter = ("room",)
    list_select_related = ("room",)
    search_fields = ("author_name", "text")

    def has_add_permission(self, request: object) -> bool:
        """Refuse: messages are written in the chat, where they also reach those who are there."""
        return False
