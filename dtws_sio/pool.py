"""Where handlers run: a bounded pool, and the mailboxes that keep one client's events in order."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from dtws_sio import runtime

Job = Callable[[], Any]

LONG_WAIT: Final = 1.0
"""Seconds after which a job that waits for a place in the pool is worth a warning."""

NAMED_HOLDERS: Final = 5
"""Handlers that such a warning names."""

COMPLAINT_PAUSE: Final = 60.0
"""Seconds between two such warnings."""

logger = logging.getLogger("dtws_sio.pool")


class Mailbox:
    """
    The jobs of one client in one namespace: one runs, the others wait and keep their order.

    A turn is one job; the next one then goes behind those of others that wait for the pool. Made by `Pool.mailbox`.
    """

    __slots__ = ("_is_busy", "_jobs", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._jobs: deque[Job] = deque()
        self._is_busy = False

    def __len__(self) -> int:
        """How many jobs wait, the one that runs not counted."""
        return len(self._jobs)

    def put(self, job: Job) -> bool:
        """Have a job run after those before it; True if it has to wait for one."""
        self._jobs.append(job)
        if self._is_busy:
            return True
        self._is_busy = True
        self._pool.submit(self)
        return False

    def take(self) -> Job:
        """Give the job whose turn it is; called by the pool."""
        return self._jobs.popleft()

    def has_more(self) -> bool:
        """Tell, after a job, whether another one waits; called by the pool."""
        self._is_busy = bool(self._jobs)
        return self._is_busy


class WideMailbox(Mailbox):
    """
    Jobs of which a few may run at once; the others wait and keep their order.

    It asks the pool for as many turns as there are jobs, up to its width, and each turn takes the job that is first
    then. One that ends goes on if there are more jobs than turns that have yet to begin.

    Args:
        pool: Where they run.
        width: How many run at once at most.
    """

    __slots__ = ("_begun", "_turns", "_width")

    def __init__(self, pool: Pool, width: int) -> None:
        super().__init__(pool)
        self._width = width
        self._turns = 0
        self._begun = 0

    def put(self, job: Job) -> bool:
        """Have a job run; True if it has to wait for one of those before it."""
        self._jobs.append(job)
        if self._turns == self._width:
            return True
        self._turns += 1
        self._pool.submit(self)
        return False

    def take(self) -> Job:
        """Give the job whose turn it is; called by the pool."""
        self._begun += 1
        return self._jobs.popleft()

    def has_more(self) -> bool:
        """Tell, after a job, whether its turn goes on; called by the pool."""
        self._begun -= 1
        if len(self._jobs) > self._turns - self._begun - 1:
            return True
        self._turns -= 1
        return False


class Load:
    """
    What one connection gave us to do and is not done: beyond the bounds it is read no more, until all of it is.

    Args:
        most_jobs: Jobs that may wait or run.
        most_bytes: Bytes that they may hold; a single one may hold more.
        pause: Stops the reading.
        resume: Lets it go on.
    """

    __slots__ = ("_bytes", "_is_paused", "_jobs", "_most_bytes", "_most_jobs", "_pause", "_resume")

    def __init__(
        self, most_jobs: int, most_bytes: int, pause: Callable[[], object], resume: Callable[[], object]
    ) -> None:
        self._most_jobs = most_jobs
        self._most_bytes = most_bytes
        self._pause = pause
        self._resume = resume
        self._jobs = 0
        self._bytes = 0
        self._is_paused = False

    def add(self, size: int) -> None:
        """Count a job that holds so many bytes."""
        self._jobs += 1
        self._bytes += size
        if self._is_paused or self._jobs == 1:
            return
        if self._jobs > self._most_jobs or self._bytes > self._most_bytes:
            self._is_paused = True
            self._pause()

    def done(self, size: int) -> None:
        """Count it no more."""
        self._jobs -= 1
        self._bytes -= size
        if self._is_paused and not self._jobs:
            self._is_paused = False
            self._resume()


class Pool:
    """
    Run jobs beside the caller, a bounded number at once; the others wait in the order they came.

    `submit` never blocks, so it may be called where nothing may wait, such as the hub. This class is for eventlet, as
    greenlets are not interrupted in the middle of a method; `ThreadPool` is for threads. `make_pool` makes one.

    Args:
        size: How many jobs run at once at most.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._start = runtime.starter(self._work)
        self._waiting: deque[tuple[float, Job | Mailbox]] = deque()
        self._running = 0
        self._at_work: set[Job] = set()
        self._next_complaint = 0.0

    def mailbox(self, width: int = 1) -> Mailbox:
        """Make a mailbox whose jobs run here, so many of them at once."""
        return Mailbox(self) if width == 1 else WideMailbox(self, width)

    def submit(self, work: Job | Mailbox) -> None:
        """Have a job run, or the next one of a mailbox, as soon as there is room; what it raises is logged."""
        if self._running < self.size:
            self._running += 1
            self._start(work)
        else:
            self._waiting.append((time.monotonic(), work))
            self._complain()

    def _work(self, work: Job | Mailbox) -> None:
        """Be a worker: run one thing after the other, until nothing waits."""
        while True:
            job = work.take() if isinstance(work, Mailbox) else work
            self._at_work.add(job)
            _run(job)
            self._at_work.discard(job)
            following = self._following(work)
            if following is None:
                return
            work = following
            runtime.sleep()  # jobs that never wait must not keep the connections from being read

    def _following(self, work: Job | Mailbox) -> Job | Mailbox | None:
        if isinstance(work, Mailbox) and work.has_more():
            if not self._waiting:
                return work
            self._waiting.append((time.monotonic(), work))
        if self._waiting:
            return self._waiting.popleft()[1]
        self._running -= 1
        return None

    def _complain(self) -> None:
        now = time.monotonic()
        if now > self._next_complaint and now - self._waiting[0][0] > LONG_WAIT:
            self._next_complaint = now + COMPLAINT_PAUSE
            runtime.spawn(
                logger.warning,
                "all %d places of the handler pool have been taken for over %g s, by %s, and %d events wait; handlers "
                "that block for long belong into background tasks, or DTWS_SIO['HANDLER_POOL'] is too small",
                self.size,
                LONG_WAIT,
                self._holders(),
                len(self._waiting),
            )

    def _holders(self) -> str:
        """Name what runs, the most frequent first."""
        counted = Counter(map(_name, tuple(self._at_work))).most_common(NAMED_HOLDERS)
        return ", ".join(f"{name} ({count})" for name, count in counted)

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no job runs or waits; return False if that took longer than the given time."""
        deadline = time.monotonic() + seconds
        while self._running and time.monotonic() < deadline:
            runtime.sleep(0.002)
        return not self._running


def _name(job: Job) -> str:
    """Name a job by the handler that it runs: the first of its arguments that has a function."""
    handlers = (each.function for each in getattr(job, "args", ()) if hasattr(each, "function"))
    return str(getattr(next(handlers, job), "__qualname__", "another job"))


def _run(job: Job) -> None:
    try:
        job()
    except KeyboardInterrupt:
        raise
    except BaseException:
        # eventlet.Timeout and GreenletExit are no Exceptions, and must not cost the pool a place.
        logger.exception("a job of the handler pool failed")


class ThreadPool(Pool):
    """A pool whose workers are threads, and may be interrupted anywhere: one lock guards it and its mailboxes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.lock = threading.RLock()

    def mailbox(self, width: int = 1) -> Mailbox:
        """Make a mailbox whose jobs run here, so many of them at once."""
        return _ThreadMailbox(self) if width == 1 else _WideThreadMailbox(self, width)

    def submit(self, work: Job | Mailbox) -> None:
        """Have a job run, or the next one of a mailbox, as soon as there is room; what it raises is logged."""
        with self.lock:
            super().submit(work)

    def _following(self, work: Job | Mailbox) -> Job | Mailbox | None:
        with self.lock:
            return super()._following(work)


class _ThreadMailbox(Mailbox):
    __slots__ = ()
    _pool: ThreadPool

    def put(self, job: Job) -> bool:
        with self._pool.lock:
            return super().put(job)

    def take(self) -> Job:
        with self._pool.lock:
            return super().take()


class _WideThreadMailbox(_ThreadMailbox, WideMailbox):
    __slots__ = ()


def make_pool(size: int) -> Pool:
    """Make the pool that fits how this process runs."""
    return Pool(size) if runtime.current() == "eventlet" else ThreadPool(size)
