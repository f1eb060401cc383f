"""What pages trigger, and what they are told of it; rows S-03 to S-07, S-12, S-34, S-35 and W-F6 to W-F10."""

from __future__ import annotations

import json
import logging
import threading
from sqlite3 import ProgrammingError
from typing import TYPE_CHECKING, Any

import pytest
from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection as database_connection
from django.test import override_settings
from django.utils import translation

from dtws_sio.exceptions import EventError
from dtws_sio.limits import rate_limit
from dtws_sio.server import sio
from dtws_sio.signals import (
    RE,
    SerializedForm,
    all_of,
    everyone,
    has_perm,
    is_anonymous,
    is_authenticated,
    is_staff,
    signal,
)
from dtws_sio.signals import namespace as signals_namespace
from tests.conftest import THREADS
from tests.page import ACK, CONNECT_ERROR, Page, eventually
from tests.signals import call, heard

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server

    OpenWindow = Callable[..., Page]

DENIED = {"code": "permission_denied", "message": "You may not do this."}
SIGN_IN = {"code": "login_required", "message": "Please sign in."}
FAILED = {"code": "handler_failed", "message": "Internal server error"}


class UploadForm(forms.Form):
    file = forms.FileField()


def refused(*errors: dict[str, Any], results: Any = ()) -> dict[str, Any]:
    return {"ok": False, "results": list(results), "errors": list(errors)}


def done(*results: Any) -> dict[str, Any]:
    return {"ok": True, "results": list(results), "errors": []}


def test_a_page_gets_what_the_functions_return_rows_s_06_and_s_15(open_window: OpenWindow) -> None:
    signal("shop.sum", everyone)(lambda window_info, a, b=1: a + b)
    signal("shop.sum", everyone)(lambda window_info, **named: sorted(named))
    page = open_window()
    assert call(page, "shop.sum", a=2) == done(3, ["a"])
    assert call(page, "shop.sum", a=2, b=3) == done(5, ["a", "b"])


def test_a_call_needs_neither_arguments_nor_an_id_nor_an_acknowledgement(open_window: OpenWindow) -> None:
    ran: list[int] = []
    signal("shop.tick", everyone)(lambda window_info: ran.append(1))
    page = open_window()
    assert page.ask("signal", {"signal": "shop.tick"}, namespace="/signals") == [done(None)]
    assert page.ask("signal", {"signal": "shop.tick", "opts": None}, namespace="/signals") == [done(None)]
    page.emit("signal", {"signal": "shop.tick"}, namespace="/signals")
    assert eventually(lambda: len(ran) == 3)


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (None, [""]),
        ("shop.tick", [""]),
        ([], [""]),
        ({}, ["signal"]),
        ({"signal": 5}, ["signal"]),
        ({"signal": "shop.tick", "opts": []}, ["opts"]),
        ({"signal": "shop.tick", "opts": "x"}, ["opts"]),
        # Row W-F7: a page neither delays nor queues, and names no window.
        ({"signal": "shop.tick", "countdown": 1}, ["countdown"]),
        ({"signal": "shop.tick", "eta": "2030", "expires": 1, "queue": "slow"}, ["eta", "expires", "queue"]),
        ({"signal": "shop.tick", "to": ["x"], "window": "x", "from_client": False}, ["from_client", "to", "window"]),
    ],
)
def test_a_message_that_is_no_call_is_answered_row_w_f8(open_window: OpenWindow, message: Any, fields: Any) -> None:
    signal("shop.tick", everyone)(lambda window_info: pytest.fail("it was called"))
    [answer] = open_window().ask("signal", message, namespace="/signals")
    assert not answer["ok"]
    [error] = answer["errors"]
    assert error["code"] == "invalid"
    assert sorted(error["fields"]) == fields


def test_an_answer_stays_small_whatever_a_page_makes_up(open_window: OpenWindow) -> None:
    page = open_window()
    made_up = {"x" * 1000 + str(n): 1 for n in range(500)}
    assert len(json.dumps(page.ask("signal", {"signal": "a", **made_up}, namespace="/signals"))) < 5000
    assert len(json.dumps(call(page, "x" * 100_000))) < 500


# Who may


