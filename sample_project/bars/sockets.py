"""
Progress bars. Every namespace here has one page, in static/bars/.

| namespace          | from the page     | what shows its progress                                             |
|--------------------|-------------------|---------------------------------------------------------------------|
| `/progress/one`    | `start`, `reset`  | the namespace's own bar, which everybody sees and may cancel        |
| `/progress/many`   | `go`              | thirty bars, `job-0` to `job-29`, for the client that asked         |
| `/progress/import` | `import {upload}` | `rows`, for the client that asked; the answer is what was imported  |
| `/progress/task`   | `queue`           | `task`, which a Celery worker moves, for the client that asked      |

A page also sends `watch`, `unwatch` and `cancel`; ProgressBarMixin answers those.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from dtws_sio import EventError, Namespace, sio
from dtws_sio.progress import ProgressBarMixin

from bars import uploads
from bars.imports import count_rows, import_products

if TYPE_CHECKING:
    from dtws_sio.progress import Bar, Record

STEPS: Final = 100
BARS: Final = 30


class One(ProgressBarMixin, Namespace):
    """The smallest job there is: a loop."""

    def may_cancel(self, sid: str, bar: Record) -> bool:
        return True  # by default nobody may cancel what everybody sees

    def on_start(self, sid: str) -> None:
        self.start(self.work)

    def on_reset(self, sid: str) -> None:
        self.reset()

    def work(self) -> None:
        for number in range(1, STEPS + 1):
            self.check()
            time.sleep(0.1)
            self.tick(f"[{number}/{STEPS}] Task {number} finished")


class Many(ProgressBarMixin, Namespace):
    """Many jobs of one client at once."""

    def on_go(self, sid: str) -> None:
        for number in range(BARS):
            job = self.bar(f"job-{number}", room=sid, max=STEPS)
            job.start(self.work, job, pause=0.02 + 0.002 * (7 * number % BARS))

    def work(self, job: Bar, pause: float) -> None:
        for _ in job.track(range(STEPS)):
            time.sleep(pause)


class Import(ProgressBarMixin, Namespace):
    """A job that runs inside its handler: the page is answered when it has ended, and can cancel it before."""

    def on_import(self, sid: str, data: Any) -> dict[str, Any]:
        path = uploads.path_of(data.get("upload") if isinstance(data, dict) else None)
        try:
            with self.bar("rows", room=sid, max=count_rows(path)) as rows:
                return import_products(path, rows).as_event()
        finally:
            path.unlink(missing_ok=True)


class Task(ProgressBarMixin, Namespace):
    """A job that runs in another process."""

    def on_queue(self, sid: str) -> None:
        if "MESSAGE_QUEUE" not in settings.DTWS_SIO:
            raise EventError("Set REDIS_URL, here and for a Celery worker; the README says how.", code="no_queue")
        from bars.tasks import crunch  # here, since the rest of the sample does without Celery

        crunch.delay(sid)


for _namespace in (
    One("/progress/one", max=STEPS),
    Many("/progress/many"),
    Import("/progress/import"),
    Task("/progress/task"),
):
    sio.register_namespace(_namespace)
