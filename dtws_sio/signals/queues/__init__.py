"""
Queues: where the functions run that are connected to signals.

`submit` takes a call to the queue that it names, now or when it is due, and gives a `Pending` for its outcome. Which
backend works off a queue is said by DTWS_SIO["QUEUES"]; for the caller and the function it makes no difference, save
that Celery and Django's tasks answer with an id instead of a result.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from dtws_sio import conf, runtime
from dtws_sio.exceptions import CallExpiredError, QueueError, QueueFullError
from dtws_sio.server import sio
from dtws_sio.signals import outlets
from dtws_sio.signals.calls import Call
from dtws_sio.signals.queues.brokered import CeleryQueue, TasksQueue, celery_task, has_celery, queues_of
from dtws_sio.signals.queues.later import Later
from dtws_sio.signals.queues.local import LocalQueue, make_queue
from dtws_sio.signals.queues.names import RandomQueue, check_name, possible_names
from dtws_sio.signals.queues.pending import ANYWHERE, Pending, StillRunningError, at_home

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dtws_sio.conf import Queue
    from dtws_sio.signals.queues.pending import Home

__all__ = [
    "Pending",
    "RandomQueue",
    "StillRunningError",
    "check_name",
    "possible_names",
    "prepare",
    "stop",
    "submit",
]

STOP_SECONDS: Final = 5.0
"""How long the end of the process waits for calls that run or wait."""

logger = logging.getLogger("dtws_sio.queues")


class Queues:
    """
    The queues of this process, each made when its first call comes.

    Args:
        options: The queues in the settings.
    """

    def __init__(self, options: Mapping[str, Queue]) -> None:
        self.options = options
        self.home = _home()
        self.later = Later()
        self._made: dict[str, LocalQueue | CeleryQueue | TasksQueue] = {}
        self._lock = runtime.lock()

    def submit(self, call: Call) -> Pending:
        """As the function `submit`; called at home."""
        check_name(call.queue)
        now = time.time()
        if call.is_expired(now):
            logger.info("the call %s of the queue %r has expired and is not queued", call, call.queue)
            raise CallExpiredError
        queue = self._queue(call.queue)
        if call.eta is None or call.eta <= now:
            return _enter(queue, replace(call, eta=None))
        if not isinstance(queue, LocalQueue) and queue.delays:
            return _enter(queue, call)
        # As JSON from now on, so that whoever triggers it is told what cannot be queued, and may change what it gave.
        text = replace(call, eta=None).to_json()
        self.later.at(call.eta, f"the call {call}", partial(self._enter_late, text))
        return Pending.of({"queued": uuid4().hex})

    def _enter_late(self, text: str) -> None:
        """Queue a call whose time has come; there is nobody left to tell that it cannot be."""
        call = Call.from_json(text)
        try:
            self.submit(call)
        except CallExpiredError:
            pass  # told already
        except QueueFullError as error:
            logger.error("a delayed call is lost: %s", error)
        except QueueError:
            logger.exception("the delayed call %s is lost", call)

    def _queue(self, name: str) -> LocalQueue | CeleryQueue | TasksQueue:
        with self._lock:
            if name not in self._made:
                self._made[name] = self._make(name)
            return self._made[name]

    def _make(self, name: str) -> LocalQueue | CeleryQueue | TasksQueue:
        options = self.options[name]
        if options.backend == "celery":
            return CeleryQueue()
        return TasksQueue(name) if options.backend == "tasks" else make_queue(name, options, self.home)

    def stop(self, seconds: float) -> None:
        """Wait for calls to end, and say which are lost; then end threads and processes."""
        late = self.later.clear()
        deadline = time.monotonic() + seconds
        local = {name: queue for name, queue in self._made.items() if isinstance(queue, LocalQueue)}
        for name, queue in local.items():
            if unfinished := queue.stop(max(0.0, deadline - time.monotonic())):
                logger.warning("%d calls of the queue %r are lost, as this process ends", unfinished, name)
        if late:
            logger.warning("%d delayed calls are lost, as this process ends before their time", late)
        self._made.clear()


def _enter(queue: LocalQueue | CeleryQueue | TasksQueue, call: Call) -> Pending:
    """Hand a call to its queue. It travels as JSON everywhere, so that functions get the same from every backend."""
    if isinstance(queue, LocalQueue):
        return queue.submit(Call.from_json(call.to_json()))
    return Pending.of({"queued": queue.submit(call)})


def _home() -> Home:
    """Give the thread in which queues are to be touched: the hub's, under eventlet."""
    if runtime.current() != "eventlet":
        return ANYWHERE
    if sio.serving and not sio.eio.thread.is_current():
        serving: Home = sio.eio.thread
        return serving
    from dtws_sio.engine.threads import HubThread

    return HubThread()


_queues: Queues | None = None
_making = runtime.lock()


def _current() -> Queues:
    """Give the queues of this process as the settings in force describe them."""
    global _queues
    with _making:
        options = conf.settings().queues
        if _queues is None:
            atexit.register(stop)
        elif _queues.options is not options:
            _queues.stop(0)
            _queues = None
        if _queues is None:
            _queues = Queues(options)
        return _queues


def submit(call: Call) -> Pending:
    """
    Have a call run through its queue, when it is due.

    Works in every thread and process. What is delayed for a queue of this process, or one of Django's tasks whose
    backend cannot wait, waits in this process's memory.

    Returns:
        Its outcome; for Celery, Django's tasks, and delayed calls that is `{"queued": id}`.

    Raises:
        QueueFullError: If as many calls wait as may.
        CallExpiredError: If it expired before it could be queued.
        CallError: If an argument has no JSON form.
        QueueError: If there is no such queue, or its broker cannot be reached.
        MissingDependencyError, ConfigurationError: If its backend does not work here.

    Source: rows S-05, S-10 and S-13.
    """
    outlet = outlets.current()
    if outlet is not None:
        return outlet.submit(call)
    queues = _current()
    return at_home(queues.home, partial(queues.submit, call))


def prepare() -> None:
    """Make known to Celery what it runs for us, in every process that it may run in; called when the app is ready."""
    try:
        if queues_of("celery") and has_celery():
            celery_task()
    except conf.ConfigurationError:
        pass  # the system checks say what is wrong


def stop(seconds: float = STOP_SECONDS) -> None:
    """Wait for the calls of this process to end, and let go of threads and processes; also called at its end."""
    global _queues
    if _queues is not None:
        queues, _queues = _queues, None
        at_home(queues.home, partial(queues.stop, seconds))


def _forget() -> None:
    """Leave the queues to the process that this one was forked from: their threads do not run here."""
    global _queues
    _queues = None


os.register_at_fork(after_in_child=_forget)
