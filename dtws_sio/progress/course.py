"""
The course of a bar: where it stands, and who drives it, from its begin to its end.

All of it happens in the thread of the hub, with `_wire` held, which keeps what is sent in order. Ticks that send
nothing do not come here: see `dtws_sio.progress.counter`.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dtws_sio.exceptions import BarBusyError, Cancelled, EventError
from dtws_sio.progress.counter import Counter
from dtws_sio.progress.display import Display
from dtws_sio.progress.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.progress.board import Board
    from dtws_sio.progress.display import Holder
    from dtws_sio.progress.records import Key
    from dtws_sio.progress.state import Number, State

T = TypeVar("T")

TURN_SECONDS: Final = 0.01
"""Seconds after which a loop that ticks lets others run."""

IDLE_SECONDS: Final = 1.0
"""Seconds after which a bar that no job drives and that does not move is not looked after any more."""

FAILED: Final = "The task failed."
"""What a page is told of an error; what was raised is for the log."""

STOPPED: Final = "The task stopped before its end."
"""What a page is told of a loop that was left."""


class StoppedError(Exception):
    """A loop was left before its end."""


class Course:
    """
    Where a bar stands, and who drives it: one job, or whoever ticks by hand.

    Args:
        find_board: Gives the process's bars.
        key: Names it.
        state: How it begins.
        owner: The key of the user whose it is, if it is a user's.

    Attributes:
        job: The job that drives it.
    """

    def __init__(self, find_board: Callable[[], Board], key: Key, state: State, owner: str | None) -> None:
        self.key = key
        self.counter = Counter()
        self.display = Display(find_board, key, state, owner)
        self.job: object | None = None
        self._find_board = find_board
        self._wire = threading.RLock()  # eventlet and gevent patch it: greenlets wait for each other here
        self._initial = self._state = state
        self._holders = 0
        self._is_begun = False
        self._is_by_hand = False
        self._is_cancelled = False
        self._idle_at = 0.0

    def __repr__(self) -> str:
        state = self.state
        return f"<Bar {self.key.name!r} of {self.key.namespace}: {state.current!r} of {state.max!r}, {state.status}>"

    @property
    def board(self) -> Board:
        """The process's bars."""
        return self._find_board()

    def in_hub(self, function: Callable[..., T], *args: Any) -> T:
        """Call one of the functions below where it belongs, from any thread."""
        result: T = self.board.server.run_here(function, *args)
        return result

    @property
    def state(self) -> State:
        """Where it stands, with what was not told yet."""
        return self.counter.onto(self._state)

    @property
    def has_ended(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self._state.has_ended

    @property
    def declared(self) -> Record:
        """The bar as it is before it begins."""
        return Record(self.key, self._initial, owner=self.display.owner, driver=self.display.driver)

    @property
    def is_driven(self) -> bool:
        """Whether it is here that it is driven."""
        return self.job is not None or self.is_moved_by_hand

    @property
    def is_moved_by_hand(self) -> bool:
        """Whether ticks have begun it, and no job."""
        return self._is_by_hand and self._state.status == "running"

    @property
    def is_to_stop(self) -> bool:
        """Whether somebody cancelled it, here or in another process, or drives it there."""
        return self._is_cancelled or self.display.answer != "driven"

    @property
    def _holder(self) -> Holder:
        if self.job is not None:
            return "job"
        return "hands" if self._is_by_hand else "nobody"

    # Moving

    def change(self, change: Callable[[State], State], is_due: bool = False, is_new: bool = False) -> None:
        """
        Move the bar, which begins it unless it has begun, and tell the pages.

        Args:
            change: What to make of its state; whatever it raises leaves the bar as it is.
            is_due: Whether an update is sent in any case.
            is_new: Whether the bar is shown anew.
        """
        with self._wire:
            self._fold()
            if not self.is_driven:
                self._begin_by_hand(change)
            self._state = change(self._state)
            self._watch()
            if is_new and not self._state.has_ended:
                self._show()
            else:
                self._tell(is_due=is_due)

    def _begin_by_hand(self, change: Callable[[State], State]) -> None:
        """Let the first change begin the bar, unless it is refused."""
        self._claim(has_job=False)
        try:
            self._catch_up()
            change(self._state)
            self._listen()
            self._is_by_hand = True
            if self.key.name is not None:
                self.display.begin(self._state.begun(), self._holder)
        except BaseException:
            self._is_by_hand = False
            self.display.shown = self._state
            self._release()
            raise

    def resize(self, bounds: dict[str, Number]) -> None:
        """Change the range."""
        with self._wire:
            self._fold()
            state = self._state.resized(**bounds)
            if self.is_driven or self.key.name is None or self.display.was_shown:
                self._change_range(state)
            else:
                self._state = self._initial = self.display.shown = state  # nobody sees it yet

    def _change_range(self, state: State) -> None:
        if state.status == "idle":
            self._initial = state
        self._state = state
        if state.has_ended:
            self.display.show(replace(state, status="running"), self._holder)
            self._tell()
        else:
            self._show()

    def reset(self, is_mine: bool) -> None:
        """Put it back to how it was declared; `is_mine` tells whether the job that drives it does so."""
        with self._wire:
            if self.job is not None and not is_mine:
                raise BarBusyError
            self._fold()
            if self.job is None:
                self._claim(has_job=False)
            self._state = self._initial
            self._is_by_hand = False
            self.display.restart(self._state)
            self._show()

    def cancel(self) -> None:
        """Ask whoever drives it here to stop."""
        self._is_cancelled = True

    def stop(self) -> bool:
        """End it as cancelled, unless it has ended; give whether it is."""
        with self._wire:
            self._fold()
            if not self._state.has_ended:
                self._state = self._state.cancelled()
                self._tell()
            return self._state.status == "cancelled"

    # Jobs

    def take(self) -> object:
        """Let a new job have the bar, which does not begin yet. Raises BarBusyError if another one has it."""
        with self._wire:
            if self.job is not None:
                raise BarBusyError
            self._claim(has_job=True)
            self._catch_up()
            self.job, self._holders = object(), 1
            self._listen()
            self._watch()
            return self.job

    def take_again(self) -> None:
        """Let the job have it once more, within itself."""
        with self._wire:
            self._holders += 1

    def begin(self, prepare: Callable[[State], State] | None) -> bool:
        """
        Begin it, unless its job has; give whether it did.

        Args:
            prepare: What to make of the state from which it begins.

        Raises:
            EmitError, NotServingError: If it cannot be shown; the bar is let go then.
        """
        with self._wire:
            if self._is_begun:
                return False
            self._is_begun = True
            try:
                self._fold()
                state = self._state if self.is_moved_by_hand else self._initial
                self._state = (state if prepare is None else prepare(state)).begun()
                self.display.restart(self._state)
                self.display.begin(self._state, self._holder)
                self._arm()
            except BaseException:
                self._give_up()
                raise
            return True

    def _give_up(self) -> None:
        self._is_begun = False
        self._state = self.display.shown = self._initial
        self._holders -= 1
        if not self._holders:
            self.job = None
            self._release()

    def leave(self, error: BaseException | None, ends: bool) -> bool:
        """
        Let go of the bar once; whoever took it first ends the job.

        Args:
            error: What was raised.
            ends: Whether the bar ends with this.

        Returns:
            Whether the job is over.
        """
        with self._wire:
            self._fold()
            self._holders -= 1
            is_last = self._holders == 0
            if ends:
                self._is_begun = False
            # A start that was refused before anything began is for its caller alone.
            is_broken = error is not None and self._state.status == "running"
            if not self._state.has_ended and (ends or (is_last and (is_broken or self.is_to_stop))):
                self._state = self._ended_by(error)
            if is_last:
                self.job = None
                self._is_by_hand = False
            self._tell(is_leaving=is_last)
            return is_last

    def _ended_by(self, error: BaseException | None) -> State:
        has_just_stopped = isinstance(error, (StoppedError, GeneratorExit))
        if isinstance(error, Cancelled) or (self.is_to_stop and (error is None or has_just_stopped)):
            return self._state.cancelled()
        if error is None:
            return self._state.finished()
        if has_just_stopped:
            return self._state.failed(STOPPED)
        return self._state.failed(error.message if isinstance(error, EventError) else FAILED)

    # Having it

    def _claim(self, *, has_job: bool) -> None:
        self.board.claim(self.key, self.display.driver, self, has_job=has_job)

    def _release(self) -> None:
        self.board.release(self.key, self.display.driver)

    def _listen(self) -> None:
        """Forget what was asked of whoever drove it before."""
        self._is_cancelled = False
        self.display.answer = "driven"
        self.display.restart(self._state)

    def _catch_up(self) -> None:
        """Go on from where another process left a namespace's own bar; one that was forgotten is as it was declared."""
        if self.key.name is None and not self._is_by_hand:
            record = self.board.load(self.key) or self.declared
            self._state = self.display.shown = record.state

    # Telling

    def _fold(self) -> None:
        self._state = self.counter.taken_onto(self._state)

    def show(self, sid: str) -> Record:
        """Show it to one client, between two other things that it tells; give what it was shown."""
        with self._wire:
            return self.display.show_to(sid, self._holder)

    def show_again(self, to: str | None) -> None:
        """Show it anew to everybody who sees it, or to one client."""
        with self._wire:
            self._fold()
            if to is not None:
                self.display.show_to(to, self._holder)
            elif self._state.has_ended:
                self.display.repeat(self._holder)
            else:
                self._show()

    def _show(self) -> None:
        self.display.show(self._state, self._holder)
        self._arm()

    def _tell(self, *, is_due: bool = False, is_leaving: bool = False) -> None:
        self.display.tell(self._state, self._holder, is_due=is_due, is_leaving=is_leaving)
        self._arm()

    def _arm(self) -> None:
        """Say how far ticks may go without being looked at."""
        if self._state.status == "running" and self.is_driven:
            self.counter.allow(self._state, min(self.display.due, monotonic() + TURN_SECONDS))
        else:
            self.counter.forbid()

    def _watch(self) -> None:
        self._idle_at = monotonic() + IDLE_SECONDS
        self.board.pulse.add(self)

    def beat(self) -> None:
        """Tell what is due, and ask whether somebody cancelled it; called many times a second while it moves."""
        with self._wire:
            self._fold()
            self._tell()
            self.poll()
            if self.job is None and monotonic() >= self._idle_at and self._state == self.display.shown:
                self.counter.forbid()
                if self.counter.is_empty:
                    self.board.pulse.discard(self)

    def poll(self) -> None:
        """Ask, if that was not done for a while, whether another process wants it to stop."""
        with self._wire:
            if self.is_driven:
                self.display.poll(self._holder)
