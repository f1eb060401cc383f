"""All bars of a process: who drives which, what is kept of them, and who is told."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakValueDictionary

from dtws_sio import conf
from dtws_sio.exceptions import BarBusyError, EmitError, NotRunningError
from dtws_sio.progress.pulse import Pulse
from dtws_sio.progress.records import Key, Record
from dtws_sio.progress.redis_store import RedisStore
from dtws_sio.progress.state import Event, end_events
from dtws_sio.progress.store import ProcessStore
from dtws_sio.redis_rates import COMPLAINT_PAUSE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from dtws_sio.progress.redis_store import Answer
    from dtws_sio.server import Server

    class LiveBar(Protocol):
        """A bar that this process drives; `dtws_sio.progress.course.Course`."""

        @property
        def is_driven(self) -> bool: ...
        def cancel(self) -> None: ...
        def show(self, sid: str) -> Record: ...


logger = logging.getLogger("dtws_sio.progress")


class Board:
    """
    The bars of a server's process.

    Args:
        server: Emits for them.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.pulse = Pulse()
        self._known = ProcessStore(lambda: conf.settings().progress_expiry)
        self._live: WeakValueDictionary[Key, LiveBar] = WeakValueDictionary()
        self._shared: tuple[tuple[str, str], RedisStore] | None = None
        self._complain_at = 0.0

    @property
    def shared(self) -> RedisStore | None:
        """What is shared with other processes, if there is a message queue."""
        settings = conf.settings()
        if settings.message_queue is None:
            return None
        place = (settings.message_queue, settings.message_channel)
        if self._shared is None or self._shared[0] != place:
            self._shared = place, RedisStore(*place, lambda: conf.settings().progress_expiry)
        return self._shared[1]

    # Drivers

    def claim(self, key: Key, driver: str, bar: LiveBar, *, has_job: bool) -> None:
        """
        Let a driver have a bar.

        Raises:
            BarBusyError: If another one drives it, here or in another process.
        """
        if not self._known.claim(key, driver, has_job=has_job):
            raise BarBusyError
        if self.shared is not None and not self.shared.claim(key, driver):
            self._known.release(key, driver)
            raise BarBusyError
        self._live[key] = bar

    def release(self, key: Key, driver: str) -> None:
        """Let others have a bar."""
        self._known.release(key, driver)
        if self.shared is not None:
            self.shared.release(key, driver)

    def forget(self, key: Key, driver: str) -> None:
        """Forget what was kept of a bar that its driver could not begin."""
        self._known.forget(key)
        if self.shared is not None:
            self.shared.forget(key, driver)

    def save(self, record: Record, *, is_kept: bool) -> Answer:
        """Keep where a bar stands; the answer says whether its driver should go on."""
        self._known.save(record)
        if not is_kept:
            self._known.release(record.key, record.driver)
        elif not record.has_job:
            self._known.claim(record.key, record.driver, has_job=False)
        return "driven" if self.shared is None else self.shared.save(record, is_kept=is_kept)

    def keep(self, key: Key, driver: str) -> Answer:
        """Tell that a job lives; the answer says whether it should go on."""
        return "driven" if self.shared is None else self.shared.keep(key, driver)

    # Looking bars up

    def driven(self, key: Key) -> LiveBar | None:
        """Give a bar that this process drives."""
        bar = self._live.get(key)
        return bar if bar is not None and bar.is_driven else None

    def load(self, key: Key) -> Record | None:
        """Give where a bar stands, whoever drives it."""
        if self.shared is None or self.driven(key) is not None:
            return self._known.load(key)
        found = self.shared.load(key)
        if found is None:
            return self._known.load(key)
        return self._noted(*found)

    def _noted(self, record: Record, is_orphan: bool) -> Record:
        """Tell the pages of a bar that nobody drives it any more, if that was found just now."""
        if is_orphan:
            self.tell(record.key, end_events(record.name, record.state))
        return record

    def find(self, namespace: str, name: str | None, rooms: Iterable[str]) -> Iterator[Record]:
        """Give the bars of a name: everybody's, and those of some rooms."""
        for room in (None, *rooms):
            record = self.load(Key(namespace, name, room))
            if record is not None:
                yield record

    def elsewhere(self, namespace: str, name: str | None, rooms: Iterable[str]) -> Iterator[Record]:
        """
        Give the bars of a name in all rooms but these.

        Of other processes that is those that moved last; see `dtws_sio.progress.redis_store.MOST_ROOMS`.
        """
        seen = {Key(namespace, name, room) for room in (None, *rooms)}
        for found in () if self.shared is None else self.shared.in_rooms(namespace, name):
            record = self._noted(*found)
            if record.key not in seen:
                seen.add(record.key)
                yield record
        for key in self._known.rooms(namespace, name):
            known = None if key in seen else self._known.load(key)
            if known is not None:
                yield known

    # What pages see

    def tell(self, key: Key, events: Iterable[Event], *, to: str | None = None) -> None:
        """
        Send events to those who see a bar, or to one client; what could not be sent is logged, as the work goes on.

        Raises:
            NotServingError: If this process serves nobody and there is no message queue.
        """
        try:
            self.send(key, events, to=to)
        except EmitError as error:
            now = time.monotonic()
            if now >= self._complain_at:
                self._complain_at = now + COMPLAINT_PAUSE
                logger.warning("the progress of %r in %s is not shown: %s", key.name, key.namespace, error)

    def send(self, key: Key, events: Iterable[Event], *, to: str | None = None) -> None:
        """Send events to those who see a bar, or to one client. Raises as `sio.emit` does."""
        recipients = key.recipients if to is None else to
        for event, data in events:
            self.server.emit(event, data, to=recipients, namespace=key.namespace)

    def show(self, record: Record, sid: str) -> Record:
        """
        Show a bar to one client that just came into its room, and give what it was shown.

        What another process tells may overtake what is loaded here; so it is looked at again afterwards. A record is
        kept before it is told, so one that did not change meanwhile is older than everything that comes after it. One
        that changes all the time is shown twice: what overtook the second is followed by more, unless it was the end.
        """
        for _ in range(2):
            bar = self.driven(record.key)
            if bar is not None:
                return bar.show(sid)
            self.send(record.key, record.newcomer_events(), to=sid)
            again = self.load(record.key)
            if again is None or again.version == record.version:
                return record
            record = again
        if record.state.has_ended:
            self.send(record.key, record.newcomer_events(), to=sid)
        return record

    def cancel(self, record: Record) -> None:
        """
        Ask whoever drives a bar to stop.

        Raises:
            NotRunningError: If nobody does.
        """
        bar = self.driven(record.key)
        if bar is not None:
            bar.cancel()
        elif record.is_running and self.shared is not None:
            self.shared.stop(record)
        else:
            raise NotRunningError


_boards: WeakKeyDictionary[Server, Board] = WeakKeyDictionary()


def board_of(server: Server) -> Board:
    """Give the bars of a server."""
    board = _boards.get(server)
    return board if board is not None else _boards.setdefault(server, Board(server))
