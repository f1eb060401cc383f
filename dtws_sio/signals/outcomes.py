"""What became of a signal: what its functions returned, and why others did not run or failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dtws_sio.dispatch import HandlerFailedError
from dtws_sio.exceptions import EventError

if TYPE_CHECKING:
    from collections.abc import Callable

FAILED: Final = {"code": "handler_failed", "message": "Internal server error"}
"""What a page learns of a function that failed; the rest is in the log."""


@dataclass(slots=True)
class Outcome:
    """
    What became of one signal.

    Attributes:
        results: What the functions returned that ran, in the order in which they are connected.
        errors: Why others did not run, or failed: each has a code, a message and perhaps fields.
    """

    results: list[Any] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there were no errors."""
        return not self.errors

    def note(self, function: Callable[[], Any]) -> None:
        """Do something, and keep what it returns or why it did not; one that fails stops no other."""
        try:
            self.results.append(function())
        except EventError as error:
            self.errors.append(error.answer)
        except HandlerFailedError:  # logged already
            self.errors.append(dict(FAILED))

    def add(self, other: Outcome) -> None:
        """Take in what became of other functions."""
        self.results += other.results
        self.errors += other.errors

    def as_answer(self) -> dict[str, Any]:
        """Give it as a page gets it in the acknowledgement."""
        return {"ok": self.ok, "results": self.results, "errors": self.errors}
