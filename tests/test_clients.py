"""
What clients send and get, over real long-polling in this process.

Wire rules C1 to C7, P1 to P6 and H3; rows D-21, D-25, D-40 to D-47, W-D2, W-D3, W-D5, W-D6, W-D12 and W-D21.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
import socketio.exceptions
from django.core import signals
from django.db import connection, connections

from dtws_sio import NO_ACK, EventError, Namespace, clients, concurrent
from dtws_sio.dispatch import Deferred
from dtws_sio.packet import RESERVED_EVENTS
from tests.page import ACK, CONNECT, CONNECT_ERROR, DEADLINE, DISCONNECT, EVENT, Arrived, Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dtws_sio.server import Server

FAILED = {"error": {"code": "handler_failed", "message": "Internal server error"}}


class Gate:
    """A place in a handler where it waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self._opened.wait(DEADLINE), "nobody opened the gate"

    def is_reached(self) -> bool:
        return self.reached.wait(DEADLINE)

    def open(self) -> None:
        self._opened.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def echo(server: Server) -> None:
    """Register the event `echo`, which answers with what it got."""

    @server.event
    def echo(sid: str, *data: Any) -> Any:
        return data


@pytest.fixture
def left(server: Server) -> list[tuple[str, str]]:
    """Register the disconnect handler of "/", and give what it got."""
    got: list[tuple[str, str]] = []

    @server.event
    def disconnect(sid: str, reason: str) -> None:
        got.append((sid, reason))

    return got


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def is_empty(server: Server) -> bool:
    """Tell whether the server knows nobody, in any room or in none."""
    return not server.manager._members and not server.manager._clients


# Joining


def test_the_answer_to_a_connect_names_the_sid(visit: Callable[..., Page], server: Server) -> None:
    page = visit()
    answer = page.join()
    assert (answer.type, answer.namespace, list(answer.data)) == (CONNECT, "/", ["sid"])
    assert answer.data["sid"] != page.eio_sid
    assert server.rooms(page.sid) == [page.sid]


@pytest.mark.parametrize("takes_auth", [True, False])
def test_a_connect_handler_gets_the_handshake_and_what_the_page_sent_with_it_row_d_41(
    visit: Callable[..., Page], server: Server, takes_auth: bool
) -> None:
    got: list[Any] = []
    if takes_auth:
        server.on("connect", lambda sid, environ, auth: got.extend([sid, environ["HTTP_X_SHOP"], auth]))
    else:
        server.on("connect", lambda sid, environ: got.extend([sid, environ["HTTP_X_SHOP"]]))
    page = visit(HTTP_X_SHOP="yes")
    page.join(auth={"token": "x"})
    assert got == [page.sid, "yes", {"token": "x"}][: 3 if takes_auth else 2]


def test_a_page_that_sends_nothing_along_has_none_as_auth(visit: Callable[..., Page], server: Server) -> None:
    got: list[Any] = []
    server.on("connect", lambda sid, environ, auth="missing": got.append(auth))
    visit("/")
    assert got == [None]


@pytest.mark.parametrize("answer", [None, True, 0, "", [], "False"], ids=repr)
def test_only_false_refuses(visit: Callable[..., Page], server: Server, answer: object) -> None:
    server.on("connect", lambda sid, environ: answer)
    assert visit().join().type == CONNECT


def raising(error: Exception) -> Callable[..., Any]:
    def connect(sid: str, environ: dict[str, Any]) -> None:
        raise error

    return connect


Refused = socketio.exceptions.ConnectionRefusedError

REFUSALS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (lambda sid, environ: False, {"message": "Connection rejected by server"}),
    (raising(Refused()), {"message": "Connection rejected by server"}),
    (raising(Refused("members only")), {"message": "members only"}),
    (raising(Refused("members only", {"price": 3})), {"message": "members only", "data": {"price": 3}}),
    (raising(Refused("members only", 1, 2)), {"message": "members only", "data": [1, 2]}),
    (raising(ConnectionRefusedError("members only")), {"message": "members only"}),
    (raising(ConnectionRefusedError()), {"message": "Connection refused by server"}),
    (raising(EventError("members only", code="members")), {"message": "members only", "data": {"code": "members"}}),
]


@pytest.mark.parametrize(("connect", "told"), REFUSALS)
def test_a_refused_client_is_told_why_wire_c3(
    visit: Callable[..., Page],
    server: Server,
    connect: Callable[..., Any],
    told: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    left: list[Any],
) -> None:
    """Row D-41: in the old library nothing that the open handler did could refuse a client."""
    server.on("connect", connect, "/shop")
    page = visit("/")
    assert page.join("/shop") == Arrived(CONNECT_ERROR, told, "/shop")
    assert not page.is_closed
    assert list(server.manager.get_participants("/shop", None)) == []
    assert errors(caplog) == []


