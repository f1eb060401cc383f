"""
The one place that knows which concurrency library runs.

Handlers, namespaces and everything above this module call `sleep`, `spawn` and the classes here; whether they are
greenlets of eventlet, greenlets of gevent or threads is decided by how the process was started. Nothing of eventlet or
gevent is imported unless it is already in use, or `patch` is asked to bring it in.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, Literal

from dtws_sio.exceptions import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

Name = Literal["eventlet", "gevent", "threading"]

NAMES: Final[tuple[Name, ...]] = ("eventlet", "gevent", "threading")


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


_is_eventlet = False
"""Whether eventlet was found to have patched the process, which it then stays."""


def current() -> Name:
    """Tell which library the sockets of this process wait with at this moment."""
    global _is_eventlet
    if not _is_eventlet and "eventlet" in sys.modules:
        from eventlet import patcher

        _is_eventlet = patcher.is_monkey_patched("socket")
    if _is_eventlet:
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


def call_later(seconds: float, function: Callable[[], object]) -> Callable[[], object]:
    """
    Call a function after a while; it must not wait, as it may run in the hub.

    Returns:
        A function that keeps it from being called, if that has not happened yet.
    """
    if current() == "eventlet":
        from eventlet import hubs

        cancel: Callable[[], object] = hubs.get_hub().schedule_call_global(seconds, function).cancel
        return cancel
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()
    return timer.cancel


def start_thread(function: Callable[..., Any], *args: Any) -> None:
    """Run a function in a new thread of the operating system, whatever `threading` was patched to be."""
    if current() == "eventlet":
        from eventlet import patcher

        patcher.original("threading").Thread(target=_run_thread, args=(function, args), daemon=True).start()
    else:
        threading.Thread(target=function, args=args, daemon=True).start()


def _run_thread(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """
    Run in a new thread of the operating system, and let eventlet know it.

    Its `current_thread`, which every log record asks, would else look for the thread each time, with the lock for
    imports held: as locks are shared through the hub's thread, which asks the same, they would wait for each other.
    Source: eventlet/green/threading.py, current_thread.
    """
    from eventlet import patcher
    from eventlet.green import threading as green
    from greenlet import getcurrent

    known = vars(green)["__threadlocal"]
    known.active = {id(getcurrent()): patcher.original("threading").current_thread()}
    function(*args)


def thread_queue() -> queue.SimpleQueue[Any]:
    """Give a queue that joins threads of the operating system; a greenlet may put, and must not get."""
    if current() == "eventlet":
        from eventlet import patcher

        made: queue.SimpleQueue[Any] = patcher.original("queue").SimpleQueue()
        return made
    return queue.SimpleQueue()


def lock() -> AbstractContextManager[Any]:
    """
    Give a lock for sections in which nothing waits.

    Under eventlet they cannot be interrupted, and the hub, which must never wait, runs some of them: it needs none.
    """
    return nullcontext() if current() == "eventlet" else threading.Lock()


def thread_lock() -> AbstractContextManager[Any]:
    """
    Give a lock for a few instructions that threads of the operating system run too, whatever `threading` was patched
    to be.

    Whoever has it may take it again: the garbage collector may call anything anywhere. Nothing may wait meanwhile.
    """
    if current() == "eventlet":
        from eventlet import patcher

        made: AbstractContextManager[Any] = patcher.original("threading").RLock()
        return made
    return threading.RLock()


def starter(function: Callable[[Any], object]) -> Callable[[Any], None]:
    """Give a callable that runs this function beside the caller, often and for short."""
    if current() == "eventlet":
        return _GreenletReuse(function)
    return lambda argument: spawn(function, argument)


class _GreenletReuse:
    """
    Run a function on greenlets that are kept for the next time: a switch costs 1 µs, a new greenlet 12.

    In the hub the function starts at once. Elsewhere the hub starts it, a moment later: a greenlet that is switched
    into by another one would never come back to it.
    """

    def __init__(self, function: Callable[[Any], object]) -> None:
        from eventlet import hubs
        from greenlet import getcurrent, greenlet

        self._function = function
        self._hub = hubs.get_hub()
        self._current = getcurrent
        self._new = greenlet
        self._idle: list[Any] = []

    def __call__(self, argument: Any) -> None:
        if self._current() is not self._hub.greenlet:
            self._hub.schedule_call_global(0, self, argument)
        elif self._idle:
            self._idle.pop().switch(argument)
        else:
            self._new(self._loop, self._hub.greenlet).switch(argument)

    def _loop(self, argument: Any) -> None:
        me = self._current()
        while True:
            self._function(argument)
            self._idle.append(me)
            argument = self._hub.greenlet.switch()
