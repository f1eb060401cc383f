"""
The order of what clients do, what they acknowledge, and how they leave, over real long-polling in this process.

Wire rules C7, P5 and H3; rows D-42, W-D2, W-D3, W-D5, W-D6, W-D12 and W-D21.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import socketio.exceptions

from dtws_sio import EventError, clients, concurrent
from tests.handling import Gate, errors, is_empty
from tests.page import ACK, DEADLINE, DISCONNECT, EVENT, Arrived, Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server

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
