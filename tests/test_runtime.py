"""Which concurrency library runs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from dtws_sio import runtime
from dtws_sio.exceptions import MissingDependencyError
from tests.page import DEADLINE, eventually


def python(code: str) -> str:
    """Run code in a process of its own, as everything that patches the standard library must."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_unpatched_process_runs_on_threads() -> None:
    assert runtime.current() == "threading"


def test_a_patched_process_runs_on_eventlet_and_says_nothing_about_it() -> None:
    """Also with warnings as errors, for eventlet's own at its import."""
    assert python("import warnings; warnings.simplefilter('error')\n" + PATCHED) == "eventlet wait_selector"


PATCHED = """
import os, sys
os.environ.pop("PSYCOPG_WAIT_FUNC", None)
from dtws_sio import runtime
runtime.patch()
print(runtime.current(), os.environ["PSYCOPG_WAIT_FUNC"])
"""


def test_importing_eventlet_alone_does_not_count() -> None:
    code = "import eventlet; from dtws_sio import runtime; print(runtime.current())"
    assert python("import warnings; warnings.simplefilter('ignore')\n" + code) == "threading"


def test_psycopg_waits_as_the_project_says_if_it_does() -> None:
    """Pitfall 5."""
    code = PATCHED.replace('os.environ.pop("PSYCOPG_WAIT_FUNC", None)', 'os.environ["PSYCOPG_WAIT_FUNC"] = "wait"')
    assert python(code) == "eventlet wait"


ON_EVENTLET = """
from dtws_sio import runtime
runtime.patch()
import time
done = []
runtime.spawn(done.append, "spawned")
runtime.call_later(0.01, lambda: done.append("later"))
runtime.sleep()
print(*done)
end = time.monotonic() + 5
while len(done) < 2 and time.monotonic() < end:
    runtime.sleep(0.001)
print(*done)
"""


def test_greenlets_run_when_the_caller_sleeps() -> None:
    assert python(ON_EVENTLET).splitlines() == ["spawned", "spawned later"]


REUSE = """
from dtws_sio import runtime
runtime.patch()
from eventlet import hubs
from greenlet import getcurrent

ran, waits = [], [True]

def work(name):
    while name == "slow" and waits:
        runtime.sleep(0.001)
    ran.append((name, id(getcurrent())))

start = runtime.starter(work)

def from_the_hub():
    start("slow")
    start("at once")
    ran.append(("back", 0))

runtime.call_later(0, from_the_hub)
runtime.sleep(0.01)
print(*[name for name, _ in ran])
start("from a greenlet")
print(ran[-1][0])
runtime.sleep()
waits.clear()
runtime.sleep(0.01)
start("a"), start("b")
runtime.sleep(0.01)
print(*[name for name, _ in ran[2:]])
print(len({each for _, each in ran if each}))
"""


def test_greenlets_are_kept_for_the_next_run() -> None:
    """In the hub a run starts at once; from elsewhere it is the hub that starts it. Two greenlets do for five runs."""
    assert python(REUSE).splitlines() == ["at once back", "back", "from a greenlet slow a b", "2"]


def test_under_eventlet_sections_in_which_nothing_waits_need_no_lock() -> None:
    code = "from dtws_sio import runtime; runtime.patch(); lock = runtime.lock()\nwith lock, lock: print('in')"
    assert python(code) == "in"


def test_a_missing_eventlet_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eventlet", None)
    monkeypatch.setenv("PSYCOPG_WAIT_FUNC", "wait")  # patch() leaves one that is set alone
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtws_sio\[eventlet\]'"):
        runtime.patch()


def test_what_is_spawned_runs_beside_the_caller() -> None:
    ran, goes_on = threading.Event(), threading.Event()

    def task(name: str) -> None:
        goes_on.wait(DEADLINE)
        ran.set()

    runtime.spawn(task, "x")
    goes_on.set()
    assert ran.wait(DEADLINE)


def test_what_is_due_later_is_called_then() -> None:
    called: list[float] = []
    before = time.monotonic()
    runtime.call_later(0.02, lambda: called.append(time.monotonic() - before))
    assert eventually(lambda: called)
    assert called[0] >= 0.02


def test_what_was_due_later_can_be_called_off() -> None:
    called: list[int] = []
    cancel = runtime.call_later(0.01, lambda: called.append(1))
    runtime.call_later(0.03, lambda: called.append(2))
    cancel()
    assert eventually(lambda: called)
    assert called == [2]


def test_a_thread_gets_what_it_is_handed() -> None:
    inbox, outbox = runtime.thread_queue(), runtime.thread_queue()
    runtime.start_thread(lambda: outbox.put((inbox.get(), threading.get_ident())))
    inbox.put("work")
    thing, ident = outbox.get(timeout=DEADLINE)
    assert thing == "work"
    assert ident != threading.get_ident()


REAL = """
from dtws_sio import runtime
runtime.patch()
import eventlet, time
from eventlet import patcher
get_ident = patcher.original("_thread").get_ident
inbox, seen = runtime.thread_queue(), []
def work():
    seen.append(inbox.get())
    patcher.original("time").sleep(0.05)
    seen.append(get_ident())
runtime.start_thread(work)
cancelled = runtime.call_later(0.01, lambda: seen.append("never"))
cancelled()
inbox.put("work")
ticks = 0
end = time.monotonic() + 5
while len(seen) < 2 and time.monotonic() < end:
    runtime.sleep(0.001)
    ticks += 1
print(seen[0], seen[1] != get_ident(), ticks > 5)
"""


def test_under_eventlet_a_thread_is_a_real_one_beside_the_hub() -> None:
    assert python(REAL) == "work True True"


def test_threads_get_a_lock_that_keeps_others_out() -> None:
    """Each call gives another one."""
    held, other = runtime.lock(), runtime.lock()
    entered = threading.Event()

    def enter() -> None:
        with held:
            entered.set()

    with held, other:
        runtime.spawn(enter)
        assert not entered.wait(0.02)
    assert entered.wait(DEADLINE)


def test_many_short_runs_each_get_their_argument() -> None:
    got: list[int] = []
    start = runtime.starter(got.append)
    for number in range(20):
        start(number)
    assert eventually(lambda: sorted(got) == list(range(20)))
