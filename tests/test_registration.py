"""How handlers and namespaces are registered; rows D-11, D-20, D-22 and D-60 to D-64."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio import Namespace
from dtws_sio.exceptions import (
    DuplicateHandlerError,
    DuplicateNamespaceError,
    EventNameError,
    InvalidInstanceError,
    NamespacePathError,
    NotCallableError,
    SignatureError,
)
from dtws_sio.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.page import Page


def order(sid: str, *data: Any) -> str:
    return "ordered"


class Shop(Namespace):
    def on_order(self, sid: str) -> str:
        return "ordered"


def registered(server: Server) -> list[tuple[str, list[str]]]:
    return list(server.table)


@pytest.mark.parametrize(
    ("register", "place"),
    [
        (lambda server: server.event(order), ("/", ["order"])),
        (lambda server: server.event()(order), ("/", ["order"])),
        (lambda server: server.event(namespace="/shop")(order), ("/shop", ["order"])),
        (lambda server: server.event("shop")(order), ("/shop", ["order"])),
        (lambda server: server.on("any name")(order), ("/", ["any name"])),
        (lambda server: server.on("any name", namespace=" shop ")(order), ("/shop", ["any name"])),
        (lambda server: server.on("any name", order), ("/", ["any name"])),
        (lambda server: server.on("any name", order, "/shop"), ("/shop", ["any name"])),
        (lambda server: server.on("any name", handler=order, namespace="/shop"), ("/shop", ["any name"])),
        (lambda server: server.on("*", lambda event, sid: 0), ("/", ["*"])),
        (lambda server: server.on("order", lambda namespace, sid: 0, "*"), ("*", ["order"])),
    ],
)
def test_a_function_is_registered_at_its_place_row_d_22(
    register: Callable[[Server], Any], place: tuple[str, list[str]]
) -> None:
    """Row D-20 for the path's form."""
    server = Server()
    register(server)
    assert registered(server) == [place]


@pytest.mark.parametrize(
    "register",
    [
        lambda server: server.event(order),
        lambda server: server.event(namespace="/shop")(order),
        lambda server: server.on("order")(order),
        lambda server: server.on("order", order),
    ],
)
def test_a_registered_function_is_given_back_unchanged_row_d_22(register: Callable[[Server], Any]) -> None:
    """Row W-D13: registering it twice gave it another name each time."""
    before = dict(vars(order))
    assert register(Server()) is order
    assert vars(order) == before
    assert order.__name__ == "order"


@pytest.mark.parametrize(
    ("register", "error", "named"),
    [
        (lambda server: server.event(None), NotCallableError, ["@sio.event", "None"]),
        (lambda server: server.event(42), NotCallableError, ["@sio.event", "42"]),
        (lambda server: server.event(namespace="/x")(42), NotCallableError, ["@sio.event", "42"]),
        (lambda server: server.on("order")(42), NotCallableError, ["'order'", "42"]),
        (lambda server: server.event(functools.partial(order)), EventNameError, ["partial", "@sio.on("]),
        (lambda server: server.event(namespace=1)(order), NamespacePathError, ["1", "'/chat'"]),
        (lambda server: server.on("x", order, "/a,b"), NamespacePathError, ["'/a,b'"]),
        (lambda server: server.on(order), EventNameError, ["order"]),
        (lambda server: server.on("newListener", order), EventNameError, ["'newListener'"]),
        (lambda server: server.on("connect", lambda sid: 0), SignatureError, ["'connect'", "(sid, environ)"]),
        (lambda server: server.on("disconnect", lambda: 0), SignatureError, ["'disconnect'", "(sid, reason)"]),
        (lambda server: server.register_namespace(Shop), InvalidInstanceError, ["Shop'>", "register_namespace(Chat("]),
        (lambda server: server.register_namespace("/shop"), InvalidInstanceError, ["dtws_sio.Namespace", "'/shop'"]),
        (lambda server: server.register_namespace(None), InvalidInstanceError, ["dtws_sio.Namespace", "None"]),
    ],
)
def test_each_mistake_of_registration_has_an_error_of_its_own_that_names_the_thing(
    register: Callable[[Server], Any], error: type[Exception], named: list[str]
) -> None:
    """Rows D-20, D-62, D-64 and W-D11."""
    server = Server()
    with pytest.raises(error) as caught:
        register(server)
    assert type(caught.value) is error
    assert all(text in str(caught.value) for text in named), str(caught.value)
    assert registered(server) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda server: server.event(order), lambda server: server.on("order", lambda sid: 0)),
        (lambda server: server.on("order", order, "shop"), lambda server: server.event(namespace="/shop")(order)),
        (lambda server: server.on("order", order, "/shop"), lambda server: server.register_namespace(Shop("/shop"))),
        (lambda server: server.register_namespace(Shop("/shop")), lambda server: server.on("order", order, " shop ")),
        (lambda server: server.on("*", lambda *_: 0), lambda server: server.on("*", lambda *_: 1)),
        (lambda server: server.on("connect", lambda *_: 0), lambda server: server.on("connect", lambda *_: 1)),
    ],
    ids=["functions", "one function", "function and class", "class and function", "catch-all", "connect"],
)
def test_a_second_handler_for_an_event_is_refused_row_d_61(
    first: Callable[[Server], Any], second: Callable[[Server], Any]
) -> None:
    """Row W-D11: the old library replaced the first without a word."""
    server = Server()
    first(server)
    before = registered(server)
    with pytest.raises(DuplicateHandlerError, match="already has a handler"):
        second(server)
    assert registered(server) == before


@pytest.mark.parametrize("path", ["/shop", "shop", " /shop "])
def test_a_second_namespace_for_a_path_is_refused_row_d_20(path: str) -> None:
    class Other(Namespace):
        def on_other(self, sid: str) -> None: ...

    server = Server()
    server.register_namespace(Shop("/shop"))
    with pytest.raises(DuplicateNamespaceError, match=r"'/shop' already has a namespace, .*Shop"):
        server.register_namespace(Other(path))
    assert registered(server) == [("/shop", ["order"])]


def test_functions_and_a_class_may_share_a_namespace() -> None:
    server = Server()
    server.on("pay", order, "/shop")
    server.register_namespace(Shop("/shop"))
    server.on("cancel", order, "/shop")
    assert registered(server) == [("/shop", ["cancel", "order", "pay"])]


def test_a_handler_may_be_registered_while_clients_are_served_row_d_11(
    visit: Callable[..., Page], server: Server
) -> None:
    page = visit("/")
    server.event(order)
    assert page.ask("order") == ["ordered"]
