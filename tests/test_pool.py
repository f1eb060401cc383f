"""The pool of handlers, and the mailboxes that keep a client's events in order; wire rules P5 and P6."""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from dtws_sio import pool as pool_module
from dtws_sio.pool import Load, make_pool
from tests.page import DEADLINE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable


class Gate:
    """Tasks that wait to be let go on, and tell how many of them run."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.running = 0
        self.most = 0
        self.order: list[int] = []
        self._lock = threading.Lock()

    def task(self, number: int = 0) -> Callable[[], None]:
        def run() -> None:
            with self._lock:
                self.order.append(number)
                self.running += 1
                self.most = max(self.most, self.running)
            assert self.opened.wait(DEADLINE)
            with self._lock:
                self.running -= 1

        return run


def test_no_more_tasks_run_at_once_than_the_pool_has_places() -> None:
    pool, gate = make_pool(3), Gate()
    for number in range(9):
        pool.submit(gate.task(number))
    assert eventually(lambda: gate.running == 3)
    assert not pool.wait_until_idle(0.02)
    gate.opened.set()
    assert pool.wait_until_idle(DEADLINE)
    assert (gate.most, len(gate.order)) == (3, 9)


def test_tasks_that_wait_keep_their_order() -> None:
    pool, gate = make_pool(1), Gate()
    for number in range(20):
        pool.submit(gate.task(number))
    gate.opened.set()
    assert pool.wait_until_idle(DEADLINE)
    assert gate.order == list(range(20))


def test_an_idle_pool_is_idle_at_once() -> None:
    assert make_pool(1).wait_until_idle(0)


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit, BaseException])
def test_a_task_that_fails_costs_the_pool_no_place(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Hub rules: eventlet.Timeout and GreenletExit are no Exceptions."""

    def fail() -> None:
        raise error("on purpose")

    pool, ran = make_pool(1), threading.Event()
    pool.submit(fail)
    pool.submit(fail)
    pool.submit(ran.set)
    assert ran.wait(DEADLINE)
    assert pool.wait_until_idle(DEADLINE)
    logged = [record.exc_info for record in caplog.records if record.name == "dtws_sio.pool"]
    assert [exc_info and exc_info[0] for exc_info in logged] == [error, error]


def test_what_a_job_returns_has_no_effect(caplog: pytest.LogCaptureFixture) -> None:
    pool = make_pool(1)
    for answer in (True, 7, "text", print):
        pool.submit(lambda answer=answer: answer)  # type: ignore[misc]
    assert pool.wait_until_idle(DEADLINE)
    assert caplog.records == []


def test_a_pool_that_stays_full_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(pool_module, "LONG_WAIT", 0.005)
    pool, gate = make_pool(1), Gate()
    submitted = 0

    def submit_more() -> bool:
        nonlocal submitted
        pool.submit(gate.task())
        submitted += 1
        return bool(warnings())

    def warnings() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    assert eventually(submit_more)
    for _ in range(50):
        submit_more()
    (message,) = warnings()
    assert "all 1 places" in message
    assert "DTWS_SIO['HANDLER_POOL']" in message
    gate.opened.set()
    assert pool.wait_until_idle(DEADLINE)


def test_a_pool_that_is_full_for_a_moment_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    pool, gate = make_pool(1), Gate()
    for _ in range(50):
        pool.submit(gate.task())
    gate.opened.set()
    assert pool.wait_until_idle(DEADLINE)
    assert caplog.records == []


# Mailboxes


