"""
Calls from other threads.

A hub belongs to the thread that runs it, and its data may only be touched there. What another thread of the operating
system wants done, such as an emit from `eventlet.tpool`, is handed over through a pipe and done by a greenlet.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from eventlet import greenthread, lock, patcher, semaphore

if TYPE_CHECKING:
    from collections.abc import Callable

_threading = patcher.original("threading")
_get_ident = patcher.original("_thread").get_ident
"""The unpatched one: the other tells greenlets apart."""

T = TypeVar("T")


class HubThread:
    """The thread that it is made in, for others to have things done there."""

    def __init__(self) -> None:
        self.ident: int = _get_ident()
        self._calls: deque[Callable[[], None]] = deque()
        self.is_closed = False
        reader, self._wakeup = os.pipe()
        greenthread.spawn_n(self._serve, reader)

    def is_current(self) -> bool:
        """Tell whether the caller is in that thread."""
        return bool(_get_ident() == self.ident)

    def _serve(self, reader: int) -> None:
        while os.read(reader, 4096):
            while self._calls:
                greenthread.spawn_n(self._calls.popleft())
        os.close(reader)

    def close(self) -> None:
        """Take no more calls; also if called twice."""
        if not self.is_closed:
            self.is_closed = True
            os.close(self._wakeup)

    def run(self, function: Callable[[], T]) -> T:
        """
        Call a function in that thread, wait until it has ended, and give or raise what it did.

        Raises:
            RuntimeError: If it takes no more calls.
        """
        if self.is_closed:
            raise RuntimeError("this process has stopped serving; nothing can be done in its hub any more")
        done = _threading.Event()
        outcome: list[Any] = []

        def call() -> None:
            try:
                outcome.extend((function(), None))
            except BaseException as error:  # eventlet.Timeout and GreenletExit are no Exceptions
                outcome.extend((None, error))
            finally:
                done.set()

        self._calls.append(call)
        os.write(self._wakeup, b"\0")
        done.wait()
        value, error = outcome
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]


def share_locks(home: HubThread) -> None:
    """
    Make locks safe to share between greenlets and threads of the operating system, from now on.

    A patched process has eventlet's locks everywhere, those of `logging` among them. They are for one thread: what
    waits for one that another thread holds is woken by the wrong hub, and waits for ever. Eight threads and greenlets
    that log hang within a second. Therefore other threads have the hub's thread take and give back locks for them. It
    costs them about 0.1 ms each time, and the hub's own greenlets a comparison. Once the home is closed, it is as it
    was.

    Args:
        home: The hub's thread.

    Source: eventlet/semaphore.py, Semaphore.release schedules the waiting greenlet in the hub of whoever calls it.
    """
    if not hasattr(semaphore.Semaphore, _SHARED):
        semaphore.Semaphore.acquire = _by_hub(semaphore.Semaphore.acquire, home)
        semaphore.Semaphore.release = _by_hub(semaphore.Semaphore.release, home)
        lock.Lock.release = _by_hub(lock.Lock.release, home)
    setattr(semaphore.Semaphore, _SHARED, home)


_SHARED = "_dtws_sio_home"
"""The attribute in which eventlet's class keeps whose thread its objects belong to."""


def _by_hub(method: Callable[..., bool], home: HubThread) -> Callable[..., bool]:
    ident = home.ident

    @wraps(method)
    def shared(self: Any, *args: Any, **kwargs: Any) -> bool:
        there: HubThread = getattr(semaphore.Semaphore, _SHARED)
        if _get_ident() == ident or there.is_closed:
            return method(self, *args, **kwargs)
        return there.run(partial(method, self, *args, **kwargs))

    return shared
