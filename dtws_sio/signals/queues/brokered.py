"""
Queues that other programs work off: Celery, and the tasks of Django 6.0.

A call goes to them as one piece of JSON; what they answer is the id under which it was queued. The functions of both
import what they need when they are first called, as neither has to be there.
"""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import django

from dtws_sio import conf
from dtws_sio.exceptions import MissingDependencyError, QueueError
from dtws_sio.signals.calls import Call

if TYPE_CHECKING:
    from types import ModuleType

TASK: Final = "dtws_sio.call"
"""The name of the Celery task."""


def queues_of(backend: str) -> list[str]:
    """Give the names of the queues that a backend works off."""
    return [name for name, queue in conf.settings().queues.items() if queue.backend == backend]


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=timezone.utc)


def has_celery() -> bool:
    """Tell whether Celery is installed."""
    return find_spec("celery") is not None


def is_default_app(app: Any) -> bool:
    """Tell whether a Celery app is the one that Celery makes where nobody made one."""
    return bool(app.main == "default")


@lru_cache(maxsize=1)
def celery_task() -> Any:
    """
    Give the Celery task that runs calls, and register it with every Celery app of the process.

    Raises:
        MissingDependencyError: If Celery is not installed.
    """
    if not has_celery():
        raise MissingDependencyError(
            f"DTWS_SIO['QUEUES'] sends {', '.join(map(repr, queues_of('celery')))} to Celery, which is not installed: "
            "pip install 'dtws_sio[celery]'"
        )
    from celery import shared_task

    from dtws_sio.signals.queues.execution import perform

    @shared_task(name=TASK, ignore_result=True, bind=True)  # type: ignore[untyped-decorator]
    def call(task: Any, text: str) -> None:
        """Run a call; what it raises, Celery logs and tells its tools."""
        perform(Call.from_json(text), celery_request=task.request)

    return call


class CeleryQueue:
    """A queue of Celery; its name there is the same."""

    delays: Final = True
    """Whether it can hold a call until its time."""

    def submit(self, call: Call) -> str:
        """
        Queue a call, and give its id.

        Raises:
            QueueError: If Celery's broker cannot be reached.
        """
        task = celery_task()
        from kombu.exceptions import OperationalError

        try:
            queued = task.apply_async(
                (call.to_json(),),
                queue=call.queue,
                eta=_moment(call.eta),
                expires=_moment(call.expires),
                add_to_parent=False,
            )
        except OperationalError as error:
            raise QueueError(
                f"the call {call} cannot be queued: Celery's broker cannot be reached ({error}); start it, or correct "
                "broker_url"
            ) from error
        return str(queued.id)


def has_tasks() -> bool:
    """Tell whether this Django has tasks."""
    return django.VERSION >= (6, 0)


def alias_of(name: str) -> str:
    """
    Give the alias of the backend in Django's setting TASKS that takes a queue.

    Raises:
        ConfigurationError: If this Django has no tasks, or none of its backends takes the queue.
    """
    if not has_tasks():
        raise conf.ConfigurationError(
            f"DTWS_SIO['QUEUES'][{name!r}] is 'tasks', which need Django 6.0, and this is {django.get_version()}; use "
            "'celery' or 'processes'"
        )
    from django.tasks import task_backends

    for alias in task_backends:
        queues = task_backends[alias].queues
        if not queues or name in queues:
            return str(alias)
    raise conf.ConfigurationError(
        f"DTWS_SIO['QUEUES'][{name!r}] is 'tasks', and no backend of the setting TASKS takes the queue {name!r}; add "
        "it to the QUEUES of one"
    )


def runs_nothing(name: str) -> bool:
    """Tell whether a queue goes to the backend of Django that only records tasks. Raises as `alias_of` does."""
    from django.tasks import task_backends
    from django.tasks.backends.dummy import DummyBackend

    return isinstance(task_backends[alias_of(name)], DummyBackend)


class TasksQueue:
    """
    A queue of Django's tasks.

    Args:
        name: Its name here and there.

    Raises:
        ConfigurationError: As `alias_of` does.
    """

    def __init__(self, name: str) -> None:
        alias = alias_of(name)
        self._task = _tasks_module().run_call.using(backend=alias, queue_name=name)
        self.delays = bool(self._task.get_backend().supports_defer)

    def submit(self, call: Call) -> str:
        """Queue a call, and give its id."""
        task = self._task.using(run_after=_moment(call.eta)) if self.delays else self._task
        return str(task.enqueue(call.to_json()).id)


def _tasks_module() -> ModuleType:
    """Give the module with the task; a worker imports it by its name, and it needs Django 6.0."""
    from importlib import import_module

    return import_module("dtws_sio.signals.queues.task")