class Job:
    """A job that says when it runs, and ends when it is let go."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log = log
        self.name = name
        self.started = threading.Event()
        self.may_end = threading.Event()

    def __call__(self) -> None:
        self.log.append(self.name)
        self.started.set()
        assert self.may_end.wait(DEADLINE)
        self.log.append(f"end of {self.name}")


def test_jobs_of_a_mailbox_run_one_after_another_wire_p5() -> None:
    pool, log = make_pool(10), list[str]()
    mailbox = pool.mailbox()
    jobs = [Job(log, name) for name in "abc"]
    assert [mailbox.put(job) for job in jobs] == [False, True, True]
    assert jobs[0].started.wait(DEADLINE)
    assert log == ["a"]
    for job in jobs:
        job.may_end.set()
    assert pool.wait_until_idle(DEADLINE)
    assert log == ["a", "end of a", "b", "end of b", "c", "end of c"]
    assert mailbox.put(lambda: None) is False
    assert pool.wait_until_idle(DEADLINE)


def test_another_mailbox_does_not_wait() -> None:
    pool, log = make_pool(10), list[str]()
    first, second = Job(log, "first"), Job(log, "second")
    pool.mailbox().put(first)
    pool.mailbox().put(second)
    assert first.started.wait(DEADLINE)
    assert second.started.wait(DEADLINE)
    for job in (first, second):
        job.may_end.set()
    assert pool.wait_until_idle(DEADLINE)


def test_a_busy_client_takes_no_place_from_others() -> None:
    pool, log = make_pool(1), list[str]()
    busy, other = pool.mailbox(), pool.mailbox()
    gate = Job(log, "gate")
    pool.submit(gate)
    for number in range(3):
        busy.put(functools.partial(log.append, f"busy {number}"))
    other.put(functools.partial(log.append, "other"))
    gate.may_end.set()
    assert pool.wait_until_idle(DEADLINE)
    assert log[2:] == ["busy 0", "other", "busy 1", "busy 2"]


class LikeTimeout(BaseException):
    """As eventlet.Timeout and GreenletExit are."""


@pytest.mark.parametrize("error", [ValueError, LikeTimeout], ids=["Exception", "BaseException"])
def test_a_job_that_fails_stops_no_later_one_wire_p6(error: type[BaseException]) -> None:
    pool, log = make_pool(10), list[str]()
    mailbox = pool.mailbox()

    def fail() -> None:
        log.append("failed")
        raise error

    gate = Job(log, "gate")
    mailbox.put(gate)
    mailbox.put(fail)
    mailbox.put(functools.partial(log.append, "later"))
    gate.may_end.set()
    assert pool.wait_until_idle(DEADLINE)
    assert log[2:] == ["failed", "later"]


def test_a_mailbox_tells_how_many_jobs_wait() -> None:
    """The one that runs waits no longer."""
    pool, gate = make_pool(1), Gate()
    mailbox = pool.mailbox()
    assert not mailbox.put(gate.task())
    assert eventually(lambda: gate.running)
    assert len(mailbox) == 0
    assert mailbox.put(gate.task())
    assert len(mailbox) == 1
    gate.opened.set()
    assert pool.wait_until_idle(DEADLINE)
    assert len(mailbox) == 0


def test_a_wide_mailbox_runs_a_few_jobs_at_once_and_the_others_in_their_order() -> None:
    pool, log = make_pool(10), list[str]()
    mailbox = pool.mailbox(2)
    jobs = [Job(log, name) for name in "abcd"]
    assert [mailbox.put(job) for job in jobs] == [False, False, True, True]
    assert jobs[0].started.wait(DEADLINE)
    assert jobs[1].started.wait(DEADLINE)
    assert len(mailbox) == 2
    other = Job(log, "other")
    pool.submit(other)
    assert other.started.wait(DEADLINE), "others find a place"
    jobs[1].may_end.set()
    assert jobs[2].started.wait(DEADLINE)
    assert not jobs[3].started.is_set()
    for job in (*jobs, other):
        job.may_end.set()
    assert pool.wait_until_idle(DEADLINE)
    assert [name for name in log if len(name) == 1][2:] == ["c", "d"]
    assert [mailbox.put(lambda: None) for _ in range(2)] == [False, False], "all places are free again"
    assert pool.wait_until_idle(DEADLINE)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("width", [2, 3, 7])
def test_nothing_in_a_wide_mailbox_is_lost_or_too_much_at_once(size: int, width: int) -> None:
    """Whether or not the pool has room for it, and while others want some."""
    pool, lock = make_pool(size), threading.Lock()
    mailboxes = [pool.mailbox(width) for _ in range(3)]
    running, most, done = [0, 0, 0], [0, 0, 0], [0, 0, 0]

    def job(which: int) -> None:
        with lock:
            running[which] += 1
            most[which] = max(most[which], running[which])
        time.sleep(0)
        with lock:
            running[which] -= 1
            done[which] += 1

    for _ in range(100):
        for which, mailbox in enumerate(mailboxes):
            mailbox.put(functools.partial(job, which))
    assert pool.wait_until_idle(DEADLINE)
    assert done == [100, 100, 100]
    assert max(most) <= min(size, width)
    assert {len(mailbox) for mailbox in mailboxes} == {0}


# What one connection gave us to do


@pytest.fixture
def log() -> list[str]:
    """What a load asked for."""
    return []


@pytest.fixture
def load(log: list[str]) -> Load:
    """A load of which three jobs, and a hundred bytes, may wait or run."""
    return Load(3, 100, lambda: log.append("pause"), lambda: log.append("resume"))


@pytest.mark.parametrize(
    ("sizes", "pauses"),
    [
        ([0, 0, 0], False),
        ([0, 0, 0, 0], True),
        ([50, 50], False),
        ([50, 51], True),
        ([1, 100], True),
        ([1000], False),
        ([1000, 0], True),
    ],
    ids=str,
)
def test_reading_is_paused_beyond_either_bound(load: Load, log: list[str], sizes: list[int], pauses: bool) -> None:
    """A single message larger than the bound is taken."""
    for size in sizes:
        load.add(size)
    assert log == ["pause"] * pauses
    for size in sizes:
        load.done(size)
    assert log == ["pause", "resume"] * pauses


def test_reading_goes_on_when_all_is_done_and_not_before(load: Load, log: list[str]) -> None:
    for _ in range(6):
        load.add(10)
    for _ in range(5):
        load.done(10)
    assert log == ["pause"]
    load.add(10)  # what had been read with the others
    load.done(10)
    assert log == ["pause"]
    load.done(10)
    assert log == ["pause", "resume"]


def test_reading_may_be_paused_again(load: Load, log: list[str]) -> None:
    for _ in range(2):
        for size in (60, 60):
            load.add(size)
        for size in (60, 60):
            load.done(size)
    assert log == ["pause", "resume"] * 2


# Under eventlet, in a process of its own

ON_EVENTLET = """
from dtws_sio import runtime
runtime.patch()
import logging, threading
logging.disable()
import eventlet
from dtws_sio.pool import make_pool

