"""What other threads of the operating system have done in the hub's; a patched process of its own for each scenario."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("eventlet") is None, reason="eventlet is not installed")

PRELUDE = """
from dtws_sio import runtime
runtime.patch()
import eventlet
from eventlet import patcher, tpool
from dtws_sio.engine.threads import HubThread
get_ident = patcher.original("_thread").get_ident
here, thread = get_ident(), HubThread()
"""


def run(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_hubs_thread_is_told_from_others() -> None:
    """Its greenlets are in it, although the patched `threading` gives each a number of its own."""
    code = """
print(thread.is_current(), eventlet.spawn(thread.is_current).wait(), tpool.execute(thread.is_current))
"""
    assert run(code) == ["True True False"]


def test_what_another_thread_wants_done_is_done_in_the_hubs_and_answered() -> None:
    """Several at once, each of which may wait, and the hub goes on meanwhile."""
    code = """
ticks = []
def tick():
    while True:
        ticks.append(1)
        eventlet.sleep(0.001)
eventlet.spawn_n(tick)

def job(number):
    eventlet.sleep(0.02)
    return get_ident() == here, number

def other(number):
    assert get_ident() != here
    return thread.run(lambda: job(number))

pool = eventlet.GreenPool()
print(*pool.imap(lambda number: tpool.execute(other, number), range(8)))
print(len(ticks) > 3)
"""
    assert run(code) == [" ".join(f"(True, {number})" for number in range(8)), "True"]


def test_what_it_raises_there_is_raised_here() -> None:
    code = """
def fail():
    raise LookupError("on purpose")
try:
    tpool.execute(thread.run, fail)
except LookupError as error:
    print(error)
print(tpool.execute(thread.run, lambda: "lives on"))
"""
    assert run(code) == ["on purpose", "lives on"]


def test_an_error_that_is_no_exception_is_raised_here_too() -> None:
    """Hub rules: eventlet.Timeout is a BaseException."""
    code = """
def fail():
    raise eventlet.Timeout(60)
try:
    tpool.execute(thread.run, fail)
except BaseException as caught:
    print(type(caught).__name__)
print(tpool.execute(thread.run, lambda: "lives on"))
"""
    assert run(code) == ["Timeout", "lives on"]


EMIT = """
from django.conf import settings
settings.configure(SECRET_KEY="tests", INSTALLED_APPS=["dtws_sio"])
import django
django.setup()
from dtws_sio import sio
sio.start()
where = []
sio.manager.emit = lambda event, data, *rest, **options: where.append((get_ident() == here, event, data))
sio.emit("from the hub", 1)
tpool.execute(sio.emit, "from a thread", 2)
print(*where)
"""


OTHERS = (
    EMIT.partition("sio.manager.emit")[0]
    + """
def note(name):
    setattr(sio.manager, name, lambda *rest, **options: where.append((get_ident() == here, name, rest[:3])))
for name in ("enter_room", "leave_room", "close_room", "disconnect"):
    note(name)
for use in (lambda: sio.enter_room("sid", "readers"), lambda: sio.leave_room("sid", "readers", "/shop"),
            lambda: sio.close_room("readers"), lambda: sio.disconnect("sid", "/shop")):
    tpool.execute(use)
for line in where:
    print(*line)
try:
    tpool.execute(sio.enter_room, "sid", "readers", 7)
except Exception as error:
    print(type(error).__name__)
"""
)


def test_rooms_and_farewells_of_any_thread_happen_in_the_hubs() -> None:
    """What goes wrong is raised in the caller's thread."""
    *happened, raised = run(OTHERS)
    assert happened == [
        "True enter_room ('sid', '/', 'readers')",
        "True leave_room ('sid', '/shop', 'readers')",
        "True close_room ('readers', '/')",
        "True disconnect ('sid', '/shop')",
    ]
    assert raised == "NamespacePathError"


def test_a_thread_that_is_closed_says_so_to_whoever_comes_late() -> None:
    """Its descriptor may be another's by then."""
    code = """
import os
eventlet.sleep(0)
thread.close()
thread.close()
eventlet.sleep(0.01)
reader, writer = os.pipe()
try:
    tpool.execute(thread.run, lambda: None)
except RuntimeError as error:
    print("told")
os.close(writer)
print(os.read(reader, 1))
"""
    assert run(code) == ["told", "b''"]


def test_a_thread_that_is_closed_leaves_no_descriptor() -> None:
    code = """
import os
def count():
    return len(os.listdir("/proc/self/fd"))
before = count()
for _ in range(5):
    another = HubThread()
    eventlet.sleep(0)
    another.close()
eventlet.sleep(0.01)
print(count() - before)
"""
    assert run(code) == ["0"]


def test_an_emit_from_any_thread_happens_in_the_hubs() -> None:
    """Pitfalls, hub rules: scheduled from elsewhere it would never run."""
    assert run(EMIT) == ["(True, 'from the hub', 1) (True, 'from a thread', 2)"]


def test_emits_through_the_stock_engine_are_done_in_the_hubs_thread_too() -> None:
    code = """
from dtws_sio.engine import StockServer
server = StockServer(async_mode="eventlet", monitor_clients=False)
print(server.thread.is_current(), tpool.execute(server.thread.is_current), tpool.execute(server.thread.run, lambda: 7))
server.shutdown()
server.shutdown()
"""
    assert run(code) == ["True False 7"]


def test_locks_are_shared_with_threads() -> None:
    """Logging is what everybody does; without sharing, each of these hangs within a second."""
    code = """
import logging, time
from dtws_sio.engine.threads import share_locks
share_locks(thread)
logging.basicConfig(stream=open("/dev/null", "w"), level=logging.INFO)
log, done, counted = logging.getLogger("x"), [], [0]
import threading
lock = threading.Lock()

def line(number, pause):
    log.info("line %d", number)
    with lock:
        before = counted[0]
        pause()
        counted[0] = before + 1

def other(name):
    for number in range(100):
        line(number, lambda: None)
    thread.run(lambda: done.append(name))

def green(name):
    for number in range(100):
        line(number, eventlet.sleep)
    done.append(name)

for name in range(4):
    runtime.start_thread(other, name)
    eventlet.spawn_n(green, name + 4)
end = time.monotonic() + 20
while len(done) < 8 and time.monotonic() < end:
    eventlet.sleep(0.01)
print(sorted(done), counted)
"""
    assert run(code) == ["[0, 1, 2, 3, 4, 5, 6, 7] [800]"]


def test_a_lock_with_a_time_limit_and_a_condition_work_in_threads() -> None:
    code = """
import threading
from dtws_sio.engine.threads import share_locks
share_locks(thread)
lock, event, told = threading.Lock(), threading.Event(), []
lock.acquire()

def other():
    told.append(lock.acquire(timeout=0.01))
    told.append(lock.acquire(blocking=False))
    told.append(event.wait(5))
    told.append(threading.current_thread().name[:6])
    thread.run(lambda: told.append("end"))

runtime.start_thread(other)
eventlet.sleep(0.05)
event.set()
while told[-1:] != ["end"]:
    eventlet.sleep(0.01)
print(*told)
thread.close()
"""
    assert run(code) == ["False False True Thread end"]
