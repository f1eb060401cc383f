"""
Calls from other threads.

A hub belongs to the thread that runs it, and its data may only be touched there. What another thread of the operating
system wants done, such as an emit from `eventlet.tpool`, is handed over through a pipe and done by a greenlet.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from eventlet import greenthread, patcher

if TYPE_CHECKING:
    from collections.abc import Callable

_threading = patcher.original("threading")
_get_ident = patcher.original("_thread").get_ident
"""The unpatched one: the other tells greenlets apart."""

T = TypeVar("T")


class HubThread:
    """The thread that it is made in, for others to have things done there."""

    def __init__(self) -> None:
        self._ident = _get_ident()
        self._calls: deque[Callable[[], None]] = deque()
        self._is_closed = False
        reader, self._wakeup = os.pipe()
        greenthread.spawn_n(self._serve, reader)

    def is_current(self) -> bool:
        """Tell whether the caller is in that thread."""
        return bool(_get_ident() == self._ident)

    def _serve(self, reader: int) -> None:
        while os.read(reader, 4096):
            while self._calls:
                greenthread.spawn_n(self._calls.popleft())
        os.close(reader)

    def close(self) -> None:
        """Take no more calls; also if called twice."""
        if not self._is_closed:
            self._is_closed = True
            os.close(self._wakeup)

    def run(self, function: Callable[[], T]) -> T:
        """
        Call a function in that thread, wait until it has ended, and give or raise what it did.

        Raises:
            RuntimeError: If it takes no more calls.
        """
        if self._is_closed:
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