log, gate, pool = [], threading.Event(), make_pool(2)
wide = make_pool(8).mailbox(2)
one, other = pool.mailbox(), pool.mailbox()

def job(name):
    gate.wait()
    log.append(name)

def fail(error):
    raise error

def fill():
    for number in range(3):
        one.put(lambda number=number: job(f"one {number}"))
        other.put(lambda number=number: job(f"other {number}"))
    for error in (ValueError(), eventlet.Timeout(60), eventlet.greenlet.GreenletExit()):
        one.put(lambda error=error: fail(error))
    one.put(lambda: job("one last"))
    pool.submit(lambda: job("beside"))
    for number in range(5):
        wide.put(lambda number=number: job(f"wide {number}"))

from_where = {places}
from_where(fill)
runtime.sleep(0.01)
print(log, len(one), len(wide), pool.wait_until_idle(0.01))
gate.set()
print(pool.wait_until_idle(5), [name for name in log if name.startswith("one")])
print([name for name in log if name.startswith("wide")], len(wide))
print([name for name in log if name.startswith("other")], log.index("beside") < log.index("one 2"))
pool.submit(lambda: log.append("later"))
runtime.sleep()
print(log[-1])
"""


@pytest.mark.skipif(find_spec("eventlet") is None, reason="eventlet is not installed")
@pytest.mark.parametrize("place", ["hub", "greenlet"])
def test_the_same_is_so_under_eventlet_from_the_hub_and_from_greenlets(place: str) -> None:
    """Messages of WebSockets are put in the hub, those of polling requests on the requests' greenlets."""
    places = {"hub": "lambda function: runtime.call_later(0, function)", "greenlet": "lambda function: function()"}
    code = ON_EVENTLET.replace("{places}", places[place])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.splitlines() == [
        "[] 6 3 False",
        "True ['one 0', 'one 1', 'one 2', 'one last']",
        "['wide 0', 'wide 1', 'wide 2', 'wide 3', 'wide 4'] 0",
        "['other 0', 'other 1', 'other 2'] True",
        "later",
    ], done.stderr
