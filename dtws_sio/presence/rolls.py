"""
The rolls: who is present in which room of which namespace.

A client in a room has a seat there, which it takes as a member. A member is a person, or whatever else should count
once: with several seats, as somebody with several tabs has, it is present from the first that is taken until the last
that is left.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from dtws_sio import json, runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

JOINED: Final = "presence_joined"
"""Event: a member came into a room that it was not in before. Pages of users listen to it."""

LEFT: Final = "presence_left"
"""Event: a member has left a room with the last of its seats, or the process that held them died."""


class Seat(NamedTuple):
    """A client in a room; the room None is its namespace as a whole, as in python-socketio."""

    namespace: str
    room: str | None
    sid: str


@dataclass(frozen=True, slots=True)
class Member:
    """
    Somebody who is present.

    Args:
        key: Who it is: two seats with the same key are the same member's.
        info: What others are told about it; kept as they will see it, after its way through JSON.

    Raises:
        TypeError: If the info holds what has no JSON form.
    """

    key: str
    info: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "info", json.loads(json.dumps(self.info)))


@dataclass(frozen=True, slots=True)
class Change:
    """
    Something that a room has to be told.

    Args:
        event: JOINED or LEFT.
        seat: Where, and whose; it need not be told itself.
        member: Who.
    """

    event: str
    seat: Seat
    member: Member


class Rolls(Protocol):
    """
    A store of who is present.

    What a member's rooms have to be told alternates: it joined, it left, it joined. Each change is given to exactly one
    caller in all processes, who tells it. Changes are given, reads are answered: only the latter may fail.
    """

    interval: float | None
    """Seconds between two calls of `catch_up`; None if there is nothing to catch up with."""

    def enter(self, seat: Seat, member: Member) -> list[Change]:
        """
        Note that a seat is taken; JOINED if it is the member's first in the room.

        A seat that is taken already is the new member's from now on, and what others are told about a member is what
        came last.
        """
        ...

    def leave(self, seat: Seat) -> list[Change]:
        """Note that a seat is free; LEFT if it was the member's last in the room. A free one is no error."""
        ...

    def members(self, namespace: str, room: str | None) -> list[Member]:
        """
        Give who is present in a room, each once, in the order of their arrival.

        Raises:
            PresenceError: If the store cannot be reached.
        """
        ...

    def sids(self, namespace: str, room: str | None) -> list[str]:
        """
        Give the clients that have a seat in a room, in no particular order.

        Raises:
            PresenceError: If the store cannot be reached.
        """
        ...

    def seats(self, room: str | None) -> list[Seat]:
        """
        Give all seats in the rooms of that name, in whichever namespace, in no particular order.

        Raises:
            PresenceError: If the store cannot be reached.
        """
        ...

    def catch_up(self) -> list[Change]:
        """Say that this process lives, mend what could not be noted, and find who was left behind by the dead."""
        ...

    def end(self) -> list[Change]:
        """Leave every seat of this process, which takes no more."""
        ...


class _Roll:
    """One room: the member's key of each sid, the members as they came, and how many seats each has."""

    __slots__ = ("keys", "members", "seats")

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.members: dict[str, Member] = {}
        self.seats: Counter[str] = Counter()


class LocalRolls:
    """The rolls of a process that is joined with no other."""

    interval: float | None = None

    def __init__(self) -> None:
        self._rolls: dict[tuple[str, str | None], _Roll] = {}
        self._lock = runtime.lock()

    def enter(self, seat: Seat, member: Member) -> list[Change]:
        """Note that a seat is taken."""
        with self._lock:
            changes = self._leave(seat, unless=member.key)
            roll = self._rolls.setdefault(seat[:2], _Roll())
            if member.key not in roll.members:
                changes.append(Change(JOINED, seat, member))
            if seat.sid not in roll.keys:
                roll.keys[seat.sid] = member.key
                roll.seats[member.key] += 1
            roll.members[member.key] = member
            return changes

    def leave(self, seat: Seat) -> list[Change]:
        """Note that a seat is free."""
        with self._lock:
            return self._leave(seat)

    def _leave(self, seat: Seat, unless: str | None = None) -> list[Change]:
        roll = self._rolls.get(seat[:2])
        if roll is None or roll.keys.get(seat.sid) in (None, unless):
            return []
        key = roll.keys.pop(seat.sid)
        roll.seats[key] -= 1
        if roll.seats[key]:
            return []
        del roll.seats[key]
        member = roll.members.pop(key)
        if not roll.members:
            del self._rolls[seat[:2]]
        return [Change(LEFT, seat, member)]

    def members(self, namespace: str, room: str | None) -> list[Member]:
        """Give who is present in a room, each once, in the order of their arrival."""
        with self._lock:
            roll = self._rolls.get((namespace, room))
            return [] if roll is None else list(roll.members.values())

    def sids(self, namespace: str, room: str | None) -> list[str]:
        """Give the clients that have a seat in a room."""
        with self._lock:
            roll = self._rolls.get((namespace, room))
            return [] if roll is None else list(roll.keys)

    def seats(self, room: str | None) -> list[Seat]:
        """Give all seats in the rooms of that name, in whichever namespace."""
        with self._lock:
            return [seat for seat in self._all() if seat.room == room]

    def catch_up(self) -> list[Change]:
        """Find nothing: this is the only process."""
        return []

    def end(self) -> list[Change]:
        """Leave every seat."""
        with self._lock:
            return [change for seat in list(self._all()) for change in self._leave(seat)]

    def _all(self) -> Iterator[Seat]:
        for (namespace, room), roll in self._rolls.items():
            for sid in roll.keys:
                yield Seat(namespace, room, sid)
