"""
One Engine.IO session, with a WebSocket, a server and a waiting GET that only note what is asked of them.

Wire rules E8 to E12, E15, H2 and H3. How all of it plays together on real sockets is seen in tests/wire.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from websockets.frames import CloseCode

from dtws_sio.engine import session as session_module
from dtws_sio.engine.outgoing import PING, Outgoing
from dtws_sio.engine.session import EARLY_FLUSH, InvalidPacketError, Session

if TYPE_CHECKING:
    from collections.abc import Callable


class Server:
    """Notes what a session tells its server; `turn` is the end of a turn of the hub."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.asked: list[tuple[Outgoing, int]] = []
        self.admits = True
        self.dirty: list[Session] = []
        self.receiver = SimpleNamespace(received=lambda sid, data: self.told.append(("received", data)))
        self.backlog = SimpleNamespace(admits=self._admits)

    def _admits(self, session: Session, outgoing: Outgoing, unsent: int) -> bool:
        self.asked.append((outgoing, unsent))
        return self.admits

    @property
    def heartbeat(self) -> Server:
        return self

    def answered(self, session: Session) -> None:
        self.told.append(("pong", session.sid))

    def ended(self, session: Session, reason: str) -> None:
        self.told.append(("ended", reason))

    def cork(self, session: Session) -> None:
        self.dirty.append(session)

    def turn(self) -> None:
        dirty, self.dirty = self.dirty, []
        for session in dirty:
            session.is_dirty = False
            session.flush()


class WebSocket:
    """Notes what is written into it; `takes` is whether the client's end reads."""

    def __init__(self) -> None:
        self.writes: list[list[Any]] = []
        self.unsent = 0
        self.takes = True
        self.closed: list[int] = []
        self.pauses = 0

    def pause(self) -> None:
        self.pauses += 1

    def write(self, outbox: list[Outgoing]) -> None:
        self.writes.append(texts(outbox))
        if not self.takes:
            self.unsent += sum(outgoing.size for outgoing in outbox)

    def close(self, code: int = CloseCode.NORMAL_CLOSURE) -> None:
        self.closed.append(code)


class Poll:
    """A GET that waits: `during` is what happens meanwhile."""

    during: Callable[[], object]

    def __init__(self) -> None:
        self.answer: list[Outgoing] | None = None

    def send(self, answer: list[Outgoing]) -> None:
        assert self.answer is None, "an eventlet event is sent once"
        self.answer = answer

    def wait(self) -> list[Outgoing]:
        type(self).during()
        assert self.answer is not None, "the GET would wait for ever"
        return self.answer


def shake_hands(session: Session, websocket: Any) -> None:
    """Let a WebSocket be the one that wants to take the session over, as the server does."""
    assert (session.candidate, session.connection, session.closed) == (None, None, False)
    session.candidate = websocket


def probe(session: Session, websocket: Any) -> None:
    """Take the first half of an upgrade."""
    shake_hands(session, websocket)
    session.receive(websocket, "2probe")


def texts(outbox: list[Outgoing]) -> list[Any]:
    return [part for outgoing in outbox for part in outgoing.parts]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def session(server: Server) -> Session:
    """A session that has only been opened."""
    return Session(server, "sid-1")  # type: ignore[arg-type]


@pytest.fixture
def websocket() -> Any:
    return WebSocket()


@pytest.fixture
def upgraded(session: Session, websocket: Any) -> Session:
    """A session that a WebSocket carries."""
    session.carry(websocket)
    return session


