"""Class-based namespaces; rows D-20, D-24, D-47 and D-70 to D-75."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import socketio

from dtws_sio import Namespace, concurrent
from dtws_sio.exceptions import DuplicateHandlerError, EventNameError, NamespacePathError, SignatureError
from dtws_sio.server import Server
from tests.page import ACK, CONNECT, CONNECT_ERROR, Arrived, Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable


class Shop(Namespace):
    """Every way of having a method."""

    def __init__(self, namespace: str | None = None) -> None:
        super().__init__(namespace)
        self.log: list[Any] = []

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> bool | None:
        self.log.append(("connect", sid, auth))
        return False if auth == {"banned": True} else None

    def on_disconnect(self, sid: str, reason: str) -> None:
        self.log.append(("disconnect", sid, reason))

    def on_order(self, sid: str, *things: Any) -> tuple[Any, ...]:
        return self.price, *things

    @property
    def price(self) -> int:
        return 3

    @staticmethod
    def on_static(sid: str) -> str:
        return "static"

    @classmethod
    def on_class(cls, sid: str) -> str:
        return cls.__name__

    @concurrent
    def on_cancel(self, sid: str) -> None: ...

    def order(self, sid: str) -> None:
        raise AssertionError("a method without on_ is nobody's to call")


class BookShop(Shop):
    """A namespace may inherit handlers, and override them."""

    def on_order(self, sid: str, *things: Any) -> tuple[Any, ...]:
        return "book", *super().on_order(sid, *things)


@pytest.fixture
def shop(server: Server) -> Shop:
    """A namespace that is served."""
    shop = Shop("/shop")
    server.register_namespace(shop)
    return shop


@pytest.mark.parametrize(
    ("path", "normal"), [(None, "/"), ("", "/"), ("shop", "/shop"), (" /shop ", "/shop"), ("/shop", "/shop")]
)
def test_the_path_has_one_form_row_d_20(path: str | None, normal: str) -> None:
    assert Namespace(path).namespace == normal


@pytest.mark.parametrize("path", [1, b"/shop", "/a,b", Shop])
def test_a_path_that_cannot_be_used_is_refused_row_d_20(path: Any) -> None:
    with pytest.raises(NamespacePathError):
        Shop(path)


def test_each_method_on_something_is_a_handler_row_d_73(visit: Callable[..., Page], shop: Shop) -> None:
    page = visit("/shop")
    assert page.ask("order", 1, "a", namespace="/shop") == [3, 1, "a"]
    assert page.ask("static", namespace="/shop") == ["static"]
    assert page.ask("class", namespace="/shop") == ["Shop"]


def test_nothing_is_changed_by_registering_row_w_d13() -> None:
    """Rows D-73 and W-D13: the old library renamed the function that it was given."""
    before = dict(vars(Shop))
    first, second = Server(), Server()
    for server in (first, second):
        server.register_namespace(Shop("/shop"))
    assert dict(vars(Shop)) == before
    assert Shop.on_order.__name__ == "on_order"
    assert list(first.table) == list(second.table)


def test_its_life_events_are_methods_too_rows_d_41_and_d_42(visit: Callable[..., Page], shop: Shop) -> None:
    page = visit()
    page.join("/shop", {"name": "ada"})
    page.close()
    sid = page.sids["/shop"]
    assert eventually(lambda: len(shop.log) == 2)
    assert shop.log == [("connect", sid, {"name": "ada"}), ("disconnect", sid, "transport close")]


def test_its_connect_handler_may_refuse_row_d_41(visit: Callable[..., Page], shop: Shop) -> None:
    page = visit()
    answer = page.join("/shop", {"banned": True})
    assert answer == Arrived(CONNECT_ERROR, {"message": "Connection rejected by server"}, "/shop")


def test_methods_are_inherited_row_d_70(visit: Callable[..., Page], server: Server) -> None:
    server.register_namespace(BookShop("/books"))
    assert visit("/books").ask("order", 1, namespace="/books") == ["book", 3, 1]


def test_one_class_may_serve_several_paths_row_d_72(visit: Callable[..., Page], server: Server) -> None:
    """Row W-D8: each instance has its own state; nothing is shared through the class."""
    first, second = Shop("/first"), Shop("/second")
    server.register_namespace(first)
    server.register_namespace(second)
    page = visit("/first", "/second")
    assert [len(first.log), len(second.log)] == [1, 1]
    assert page.ask("order", namespace="/second") == [3]


def test_a_namespace_without_handlers_can_be_joined(visit: Callable[..., Page], server: Server) -> None:
    """One that only tells pages what happens: `sio.register_namespace(Namespace("/news"))`."""
    news = Namespace("/news")
    server.register_namespace(news)
    page = visit()
    assert page.join("/news").type == CONNECT
    news.emit("headline", "x")
    assert page.next() == Arrived(2, ["headline", "x"], "/news")


def test_methods_may_be_concurrent() -> None:
    server = Server()
    server.register_namespace(Shop("/shop"))
    found = {event: server.table.find(event, "/shop", ("sid",)) for event in ("cancel", "order")}
    assert {event: each and each[0].concurrent for event, each in found.items()} == {"cancel": True, "order": False}


def test_a_namespace_of_python_socketio_itself_is_served_too(visit: Callable[..., Page], server: Server) -> None:
    class Plain(socketio.Namespace):  # type: ignore[misc]
        def on_order(self, sid: str) -> str:
            return "ordered"

    server.register_namespace(Plain("/plain"))
    assert visit("/plain").ask("order", namespace="/plain") == ["ordered"]


class Async(Namespace):
    async def on_order(self, sid: str) -> None: ...


class AsyncTrigger(Namespace):
    async def trigger_event(self, event: str, *arguments: Any) -> None: ...


class Reserved(Namespace):
    def on_disconnecting(self, sid: str) -> None: ...


class Nameless(Namespace):
    def on_(self, sid: str) -> None: ...


class NoSid(Namespace):
    def on_order(self) -> None: ...


class NoEnviron(Namespace):
    def on_connect(self, sid: str) -> None: ...


class NotCallable(Namespace):
    on_order = "text"


@pytest.mark.parametrize(
    ("class_", "error", "named"),
    [
        (Async, SignatureError, ["'order'", "Async.on_order", "async"]),
        (AsyncTrigger, SignatureError, ["AsyncTrigger.trigger_event", "async"]),
        (Reserved, EventNameError, ["'disconnecting'"]),
        (Nameless, EventNameError, ["''"]),
        (NoSid, SignatureError, ["'order'", "NoSid.on_order", "(sid, *data)"]),
        (NoEnviron, SignatureError, ["'connect'", "NoEnviron.on_connect", "(sid, environ) or (sid, environ, auth)"]),
        (NotCallable, TypeError, ["'order'", "'text'"]),
    ],
)
def test_a_method_that_cannot_be_a_handler_is_refused_at_registration(
    class_: type[Namespace], error: type[Exception], named: list[str]
) -> None:
    with pytest.raises(error) as caught:
        Server().register_namespace(class_("/shop"))
    assert all(text in str(caught.value) for text in named), str(caught.value)


# trigger_event


class Everything(Namespace):
    """Takes all events in one place, as python-socketio documents."""

    def __init__(self, namespace: str | None = None) -> None:
        super().__init__(namespace)
        self.log: list[Any] = []

    def trigger_event(self, event: str, *arguments: Any) -> Any:
        self.log.append((event, len(arguments)))
        return None if event in {"connect", "disconnect"} else [event, *arguments[1:]]

    def on_order(self, sid: str) -> None:
        raise AssertionError("trigger_event calls it, or nobody does")


def test_a_class_with_a_trigger_of_its_own_gets_every_event_through_it(
    visit: Callable[..., Page], server: Server
) -> None:
    namespace = Everything("/all")
    server.register_namespace(namespace)
    page = visit("/all")
    assert page.ask("order", 1, namespace="/all") == [["order", 1]]
    assert page.ask("other", namespace="/all") == [["other"]]
    page.close()
    assert eventually(lambda: len(namespace.log) == 4)
    assert namespace.log == [("connect", 3), ("order", 2), ("other", 1), ("disconnect", 2)]


def test_a_trigger_of_its_own_may_hand_events_on(visit: Callable[..., Page], server: Server) -> None:
    class Counted(Shop):
        count = 0

        def trigger_event(self, event: str, *arguments: Any) -> Any:
            self.count += 1
            return super().trigger_event(event, *arguments)

    namespace = Counted("/shop")
    server.register_namespace(namespace)
    page = visit("/shop")
    assert page.ask("order", 1, namespace="/shop") == [3, 1]
    assert namespace.count == 2
    assert namespace.log == [("connect", page.sid, None)]


def test_a_namespace_may_serve_all_paths_row_d_22(visit: Callable[..., Page], server: Server) -> None:
    class Anywhere(Namespace):
        def on_order(self, namespace: str, sid: str, *data: Any) -> Any:
            return [namespace, *data]

    server.register_namespace(Anywhere("*"))
    page = visit("/a", "/b")
    assert page.ask("order", 1, namespace="/a") == [["/a", 1]]
    assert page.ask("order", namespace="/b") == [["/b"]]


# What a namespace does


def test_what_a_namespace_emits_goes_to_its_own_clients_rows_d_26_and_d_74(
    visit: Callable[..., Page], server: Server, shop: Shop
) -> None:
    ada, bob = visit("/shop"), visit("/shop", "/")
    shop.emit("news", {"a": 1})
    assert [ada.arrived(), bob.arrived()] == [[Arrived(2, ["news", {"a": 1}], "/shop")]] * 2
    shop.enter_room(ada.sid, "readers")
    assert sorted(shop.rooms(ada.sid)) == sorted([ada.sid, "readers"])
    shop.emit("news", room="readers")
    shop.emit("news", to=ada.sid)
    assert [len(ada.arrived()), len(bob.arrived())] == [2, 0]
    shop.emit("news", skip_sid=ada.sid)
    shop.emit("news", namespace="/")
    assert [(each.namespace, each.data) for each in bob.arrived()] == [("/shop", ["news"]), ("/", ["news"])]
    shop.leave_room(ada.sid, "readers")
    shop.emit("news", room="readers")
    assert ada.arrived() == []


def test_a_namespace_warns_one_client_row_d_47(visit: Callable[..., Page], shop: Shop) -> None:
    ada, bob = visit("/shop"), visit("/shop")
    shop.warn(ada.sid, "careful")
    assert ada.arrived() == [Arrived(2, ["warning", {"message": "careful"}], "/shop")]
    assert bob.arrived() == []


def test_a_namespace_asks_keeps_and_sends_away(visit: Callable[..., Page], shop: Shop) -> None:
    page = visit("/shop")
    got: list[Any] = []
    shop.emit("question", to=page.sid, callback=got.append)
    page.send(f"3/shop,{page.next().id}[42]")
    assert eventually(lambda: got == [42])
    with shop.session(page.sid) as session:
        session["name"] = "ada"
    assert shop.get_session(page.sid) == {"name": "ada"}
    shop.disconnect(page.sid)
    assert page.next() == Arrived(1, None, "/shop")


@pytest.mark.usefixtures("database")
def test_a_namespace_may_emit_on_commit(visit: Callable[..., Page], shop: Shop) -> None:
    from django.db import transaction

    page = visit("/shop")
    with transaction.atomic():
        shop.emit("saved", on_commit=True)
        assert page.arrived() == []
    assert [each.data for each in page.arrived()] == [["saved"]]


def test_a_handler_answers_through_itself_row_d_24(visit: Callable[..., Page], server: Server) -> None:
    """Rows D-24 and D-75: `self` is the namespace, in every handler and for every client."""

    class Chat(Namespace):
        def on_join(self, sid: str, room: str) -> None:
            self.enter_room(sid, room)

        def on_say(self, sid: str, room: str, text: str) -> None:
            self.emit("said", text, room=room, skip_sid=sid)

    server.register_namespace(Chat("/chat"))
    ada, bob, eve = visit("/chat"), visit("/chat"), visit("/chat")
    for page in (ada, bob):
        assert page.ask("join", "tea", namespace="/chat") == []
    assert ada.ask("say", "tea", "hello", namespace="/chat") == []
    assert [each.data for each in bob.arrived()] == [["said", "hello"]]
    assert [ada.arrived(), eve.arrived()] == [[], []]
    ada.emit("say", "tea", "again", namespace="/chat", id=1)
    assert ada.next().type == ACK


class Greeter(Namespace):
    """Says hello once a client is in, and has a handler that no method `on_` gives."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.log: list[str] = []

    def on_connect(self, sid: str, environ: Any, auth: Any) -> bool:
        self.log.append("connect")
        return auth is None

    def after_connect(self, sid: str) -> None:
        self.log.append("after")
        self.emit("hello")
        raise ValueError("on purpose")

    def on_first(self, sid: str) -> None:
        self.log.append("first")

    def event_handlers(self) -> list[tuple[str, Any]]:
        return [*super().event_handlers(), ("extra", lambda sid, value: value)]


def test_after_connect_runs_for_those_who_were_let_in_before_their_first_event(
    visit: Callable[..., Page], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Broadcasts reach the client by then; and what it raises is logged, and takes nobody out."""
    greeter = Greeter("/greet")
    server.register_namespace(greeter)
    page = visit()
    page.send("0/greet,", '2/greet,["first"]')
    assert page.next().type == CONNECT
    assert page.next().data == ["hello"]
    assert eventually(lambda: greeter.log == ["connect", "after", "first"])
    assert page.ask("extra", 5, namespace="/greet") == [5]
    assert "ValueError: on purpose" in caplog.text
    assert visit().join("/greet", {"name": "no"}).type == CONNECT_ERROR
    assert greeter.log[3:] == ["connect"]


def test_a_mixin_may_bring_handlers_and_a_clash_is_told(server: Server) -> None:
    class Clash(Greeter):
        def on_extra(self, sid: str) -> None: ...

    server.register_namespace(Greeter("/greet"))
    assert dict(server.table)["/greet"] == ["connect", "extra", "first"]
    with pytest.raises(DuplicateHandlerError, match="extra"):
        server.register_namespace(Clash("/clash"))
