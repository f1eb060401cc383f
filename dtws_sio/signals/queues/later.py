"""
Things to do later, in this process: one heap, and one timer for the first of them.

They live in memory: what is still to come when the process ends is lost, and said so.
"""

from __future__ import annotations

import heapq
import logging
import time
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from dtws_sio import runtime
from dtws_sio.exceptions import QueueFullError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("dtws_sio.queues")

MOST: Final = 10_000
"""Things that may wait for their time in a process; each is some hundred bytes, and what it will send."""

LONGEST_SLEEP: Final = 60.0
"""Seconds after which the clock is looked at again; it may have been set meanwhile."""


class Later:
    """
    Calls of functions at given moments, beside everything else: those of a moment one after the other.

    Args:
        most: How many may wait.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._heap: list[tuple[float, int, str, Callable[[], object]]] = []
        self._numbers = count()
        self._lock = runtime.lock()
        self._wakes_at = float("inf")
        self._cancel: Callable[[], object] = lambda: None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._heap)

    def at(self, when: float, name: str, function: Callable[[], object]) -> None:
        """
        Have a function called at a moment, or at once if that has passed.

        Args:
            when: Seconds since the epoch.
            name: What it is, for the log.
            function: What to call. It should not take long, as what is due with it waits; what it raises is logged.

        Raises:
            QueueFullError: If too many wait already.
        """
        with self._lock:
            if len(self._heap) >= self.most:
                raise QueueFullError(
                    reason=f"{self.most} calls wait for their time in this process, which is the limit; send what is "
                    "delayed for long through a Celery queue"
                )
            heapq.heappush(self._heap, (when, next(self._numbers), name, function))
            self._arm()

    def clear(self) -> int:
        """Forget all that wait, and give how many they were."""
        with self._lock:
            lost = len(self._heap)
            self._heap.clear()
            self._cancel()
            self._wakes_at = float("inf")
        return lost

    def _arm(self) -> None:
        """Have the timer wait for the first one; the lock is held."""
        if not self._heap or self._heap[0][0] >= self._wakes_at:
            return
        self._cancel()
        self._wakes_at = self._heap[0][0]
        self._cancel = runtime.call_later(min(max(0.0, self._wakes_at - time.time()), LONGEST_SLEEP), self._wake)

    def _wake(self) -> None:
        """Start what is due. This may be the hub: nothing here waits, or logs."""
        with self._lock:
            self._wakes_at = float("inf")
            due = self._due(time.time())
            self._arm()
        if due:
            runtime.spawn(partial(_call, due))

    def _due(self, now: float) -> list[tuple[str, Callable[[], object]]]:
        due = []
        while self._heap and self._heap[0][0] <= now:
            _, _, name, function = heapq.heappop(self._heap)
            due.append((name, function))
        return due


def _call(due: list[tuple[str, Callable[[], object]]]) -> None:
    for name, function in due:
        try:
            function()
        except KeyboardInterrupt:
            raise
        except BaseException:
            logger.exception("%s was delayed, and failed when its time had come", name)
