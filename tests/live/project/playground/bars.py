"""Work that shows how far it has come, in handlers, threads and other processes."""

import time
from typing import Any

from dtws_sio import Namespace, concurrent, sio
from dtws_sio.progress import ProgressBarMixin, Record, bar

STEP = 0.05
"""Seconds that a row takes."""


class Import(ProgressBarMixin, Namespace):
    """Imports rows that are not there."""

    def may_cancel(self, sid: str, bar: Record) -> bool:
        """Let everybody cancel what everybody sees."""
        return self.may_watch(sid, bar)

    def on_start(self, sid: str, count: int) -> str:
        """Import beside the handler."""
        self.start(self.read, count)
        return "started"

    def read(self, count: int) -> None:
        """Import into the namespace's own bar."""
        for _ in self.track(range(count), label=str):
            sio.sleep(STEP)

    def on_join(self, sid: str, room: str) -> None:
        """Enter a room."""
        self.enter_room(sid, room)

    def on_state(self, sid: str) -> list[Any]:
        """Tell what this process knows of the namespace's own bar."""
        return [self.status, self.current, self.label]

    @concurrent
    def on_count(self, sid: str, count: int) -> None:
        """Do nothing but count, as fast as it goes."""
        for _ in self.bar("count", room=sid).track(range(count)):
            pass

    @concurrent
    def on_thread(self, sid: str, count: int) -> None:
        """Work in a thread of the operating system."""
        from eventlet import tpool  # not in a process that serves nobody

        tpool.execute(work, "thread", sid, count)

    def on_echo(self, sid: str, value: Any) -> Any:
        """Answer at once."""
        return value


def work(name: str | None, room: str | None, count: int) -> None:
    """Do what a task, a command or a thread does."""
    for _ in bar(name, namespace="/import", room=room).track(range(count), label="row"):
        time.sleep(STEP)


sio.register_namespace(Import("/import"))
