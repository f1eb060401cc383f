"""
Functions in queues; the same for each kind, named after it.

They tell where they run, and do what the tests want of them.
"""

import logging
import os
import sys
import time
from typing import Any

from django.utils import timezone, translation

from dtws_sio import EventError, runtime, sio
from dtws_sio.signals import SERVER, WINDOW, everyone, signal, trigger, trigger_signal

logger = logging.getLogger("queued")

KINDS = ("default", "bounded", "threads", "processes", "celery", "tasks")


class OnPurposeError(Exception):
    """Raised because a test asks for it."""


if "eventlet" in sys.modules:
    from eventlet import patcher

    get_ident, sleep = patcher.original("_thread").get_ident, patcher.original("time").sleep
else:
    from _thread import get_ident

    sleep = time.sleep


def where() -> dict[str, Any]:
    """Tell where the caller runs, and in which language and time zone."""
    return {
        "pid": os.getpid(),
        "thread": get_ident(),
        "runtime": runtime.current(),
        "language": translation.get_language(),
        "zone": timezone.get_current_timezone_name(),
    }


def connect(kind: str) -> None:
    """Connect the functions of one queue."""

    @signal(f"{kind}.where", everyone, kind)
    def tell_where(window_info: Any) -> dict[str, Any]:
        here = where()
        translation.activate("fr")
        timezone.activate("Asia/Tokyo")
        return here

    @signal(f"{kind}.fail", everyone, kind)
    def fail(window_info: Any) -> None:
        raise OnPurposeError("a secret")

    @signal(f"{kind}.refuse", everyone, kind)
    def refuse(window_info: Any) -> None:
        raise EventError("not today", code="closed")

    @signal(f"{kind}.echo", everyone, kind)
    def echo(window_info: Any, value: Any) -> Any:
        return value

    @signal(f"{kind}.sleep", everyone, kind)
    def nap(window_info: Any, seconds: float) -> float:
        """Sleep as C code does that knows nothing of greenlets."""
        sleep(seconds)
        return seconds

    @signal(f"{kind}.wait", everyone, kind)
    def wait(window_info: Any, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    @signal(f"{kind}.finish", everyone, kind)
    def finish(window_info: Any, seconds: float) -> None:
        logger.warning("begun")
        time.sleep(seconds)
        logger.warning("finished after %g s", seconds)

    @signal(f"{kind}.compute", everyone, kind)
    def compute(window_info: Any, rounds: int) -> int:
        total = 0
        for number in range(rounds):
            total += number
        return total

    @signal(f"{kind}.report", everyone, kind)
    def report(window_info: Any, times: int = 1) -> None:
        """Emit to the window, and log, so often."""
        for number in range(times):
            logger.warning("reporting %d", number)
            trigger(window_info, "reported", to=WINDOW, kind=kind, number=number, pid=os.getpid())

    @signal(f"{kind}.relay", everyone, kind)
    def relay(window_info: Any, other: str) -> None:
        """Have another queue report."""
        trigger(window_info, f"{other}.report", to=SERVER)

    @signal(f"{kind}.die", everyone, kind)
    def die(window_info: Any) -> None:
        os._exit(3)

    @signal(f"{kind}.unsendable", everyone, kind)
    def unsendable(window_info: Any) -> Any:
        return object()


for each in KINDS:
    connect(each)


@signal("later", everyone)
def later(window_info: Any, name: str, countdown: float, expires: float | None = None) -> None:
    """Trigger a signal on the server after a while."""
    trigger_signal(window_info, name, SERVER, {}, countdown=countdown, expires=expires)


@signal("later.page", everyone)
def later_page(window_info: Any, countdown: float) -> None:
    """Trigger a signal in the window after a while."""
    trigger_signal(window_info, "reported", WINDOW, {"kind": "page"}, countdown=countdown)


@sio.event
def where_is_the_hub(sid: str) -> dict[str, Any]:
    return where()
