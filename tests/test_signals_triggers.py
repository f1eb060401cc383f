"""Signals that Python code triggers; rows S-07, S-09 to S-11, W-F9 and W-F20."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.test import RequestFactory, override_settings
from django.utils import timezone

from dtws_sio.exceptions import NotServingError, SignalError, TopicError
from dtws_sio.signals import (
    BROADCAST,
    SERVER,
    SYNC,
    USER,
    WINDOW,
    WindowInfo,
    everyone,
    queues,
    set_topics,
    signal,
    trigger,
    trigger_signal,
)
from tests.conftest import THREADS
from tests.page import Page, eventually
from tests.signals import heard, view_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    OpenWindow = Callable[..., Page]


@pytest.fixture
def ran(registered: Any) -> Iterator[list[Any]]:
    """Connect a function that notes what it is called with, and the thread that it runs in."""
    found: list[Any] = []

    @signal("note")
    def note(window_info: WindowInfo, **kwargs: Any) -> str:
        found.append((window_info, kwargs, threading.get_ident()))
        return "noted"

    with override_settings(DTWS_SIO=THREADS):
        yield found
        queues.stop()


# To windows


def test_a_window_in_several_topics_gets_a_signal_once_row_s_07(open_window: OpenWindow, people: type[User]) -> None:
    request = view_request()
    page = open_window(set_topics(request, "a", "b"))
    other = open_window(set_topics(view_request(), "b"))
    trigger(request, "changed", to=["a", "b", "a", WINDOW], n=1)
    trigger(request, "changed", to=[WINDOW, BROADCAST, "a"], n=2)
    assert [opts["n"] for _, opts in heard(page)] == [1, 2]
    assert [opts["n"] for _, opts in heard(other)] == [1, 2]


def test_all_windows_get_the_same_id_and_each_signal_another_row_s_07(open_window: OpenWindow) -> None:
    pages = [open_window(set_topics(view_request(), "a")) for _ in range(2)]
    trigger(None, "one", to="a")
    trigger(None, "two", to="a")
    ids = [[page.next().data[1]["id"] for _ in range(2)] for page in pages]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_names_of_parameters_are_names_of_arguments_too_row_s_09(open_window: OpenWindow) -> None:
    page = open_window(set_topics(view_request(), "a"))
    trigger(None, "x", to="a", name=1, window=2, window_info=3, signal_name=4, countdown=5, eta=6, kwargs=7, self=8)
    trigger_signal(None, "x", "a", {"to": 1})
    assert [opts for _, opts in heard(page)] == [
        {"name": 1, "window": 2, "window_info": 3, "signal_name": 4, "countdown": 5, "eta": 6, "kwargs": 7, "self": 8},
        {"to": 1},
    ]


def test_without_a_target_it_is_the_user_row_s_11(open_window: OpenWindow, people: type[User], sign_in: Any) -> None:
    ann = people.objects.create_user("ann")
    cookies = sign_in(ann)
    page, stranger = open_window(**cookies), open_window()
    trigger(view_request(cookies), "hello")
    assert (heard(page), heard(stranger)) == ([("hello", {})], [])


@pytest.mark.parametrize("to", [[], (), iter(())])
def test_no_target_is_nobody_and_not_everybody(open_window: OpenWindow, to: Any) -> None:
    page = open_window()
    assert trigger(None, "hello", to=to).ok
    assert heard(page) == []


@pytest.mark.parametrize(
    ("window", "to", "remedy"),
    [
        (None, WINDOW, "set_topics"),
        (None, None, "Use WINDOW or SESSION"),
        (view_request(), USER, "Use WINDOW or SESSION"),
        (view_request(), [BROADCAST, WINDOW], "set_topics"),
        (None, User(), "save it first"),
        (None, AnonymousUser(), "anonymous users have none"),
        (None, [5], "topics are text"),
    ],
)
def test_who_cannot_be_reached_is_told_with_the_remedy_row_w_f11(
    open_window: OpenWindow, window: Any, to: Any, remedy: str
) -> None:
    page = open_window()
    with pytest.raises(TopicError, match=remedy):
        trigger(window, "hello", to=to)
    assert heard(page) == []


@pytest.mark.parametrize("name", ["", None, 5, b"x"])
def test_what_names_no_signal_is_told(name: Any) -> None:
    with pytest.raises(SignalError, match="names no signal"):
        trigger(None, name, to=BROADCAST)


def test_a_request_whose_user_was_never_touched_is_good_row_w_f9(
    open_window: OpenWindow, people: type[User], sign_in: Any
) -> None:
    from django.contrib.auth.middleware import AuthenticationMiddleware
    from django.contrib.sessions.middleware import SessionMiddleware

    cookies = sign_in(people.objects.create_user("ann"))
    page = open_window(**cookies)

    def view(request: Any) -> Any:
        from django.http import HttpResponse

        trigger(request, "hello")
        return HttpResponse()

    SessionMiddleware(AuthenticationMiddleware(view))(RequestFactory().get("/", **cookies))
    assert heard(page) == [("hello", {})]


def test_functions_answer_their_own_window_from_inside_row_w_f9(open_window: OpenWindow, people: type[User]) -> None:
    """Nested signals and the ORM work, on the pool, in a queue and here."""

    @signal("outer", everyone)
    def outer(window_info: WindowInfo) -> list[int]:
        trigger(window_info, "html.text", to=WINDOW, n=User.objects.count())
        return trigger(window_info, "inner", to=SYNC).results

    @signal("inner")
    def inner(window_info: WindowInfo) -> int:
        trigger(window_info, "html.text", to=WINDOW, n=2)
        return User.objects.count()

    page, other = open_window(), open_window()
    page.emit("signal", {"signal": "outer"}, namespace="/signals", id=5)
    packets = [page.next() for _ in range(3)]
    assert [packet.data[1]["opts"]["n"] for packet in packets[:2]] == [0, 2]
    assert packets[2].data == [{"ok": True, "results": [[0]], "errors": []}]
    assert heard(other) == []


def test_it_works_in_threads(open_window: OpenWindow) -> None:
    page = open_window(set_topics(view_request(), "a"))
    threads = [threading.Thread(target=trigger, args=(None, "x"), kwargs={"to": "a", "n": n}) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opts["n"] for _, opts in heard(page)) == list(range(10))


def test_a_process_that_serves_nobody_is_told_what_to_set(ran: list[Any]) -> None:
    with pytest.raises(NotServingError, match="MESSAGE_QUEUE"):
        trigger(None, "hello", to="a")
    assert trigger(None, "note", to=SYNC).results == ["noted"]


# To the server


def test_sync_runs_in_the_calling_thread_and_gives_the_results_row_s_11(ran: list[Any]) -> None:
    info = WindowInfo.from_request(None)
    outcome = trigger(info, "note", to=SYNC, n=1)
    assert (outcome.ok, outcome.results, outcome.errors) == (True, ["noted"], [])
    assert ran == [(info, {"n": 1}, threading.get_ident())]


def test_sync_is_part_of_the_callers_transaction(people: type[User], registered: Any) -> None:
    @signal("make")
    def make(window_info: WindowInfo) -> None:
        User.objects.create_user("ann")

    with transaction.atomic():
        trigger(None, "make", to=SYNC)
        assert User.objects.count() == 1
        transaction.set_rollback(True)
    assert User.objects.count() == 0


def test_python_is_asked_for_no_permission_but_for_fitting_arguments_rows_s_03_and_s_04(registered: Any) -> None:
    signal("shop.order")(lambda window_info, item: item)
    signal("shop.order")(lambda window_info, item, more: item)
    outcome = trigger(None, "shop.order", to=SYNC, item=1)
    assert outcome.results == [1]
    assert [error["fields"] for error in outcome.errors] == [{"more": ["is missing"]}]


def test_sync_isolates_functions_from_each_other_row_w_f10(registered: Any, caplog: pytest.LogCaptureFixture) -> None:
    signal("shop.order")(lambda window_info: 1 / 0)
    signal("shop.order")(lambda window_info: "done")
    outcome = trigger(None, "shop.order", to=[SYNC])
    assert outcome.results == ["done"]
    assert outcome.errors == [{"code": "handler_failed", "message": "Internal server error"}]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("to", [SERVER, SYNC, [SERVER, SYNC]])
def test_a_signal_without_functions_is_told_row_s_06(
    registered: Any, to: Any, caplog: pytest.LogCaptureFixture
) -> None:
    signal("shop.order")(lambda window_info: None)
    outcome = trigger(None, "shop.ordr", to=to)
    assert [error["code"] for error in outcome.errors] == ["unknown_signal"]
    assert "did you mean 'shop.order'?" in caplog.text


def test_the_server_runs_it_beside_the_caller_row_s_13(ran: list[Any]) -> None:
    data = {"list": [1]}
    assert trigger(view_request(), "note", to=SERVER, data=data).results == []
    data["list"].append(2)
    assert eventually(lambda: ran)
    [(info, kwargs, thread)] = ran
    assert kwargs == {"data": {"list": [1]}}
    assert thread != threading.get_ident()
    assert isinstance(info, WindowInfo)


def test_server_and_windows_at_once(open_window: OpenWindow, ran: list[Any]) -> None:
    page = open_window(set_topics(view_request(), "a"))
    trigger(None, "note", to=[SERVER, "a"], n=1)
    assert eventually(lambda: [kwargs for _, kwargs, _ in ran] == [{"n": 1}])
    assert heard(page) == [("note", {"n": 1})]


def test_a_queued_function_knows_the_window_that_triggered_it(open_window: OpenWindow, registered: Any) -> None:
    @signal("work")
    def work(window_info: WindowInfo) -> None:
        trigger(window_info, "worked", to=WINDOW)

    signal("start", everyone)(lambda window_info: trigger(window_info, "work", to=SERVER).ok)
    page, other = open_window(), open_window()
    page.emit("signal", {"signal": "start"}, namespace="/signals")
    assert page.next().data[1]["signal"] == "worked"
    assert heard(other) == []


# Later


def test_a_signal_to_the_server_waits_row_s_10(ran: list[Any]) -> None:
    started = time.monotonic()
    trigger_signal(None, "note", SERVER, {"n": 1}, countdown=0.2)
    trigger_signal(None, "note", SERVER, {"n": 2}, eta=timezone.now() + timedelta(seconds=0.1))
    assert ran == []
    assert eventually(lambda: len(ran) == 2)
    assert time.monotonic() - started >= 0.2
    assert [kwargs["n"] for _, kwargs, _ in ran] == [2, 1]


def test_a_signal_to_windows_waits_row_s_10(open_window: OpenWindow) -> None:
    page, other = open_window(set_topics(view_request(), "a")), open_window()
    started = time.monotonic()
    trigger_signal(None, "later", "a", {"n": 1}, countdown=0.15)
    trigger_signal(None, "later", BROADCAST, {"n": 2}, countdown=0.2)
    assert heard(page) == []
    assert [page.next().data[1]["opts"]["n"] for _ in range(2)] == [1, 2]
    assert time.monotonic() - started >= 0.2
    assert other.next().data[1]["opts"] == {"n": 2}


def test_what_has_expired_is_not_sent_row_s_10(open_window: OpenWindow, ran: list[Any]) -> None:
    page = open_window(set_topics(view_request(), "a"))
    past = timezone.now() - timedelta(seconds=1)
    trigger_signal(None, "note", ["a", SERVER, SYNC], {"n": 1}, expires=past)
    trigger_signal(None, "note", "a", {"n": 2}, expires=0)
    trigger_signal(None, "note", "a", {"n": 3}, expires=60)
    assert heard(page) == [("note", {"n": 3})]
    assert ran == []


def test_what_expires_before_its_time_never_comes(open_window: OpenWindow, ran: list[Any]) -> None:
    page = open_window(set_topics(view_request(), "a"))
    trigger_signal(None, "note", ["a", SERVER], {"n": 1}, countdown=0.1, expires=0.05)
    trigger_signal(None, "last", "a", countdown=0.2)
    assert page.next().data[1]["signal"] == "last"
    assert ran == []


def test_a_moment_without_a_time_zone_is_in_the_current_one(ran: list[Any]) -> None:
    with timezone.override("Asia/Tokyo"):
        eta = timezone.make_naive(timezone.now() + timedelta(seconds=0.1))
        trigger_signal(None, "note", SERVER, eta=eta)
    assert eventually(lambda: ran)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ({"countdown": 1, "eta": datetime.now(tz=timezone.get_fixed_timezone(0))}, "give one of them"),
        ({"countdown": -1}, "countdown=-1 is no time"),
        ({"countdown": "1"}, "countdown='1' is no time"),
        ({"countdown": float("inf")}, "is no time"),
        ({"countdown": True}, "is no time"),
        ({"countdown": 1e15}, "is no time; .* less than a century"),
        ({"expires": 1e15}, "is no time"),
        ({"eta": 5}, "eta=5 is no moment"),
        ({"expires": "x"}, "expires='x' is no time"),
    ],
)
def test_times_that_make_no_sense_are_told_row_s_10(ran: list[Any], times: Any, message: str) -> None:
    with pytest.raises(SignalError, match=message):
        trigger_signal(None, "note", SERVER, **times)


def test_sync_cannot_wait(ran: list[Any]) -> None:
    with pytest.raises(SignalError, match="SYNC is here and now"):
        trigger_signal(None, "note", [SYNC], countdown=1)


# After the commit


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_signal_may_wait_for_the_commit_row_w_f20(
    open_window: OpenWindow, people: type[User], ran: list[Any], is_committed: bool
) -> None:
    page = open_window(set_topics(view_request(), "a"))
    with transaction.atomic():
        trigger_signal(None, "note", ["a", SYNC], {"n": 1}, on_commit=True)
        assert heard(page) == []
        assert ran == []
        transaction.set_rollback(not is_committed)
    assert len(heard(page)) == len(ran) == is_committed


def test_what_is_wrong_is_told_before_the_commit(people: type[User], ran: list[Any]) -> None:
    with transaction.atomic():
        with pytest.raises(TopicError):
            trigger_signal(None, "note", WINDOW, on_commit=True)
        with pytest.raises(NotServingError):
            trigger_signal(None, "note", "a", on_commit=True)
