"""
Where triggered signals go.

Usually that is queues and clients. What stands on the stack here takes their place: the tools of `dtws_sio.testing`,
which record signals, or run functions at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from dtws_sio.signals.calls import Call
    from dtws_sio.signals.queues.pending import Pending
    from dtws_sio.topics import Topic


class Outlet(Protocol):
    """Takes everything that is triggered in this process while it is the last one on the stack."""

    def submit(self, call: Call) -> Pending:
        """Take a call, as `queues.submit` does."""

    def emit(self, topics: list[Topic] | None, message: dict[str, Any]) -> None:
        """Take what is for windows, as `triggers.emit` does."""


_stack: Final[list[Outlet]] = []


def current() -> Outlet | None:
    """Give what takes signals now; None if they go their usual way."""
    return _stack[-1] if _stack else None


def push(outlet: Outlet) -> None:
    """Have an outlet take everything, until `pop`."""
    _stack.append(outlet)


def pop(outlet: Outlet) -> None:
    """
    Have an outlet take nothing more; the one before it goes on.

    Raises:
        RuntimeError: If it is not the last one.
    """
    if current() is not outlet:
        raise RuntimeError(f"{outlet!r} does not take signals now; what was activated last has to be deactivated first")
    _stack.pop()
