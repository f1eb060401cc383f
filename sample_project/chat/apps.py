"""The app of the chat."""

from __future__ import annotations

from django.apps import AppConfig


class ChatConfig(AppConfig):
    """Listens to what changes in the database."""

    name = "chat"

    def ready(self) -> None:
        """Connect the receivers."""
        from chat import signals  # noqa: F401  its models are there from now on
