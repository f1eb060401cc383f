"""
`Bar`: what drives a progress bar, from a handler, a view, a command, a thread or a task of another process.

Behind it, each in a module of its name: the counter of the ticks that send nothing, the course from begin to end, the
display of it to pages, and the jobs. Everything but the counter happens in the thread of the hub.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from django.utils.functional import Promise

from dtws_sio import runtime
from dtws_sio.exceptions import Cancelled, NotRunningError
from dtws_sio.progress.course import TURN_SECONDS, Course
from dtws_sio.progress.jobs import Jobs
from dtws_sio.progress.tracking import track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from typing_extensions import Self

    from dtws_sio.progress.board import Board
    from dtws_sio.progress.records import Key, Record
    from dtws_sio.progress.state import Number, State

T = TypeVar("T")


class Bar:
    """
    One progress bar, which one job drives at a time.

        with self.bar("rows", room=sid, max=len(rows)) as bar:
            for row in rows:
                bar.tick(row.name)

    `with` begins it, and finishes it, or fails it if the block raises. `track` does so around a loop, `start` around a
    function that runs beside the caller. Who begins a second job meanwhile, here or in another process, gets
    `BarBusyError`, which answers a page with the code "busy". Without any of them the first `tick` or `set` begins the
    bar, and the last finishes it.

    Made by `ProgressBarMixin.bar` and `dtws_sio.progress.bar`.

    Args:
        find_board: Gives the process's bars.
        key: Names it.
        state: How it begins.
        owner: The key of the user whose it is, if it is a user's.

    Source: rows P-01 to P-13.
    """

    def __init__(self, find_board: Callable[[], Board], key: Key, state: State, *, owner: str | None = None) -> None:
        self.key = key
        self.owner = owner
        self._course = Course(find_board, key, state, owner)
        self._jobs = Jobs(self._course)
        self._counter = self._course.counter
        self._levels: list[bool] = []
        self._turn_at = 0.0

    def __repr__(self) -> str:
        return repr(self._course)

    # What it shows

    @property
    def name(self) -> str | None:
        """Its name; None for the namespace's own bar."""
        return self.key.name

    @property
    def room(self) -> str | None:
        """The room of those who see it; None for the whole namespace."""
        return self.key.room

    @property
    def state(self) -> State:
        """Where it stands, with what was not told yet."""
        return self._course.state

    @property
    def declared(self) -> Record:
        """The bar as it is before it begins."""
        return self._course.declared

    @property
    def status(self) -> str:
        """Whether it is "idle", "running", "done", "failed" or "cancelled"."""
        return self.state.status

    @property
    def indeterminate(self) -> bool:
        """Whether nobody knows where it ends."""
        return self.state.indeterminate

    @property
    def label(self) -> str:
        """The text beside it."""
        return self.state.label

    @property
    def current(self) -> Number:
        """Where it is; assigning is `set`. Source: row P-02."""
        return self.state.current

    @current.setter
    def current(self, value: Number) -> None:
        self.set(value)

    @property
    def min(self) -> Number:
        """Where it begins; may be changed while it runs."""
        return self.state.min

    @min.setter
    def min(self, value: Number) -> None:
        self._resize(min=value)

    @property
    def max(self) -> Number:
        """Where it is done; may be changed while it runs, also to less than what was done already."""
        return self.state.max

    @max.setter
    def max(self, value: Number) -> None:
        self._resize(max=value)

    def is_done(self) -> bool:
        """Tell whether it has come to its end. Source: row P-09."""
        return self.status == "done"

    # What moves it

    def tick(self, label: str | None = None, *, steps: Number = 1) -> None:
        """
        Move the bar forward, to its end at most, and tell the pages that watch it; the last step finishes it.

        At most `PROGRESS_RATE` updates are sent in a second; one that stays behind is sent when its time comes.

        Args:
            label: Text shown beside the bar; None keeps the last one, "" clears it.
            steps: How many of the task's steps were done since the last call; 0 only changes the label.

        Raises:
            BarEndedError: If the bar is done or failed already.
            Cancelled: If it was cancelled already.
            BarBusyError: If this begins the bar, and a job drives it.
            ProgressTypeError, ProgressRangeError: If the label is no string, or steps no number of 0 or more.

        Source: rows P-06 to P-09; the events are handled in static/src/progress.js.
        """
        if type(steps) is int and (label is None or type(label) is str):
            counter = self._counter
            with counter.lock:
                counted = counter.steps + steps
                if counted < counter.most and steps >= 0 and monotonic() < counter.until:
                    counter.steps = counted
                    if label is not None:
                        counter.label = label
                    return
        text = _text(label)
        self._change(lambda state: state.advanced(steps, text))

    def set(self, value: Number, label: str | None = None) -> None:
        """
        Put the bar somewhere within its range, and tell the pages; at the end it is done.

        Args:
            value: Where to.
            label: As for `tick`.

        Raises:
            ProgressRangeError: If the value is out of range; an indeterminate bar has none.
            BarEndedError, Cancelled, BarBusyError, ProgressTypeError: As `tick` does.
        """
        text = _text(label)
        self._change(lambda state: state.moved(value, text))

    def reset(self) -> None:
        """
        Put the bar back to how it was declared, and show it so.

        Raises:
            BarBusyError: If a job drives it, and this is not part of it.

        Source: row P-10.
        """
        self._course.in_hub(self._course.reset, self._jobs.is_mine)

    def finish(self, label: str | None = None) -> None:
        """
        Say that the work is done; a bar with a range goes to its end.

        Args:
            label: As for `tick`.

        Raises:
            BarEndedError, Cancelled, BarBusyError, ProgressTypeError: As `tick` does.
        """
        text = _text(label)
        self._change(lambda state: state.finished(text))

    def fail(self, message: str) -> None:
        """
        Say that the work failed.

        Args:
            message: What the page may show. Never put internals into it.

        Raises:
            BarEndedError, Cancelled, BarBusyError, ProgressTypeError: As `tick` does.
        """
        text = _text(message)
        self._change(lambda state: state.failed(text))

    def emit_init(self, to: str | None = None) -> None:
        """
        Show the bar anew, to everybody who sees it or to one client. Source: row P-05.

        Args:
            to: The client's sid.
        """
        self._course.in_hub(self._course.show_again, to)

    def emit_update(self, label: str | None = None) -> None:
        """
        Tell the pages where the bar is, at once and even if it did not move.

        Args:
            label: As for `tick`.

        Raises:
            BarEndedError, Cancelled, BarBusyError, ProgressTypeError: As `tick` does.

        Source: row P-07.
        """
        text = _text(label)
        self._change(lambda state: state.advanced(0, text), is_due=True)

    def emit_done(self) -> None:
        """
        Say that the work is done, unless that was said. Source: row P-08.

        Raises:
            BarEndedError, Cancelled: If it failed or was cancelled.
        """
        if not self.is_done():
            self.finish()

    # Cancelling

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants the job to stop; ask as often as you like."""
        self._give_way()
        course = self._course
        if course.is_moved_by_hand and course.display.is_poll_due:
            course.in_hub(course.poll)  # the pulse looks after it while it moves only
        return course.is_to_stop or self.status == "cancelled"

    def check(self) -> None:
        """
        Stop here if somebody cancelled the bar.

        Raises:
            Cancelled: If so; the pages are told.
        """
        if self.cancelled and self._course.in_hub(self._course.stop):
            raise Cancelled

    def cancel(self) -> None:
        """
        Ask whoever drives the bar, in whichever process, to stop.

        Raises:
            NotRunningError: If nobody does.
        """
        if self.is_driven:
            self._course.cancel()
            return
        board = self._course.board
        record = board.load(self.key)
        if record is None:
            raise NotRunningError
        board.cancel(record)

    @property
    def is_driven(self) -> bool:
        """Whether it is here that it is driven."""
        return self._course.is_driven

    # Jobs

    def __enter__(self) -> Self:
        self._levels.append(self._jobs.enter())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._jobs.leave(error, ends=self._levels.pop())

    def track(
        self,
        things: Iterable[T],
        label: str | Callable[[T], str] | None = None,
        *,
        total: Number | None = None,
    ) -> Iterator[T]:
        """
        Give the things one by one, and tick after each.

        Around the loop the bar begins and finishes; within `with bar:` it only ticks. A bar that was given no `max`
        takes its range from the number of things, and is indeterminate where nobody can tell it. A loop that is left
        early fails the bar: say `finish()` before `break` if that is its end.

        Args:
            things: What to go through.
            label: Shown beside the bar: a text, or a function that gives one for each thing.
            total: How many things there are, where `len(things)` does not tell.

        Raises:
            Cancelled: From the loop, once somebody cancelled the bar.
            BarBusyError: From the loop, if a job drives the bar already.
        """
        return track(self, self._course, self._jobs, things, label=label, total=total)

    def start(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """
        Run a function beside the caller as the bar's job: it begins the bar, and its end finishes or fails it.

        Args:
            target: The function; what it raises is logged.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Raises:
            BarBusyError: At once, if a job drives the bar already.
            RuntimeError: If no thread can be started; the bar has failed then.
        """
        self._jobs.start(partial(target, *args, **kwargs))

    def held(self) -> AbstractContextManager[None]:
        """
        Keep others from driving the bar, which it does not begin; what the block raises fails it if its work has begun.

        Raises:
            BarBusyError: If a job drives it already.
        """
        return self._jobs.held()

    # How

    def _change(self, change: Callable[[State], State], *, is_due: bool = False) -> None:
        self._course.in_hub(self._course.change, change, is_due)
        self._give_way()

    def _resize(self, **bounds: Number) -> None:
        self._course.in_hub(self._course.resize, bounds)
        self._give_way()

    def _give_way(self) -> None:
        """Let others run, once in a while, so that what is sent leaves while a loop goes on."""
        now = monotonic()
        if now >= self._turn_at and self._course.board.server.is_here():
            self._turn_at = now + TURN_SECONDS
            runtime.sleep(0)


def _text(label: Any) -> Any:
    """Give a translation that waits for its language as text; what is no text is found out later."""
    return str(label) if isinstance(label, Promise) else label
