"""Looking handlers up and running them; rows D-20 to D-25 and D-61 to D-64, pitfalls 6, 8 and 12."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from django.core import signals
from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created
from django.test import RequestFactory

from dtws_sio import dispatch
from dtws_sio.dispatch import (
    ANY,
    NO_ACK,
    HandlerFailedError,
    HandlerTable,
    Origin,
    concurrent,
    make_handler,
    namespace_path,
    run,
)
from dtws_sio.exceptions import (
    DuplicateHandlerError,
    EventError,
    EventNameError,
    NamespacePathError,
    NotCallableError,
    SignatureError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.http import HttpRequest

ORIGIN = Origin("order", "/shop", "sid-1")


def origin() -> Origin:
    """Tell where an event came from, as `run` asks only if it has to be told."""
    return ORIGIN


# Paths


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (None, "/"),
        ("", "/"),
        ("  ", "/"),
        ("/", "/"),
        ("chat", "/chat"),
        ("/chat", "/chat"),
        (" /chat ", "/chat"),
        ("\tchat\n", "/chat"),
        ("a/b", "/a/b"),
        ("/a b", "/a b"),
        ("*", ANY),
        (" * ", ANY),
    ],
)
def test_a_namespace_path_has_one_form_row_d_20(path: str | None, normal: str) -> None:
    assert namespace_path(path) == normal
    assert namespace_path(normal) == normal


@pytest.mark.parametrize("path", [1, b"/chat", ["/chat"], object, False])
def test_a_namespace_path_that_is_no_string_is_refused_row_d_20(path: object) -> None:
    with pytest.raises(NamespacePathError) as caught:
        namespace_path(path)
    assert repr(path) in str(caught.value)
    assert "'/chat'" in str(caught.value)


@pytest.mark.parametrize("path", ["/a,b", "/a?b", ","])
def test_a_namespace_path_that_no_packet_can_carry_is_refused(path: str) -> None:
    with pytest.raises(NamespacePathError) as caught:
        namespace_path(path)
    assert repr(path) in str(caught.value)


# Signatures


async def async_function(sid: str) -> None: ...


async def async_generator(sid: str) -> Any:
    yield


class Things:
    async def async_method(self, sid: str) -> None: ...

    def method(self, sid: str, data: Any) -> None: ...


class AsyncCallable:
    async def __call__(self, sid: str) -> None: ...


class PlainCallable:
    def __call__(self, sid: str) -> None: ...


def partial_of(function: Callable[..., Any], *arguments: Any) -> Any:
    return functools.partial(function, *arguments)


@pytest.mark.parametrize(
    "function",
    [
        async_function,
        Things().async_method,
        AsyncCallable(),
        partial_of(async_function),
        partial_of(Things().async_method),
        partial_of(partial_of(async_function)),
        partial_of(AsyncCallable()),
        async_generator,
    ],
    ids=["function", "method", "callable", "partial", "partial method", "nested", "partial callable", "generator"],
)
def test_an_async_handler_is_refused(function: Any) -> None:
    with pytest.raises(SignatureError, match=r"'order'.* is async; .* write `def`"):
        make_handler(function, "order")


@pytest.mark.parametrize("thing", [None, 1, "text", [], {}], ids=repr)
def test_a_thing_that_is_not_callable_is_refused_row_d_64(thing: object) -> None:
    with pytest.raises(NotCallableError) as caught:
        make_handler(thing, "order")
    assert "'order'" in str(caught.value)
    assert repr(thing) in str(caught.value)


@pytest.mark.parametrize(
    "function",
    [
        lambda sid: 0,
        lambda sid, data: 0,
        lambda sid, data=None, /: 0,
        lambda *arguments: 0,
        lambda sid, *, option=None: 0,
        lambda sid, **options: 0,
        Things().method,
        PlainCallable(),
        partial_of(Things().method),
        partial_of(lambda shop, sid: 0, "shop"),
        print,
        min,
    ],
)
def test_whatever_takes_a_sid_by_position_is_a_handler(function: Any) -> None:
    """Row D-23: the old library broke on keyword-only arguments, `**` and annotations, and on partials (row D-22)."""
    assert make_handler(function, "order").function is function


CONNECT = "(sid, environ) or (sid, environ, auth)"
DISCONNECT = "(sid) or (sid, reason)"
AFTER = ", after the event or namespace of a catch-all"


@pytest.mark.parametrize(
    ("function", "event", "leading", "takes", "called_with"),
    [
        (lambda: 0, "order", 0, "0 arguments", "(sid, *data)"),
        (lambda sid: 0, "order", 1, "1 arguments", "(sid, *data)" + AFTER),
        (lambda sid: 0, "*", 1, "1 arguments", "(sid, *data)" + AFTER),
        (lambda event, sid: 0, "*", 2, "2 arguments", "(sid, *data)" + AFTER),
        (lambda: 0, "connect", 0, "0 arguments", CONNECT),
        (lambda sid, auth=None, /, *, environ=None: 0, "connect", 0, None, None),
        (lambda sid: 0, "connect", 0, "1 arguments", CONNECT),
        (lambda a, b, c, d: 0, "connect", 0, "4 arguments", CONNECT),
        (lambda a, b, c, d, *rest: 0, "connect", 0, "at least 4 arguments", CONNECT),
        (lambda sid, environ: 0, "connect", 1, "2 arguments", CONNECT + AFTER),
        (lambda: 0, "disconnect", 0, "0 arguments", DISCONNECT),
        (lambda a, b, c, d=1: 0, "disconnect", 0, "3 to 4 arguments", DISCONNECT),
        (lambda sid: 0, "disconnect", 1, "1 arguments", DISCONNECT + AFTER),
    ],
)
def test_a_handler_that_cannot_take_what_its_event_brings_is_refused(
    function: Any, event: str, leading: int, takes: str | None, called_with: str | None
) -> None:
    if takes is None:
        assert make_handler(function, event, leading).takes(2)
        return
    with pytest.raises(SignatureError) as caught:
        make_handler(function, event, leading)
    assert str(caught.value).startswith(f"the handler of {event!r}, ")
    assert str(caught.value).endswith(f"takes {takes}; it is called with {called_with}")


@pytest.mark.parametrize("event", ["order", "connect", "disconnect"])
def test_a_handler_with_keyword_only_arguments_is_refused(event: str) -> None:
    def handler(sid: str, environ: Any = None, *, data: Any) -> None: ...

    with pytest.raises(SignatureError, match=rf"'{event}'.*handler, has keyword-only arguments"):
        make_handler(handler, event)


@pytest.mark.parametrize(
    ("function", "fits", "does_not_fit"),
    [
        (lambda sid: 0, [1], [0, 2]),
        (lambda sid, data, more=None: 0, [2, 3], [1, 4]),
        (lambda sid, *data: 0, [1, 2, 99], [0]),
        (Things().method, [2], [1, 3]),
        (PlainCallable(), [1], [0, 2]),
    ],
)
def test_a_handler_knows_how_many_arguments_it_takes(function: Any, fits: list[int], does_not_fit: list[int]) -> None:
    handler = make_handler(function, "order")
    assert [count for count in range(100) if handler.takes(count) and count in fits + does_not_fit] == fits


def test_a_handler_is_concurrent_only_where_it_says_so() -> None:
    class Job:
        @concurrent
        def cancel(self, sid: str) -> None: ...

    assert make_handler(concurrent(lambda sid: 0), "cancel").concurrent
    assert make_handler(Job().cancel, "cancel").concurrent
    assert not make_handler(lambda sid: 0, "cancel").concurrent


# The table


def named(name: str) -> Callable[..., str]:
    def handler(*arguments: Any) -> str:
        return name

    handler.__qualname__ = name
    return handler


@pytest.fixture
def table() -> HandlerTable:
    """Handlers named after their place: the event, a space, the namespace."""
    table = HandlerTable()
    for event, namespace in (("order", "/shop"), ("*", "/shop"), ("order", "*"), ("*", "*"), ("order", "/bare")):
        table.add(event, named(f"{event} {namespace}"), namespace)
    return table


@pytest.mark.parametrize(
    ("event", "namespace", "name", "arguments"),
    [
        ("order", "/shop", "order /shop", ("sid", 1)),
        ("other", "/shop", "* /shop", ("other", "sid", 1)),
        ("order", "/unknown", "order *", ("/unknown", "sid", 1)),
        ("other", "/unknown", "* *", ("other", "/unknown", "sid", 1)),
        ("other", "/bare", "* *", ("other", "/bare", "sid", 1)),
        ("*", "/shop", "* /shop", ("*", "sid", 1)),
        ("*", "/bare", "* *", ("*", "/bare", "sid", 1)),
        ("*", "/unknown", "* *", ("*", "/unknown", "sid", 1)),
    ],
)
def test_the_most_exact_handler_wins_row_d_22(
    table: HandlerTable, event: str, namespace: str, name: str, arguments: tuple[Any, ...]
) -> None:
    found = table.find(event, namespace, ("sid", 1))
    assert found is not None
    assert (found[0].function(), found[1]) == (name, arguments)


@pytest.mark.parametrize("event", ["connect", "disconnect"])
@pytest.mark.parametrize("namespace", ["/shop", "/unknown"])
def test_a_catch_all_handler_does_not_see_connects_and_disconnects(
    table: HandlerTable, event: str, namespace: str
) -> None:
    assert table.find(event, namespace, ("sid", {})) is None


def test_a_connect_handler_of_all_namespaces_is_found(table: HandlerTable) -> None:
    table.add("connect", named("connect *"), "*")
    found = table.find("connect", "/shop", ("sid", {}, None))
    assert found is not None
    assert (found[0].function(), found[1]) == ("connect *", ("/shop", "sid", {}, None))


def test_an_event_that_nobody_handles_is_not_found() -> None:
    table = HandlerTable()
    table.add("order", named("order"), "/shop")
    assert table.find("other", "/shop", ("sid",)) is None
    assert table.find("order", "/", ("sid",)) is None
    assert table.find("Order", "/shop", ("sid",)) is None
    assert table.find("*", "/shop", ("sid",)) is None


def test_a_namespace_with_handlers_is_in_the_table(table: HandlerTable) -> None:
    few = HandlerTable()
    few.add("order", named("order"), "/shop")
    assert "/shop" in few
    assert "/" not in few
    assert "/anything" in table


def test_the_table_gives_namespaces_and_events_sorted(table: HandlerTable) -> None:
    assert list(table) == [("*", ["*", "order"]), ("/bare", ["order"]), ("/shop", ["*", "order"])]


def test_a_second_handler_for_an_event_is_refused_row_d_61(table: HandlerTable) -> None:
    """Rows D-22 and W-D11: the old library replaced the first one without a word."""
    with pytest.raises(DuplicateHandlerError) as caught:
        table.add("order", named("second"), "/shop")
    assert all(text in str(caught.value) for text in ("'order'", "'/shop'", "order /shop", "second"))
    found = table.find("order", "/shop", ())
    assert found is not None
    assert found[0].function() == "order /shop"


def test_the_same_event_of_another_namespace_is_another_event(table: HandlerTable) -> None:
    table.add("order", named("other"), "/other")


@pytest.mark.parametrize("event", ["connect_error", "disconnecting", "newListener", "removeListener"])
def test_an_event_that_never_arrives_is_refused(event: str) -> None:
    with pytest.raises(EventNameError, match=f"'{event}' is reserved by Socket.IO"):
        HandlerTable().add(event, named("x"), "/")


@pytest.mark.parametrize("event", [None, 1, b"order", "", lambda sid: 0])
def test_an_event_name_that_is_no_text_is_refused_row_d_26(event: object) -> None:
    with pytest.raises(EventNameError) as caught:
        HandlerTable().add(event, named("x"), "/")
    assert repr(event) in str(caught.value)


def test_any_text_is_an_event_name_row_d_22() -> None:
    table = HandlerTable()
    table.add("any name: é, [1]", named("x"), "/")
    assert table.find("any name: é, [1]", "/", ())


@pytest.mark.parametrize(("event", "namespace"), [("*", "/"), ("order", "*"), ("*", "*")])
def test_a_catch_all_handler_must_take_what_it_catches(event: str, namespace: str) -> None:
    with pytest.raises(SignatureError, match="after the event or namespace"):
        HandlerTable().add(event, lambda sid: 0, namespace)


# Running


@pytest.fixture
def told() -> Iterator[list[tuple[HttpRequest | None, BaseException | None]]]:
    """What Django's tooling, such as an error tracker, got: the request, and the exception being handled."""
    got: list[tuple[HttpRequest | None, BaseException | None]] = []

    def receive(request: HttpRequest | None = None, **kwargs: Any) -> None:
        got.append((request, sys.exc_info()[1]))

    signals.got_request_exception.connect(receive, weak=False)
    yield got
    signals.got_request_exception.disconnect(receive)


