"""
The queues of a process: what they run where, in which order, how much they hold, and what they leave behind.

Rows S-05, S-10, S-12, S-13, W-F7, W-F9, W-F12.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from django.core.signals import got_request_exception
from django.db import connection, connections
from django.test import override_settings

from dtws_sio.conf import ConfigurationError
from dtws_sio.dispatch import HandlerFailedError
from dtws_sio.exceptions import CallExpiredError, EventError, QueueError, QueueFullError, WorkerDiedError
from dtws_sio.signals import queues, registry
from dtws_sio.signals.calls import Call, CallError
from dtws_sio.signals.queues import RandomQueue, StillRunningError, possible_names
from dtws_sio.signals.queues.processes import Processes, Worker
from dtws_sio.signals.queues.worker import outcome
from dtws_sio.signals.triggers import DELAYED
from tests.page import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCAL = ["pool", "threads"]


@pytest.fixture
def configure() -> Iterator[Callable[..., None]]:
    """Set DTWS_SIO["QUEUES"] until the end of the test."""
    overrides: list[override_settings] = []

    def configure(**options: Any) -> None:
        overrides.append(override_settings(DTWS_SIO={"RUNTIME": "threading", "QUEUES": options}))
        overrides[-1].enable()

    yield configure
    queues.stop(5)
    for override in reversed(overrides):
        override.disable()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Call], Any]], None]:
    """Say what calls run, instead of functions that are connected to signals."""

    def runs(function: Callable[[Call], Any]) -> None:
        monkeypatch.setattr(registry, "run", function)

    return runs


def call(number: int = 0, /, **fields: Any) -> Call:
    return Call("shop.order", "shop.signals.order", {"number": number}, **fields)


@pytest.mark.parametrize("backend", LOCAL)
def test_a_call_runs_elsewhere_and_its_result_can_be_waited_for(
    backend: str, configure: Callable[..., None], runs: Callable[..., None]
) -> None:
    configure(slow=backend)
    runs(lambda call: (threading.get_ident(), call.kwargs["number"] + 1))
    ident, value = queues.submit(call(1, queue="slow")).wait(5)
    assert value == 2
    assert ident != threading.get_ident()


@pytest.mark.parametrize("backend", LOCAL)
def test_a_full_queue_refuses_and_never_grows(
    backend: str, configure: Callable[..., None], runs: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Row W-F7."""
    go, running = threading.Event(), []
    configure(slow={"BACKEND": backend, "SIZE": 2, "MOST_WAITING": 3})
    runs(lambda call: (running.append(1), go.wait(5)))
    pending = [queues.submit(call(queue="slow")) for _ in range(5)]
    assert eventually(lambda: len(running) == 2)
    for _ in range(3):
        with pytest.raises(QueueFullError) as caught:
            queues.submit(call(queue="slow"))
    assert caught.value.code == "busy"
    assert "2 calls run and 3 wait" in str(caught.value)
    assert caught.value.answer["message"] == "There is too much to do just now; try again later."
    assert [record.name for record in caplog.records] == ["dtws_sio.queues"], "one warning a minute"
    assert len(running) == 2
    go.set()
    for each in pending:
        each.wait(5)
    queues.submit(call(queue="slow")).wait(5)


def test_calls_of_a_queue_start_in_their_order(configure: Callable[..., None], runs: Callable[..., None]) -> None:
    started: list[int] = []
    configure(slow={"BACKEND": "pool", "SIZE": 1})
    runs(lambda call: started.append(call.kwargs["number"]))
    pending = [queues.submit(call(number, queue="slow")) for number in range(50)]
    for each in pending:
        each.wait(5)
    assert started == list(range(50))


def test_one_slow_queue_does_not_hold_up_another(configure: Callable[..., None], runs: Callable[..., None]) -> None:
    go = threading.Event()
    configure(slow={"BACKEND": "pool", "SIZE": 1})
    runs(lambda call: go.wait(5) if call.queue == "slow" else "done")
    slow = queues.submit(call(queue="slow"))
    assert queues.submit(call()).wait(5) == "done"
    assert not slow.is_settled
    go.set()
    slow.wait(5)


def test_waiting_has_an_end_and_the_call_goes_on(configure: Callable[..., None], runs: Callable[..., None]) -> None:
    go = threading.Event()
    configure()
    runs(lambda call: go.wait(5))
    pending = queues.submit(call())
    with pytest.raises(StillRunningError, match=r"still ran after 0\.01 s"):
        pending.wait(0.01)
    go.set()
    assert pending.wait(5) is True


