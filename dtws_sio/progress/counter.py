"""
What ticks have counted and nobody was told of.

`Bar.tick` counts here by itself where it need not be looked at: a call would make it slower by a tenth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dtws_sio import runtime
from dtws_sio.progress.state import LARGEST

if TYPE_CHECKING:
    from dtws_sio.progress.state import Number, State

NONE: Final = -1
"""A number that no steps stay below, so that each tick is looked at."""


class Counter:
    """
    Steps, and the last label; from any thread.

    Attributes:
        lock: Held by whoever counts or takes.
        steps: How many there are.
        label: The last one; None if there is none.
        most: What they have to stay below.
        until: When counting has to end, by the clock `time.monotonic`.
    """

    __slots__ = ("label", "lock", "most", "steps", "until")

    def __init__(self) -> None:
        self.lock = runtime.thread_lock()
        self.steps = 0
        self.label: str | None = None
        self.most: Number = NONE
        self.until = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether everything that was counted has been taken."""
        return not self.steps and self.label is None

    def onto(self, state: State) -> State:
        """Give a state with what was counted since; one that has ended moves no more."""
        return _moved(state, self.steps, self.label)

    def taken_onto(self, state: State) -> State:
        """Give it likewise, and begin to count anew."""
        with self.lock:
            steps, label = self.steps, self.label
            self.steps, self.label = 0, None
        return _moved(state, steps, label)

    def allow(self, state: State, until: float) -> None:
        """Let ticks count until shortly before the end of a state, or until a moment."""
        left = min(state.left, LARGEST)
        with self.lock:
            self.until = until
            # A float may come to its end a thousandth of a step early.
            self.most = left - 1 if isinstance(left, float) else left

    def forbid(self) -> None:
        """Have each tick looked at."""
        with self.lock:
            self.most = NONE


def _moved(state: State, steps: int, label: str | None) -> State:
    return state if state.has_ended or not (steps or label is not None) else state.advanced(steps, label)
