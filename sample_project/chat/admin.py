"""Rooms, messages and sanctions in the admin."""

from __future__ import annotations

from django.contrib import admin

from chat.models import Message, Room, Sanction


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    """Add rooms here, which pages show the next time they load; who loses a private one leaves it at once."""

    list_display = ("name", "slug", "is_private")
    list_filter = ("is_private",)
    filter_horizontal = ("members", "groups")
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


@admin.register(Sanction)
class SanctionAdmin(admin.ModelAdmin):
    """See who is muted and banned, prolong it, or delete it to lift it; pages know at once."""

    list_display = ("name", "kind", "until")
    list_filter = ("kind",)
    readonly_fields = ("kind", "who", "name")
    search_fields = ("name",)

    def has_add_permission(self, request: object) -> bool:
        """Refuse: moderators mute and ban in the chat, whoever is there."""
        return False
