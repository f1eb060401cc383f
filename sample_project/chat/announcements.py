"""
Emit from plain Django: the view `announce` and the management command `announce` both come here.

The same call works in a Celery task or the shell. A process that serves no clients hands the event to those that do
through DTWS_SIO["MESSAGE_QUEUE"], and says so with NotServingError if that is not set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone
from dtws_sio import sio

if TYPE_CHECKING:
    from chat.models import Room


def announce(text: str, room: Room | None = None) -> None:
    """Tell everyone in a room, or in all rooms if none is given."""
    sio.emit(
        "announcement",
        {"text": text, "created": timezone.now()},
        to=room,
        namespace="/chat",
    )
