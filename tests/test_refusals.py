"""What is refused when it comes too often, is too much or does not fit, as a page sees it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from django.test import Client

from dtws_sio import Namespace
from dtws_sio.clients import MOST_NAMESPACES
from dtws_sio.exceptions import OversizedEmitError
from dtws_sio.limits import rate_limit
from dtws_sio.permissions import login_required
from dtws_sio.validation import RE
from tests.page import CONNECT, CONNECT_ERROR, Page, eventually, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import User

    from dtws_sio.server import Server


def page_of(server: Server, **extra: Any) -> Page:
    page = Page(server.handle_request, server.eio, **extra)
    page.join()
    return page


def codes(answers: list[Any]) -> list[Any]:
    return [each["error"]["code"] if isinstance(each, dict) else each for (each,) in answers]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "dtws_sio.security"]


# Events


def test_more_events_than_a_connection_may_send_are_answered_and_not_handled(
    make_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server(MAX_EVENTS="3/m")
    handled: list[int] = []
    server.on("count", lambda sid, number: handled.append(number) or number)
    page, other = page_of(server), page_of(server)
    answers = [page.ask("count", number) for number in range(5)]
    assert codes(answers) == [0, 1, 2, "rate_limited", "rate_limited"]
    assert answers[-1][0]["error"]["message"].startswith("Rate limit of 3/m exceeded; try again in ")
    assert handled == [0, 1, 2]
    assert server.refusals == {"rate_limited": 2}
    assert eventually(lambda: len(told(caplog)) == 1), "one line for all"
    assert "MAX_EVENTS" in told(caplog)[0]
    assert other.ask("count", 9) == [9]
    assert not page.is_closed


def test_a_client_does_not_get_more_by_joining_twice(make_server: Callable[..., Server]) -> None:
    server = make_server(MAX_EVENTS="2/m")
    for path in ("/", "/other"):
        server.on("count", lambda sid: "done", namespace=path)
    page = page_of(server)
    page.join("/other")
    answers = [page.ask("count", namespace=path) for path in ("/", "/other", "/", "/other")]
    assert codes(answers) == ["done", "done", "rate_limited", "rate_limited"]


def test_a_handler_may_bound_how_often_it_is_called(visit: Callable[..., Page], server: Server) -> None:
    class Shop(Namespace):
        @rate_limit("1/m", code="one_order", message="One order a minute.")
        def on_order(self, sid: str) -> str:
            return "done"

        def on_look(self, sid: str) -> str:
            return "seen"

    server.register_namespace(Shop("/shop"))
    page, same_address = visit("/shop"), visit("/shop")
    assert page.ask("order", namespace="/shop") == ["done"]
    error = {"error": {"code": "one_order", "message": "One order a minute."}}
    assert page.ask("order", namespace="/shop") == [error]
    assert same_address.ask("order", namespace="/shop") == [error]
    assert page.ask("look", namespace="/shop") == ["seen"]
    assert server.refusals == {"one_order": 2}
    assert visit("/shop", REMOTE_ADDR="198.51.100.7").ask("order", namespace="/shop") == ["done"]


def test_users_have_buckets_of_their_own(
    visit: Callable[..., Page], server: Server, people: type[User], sign_in: Callable[..., Any]
) -> None:
    ann, bob = (people.objects.create_user(name) for name in ("ann", "bob"))
    server.on("order", rate_limit("1/m")(lambda sid: "done"))
    answers = [visit("/", **sign_in(user)).ask("order") for user in (ann, ann, bob)]
    assert codes(answers) == ["done", "rate_limited", "done"]


def test_made_up_names_do_not_make_new_buckets(visit: Callable[..., Page], server: Server) -> None:
    server.on("*", rate_limit("1/m")(lambda event, sid: event))
    page = visit("/")
    assert codes([page.ask("first"), page.ask("second")]) == ["first", "rate_limited"]


def test_a_connect_handler_may_be_bounded_too(visit: Callable[..., Page], server: Server) -> None:
    server.on("connect", rate_limit("1/m")(lambda sid, environ: None))
    assert [visit().join().type for _ in range(2)] == [CONNECT, CONNECT_ERROR]


def test_a_limit_is_asked_before_what_costs_more(visit: Callable[..., Page], server: Server, people: Any) -> None:
    server.on("order", rate_limit("1/m", by="client")(login_required(lambda sid: "done")))
    page = visit("/")
    assert codes([page.ask("order"), page.ask("order")]) == ["login_required", "rate_limited"]


# Connections


def shake_hands(server: Server, **extra: Any) -> Any:
    return request(server.handle_request, QUERY_STRING="EIO=4&transport=polling", **extra)


def refusal_of(response: Any) -> tuple[int, str, str]:
    """Give code, message and name of a handshake that came too often."""
    assert response.status == "429 Too Many Requests"
    body = json.loads(response.body)
    return body["code"], body["message"], body["error"]


def test_an_address_has_only_so_many_connections(
    make_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server(MAX_CONNECTIONS_PER_ADDRESS=2)
    first, _ = page_of(server), page_of(server)
    for _ in range(2):
        assert refusal_of(shake_hands(server)) == (4, "Too many connections from your address", "too_many_connections")
    assert server.refusals == {"too_many_connections": 2}
    assert len(told(caplog)) == 1
    assert "192.0.2.1 has 2 connections" in told(caplog)[0]
    assert shake_hands(server, REMOTE_ADDR="192.0.2.2").status == "200 OK"
    first.close()
    assert shake_hands(server).status == "200 OK"


def test_an_address_may_try_only_so_often(make_server: Callable[..., Server], caplog: pytest.LogCaptureFixture) -> None:
    server = make_server(MAX_CONNECTS="2/m")
    for _ in range(2):
        page_of(server).close()
    refused = shake_hands(server)
    assert refusal_of(refused)[::2] == (4, "too_many_connects")
    assert 0 < int(refused.headers["Retry-After"]) <= 30
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    assert all(each.closed for each in server.eio.sockets.values())
    assert server.refusals == {"too_many_connects": 1}


@pytest.mark.parametrize("key", ["MAX_CONNECTIONS_PER_SESSION", "MAX_CONNECTIONS_PER_USER"])
def test_a_session_and_a_user_have_only_so_many_connections(
    make_server: Callable[..., Server], people: type[User], sign_in: Callable[..., Any], key: str
) -> None:
    server = make_server(**{key: 2})
    server.table.open("/other")
    ann = people.objects.create_user("ann")
    headers = sign_in(ann)
    first, second = page_of(server, **headers), page_of(server, **headers)
    assert second.join("/other").type == CONNECT, "a connection counts once, in however many namespaces it is"
    third = Page(server.handle_request, server.eio, **headers)
    answer = third.join()
    assert (answer.type, answer.data["data"]) == (CONNECT_ERROR, {"code": "too_many_connections"})
    browser = Client()
    browser.force_login(ann)
    elsewhere = {"HTTP_COOKIE": f"sessionid={browser.cookies['sessionid'].value}"}
    expected = CONNECT if key == "MAX_CONNECTIONS_PER_SESSION" else CONNECT_ERROR
    assert Page(server.handle_request, server.eio, **elsewhere).join().type == expected
    first.close()
    assert Page(server.handle_request, server.eio, **headers).join().type == CONNECT


def test_nothing_is_counted_when_all_have_left(
    make_server: Callable[..., Server], people: type[User], sign_in: Callable[..., Any]
) -> None:
    server = make_server()
    page = page_of(server, **sign_in(people.objects.create_user("ann")))
    connections = server.clients._connections
    assert len(connections) == 3
    page.close()
    assert eventually(lambda: len(connections) == 0)


# Emits


@pytest.mark.parametrize("data", ["x" * 100, b"x" * 100, {"a": ["x" * 60] * 2}], ids=["text", "bytes", "nested"])
def test_an_emit_that_is_too_large_raises_and_nothing_is_sent(make_server: Callable[..., Server], data: Any) -> None:
    server = make_server(MAX_EMIT=100)
    page = page_of(server)
    with pytest.raises(OversizedEmitError, match=r"emit\('news'\).*MAX_EMIT"):
        server.emit("news", data)
    server.emit("news", "small")
    assert [event.data for event in page.arrived()] == [["news", "small"]]


# What does not fit


def test_annotated_arguments_are_checked_and_the_answer_names_the_field(
    visit: Callable[..., Page], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[Any] = []

    @server.event
    def order(sid: str, number: int, size: Annotated[str, RE("[SML]")] = "M") -> str:
        got.append((number, size))
        return "done"

    page = visit("/")
    assert page.ask("order", 3) == ["done"]
    assert page.ask("order", 3, "S") == ["done"]
    (answer,) = page.ask("order", "three", "XXL")
    assert answer["error"]["code"] == "invalid"
    assert sorted(answer["error"]["fields"]) == ["number", "size"]
    assert got == [(3, "M"), (3, "S")]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_what_comes_with_a_connect_is_checked_too(visit: Callable[..., Page], server: Server) -> None:
    @server.event
    def connect(sid: str, environ: Any, auth: dict[str, int]) -> None: ...

    assert visit().join(auth={"a": 1}).type == CONNECT
    answer = visit().join(auth={"a": "x"})
    assert (answer.type, answer.data["data"]["code"]) == (CONNECT_ERROR, "invalid")
    assert list(answer.data["data"]["fields"]) == ["auth.a"]


def test_settings_switch_limits_off(make_server: Callable[..., Server]) -> None:
    off = dict.fromkeys(["MAX_EVENTS", "MAX_CONNECTS", "MAX_CONNECTIONS_PER_ADDRESS", "MAX_EMIT"])
    server = make_server(**off)
    server.on("count", lambda sid: "done")
    page = page_of(server)
    assert {page.ask("count")[0] for _ in range(30)} == {"done"}
    server.emit("news", "x" * 20_000_000)


def test_a_connection_is_in_a_bounded_number_of_namespaces(make_server: Callable[..., Server]) -> None:
    server = make_server(SERVER={"namespaces": "*", "monitor_clients": False})
    page = Page(server.handle_request, server.eio)
    answers = [page.join(f"/room{number}") for number in range(MOST_NAMESPACES + 1)]
    assert {answer.type for answer in answers[:-1]} == {CONNECT}
    refusal = {"message": "Too many namespaces", "data": {"code": "too_many_namespaces"}}
    assert (answers[-1].type, answers[-1].data) == (CONNECT_ERROR, refusal)
    assert server.refusals == {"too_many_namespaces": 1}
    page.leave("/room0")
    assert page.join("/other").type == CONNECT


def test_a_packet_and_its_attachments_count_together(make_server: Callable[..., Server]) -> None:
    server = make_server(MAX_PAYLOAD=1000)
    server.on("keep", lambda sid, *parts: len(parts))
    page = page_of(server)
    two = '52-1["keep",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    page.send(two, b"x" * 400)
    page.send(b"y" * 400)
    assert page.next().data == [2]
    page.send(two, b"x" * 500)
    assert server.refusals == {}
    page.send(b"y" * 500)
    assert eventually(lambda: page.is_closed)
    assert server.refusals == {"payload_too_large": 1}


def test_a_post_that_is_too_large_is_counted(make_server: Callable[..., Server]) -> None:
    server = make_server(MAX_PAYLOAD=1000)
    page = page_of(server)
    assert page.send("x" * 1000).status == "413 Payload Too Large"
    assert page.is_closed
    assert server.refusals == {"payload_too_large": 1}


# Joining again


def test_one_connection_may_not_try_tokens_without_end(make_server: Callable[..., Server]) -> None:
    """Each CONNECT after the first to a namespace counts as an attempt of its address."""
    tried: list[Any] = []
    server = make_server(MAX_CONNECTS="3/m")

    @server.event
    def connect(sid: str, environ: Any, auth: Any) -> None:
        tried.append(auth)
        raise ConnectionRefusedError("wrong")

    page = Page(server.handle_request, server.eio)
    answers = [page.join("/", {"token": number}) for number in range(5)]
    assert [answer.data["message"] for answer in answers[:3]] == ["wrong"] * 3
    assert [answer.data["data"]["code"] for answer in answers[3:]] == ["too_many_connects"] * 2
    assert [auth["token"] for auth in tried] == [0, 1, 2]
    assert server.refusals == {"too_many_connects": 2}
    assert not page.is_closed


def test_where_addresses_cannot_be_told_each_connection_is_limited_by_itself(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(MAX_CONNECTS="1/m")
    headers = {"HTTP_X_FORWARDED_FOR": "198.51.100.1"}
    for _ in range(3):
        page = page_of(server, **headers)
        page.leave()
        assert page.join().type == CONNECT
        page.leave()
        assert page.join().type == CONNECT_ERROR


def test_the_first_to_join_each_namespace_is_free(make_server: Callable[..., Server]) -> None:
    server = make_server(MAX_CONNECTS="1/m")
    names = [f"/room-{number}" for number in range(10)]
    for name in names:
        server.table.open(name)
    page = page_of(server)
    assert {page.join(name).type for name in names} == {CONNECT}
