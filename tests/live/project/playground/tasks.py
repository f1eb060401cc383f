"""The project's Celery application and its one task; the broker is the message queue."""

from celery import Celery
from django.conf import settings

app = Celery("playground", broker=str(settings.DTWS_SIO["MESSAGE_QUEUE"]))


@app.task
def fill(name: str | None, room: str | None, count: int) -> None:
    """Drive a bar."""
    from playground.bars import work

    work(name, room, count)
