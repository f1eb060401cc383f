"""What happens when a client does not take what is sent to it; pitfall 3."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.engine import backlog as backlog_module
from dtws_sio.engine.backlog import POLICIES, Backlog
from dtws_sio.engine.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 100


class Session:
    """As much of a session as the backlog sees."""

    def __init__(self, *outbox: Outgoing) -> None:
        self.sid = "sid-1"
        self.outbox = list(outbox)
        self.waiting = sum(outgoing.size for outgoing in outbox)
        self.closed: list[str] = []

    def close(self, reason: str) -> None:
        self.closed.append(reason)

    def send(self, backlog: Backlog, outgoing: Outgoing, unsent: int = 0) -> bool:
        """Send as the session does to a client that is behind."""
        admitted = backlog.admits(self, outgoing, unsent)  # type: ignore[arg-type]
        if admitted:
            self.outbox.append(outgoing)
            self.waiting += outgoing.size
        return admitted

    @property
    def names(self) -> str:
        return "".join(part[0] for outgoing in self.outbox for part in outgoing.parts if isinstance(part, str))


class Hub:
    """eventlet's hub, which runs nothing until it has its turn."""

    def __init__(self) -> None:
        self.later: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def schedule_call_global(self, seconds: float, function: Callable[..., object], *arguments: Any) -> None:
        assert seconds == 0
        self.later.append((function, arguments))

    def turn(self) -> None:
        later, self.later = self.later, []
        for function, arguments in later:
            function(*arguments)


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub; what a greenlet of its own would do waits for its turn too."""
    hub = Hub()
    monkeypatch.setattr(backlog_module, "hubs", SimpleNamespace(get_hub=lambda: hub))
    spawn_n = SimpleNamespace(spawn_n=lambda function, *arguments: hub.schedule_call_global(0, function, *arguments))
    monkeypatch.setattr(backlog_module, "greenthread", spawn_n)
    return hub


def packet(name: str, size: int, key: Any = "name") -> Outgoing:
    """Make an event of so many bytes; with None as key, what may not be dropped."""
    return Outgoing(name + "." * (size - 1), key=("/", name) if key == "name" else key)


def lines(caplog: pytest.LogCaptureFixture, hub: Hub) -> list[str]:
    assert caplog.records == [], "something logged in the hub, where nothing may"
    hub.turn()
    assert {(record.name, record.levelno) for record in caplog.records} <= {("dtws_sio.engine", logging.WARNING)}
    return [record.getMessage() for record in caplog.records]


def test_there_are_three_policies() -> None:
    assert POLICIES == ("close", "drop-oldest", "keep-newest")


@pytest.mark.parametrize("policy", ["", "Close", "drop", None])
def test_an_unknown_policy_is_named_with_those_there_are(policy: Any) -> None:
    with pytest.raises(ValueError, match=f"{policy!r} is none of close, drop-oldest, keep-newest"):
        Backlog(LIMIT, policy)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("waiting", "unsent", "size"), [(0, 0, 100), (40, 0, 60), (0, 99, 1), (30, 30, 40)], ids=lambda value: str(value)
)
def test_nothing_happens_up_to_the_limit(
    policy: str, waiting: int, unsent: int, size: int, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    session, backlog = Session(*([packet("a", waiting)] if waiting else [])), Backlog(LIMIT, policy)
    assert session.send(backlog, packet("b", size), unsent)
    assert (backlog.discarded, lines(caplog, hub), session.closed) == (0, [], [])


@pytest.mark.parametrize("policy", POLICIES)
def test_one_message_larger_than_the_limit_is_allowed_where_nothing_waits(policy: str, hub: Hub) -> None:
    session, backlog = Session(), Backlog(LIMIT, policy)
    assert session.send(backlog, packet("a", LIMIT * 10))
    hub.turn()
    assert (session.names, session.closed, backlog.discarded) == ("a", [], 0)


# "close"


@pytest.mark.parametrize("key", ["name", None])
@pytest.mark.parametrize(("unsent", "told"), [(0, 110), (15, 125)])
def test_the_client_is_closed_but_not_at_once(
    key: Any, unsent: int, told: int, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever emits walks through a room that the client would leave meanwhile."""
    session, backlog = Session(packet("a", 60)), Backlog(LIMIT, "close")
    assert not session.send(backlog, packet("b", 50, key), unsent)
    assert session.closed == []
    (line,) = lines(caplog, hub)
    assert line == f"closed sid-1: {told} bytes wait for it, and 100 may (setting MAX_BACKLOG)"
    assert session.closed == ["transport error"]


