"""
Jobs: one has a bar from its begin to its end, and whatever it calls may go on within it.

Which jobs the running code belongs to is known by its context, as of `contextvars`.
"""

from __future__ import annotations

import contextvars
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.utils import translation

from dtws_sio import dispatch, runtime
from dtws_sio.exceptions import BarBusyError, Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dtws_sio.progress.course import Course
    from dtws_sio.progress.state import State

logger = logging.getLogger("dtws_sio.progress")

_mine: contextvars.ContextVar[frozenset[object]] = contextvars.ContextVar("dtws_sio_jobs", default=frozenset())
"""The jobs of this context: what belongs to one may go on where others are told that the bar is busy."""


class Jobs:
    """
    The jobs of one bar.

    Args:
        course: The bar's.
    """

    def __init__(self, course: Course) -> None:
        self._course = course

    @property
    def is_mine(self) -> bool:
        """Whether the job that drives the bar is this context's."""
        return self._course.job is not None and self._course.job in _mine.get()

    def hold(self) -> None:
        """Have the bar, once more if this context's job has it already. Raises BarBusyError if another one does."""
        if self.is_mine:
            self._course.in_hub(self._course.take_again)
        else:
            _mine.set(_mine.get() | {self._course.in_hub(self._course.take)})

    def enter(self, prepare: Callable[[State], State] | None = None) -> bool:
        """
        Begin a job, or go on within one.

        Args:
            prepare: What to make of the state in which the bar begins.

        Returns:
            Whether the bar ends with this.

        Raises:
            BarBusyError: If another job drives it.
            EmitError, NotServingError: If nobody can be told that it begins.
        """
        self.hold()
        job = self._course.job
        try:
            return self._course.in_hub(self._course.begin, prepare)
        except BaseException:
            if self._course.job is not job:
                _mine.set(_mine.get() - {job})
            raise

    def leave(self, error: BaseException | None, *, ends: bool) -> None:
        """Undo `hold`, or `enter` with what it gave; `error` is what was raised in between."""
        job = self._course.job
        if self._course.in_hub(self._course.leave, error, ends):
            _mine.set(_mine.get() - {job})

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from driving the bar, which this does not begin; what the block raises fails it."""
        self.hold()
        try:
            yield
        except BaseException as error:
            self.leave(error, ends=False)
            raise
        else:
            self.leave(None, ends=False)

    def start(self, work: Callable[[], object]) -> None:
        """
        Run a function beside the caller as the bar's job.

        Raises:
            BarBusyError: At once, if a job drives the bar already.
            RuntimeError: If no thread can be started; the bar has failed then.
        """
        if not self.enter():
            self.leave(None, ends=False)
            raise BarBusyError
        job = self._course.job
        _mine.set(_mine.get() - {job})
        try:
            runtime.spawn(contextvars.Context().run, self._run, job, work, translation.get_language())
        except BaseException as error:  # there may be no more threads
            self.leave(error, ends=True)
            raise

    def _run(self, job: object, work: Callable[[], object], language: str | None) -> None:
        _mine.set(frozenset({job}))
        error: BaseException | None = None
        try:
            with translation.override(language):
                work()
        except Cancelled as raised:
            error = raised
        except BaseException as raised:
            error = raised
            logger.exception("the job of %r failed", self._course)
        finally:
            self.leave(error, ends=True)
            dispatch.give_back_connections()
