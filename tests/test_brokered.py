"""
Queues that other programs work off: Celery, and the tasks of Django 6.0.

Celery's real worker and broker are in tests/live/test_queues.py. Where Django is older than 6.0, only what it is told
is tested. Rows S-10 and S-13.
"""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING, Any

import django
import pytest
from django.test import override_settings

from dtws_sio.conf import ConfigurationError
from dtws_sio.exceptions import CallExpiredError, MissingDependencyError
from dtws_sio.signals import queues, registry
from dtws_sio.signals.calls import Call
from dtws_sio.signals.queues import brokered
from tests.page import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

celery = pytest.importorskip("celery")

with_tasks = pytest.mark.skipif(django.VERSION < (6, 0), reason="this Django has no tasks")


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    names = {"reports": "celery", "jobs": "tasks", "others": "tasks"}
    with override_settings(DTWS_SIO={"RUNTIME": "threading", "QUEUES": names}):
        yield
        queues.stop(1)


@pytest.fixture
def app() -> Iterator[Any]:
    """Give a Celery app that runs tasks where they are queued."""
    made = celery.Celery("tests", broker="memory://", set_as_current=True)
    made.conf.task_always_eager = True
    yield made
    made.set_default()
    celery._state._set_current_app(celery._state.default_app)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Call, dict[str, Any]]]:
    """Give what calls were run, instead of running functions of signals."""
    seen: list[tuple[Call, dict[str, Any]]] = []
    monkeypatch.setattr(registry, "run", lambda call, **around: seen.append((call, around)))
    return seen


CALL = Call("shop.order", "shop.signals.order", {"item": 1, "file": b"\xff"}, {"key": "w"}, "reports")


# ---- Celery


def test_celery_gets_the_whole_call_and_its_request_row_s_12(app: Any, ran: list[Any]) -> None:
    queued = queues.submit(CALL).wait(0)
    ((call, around),) = ran
    assert call == CALL
    assert around["celery_request"].id == queued["queued"]
    assert around["celery_request"].task == "dtws_sio.call"


def test_times_are_celerys_own(app: Any) -> None:
    """Row S-10: it is Celery that waits, so that nothing is lost with this process."""
    app.conf.task_always_eager = False
    now = time.time()
    queues.submit(Call("shop.order", "shop.signals.order", {}, None, "reports", now + 60, now + 90))
    queues.submit(CALL)
    with app.connection_for_read() as connection, connection.SimpleQueue("reports") as queue:
        delayed, plain = (queue.get(timeout=5) for _ in range(2))
    for header, more in (("eta", 60), ("expires", 90)):
        assert datetime.datetime.fromisoformat(delayed.headers[header]).timestamp() == pytest.approx(now + more)
        assert plain.headers[header] is None
    assert delayed.headers["ignore_result"]


def test_every_process_makes_the_task_known_to_celery(app: Any) -> None:
    queues.prepare()
    assert "dtws_sio.call" in app.tasks


def test_a_missing_celery_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokered, "celery_task", brokered.celery_task.__wrapped__)
    monkeypatch.setattr(brokered, "has_celery", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"sends 'reports' to Celery, which is not installed: pip install"):
        queues.submit(CALL)


# ---- Django's tasks


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="this Django has tasks")
def test_a_django_without_tasks_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"is 'tasks', which need Django 6\.0, and this is 5\."):
        queues.submit(Call("shop.order", "shop.signals.order", {}, None, "jobs"))


def tasks(backend: str, **more: Any) -> Any:
    return override_settings(
        TASKS={
            "default": {"BACKEND": "django.tasks.backends.dummy.DummyBackend", "QUEUES": ["mails"]},
            "work": {"BACKEND": backend, "QUEUES": ["jobs", "others"], **more},
        }
    )


IMMEDIATE = "django.tasks.backends.immediate.ImmediateBackend"
DUMMY = "django.tasks.backends.dummy.DummyBackend"


@with_tasks
@pytest.mark.parametrize("name", ["jobs", "others"])
def test_a_backend_of_django_runs_the_call(name: str, ran: list[Any]) -> None:
    """The one that takes a queue of that name is found."""
    with tasks(IMMEDIATE):
        call = Call("shop.order", "shop.signals.order", {"file": b"\xff"}, {"key": "w"}, name)
        assert queues.submit(call).wait(0)["queued"]
    assert ran == [(call, {})]


@with_tasks
def test_the_task_is_in_its_queue_with_its_time() -> None:
    from django.tasks import task_backends

    with tasks(DUMMY):
        queues.submit(Call("shop.order", "shop.signals.order", {}, None, "others"))
        queues.submit(Call("shop.order", "shop.signals.order", {}, None, "jobs", time.time() + 3600))
        first, second = task_backends["work"].results
        assert (first.task.queue_name, first.task.run_after) == ("others", None)
        assert second.task.queue_name == "jobs"
        assert second.task.run_after > datetime.datetime.now(tz=datetime.timezone.utc)
        assert first.task.module_path == "dtws_sio.signals.queues.task.run_call"
        assert Call.from_json(first.args[0]) == Call("shop.order", "shop.signals.order", {}, None, "others")


@with_tasks
def test_where_the_backend_cannot_wait_this_process_does(ran: list[Any]) -> None:
    """Row S-10: countdown and eta work with each."""
    with tasks(IMMEDIATE):
        due = time.time() + 0.05
        queues.submit(Call("shop.order", "shop.signals.order", {}, None, "jobs", due))
        assert not ran
        assert eventually(lambda: ran)
        assert time.time() >= due
        queues.stop(1)


@with_tasks
def test_a_task_that_comes_too_late_is_not_run(ran: list[Any]) -> None:
    from dtws_sio.signals.queues import execution

    with pytest.raises(CallExpiredError):
        execution.perform(Call("shop.order", "shop.signals.order", {}, None, "jobs", expires=time.time() - 1))
    assert not ran


@with_tasks
def test_a_queue_that_no_backend_takes_is_told() -> None:
    nothing = pytest.raises(ConfigurationError, match="no backend of the setting TASKS takes the queue 'jobs'")
    with override_settings(TASKS={"default": {"BACKEND": IMMEDIATE, "QUEUES": ["mails"]}}), nothing:
        queues.submit(Call("shop.order", "shop.signals.order", {}, None, "jobs"))