def test_a_client_that_is_to_be_closed_is_told_of_once(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    """Several emits before the hub's next turn are one news."""
    refused: list[str] = []
    session, backlog = Session(packet("a", 60)), Backlog(LIMIT, "close", refused.append)
    for _ in range(10):
        assert not session.send(backlog, packet("b", 50))
    assert len(lines(caplog, hub)) == 1
    assert session.closed == ["transport error"]
    assert refused == ["backlog_full"]


# "drop-oldest"


@pytest.mark.parametrize(
    ("size", "kept"), [(12, "cdefghx"), (16, "cdefghx"), (17, "defghx"), (28, "defghx"), (29, "efghx")]
)
def test_the_oldest_are_dropped_as_many_as_need_be_and_an_eighth_of_the_limit(
    size: int, kept: str, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    session, backlog = Session(*(packet(name, 12) for name in "abcdefgh")), Backlog(LIMIT, "drop-oldest")
    assert session.send(backlog, packet("x", size))
    count = 9 - len(kept)
    assert (session.names, session.waiting, backlog.discarded) == (kept, 96 - 12 * count + size, count)
    assert lines(caplog, hub) == [
        f"discarded 1 of ('/', '{name}'), 12 bytes, for sid-1, which is behind" for name in "abcdefgh"[:count]
    ]
    assert session.closed == []


def test_what_is_dropped_together_is_a_line_for_each_kind(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    session, backlog = Session(*(packet(name, 10) for name in "ababaabbb")), Backlog(LIMIT, "drop-oldest")
    assert session.send(backlog, packet("x", 50))
    assert lines(caplog, hub) == [
        "discarded 4 of ('/', 'a'), 40 bytes, for sid-1, which is behind",
        "discarded 2 of ('/', 'b'), 20 bytes, for sid-1, which is behind",
    ]


def test_of_two_that_are_alike_the_older_one_is_dropped(hub: Hub) -> None:
    twins = [packet("a", 40), packet("a", 40)]
    refused: list[str] = []
    session, backlog = Session(*twins), Backlog(LIMIT, "drop-oldest", refused.append)
    assert session.send(backlog, packet("b", 40))
    assert refused == [], "what is dropped is counted in `discarded`"
    assert (session.names, session.waiting, backlog.discarded) == ("ab", 80, 1)
    assert session.outbox[0] is twins[1]


def test_few_walks_through_the_outbox_serve_many_small_messages(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[int] = []
    discard = Backlog._discard

    def counted(backlog: Backlog, session: Any, unwanted: list[Outgoing]) -> int:
        walks.append(len(unwanted))
        return discard(backlog, session, unwanted)

    monkeypatch.setattr(Backlog, "_discard", counted)
    session, backlog = Session(), Backlog(10_000, "drop-oldest")
    for _ in range(20_000):
        session.send(backlog, packet("a", 10))
    assert len(walks) < 200


def test_what_the_connection_holds_counts_too(hub: Hub) -> None:
    session, backlog = Session(*(packet(name, 25) for name in "ab")), Backlog(LIMIT, "drop-oldest")
    assert session.send(backlog, packet("c", 25), 37)
    assert (session.names, session.waiting) == ("bc", 50)


@pytest.mark.parametrize("policy", ["drop-oldest", "keep-newest"])
def test_what_has_no_key_is_never_dropped(policy: str, hub: Hub) -> None:
    """Acknowledgements, and what opens and closes namespaces."""
    session, backlog = Session(packet("A", 30, None), packet("b", 20), packet("C", 30, None)), Backlog(LIMIT, policy)
    assert session.send(backlog, packet("D", 40, None))
    assert (session.names, session.waiting, backlog.discarded) == ("ACD", 100, 1)


@pytest.mark.parametrize("policy", ["drop-oldest", "keep-newest"])
def test_whoever_lets_too_much_of_that_wait_is_closed(policy: str, hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    """Else a client that asks for acknowledgements and reads none of them fills the memory."""
    session, backlog = Session(packet("A", 90, None)), Backlog(LIMIT, policy)
    assert not session.send(backlog, packet("B", 20, None))
    assert (session.names, session.waiting, backlog.discarded) == ("A", 90, 0)
    assert lines(caplog, hub) == ["closed sid-1: 110 bytes wait for it, and 100 may (setting MAX_BACKLOG)"]
    assert session.closed == ["transport error"]


@pytest.mark.parametrize("policy", ["drop-oldest", "keep-newest"])
def test_what_does_not_fit_beside_those_is_dropped_itself(
    policy: str, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    session, backlog = Session(packet("A", 90, None)), Backlog(LIMIT, policy)
    assert not session.send(backlog, packet("b", 20))
    assert (session.names, session.waiting, backlog.discarded) == ("A", 90, 1)
    assert lines(caplog, hub) == ["discarded 1 of ('/', 'b'), 20 bytes, for sid-1, which is behind"]


@pytest.mark.parametrize("policy", ["drop-oldest", "keep-newest"])
def test_one_larger_than_the_limit_takes_the_place_of_all(policy: str, hub: Hub) -> None:
    """It would be allowed on an empty queue, and the queue is empty once the oldest are dropped."""
    session, backlog = Session(packet("a", 20), packet("b", 20)), Backlog(LIMIT, policy)
    assert session.send(backlog, packet("c", LIMIT * 2))
    assert (session.names, backlog.discarded) == ("c", 2)


def test_the_newest_is_what_is_kept_in_the_long_run(hub: Hub) -> None:
    session, backlog = Session(packet("a", 60)), Backlog(LIMIT, "drop-oldest")
    for number in range(1000):
        assert session.send(backlog, Outgoing(f"{number:050}", key=("/", "tick")))
    assert [outgoing.parts[0] for outgoing in session.outbox] == [f"{number:050}" for number in (998, 999)]
    assert backlog.discarded == 999


# "keep-newest"


def test_older_ones_of_the_same_event_go_first(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    session = Session(packet("a", 30), packet("b", 30), packet("a", 30))
    backlog = Backlog(LIMIT, "keep-newest")
    assert session.send(backlog, packet("a", 30))
    assert (session.names, session.waiting, backlog.discarded) == ("ba", 60, 2)
    assert lines(caplog, hub) == ["discarded 2 of ('/', 'a'), 60 bytes, for sid-1, which is behind"]


def test_below_the_limit_older_ones_stay(hub: Hub) -> None:
    session, backlog = Session(packet("a", 30)), Backlog(LIMIT, "keep-newest")
    assert session.send(backlog, packet("a", 30))
    assert (session.names, backlog.discarded) == ("aa", 0)


def test_then_the_oldest_of_other_events(hub: Hub) -> None:
    session = Session(packet("b", 40), packet("a", 10), packet("c", 50))
    backlog = Backlog(LIMIT, "keep-newest")
    assert session.send(backlog, packet("a", 30))
    assert (session.names, session.waiting, backlog.discarded) == ("ca", 80, 2)


def test_the_same_event_of_another_namespace_is_another(hub: Hub) -> None:
    first, second, third = (Outgoing("x" * 40, key=(path, "tick")) for path in ("/a", "/b", "/b"))
    session, backlog = Session(first, second), Backlog(LIMIT, "keep-newest")
    assert session.send(backlog, third)
    assert session.outbox == [first, third]


def test_what_has_no_key_replaces_nothing(hub: Hub) -> None:
    session, backlog = Session(packet("A", 60, None), packet("b", 30)), Backlog(LIMIT, "keep-newest")
    assert session.send(backlog, packet("A", 30, None))
    assert session.names == "AA"
