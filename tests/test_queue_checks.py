"""System checks of the queues. Rows F-13 and F-17."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import celery
import django
import pytest
from django.core.checks import run_checks
from django.test import override_settings

from dtws_sio.signals import registry, signal
from dtws_sio.signals.queues import RandomQueue, brokered
from dtws_sio.signals.queues.checks import check_queues

if TYPE_CHECKING:
    from collections.abc import Iterator

REDIS = "redis://localhost:6379/0"


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Start with no functions connected, and forget those of the test."""
    before = dict(registry.REGISTERED)
    registry.REGISTERED.clear()
    yield
    registry.REGISTERED.clear()
    registry.REGISTERED.update(before)


def found(queues: dict[str, Any], **keys: Any) -> list[tuple[str, str]]:
    """Give what the checks say to these queues."""
    with override_settings(DTWS_SIO={"QUEUES": queues, "MESSAGE_QUEUE": REDIS, **keys}):
        return [(str(message.id), message.msg) for message in check_queues()]


@pytest.mark.parametrize("queues", [{}, {"a": "pool", "b": "threads", "c": {"BACKEND": "processes", "SIZE": 1}}])
def test_queues_that_work_are_fine(queues: dict[str, Any]) -> None:
    assert found(queues) == []


def test_they_are_among_the_checks_of_the_project() -> None:
    with override_settings(DTWS_SIO={"QUEUES": {"slow": "processes"}}):
        assert [message.id for message in run_checks(tags=["dtws_sio"])] == ["dtws_sio.W011"]


def test_what_is_wrong_with_the_setting_itself_is_told_elsewhere() -> None:
    assert found({"a": "nothing"}) == []


@pytest.mark.parametrize(
    ("queue", "missing"), [("slow", ["slow"]), (RandomQueue("s-", 2), ["s-1"]), (lambda *_: "x", []), (None, [])]
)
def test_a_queue_that_nothing_serves_is_an_error(queue: Any, missing: list[str]) -> None:
    @signal("shop.order", queue=queue)
    def order(window_info: Any) -> None: ...

    messages = found({"s-0": "pool"})
    assert [number for number, _ in messages] == ["dtws_sio.E010"] * len(missing)
    for (_, text), name in zip(messages, missing, strict=True):
        assert f"in the queue {name!r}, which does not exist" in text
        assert "'shop.order' (tests.test_queue_checks." in text


def test_celery_has_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokered, "has_celery", lambda: False)
    assert [number for number, _ in found({"reports": "celery"})] == ["dtws_sio.E011"]


def test_celery_needs_an_app(monkeypatch: pytest.MonkeyPatch) -> None:
    default = celery.Celery("default", set_as_current=False)
    monkeypatch.setattr("celery.current_app", default)
    (message,) = found({"reports": "celery"})
    assert message == ("dtws_sio.W010", "No Celery app is loaded, and the queues reports go to Celery.")
    monkeypatch.setattr("celery.current_app", celery.Celery("shop", set_as_current=False))
    assert found({"reports": "celery"}) == []


def test_threads_do_not_work_with_gevent() -> None:
    assert [number for number, _ in found({"slow": "threads"}, RUNTIME="gevent")] == ["dtws_sio.E011"]
    assert found({"slow": "processes"}, RUNTIME="gevent") == []


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="this Django has tasks")
def test_tasks_need_a_django_that_has_them() -> None:
    ((number, text),) = found({"jobs": "tasks"})
    assert number == "dtws_sio.E012"
    assert "need Django 6.0" in text


@pytest.mark.skipif(django.VERSION < (6, 0), reason="this Django has no tasks")
@pytest.mark.parametrize(
    ("backend", "queues", "number"),
    [
        ("immediate.ImmediateBackend", ["jobs"], []),
        ("immediate.ImmediateBackend", ["mails"], ["dtws_sio.E012"]),
        ("dummy.DummyBackend", ["jobs"], ["dtws_sio.W010"]),
    ],
)
def test_tasks_need_a_backend_that_takes_and_runs_them(backend: str, queues: list[str], number: list[str]) -> None:
    with override_settings(TASKS={"default": {"BACKEND": f"django.tasks.backends.{backend}", "QUEUES": queues}}):
        assert [each for each, _ in found({"jobs": "tasks"})] == number


@pytest.mark.parametrize("backend", ["processes", "celery"])
def test_functions_in_other_processes_need_a_message_queue(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row F-13: what they emit would reach nobody."""
    monkeypatch.setattr(brokered, "is_default_app", lambda app: False)
    (message,) = found({"slow": backend, "quick": "pool"}, MESSAGE_QUEUE=None)
    assert message[0] == "dtws_sio.W011"
    assert "functions in the queues slow trigger reaches no page" in message[1]
