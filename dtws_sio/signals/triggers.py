"""
Triggering signals from Python: in views, handlers, commands, tasks, threads and the shell, without waiting.

    trigger(request, "html.text", to=WINDOW, selector="#state", content="saved")
    trigger(None, "article.changed", to=[article, "front page"], title=article.title)
    trigger_signal(window_info, "report.make", to=SERVER, kwargs={"year": 2030}, countdown=60)

Source: rows S-07, S-09 to S-11, W-F9 and W-F20.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from dtws_sio.exceptions import SignalError, UnknownSignalError
from dtws_sio.server import sio
from dtws_sio.signals import outlets, queues, registry
from dtws_sio.signals.calls import Call
from dtws_sio.signals.names import check_name
from dtws_sio.signals.outcomes import Outcome
from dtws_sio.signals.registry import DEFAULT_QUEUE, NAMESPACE, SignalConnection, signal
from dtws_sio.signals.targets import SERVER, SYNC, USER, flattened, rooms
from dtws_sio.signals.windows import WindowInfo
from dtws_sio.topics import Topic
from dtws_sio.validation import copied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest

logger = logging.getLogger("dtws_sio.signals")

LONGEST: Final = 100 * 365 * 86400
"""Seconds that a signal may have to wait, so that the moment is one that every queue can write."""

EVENT = "signal"
"""The event that carries signals, in both directions; static/src/signals.js knows it."""


@dataclass(frozen=True, slots=True)
class Times:
    """When a signal is due, and when it is too late, in seconds since the epoch."""

    eta: float | None = None
    expires: float | None = None

    @property
    def is_later(self) -> bool:
        """Whether it is not due yet."""
        return self.eta is not None and self.eta > time.time()

    @property
    def is_over(self) -> bool:
        """Whether it is too late already."""
        return self.expires is not None and self.expires <= time.time()


NOW = Times()


def trigger(window: HttpRequest | WindowInfo | None, name: str, /, to: Any = None, **kwargs: Any) -> Outcome:
    """
    Trigger a signal: call the functions that are connected to it, on the server, in windows, or both.

    Args:
        window: What WINDOW, USER and SESSION are about: the request of a view or of a handshake, a function's
            `window_info`, or None.
        name: The name of the signal.
        to: Whom it is for: SERVER, SYNC, WINDOW, USER, SESSION, BROADCAST, text, a model instance, a session, or a list
            of those; USER if it is left out. A window that watches several of them gets it once.
        kwargs: The arguments of the functions.

    Returns:
        What the functions returned that ran for SYNC, and the errors of those that could not be called.

    Raises:
        TopicError: If somebody in `to` has no topic, such as WINDOW where the request belongs to none.
        SignalError: If the name or the window is none.
        EmitError, NotServingError: As `sio.emit` does; a process that serves nobody needs a message queue for windows.
        CallError, QueueError: As `dtws_sio.signals.queues.submit` does.
    """
    return _trigger(window, name, to, kwargs, NOW)


def trigger_signal(
    window_info: HttpRequest | WindowInfo | None,
    signal_name: str,
    to: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    countdown: float | None = None,
    expires: float | datetime | None = None,
    eta: datetime | None = None,
    on_commit: bool = False,
) -> Outcome:
    """
    Trigger a signal later, or under conditions; as `trigger`, with the arguments in a dict of their own.

    Args:
        window_info: As the first argument of `trigger`.
        signal_name: The name of the signal.
        to: Whom it is for.
        kwargs: The arguments of the functions.
        countdown: Seconds to wait.
        expires: Seconds from now, or the moment, after which no function is called any more.
        eta: The moment to wait for, instead of a countdown. One without a time zone is in the current one.
        on_commit: Do it when the database transaction is committed, and not at all if it is rolled back.

    Raises:
        SignalError: Also if the times make no sense, or SYNC is to wait.
        DtwsSioError: As `trigger` does.

    Source: rows S-10 and W-F20.
    """
    times = Times(_moment_to_start(countdown, eta), _moment_to_end(expires))
    return _trigger(window_info, signal_name, to, dict(kwargs or {}), times, on_commit=on_commit)


def _moment_to_start(countdown: float | None, eta: datetime | None) -> float | None:
    if countdown is not None and eta is not None:
        raise SignalError("countdown and eta both say when; give one of them")
    if countdown is not None:
        return time.time() + _seconds("countdown", countdown)
    return None if eta is None else _epoch("eta", eta)


def _moment_to_end(expires: float | datetime | None) -> float | None:
    if expires is None or isinstance(expires, datetime):
        return None if expires is None else _epoch("expires", expires)
    return time.time() + _seconds("expires", expires)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < LONGEST:
        raise SignalError(f"{name}={value!r} is no time; give seconds from now, 0 or more, and less than a century")
    return value


def _epoch(name: str, value: Any) -> float:
    if not isinstance(value, datetime):
        raise SignalError(f"{name}={value!r} is no moment; give a datetime")
    return (timezone.make_aware(value) if timezone.is_naive(value) else value).timestamp()


def _trigger(
    window: HttpRequest | WindowInfo | None,
    name: str,
    to: Any,
    kwargs: dict[str, Any],
    times: Times,
    *,
    on_commit: bool = False,
) -> Outcome:
    check_name(name)
    window_info = WindowInfo.from_request(window)
    targets = flattened(USER if to is None else to)
    if SYNC in targets and times.is_later:
        raise SignalError("SYNC is here and now, and cannot wait; use SERVER with a countdown or an eta")
    topics = rooms(targets, window_info)
    send = partial(_send, window_info, name, targets, topics, kwargs, times)
    if on_commit:
        if topics != [] and outlets.current() is None:
            _ = sio.manager  # whoever cannot emit is told now, not after the commit
        transaction.on_commit(send)
        return Outcome()
    return send()


def _send(
    window_info: WindowInfo,
    name: str,
    targets: list[Any],
    topics: list[Topic] | None,
    kwargs: dict[str, Any],
    times: Times,
) -> Outcome:
    outcome = Outcome()
    if times.is_over:
        logger.info("the signal %r has expired before it was sent", name)
        return outcome
    if topics != []:
        _send_to_windows(topics, name, kwargs, times)
    found = registry.connections(name) if SERVER in targets or SYNC in targets else ()
    if not found and (SERVER in targets or SYNC in targets):
        outcome.note(partial(_nobody, name))
    for connection in found if SYNC in targets else ():
        outcome.note(partial(registry.call_here, connection, window_info, kwargs))
    for connection in found if SERVER in targets else ():
        enqueue(connection, window_info, kwargs, connection.get_queue(window_info, kwargs), times)
    return outcome


def _nobody(name: str) -> None:
    """Refuse a signal to which nothing is connected; the log says what may have been meant."""
    nearest = registry.nearest(name)
    logger.warning(
        "nothing is connected to the signal %r%s", name, "" if nearest is None else f"; did you mean {nearest!r}?"
    )
    raise UnknownSignalError(name)


def enqueue(
    connection: SignalConnection, window_info: WindowInfo, kwargs: dict[str, Any], queue: str, times: Times = NOW
) -> queues.Pending:
    """
    Have a function called through a queue.

    Raises:
        CallError, QueueError: As `queues.submit` does.
    """
    window = window_info.to_dict()
    call = Call(connection.path, connection.name, copied(kwargs), window, queue, times.eta, times.expires)
    return queues.submit(call)


# To windows


def _send_to_windows(topics: list[Topic] | None, name: str, kwargs: dict[str, Any], times: Times) -> None:
    message = {"signal": name, "opts": kwargs, "id": uuid4().hex}
    if not times.is_later:
        emit(topics, message)
        return
    wanted = {"rooms": topics, "message": message}
    name = f"{__name__}.{_emit_later.__name__}"
    queues.submit(Call(DELAYED, name, wanted, None, DEFAULT_QUEUE, times.eta, times.expires))


def emit(topics: list[Topic] | None, message: dict[str, Any]) -> None:
    """
    Send a signal to windows, once to each; None is every window.

    The windows know it by its id, which goes to all of them.
    """
    outlet = outlets.current()
    (deliver if outlet is None else outlet.emit)(topics, message)


def deliver(topics: list[Topic] | None, message: dict[str, Any]) -> None:
    """Send a signal to windows, whatever else takes signals in tests."""
    sio.emit(EVENT, message, to=topics, namespace=NAMESPACE)


DELAYED = "dtws_sio.emit"
"""The signal whose function sends another one to windows, when its time has come."""


@signal(DELAYED)
def _emit_later(window_info: WindowInfo, rooms: list[str] | None, message: dict[str, Any]) -> None:
    emit(None if rooms is None else list(map(Topic, rooms)), message)
