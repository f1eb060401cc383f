"""
The life of a server, and what `sio` does from anywhere; rows D-05, D-26 to D-30 and D-63.

What clients send and get is in test_clients.py.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection, connections, transaction
from django.test import override_settings

from dtws_sio import server as server_module
from dtws_sio import sids
from dtws_sio.conf import ConfigurationError
from dtws_sio.exceptions import (
    DtwsSioError,
    EmitError,
    EventNameError,
    NotServingError,
    RoomNameError,
)
from dtws_sio.packet import RESERVED_EVENTS
from dtws_sio.server import Server
from tests.conftest import THREADS
from tests.page import DEADLINE, Page, eventually, request

if TYPE_CHECKING:
    from collections.abc import Callable


def order(sid: str, *data: Any) -> str:
    return "ordered"


@pytest.fixture
def server(server: Server) -> Server:
    """A server that serves, with the namespaces / and /shop."""
    server.on("order", order, "/shop")
    return server


# Life


def test_a_server_serves_from_start_to_stop(publisher: Server) -> None:
    assert publisher.serving is False
    publisher.start()
    assert publisher.serving is True
    engine = publisher.eio
    publisher.start()
    assert publisher.eio is engine, "the second start forgot every client"
    assert publisher.stop() is True
    assert publisher.serving is False
    assert publisher.stop() is True


def test_a_server_that_has_stopped_is_like_one_that_never_served(publisher: Server) -> None:
    publisher.start()
    publisher.emit("news", 1)
    publisher.stop()
    with pytest.raises(NotServingError):
        publisher.emit("news", 1)
    with pytest.raises(NotServingError):
        publisher.enter_room("sid", "readers")
    publisher.start()
    publisher.emit("news", 1)
    publisher.stop()


def test_a_server_does_not_start_on_another_runtime_than_the_setting_names() -> None:
    with override_settings(DTWS_SIO={"RUNTIME": "eventlet"}), pytest.raises(ConfigurationError) as caught:
        Server().start()
    message = str(caught.value)
    assert all(text in message for text in ("'eventlet'", "'threading'", "runsocketio", "EventletWorker"))


def test_a_server_does_not_start_on_a_setting_that_cannot_be_used() -> None:
    server = Server()
    with override_settings(DTWS_SIO={**THREADS, "PORT": "x"}), pytest.raises(ConfigurationError, match="PORT"):
        server.start()
    assert server.serving is False


def test_the_settings_reach_the_engine_row_d_05(make_server: Callable[..., Server]) -> None:
    server = make_server(
        PING_INTERVAL=7, PING_TIMEOUT=3, MAX_PAYLOAD=1234, SERVER={**THREADS["SERVER"], "cookie": "shop"}
    )
    opened = request(server.handle_request, QUERY_STRING="EIO=4&transport=polling")
    assert '"pingInterval":7000' in opened.body.decode()
    assert '"pingTimeout":3000' in opened.body.decode()
    assert '"maxPayload":1234' in opened.body.decode()
    assert opened.headers["Set-Cookie"].startswith("shop=")


def test_answers_are_not_compressed_unless_the_setting_asks_for_it(make_server: Callable[..., Server]) -> None:
    """Attackers can tell secrets from the size of what is compressed beside text of theirs, and it costs time."""
    encodings = []
    for options in ({}, {"http_compression": True}):
        server = make_server(SERVER={**THREADS["SERVER"], "compression_threshold": 0, **options})
        opened = request(
            server.handle_request, QUERY_STRING="EIO=4&transport=polling", HTTP_ACCEPT_ENCODING="gzip, deflate"
        )
        encodings.append(opened.headers.get("Content-Encoding"))
    assert encodings == [None, "gzip"]


def test_stop_closes_every_client_and_runs_its_disconnect_handler(server: Server) -> None:
    left = []
    server.on("disconnect", lambda sid, reason: left.append((sid, reason)))
    pages = [Page(server.handle_request, server.eio) for _ in range(3)]
    for page in pages:
        page.join()
    assert server.stop(DEADLINE) is True
    assert sorted(left) == sorted((page.sid, "server disconnect") for page in pages)
    assert all(page.is_closed for page in pages)


def test_stop_does_not_wait_for_ever(visit: Callable[..., Page], server: Server) -> None:
    reached, may_end = threading.Event(), threading.Event()

    @server.event
    def job(sid: str) -> None:
        reached.set()
        may_end.wait(DEADLINE)

    visit("/").emit("job")
    assert reached.wait(DEADLINE)
    assert server.stop(0.01) is False
    may_end.set()
    assert server._pool.wait_until_idle(DEADLINE)


@pytest.mark.parametrize("name", ["eio", "clients", "environ", "async_mode"])
def test_what_only_a_serving_process_has_is_named_with_the_remedy(name: str) -> None:
    with pytest.raises(NotServingError) as caught:
        getattr(Server(), name)
    assert str(caught.value).startswith(f"sio.{name} exists only where clients are served")
    assert "runsocketio" in str(caught.value)


def test_a_name_that_a_server_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'Server' object has no attribute 'emti'"):
        Server().emti  # noqa: B018


def test_the_process_has_one_sio() -> None:
    assert isinstance(server_module.sio, Server)
    assert server_module.sio.serving is False, "something in the tests made pytest's own process serve"


# Outside a serving process

QUEUE, SERVE = "DTWS_SIO['MESSAGE_QUEUE']", "manage.py runsocketio"


@pytest.mark.parametrize(
    ("use", "remedy"),
    [
        (lambda sio: sio.emit("news", 1), QUEUE),
        (lambda sio: sio.emit("news", 1, namespace="/shop", room="readers"), QUEUE),
        (lambda sio: sio.emit("news", 1, on_commit=True), QUEUE),
        (lambda sio: sio.send("news"), QUEUE),
        (lambda sio: sio.warn("sid", "careful"), QUEUE),
        (lambda sio: sio.enter_room("sid", "readers"), QUEUE),
        (lambda sio: sio.leave_room("sid", "readers"), QUEUE),
        (lambda sio: sio.close_room("readers"), QUEUE),
        (lambda sio: sio.rooms("sid"), QUEUE),
        (lambda sio: sio.disconnect("sid"), QUEUE),
        (lambda sio: sio.call("question", to="sid"), SERVE),
        (lambda sio: sio.get_session("sid"), SERVE),
        (lambda sio: sio.save_session("sid", {}), SERVE),
        (lambda sio: sio.session("sid").__enter__(), SERVE),
        (lambda sio: sio.get_environ("sid"), SERVE),
        (lambda sio: sio.start_background_task(print), SERVE),
    ],
    ids=[
        *("emit", "emit to a room", "emit on commit", "send", "warn", "enter_room", "leave_room", "close_room"),
        *("rooms", "disconnect", "call", "get_session", "save_session", "session", "get_environ", "background task"),
    ],
)
def test_a_process_that_serves_nobody_says_so_with_the_remedy(
    publisher: Server, use: Callable[[Server], Any], remedy: str
) -> None:
    """Rows D-30 and D-63: nothing is ever emitted into nowhere without a word."""
    with pytest.raises(NotServingError) as caught:
        use(publisher)
    assert remedy in str(caught.value)


# Emitting


def received(page: Page) -> list[Any]:
    """Give the events that are there, and nothing else that might be."""
    return [packet.data for packet in page.arrived()]


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (None, []),
        ((), []),
        ("", [""]),
        (0, [0]),
        (False, [False]),
        ([], [[]]),
        ({}, [{}]),
        ([1, 2], [[1, 2]]),
        ((1, 2), [1, 2]),
        ("text", ["text"]),
        (b"\x00", [b"\x00"]),
        ({"a": [b"1", b"2"]}, [{"a": [b"1", b"2"]}]),
    ],
    ids=repr,
)
def test_what_is_emitted_arrives_as_it_is_rows_d_26_and_d_27(
    visit: Callable[..., Page], server: Server, data: object, arguments: list[Any]
) -> None:
    """Row W-D12: falsy data is data."""
    page = visit("/")
    server.emit("news", data)
    assert received(page) == [["news", *arguments]]


def test_an_emit_reaches_whom_it_is_addressed_to_rows_d_26_to_d_29(visit: Callable[..., Page], server: Server) -> None:
    ada, bob, cleo = visit("/", "/shop"), visit("/", "/shop"), visit("/shop")
    pages = {"ada": ada, "bob": bob, "cleo": cleo}
    for page in (ada, bob):
        server.enter_room(page.sid, "readers")
    server.enter_room(bob.sid, "writers")

    def reach(**address: Any) -> str:
        server.emit("news", 1, **address)
        return " ".join(name for name, page in pages.items() for _ in received(page))

    assert reach() == "ada bob"
    assert reach(namespace="/shop") == reach(namespace=" shop ") == "ada bob cleo"
    assert reach(namespace="/elsewhere") == ""
    assert reach(to=ada.sid) == reach(room=ada.sid) == "ada"
    assert reach(to=ada.sid, namespace="/shop") == ""
    assert reach(to="readers") == reach(room="readers") == "ada bob"
    assert reach(room="writers") == "bob"
    assert reach(room="nobody") == ""
    assert reach(to=["readers", "writers", "nobody"]) == "ada bob"
    assert reach(to=["nobody", "writers"]) == "bob"
    assert reach(to=[ada.sid, bob.sid]) == reach(to=(ada.sid, bob.sid)) == "ada bob"
    assert reach(to={"readers", "writers"}) == reach(room=frozenset({"readers", bob.sid})) == "ada bob"
    assert reach(to=[]) == reach(to=()) == reach(room=set()) == reach(to=[], room="readers") == ""
    assert reach(to=[], namespace="/shop") == ""
    assert reach(skip_sid=ada.sid) == "bob"
    assert reach(skip_sid=[ada.sid, bob.sid]) == reach(skip_sid={ada.sid, bob.sid}) == ""
    assert reach(skip_sid=(ada.sid,)) == "bob"
    assert reach(skip_sid=[]) == reach(skip_sid=set()) == "ada bob"
    assert reach(room="readers", skip_sid=bob.sid) == "ada"
    server.leave_room(ada.sid, "readers")
    assert reach(room="readers") == "bob"
    server.close_room("readers")
    assert reach(room="readers") == ""
    assert reach() == "ada bob"
    assert sorted(server.rooms(bob.sid)) == sorted([bob.sid, "writers"])


def test_a_room_of_one_namespace_is_not_that_of_another_row_d_29(visit: Callable[..., Page], server: Server) -> None:
    page = visit("/", "/shop")
    server.enter_room(page.sids["/"], "readers")
    server.emit("news", 1, room="readers", namespace="/shop")
    assert received(page) == []


def test_a_client_cannot_be_put_where_it_would_overhear_another(visit: Callable[..., Page], server: Server) -> None:
    """Pitfall 10: each sid is also the name of a room."""
    ada, eve = visit("/"), visit("/")
    with pytest.raises(ValueError, match="is the private room of a client"):
        server.enter_room(eve.sid, ada.sid)


def test_nor_where_it_would_overhear_a_client_of_another_process(visit: Callable[..., Page], server: Server) -> None:
    eve, elsewhere = visit("/"), sids.make()
    for act in (
        lambda: server.enter_room(eve.sid, elsewhere),
        lambda: server.leave_room(eve.sid, elsewhere),
        lambda: server.close_room(elsewhere),
    ):
        with pytest.raises(RoomNameError, match="private room of a client, here or in another process"):
            act()
    server.emit("secret", 1, to=elsewhere)
    assert received(eve) == []


def test_a_warning_goes_to_one_client_row_d_47(visit: Callable[..., Page], server: Server) -> None:
    ada, bob = visit("/", "/shop"), visit("/")
    server.warn(ada.sid, "careful")
    assert (received(ada), received(bob)) == ([["warning", {"message": "careful"}]], [])
    server.warn(ada.sids["/shop"], "sold out", namespace="shop")
    (packet,) = ada.arrived()
    assert (packet.namespace, packet.data) == ("/shop", ["warning", {"message": "sold out"}])


@pytest.mark.parametrize("event", [*sorted(RESERVED_EVENTS), None, 1, b"news", ["news"]])
@pytest.mark.parametrize("is_serving", [True, False])
def test_an_event_that_no_page_could_get_is_refused_row_d_26(
    server: Server, publisher: Server, event: Any, is_serving: bool
) -> None:
    with pytest.raises(EventNameError) as caught:
        (server if is_serving else publisher).emit(event)
    assert repr(event) in str(caught.value)


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "data",
    [object(), {"a": {1, 2}}, (1, object()), {b"key": 1}, circular(), nested(100_000)],
    ids=["object", "set", "tuple", "key", "circular", "deep"],
)
@pytest.mark.parametrize("somebody_is_there", [True, False])
def test_data_that_cannot_be_sent_is_told_whoever_is_there_row_d_63(
    visit: Callable[..., Page], server: Server, data: object, somebody_is_there: bool
) -> None:
    page = visit("/") if somebody_is_there else None
    with pytest.raises(EmitError, match="the data of the event 'news' cannot be sent: ") as caught:
        server.emit("news", data)
    assert isinstance(caught.value, DtwsSioError)
    assert caught.value.__cause__ is not None
    assert page is None or received(page) == []


def test_emits_of_many_threads_all_arrive_each_threads_in_its_order_row_d_30(
    visit: Callable[..., Page], server: Server
) -> None:
    """Row W-D20."""
    pages = [visit("/") for _ in range(3)]

    def emit(thread: int) -> None:
        for number in range(50):
            server.emit("news", (thread, number))

    threads = [threading.Thread(target=emit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    for page in pages:
        got = [data[1:] for data in received(page)]
        assert [[b for a, b in got if a == thread] for thread in range(8)] == [list(range(50))] * 8


# Transactions


@pytest.mark.usefixtures("database")
def test_an_emit_may_wait_for_the_commit_row_w_f20(visit: Callable[..., Page], server: Server) -> None:
    page = visit("/")
    with transaction.atomic():
        server.emit("saved", 1, on_commit=True)
        server.emit("saving", 2)
        assert received(page) == [["saving", 2]]
    assert received(page) == [["saved", 1]]


@pytest.mark.usefixtures("database")
def test_an_emit_that_waits_is_dropped_with_its_transaction(visit: Callable[..., Page], server: Server) -> None:
    page = visit("/")
    with transaction.atomic():
        server.emit("saved", 1, on_commit=True)
        transaction.set_rollback(True)
    assert received(page) == []
    with transaction.atomic():
        pass
    assert received(page) == []


@pytest.mark.usefixtures("database")
def test_an_emit_that_waits_for_no_transaction_is_sent_at_once(visit: Callable[..., Page], server: Server) -> None:
    page = visit("/")
    server.emit("saved", 1, on_commit=True)
    assert received(page) == [["saved", 1]]


@pytest.mark.usefixtures("database")
def test_an_emit_that_waits_names_what_is_wrong_with_it_like_any_other(server: Server) -> None:
    with pytest.raises(EmitError, match="'saved'"), transaction.atomic():
        server.emit("saved", object(), on_commit=True)


# Background tasks


@pytest.mark.usefixtures("database")
def test_a_background_task_gives_its_database_connections_back(server: Server) -> None:
    """Row W-F12, pitfall 6."""
    used: list[Any] = []

    def task(number: int, *, fails: bool) -> None:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        used.append((number, connections["default"]))
        if fails:
            raise ValueError

    for number in (1, 2):
        server.start_background_task(task, number, fails=number == 2).join(DEADLINE)
    assert [number for number, _ in used] == [1, 2]
    assert [each.connection for _, each in used] == [None, None]


def test_a_background_task_that_fails_is_logged_once(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def task() -> None:
        raise ValueError("on purpose")

    server.start_background_task(task).join(DEADLINE)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("dtws_sio.events", logging.ERROR)
    assert "task" in record.getMessage()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "on purpose"


# A client's own things


def test_a_session_belongs_to_one_client_in_one_namespace(visit: Callable[..., Page], server: Server) -> None:
    ada, bob = visit("/", "/shop"), visit("/")
    server.save_session(ada.sid, {"name": "ada"})
    with server.session(bob.sid) as session:
        session["name"] = "bob"
    server.get_session(ada.sid)["age"] = 36
    assert server.get_session(ada.sid) == {"name": "ada", "age": 36}
    assert server.get_session(bob.sid) == {"name": "bob"}
    assert server.get_session(ada.sids["/shop"], namespace="shop") == {}


@pytest.mark.parametrize(
    "use",
    [
        lambda server, sid: server.get_session(sid, namespace="/shop"),
        lambda server, sid: server.save_session(sid, {}, namespace="/shop"),
        lambda server, sid: server.get_session("unknown"),
    ],
)
def test_a_client_that_is_not_there_has_no_session(
    visit: Callable[..., Page], server: Server, use: Callable[[Server, str], Any]
) -> None:
    page = visit("/")
    with pytest.raises(KeyError, match="no client '"):
        use(server, page.sid)


def test_the_handshake_of_a_client_can_be_looked_at(visit: Callable[..., Page], server: Server) -> None:
    page = visit("/", HTTP_X_SHOP="yes")
    environ = server.get_environ(page.sid)
    assert environ is not None
    assert environ["HTTP_X_SHOP"] == "yes"
    assert server.get_environ(page.sid, namespace="/shop") is None
    assert server.get_environ("unknown") is None


def test_sending_away_a_client_that_is_not_there_is_no_error(server: Server) -> None:
    server.disconnect("unknown")


def test_a_client_sent_away_is_in_no_room_any_more(visit: Callable[..., Page], server: Server) -> None:
    page = visit("/")
    server.enter_room(page.sid, "readers")
    server.disconnect(page.sid)
    assert eventually(lambda: server.rooms(page.sid) == [])
    assert list(server.manager.get_participants("/", "readers")) == []


# The pool


def test_a_full_pool_is_told_with_the_handlers_that_hold_it(
    make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reads the warning learns which handler to look at."""
    monkeypatch.setattr("dtws_sio.pool.LONG_WAIT", 0.05)
    server = make_server(HANDLER_POOL=1)
    gate = threading.Event()

    @server.event
    def import_everything(sid: str) -> None:
        gate.wait(DEADLINE)

    holder = Page(server.handle_request, server.eio)
    holder.join("/")
    holder.send('2["import_everything"]')

    def is_told() -> bool:
        Page(server.handle_request, server.eio).send("0")
        return "handler pool" in caplog.text

    assert eventually(is_told)
    gate.set()
    assert "import_everything (1)" in caplog.text
    assert server._pool.wait_until_idle(DEADLINE)
