"""Functions that are connected to signals, and what they are called with; rows S-01 to S-05, S-12 and S-14."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.decorators import login_required as django_login_required
from django.core.exceptions import PermissionDenied
from django.utils import timezone, translation

from dtws_sio.dispatch import HandlerFailedError
from dtws_sio.exceptions import (
    DecoratorOrderError,
    EventError,
    NotCallableError,
    PermissionDeniedError,
    SignalError,
    SignalNameError,
    SignatureError,
    ValidationError,
)
from dtws_sio.permissions import login_required
from dtws_sio.signals import Choice, SignalConnection, WindowInfo, everyone, registry, server_side, signal
from dtws_sio.signals.calls import Call

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("registered")

NOBODY = WindowInfo.from_request(None)


@dataclass
class Order:
    item: int
    count: int = 1


def connection(name: str = "shop.order", position: int = 0) -> SignalConnection:
    return registry.connections(name)[position]


# Connecting


def test_a_function_is_given_back_as_it_is_row_s_01() -> None:
    def order(window_info: WindowInfo) -> None: ...

    assert signal(order) is order
    assert signal("shop.order")(order) is order
    assert signal(path="shop.order_2", is_allowed_to=everyone, queue="slow")(order) is order
    assert signal(order, path="shop.order_3") is order
    assert sorted(set(registry.REGISTERED) - {"dtws_sio.emit"}) == [
        "shop.order",
        "shop.order_2",
        "shop.order_3",
        "tests.test_signals_registry.order",
    ]


def test_the_default_is_a_signal_of_the_server_in_the_default_queue_row_s_04() -> None:
    signal("shop.order")(lambda window_info: None)
    assert connection().is_allowed_to is server_side
    assert connection().get_queue(NOBODY, {}) == "default"


def test_several_functions_are_connected_to_one_name_in_their_order_row_s_01() -> None:
    functions = [lambda window_info, n=n: n for n in range(3)]
    for function in functions:
        signal("shop.order")(function)
    assert [each.function for each in registry.connections("shop.order")] == functions
    names = [each.name for each in registry.connections("shop.order")]
    assert len(set(names)) == 3
    assert names[1] == f"{names[0]}#2"


class Remind:
    def __call__(self, window_info: WindowInfo) -> str:
        return "remind"


def log_order(window_info: WindowInfo) -> str:
    return "log"


def mail_order(window_info: WindowInfo) -> str:
    return "mail"


def test_a_queued_call_finds_its_function_by_name_in_whatever_order_they_were_imported_there() -> None:
    reminder = Remind()
    functions: list[Any] = [log_order, mail_order, reminder]
    for function in functions:
        signal("shop.order")(function)
    texts = [Call("shop.order", each.name, {}).to_json() for each in registry.connections("shop.order")]
    registry.REGISTERED["shop.order"].clear()
    for function in reversed(functions):
        signal("shop.order")(function)
    assert [registry.run(Call.from_json(text)) for text in texts] == ["log", "mail", "remind"]


@pytest.mark.parametrize("name", ["", "a b", "a.", ".a", "a..b", "1a", "a-b", "a\n", 5])
def test_what_names_no_signal_is_refused_row_s_01(name: Any) -> None:
    with pytest.raises(SignalNameError, match="cannot name a signal"):
        signal(path=name)(lambda window_info: None)


def test_a_function_without_a_name_needs_one() -> None:
    with pytest.raises(SignalNameError, match=r"write @signal\('its name'\)"):
        signal(partial(int))


async def _coroutine(window_info: WindowInfo) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: None, '"window_info" as its first argument'),
        (lambda item: None, '"window_info" as its first argument'),
        (lambda item, window_info: None, '"window_info" as its first argument'),
        (lambda *window_info: None, '"window_info" as its first argument'),
        (lambda *, window_info: None, '"window_info" as its first argument'),
        (lambda window_info, *rest: None, "by place only"),
        (lambda window_info, item, /: None, "by place only"),
        (_coroutine, "is async"),
    ],
)
def test_a_signature_that_cannot_be_called_is_refused_row_s_02(function: Any, message: str) -> None:
    with pytest.raises(SignatureError, match=message):
        signal("shop.order")(function)
    assert not registry.connections("shop.order")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"is_allowed_to": True}, NotCallableError),
        ({"is_allowed_to": None}, NotCallableError),
        ({"queue": 5}, SignalError),
    ],
)
def test_what_is_no_permission_or_queue_is_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"shop\.order"):
        signal("shop.order", **arguments)(lambda window_info: None)


def test_a_thing_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(NotCallableError, match="5"):
        signal("shop.order")(5)  # type: ignore[type-var]


def test_a_connection_tells_what_its_function_takes_row_s_02() -> None:
    @signal("shop.order")
    def order(window_info: WindowInfo, item: int, *, count: int = 1, note: Any = "", **more: str) -> None: ...

    found = connection()
    assert (found.path, found.is_allowed_to, found.queue) == ("shop.order", server_side, None)
    assert found.accept_kwargs
    assert found.argument_types == {"item": int, "count": int, "note": Any}
    assert found.required_arguments_names == {"item"}
    assert found.optional_arguments_names == {"count", "note"}
    assert found.accepted_argument_names == {"item", "count", "note"}


def test_a_class_of_ones_own_makes_the_connection_row_s_14() -> None:
    class Shouting(SignalConnection):
        def call(self, window_info: WindowInfo, /, **kwargs: Any) -> Any:
            return str(super().call(window_info, **kwargs)).upper()

    signal("shop.order", cls=Shouting)(lambda window_info, text: text)
    assert connection().call(NOBODY, text="loud") == "LOUD"


# Queues


def test_the_queue_is_a_name_or_what_gives_one_for_the_call_row_s_05() -> None:
    asked: list[Any] = []

    def choose(found: SignalConnection, window_info: WindowInfo, kwargs: dict[str, Any]) -> str:
        asked.append((found, window_info, dict(kwargs)))
        kwargs.clear()
        return f"q{asked[-1][2]['n']}"

    signal("shop.order", queue="slow")(lambda window_info: None)
    signal("shop.order", queue=choose)(lambda window_info, n: None)
    arguments = {"n": 3}
    assert connection().get_queue(NOBODY, {}) == "slow"
    assert connection(position=1).get_queue(NOBODY, arguments) == "q3"
    assert asked == [(connection(position=1), NOBODY, {"n": 3})]
    assert arguments == {"n": 3}


def test_a_queue_function_that_gives_no_name_is_told() -> None:
    signal("shop.order", queue=lambda *_: 5)(lambda window_info: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(SignalError, match="has to give a name"):
        connection().get_queue(NOBODY, {})


# Arguments


@pytest.mark.parametrize(
    ("kwargs", "errors"),
    [
        ({}, {"item": ["is missing"]}),
        ({"item": 1, "extra": 1}, {"extra": ["is unknown"]}),
        ({"item": "1"}, {"item": ["should be a whole number, not '1'"]}),
        ({"item": True}, {"item": ["should be a whole number, not true"]}),
        ({"item": 1, "sure": "false"}, {"sure": ["should be true or false, not 'false'"]}),
        ({"item": 1, "size": "XXL"}, {"size": ["should be one of 'S', 'M', not 'XXL'"]}),
        ({"item": 1, "window_info": 1}, {"window_info": ["is unknown"]}),
        ({"item": 1, "order": {"count": 1}}, {"order.item": ["is missing"]}),
    ],
)
def test_arguments_that_do_not_fit_are_told_field_by_field_row_s_03(kwargs: Any, errors: Any) -> None:
    @signal("shop.order")
    def order(
        window_info: WindowInfo,
        item: int,
        sure: bool = False,
        size: Choice(["S", "M"]) = "S",  # type: ignore[valid-type]
        order: Order | None = None,
    ) -> None:
        pytest.fail("it was called")

    with pytest.raises(ValidationError) as raised:
        connection().call(NOBODY, **kwargs) if "window_info" not in kwargs else connection().check(kwargs)
    assert raised.value.errors == errors


def test_arguments_are_converted_and_defaults_kept_row_s_03() -> None:
    got: list[Any] = []

    @signal("shop.order")
    def order(window_info: WindowInfo, order: Order, *, note: str | None = None, **more: float) -> None:
        got.append((window_info, order, note, more))

    connection().call(NOBODY, order={"item": 5}, weight=2)
    assert got == [(NOBODY, Order(5), None, {"weight": 2.0})]
    with pytest.raises(ValidationError):
        connection().call(NOBODY, order={"item": 5}, weight="2")


def test_each_function_gets_a_copy_of_its_own_row_s_03() -> None:
    got: list[Any] = []
    for annotation in (Any, dict, list, dict[str, Any]):

        def spoil(window_info: WindowInfo, data: annotation = None, **more: Any) -> None:  # type: ignore[valid-type]
            got.append(repr((data, more)))
            for each in (data, more.get("more")):
                each.clear() if isinstance(each, (dict, list)) else None

        spoil.__annotations__["data"] = annotation
        signal("shop.order")(spoil)
    arguments = {"data": {"a": [1]}, "more": [1, {"b": 2}]}
    for each in registry.connections("shop.order"):
        if each.argument_types["data"] is not list:
            registry.call_here(each, NOBODY, arguments)
    assert got == [repr(({"a": [1]}, {"more": [1, {"b": 2}]}))] * 3
    assert arguments == {"data": {"a": [1]}, "more": [1, {"b": 2}]}


def test_what_nests_too_deeply_is_refused_and_not_a_failure() -> None:
    signal("shop.order")(lambda window_info, data: None)
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValidationError, match="nests too deeply"):
        connection().check({"data": deep})


# Calling


def test_what_a_function_raises_is_logged_once_and_stays_here_row_w_f10(caplog: pytest.LogCaptureFixture) -> None:
    signal("shop.order")(lambda window_info: 1 / 0)
    with pytest.raises(HandlerFailedError):
        registry.call_here(connection(), NOBODY, {})
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "'shop.order' of /signals" in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (EventError("sold out", code="sold_out"), EventError),
        (PermissionDenied("not yours"), PermissionDeniedError),
        (PermissionDenied(), PermissionDeniedError),
    ],
)
def test_what_is_an_answer_is_no_failure(
    raised: Exception, expected: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(window_info: WindowInfo) -> None:
        raise raised

    signal("shop.order")(refuse)
    with pytest.raises(expected):
        registry.call_here(connection(), NOBODY, {})
    assert not caplog.records


def test_a_function_called_here_leaves_the_language_as_it_was_row_w_f12() -> None:
    def speak(window_info: WindowInfo) -> str:
        translation.activate("fr")
        timezone.activate("Asia/Tokyo")
        return translation.get_language()

    signal("shop.order")(speak)
    before = translation.get_language(), timezone.get_current_timezone_name()
    assert registry.call_here(connection(), NOBODY, {}) == "fr"
    assert (translation.get_language(), timezone.get_current_timezone_name()) == before


def test_a_queued_call_runs_in_the_language_and_time_zone_of_its_window_row_s_43() -> None:
    signal("shop.order")(lambda window_info: (translation.get_language(), timezone.get_current_timezone_name()))
    window = {**NOBODY.to_dict(), "language_code": "de", "time_zone": "Asia/Tokyo"}
    before = translation.get_language(), timezone.get_current_timezone_name()
    assert registry.run(Call("shop.order", connection().name, {}, window)) == ("de", "Asia/Tokyo")
    assert registry.run(Call("shop.order", connection().name, {}, None)) == before
    assert (translation.get_language(), timezone.get_current_timezone_name()) == before


def test_a_queued_call_gets_window_arguments_and_celerys_request_row_s_12() -> None:
    got: list[Any] = []

    @signal("shop.order")
    def order(window_info: WindowInfo, item: int) -> str:
        got.append((window_info.window_key, window_info.celery_request, item))
        return "done"

    window = {**NOBODY.to_dict(), "window_key": "k"}
    assert registry.run(Call("shop.order", connection().name, {"item": 1}, window), celery_request="r") == "done"
    assert got == [("k", "r", 1)]


@pytest.mark.parametrize("name", ["no.such", "shop.order"])
def test_a_queued_call_of_another_version_of_the_project_is_told(name: str) -> None:
    signal("shop.order")(lambda window_info: None)
    with pytest.raises(SignalError, match=r"call '.*' \(shop\.signals\.old\) is not connected here.* same version"):
        registry.run(Call(name, "shop.signals.old", {}))


def test_a_queued_call_raises_what_its_function_raises() -> None:
    signal("shop.order")(lambda window_info: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        registry.run(Call("shop.order", connection().name, {}))


@pytest.mark.parametrize("decorator", [login_required, django_login_required], ids=["events", "views"])
def test_a_decorator_for_events_or_views_is_refused_on_a_function_of_a_signal(
    registered: Any, decorator: Callable[[Any], Any]
) -> None:
    """Nobody would ask it: a signal says itself who may trigger it."""

    def order(window_info: Any) -> None: ...

    with pytest.raises(SignatureError, match="is_allowed_to=is_authenticated"):
        signal("shop.order")(decorator(order))


def test_a_decorator_above_a_signal_comes_too_late(registered: Any) -> None:
    def order(window_info: Any) -> None: ...

    signal("shop.order")(order)
    with pytest.raises(DecoratorOrderError):
        login_required(order)
