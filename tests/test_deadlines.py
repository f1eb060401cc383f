"""Time limits for many sessions; wire rules H1 and H4."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from dtws_sio import deadlines
from dtws_sio.deadlines import Deadlines
from tests.page import eventually

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Time that passes when the test says so, with the timers that wait for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], object]]] = []

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        assert seconds >= 0
        self.timers.append((self.now + seconds, function))

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers and min(self.timers)[0] <= end:
            first = min(self.timers)
            self.timers.remove(first)
            self.now = first[0]
            first[1]()
        self.now = end


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadlines, "call_later", clock.call_later)
    monkeypatch.setattr(deadlines, "monotonic", lambda: clock.now)
    return clock


class Due:
    """Notes what was due, when it was told, and which moment that was told to have been."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.told: list[tuple[str, float]] = []
        self.moments: list[float] = []

    def __call__(self, thing: str, when: float) -> None:
        self.told.append((thing, self._clock.now))
        self.moments.append(when)


@pytest.fixture
def due(clock: Clock) -> Due:
    return Due(clock)


@pytest.fixture
def limits(due: Due) -> Deadlines[str]:
    """Time limits of ten seconds."""
    return Deadlines[str](10, due)


def test_each_thing_is_due_its_own_time_after_it_was_added(clock: Clock, due: Due, limits: Deadlines[str]) -> None:
    for name in "abc":
        limits.add(name)
        clock.advance(1.5)
    clock.advance(100)
    assert due.told == [("a", 1010.0), ("b", 1011.5), ("c", 1013.0)]
    assert due.moments == [1010.0, 1011.5, 1013.0]


def test_one_timer_waits_for_all(clock: Clock, limits: Deadlines[str]) -> None:
    for number in range(1000):
        limits.add(str(number))
        clock.advance(0.001)
        assert len(clock.timers) == 1
    clock.advance(9.5)
    assert len(clock.timers) == 1


def test_no_timer_is_left_when_nothing_waits(clock: Clock, limits: Deadlines[str]) -> None:
    assert clock.timers == []
    limits.add("a")
    clock.advance(10)
    assert clock.timers == []


def test_after_a_pause_it_begins_anew(clock: Clock, due: Due, limits: Deadlines[str]) -> None:
    limits.add("a")
    clock.advance(50)
    limits.add("b")
    clock.advance(10)
    assert due.told == [("a", 1010.0), ("b", 1060.0)]


@pytest.mark.parametrize(("since", "expected"), [(1000.0, 1010.0), (997.5, 1007.5), (900.0, 1000.0)])
def test_the_time_of_a_thing_may_have_begun_before(
    clock: Clock, due: Due, limits: Deadlines[str], since: float, expected: float
) -> None:
    """The last is overdue already, and is told of at once."""
    limits.add("a", since)
    clock.advance(20)
    assert due.told == [("a", expected)]


def test_what_is_due_may_be_added_again(clock: Clock) -> None:
    """As a paused client's deadline is: it comes after one more of its times, not at once and for ever."""
    due: list[float] = []

    def again(thing: str, when: float) -> None:
        due.append(clock.now)
        if len(due) < 3:
            repeating.add(thing)

    repeating = Deadlines[str](10, again)
    repeating.add("a")
    repeating.add("b")
    clock.advance(10)
    assert due == [1010.0, 1010.0]
    assert len(clock.timers) == 1
    clock.advance(10)
    assert due == [1010.0, 1010.0, 1020.0, 1020.0]
    assert clock.timers == []


def test_a_timer_that_comes_early_or_late_loses_nothing(clock: Clock, due: Due, limits: Deadlines[str]) -> None:
    """Late as it may be, each is told the moment at which it was due."""
    limits.add("a")
    clock.advance(1)
    limits.add("b")
    _, tick = clock.timers.pop()
    clock.now = 1005.0
    tick()
    assert due.told == []
    ((at, tick),) = clock.timers
    assert at == 1010.0
    clock.timers.clear()
    clock.now = 1015.0
    tick()
    assert due.told == [("a", 1015.0), ("b", 1015.0)]
    assert due.moments == [1010.0, 1011.0]
    assert clock.timers == []


def test_an_error_stops_no_other_deadline(clock: Clock) -> None:
    due: list[str] = []

    def fail_once(thing: str, when: float) -> None:
        due.append(thing)
        if thing == "a":
            raise LookupError

    limits = Deadlines[str](10, fail_once)
    for name in "abc":
        limits.add(name)
    with pytest.raises(LookupError):
        clock.advance(10)
    clock.advance(1)
    limits.add("d")
    clock.advance(10)
    assert due == ["a", "b", "c", "d"]
    assert clock.timers == []


def test_a_real_timer_is_kept_to() -> None:
    due: list[tuple[str, float]] = []
    before = time.monotonic()
    Deadlines[str](0.01, lambda thing, when: due.append((thing, when))).add("a")
    assert eventually(lambda: due)
    assert due[0][0] == "a"
    assert before + 0.01 <= due[0][1] <= time.monotonic()
