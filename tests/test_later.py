"""Things to do later: one heap, one timer."""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.exceptions import QueueFullError
from dtws_sio.signals.queues import later as module
from dtws_sio.signals.queues.later import Later
from tests.page import eventually

if TYPE_CHECKING:
    from collections.abc import Callable


class Timers:
    """Stands for `runtime.call_later`, and for the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.set: list[tuple[float, Callable[[], object]]] = []
        self.cancelled = 0
        monkeypatch.setattr(module.runtime, "call_later", self._call_later)
        monkeypatch.setattr(module.runtime, "spawn", lambda function: function())
        monkeypatch.setattr(module.time, "time", lambda: self.now)

    def _call_later(self, seconds: float, function: Callable[[], object]) -> Callable[[], None]:
        entry = (self.now + seconds, function)
        self.set.append(entry)

        def cancel() -> None:
            if entry in self.set:
                self.set.remove(entry)
                self.cancelled += 1

        return cancel

    def go_on_to(self, moment: float) -> None:
        """Let the clock run, and timers fire."""
        while self.set and min(self.set)[0] <= moment:
            entry = min(self.set, key=lambda each: each[0])
            self.set.remove(entry)
            self.now = max(self.now, entry[0])
            entry[1]()
        self.now = moment


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    return Timers(monkeypatch)


def test_all_are_called_in_the_order_of_their_moments_with_one_timer(timers: Timers) -> None:
    later, called = Later(), []
    moments = [1000.0 + number / 10 for number in range(200)]
    for moment in random.sample(moments, len(moments)):
        later.at(moment, "it", lambda moment=moment: called.append((moment, timers.now)))
        assert len(timers.set) == 1
    timers.go_on_to(1100)
    assert called == [(moment, moment) for moment in moments]
    assert not timers.set
    assert len(later) == 0


def test_those_of_the_same_moment_keep_their_order(timers: Timers) -> None:
    later, called = Later(), []
    for number in range(10):
        later.at(1001, "it", lambda number=number: called.append(number))
    timers.go_on_to(1001)
    assert called == list(range(10))


def test_what_is_due_already_is_called_soon_and_not_here(timers: Timers) -> None:
    later, called = Later(), []
    later.at(5, "it", lambda: called.append(1))
    assert not called
    timers.go_on_to(1000)
    assert called == [1]


@pytest.mark.parametrize("distance", [61.0, 86400.0 * 365, 1e15])
def test_the_clock_is_looked_at_again_each_minute(timers: Timers, distance: float) -> None:
    """It may be set; and timers of threads know no year 30,000,000."""
    later, called = Later(), []
    later.at(timers.now + distance, "it", lambda: called.append(1))
    assert timers.set[0][0] == 1060
    timers.now += distance  # somebody sets the clock
    timers.set[0][1]()
    assert called == [1]


def test_no_more_wait_than_may(timers: Timers) -> None:
    later = Later(most=3)
    for _ in range(3):
        later.at(2000, "it", lambda: None)
    with pytest.raises(QueueFullError, match="3 calls wait for their time"):
        later.at(2000, "it", lambda: None)
    timers.go_on_to(2000)
    later.at(3000, "it", lambda: None)


def test_one_that_fails_harms_no_other(timers: Timers, caplog: pytest.LogCaptureFixture) -> None:
    later, called = Later(), []

    def fail() -> None:
        raise ZeroDivisionError

    later.at(1001, "it", fail)
    later.at(1001, "it", lambda: called.append(1))
    timers.go_on_to(1001)
    assert called == [1]
    [message] = [record.getMessage() for record in caplog.records]
    assert message == "it was delayed, and failed when its time had come"


def test_what_is_due_at_once_is_called_by_one(monkeypatch: pytest.MonkeyPatch, timers: Timers) -> None:
    """Each of a thousand had had a thread of its own, where there is no eventlet."""
    later, called, spawned = Later(), [], []
    monkeypatch.setattr(module.runtime, "spawn", spawned.append)
    for number in range(300):
        later.at(1001, "it", lambda number=number: called.append(number))
    timers.go_on_to(1001)
    [work] = spawned
    work()
    assert called == list(range(300))


def test_nothing_happens_after_all_are_forgotten(timers: Timers) -> None:
    later, called = Later(), []
    later.at(1001, "it", lambda: called.append(1))
    later.at(1002, "it", lambda: called.append(1))
    assert later.clear() == 2
    assert not timers.set
    timers.go_on_to(1010)
    assert not called
    later.at(1011, "it", lambda: called.append(2))
    timers.go_on_to(1011)
    assert called == [2]


def test_with_real_timers_and_many_threads_each_is_called_once() -> None:
    later = Later()
    called: list[Any] = []

    def add(name: int) -> None:
        for number in range(20):
            later.at(time.time() + random.random() / 20, "it", partial(called.append, (name, number)))

    threads = [threading.Thread(target=add, args=[name]) for name in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert eventually(lambda: len(called) == 100)
    assert len(later) == 0
