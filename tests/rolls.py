"""Who should be present: a model of the rolls that is too simple to be wrong, and steps to try them with."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from dtws_sio.presence import JOINED, LEFT, Member, Seat

ROLLS = [("/", "hall"), ("/", None), ("/chat", "hall"), ("/chat", 'the "böse" room\n')]
"""Namespaces and rooms; some share a name."""

PROCESSES = 3


class Step(NamedTuple):
    """A client of a process takes a seat, or leaves it if there is no member."""

    process: int
    seat: Seat
    member: Member | None


def _step(process: int, roll: tuple[str, str | None], tab: str, member: Member | None) -> Step:
    return Step(process, Seat(*roll, f"{process}{tab}"), member)


members = st.builds(Member, st.sampled_from(["user:1", "user:2", "sid:x \ud83d"]), st.just({}) | st.just({"name": "é"}))

steps = st.builds(
    _step, st.integers(0, PROCESSES - 1), st.sampled_from(ROLLS), st.sampled_from("abc"), st.none() | members
)


class Model:
    """Who is present where, in lists."""

    def __init__(self) -> None:
        self.seats: dict[Seat, str] = {}
        self.infos: dict[tuple[str, str | None, str], Member] = {}
        self.arrivals: dict[tuple[str, str | None], list[str]] = {roll: [] for roll in ROLLS}

    def take(self, step: Step) -> list[tuple[str, Seat, str]]:
        """Take a step, and give what has to be told."""
        namespace, room, _ = step.seat
        before = self.arrivals[namespace, room]
        self.seats.pop(step.seat, None)
        if step.member is not None:
            self.seats[step.seat] = step.member.key
            self.infos[namespace, room, step.member.key] = step.member
        now = {key for seat, key in self.seats.items() if seat[:2] == (namespace, room)}
        newcomers = now.difference(before)
        self.arrivals[namespace, room] = [key for key in before if key in now] + list(newcomers)
        told = [(LEFT, step.seat, key) for key in before if key not in now]
        return told + [(JOINED, step.seat, key) for key in newcomers]

    def members(self, namespace: str, room: str | None) -> list[Member]:
        """Give who should be present in a room."""
        return [self.infos[namespace, room, key] for key in self.arrivals[namespace, room]]

    def sids(self, namespace: str, room: str | None) -> list[str]:
        """Give whose seats are taken, sorted."""
        return sorted(seat.sid for seat in self.seats if seat[:2] == (namespace, room))
