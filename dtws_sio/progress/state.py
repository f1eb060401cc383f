"""
The state of a progress bar, as a value: what a step, a label or an end makes of it.

Nothing here knows of clients, clocks or processes, and it imports the standard library only.

Source: rows P-01 to P-10; the names on the wire are spoken by static/src/progress.js.
"""

from __future__ import annotations

import math
import operator
from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, SupportsIndex

from dtws_sio.exceptions import BarEndedError, Cancelled, ProgressRangeError, ProgressTypeError

Number = int | float

Status = Literal["idle", "running", "done", "failed", "cancelled"]

ENDED: Final = frozenset({"done", "failed", "cancelled"})
"""A bar in one of these moves no more, until it is reset."""

LARGEST: Final = 10**90
"""Bounds every number, so that no sum or quotient overflows a float, and a message queue carries it."""

CLOSE: Final = 1 / 1000
"""What part of a step may be missing to the end: ten steps of 0.1 make 0.9999999999999999."""

Event = tuple[str, dict[str, Any]]
"""A name on the wire, and its payload."""


def number(value: object, name: str) -> Number:
    """
    Check a number, and give it as a plain int or float.

    Args:
        value: What was given.
        name: What it is, for the error.

    Raises:
        ProgressTypeError: If it is no number, or a bool.
        ProgressRangeError: If it is infinite, not a number, or beyond `LARGEST`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, SupportsIndex)):
        raise ProgressTypeError(f"{name} is {value!r}; it should be an int or a float")
    plain = float(value) if isinstance(value, float) else operator.index(value)
    if isinstance(plain, float) and not math.isfinite(plain):
        raise ProgressRangeError(f"{name} is {value!r}; it should be finite")
    if abs(plain) > LARGEST:
        raise ProgressRangeError(f"{name} is beyond 1e90; count in larger steps")
    return plain


def text(value: object, name: str) -> str:
    """Check a text, and give it as a plain str. Raises ProgressTypeError if it is none."""
    if not isinstance(value, str):
        raise ProgressTypeError(f"{name} is {value!r}; it should be a string")
    return str(value)


@dataclass(frozen=True, slots=True)
class State:
    """
    Where a bar stands. Make the first with `State.of`; every other one comes from a method, which gives a new state.

    Attributes:
        min: Where it begins.
        max: Where it is done.
        current: Where it is; what an indeterminate bar has counted.
        label: The text beside it.
        endless: Whether it was declared indeterminate, or turned out to be.
        has_range: Whether its range was given, so that a loop leaves it as it is.
        status: Whether it has begun, and how it ended.
        message: Why it failed.
    """

    min: Number = 0
    max: Number = 100
    current: Number = 0
    label: str = ""
    endless: bool = False
    has_range: bool = True
    status: Status = "idle"
    message: str = ""

    @classmethod
    def of(
        cls,
        min: object = 0,
        max: object = 100,
        *,
        indeterminate: object = False,
        label: object = "",
        has_range: bool = True,
    ) -> State:
        """
        Check what a bar is to be, and give its first state.

        Raises:
            ProgressTypeError: If a bound is no number, the label no string or the flag no bool.
            ProgressRangeError: If `max` is less than `min`.
        """
        if not isinstance(indeterminate, bool):
            raise ProgressTypeError(f"indeterminate is {indeterminate!r}; it should be True or False")
        low, high = number(min, "min"), number(max, "max")
        _check_order(low, high)
        return cls(low, high, low, text(label, "label"), indeterminate, has_range)

    @property
    def indeterminate(self) -> bool:
        """Whether nobody knows where it ends; equal bounds say so too. Source: row P-03."""
        return self.endless or self.min == self.max

    @property
    def has_ended(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self.status in ENDED

    @property
    def left(self) -> Number:
        """How much is left to do; infinite for an indeterminate bar."""
        return math.inf if self.indeterminate else self.max - self.current

    def _check_open(self) -> None:
        if self.status == "cancelled":
            raise Cancelled
        if self.has_ended:
            raise BarEndedError(f"the bar is {self.status} already; call reset() to begin again")

    def begun(self) -> State:
        """Give it running."""
        return replace(self, status="running")

    def advanced(self, steps: object = 1, label: object = None) -> State:
        """
        Move it forward, to its end at most. Steps of 0 only change the label.

        Raises:
            BarEndedError, Cancelled: If it has ended.
            ProgressTypeError, ProgressRangeError: If the steps are no number, or less than 0.
        """
        self._check_open()
        taken = number(steps, "steps")
        if taken < 0:
            raise ProgressRangeError(f"steps is {steps!r}; a bar moves back with set() or reset() only")
        found = self._labelled(label)
        unit = taken if isinstance(taken, float) else 1
        if taken and self.left - taken <= unit * CLOSE:
            return replace(found, current=self.max, status="done")
        return replace(found, current=self.current + taken, status="running")

    def moved(self, value: object, label: object = None) -> State:
        """
        Put it somewhere within its range.

        Raises:
            BarEndedError, Cancelled: If it has ended.
            ProgressTypeError, ProgressRangeError: If the value is no number, or out of range.
        """
        self._check_open()
        current = number(value, "current")
        found = self._labelled(label)
        if self.indeterminate:
            return replace(found, current=current, status="running")
        if not self.min <= current <= self.max:
            raise ProgressRangeError(f"current is {value!r}; it should be within {self.min!r} and {self.max!r}")
        return replace(found, current=current, status="done" if current >= self.max else "running")

    def resized(self, *, min: object = None, max: object = None) -> State:
        """
        Change its range; where it is outside of the new one, it goes to the nearest bound.

        Raises:
            BarEndedError, Cancelled: If it has ended.
            ProgressTypeError, ProgressRangeError: If a bound is no number, or `max` is less than `min`.
        """
        self._check_open()
        low = self.min if min is None else number(min, "min")
        high = self.max if max is None else number(max, "max")
        _check_order(low, high)
        current = low if self.current < low or self.status == "idle" else self.current
        found = replace(self, min=low, max=high, current=current, has_range=True)
        if not found.indeterminate and current >= high:
            return replace(found, current=high, status="done")
        return found

    def sized(self, count: object) -> State:
        """
        Give it with the range of a loop, unless it was given one of its own.

        Args:
            count: How many steps the loop takes from here; None if nobody knows.

        Raises:
            BarEndedError, Cancelled: If it has ended.
            ProgressTypeError, ProgressRangeError: If the count is no number of 0 or more.
        """
        if self.has_range:
            return self
        self._check_open()
        if count is None:
            return replace(self, endless=True)
        ranged = replace(self, endless=False).resized(max=self.current + number(count, "total"))
        return replace(ranged, has_range=False)

    def finished(self, label: object = None) -> State:
        """Give it done. Raises BarEndedError or Cancelled if it has ended, ProgressTypeError for a bad label."""
        self._check_open()
        current = self.current if self.indeterminate else self.max
        return replace(self._labelled(label), current=current, status="done")

    def failed(self, message: object) -> State:
        """Give it failed. Raises as `finished` does."""
        self._check_open()
        return replace(self, status="failed", message=text(message, "message"))

    def cancelled(self) -> State:
        """Give it cancelled. Raises as `finished` does."""
        self._check_open()
        return replace(self, status="cancelled")

    def _labelled(self, label: object) -> State:
        return self if label is None else replace(self, label=text(label, "label"))

    def as_dict(self) -> dict[str, Any]:
        """Give it as a store keeps it; `State(**stored)` is the way back."""
        return asdict(self)


def _check_order(low: Number, high: Number) -> None:
    if high < low:
        raise ProgressRangeError(f"max is {high!r}, less than min, {low!r}; equal bounds make it indeterminate")


# ---- How fast


@dataclass(frozen=True, slots=True)
class Speed:
    """Steps per second, and the seconds that remain; None while it is not known."""

    rate: float | None = None
    remaining: float | None = None


UNKNOWN: Final = Speed()


class Pace:
    """Measures the speed of a bar over the last seconds, from where it was at some moments."""

    WINDOW: Final = 10.0
    """Seconds that count."""

    SPACING: Final = 0.5
    """Seconds between two moments that are kept."""

    SHORTEST: Final = 0.2
    """Seconds that it takes until a speed is told."""

    def __init__(self) -> None:
        self._moments: deque[tuple[float, Number]] = deque()

    def speed(self, state: State, now: float) -> Speed:
        """Note where the bar is, and tell how fast it goes. Moving back begins the measuring anew."""
        moments = self._moments
        if moments and state.current < moments[-1][1]:
            moments.clear()
        if not moments or now - moments[-1][0] >= self.SPACING:
            moments.append((now, state.current))
        while now - moments[0][0] > self.WINDOW and len(moments) > 1:
            moments.popleft()
        since, start = moments[0]
        if now - since < self.SHORTEST:
            return UNKNOWN
        rate = float(state.current - start) / (now - since)
        if rate <= 0 or state.indeterminate:
            return Speed(_rounded(rate))
        return Speed(_rounded(rate), _rounded(float(state.left) / rate))


def _rounded(value: float) -> float:
    """Give four digits, which is more than anybody reads."""
    return float(f"{value:.4g}")


# ---- On the wire


def _of(name: str | None) -> dict[str, Any]:
    """Say which bar an event is about; the namespace's own has no name, and its events are those of 0.2."""
    return {} if name is None else {"bar": name}


