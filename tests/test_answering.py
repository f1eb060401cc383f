"""
Events and their acknowledgements, over real long-polling in this process.

Wire rules P3 to P6; rows D-22, D-25, D-40 to D-47.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core import signals
from django.db import connection, connections

from dtws_sio import NO_ACK, EventError
from dtws_sio.dispatch import Deferred
from tests.handling import FAILED, errors
from tests.page import ACK, Arrived, Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server


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


def test_annotated_arguments_that_did_not_come_are_named(visit: Callable[..., Page], server: Server) -> None:
    @server.event
    def order(sid: str, item: str, count: int, express: bool = False) -> str:
        return "ordered"

    @server.on("*")
    def other(event: str, sid: str, item: str) -> None: ...

    page = visit("/")
    expected = [("order", [], ["item", "count"]), ("order", ["tea"], ["count"]), ("any", [], ["item"])]
    for event, arguments, missing in expected:
        (answer,) = page.ask(event, *arguments)
        assert answer["error"]["code"] == "wrong_arguments"
        assert answer["error"]["fields"] == {name: ["is missing"] for name in missing}
    (answer,) = page.ask("order", "tea", 1, True, 4)
    assert "fields" not in answer["error"], "it is too much"
    assert page.ask("order", "tea", 1) == ["ordered"]