def test_a_handler_gets_its_arguments_and_its_answer_is_given() -> None:
    assert run(lambda sid, data: (sid, data), ("sid", 1), origin) == ("sid", 1)


LANGUAGE: contextvars.ContextVar[str] = contextvars.ContextVar("LANGUAGE", default="none")


def test_nothing_of_the_client_before_shows() -> None:
    """Row W-F12, hub rules."""
    LANGUAGE.set("caller's")

    def handler() -> str:
        before = LANGUAGE.get()
        LANGUAGE.set("handler's")
        return before

    assert [run(handler, (), origin), run(handler, (), origin), LANGUAGE.get()] == ["none", "none", "caller's"]


class LikeTimeout(BaseException):
    """As eventlet.Timeout and GreenletExit are."""


@pytest.mark.parametrize("error", [ValueError("no"), TypeError("no"), SystemExit(1), LikeTimeout()], ids=repr)
def test_a_failure_is_logged_once_and_told_to_djangos_tooling(
    error: BaseException, caplog: pytest.LogCaptureFixture, told: list[Any]
) -> None:
    """Pitfalls 8 and 12: also after a TypeError the handler is called once."""
    calls = []

    def handler(sid: str) -> None:
        calls.append(sid)
        raise error

    environ = RequestFactory().get("/socket.io/", {"EIO": "4"}).environ
    with pytest.raises(HandlerFailedError) as caught:
        run(handler, ("sid-1",), lambda: Origin("order", "/shop", "sid-1", environ))
    assert calls == ["sid-1"]
    assert caught.value.__cause__ is error
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("dtws_sio.events", logging.ERROR)
    assert record.getMessage() == "the handler of 'order' of /shop from sid-1 failed"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert [getattr(record, name) for name in ("event", "namespace", "sid")] == ["order", "/shop", "sid-1"]
    ((request, handled),) = told
    assert handled is error
    assert request is not None
    assert (request.path, request.GET["EIO"]) == ("/socket.io/", "4")