def init_events(name: str | None, state: State) -> list[Event]:
    """Give what shows a bar anew; the keys of 0.2, and what its pages ignore. Source: row P-05."""
    shown = {
        **_of(name),
        "status": state.status,
        "indeterminate": state.indeterminate,
        "min": state.min,
        "max": state.max,
        "current": state.current,
        "label": state.label,
    }
    return [("before_init", _of(name)), ("init", shown), ("after_init", _of(name))]


def update_events(name: str | None, state: State, speed: Speed, *, with_label: bool) -> list[Event]:
    """Give what moves a bar; without the label it is kept, an empty one clears it. Source: row P-07."""
    shown: dict[str, Any] = {**_of(name), "current": state.current}
    if with_label:
        shown["label"] = state.label
    shown |= {"rate": speed.rate, "remaining": speed.remaining}
    return [("before_update", _of(name)), ("update", shown), ("after_update", _of(name))]


def end_events(name: str | None, state: State) -> list[Event]:
    """Give what says that a bar has ended, and how; nothing if it has not. Source: row P-08."""
    if state.status == "done":
        return [("done", {**_of(name), "current": state.current, "label": state.label})]
    if state.status == "failed":
        return [("failed", {**_of(name), "message": state.message})]
    if state.status == "cancelled":
        return [("cancelled", _of(name))]
    return []


def refused_events(name: str | None, message: str) -> list[Event]:
    """Give what says that a client sees a bar no longer, and why."""
    return [("refused", {**_of(name), "message": message})]


def newcomer_events(name: str | None, state: State, speed: Speed) -> list[Event]:
    """Give what shows a bar to whoever comes now, with its speed and its end. Source: row P-04."""
    events = init_events(name, state)
    if state.status == "running":
        events += update_events(name, state, speed, with_label=False)
    return events + end_events(name, state)
