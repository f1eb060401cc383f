"""One client in one namespace: what it is sent, from its CONNECT until it has left; wire rules C1, C4 and C6."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from dtws_sio.client import Client
from dtws_sio.engine import Outgoing
from dtws_sio.pool import Load, make_pool
from tests.page import DEADLINE

WELCOME, FIRST, SECOND, THIRD = (Outgoing(f"4{number}") for number in range(4))


class Session:
    """What delivers to the client: it keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[Outgoing, bool]] = []

    def deliver(self, packets: Outgoing, volatile: bool) -> None:
        self.got.append((packets, volatile))


@pytest.fixture
def session() -> Session:
    return Session()


def make(session: Any, namespace: str = "/shop", **environ: str) -> Client:
    load = Load(1, 1, lambda: None, lambda: None)
    return Client("sid-1", "eio-1", namespace, environ, make_pool(1).mailbox(), load, session.deliver)


def accept(client: Client) -> None:
    client.accept(WELCOME, lambda: None)


def test_its_welcome_leaves_before_what_was_held(session: Session) -> None:
    """There are clients that wait for it, and only then begin to listen for what comes next."""
    left: list[int] = []
    client = make(session)
    client.send(FIRST, False)
    client.accept(WELCOME, lambda: left.append(len(session.got)))
    assert left == [1]
    assert [packets for packets, _ in session.got] == [WELCOME, FIRST]


def test_what_it_is_sent_before_it_was_accepted_follows_the_welcome_wire_c1(session: Session) -> None:
    client = make(session)
    client.send(FIRST, False)
    client.send(SECOND, True)
    assert session.got == []
    accept(client)
    client.send(THIRD, True)
    assert session.got == [(WELCOME, False), (FIRST, False), (SECOND, True), (THIRD, True)]


def test_what_is_sent_while_it_is_accepted_comes_last(session: Session) -> None:
    """Another thread's emit finds it between its welcome and what was held."""
    client, entered = make(session), threading.Event()

    class Slow(Session):
        def deliver(self, packets: Outgoing, volatile: bool) -> None:
            super().deliver(packets, volatile)
            if packets is WELCOME:
                other.start()
                assert entered.wait(DEADLINE)

    def emit() -> None:
        entered.set()
        client.send(THIRD, False)

    slow, other = Slow(), threading.Thread(target=emit, daemon=True)
    client = make(slow)
    client.send(FIRST, False)
    accept(client)
    other.join(DEADLINE)
    assert [packets for packets, _ in slow.got] == [WELCOME, FIRST, THIRD]


def test_one_that_is_never_accepted_gets_nothing_wire_c4(session: Session) -> None:
    client = make(session)
    client.send(FIRST, False)
    client.leave("transport close")
    client.send(SECOND, False)
    assert session.got == []


def test_one_that_has_left_gets_nothing(session: Session) -> None:
    client = make(session)
    accept(client)
    client.leave("transport close")
    client.send(FIRST, False)
    assert session.got == [(WELCOME, False)]


def test_one_that_left_in_its_connect_handler_is_told_that_it_was_connected_and_no_more(session: Session) -> None:
    client = make(session)
    client.send(FIRST, False)
    client.leave("server disconnect")
    client.send(SECOND, False)
    accept(client)
    client.send(THIRD, False)
    assert session.got == [(WELCOME, False), (FIRST, False)]


def test_it_leaves_once_and_keeps_the_first_reason(session: Session) -> None:
    client = make(session)
    accept(client)
    assert [client.leave("server disconnect"), client.leave("transport close")] == [True, False]
    assert client.left == "server disconnect"


def test_it_is_here_from_its_welcome_until_it_leaves(session: Session) -> None:
    client = make(session)
    seen = [client.is_here]
    accept(client)
    seen.append(client.is_here)
    client.leave("transport close")
    seen.append(client.is_here)
    assert seen == [False, True, False]


@pytest.mark.parametrize(
    ("namespace", "rooms", "expected"),
    [
        ("/shop", (None,), True),
        ("/shop", ("readers",), True),
        ("/shop", ["writers", "readers"], True),
        ("/shop", ("writers",), False),
        ("/shop", (), False),
        ("/", (None,), False),
        ("/", ("readers",), False),
    ],
)
def test_it_is_joining_the_rooms_that_its_connect_handler_entered(
    session: Session, namespace: str, rooms: Any, expected: bool
) -> None:
    client = make(session)
    client.rooms.add("readers")
    assert client.is_joining(namespace, rooms) is expected
    accept(client)
    assert client.is_joining(namespace, rooms) is False


@pytest.mark.parametrize(("environ", "address"), [({"REMOTE_ADDR": "192.0.2.1"}, "192.0.2.1"), ({}, "local")])
def test_the_log_names_it_by_namespace_sid_and_address(session: Session, environ: dict[str, str], address: str) -> None:
    """A connection over a Unix socket has no address."""
    assert str(make(session, **environ)) == f"/shop sid-1 ({address})"


def test_its_events_come_from_it(session: Session) -> None:
    origin = make(session, HTTP_HOST="testserver").origin("order")
    assert (origin.event, origin.namespace, origin.sid) == ("order", "/shop", "sid-1")
    assert origin.environ == {"HTTP_HOST": "testserver"}
