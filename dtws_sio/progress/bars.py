"""
`Bar`: what drives a progress bar, from a handler, a view, a command, a thread or a task of another process.

A tick that sends nothing is only counted; `Bar.tick` is all that runs for it. Everything else happens in the thread of
the hub, with `_wire` held, which keeps what is sent in order.
"""

from __future__ import annotations

import contextvars
import logging
import secrets
import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.utils import translation
from django.utils.functional import Promise

from dtws_sio import conf, dispatch, runtime
from dtws_sio.exceptions import BarBusyError, Cancelled, EventError, NotRunningError
from dtws_sio.progress.records import Record
from dtws_sio.progress.state import (
    LARGEST,
    UNKNOWN,
    Number,
    Pace,
    Speed,
    State,
    end_events,
    init_events,
    update_events,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from dtws_sio.progress.board import Board
    from dtws_sio.progress.records import Key
    from dtws_sio.progress.redis_store import Answer
    from dtws_sio.progress.state import Event

logger = logging.getLogger("dtws_sio.progress")

T = TypeVar("T")

TURN_SECONDS: Final = 0.01
"""Seconds after which a loop that ticks lets others run."""

POLL_SECONDS: Final = 0.5
"""Seconds between two questions to the store whether somebody cancelled a job, if it sends nothing."""

IDLE_SECONDS: Final = 1.0
"""Seconds after which a bar that no job drives and that does not move is not looked after any more."""

FAILED: Final = "The task failed."
"""What a page is told of an error; what was raised is for the log."""

STOPPED: Final = "The task stopped before its end."
"""What a page is told of a loop that was left."""

_NEVER: Final = -1
"""A number of steps that no tick stays below, so that each is looked at."""

_jobs: contextvars.ContextVar[frozenset[object]] = contextvars.ContextVar("dtws_sio_jobs", default=frozenset())
"""The jobs in this context: what belongs to one may go on where others are told that the bar is busy."""


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
        self._find_board = find_board
        self._driver = secrets.token_hex(8)
        self._lock = runtime.lock()
        self._wire = threading.RLock()  # eventlet and gevent patch it: greenlets wait for each other here
        self._initial = self._state = self._shown = state
        # What ticks have counted and nobody was told, and up to where they may without being looked at.
        self._steps = 0
        self._label: str | None = None
        self._quiet_steps: Number = _NEVER
        self._quiet_until = 0.0
        self._due = self._turn_at = self._poll_at = self._idle_at = 0.0
        self._job: object | None = None
        self._holders = 0
        self._levels: list[bool] = []
        self._is_owned = False
        self._is_by_hand = False
        self._is_to_stop = False
        self._is_lost = False
        self._version = 0
        self._pace = Pace()
        self._speed: Speed = UNKNOWN

    def __repr__(self) -> str:
        return f"<Bar {self.key.name!r} of {self.key.namespace}: {self.current!r} of {self.max!r}, {self.status}>"

    @property
    def _board(self) -> Board:
        return self._find_board()

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
        state, steps, label = self._state, self._steps, self._label
        if state.has_ended or not (steps or label is not None):
            return state
        return state.advanced(steps, label)

    @property
    def status(self) -> str:
        """Whether it is "idle", "running", "done", "failed" or "cancelled"."""
        return self.state.status

    @property
    def indeterminate(self) -> bool:
        """Whether nobody knows where it ends."""
        return self._state.indeterminate

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
        return self._state.min

    @min.setter
    def min(self, value: Number) -> None:
        self._resize(min=value)

    @property
    def max(self) -> Number:
        """Where it is done; may be changed while it runs, also to less than what was done already."""
        return self._state.max

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
            with self._lock:
                taken = self._steps + steps
                if taken < self._quiet_steps and steps >= 0 and monotonic() < self._quiet_until:
                    self._steps = taken
                    if label is not None:
                        self._label = label
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
        self._in_hub(self._reset, self._is_mine())

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
        self._in_hub(self._emit_init, to)

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
        if self._is_by_hand and monotonic() >= self._poll_at:
            self._in_hub(self._poll)  # the pulse looks after it while it moves only
        return self._is_to_stop or self._state.status == "cancelled"

    def check(self) -> None:
        """
        Stop here if somebody cancelled the bar.

        Raises:
            Cancelled: If so; the pages are told.
        """
        if self.cancelled and self._in_hub(self._stop):
            raise Cancelled

    def cancel(self) -> None:
        """
        Ask whoever drives the bar, in whichever process, to stop.

        Raises:
            NotRunningError: If nobody does.
        """
        if self.is_driven:
            self._is_to_stop = True
            return
        record = self._board.load(self.key)
        if record is None:
            raise NotRunningError
        self._board.cancel(record)

    @property
    def is_driven(self) -> bool:
        """Whether it is here that it is driven."""
        return self._job is not None or (self._is_by_hand and self._state.status == "running")

    # Jobs

    def __enter__(self) -> Self:
        self._levels.append(self._enter())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit(error, ends=self._levels.pop())

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
        count = _length(things) if total is None else total

        def size(state: State) -> State:
            return state.sized(count)

        ends = self._enter(size)
        try:
            if not ends and count != 0 and size(self.state) != self.state:
                self._change(size, is_new=True)
            if isinstance(label, (str, Promise)):
                self.tick(str(label), steps=0)
            name = label if callable(label) else _nothing
            for thing in things:
                self.check()
                text = name(thing)
                if text is not None and not self._state.has_ended:
                    self.tick(text, steps=0)
                yield thing
                if not self._state.has_ended:
                    self.tick()
            self.check()
        except GeneratorExit:
            self._exit(_StoppedError() if ends else None, ends=ends)
            raise
        except BaseException as error:
            self._exit(error, ends=ends)
            raise
        else:
            self._exit(None, ends=ends)

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
        if not self._enter():
            self._exit(None, ends=False)
            raise BarBusyError
        job = self._job
        _jobs.set(_jobs.get() - {job})
        work = partial(target, *args, **kwargs)
        try:
            runtime.spawn(contextvars.Context().run, self._work, job, work, translation.get_language())
        except BaseException as error:  # there may be no more threads
            self._exit(error, ends=True)
            raise

    def _work(self, job: object, target: Callable[[], object], language: str | None) -> None:
        _jobs.set(frozenset({job}))
        error: BaseException | None = None
        try:
            with translation.override(language):
                target()
        except Cancelled as raised:
            error = raised
        except BaseException as raised:
            error = raised
            logger.exception("the job of %r failed", self)
        finally:
            self._exit(error, ends=True)
            dispatch.give_back_connections()

    @contextmanager
    def held(self) -> Iterator[None]:
        """
        Keep others from driving the bar, which it does not begin; what the block raises fails it.

        Raises:
            BarBusyError: If a job drives it already.
        """
        self._hold()
        try:
            yield
        except BaseException as error:
            self._exit(error, ends=False)
            raise
        else:
            self._exit(None, ends=False)

    def _is_mine(self) -> bool:
        """Tell whether the job that drives it is this context's."""
        return self._job is not None and self._job in _jobs.get()

    def _hold(self) -> None:
        if self._is_mine():
            with self._lock:
                self._holders += 1
            return
        self._in_hub(self._take)
        _jobs.set(_jobs.get() | {self._job})

    def _take(self) -> None:
        with self._wire:
            if self._job is not None:
                raise BarBusyError
            self._board.claim(self.key, self._driver, self, has_job=True)
            self._catch_up()
            self._job, self._holders = object(), 1
            self._is_to_stop = self._is_lost = False
            self._restart()
            self._watch()

    def _enter(self, prepare: Callable[[State], State] | None = None) -> bool:
        """Begin a job from a prepared state, or go on within one; give whether the job ends with this."""
        self._hold()
        if self._is_owned:
            return False
        self._is_owned = True
        try:
            self._in_hub(self._begin, prepare)
        except BaseException:
            self._is_owned = False
            self._in_hub(self._give_up)
            raise
        return True

    def _begin(self, prepare: Callable[[State], State] | None) -> None:
        with self._wire:
            self._fold()
            state = self._state if self._is_by_hand and self._state.status == "running" else self._initial
            self._state = (state if prepare is None else prepare(state)).begun()
            self._restart()
            self._show(quietly=False)

    def _give_up(self) -> None:
        with self._wire:
            self._state = self._shown = self._initial
            self._holders -= 1
            if not self._holders:
                self._job = None
                self._board.release(self.key, self._driver)

    def _exit(self, error: BaseException | None, *, ends: bool) -> None:
        job = self._job
        is_last = self._in_hub(self._leave, error, ends)
        if is_last:
            _jobs.set(_jobs.get() - {job})

    def _leave(self, error: BaseException | None, ends: bool) -> bool:
        with self._wire:
            self._fold()
            with self._lock:
                self._holders -= 1
                is_last = self._holders == 0
            if ends:
                self._is_owned = False
            # A start that was refused before anything began is for its caller alone.
            is_broken = error is not None and self._state.status == "running"
            if not self._state.has_ended and (ends or (is_last and (is_broken or self._is_to_stop))):
                self._state = self._ended_by(error)
            if is_last:
                self._job = None
                self._is_by_hand = False
            self._send(is_leaving=is_last)
            return is_last

    def _ended_by(self, error: BaseException | None) -> State:
        has_just_stopped = isinstance(error, (_StoppedError, GeneratorExit))
        if isinstance(error, Cancelled) or (self._is_to_stop and (error is None or has_just_stopped)):
            return self._state.cancelled()
        if error is None:
            return self._state.finished()
        if has_just_stopped:
            return self._state.failed(STOPPED)
        return self._state.failed(error.message if isinstance(error, EventError) else FAILED)

    # In the thread of the hub

    def _in_hub(self, function: Callable[..., T], *args: Any) -> T:
        result: T = self._board.server.run_here(function, *args)
        return result

    def _change(self, change: Callable[[State], State], *, is_due: bool = False, is_new: bool = False) -> None:
        self._in_hub(self._apply, change, is_due, is_new)
        self._give_way()

    def _apply(self, change: Callable[[State], State], is_due: bool, is_new: bool) -> None:
        with self._wire:
            self._fold()
            if not self.is_driven:
                self._begin_by_hand(change)
            self._state = change(self._state)
            self._watch()
            if is_new and not self._state.has_ended:
                self._show()
            else:
                self._send(is_due=is_due)

    def _begin_by_hand(self, change: Callable[[State], State]) -> None:
        """Let the first change begin the bar, unless it is refused."""
        self._board.claim(self.key, self._driver, self, has_job=False)
        try:
            self._catch_up()
            change(self._state)
            self._is_to_stop = self._is_lost = False
            self._restart()
            self._is_by_hand = True
            if self.key.name is not None:
                self._show(self._state.begun(), quietly=False)
        except BaseException:
            self._is_by_hand = False
            self._shown = self._state
            self._board.release(self.key, self._driver)
            raise

    def _catch_up(self) -> None:
        """Go on from where another process left a namespace's own bar; one that was forgotten is as it was declared."""
        if self.key.name is None and not self._is_by_hand:
            record = self._board.load(self.key) or self.declared
            self._state = self._shown = record.state

    def _restart(self) -> None:
        self._due = 0.0
        self._pace = Pace()
        self._speed = self._pace.speed(self._state, monotonic())

    def _fold(self) -> None:
        """Take in what ticks have counted."""
        with self._lock:
            steps, label = self._steps, self._label
            self._steps, self._label = 0, None
        if (steps or label is not None) and not self._state.has_ended:
            self._state = self._state.advanced(steps, label)

    def _resize(self, **bounds: Number) -> None:
        self._in_hub(self._apply_range, bounds)
        self._give_way()

    def _apply_range(self, bounds: dict[str, Number]) -> None:
        with self._wire:
            self._fold()
            state = self._state.resized(**bounds)
            if self.is_driven or self.key.name is None or self._version:
                self._change_range(state)
            else:
                self._state = self._initial = self._shown = state  # nobody sees it yet

    def _change_range(self, state: State) -> None:
        if state.status == "idle":
            self._initial = state
        self._state = state
        if state.has_ended:
            self._show(replace(state, status="running"))
            self._shown = replace(state, status="running")
            self._send()
        else:
            self._show()

    def _reset(self, is_mine: bool) -> None:
        with self._wire:
            if self._job is not None and not is_mine:
                raise BarBusyError
            self._fold()
            if self._job is None:
                self._board.claim(self.key, self._driver, self, has_job=False)
            self._state = self._initial
            self._is_by_hand = False
            self._restart()
            self._show()

    def _stop(self) -> bool:
        with self._wire:
            self._fold()
            if not self._state.has_ended:
                self._state = self._state.cancelled()
                self._send()
            return self._state.status == "cancelled"

    # What the pages are told

    @property
    def declared(self) -> Record:
        """The bar as it is before it begins."""
        return Record(self.key, self._initial, owner=self.owner, driver=self._driver)

    def record(self) -> Record:
        """Give it as its pages see it."""
        return Record(
            self.key,
            self._shown,
            self._speed,
            owner=self.owner,
            driver=self._driver,
            has_job=self._job is not None,
            version=f"{self._driver}:{self._version}",
        )

    def show(self, sid: str) -> Record:
        """Show it to one client, between two other things that it tells; give what it was shown."""
        with self._wire:
            record = self.record()
            self._board.send(self.key, record.newcomer_events(), to=sid)
            return record

    def _emit_init(self, to: str | None) -> None:
        with self._wire:
            self._fold()
            if to is not None:
                self._board.send(self.key, self.record().newcomer_events(), to=to)
            elif self._state.has_ended:
                self._tell(self.record().newcomer_events())
            else:
                self._show()

    def _show(self, state: State | None = None, *, quietly: bool = True) -> None:
        """Show it anew to everybody; who begins a bar is told if that cannot be done, and it has not begun then."""
        self._shown = self._state if state is None else state
        self._save()
        events = init_events(self.key.name, self._shown)
        if quietly:
            self._tell(events)
        else:
            self._send_or_forget(events)
        self._arm()

    def _send_or_forget(self, events: list[Event]) -> None:
        try:
            self._board.send(self.key, events)
        except BaseException:
            self._board.forget(self.key, self._driver)
            raise

    def _send(self, *, is_due: bool = False, is_leaving: bool = False) -> None:
        """Tell what is new, if it is time for it; the end always, and what came before it."""
        state, shown = self._state, self._shown
        has_ended = state.has_ended and not shown.has_ended
        is_new = state.current != shown.current or state.label != shown.label
        now = monotonic()
        if not (has_ended or is_due or (is_new and now >= self._due)):
            if is_leaving:
                self._publish([])
            self._arm()
            return
        events: list[Event] = []
        if is_new or is_due:
            self._speed = self._pace.speed(state, now)
            events += update_events(self.key.name, state, self._speed, with_label=state.label != shown.label)
        if has_ended:
            events += end_events(self.key.name, state)
        self._due = now + 1 / conf.settings().progress_rate
        self._shown = state
        self._publish(events)
        self._arm()

    def _publish(self, events: list[Event]) -> None:
        """Keep where the bar stands, and tell what is new; all of it where pages may have been told that it is dead."""
        is_told = self._shown.has_ended and not events
        has_lapsed = self._save() == "lapsed"
        self._tell(self.record().newcomer_events() if has_lapsed and not is_told else events)

    def _save(self) -> Answer:
        """Keep what the pages are about to be told; first, so that whoever loads it later misses nothing."""
        self._version += 1
        state = self._shown
        is_kept = self._job is not None or (self._is_by_hand and not state.has_ended)
        self._poll_at = monotonic() + POLL_SECONDS
        return self._obey(self._board.save(self.record(), is_kept=is_kept))

    def _obey(self, answer: Answer) -> Answer:
        """Do as the store says; where another one took the bar over, as this one was thought dead, it is not ours."""
        if answer in ("stop", "lost"):
            self._is_to_stop = True
            self._is_lost = answer == "lost"
        return answer

    def _tell(self, events: list[Event]) -> None:
        if not self._is_lost:
            self._board.tell(self.key, events)

    def _arm(self) -> None:
        """Say how far ticks may go without being looked at."""
        state, now = self._state, monotonic()
        left = min(state.left, LARGEST)
        with self._lock:
            self._quiet_until = min(self._due, now + TURN_SECONDS)
            # A float may come to its end a thousandth of a step early.
            self._quiet_steps = left - 1 if isinstance(left, float) else left
            if state.status != "running" or not self.is_driven:
                self._quiet_steps = _NEVER

    def _watch(self) -> None:
        self._idle_at = monotonic() + IDLE_SECONDS
        self._board.pulse.add(self)

    def beat(self) -> None:
        """Tell what is due, and ask whether somebody cancelled it; called many times a second while it moves."""
        with self._wire:
            self._fold()
            self._send()
            self._poll()
            if self._job is None and monotonic() >= self._idle_at and self._state == self._shown:
                with self._lock:
                    self._quiet_steps = _NEVER
                if not self._steps and self._label is None:
                    self._board.pulse.discard(self)

    def _poll(self) -> None:
        """Tell other processes that it is driven, and hear from them, if that was not done for a while."""
        with self._wire:
            now = monotonic()
            if self.is_driven and now >= self._poll_at:
                self._poll_at = now + POLL_SECONDS
                if self._obey(self._board.keep(self.key, self._driver)) == "lapsed":
                    self._publish([])

    def _give_way(self) -> None:
        """Let others run, once in a while, so that what is sent leaves while a loop goes on."""
        now = monotonic()
        if now >= self._turn_at and self._board.server.is_here():
            self._turn_at = now + TURN_SECONDS
            runtime.sleep(0)


class _StoppedError(Exception):
    """A loop was left before its end."""


def _nothing(thing: object) -> str | None:
    return None


def _text(label: Any) -> Any:
    """Give a translation that waits for its language as text; what is no text is found out later."""
    return str(label) if isinstance(label, Promise) else label


def _length(things: Iterable[Any]) -> int | None:
    try:
        return len(things)  # type: ignore[arg-type]
    except TypeError:
        return None
