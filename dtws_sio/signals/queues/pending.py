"""What becomes of a queued call: a value, an error, or nothing yet."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from dtws_sio.exceptions import DtwsSioError

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")


class Home(Protocol):
    """The thread in which the queues of this process are; `dtws_sio.engine.threads.HubThread` is one."""

    def is_current(self) -> bool:
        """Tell whether the caller may touch them."""

    def run(self, function: Callable[[], T]) -> T:
        """Have something done there, wait, and give or raise what it did; called from other threads only."""


class Anywhere:
    """The home where locks guard everything: without eventlet."""

    def is_current(self) -> bool:
        """Tell that nothing has to be handed over."""
        return True

    def run(self, function: Callable[[], T]) -> T:
        """Call it here."""
        return function()


ANYWHERE: Final = Anywhere()


def at_home(home: Home, function: Callable[[], T]) -> T:
    """Call a function in the home, from any thread, and give or raise what it did."""
    return function() if home.is_current() else home.run(function)


class StillRunningError(DtwsSioError, TimeoutError):
    """A call had not ended when the caller stopped waiting for it; it goes on."""


class Pending:
    """
    The outcome of a call that may still be to come.

    Args:
        home: Where it is settled.
    """

    def __init__(self, home: Home = ANYWHERE) -> None:
        self._home = home
        self._settled = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    @classmethod
    def of(cls, value: Any) -> Pending:
        """Make one that is settled already."""
        pending = cls()
        pending.settle(value)
        return pending

    @property
    def is_settled(self) -> bool:
        """Tell whether there is an outcome."""
        return self._settled.is_set()

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        """Set the outcome, from any thread."""
        at_home(self._home, partial(self._settle, value, error))

    def _settle(self, value: Any, error: BaseException | None) -> None:
        self._value, self._error = value, error
        self._settled.set()

    def wait(self, timeout: float | None = None) -> Any:
        """
        Give what the call returned, or raise what it raised. From any thread; others run meanwhile.

        Args:
            timeout: Seconds to wait at most; None for as long as it takes.

        Raises:
            StillRunningError: If it took longer.
        """
        return at_home(self._home, partial(self._wait, timeout))

    def _wait(self, timeout: float | None) -> Any:
        if not self._settled.wait(timeout):
            raise StillRunningError(f"the call still ran after {timeout:g} s")
        if self._error is not None:
            raise self._error
        return self._value