def test_a_failure_without_handshake_has_no_request(told: list[Any]) -> None:
    with pytest.raises(HandlerFailedError):
        run(lambda: 1 / 0, (), origin)
    assert [request for request, _ in told] == [None]


def test_djangos_tooling_may_fail_too() -> None:
    def receive(**kwargs: Any) -> None:
        raise LookupError("the error tracker is down")

    signals.got_request_exception.connect(receive, weak=False)
    try:
        with pytest.raises(HandlerFailedError):
            run(lambda: 1 / 0, (), origin)
    finally:
        signals.got_request_exception.disconnect(receive)


@pytest.mark.parametrize(
    ("error", "answers"), [(EventError("no"), (EventError,)), (LookupError("no"), (EventError, LookupError))]
)
def test_an_error_that_is_an_answer_is_no_failure(
    error: Exception, answers: tuple[type[Exception], ...], caplog: pytest.LogCaptureFixture, told: list[Any]
) -> None:
    def handler() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        run(handler, (), origin, answers)
    assert caught.value is error
    assert (caplog.records, told) == ([], [])


def test_control_c_ends_more_than_the_handler(told: list[Any]) -> None:
    def handler() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(handler, (), origin)
    assert told == []


def query() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("select 1")
    return connections["default"].connection


def fail_after_query() -> None:
    query()
    raise ValueError


