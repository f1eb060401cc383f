"""
Who is let into a namespace, over real long-polling in this process.

Wire rules C1 to C7; rows D-21 and D-41.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import socketio.exceptions

from dtws_sio import EventError, concurrent
from tests.handling import Gate, errors, is_empty
from tests.page import CONNECT, CONNECT_ERROR, DEADLINE, Arrived, Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server


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
