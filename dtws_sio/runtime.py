"""
The one place that knows which concurrency library runs.

Handlers, namespaces and everything above this module call `sleep`, `spawn` and the classes here; whether they are
greenlets of eventlet, greenlets of gevent or threads is decided by how the process was started. Nothing of eventlet or
gevent is imported unless it is already in use, or `patch` is asked to bring it in.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal

from dtws_sio.exceptions import MissingDependencyError

Name = Literal["eventlet", "gevent", "threading"]

NAMES: Final[tuple[Name, ...]] = ("eventlet", "gevent", "threading")

Task = Callable[[], Any]

LONG_WAIT: Final = 1.0
"""Seconds after which a task that waits for a place in the pool is worth a warning."""

COMPLAINT_PAUSE: Final = 60.0
"""Seconds between two such warnings."""

logger = logging.getLogger("dtws_sio.runtime")


def patch() -> None:
    """
    Make the standard library cooperative with eventlet; must run before Django, or anything else, is imported.

    psycopg 3 waits in C unless it is told otherwise, which stops the hub and every client with it; its environment
    variable is only read while it is imported, so it is set here.

    Raises:
        MissingDependencyError: If eventlet is not installed.

    Source: pitfalls 5 and 7; psycopg/waiting.py reads PSYCOPG_WAIT_FUNC at import.
    """
    os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_selector")
    try:
        with warnings.catch_warnings():
            # eventlet says at each import that it is in maintenance; our documentation says so once.
            warnings.simplefilter("ignore")
            import eventlet
    except ImportError as error:
        raise MissingDependencyError(
            "eventlet is not installed, and serving Socket.IO needs it: pip install 'dtws_sio[eventlet]'"
        ) from error
    eventlet.monkey_patch()


def current() -> Name:
    """Tell which library the sockets of this process wait with at this moment."""
    if "eventlet" in sys.modules:
        from eventlet import patcher

        if patcher.is_monkey_patched("socket"):
            return "eventlet"
    if "gevent" in sys.modules:
        from gevent import monkey

        if monkey.is_module_patched("socket"):
            return "gevent"
    return "threading"


def sleep(seconds: float = 0) -> None:
    """Wait, and let others run meanwhile; 0 only lets others run."""
    if current() == "eventlet":
        import eventlet

        eventlet.sleep(seconds)
    else:
        time.sleep(seconds)


def spawn(function: Callable[..., Any], *args: Any) -> None:
    """
    Run a function beside the caller.

    eventlet's patched `threading.Thread` leaves a dummy thread object behind for each one that ends
    (engineio/async_drivers/eventlet.py), so greenlets are started directly there.
    """
    if current() == "eventlet":
        import eventlet

        eventlet.spawn_n(function, *args)
    else:
        threading.Thread(target=function, args=args, daemon=True).start()


def spawn_after(seconds: float, function: Callable[..., Any], *args: Any) -> None:
    """Run a function beside the caller, after a while."""
    if current() == "eventlet":
        import eventlet

        eventlet.spawn_after(seconds, function, *args)
    else:
        timer = threading.Timer(seconds, function, args)
        timer.daemon = True
        timer.start()


class Pool:
    """
    Run tasks beside the caller, a bounded number at once; the others wait in the order they came.

    `submit` never blocks, so it may be called where nothing may wait, such as a connection's reader. A task that
    returns another one has that run next, after those that wait already.

    Args:
        size: How many tasks run at once at most.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._waiting: deque[tuple[float, Task]] = deque()
        self._running = 0
        self._next_complaint = 0.0

    def submit(self, task: Task) -> None:
        """Have the task run as soon as there is room; what it raises is logged and harms no other task."""
        with self._lock:
            if self._running < self.size:
                self._running += 1
                spawn(self._work, task)
                return
            now = time.monotonic()
            self._waiting.append((now, task))
            is_stuck = now - self._waiting[0][0] > LONG_WAIT and now > self._next_complaint
            if is_stuck:
                self._next_complaint = now + COMPLAINT_PAUSE
        if is_stuck:
            logger.warning(
                "all %d places of the handler pool have been taken for over %g s, and %d events wait; handlers that "
                "block for long belong into background tasks, or DTWS_SIO['HANDLER_POOL'] is too small",
                self.size,
                LONG_WAIT,
                len(self._waiting),
            )

    def _work(self, task: Task | None) -> None:
        while task is not None:
            task = self._following(_run(task))
            if task is not None:
                sleep()  # tasks that never wait must not keep the connections from being read

    def _following(self, sequel: Task | None) -> Task | None:
        with self._lock:
            if sequel is not None:
                if not self._waiting:
                    return sequel
                self._waiting.append((time.monotonic(), sequel))
            if self._waiting:
                return self._waiting.popleft()[1]
            self._running -= 1
            return None

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no task runs or waits; return False if that took longer than the given time."""
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            sleep(0.01)
        return not self._running


def _run(task: Task) -> Task | None:
    try:
        sequel = task()
    except KeyboardInterrupt:
        raise
    except BaseException:
        # eventlet.Timeout and GreenletExit are no Exceptions, and must not cost the pool a place.
        logger.exception("a task of the handler pool failed")
        return None
    return sequel if callable(sequel) else None
