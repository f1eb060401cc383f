"""What the pages of a bar are told, and when; each time it is kept first, so that late pages miss nothing."""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING, Final, Literal

from dtws_sio import conf
from dtws_sio.progress.records import Record
from dtws_sio.progress.state import UNKNOWN, Pace, Speed, end_events, init_events, update_events

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.progress.board import Board
    from dtws_sio.progress.records import Key
    from dtws_sio.progress.redis_store import Answer
    from dtws_sio.progress.state import Event, State

POLL_SECONDS: Final = 0.5
"""Seconds between two questions to the store whether somebody cancelled a job, if it sends nothing."""

Holder = Literal["job", "hands", "nobody"]
"""What drives a bar."""


class Display:
    """
    What is shown of a bar.

    Args:
        find_board: Gives the process's bars.
        key: Names it.
        state: What is shown at first.
        owner: The key of the user whose it is, if it is a user's.

    Attributes:
        driver: Names this one among those who may drive the bar.
        shown: What its pages were shown last.
        due: When an update may be sent again, by the clock `monotonic`.
        answer: What the store last asked the driver to do; "driven" is nothing.
    """

    def __init__(self, find_board: Callable[[], Board], key: Key, state: State, owner: str | None) -> None:
        self.key = key
        self.owner = owner
        self.driver = secrets.token_hex(8)
        self.shown = state
        self.due = 0.0
        self.answer: Answer = "driven"
        self._find_board = find_board
        self._version = 0
        self._pace = Pace()
        self._speed: Speed = UNKNOWN
        self._poll_at = 0.0

    @property
    def was_shown(self) -> bool:
        """Whether it ever was."""
        return self._version > 0

    @property
    def is_poll_due(self) -> bool:
        """Whether the store was not asked for a while."""
        return monotonic() >= self._poll_at

    def record(self, holder: Holder) -> Record:
        """Give the bar as its pages see it."""
        return Record(
            self.key,
            self.shown,
            self._speed,
            owner=self.owner,
            driver=self.driver,
            has_job=holder == "job",
            version=f"{self.driver}:{self._version}",
        )

    def restart(self, state: State) -> None:
        """Let the next update be sent at once, and measure the speed anew."""
        self.due = 0.0
        self._pace = Pace()
        self._speed = self._pace.speed(state, monotonic())

    # Showing

    def show(self, state: State, holder: Holder) -> None:
        """Show it anew to everybody."""
        self.shown = state
        self._save(holder)
        self._tell(init_events(self.key.name, state))

    def begin(self, state: State, holder: Holder) -> None:
        """Show that it has begun. Raises as `sio.emit` does if that cannot be told, and keeps nothing of it then."""
        self.shown = state
        self._save(holder)
        try:
            self._find_board().send(self.key, init_events(self.key.name, state))
        except BaseException:
            self._find_board().forget(self.key, self.driver)
            raise

    def show_to(self, sid: str, holder: Holder) -> Record:
        """Show it to one client, and give what it was shown."""
        record = self.record(holder)
        self._find_board().send(self.key, record.newcomer_events(), to=sid)
        return record

    def repeat(self, holder: Holder) -> None:
        """Tell everybody again where it stands, and how it ended."""
        self._tell(self.record(holder).newcomer_events())

    def tell(self, state: State, holder: Holder, *, is_due: bool = False, is_leaving: bool = False) -> None:
        """
        Tell what is new, if it is time for it; the end always, and what came before it.

        Args:
            state: Where the bar is.
            holder: What drives it from now on.
            is_due: Whether an update is sent in any case.
            is_leaving: Whether a job has just let go of it, which is kept in any case.
        """
        shown, now = self.shown, monotonic()
        has_ended = state.has_ended and not shown.has_ended
        is_new = state.current != shown.current or state.label != shown.label
        if not (has_ended or is_due or (is_new and now >= self.due)):
            if is_leaving:
                self._publish([], holder)
            return
        events: list[Event] = []
        if is_new or is_due:
            self._speed = self._pace.speed(state, now)
            events += update_events(self.key.name, state, self._speed, with_label=state.label != shown.label)
        if has_ended:
            events += end_events(self.key.name, state)
        self.due = now + 1 / conf.settings().progress_rate
        self.shown = state
        self._publish(events, holder)

    def _publish(self, events: list[Event], holder: Holder) -> None:
        """Keep where the bar stands, and tell what is new; all of it where pages may have been told that it is dead."""
        is_told = self.shown.has_ended and not events
        has_lapsed = self._save(holder) == "lapsed"
        self._tell(self.record(holder).newcomer_events() if has_lapsed and not is_told else events)

    def _tell(self, events: list[Event]) -> None:
        if self.answer != "lost":
            self._find_board().tell(self.key, events)

    # The store

    def _save(self, holder: Holder) -> Answer:
        self._version += 1
        is_kept = holder == "job" or (holder == "hands" and not self.shown.has_ended)
        self._poll_at = monotonic() + POLL_SECONDS
        return self._obey(self._find_board().save(self.record(holder), is_kept=is_kept))

    def poll(self, holder: Holder) -> None:
        """Tell other processes that the bar is driven, and hear from them, if that was not done for a while."""
        if self.is_poll_due:
            self._poll_at = monotonic() + POLL_SECONDS
            if self._obey(self._find_board().keep(self.key, self.driver)) == "lapsed":
                self._publish([], holder)

    def _obey(self, answer: Answer) -> Answer:
        """Note what the store asks for; a bar is "lost" to another one if this one was thought dead."""
        if answer in ("stop", "lost"):
            self.answer = answer
        return answer
