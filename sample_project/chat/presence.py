"""Who is in which room."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chat.identity import Person


@dataclass(frozen=True)
class Visit:
    """
    One client in one room.

    Args:
        slug: The room.
        person: Who it is.
    """

    slug: str
    person: Person


class Presence:
    """
    The clients of this process, by room.

    With several processes behind a message queue each would know its own clients only; a shared table, in the database
    or in Redis, would then take the place of this class.
    """

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}
        self._lock = Lock()

    def enter(self, sid: str, visit: Visit) -> bool:
        """Note that a client is in a room; return whether this person was not there yet, in another tab."""
        with self._lock:
            is_new = visit not in self._visits.values()
            self._visits[sid] = visit
            return is_new

    def leave(self, sid: str) -> tuple[Visit | None, bool]:
        """Forget a client; return where it was, if anywhere, and whether the person is now gone from there."""
        with self._lock:
            visit = self._visits.pop(sid, None)
            return visit, visit is not None and visit not in self._visits.values()

    def of(self, sid: str) -> Visit | None:
        """Return where a client is."""
        return self._visits.get(sid)

    def members(self, slug: str) -> list[Person]:
        """Return everyone in a room once, by name."""
        with self._lock:
            people = {visit.person for visit in self._visits.values() if visit.slug == slug}
        return sorted(people, key=lambda person: (person.name.casefold(), person.user_id is None))
