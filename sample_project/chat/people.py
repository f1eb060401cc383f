"""Who somebody is: the user who is signed in to Django, or else a guest who gave a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dtws_sio.topics import session_topic, topic

if TYPE_CHECKING:
    from django.http import HttpRequest

GUEST_NAME: Final = "guest_name"
"""Where a guest's name is kept in the session; `forms.GuestForm` has looked at it."""


@dataclass(frozen=True)
class Person:
    """
    Somebody in the chat, with all their tabs.

    Args:
        id: The topic of the user, or of a guest's session: the Socket.IO room in which all their tabs
            are from the start.
        name: What the others see.
        user_id: Primary key of the account; None for a guest.
    """

    id: str
    name: str
    user_id: int | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> Person | None:
        """Tell who sent a request, to a view or over a socket; None for a guest who gave no name yet."""
        user = request.user
        if user.is_authenticated:
            return cls(topic(user), user.get_username(), user.pk)
        name = request.session.get(GUEST_NAME)
        return cls(session_topic(request.session.session_key), name) if name else None

    def as_event(self) -> dict[str, Any]:
        """Return what pages get; they mark guests, so that nobody takes one for an account."""
        return {"id": self.id, "name": self.name, "guest": self.user_id is None}