def test_a_connect_handler_that_fails_refuses_without_saying_why_wire_c3(
    visit: Callable[..., Page], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        calls.append(sid)
        raise TypeError("the database password is secret")

    page = visit()
    assert page.join() == Arrived(CONNECT_ERROR, {"message": "Internal server error"})
    (record,) = errors(caplog)
    assert (record.name, record.__dict__["event"], record.__dict__["namespace"]) == ("dtws_sio.events", "connect", "/")
    assert len(calls) == 1


def test_a_refused_client_may_try_again(visit: Callable[..., Page], server: Server) -> None:
    answers = iter([False, None])
    server.on("connect", lambda sid, environ: next(answers))
    page = visit()
    assert [page.join().type, page.join().type] == [CONNECT_ERROR, CONNECT]


@pytest.mark.parametrize("namespace", ["/unknown", "/shop/", "/Shop"])
def test_an_unknown_namespace_is_refused_and_the_others_live_wire_c2(
    visit: Callable[..., Page], server: Server, echo: None, namespace: str
) -> None:
    """Row D-21."""
    server.on("order", lambda sid: None, "/shop")
    page = visit("/")
    assert page.join(namespace) == Arrived(CONNECT_ERROR, {"message": "Invalid namespace"}, namespace)
    assert page.ask("echo", 1) == [1]


def test_the_default_namespace_may_be_joined_without_handlers(visit: Callable[..., Page]) -> None:
    assert visit().join().type == CONNECT


@pytest.mark.parametrize("namespaces", [["/news"], "*"])
def test_namespaces_without_handlers_may_be_opened_by_the_setting(
    make_server: Callable[..., Server], namespaces: Any
) -> None:
    server = make_server(SERVER={"monitor_clients": False, "namespaces": namespaces})
    assert Page(server.handle_request, server.eio).join("/news").type == CONNECT


def test_a_handler_of_all_namespaces_opens_them_all(visit: Callable[..., Page], server: Server) -> None:
    server.on("order", lambda namespace, sid: namespace, "*")
    page = visit("/anything")
    assert page.ask("order", namespace="/anything") == ["/anything"]


def test_connect_comes_before_all_that_its_handler_emits_wire_c1(visit: Callable[..., Page], server: Server) -> None:
    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        server.emit("to the sid", 1, to=sid)
        server.enter_room(sid, "readers")
        server.emit("to a room", b"2", room="readers")
        server.emit("to a list", 3, to=[sid])
        server.emit("to all", 4)
        server.emit("to others", 5, skip_sid=sid)

    page = visit()
    assert page.join().type == CONNECT
    assert [(each.data[0], each.data[1]) for each in page.arrived()] == [
        ("to the sid", 1),
        ("to a room", b"2"),
        ("to a list", 3),
        ("to all", 4),
    ]


def test_what_others_send_to_a_client_that_connects_is_held_for_it_wire_c1(
    visit: Callable[..., Page], server: Server, gate: Gate
) -> None:
    sids = []

    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        sids.append(sid)
        gate.wait()

    page = visit()
    page.send("0")
    assert gate.is_reached()
    server.emit("for you", to=sids[0])
    assert page.arrived() == []
    gate.open()
    assert [page.next().type, page.next().data] == [CONNECT, ["for you"]]


def test_a_client_that_connects_gets_no_broadcast_and_is_in_nobodys_count_wire_c4(
    visit: Callable[..., Page], server: Server, gate: Gate
) -> None:
    """Pitfall 2."""
    server.event(lambda_named("connect", lambda sid, environ: (server.enter_room(sid, "readers"), gate.wait())[1]))
    page = visit()
    page.send("0")
    assert gate.is_reached()
    assert list(server.manager.get_participants("/", None)) == []
    assert list(server.manager.get_participants("/", "readers")) == []
    server.emit("to all")
    server.emit("to a room", room="readers")
    gate.open()
    assert page.next().type == CONNECT
    server.emit("later", room="readers")
    assert page.next().data == ["later"]
    assert len(list(server.manager.get_participants("/", "readers"))) == 1


def lambda_named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = name
    return function


def test_a_refused_client_has_received_nothing_wire_c4(visit: Callable[..., Page], server: Server) -> None:
    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> bool:
        server.emit("secret", to=sid)
        server.emit("secret")
        return False

    page = visit()
    assert page.join().type == CONNECT_ERROR
    assert page.arrived() == []


@pytest.mark.parametrize("accepts", [True, False])
def test_no_event_runs_before_its_client_was_accepted_wire_c5(
    visit: Callable[..., Page], server: Server, gate: Gate, *, accepts: bool
) -> None:
    ran: list[str] = []

    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> bool:
        gate.wait()
        ran.append("connect")
        return accepts

    server.on("order", lambda sid: ran.append("order"))
    server.on("overtake", concurrent(lambda sid: ran.append("overtake")))
    page = visit()
    page.send("0", '2["order"]', '2["overtake"]')
    gate.open()
    assert server._pool.wait_until_idle(DEADLINE)
    assert ran == (["connect", "order", "overtake"] if accepts else ["connect"])


@pytest.mark.parametrize(("ending", "reason"), [("1", "transport close"), ("41", "client namespace disconnect")])
@pytest.mark.parametrize("accepts", [True, False])
def test_a_client_that_goes_while_it_connects_leaves_no_ghost_wire_c6(
    visit: Callable[..., Page],
    server: Server,
    gate: Gate,
    left: list[tuple[str, str]],
    ending: str,
    reason: str,
    accepts: bool,
) -> None:
    """Pitfall 1; row W-D2: the old library kept such clients for ever, and they broke every broadcast."""
    sids = []

    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> bool:
        sids.append(sid)
        server.enter_room(sid, "readers")
        gate.wait()
        return accepts

    page = visit()
    page.send("0")
    assert gate.is_reached()
    page.post(ending)
    gate.open()
    assert server._pool.wait_until_idle(DEADLINE)
    assert left == ([(sids[0], reason)] if accepts else [])
    assert is_empty(server)
    if not page.is_closed:
        page.close()
    assert server._pool.wait_until_idle(DEADLINE)
    assert len(left) == int(accepts)


def test_a_connect_handler_that_sends_its_client_away_does_not_leave_it_in_the_dark(
    visit: Callable[..., Page], server: Server, left: list[tuple[str, str]]
) -> None:
    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        server.disconnect(sid)

    page = visit()
    page.send("0")
    assert eventually(lambda: is_empty(server))
    assert server._pool.wait_until_idle(DEADLINE)
    assert page.arrived(), "the page would wait for ever"


def test_several_namespaces_share_a_connection_and_leaving_one_leaves_the_others_wire_c7(
    visit: Callable[..., Page], server: Server
) -> None:
    gone: list[str] = []
    for namespace in ("/", "/shop"):
        server.on("where", lambda sid: sid, namespace)
        server.on("disconnect", lambda sid: gone.append(sid), namespace)
    page = visit("/", "/shop")
    assert page.sids["/"] != page.sids["/shop"]
    assert page.ask("where") == [page.sids["/"]]
    assert page.ask("where", namespace="/shop") == [page.sids["/shop"]]
    page.leave("/shop")
    assert eventually(lambda: gone == [page.sids["/shop"]])
    assert page.ask("where") == [page.sids["/"]]


def test_a_client_may_join_again_once_it_has_left(visit: Callable[..., Page], server: Server, left: list[Any]) -> None:
    page = visit("/")
    first = page.sid
    page.leave()
    assert eventually(lambda: left)
    assert eventually(lambda: is_empty(server))
    assert page.join().data["sid"] != first


def test_a_client_may_join_again_while_its_disconnect_handler_still_runs_wire_c7(
    visit: Callable[..., Page], server: Server, gate: Gate
) -> None:
    """What `socket.disconnect().connect()` in a page sends; it has left, so this is no second CONNECT (P1)."""
    server.on("disconnect", lambda sid: gate.wait())
    server.on("where", lambda sid: sid, "/other")
    page = visit("/", "/other")
    page.send("1", "0")
    assert gate.is_reached()
    assert not page.is_closed
    gate.open()
    assert page.next().type == CONNECT
    assert page.ask("where", namespace="/other") == [page.sids["/other"]]


@pytest.mark.parametrize("accepts", [True, False])
def test_a_client_that_leaves_and_comes_again_before_it_was_accepted_waits_for_its_turn(
    visit: Callable[..., Page], server: Server, gate: Gate, left: list[tuple[str, str]], *, accepts: bool
) -> None:
    """One page cannot fill the pool with connect handlers; those that have left are not asked about, nor told."""
    asked: list[str] = []

    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> bool:
        asked.append(sid)
        gate.wait()
        return accepts

    page = visit()
    page.send("0")
    assert gate.is_reached()
    page.send(*["1", "0"] * 7)
    assert server._pool._running == 1
    gate.open()
    assert server._pool.wait_until_idle(DEADLINE)
    assert len(asked) == 2
    assert left == ([(asked[0], "client namespace disconnect")] if accepts else [])
    (answer,) = page.arrived()
    told = (CONNECT, {"sid": asked[1]}) if accepts else (CONNECT_ERROR, {"message": "Connection rejected by server"})
    assert (answer.type, answer.data) == told
    assert len(server.manager._clients) == int(accepts)


def test_a_client_that_came_again_gets_its_events_after_its_own_connect(
    visit: Callable[..., Page], server: Server, gate: Gate
) -> None:
    got: list[tuple[str, str]] = []

    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        gate.wait()
        got.append(("connect", sid))

    server.on("order", lambda sid: got.append(("order", sid)))
    page = visit()
    page.send("0")
    assert gate.is_reached()
    page.send('2["order"]', "1", "0", '2["order"]')
    gate.open()
    assert server._pool.wait_until_idle(DEADLINE)
    assert [name for name, _ in got if name == "connect"] == ["connect"] * 2
    assert got[-1] == ("order", got[-2][1])


def test_a_client_that_comes_again_after_it_was_accepted_waits_for_nobody_wire_c7(
    visit: Callable[..., Page], server: Server, gate: Gate
) -> None:
    """Also one that had sent an event before it was accepted."""
    first = Gate()
    server.on("connect", lambda sid, environ: first.wait())
    server.on("order", lambda sid: None)
    server.on("disconnect", lambda sid: gate.wait())
    page = visit()
    page.send("0")
    assert first.is_reached()
    page.send('2["order"]')
    first.open()
    assert server._pool.wait_until_idle(DEADLINE)
    page.arrived()
    page.send("1", "0")
    assert gate.is_reached()
    assert page.next().type == CONNECT


# Protocol errors

BREACHES: dict[str, list[str | bytes]] = {
    "unknown packet type": ["7"],
    "letters": ["abc"],
    "an Engine.IO message that is an object": ["{}"],
    "invalid JSON": ['2["echo"'],
    "an event that is an object": ["2{}"],
    "an event that is empty": ["2[]"],
    "an event whose name is an object": ["2[{}]"],
    **{f"the reserved event {name}": [f'2["{name}",{{"HTTP_COOKIE":"x"}}]'] for name in sorted(RESERVED_EVENTS)},
    "a disconnect with payload": ["1{}"],
    "an acknowledgement that is an object": ["31{}"],
    "a CONNECT with a list": ["0/other,[]"],
    "an acknowledgement id that is negative": ['2-1["echo"]'],
    "a second CONNECT": ["0"],
    "a second CONNECT with auth": ['0{"a":1}'],
    "an event for a namespace that is not joined": ['2/other,["echo"]'],
    "an event for a namespace that does not exist": ['2/unknown,["echo"]'],
    "text where an attachment is due": ['51-["echo",{"_placeholder":true,"num":0}]', '2["echo"]'],
    "a binary frame where none is due": [b"\x01"],
    "a binary frame too many": ['51-["echo",{"_placeholder":true,"num":0}]', b"1", b"2"],
    "too many attachments": ['511-["echo"]'],
    "a placeholder without attachment": ['51-["echo",{"_placeholder":true,"num":1}]', b"1"],
    "a CONNECT_ERROR": ['4{"message":"no"}'],
    "nesting without end": ["2" + "[" * 50_000],
    "an attachment in nesting almost without end": ['51-["echo",' + "[" * 1000 + "]" * 1000 + "]", b"1"],
}


@pytest.mark.parametrize("messages", BREACHES.values(), ids=BREACHES.keys())
def test_a_breach_of_the_protocol_closes_the_connection_and_no_other_wire_p1(
    visit: Callable[..., Page],
    server: Server,
    echo: None,
    left: list[tuple[str, str]],
    messages: list[str | bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Rows D-43 to D-45, W-D3."""
    connected = []
    server.on("connect", lambda sid, environ: connected.append(sid))
    server.on("where", lambda sid: sid, "/other")
    bystander, page = visit("/"), visit("/")

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "dtws_sio.clients"]

    page.send(*messages)
    assert page.is_closed
    assert eventually(told), "what is told is told a moment later, as the hub may not log"
    assert eventually(lambda: left)
    assert left == [(page.sid, "parse error")]
    assert connected == [bystander.sid, page.sid]
    (line,) = told()
    assert line.startswith("closed the connection of 192.0.2.1: ")
    assert errors(caplog) == []
    assert bystander.ask("echo", "alive") == ["alive"]


@pytest.mark.parametrize("event", sorted(RESERVED_EVENTS))
@pytest.mark.parametrize("payload", ["", ',{"HTTP_COOKIE":"x"}', ',"transport close"'])
def test_a_forged_reserved_event_reaches_no_handler_wire_p2(
    visit: Callable[..., Page], server: Server, event: str, payload: str
) -> None:
    """Rows W-D5 and W-D6, pitfall 10: neither plain handlers nor methods, nor those that catch all events."""
    got: list[tuple[str, Any]] = []

    class Shop(Namespace):
        def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
            got.append(("connect", environ["REQUEST_METHOD"]))

        def on_disconnect(self, sid: str, reason: str) -> None:
            got.append(("disconnect", reason))

    server.register_namespace(Shop("/shop"))
    server.on("*", lambda event, *rest: got.append((event, rest)), "/shop")
    server.on("*", lambda event, *rest: got.append((event, rest)), "*")
    page = visit("/shop")
    page.send(f'2/shop,["{event}"{payload}]')
    assert eventually(lambda: len(got) == 2)
    assert server._pool.wait_until_idle(DEADLINE)
    assert got == [("connect", "GET"), ("disconnect", "parse error")]


@pytest.mark.parametrize("method", ["popen", "reopen", "emit", "enter_room", "trigger_event", "on_order", "__init__"])
def test_only_what_is_registered_can_be_called(visit: Callable[..., Page], server: Server, method: str) -> None:
    """Row W-D6, pitfall 10."""

    class Shop(Namespace):
        def on_order(self, sid: str) -> str:
            return "ordered"

    server.register_namespace(Shop("/shop"))
    page = visit("/shop")
    unknown = {"error": {"code": "unknown_event", "message": f"Unknown event: {method}"}}
    assert page.ask(method, namespace="/shop") == [unknown]
    assert page.ask("order", namespace="/shop") == ["ordered"]


# Events and acknowledgements


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        (None, []),
        ((), []),
        (1, [1]),
        ("", [""]),
        (0, [0]),
        (False, [False]),
        ([], [[]]),
        ([1, 2], [[1, 2]]),
        ((1, 2), [1, 2]),
        ((None,), [None]),
        ({"a": None}, [{"a": None}]),
        (b"\x00", [b"\x00"]),
        ({"a": [b"1", {"b": b"2"}]}, [{"a": [b"1", {"b": b"2"}]}]),
    ],
    ids=repr,
)
def test_what_a_handler_returns_is_the_acknowledgement_wire_p4(
    visit: Callable[..., Page], server: Server, answer: object, values: list[Any]
) -> None:
    """Rows D-25 and W-D12: falsy values are no exception."""
    server.on("order", lambda sid: answer)
    assert visit("/").ask("order") == values


def test_a_handler_may_send_no_acknowledgement_wire_p4(visit: Callable[..., Page], server: Server, echo: None) -> None:
    server.on("order", lambda sid: NO_ACK)
    page = visit("/")
    page.emit("order", id=7)
    assert page.ask("echo", "next") == ["next"]


@pytest.mark.parametrize("event", ["order", "fail", "refuse", "unknown"])
def test_an_event_that_asks_for_no_acknowledgement_gets_none(
    visit: Callable[..., Page], server: Server, echo: None, event: str
) -> None:
    server.on("order", lambda sid: "answer")
    server.on("fail", lambda sid: 1 / 0)
    server.on("refuse", refuse)
    page = visit("/")
    page.emit(event)
    assert page.ask("echo", "next") == ["next"]


def refuse(sid: str) -> None:
    raise EventError("sold out", code="sold_out")


def test_an_event_error_is_the_acknowledgement_and_no_failure_wire_p4(
    visit: Callable[..., Page], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.on("order", refuse)
    assert visit("/").ask("order") == [{"error": {"code": "sold_out", "message": "sold out"}}]
    assert errors(caplog) == []


@pytest.mark.parametrize("data", [None, 0, False, "", [], {}, [1], {"a": 1}, "text", 1.5, "\ud83d", 2**53, "é"])
def test_data_of_any_kind_reaches_the_handler_as_it_is(visit: Callable[..., Page], echo: None, data: object) -> None:
    """Rows D-45 and W-D12: the old library made {} of falsy data and warned about what is no object."""
    assert visit("/").ask("echo", data) == [data]


def test_an_event_may_bring_several_values_or_none(visit: Callable[..., Page], echo: None) -> None:
    page = visit("/")
    assert page.ask("echo") == []
    assert page.ask("echo", 1, [2], None) == [1, [2], None]


def test_a_number_may_be_an_event_name(visit: Callable[..., Page], server: Server) -> None:
    server.on("1", lambda sid: "one")
    assert visit("/").ask(1) == ["one"]


def test_a_catch_all_handler_gets_the_event_row_d_22(visit: Callable[..., Page], server: Server) -> None:
    server.on("*", lambda event, sid, *data: [event, *data])
    server.on("order", lambda sid: "exact")
    page = visit("/")
    assert page.ask("any name: é", 1) == [["any name: é", 1]]
    assert page.ask("order") == ["exact"]


def test_a_star_from_a_page_is_the_name_of_no_handler(visit: Callable[..., Page], server: Server) -> None:
    """It is a name like any other, also for a handler of all events."""
    server.on("*", lambda event, sid, *data: [event, *data], "/all")
    server.on("order", lambda sid: None)
    page = visit("/", "/all")
    assert page.ask("*", 1, namespace="/all") == [["*", 1]]
    assert page.ask("*", "order")[0]["error"]["code"] == "unknown_event"


def test_bytes_arrive_wherever_they_are(visit: Callable[..., Page], server: Server) -> None:
    got: list[Any] = []
    server.on("upload", lambda sid, *data: got.extend(data))
    page = visit("/")
    place = '{"_placeholder":true,"num":%d}'
    page.send(f'52-0["upload",{place % 1},{{"a":[{place % 0}]}},"text"]', b"\x00\xff", b"")
    assert page.next() == Arrived(ACK, [], id=0)
    assert got == [b"", {"a": [b"\x00\xff"]}, "text"]


def test_a_binary_event_without_attachments_is_an_ordinary_one_wire_p3(visit: Callable[..., Page], echo: None) -> None:
    page = visit("/")
    page.send('50-7["echo",1]')
    assert page.next() == Arrived(ACK, [1], id=7)


def test_text_and_attachments_keep_their_order_wire_p5(visit: Callable[..., Page], server: Server) -> None:
    got: list[Any] = []
    server.on("add", lambda sid, value: got.append(value))
    page = visit("/")
    with_bytes = '51-["add",{"_placeholder":true,"num":0}]'
    page.send('2["add",1]', with_bytes, b"2", '2["add",3]', with_bytes, b"4", '20["add",5]')
    assert page.next().type == ACK
    assert got == [1, b"2", 3, b"4", 5]


@pytest.mark.parametrize(
    ("event", "arguments", "code", "message"),
    [
        ("order", [], "wrong_arguments", "Wrong number of arguments for order"),
        ("order", [1, 2], "wrong_arguments", "Wrong number of arguments for order"),
        ("unknown", [1], "unknown_event", "Unknown event: unknown"),
    ],
    ids=["too few", "too many", "unknown"],
)
def test_a_wrong_event_is_answered_with_an_error_wire_p4(
    visit: Callable[..., Page], server: Server, event: str, arguments: list[int], code: str, message: str
) -> None:
    """Rows D-44 and D-46."""
    ran = []
    server.on("order", lambda sid, number: ran.append(number))
    page = visit("/")
    assert page.ask(event, *arguments) == [{"error": {"code": code, "message": message}}]
    assert ran == []
    assert page.ask("order", 1) == []


def test_a_handler_that_fails_is_answered_with_an_error_that_tells_nothing_wire_p4_p6(
    visit: Callable[..., Page], server: Server, echo: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Row W-D21: the old library closed the connection."""
    requests = []

    def receive(request: Any, **kwargs: Any) -> None:
        requests.append(request)

    @server.event
    def fail(sid: str, data: Any) -> None:
        raise TypeError("the password is secret")

    signals.got_request_exception.connect(receive)
    page = visit("/")
    assert page.ask("fail", 1) == [FAILED]
    assert page.ask("echo", "alive") == ["alive"]
    (record,) = errors(caplog)
    assert record.name == "dtws_sio.events"
    assert [record.__dict__[name] for name in ("event", "namespace", "sid")] == ["fail", "/", page.sid]
    ((request),) = requests
    assert (request.path, request.META["REMOTE_ADDR"]) == ("/socket.io/", "192.0.2.1")


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "answer",
    [object(), {1, 2}, {"a": object()}, (b"1", object()), nested(100_000)],
    ids=["object", "set", "nested", "beside bytes", "deep"],
)
def test_an_answer_that_has_no_json_form_is_a_failure_of_its_handler(
    visit: Callable[..., Page],
    server: Server,
    echo: None,
    caplog: pytest.LogCaptureFixture,
    answer: object,
) -> None:
    server.on("order", lambda sid: answer)
    page = visit("/")
    assert page.ask("order") == [FAILED]
    assert page.ask("echo", "alive") == ["alive"]
    (record,) = errors(caplog)
    assert (record.name, record.__dict__["event"]) == ("dtws_sio.events", "order")


@pytest.mark.parametrize("is_deferred", [False, True])
def test_an_error_whose_details_have_no_json_form_is_a_failure_of_its_handler(
    visit: Callable[..., Page], server: Server, caplog: pytest.LogCaptureFixture, is_deferred: bool
) -> None:
    def order(sid: str) -> Any:
        raise EventError("sold out", details={"item": object()})

    server.on("order", (lambda sid: Deferred(lambda: order(sid))) if is_deferred else order)
    page = visit("/")
    assert page.ask("order") == [FAILED]
    (record,) = errors(caplog)
    assert (record.name, record.__dict__["event"]) == ("dtws_sio.events", "order")


@pytest.mark.parametrize("depth", [250, 500, 980, 1000, 1020])
def test_what_a_page_can_send_can_be_answered_or_is_told_to_be_wrong(
    visit: Callable[..., Page], echo: None, depth: int
) -> None:
    """Row W-D3: an echo of deeply nested data is acknowledged, with it or with an error, or the connection closes."""
    page = visit("/")
    page.send('20["echo",' + "[" * depth + "]" * depth + "]")
    assert page.is_closed or str(page.raw()).startswith(str(ACK))


@pytest.mark.parametrize("event", ["fail", "refuse", "unknown", "order"])
def test_acknowledgements_of_errors_can_be_turned_off(make_server: Callable[..., Server], event: str) -> None:
    server = make_server(ACK_ERRORS=False)
    server.on("fail", lambda sid: 1 / 0)
    server.on("refuse", refuse)
    server.on("order", lambda sid, number: number)
    page = Page(server.handle_request, server.eio)
    page.join()
    page.emit(event, id=999)
    assert page.ask("order", 1) == [1]


@pytest.mark.usefixtures("database")
def test_events_leave_no_database_connection_open(visit: Callable[..., Page], server: Server) -> None:
    """Pitfall 6: 100 events of 5 clients, each in a thread of its own."""
    used: list[Any] = []

    @server.event
    def query(sid: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        used.append(connections["default"])
        assert used[-1].connection is not None

    pages = [visit("/") for _ in range(5)]
    for page in pages:
        page.send(*['2["query"]'] * 10)
        page.send(*['2["query"]'] * 9, '20["query"]')
    assert [page.next().type for page in pages] == [ACK] * 5
    assert len(used) == 100
    assert [each for each in used if each.connection is not None] == []


# Order


def test_events_of_a_client_run_in_their_order_wire_p5(visit: Callable[..., Page], server: Server, gate: Gate) -> None:
    ran = []

    @server.event
    def step(sid: str, number: int) -> None:
        if number == 0:
            gate.wait()
        ran.append(number)

    page = visit("/")
    page.send(*(f'2["step",{number}]' for number in range(10)))
    page.send(*(f'2["step",{number}]' for number in range(10, 19)), '20["step",19]')
    assert gate.is_reached()
    assert ran == []
    gate.open()
    assert page.next().type == ACK
    assert ran == list(range(20))


def test_a_concurrent_handler_overtakes_wire_p5(visit: Callable[..., Page], server: Server, gate: Gate) -> None:
    server.on("job", lambda sid: gate.wait())
    server.on("cancel", concurrent(lambda sid: gate.open()))
    page = visit("/")
    page.send('20["job"]')
    assert gate.is_reached()
    page.send('21["cancel"]')
    answers = [page.next(), page.next()]
    assert sorted((each.id, each.data) for each in answers) == [(0, []), (1, [])]  # type: ignore[type-var]


@pytest.mark.parametrize(("size", "places"), [(4, 2), (8, 2), (12, 3)])
def test_one_connection_takes_a_part_of_the_pool_with_concurrent_handlers(
    make_server: Callable[..., Server], gate: Gate, size: int, places: int
) -> None:
    """All of its namespaces together; what waits is neither lost nor out of order."""
    began: list[int] = []

    @concurrent
    def slow(sid: str, number: int) -> int:
        began.append(number)
        gate.wait()
        return number

    server = make_server(HANDLER_POOL=size)
    for namespace in ("/", "/other"):
        server.on("slow", slow, namespace)
        server.on("quick", lambda sid: "done", namespace)
    page, other = Page(server.handle_request, server.eio), Page(server.handle_request, server.eio)
    for each in (page, other):
        each.join()
        each.join("/other")
    page.send(*(f'2{"/other," * (number % 2)}{number}["slow",{number}]' for number in range(10)))
    assert gate.is_reached()
    assert other.ask("quick") == ["done"]
    assert page.ask("quick") == ["done"], "what is not concurrent waits for none of them"
    assert eventually(lambda: len(began) == places)
    gate.open()
    assert sorted(page.next().data for _ in range(10)) == [[number] for number in range(10)]
    assert sorted(began[:places]) == list(range(places))
    assert sorted(began) == list(range(10))


@pytest.mark.parametrize("is_same_page", [True, False], ids=["another namespace", "another client"])
def test_nobody_else_waits_for_a_clients_events(
    visit: Callable[..., Page], server: Server, gate: Gate, is_same_page: bool
) -> None:
    for namespace in ("/", "/other"):
        server.on("job", lambda sid: gate.wait(), namespace)
        server.on("quick", lambda sid: "done", namespace)
    page = visit("/", "/other")
    page.emit("job")
    assert gate.is_reached()
    other = page if is_same_page else visit("/other")
    assert other.ask("quick", namespace="/other") == ["done"]


def test_a_handler_may_wait_for_an_acknowledgement_of_its_own_client_wire_p5(
    visit: Callable[..., Page], server: Server
) -> None:
    """Acknowledgements do not wait behind the event whose handler asks for them."""
    server.on("order", lambda sid: server.call("how many?", to=sid, timeout=DEADLINE))
    page = visit("/")
    page.emit("order", id=5)
    question = page.next()
    assert (question.type, question.data) == (EVENT, ["how many?"])
    page.send(f"3{question.id}[42]")
    assert page.next() == Arrived(ACK, [42], id=5)


def test_a_full_pool_makes_events_wait_but_not_acknowledgements(make_server: Callable[..., Server]) -> None:
    server = make_server(HANDLER_POOL=1)
    server.on("order", lambda sid: server.call("how many?", to=sid, timeout=DEADLINE))
    page = Page(server.handle_request, server.eio)
    page.join()
    page.emit("order", id=5)
    page.send(f"3{page.next().id}[42]")
    assert page.next().data == [42]


@pytest.fixture
def asked(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the engine is asked for about its reading, where ten events may wait or run."""
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(clients, "MAILBOX_EVENTS", 10)
    for name in ("pause", "resume"):
        monkeypatch.setattr(server.eio, name, lambda eio_sid, name=name: asked.append((name, eio_sid)))
    return asked


@pytest.mark.parametrize("event", ["job", "beside"])
@pytest.mark.parametrize("namespaces", [["/"], ["/", "/shop"]], ids=["one namespace", "two namespaces"])
def test_a_connection_with_much_to_do_is_not_read_until_all_is_done(
    visit: Callable[..., Page],
    server: Server,
    gate: Gate,
    asked: list[tuple[str, str]],
    event: str,
    namespaces: list[str],
) -> None:
    """Events that run at once count too, and all namespaces of the connection together."""
    for namespace in namespaces:
        server.on("job", lambda sid: gate.wait(), namespace)
        server.on("beside", concurrent(lambda sid: gate.wait()), namespace)
    page, other = visit(*namespaces), visit(*namespaces)
    jobs = [f'2["{event}"]' if namespace == "/" else f'2{namespace},["{event}"]' for namespace in namespaces]
    page.send(*(jobs * 10)[:10])
    assert asked == []
    page.send(jobs[-1])
    assert asked == [("pause", page.eio_sid)]
    other.emit(event)
    gate.open()
    assert server._pool.wait_until_idle(DEADLINE)
    assert asked == [("pause", page.eio_sid), ("resume", page.eio_sid)]


@pytest.mark.parametrize("ending", ["fails", "is told", "is unknown", "has the wrong arguments"])
def test_whatever_becomes_of_an_event_it_counts_no_more(
    visit: Callable[..., Page], server: Server, caplog: pytest.LogCaptureFixture, ending: str
) -> None:
    errors: dict[str, Exception] = {"fails": ValueError(), "is told": EventError("no")}

    def handler(sid: str) -> None:
        raise errors[ending]

    server.on(ending if ending in errors else "other", handler)
    page = visit("/")
    load = server.clients._carriers[page.eio_sid].load
    page.ask("other" if "arguments" in ending else ending, *[1] * ("arguments" in ending))
    assert eventually(lambda: (load._jobs, load._bytes) == (0, 0))


# Acknowledgements from pages


def test_a_callback_gets_the_values_of_the_acknowledgement(visit: Callable[..., Page], server: Server) -> None:
    got: list[Any] = []
    page = visit("/")
    server.emit("question", 1, to=page.sid, callback=lambda *values: got.append(values))
    question = page.next()
    page.send(f'3{question.id}["yes",2]', f'3{question.id}["twice"]', "3999[]", "30[]", "3[]")
    assert eventually(lambda: got)
    assert got == [("yes", 2)]
    assert not page.is_closed


def test_nothing_is_kept_of_a_callback_that_was_called(visit: Callable[..., Page], server: Server) -> None:
    got: list[Any] = []
    page = visit("/")
    for _ in range(2):
        server.emit("question", to=page.sid, callback=got.append)
    first, second = page.next().id, page.next().id
    page.send(f"3{first}[1]")
    assert eventually(lambda: got == [1])
    assert page.sid in server.manager.callbacks
    page.send(f"3{second}[2]")
    assert eventually(lambda: got == [1, 2])
    assert dict(server.manager.callbacks) == {}
    server.emit("question", to=page.sid, callback=got.append)
    page.send(f"3{page.next().id}[3]")
    assert eventually(lambda: got == [1, 2, 3])


def test_each_client_of_a_room_answers_for_itself(visit: Callable[..., Page], server: Server) -> None:
    got: list[Any] = []
    first, second = visit("/"), visit("/")
    server.emit("question", callback=got.append)
    for page in (first, second):
        page.send(f'3{page.next().id}["{page.sid}"]')
    assert eventually(lambda: sorted(got) == sorted([first.sid, second.sid]))


def test_a_client_cannot_answer_for_another(visit: Callable[..., Page], server: Server, echo: None) -> None:
    got: list[Any] = []
    asked, other = visit("/"), visit("/")
    server.emit("question", to=asked.sid, callback=got.append)
    number = asked.next().id
    other.send(f'3{number}["forged"]')
    assert other.ask("echo") == []
    asked.send(f'3{number}["true"]')
    assert eventually(lambda: got)
    assert got == ["true"]


def test_bytes_may_be_in_an_acknowledgement_from_a_page(visit: Callable[..., Page], server: Server) -> None:
    got: list[Any] = []
    page = visit("/")
    server.emit("question", to=page.sid, callback=got.append)
    page.send(f'61-{page.next().id}[{{"_placeholder":true,"num":0}}]', b"\x01")
    assert eventually(lambda: got == [b"\x01"])


def test_a_callback_that_fails_is_logged_and_harms_nobody(
    visit: Callable[..., Page], server: Server, echo: None, caplog: pytest.LogCaptureFixture
) -> None:
    page = visit("/")
    server.emit("question", to=page.sid, callback=lambda: 1 / 0)
    page.send(f"3{page.next().id}[]")
    assert eventually(lambda: errors(caplog))
    (record,) = errors(caplog)
    assert (record.name, record.__dict__["sid"]) == ("dtws_sio.events", page.sid)
    assert page.ask("echo", "alive") == ["alive"]


def test_a_call_that_nobody_answers_ends(visit: Callable[..., Page], server: Server) -> None:
    page = visit("/")
    with pytest.raises(socketio.exceptions.TimeoutError):
        server.call("question", to=page.sid, timeout=0.01)


# Leaving


def test_the_reason_tells_who_went_and_how_wire_h3(
    visit: Callable[..., Page], server: Server, left: list[tuple[str, str]]
) -> None:
    """Row D-42: the old library told nobody."""
    pages = [visit("/") for _ in range(4)]
    pages[0].close()
    pages[1].leave()
    server.disconnect(pages[2].sid)
    pages[3].send("abc")
    assert eventually(lambda: len(left) == 4)
    assert dict(left) == {
        pages[0].sid: "transport close",
        pages[1].sid: "client namespace disconnect",
        pages[2].sid: "server disconnect",
        pages[3].sid: "parse error",
    }
    assert eventually(lambda: is_empty(server))


def test_the_reasons_have_names(server: Server) -> None:
    assert server.reason.CLIENT_DISCONNECT == "client namespace disconnect"
    assert server.reason.SERVER_DISCONNECT == "server disconnect"


def test_a_client_that_the_server_sends_away_is_told(
    visit: Callable[..., Page], server: Server, left: list[Any]
) -> None:
    page = visit("/")
    server.disconnect(page.sid)
    server.emit("too late", to=page.sid)
    assert page.next() == Arrived(DISCONNECT)
    assert eventually(lambda: len(left) == 1)
    server.disconnect(page.sid)
    assert page.arrived() == []
    assert not page.is_closed


@pytest.mark.parametrize("takes_reason", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_a_disconnect_handler_runs_exactly_once(
    visit: Callable[..., Page], server: Server, caplog: pytest.LogCaptureFixture, takes_reason: bool, fails: bool
) -> None:
    """Pitfall 8: also when its body raises TypeError."""
    got: list[tuple[str, ...]] = []

    def note(*arguments: str) -> None:
        got.append(arguments)
        if fails:
            raise TypeError("takes 1 positional argument but 2 were given")

    if takes_reason:
        server.on("disconnect", lambda sid, reason: note(sid, reason))
    else:
        server.on("disconnect", lambda sid: note(sid))
    page = visit("/")
    page.leave()
    page.close()
    assert eventually(lambda: is_empty(server))
    assert server._pool.wait_until_idle(DEADLINE)
    assert got == [(page.sid, "client namespace disconnect") if takes_reason else (page.sid,)]
    assert len(errors(caplog)) == int(fails)


def test_what_belongs_to_a_client_is_there_until_its_disconnect_handler_has_ended(
    visit: Callable[..., Page], server: Server
) -> None:
    got: list[Any] = []

    @server.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        server.save_session(sid, {"name": "ada"})
        server.enter_room(sid, "readers")

    @server.event
    def disconnect(sid: str) -> None:
        got.append(server.get_session(sid)["name"])
        got.append(sorted(server.rooms(sid)) == sorted([sid, "readers"]))
        environ = server.get_environ(sid)
        got.append(environ is not None and environ["REMOTE_ADDR"])
        with server.session(sid) as session:
            session["name"] = "eve"

    page = visit("/")
    page.close()
    assert eventually(lambda: server.manager.find(page.sid, "/") is None)
    assert got == ["ada", True, "192.0.2.1"]
    assert (server.get_environ(page.sid), server.rooms(page.sid)) == (None, [])
    with pytest.raises(KeyError, match=page.sid):
        server.get_session(page.sid)


def test_a_client_that_has_left_gets_nothing_more(
    visit: Callable[..., Page], server: Server, gate: Gate, echo: None
) -> None:
    server.on("disconnect", lambda sid: gate.wait(), "/shop")
    page = visit("/", "/shop")
    page.leave("/shop")
    assert gate.is_reached()
    server.emit("to all", namespace="/shop")
    server.emit("to the sid", to=page.sids["/shop"], namespace="/shop")
    assert page.ask("echo", "next") == ["next"]


def test_a_client_that_is_gone_keeps_nothing_from_others_row_w_d2(visit: Callable[..., Page], server: Server) -> None:
    first, gone, last = visit("/"), visit("/"), visit("/")
    gone.close()
    server.emit("news", 1)
    assert [first.next().data, last.next().data] == [["news", 1]] * 2


def test_a_handshake_that_never_joins_is_nobody_row_w_d2(visit: Callable[..., Page], server: Server) -> None:
    """Rows D-40 and W-D2: in the old library one plain GET broke every broadcast after it."""
    visit()
    page = visit("/")
    server.emit("news", 1)
    assert page.next().data == ["news", 1]
    assert len(list(server.manager.get_participants("/", None))) == 1


def test_a_disconnect_handler_waits_for_the_events_before_it(
    visit: Callable[..., Page], server: Server, gate: Gate, left: list[Any]
) -> None:
    order: list[str] = []
    server.on("job", lambda sid: (gate.wait(), order.append(f"job, {len(left)} left")))
    page = visit("/")
    page.send('2["job"]', '2["job"]')
    assert gate.is_reached()
    page.close()
    gate.open()
    assert eventually(lambda: left)
    assert order == ["job, 0 left"] * 2


def test_a_disconnect_handler_does_not_wait_for_ever(
    visit: Callable[..., Page], server: Server, gate: Gate, left: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long job learns in time that its client has gone."""
    monkeypatch.setattr(clients, "DISCONNECT_PATIENCE", 0.01)
    server.on("job", lambda sid: gate.wait())
    page = visit("/")
    page.emit("job")
    assert gate.is_reached()
    page.close()
    assert eventually(lambda: left)
    gate.open()
    assert server._pool.wait_until_idle(DEADLINE)
    assert left == [(page.sid, "transport close")]


def test_events_that_still_wait_when_the_disconnect_handler_has_begun_are_dropped(
    visit: Callable[..., Page],
    server: Server,
    gate: Gate,
    left: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The disconnect handler is the last one."""
    monkeypatch.setattr(clients, "DISCONNECT_PATIENCE", 0.01)
    ran: list[int] = []
    server.on("job", lambda sid, number: (gate.wait(), ran.append(number)))
    page = visit("/")
    page.send(*(f'2["job",{number}]' for number in range(3)))
    assert gate.is_reached()
    load = server.clients._carriers[page.eio_sid].load
    with caplog.at_level(logging.INFO, "dtws_sio.events"):
        page.close()
        assert eventually(lambda: left)
        gate.open()
        assert server._pool.wait_until_idle(DEADLINE)
    assert ran == [0]
    dropped = f"dropped 'job' of / from {page.sid}, which is gone"
    assert [record.getMessage() for record in caplog.records if record.name == "dtws_sio.events"] == [dropped] * 2
    assert (load._jobs, load._bytes) == (0, 0)


def test_an_answer_for_a_client_that_has_left_is_dropped(
    visit: Callable[..., Page], server: Server, gate: Gate, echo: None, caplog: pytest.LogCaptureFixture
) -> None:
    server.on("job", lambda sid: gate.wait(), "/shop")
    page = visit("/", "/shop")
    page.emit("job", namespace="/shop", id=1)
    assert gate.is_reached()
    page.leave("/shop")
    gate.open()
    assert eventually(lambda: server.manager.find(page.sids["/shop"], "/shop") is None)
    assert page.ask("echo", "next") == ["next"]
    assert errors(caplog) == []


@pytest.mark.parametrize(
    ("happens", "line"),
    [
        (lambda page: page.join(), "connected / {sid} (192.0.2.1)"),
        (lambda page: page.join("/closed"), "refused /closed"),
        (lambda page: page.join("/unknown"), "refused /unknown (192.0.2.1): there is no such namespace"),
        (lambda page: (page.join(), page.close()), "disconnected / {sid} (192.0.2.1): transport close"),
    ],
    ids=["connect", "refusal", "unknown", "disconnect"],
)
def test_each_coming_and_going_is_a_line_in_the_log(
    visit: Callable[..., Page],
    server: Server,
    caplog: pytest.LogCaptureFixture,
    happens: Callable[[Page], Any],
    line: str,
) -> None:
    server.on("connect", lambda sid, environ: False, "/closed")
    page = visit()
    with caplog.at_level(logging.INFO, "dtws_sio.clients"):
        happens(page)
        expected = line.format(sid=page.sids.get("/"))
        assert eventually(lambda: any(record.getMessage().startswith(expected) for record in caplog.records))


def test_payloads_are_not_logged_above_debug(
    visit: Callable[..., Page], echo: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        page = visit()
        page.join(auth={"token": "secret"})
        page.ask("echo", "secret")
        page.ask("unknown", "secret")
        page.send('2{"a":"secret"}')
        assert eventually(lambda: "closed the connection" in caplog.text)
    assert "secret" not in caplog.text
