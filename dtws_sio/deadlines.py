"""Time limits for many sessions, with one timer."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from dtws_sio.runtime import call_later

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Deadlines(Generic[T]):
    """
    Things that are due a fixed time after they were added.

    As the time is the same for all, they become due in the order in which they came: a queue keeps them sorted, and a
    single timer waits for the first. Nothing is taken out early; whoever is told finds out whether it still matters.

    Args:
        seconds: The time.
        due: Called with each thing when its time has come, and the moment that this was (of `time.monotonic`); it
            must not wait.
    """

    def __init__(self, seconds: float, due: Callable[[T, float], None]) -> None:
        self.seconds = seconds
        self._due = due
        self._queue: deque[tuple[float, T]] = deque()
        self._armed = False

    def add(self, thing: T, since: float | None = None) -> None:
        """Let the time of a thing begin now, or at a moment that is no earlier than that of the thing before it."""
        now = monotonic()
        when = (now if since is None else since) + self.seconds
        self._queue.append((when, thing))
        if not self._armed:
            self._armed = True
            call_later(max(0.0, when - now), self._tick)

    def _tick(self) -> None:
        queue = self._queue
        try:
            while queue and queue[0][0] <= monotonic():
                when, thing = queue.popleft()
                self._due(thing, when)
        finally:
            self._armed = bool(queue)
            if queue:
                call_later(max(0.0, queue[0][0] - monotonic()), self._tick)
