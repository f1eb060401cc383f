"""
Queues of this process: so many calls at once, so many that wait, and no more.

What differs between the backends is where a call runs: `pool` runs it beside the handlers (greenlets under eventlet),
`threads` in a thread of the operating system, and `processes` hands it to a process of its own.
"""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from dtws_sio import runtime
from dtws_sio.conf import ConfigurationError
from dtws_sio.dispatch import HandlerFailedError
from dtws_sio.exceptions import EventError, QueueFullError
from dtws_sio.pool import make_pool
from dtws_sio.signals.queues.execution import execute
from dtws_sio.signals.queues.pending import Pending, at_home
from dtws_sio.signals.queues.processes import Processes, is_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.conf import Queue
    from dtws_sio.signals.calls import Call
    from dtws_sio.signals.queues.pending import Home

logger = logging.getLogger("dtws_sio.queues")

GREENLETS: Final = 50
"""Calls that a queue of the backend "pool" runs at once; beside the HANDLER_POOL, it bounds database connections."""

THREADS: Final = 8
"""Calls that a queue of real threads runs at once. Python runs one of them at a time; the others wait, or are in C."""

COMPLAINT_PAUSE: Final = 60.0
"""Seconds between two warnings about the same full queue."""


class Workers(Protocol):
    """What runs jobs: a pool of `dtws_sio.pool`, or `RealThreads`."""

    size: int

    def submit(self, work: Callable[[], object]) -> None:
        """Have a job run as soon as there is room; this never waits."""


class RealThreads:
    """
    Threads of the operating system under eventlet.

    Args:
        size: How many there are; one more is started with each job until then.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._jobs = runtime.thread_queue()
        self._started = 0

    def submit(self, work: Callable[[], object]) -> None:
        """Have a job run as soon as a thread is free; called in the hub's thread only."""
        if self._started < self.size:
            self._started += 1
            runtime.start_thread(self._work)
        self._jobs.put(work)

    def stop(self) -> None:
        """Let the threads end after what they do."""
        for _ in range(self._started):
            self._jobs.put(None)
        self._started = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class LocalQueue:
    """
    A bounded queue of calls.

    Everything but `_do` happens in the queues' home.

    Args:
        name: Its name, for messages.
        workers: What runs the calls.
        run: How one is run.
        most_waiting: How many may wait for the workers.
        home: Where the outcomes are settled.
        stop: Called when no more calls come.
    """

    def __init__(
        self,
        name: str,
        workers: Workers,
        run: Callable[[Call], Any] = execute,
        *,
        most_waiting: int,
        home: Home,
        stop: Callable[[], object] = lambda: None,
    ) -> None:
        self._name = name
        self._workers = workers
        self._run = run
        self._most = workers.size + most_waiting
        self._home = home
        self._stop = stop
        self._unfinished = 0
        self._lock = runtime.lock()
        self._complaints = Pause(COMPLAINT_PAUSE)

    def submit(self, call: Call) -> Pending:
        """
        Have a call run as soon as there is room.

        Raises:
            QueueFullError: If as many wait as may.
        """
        with self._lock:
            is_full = self._unfinished >= self._most
            self._unfinished += not is_full
        if is_full:
            raise self._refusal(call)
        pending = Pending(self._home)
        self._workers.submit(partial(self._do, call, pending))
        return pending

    def _refusal(self, call: Call) -> QueueFullError:
        error = QueueFullError(
            reason=f"the queue {self._name!r} is full: {self._workers.size} calls run and "
            f"{self._most - self._workers.size} wait; the call {call} was refused. Make the functions quicker, or "
            f"raise SIZE or MOST_WAITING in DTWS_SIO['QUEUES'][{self._name!r}]"
        )
        if self._complaints.is_over():
            logger.warning("%s", error)
        return error

    def _do(self, call: Call, pending: Pending) -> None:
        """Run a call, wherever the workers are; whatever happens, its place is given back."""
        value: Any = None
        failure: Exception | None = None
        try:
            value = self._run(call)
        except (EventError, HandlerFailedError) as error:
            failure = error
        except BaseException as error:  # GreenletExit is no Exception
            logger.exception("the queue %r could not run the call %s", self._name, call)
            failure = HandlerFailedError()
            failure.__cause__ = error
        finally:
            at_home(self._home, partial(self._finish, pending, value, failure))

    def _finish(self, pending: Pending, value: Any, error: BaseException | None) -> None:
        with self._lock:
            self._unfinished -= 1
        pending.settle(value, error)

    def stop(self, seconds: float) -> int:
        """Wait for calls to end, and give how many did not."""
        deadline = time.monotonic() + seconds
        while self._unfinished and time.monotonic() < deadline:
            runtime.sleep(0.005)
        self._stop()
        return self._unfinished


class Pause:
    """The time between two warnings, in seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = float("-inf")

    def is_over(self) -> bool:
        """Tell whether it is over; if so, the next begins."""
        now = time.monotonic()
        if now < self._until:
            return False
        self._until = now + self._seconds
        return True


def make_queue(name: str, options: Queue, home: Home) -> LocalQueue:
    """
    Make a queue of this process.

    Raises:
        ConfigurationError: If its backend does not work under this runtime.
    """
    make = partial(LocalQueue, name, most_waiting=options.most_waiting, home=home)
    if options.backend == "processes" and not is_worker():
        processes = Processes()
        workers = make_pool(options.size or os.cpu_count() or 1)
        return make(workers, processes.run, stop=processes.stop)
    if options.backend == "pool":
        return make(make_pool(options.size or GREENLETS))
    if runtime.current() == "gevent":
        raise ConfigurationError(
            f"DTWS_SIO['QUEUES'][{name!r}] is 'threads', and gevent's objects must not be used from several threads; "
            "use 'processes' for what computes, and 'pool' for what waits"
        )
    size = options.size or THREADS
    if runtime.current() == "eventlet":
        from dtws_sio.engine.threads import HubThread, share_locks

        if isinstance(home, HubThread):
            share_locks(home)
        threads = RealThreads(size)
        return make(threads, stop=threads.stop)
    return make(make_pool(size))