def test_a_page_cannot_tell_a_signal_of_the_server_from_one_that_is_not_there_row_s_04(
    open_window: OpenWindow, caplog: pytest.LogCaptureFixture
) -> None:
    """Row F-18: whose log tells it."""
    caplog.set_level(logging.INFO, "dtws_sio.signals")
    signal("shop.secret")(lambda window_info: pytest.fail("it was called"))
    page = open_window()
    for name in ("shop.secret", "no.such", "dtws_sio.emit"):
        unknown = {"code": "unknown_signal", "message": f"Unknown signal: {name}"}
        assert call(page, name, item=1) == refused(unknown)
        assert repr(name) in caplog.records[-1].getMessage()


def test_functions_of_the_server_are_not_even_mentioned_beside_others(open_window: OpenWindow) -> None:
    signal("shop.order")(lambda window_info, **named: pytest.fail("it was called"))
    signal("shop.order", everyone)(lambda window_info: "ordered")
    assert call(open_window(), "shop.order") == done("ordered")


def test_who_may_not_is_told_and_logged_rows_s_04_and_w_f8(
    open_window: OpenWindow, people: type[User], sign_in: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    for name, permission in {
        "known": is_authenticated,
        "staff": is_staff,
        "stranger": is_anonymous,
        "perm": has_perm("auth.change_group"),
        "own": all_of(everyone, lambda found, window, kwargs: kwargs.get("word") == "please"),
    }.items():
        signal(f"may.{name}", permission)(lambda window_info, **_: "done")
    stranger = open_window()
    user = open_window(**sign_in(people.objects.create_user("ann")))
    staff = open_window(**sign_in(people.objects.create_superuser("bob")))
    table = {
        "known": (refused(SIGN_IN), done("done"), done("done")),
        "staff": (refused(SIGN_IN), refused(DENIED), done("done")),
        "stranger": (done("done"), refused(DENIED), refused(DENIED)),
        "perm": (refused(SIGN_IN), refused(DENIED), done("done")),
        "own": (refused(DENIED), refused(DENIED), refused(DENIED)),
    }
    for name, expected in table.items():
        assert tuple(call(page, f"may.{name}") for page in (stranger, user, staff)) == expected, name
    assert call(stranger, "may.own", word="please") == done("done")
    logged = [each.getMessage() for each in caplog.records if each.name == "dtws_sio.security"]
    start, end = "denied 'signal may.staff tests.", f"' of /signals from {user.sid}: permission_denied"
    assert [line for line in logged if line.startswith(start) and line.endswith(end)]
    assert sio.refusals["login_required"] >= 3


def test_the_present_user_is_asked_at_each_call_row_w_f6(
    open_window: OpenWindow, people: type[User], sign_in: Callable[..., Any]
) -> None:
    ann = people.objects.create_user("ann", is_staff=True)
    signal("may.staff", is_staff)(lambda window_info: window_info.username)
    page = open_window(**sign_in(ann))
    assert call(page, "may.staff") == done("ann")
    User.objects.filter(pk=ann.pk).update(is_staff=False)  # sends no signal
    assert call(page, "may.staff") == refused(DENIED)


def test_who_may_not_reaches_neither_validation_nor_a_queue_row_w_f7(
    open_window: OpenWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        pytest.fail("it was reached")

    monkeypatch.setattr(signals_namespace, "enqueue", fail)
    signal("may.staff", is_staff, fail)(lambda window_info, item: None)
    signal("may.staff", is_staff, "slow")(lambda window_info, item: None)
    assert call(open_window(), "may.staff", item=fail.__name__, extra=1) == refused(SIGN_IN, SIGN_IN)


def test_a_permission_that_fails_lets_nobody_pass(open_window: OpenWindow, caplog: pytest.LogCaptureFixture) -> None:
    signal("may.broken", lambda *_: 1 / 0)(lambda window_info: pytest.fail("it was called"))
    assert call(open_window(), "may.broken") == refused(FAILED)
    assert [each.levelname for each in caplog.records if each.exc_info] == ["ERROR"]


def test_a_permission_cannot_change_the_arguments(open_window: OpenWindow) -> None:
    signal("may.all", lambda found, window, kwargs: kwargs["list"].append(1) is kwargs.clear())(
        lambda window_info, list: list
    )
    assert call(open_window(), "may.all", list=[0]) == done([0])


def test_a_function_may_bound_how_often_it_is_called(open_window: OpenWindow, caplog: pytest.LogCaptureFixture) -> None:
    """Row W-F7; each function has limits of its own."""
    ran: list[str] = []

    @signal("shop.order", everyone)
    @rate_limit("2/h")
    def order(window_info: Any) -> None:
        ran.append("bounded")

    signal("shop.order", everyone)(lambda window_info: ran.append("free"))
    page = open_window()
    answers = [call(page, "shop.order") for _ in range(3)]
    assert [answer["ok"] for answer in answers] == [True, True, False]
    assert [error["code"] for error in answers[2]["errors"]] == ["rate_limited"]
    assert ran == ["bounded", "free"] * 2 + ["free"]


# What goes wrong


def test_invalid_arguments_are_told_and_other_functions_run_rows_s_03_and_w_f8(open_window: OpenWindow) -> None:
    signal("shop.order", everyone)(lambda window_info, item: f"got {item}")

    @signal("shop.order", everyone)
    def order(window_info: Any, item: RE(r"[a-z]+")) -> None:  # type: ignore[valid-type]
        pytest.fail("it was called")

    fields = {"item": ["does not have the right form: '12abc'"]}
    message = "item: does not have the right form: '12abc'"
    answer = call(open_window(), "shop.order", item="12abc")
    assert answer == refused({"code": "invalid", "message": message, "fields": fields}, results=["got 12abc"])


def test_one_that_fails_stops_no_other_rows_s_12_and_w_f10(
    open_window: OpenWindow, caplog: pytest.LogCaptureFixture
) -> None:
    def forbid(window_info: Any) -> None:
        raise PermissionDenied("not yours")

    def answer(window_info: Any) -> None:
        raise EventError("sold out", code="sold_out", details={"left": 0})

    for function in (lambda window_info: 1, lambda window_info: 1 / 0, forbid, answer, lambda window_info: 2):
        signal("shop.order", everyone)(function)
    told = call(open_window(), "shop.order")
    assert told == refused(
        FAILED,
        {"code": "permission_denied", "message": "not yours"},
        {"code": "sold_out", "message": "sold out", "left": 0},
        results=[1, 2],
    )
    assert "ZeroDivisionError" not in json.dumps(told)
    assert len([each for each in caplog.records if each.levelno >= logging.ERROR]) == 1


def test_a_result_without_a_json_form_is_a_failure_of_the_function(open_window: OpenWindow) -> None:
    signal("shop.order", everyone)(lambda window_info: object())
    page = open_window()
    assert page.ask("signal", {"signal": "shop.order"}, namespace="/signals") == [{"error": FAILED}]
    assert call(page, "no.such")["errors"][0]["code"] == "unknown_signal", "it goes on"


def test_a_function_runs_in_its_windows_language_and_leaves_none_behind_row_w_f12(open_window: OpenWindow) -> None:
    def speak(window_info: Any) -> list[str]:
        before = translation.get_language()
        translation.activate("fr")
        return [before, window_info.language_code]

    signal("say", everyone)(speak)
    signal("say", everyone)(speak)
    german = open_window(HTTP_ACCEPT_LANGUAGE="de")
    assert call(german, "say") == done(["de", "de"], ["de", "de"])
    assert call(open_window(), "say") == done(["en-us", "en-us"], ["en-us", "en-us"])


def test_database_connections_are_given_back_row_w_f12(open_window: OpenWindow, people: type[User]) -> None:
    opened: list[Any] = []

    @signal("count", everyone)
    def count(window_info: Any) -> int:
        found = User.objects.count()
        opened.append(database_connection.connection)
        return found

    assert call(open_window(), "count") == done(0)
    with pytest.raises(ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


def test_a_form_with_a_file_arrives_whole_row_s_23(open_window: OpenWindow) -> None:
    @signal("profile.save", everyone)
    def save(window_info: Any, form: SerializedForm(UploadForm)) -> Any:  # type: ignore[valid-type]
        return [form.cleaned_data["file"].name, form.cleaned_data["file"].read().decode()]

    page = open_window()
    slot = '{"_placeholder":true,"num":0}'
    form = '[{"name":"file","value":{"name":"a.txt","content":' + slot + "}}]"
    page.send(f'51-/signals,3["signal",{{"signal":"profile.save","opts":{{"form":{form}}}}}]', b"hello")
    answer = page.next()
    assert (answer.type, answer.id, answer.data) == (ACK, 3, [done(["a.txt", "hello"])])
    assert call(page, "profile.save", form=[{"value": "a.txt"}])["errors"][0]["code"] == "invalid"


# Queues


@pytest.fixture
def slow_queue(serving: Server) -> Any:
    with override_settings(DTWS_SIO={**THREADS, "QUEUES": {"slow": "threads"}}):
        yield


def test_a_queue_answers_without_holding_other_calls_up_row_s_05(open_window: OpenWindow, slow_queue: None) -> None:
    """The acknowledgement comes when the function has ended; other calls of the window go on meanwhile."""
    gate = threading.Event()
    signal("report", everyone, "slow")(lambda window_info, year: gate.wait(5) and f"report of {year}")
    signal("report", everyone)(lambda window_info, year: year)
    signal("quick", everyone)(lambda window_info: "quick")
    page = open_window()
    page.emit("signal", {"signal": "report", "opts": {"year": 2030}}, namespace="/signals", id=100)
    assert call(page, "quick") == done("quick")
    gate.set()
    answer = page.next()
    assert (answer.id, answer.data) == (100, [done("report of 2030", 2030)])


def test_what_is_invalid_is_told_before_it_is_queued(
    open_window: OpenWindow, slow_queue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals_namespace, "enqueue", lambda *_: pytest.fail("it was queued"))

    @signal("report", everyone, "slow")
    def report(window_info: Any, year: int) -> None: ...

    assert call(open_window(), "report", year="x")["errors"][0]["fields"] == {
        "year": ["should be a whole number, not 'x'"]
    }


def test_what_fails_in_a_queue_is_told_like_everything_else(open_window: OpenWindow, slow_queue: None) -> None:
    def refuse(window_info: Any) -> None:
        raise EventError("sold out", code="sold_out")

    signal("report", everyone, "slow")(lambda window_info: 1 / 0)
    signal("report", everyone, "slow")(refuse)
    signal("report", everyone, "slow")(lambda window_info: "made")
    told = call(open_window(), "report")
    assert told == refused(FAILED, {"code": "sold_out", "message": "sold out"}, results=["made"])


def test_a_queue_that_is_none_is_a_failure_that_is_logged(
    open_window: OpenWindow, caplog: pytest.LogCaptureFixture
) -> None:
    signal("report", everyone, "no_such")(lambda window_info: None)
    assert call(open_window(), "report") == refused(FAILED)
    assert "there is no queue 'no_such'" in caplog.text


def test_who_waits_too_long_learns_that_it_is_queued(
    open_window: OpenWindow, slow_queue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals_namespace, "ANSWER_SECONDS", 0.05)
    gate = threading.Event()
    signal("report", everyone, "slow")(lambda window_info: gate.wait(5))
    assert call(open_window(), "report") == done({"queued": None})
    gate.set()


def test_calls_of_a_window_run_in_their_order(open_window: OpenWindow) -> None:
    order: list[int] = []
    signal("note", everyone)(lambda window_info, n: order.append(n))
    page = open_window()
    for number in range(50):
        page.emit("signal", {"signal": "note", "opts": {"n": number}}, namespace="/signals")
    assert heard(page) == []
    assert order == list(range(50))


# Joining


@pytest.mark.parametrize("auth", [None, {}, {"window": None}, {"other": 1}])
def test_a_window_without_a_token_is_let_in_and_has_a_key_of_its_own(serving: Server, auth: Any) -> None:
    signal("who", everyone)(lambda window_info: window_info.window_key)
    keys = []
    for _ in range(2):
        page = Page(serving.handle_request, serving.eio)
        page.join("/signals", auth)
        keys += call(page, "who")["results"]
    assert len(set(keys)) == 2
    assert all(isinstance(key, str) and len(key) > 20 for key in keys)


@pytest.mark.parametrize("token", ["", "x", 5, [], {}, "a:b:c", "é", "x" * 100_000])
def test_a_token_that_is_none_of_ours_is_refused_row_s_34(serving: Server, token: Any) -> None:
    page = Page(serving.handle_request, serving.eio)
    answer = page.join("/signals", {"window": token})
    assert answer.type == CONNECT_ERROR
    assert answer.data["data"] == {"code": "token_invalid"}


def test_what_serves_has_the_namespace_from_the_start() -> None:
    assert "/signals" in dict(sio.table)


def test_only_signals_are_events_of_the_namespace(open_window: OpenWindow) -> None:
    for event in ("connect", "enter_room", "recheck", "may_enter_room", "begin"):
        page = open_window()
        if event == "connect":
            page.emit(event, {}, namespace="/signals", id=1)
            assert eventually(lambda page=page: page.is_closed)
        else:
            [answer] = page.ask(event, {}, namespace="/signals")
            assert answer["error"]["code"] == "unknown_event"
