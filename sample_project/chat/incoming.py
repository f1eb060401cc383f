"""What pages send, looked at before it is used: a client can send anything."""

from __future__ import annotations

import re
from typing import Any, Final

from dtws_sio import EventError

from chat.models import MAX_TEXT, Room

UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
"""Characters that JSON can carry and a database cannot keep: NUL, and halves of a surrogate pair."""


def text_of(data: Any) -> str:
    """
    Return the text of a `message` event, without the space around it.

    Raises:
        EventError: If there is none, or it is too long.
    """
    match data:
        case {"text": str(text)}:
            text = UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text).strip()
        case _:
            raise EventError('A message is {"text": "..."}.', code="invalid")
    if not text:
        raise EventError("The message is empty.", code="empty")
    if len(text) > MAX_TEXT:
        raise EventError(f"A message has {MAX_TEXT} characters at most; this one has {len(text)}.", code="too_long")
    return text


def room_of(data: Any) -> Room:
    """
    Return the room of a `join` event.

    Raises:
        EventError: If there is no such room.
    """
    match data:
        case {"room": str(slug)} if not UNSTORABLE.search(slug):
            return find_room(slug)
        case _:
            raise EventError('A room is joined with {"room": "its slug"}.', code="invalid")


def find_room(slug: str) -> Room:
    """
    Return a room by its slug.

    Raises:
        EventError: If there is none, or it was deleted meanwhile.
    """
    try:
        return Room.objects.get(slug=slug)
    except Room.DoesNotExist:
        raise EventError(f"There is no room “{slug[:50]}”.", code="no_room") from None
