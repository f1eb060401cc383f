"""
The task of Django 6.0 that runs a queued call.

Workers find it by the name of this module, which is imported where a queue of the backend "tasks" is used and in those
workers, and nowhere else: a task has to be defined with a queue that its backend takes.
"""

from __future__ import annotations

from django.tasks import task  # type: ignore[import-not-found, unused-ignore]  # since Django 6.0

from dtws_sio.signals.calls import Call
from dtws_sio.signals.queues.brokered import alias_of, queues_of
from dtws_sio.signals.queues.execution import perform

_FIRST = queues_of("tasks")[0]


@task(queue_name=_FIRST, backend=alias_of(_FIRST))  # type: ignore[untyped-decorator, unused-ignore]
def run_call(text: str) -> None:
    """Run a call; what it raises, the backend of the tasks keeps."""
    perform(Call.from_json(text))