def refuse_after_query() -> None:
    query()
    raise EventError("no")


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("handler", [query, fail_after_query, refuse_after_query])
def test_database_connections_are_given_back_however_the_handler_ends(handler: Callable[[], Any]) -> None:
    """Pitfall 6, row W-F12."""
    opened: list[Any] = []

    def note(connection: Any, **kwargs: Any) -> None:
        opened.append(connection.connection)

    connection_created.connect(note)
    with contextlib.suppress(HandlerFailedError, EventError):
        run(handler, (), origin)
    assert len(opened) == 1
    assert connections["default"].connection is None


def test_a_handler_without_database_looks_at_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most events need none, and looking costs more than all else that `run` does."""
    monkeypatch.setattr(dispatch, "give_back_connections", lambda: pytest.fail("looked"))
    assert run(lambda: 1, (), origin) == 1


@pytest.mark.usefixtures("database")
def test_a_connection_in_the_midst_of_a_transaction_is_kept() -> None:
    """A test case's, or that of a view which triggers a handler."""
    with transaction.atomic():
        before = query()
        run(query, (), origin)
        assert query() is before
    dispatch.give_back_connections()
    assert connections["default"].connection is None


def test_the_marker_for_no_acknowledgement_shows_its_name() -> None:
    assert repr(NO_ACK) == "NO_ACK"
