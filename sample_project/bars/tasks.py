"""A Celery task with a progress bar. It runs in a worker, which reaches the page through DTWS_SIO["MESSAGE_QUEUE"]."""

from __future__ import annotations

import time
from typing import Final

from dtws_sio.progress import bar

from sample.celery import app

STEPS: Final = 60


@app.task
def crunch(room: str) -> None:
    """Work for six seconds, and show it to a room: a client's sid, a user, any other."""
    for _ in bar("task", "/progress/task", room=room, max=STEPS).track(range(STEPS), label=lambda n: f"Part {n + 1}"):
        time.sleep(0.1)