@pytest.fixture
def get(session: Session, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Send a GET, and give what it is answered with; something may happen while it waits."""
    monkeypatch.setattr(session_module, "Event", Poll)

    def send_get(during: Callable[[], object] = lambda: pytest.fail("it waits")) -> list[Any]:
        Poll.during = staticmethod(during)
        return texts(session.wait(None))

    return send_get


# Polling


def test_a_get_is_answered_with_all_that_waits(session: Session, get: Callable[..., list[Any]]) -> None:
    session.send(Outgoing("4a"))
    session.send(Outgoing("4b", b"\x00"))
    assert get() == ["4a", "4b", b"\x00"]
    assert (session.outbox, session.waiting, session.poll) == ([], 0, None)


def test_a_get_waits_for_the_end_of_the_turn_in_which_something_comes(
    session: Session, server: Server, get: Callable[..., list[Any]]
) -> None:
    def during() -> None:
        session.send(Outgoing("4a"))
        session.send(Outgoing("4b"))
        assert session.poll is not None
        server.turn()
        session.send(Outgoing("4c"))
        server.turn()

    assert get(during) == ["4a", "4b"]
    assert get() == ["4c"]


def test_a_session_is_corked_once_in_a_turn(session: Session, server: Server) -> None:
    for _ in range(3):
        session.send(Outgoing("4"))
    assert server.dirty == [session]
    server.turn()
    session.send(Outgoing("4"))
    assert server.dirty == [session]


def test_much_does_not_end_a_poll_early(session: Session, server: Server, get: Callable[..., list[Any]]) -> None:
    """The answer is one body anyhow."""

    def during() -> None:
        for _ in range(3):
            session.send(Outgoing("4" + "x" * EARLY_FLUSH))
        assert session.poll is not None
        server.turn()

    assert len(get(during)) == 3


def test_who_polls_is_not_behind_and_who_does_not_is(
    session: Session, server: Server, get: Callable[..., list[Any]]
) -> None:
    server.admits = False
    session.send(Outgoing("4refused"))
    assert [outgoing.parts for outgoing, _ in server.asked] == [("4refused",)]

    def during() -> None:
        session.send(Outgoing("4taken"))
        session.send(Outgoing("4volatile"), volatile=True)
        server.turn()

    assert get(during) == ["4taken", "4volatile"]
    session.send(Outgoing("4refused too"))
    assert (len(server.asked), session.outbox) == (2, [])


def test_a_get_whose_client_has_gone_ends_the_session_instead_of_losing_packets(
    session: Session, server: Server, get: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "has_gone", lambda sock: True)

    def during() -> None:
        session.send(Outgoing("4a"))
        server.turn()

    get(during)
    assert (session.closed, server.told) == (True, [("ended", "transport error")])


def test_a_volatile_packet_is_for_those_who_poll_at_this_moment(session: Session, server: Server) -> None:
    session.send(Outgoing("4"), volatile=True)
    assert (session.outbox, server.asked, server.dirty) == ([], [], [])


def test_what_came_before_the_first_poll_was_asked_about(session: Session, server: Server) -> None:
    session.send(Outgoing("4a"))
    assert texts(session.outbox) == ["4a"]
    assert [unsent for _, unsent in server.asked] == [0]


@pytest.mark.parametrize(
    ("packet", "told"),
    [
        ("4hello", ("received", "hello")),
        ("4", ("received", "")),
        ('4{"a": 1}', ("received", '{"a": 1}')),
        ("4true", ("received", "true")),
        ("4 x", ("received", " x")),
        ("42[]", ("received", "2[]")),
        (b"\x00", ("received", b"\x00")),
        (b"", ("received", b"")),
        (b"4text", ("received", b"4text")),
        ("3", ("pong", "sid-1")),
        ("1", ("ended", "transport close")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_each_packet_that_a_client_may_send_wire_e15_h3(
    session: Session, server: Server, websocket: Any, transport: str, packet: Any, told: tuple[str, Any]
) -> None:
    carrier = None
    if transport == "websocket":
        carrier = websocket
        session.carry(websocket)
    session.receive(carrier, packet)
    assert server.told == [told]


INVALID = ["", "0", "2", "2probe", "3probe", "5", "6", "9", "abc", "1x", "33", "\x00", " 4"]


@pytest.mark.parametrize("packet", INVALID, ids=repr)
def test_an_invalid_packet_in_a_post_is_an_error_wire_e5(session: Session, server: Server, packet: str) -> None:
    with pytest.raises(InvalidPacketError):
        session.receive(None, packet)
    assert server.told == []


@pytest.mark.parametrize("packet", INVALID, ids=repr)
def test_an_invalid_packet_closes_its_websocket_wire_h2(
    upgraded: Session, server: Server, websocket: Any, packet: str
) -> None:
    upgraded.receive(websocket, packet)
    assert server.told == [("ended", "parse error")]
    assert websocket.closed == [CloseCode.PROTOCOL_ERROR]


# WebSocket


def test_what_waits_goes_out_with_one_write(upgraded: Session, server: Server, websocket: Any) -> None:
    upgraded.send(Outgoing("4a"))
    upgraded.send(Outgoing("4b"))
    assert websocket.writes == []
    server.turn()
    assert websocket.writes == [["4a", "4b"]]
    assert (upgraded.outbox, upgraded.waiting) == ([], 0)


def test_much_does_not_wait_for_the_end_of_the_turn(upgraded: Session, server: Server, websocket: Any) -> None:
    size = EARLY_FLUSH // 2
    for name in "abc":
        upgraded.send(Outgoing(name * size))
    assert [len(write) for write in websocket.writes] == [3]
    upgraded.send(Outgoing("4"))
    server.turn()
    assert [len(write) for write in websocket.writes] == [3, 1]
    assert server.dirty == []


def test_a_websocket_that_is_full_gets_nothing_more_until_it_is_empty(
    upgraded: Session, server: Server, websocket: Any
) -> None:
    websocket.takes = False
    upgraded.send(Outgoing("4a"))
    server.turn()
    upgraded.send(Outgoing("4b"))
    upgraded.send(Outgoing("4volatile"), volatile=True)
    server.turn()
    assert websocket.writes == [["4a"]]
    assert [(outgoing.parts, unsent) for outgoing, unsent in server.asked] == [(("4b",), 2)]
    websocket.takes, websocket.unsent = True, 0
    upgraded.flush()
    assert websocket.writes == [["4a"], ["4b"]]
    upgraded.send(Outgoing("4volatile"), volatile=True)
    server.turn()
    assert websocket.writes[2:] == [["4volatile"]]


def test_a_full_websocket_that_empties_with_nothing_waiting_is_not_behind(
    upgraded: Session, server: Server, websocket: Any
) -> None:
    """Its volatile packets would be dropped for ever."""
    websocket.takes = False
    upgraded.send(Outgoing("4a"))
    server.turn()
    websocket.takes, websocket.unsent = True, 0
    upgraded.flush()
    upgraded.send(Outgoing("4volatile"), volatile=True)
    server.turn()
    assert websocket.writes == [["4a"], ["4volatile"]]


def test_what_the_policy_refuses_is_not_sent(upgraded: Session, server: Server, websocket: Any) -> None:
    websocket.takes, server.admits = False, False
    upgraded.send(Outgoing("4a"))
    server.turn()
    upgraded.send(Outgoing("4b"))
    assert (upgraded.outbox, upgraded.waiting, server.dirty) == ([], 0, [])


# The upgrade


def test_a_websocket_takes_over_from_polling_wire_e11(
    session: Session, server: Server, websocket: Any, get: Callable[..., list[Any]]
) -> None:
    """The NOOP goes to the GET, never to the WebSocket; what was sent meanwhile goes out once, after the change."""

    def during() -> None:
        probe(session, websocket)
        assert websocket.writes == [["3probe"]]
        assert not session.upgraded

    assert get(during) == ["6"]
    assert get() == ["6"], "while an upgrade waits for it, polling gets answers at once"
    session.send(Outgoing("4a"))
    server.turn()
    assert websocket.writes == [["3probe"]]
    session.receive(websocket, "5")
    assert session.upgraded
    assert websocket.writes == [["3probe"], ["4a"]]
    session.receive(websocket, "4hello")
    assert server.told == [("received", "hello")]
    assert websocket.closed == []


def test_what_is_sent_during_an_upgrade_may_go_into_a_poll(
    session: Session, websocket: Any, get: Callable[..., list[Any]]
) -> None:
    probe(session, websocket)
    session.send(Outgoing("4a"))
    assert get() == ["4a"]
    session.receive(websocket, "5")
    assert websocket.writes == [["3probe"]]


def test_polling_lives_on_until_the_change(session: Session, server: Server, websocket: Any) -> None:
    probe(session, websocket)
    session.receive(None, "4by polling")
    session.receive(None, "3")
    assert server.told == [("received", "by polling"), ("pong", "sid-1")]


def test_a_poll_that_still_waits_at_the_change_gets_what_there_is_and_the_websocket_the_rest(
    session: Session, server: Server, websocket: Any, get: Callable[..., list[Any]]
) -> None:
    """Its answer is under way already, so nothing may be sent twice, and nothing overtake it."""

    def during() -> None:
        probe(session, websocket)
        session.send(Outgoing("4a"))
        session.receive(websocket, "5")
        server.turn()

    polled = get(during)
    server.turn()
    session.flush()
    assert polled[:1] in (["4a"], ["6"])
    assert [*polled, *(text for write in websocket.writes for text in write)].count("4a") == 1


@pytest.mark.parametrize("packets", [["5"], ["3probe"], ["4hello"], [b"\x00"], ["2"], [""], ["1"]], ids=repr)
def test_a_websocket_that_does_not_probe_is_closed_and_the_session_lives(
    session: Session, server: Server, websocket: Any, packets: list[Any]
) -> None:
    shake_hands(session, websocket)
    for packet in packets:
        session.receive(websocket, packet)
    assert websocket.closed == [CloseCode.PROTOCOL_ERROR]
    assert (session.candidate, session.upgraded, session.closed, server.told) == (None, False, False, [])


@pytest.mark.parametrize("packet", ["2probe", "4early", "1", b"\x00"], ids=repr)
def test_an_upgrade_that_goes_wrong_leaves_polling_as_it_was(
    session: Session, server: Server, websocket: Any, get: Callable[..., list[Any]], packet: Any
) -> None:
    probe(session, websocket)
    session.receive(websocket, packet)
    assert websocket.closed == [CloseCode.PROTOCOL_ERROR]
    assert (session.candidate, session.upgraded, server.told) == (None, False, [])
    session.send(Outgoing("4a"))
    assert get() == ["4a"]


def test_a_websocket_that_is_lost_during_its_upgrade_ends_only_that(
    session: Session, server: Server, websocket: Any
) -> None:
    probe(session, websocket)
    session.lost(websocket, "transport close")
    assert (session.candidate, session.closed, server.told) == (None, False, [])
    another: Any = WebSocket()
    probe(session, another)
    session.receive(another, "5")
    assert session.connection is another


@pytest.mark.parametrize("when", ["shaken hands", "upgrading", "upgraded"])
@pytest.mark.parametrize("packet", ["2probe", "5", "4hello"])
def test_a_second_websocket_is_closed_and_the_first_untouched_wire_e12(
    session: Session, server: Server, websocket: Any, when: str, packet: str
) -> None:
    shake_hands(session, websocket)
    if when != "shaken hands":
        session.receive(websocket, "2probe")
    if when == "upgraded":
        session.receive(websocket, "5")
    second: Any = WebSocket()
    session.receive(second, packet)
    session.lost(second, "transport close")
    assert second.closed == [CloseCode.PROTOCOL_ERROR]
    assert (websocket.closed, session.closed, server.told) == ([], False, [])
    if when == "shaken hands":
        session.receive(websocket, "2probe")
    if when != "upgraded":
        session.receive(websocket, "5")
    assert session.connection is websocket


def test_the_rest_of_a_post_that_was_under_way_at_the_change_is_not_lost(
    session: Session, server: Server, websocket: Any
) -> None:
    probe(session, websocket)
    session.receive(websocket, "5")
    session.receive(None, "4late")
    session.receive(None, "3")
    assert server.told == [("received", "late"), ("pong", "sid-1")]
    with pytest.raises(InvalidPacketError):
        session.receive(None, "5")
    assert (session.connection, websocket.closed, session.closed) == (websocket, [], False)


def test_a_session_that_is_paused_stays_so_on_its_websocket(session: Session, websocket: Any) -> None:
    session.paused = True
    probe(session, websocket)
    assert websocket.pauses == 0
    session.receive(websocket, "5")
    assert websocket.pauses == 1


# The end


@pytest.mark.parametrize("reason", ["transport close", "ping timeout", "server disconnect"])
def test_a_session_ends_once_with_its_first_reason(session: Session, server: Server, reason: str) -> None:
    session.close(reason)
    session.close("parse error")
    assert server.told == [("ended", reason)]
    assert session.closed


def test_a_get_that_waits_for_a_session_that_the_client_closes_gets_a_noop_wire_e9(
    session: Session, server: Server, get: Callable[..., list[Any]]
) -> None:
    assert get(lambda: session.receive(None, "1")) == ["6"]
    assert server.told == [("ended", "transport close")]


def test_a_get_that_waits_for_a_session_that_the_server_closes_gets_close_wire_e8(
    session: Session, get: Callable[..., list[Any]]
) -> None:
    assert get(lambda: session.close("transport error")) == ["1"]


def test_a_get_that_waits_at_the_end_still_gets_what_was_sent(session: Session, get: Callable[..., list[Any]]) -> None:
    """The DISCONNECT of a namespace, say."""

    def during() -> None:
        session.send(Outgoing("41"))
        session.close("server disconnect")

    assert get(during)[0] == "41"


def test_a_get_after_the_end_does_not_wait(session: Session, get: Callable[..., list[Any]]) -> None:
    session.close("server disconnect")
    get()


def test_the_websocket_gets_what_waits_before_it_is_closed(upgraded: Session, server: Server, websocket: Any) -> None:
    upgraded.send(Outgoing("41"))
    upgraded.close("server disconnect")
    assert websocket.writes == [["41"]]
    assert websocket.closed == [CloseCode.NORMAL_CLOSURE]
    server.turn()
    assert websocket.writes == [["41"]]


def test_nothing_is_sent_after_the_end(upgraded: Session, server: Server, websocket: Any) -> None:
    """Also where the end of the hub's turn, or the client's end, asks for what is left."""
    upgraded.send(Outgoing("4a"))
    upgraded.close("server disconnect")
    for _ in range(2):
        upgraded.send(Outgoing("4late"))
        upgraded.send(PING)
        server.turn()
        upgraded.flush()
    assert (websocket.writes, upgraded.outbox, server.asked) == ([["4a"]], [], [])


def test_a_websocket_that_waits_for_its_turn_is_closed_with_its_session(
    session: Session, server: Server, websocket: Any
) -> None:
    probe(session, websocket)
    session.close("ping timeout")
    assert websocket.closed == [CloseCode.NORMAL_CLOSURE]
    session.receive(websocket, "5")
    assert not session.upgraded
    session.lost(websocket, "transport close")
    assert server.told == [("ended", "ping timeout")]


@pytest.mark.parametrize("reason", ["transport close", "transport error"])
def test_a_websocket_that_is_lost_ends_its_session_wire_h3(
    upgraded: Session, server: Server, websocket: Any, reason: str
) -> None:
    upgraded.lost(websocket, reason)
    assert server.told == [("ended", reason)]


@pytest.mark.parametrize("packet", ["4late", b"\x00", "3", "9"], ids=repr)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_what_comes_after_the_end_reaches_nobody(
    session: Session, server: Server, websocket: Any, transport: str, packet: Any
) -> None:
    """The rest of one POST, or of one read, behind the packet that ended the session."""
    carrier = None
    if transport == "websocket":
        carrier = websocket
        session.carry(websocket)
    session.close("parse error")
    try:
        session.receive(carrier, packet)
    except InvalidPacketError:
        assert (transport, packet) == ("polling", "9")
    assert [told for told in server.told if told[0] != "pong"] == [("ended", "parse error")]