def test_an_answer_reaches_the_caller_and_is_no_failure(
    configure: Callable[..., None], runs: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(call: Call) -> None:
        raise EventError("no", code="sold_out")

    configure()
    runs(refuse)
    with pytest.raises(EventError) as caught:
        queues.submit(call()).wait(5)
    assert caught.value.code == "sold_out"
    assert not caplog.records


def test_a_failure_is_logged_once_and_told_to_django(
    configure: Callable[..., None], runs: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Row S-12; a call's arguments are not in the log."""
    told: list[Any] = []

    def told_of(**kwargs: Any) -> None:
        told.append(kwargs)

    def fail(call: Call) -> None:
        raise ZeroDivisionError("secret")

    configure()
    runs(fail)
    got_request_exception.connect(told_of)
    try:
        with pytest.raises(HandlerFailedError) as caught:
            queues.submit(Call("shop.order", "shop.signals.order", {"card": "4111"})).wait(5)
    finally:
        got_request_exception.disconnect(told_of)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert [record.getMessage() for record in caplog.records] == [
        "the call 'shop.order' (shop.signals.order) of the queue 'default' failed"
    ]
    assert len(told) == 1


@pytest.mark.parametrize("backend", LOCAL)
def test_database_connections_are_given_back(
    backend: str, configure: Callable[..., None], runs: Callable[..., None], database: None
) -> None:
    """Row W-F12: the threads live on, the connections do not."""
    seen: list[Any] = []

    def query(call: Call) -> None:
        seen.append(connections["default"])
        with connection.cursor() as cursor:
            cursor.execute("select 1")

    configure(slow={"BACKEND": backend, "SIZE": 2})
    runs(query)
    for pending in [queues.submit(call(queue="slow")) for _ in range(20)]:
        pending.wait(5)
    assert len(seen) == 20
    assert [each.connection for each in seen] == [None] * 20


def test_each_function_gets_arguments_as_every_queue_would_bring_them(
    configure: Callable[..., None], runs: Callable[..., None]
) -> None:
    """Copies, with bytes, tuples as lists."""
    given = {"file": b"\xff\x00", "pair": (1, 2), "nested": {"list": []}}
    configure()
    runs(lambda call: call.kwargs)
    got = queues.submit(Call("shop.order", "shop.signals.order", given)).wait(5)
    assert got == {"file": b"\xff\x00", "pair": [1, 2], "nested": {"list": []}}
    assert got["nested"] is not given["nested"]


def test_arguments_that_no_queue_could_carry_are_refused(configure: Callable[..., None]) -> None:
    configure()
    with pytest.raises(CallError, match="cannot be queued"):
        queues.submit(Call("shop.order", "shop.signals.order", {"it": object()}))


# ---- processes


@pytest.mark.parametrize("raises", [False, True])
def test_what_has_no_json_form_is_a_failure_and_ends_no_process(
    runs: Callable[..., None], caplog: pytest.LogCaptureFixture, raises: bool
) -> None:
    def run(call: Call) -> Any:
        if raises:
            raise EventError("sold out", details={"item": object()})
        return object()

    runs(run)
    assert outcome(call().to_json()) == '["failure","TypeError"]'
    assert "cannot leave its process" in caplog.text


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_processes_answer_and_end_with_their_queue(caplog: pytest.LogCaptureFixture) -> None:
    """What runs there here is our own function that emits later; without a message queue it cannot, and fails there."""
    processes = Processes()
    emit_later = Call(
        DELAYED,
        "dtws_sio.signals.triggers._emit_later",
        {"rooms": None, "message": {"signal": "a", "opts": {}, "id": "1"}},
    )
    for _ in range(2):
        with pytest.raises(HandlerFailedError, match="NotServingError"):
            processes.run(emit_later)
        (worker,) = processes._idle
    pid = worker.pid
    assert worker.is_alive()
    with pytest.raises(EventError) as caught:
        processes.run(replace(emit_later, expires=time.time() - 1))
    assert caught.value.code == "expired"
    processes.stop()
    assert not running(pid)


def test_a_process_that_was_killed_is_replaced() -> None:
    processes = Processes()
    emit_later = Call(DELAYED, "dtws_sio.signals.triggers._emit_later", {"rooms": 1, "message": 2})
    with pytest.raises(EventError):
        processes.run(emit_later)
    (first,) = processes._idle
    os.kill(first.pid, signal.SIGKILL)
    assert eventually(lambda: not first.is_alive())
    with pytest.raises(EventError):
        processes.run(emit_later)
    (second,) = processes._idle
    assert second.pid != first.pid
    processes.stop()
    with pytest.raises(WorkerDiedError, match=f"the worker process {second.pid} ended"):
        second.ask(emit_later)


def test_processes_need_settings_that_they_can_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    with override_settings(), pytest.raises(ConfigurationError, match="needs a settings module"):
        Worker()


def test_a_worker_process_starts_no_others(configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is one of threads there; else each level would start another."""
    monkeypatch.setenv("DTWS_SIO_WORKER", "1")
    monkeypatch.setattr(registry, "run", lambda call: os.getpid())
    configure(slow="processes")
    assert queues.submit(call(queue="slow")).wait(5) == os.getpid()


# ---- names


def test_calls_can_be_spread_over_several_queues_and_all_run(
    configure: Callable[..., None], runs: Callable[..., None]
) -> None:
    """Row S-05: the peer works the name out again in the worker, and drops half of the calls."""
    spread = RandomQueue("s-", 2)
    configure(**dict.fromkeys(spread.names, "pool"))
    runs(lambda call: call.queue)
    chosen = [spread(None, None, {}) for _ in range(100)]
    assert [queues.submit(call(queue=name)).wait(5) for name in chosen] == chosen
    assert set(chosen) == {"s-0", "s-1"}


@pytest.mark.parametrize("name", ["nowhere", None, 7])
def test_a_queue_that_does_not_exist_is_told(name: Any, configure: Callable[..., None]) -> None:
    configure(slow="pool")
    known = r"there is no queue .*the queues in DTWS_SIO\['QUEUES'\] are 'default', 'slow'"
    with pytest.raises(QueueError, match=known):
        queues.submit(call(queue=name))


@pytest.mark.parametrize(
    ("queue", "names"),
    [(None, ["default"]), ("a", ["a"]), (RandomQueue("a", 2), ["a0", "a1"]), (lambda window, kwargs: "a", [])],
)
def test_the_names_that_a_queue_may_have_are_known_beforehand(queue: Any, names: list[str]) -> None:
    assert possible_names(queue) == names


# ---- time


@pytest.mark.parametrize("backend", LOCAL)
def test_a_delayed_call_runs_when_it_is_due(
    backend: str, configure: Callable[..., None], runs: Callable[..., None]
) -> None:
    """Row S-10: countdown and eta work without Celery."""
    ran: list[float] = []
    configure(slow=backend)
    runs(lambda call: ran.append(time.time()))
    due = time.time() + 0.05
    assert queues.submit(call(queue="slow", eta=due)).wait(0)["queued"]
    assert eventually(lambda: ran)
    assert due <= ran[0] < due + 2


def test_many_delayed_calls_run_each_when_it_is_due(configure: Callable[..., None], runs: Callable[..., None]) -> None:
    ran: dict[int, float] = {}
    configure()
    runs(lambda call: ran.setdefault(call.kwargs["number"], time.time()))
    due = dict(enumerate(time.time() + seconds for seconds in (0.15, 0.05, 0.1, -5)))
    for number, eta in due.items():
        queues.submit(call(number, eta=eta))
    assert eventually(lambda: len(ran) == 4)
    assert all(ran[number] >= eta for number, eta in due.items())
    assert ran[3] < due[0]


def test_an_expired_call_is_not_queued(configure: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    configure()
    with caplog.at_level(logging.INFO, "dtws_sio"), pytest.raises(CallExpiredError):
        queues.submit(call(expires=time.time() - 1))
    assert [record.getMessage() for record in caplog.records] == [
        "the call 'shop.order' (shop.signals.order) of the queue 'default' has expired and is not queued"
    ]


@pytest.mark.parametrize("backend", LOCAL)
def test_a_call_that_expires_while_it_waits_is_not_run(
    backend: str, configure: Callable[..., None], runs: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    go, ran = threading.Event(), []
    configure(slow={"BACKEND": backend, "SIZE": 1})
    runs(lambda call: (ran.append(call.kwargs["number"]), go.wait(5)))
    queues.submit(call(1, queue="slow"))
    expires = time.time() + 0.05
    with caplog.at_level(logging.INFO, "dtws_sio"):
        late = queues.submit(call(2, queue="slow", expires=expires))
        assert eventually(lambda: time.time() > expires)
        go.set()
        with pytest.raises(CallExpiredError):
            late.wait(5)
    assert ran == [1]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "the call 'shop.order' (shop.signals.order) of the queue 'slow' has expired and is not run")
    ]


def test_a_delayed_call_that_finds_its_queue_full_is_told_of(
    configure: Callable[..., None], runs: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    go = threading.Event()
    configure(slow={"BACKEND": "pool", "SIZE": 1, "MOST_WAITING": 1})
    runs(lambda call: go.wait(5))
    for _ in range(2):
        queues.submit(call(queue="slow"))
    queues.submit(call(queue="slow", eta=time.time() + 0.01))
    assert eventually(lambda: "a delayed call is lost: the queue 'slow' is full" in caplog.text)
    go.set()


@pytest.mark.parametrize("backend", LOCAL)
def test_what_is_delayed_is_as_it_was_when_it_was_triggered(
    backend: str, configure: Callable[..., None], runs: Callable[..., None]
) -> None:
    ran: list[Any] = []
    configure(slow=backend)
    runs(lambda call: ran.append(call.kwargs))
    with pytest.raises(CallError, match="cannot be queued"):
        queues.submit(Call("shop.order", "shop.signals.order", {"it": object()}, queue="slow", eta=time.time() + 60))
    given = {"rows": [1]}
    queues.submit(Call("shop.order", "shop.signals.order", given, queue="slow", eta=time.time() + 0.05))
    given["rows"].append(2)
    assert eventually(lambda: ran)
    assert ran == [{"rows": [1]}]


def test_a_delayed_call_that_is_lost_does_not_show_its_arguments(
    configure: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure()
    queues.submit(Call("shop.order", "shop.signals.order", {"card": "4111"}, eta=time.time() + 0.05))
    monkeypatch.setattr(queues.Queues, "submit", lambda queues, call: 1 / 0)
    assert eventually(lambda: "the call 'shop.order' (shop.signals.order) was delayed, and failed" in caplog.text)
    assert "4111" not in caplog.text


# ---- the end


def test_the_end_waits_for_calls_and_tells_what_is_lost(
    configure: Callable[..., None], runs: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    go, done = threading.Event(), []
    configure(slow={"BACKEND": "pool", "SIZE": 1}, quick="threads")
    runs(lambda call: go.wait(5) if call.queue == "slow" else (time.sleep(0.05), done.append(1)))
    pending = [queues.submit(call(queue="slow")) for _ in range(3)]
    queues.submit(call(queue="quick"))
    queues.submit(call(eta=time.time() + 60))
    queues.stop(0.3)
    assert done == [1]
    assert [record.getMessage() for record in caplog.records] == [
        "3 calls of the queue 'slow' are lost, as this process ends",
        "1 delayed calls are lost, as this process ends before their time",
    ]
    go.set()
    for each in pending:
        each.wait(5)


def test_a_queue_that_cannot_work_here_says_what_to_do(
    configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(slow="threads")
    monkeypatch.setattr("dtws_sio.runtime.current", lambda: "gevent")
    with pytest.raises(ConfigurationError, match=r"is 'threads', and gevent's objects must not be used"):
        queues.submit(call(queue="slow"))


def test_settings_that_change_get_queues_of_their_own(
    configure: Callable[..., None], runs: Callable[..., None]
) -> None:
    runs(lambda call: call.queue)
    configure(one="pool")
    assert queues.submit(call(queue="one")).wait(5) == "one"
    configure(two="pool")
    assert queues.submit(call(queue="two")).wait(5) == "two"
    with pytest.raises(QueueError):
        queues.submit(call(queue="one"))


def test_many_threads_may_submit_at_once(configure: Callable[..., None], runs: Callable[..., None]) -> None:
    configure(slow={"BACKEND": "pool", "SIZE": 3})
    runs(lambda call: call.kwargs["number"])
    results: list[int] = []

    def submit(start: int) -> None:
        results.extend(queues.submit(call(number, queue="slow")).wait(10) for number in range(start, start + 50))

    threads = [threading.Thread(target=partial(submit, start)) for start in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(results) == list(range(200))
