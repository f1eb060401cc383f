"""Who is present, and what rooms are told of it; processes that Redis joins are in tests/live/test_presence.py."""

from __future__ import annotations

import datetime
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtws_sio import conf, runtime
from dtws_sio.exceptions import EmitError, MissingDependencyError, PresenceError
from dtws_sio.presence import JOINED, LEFT, Change, LocalRolls, Member, Presence, Rolls, Seat, rolls_for
from dtws_sio.presence.redis import RedisRolls
from tests.page import eventually
from tests.rolls import ROLLS, Model, Step, steps

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY_LISTENS = "redis://ann:secret@127.0.0.1:8269/0?socket_timeout=1&password=secret"
COMPLAINT = "the message queue redis://127.0.0.1:8269/0 cannot be used: "

ANN = Member("user:1", {"id": 1, "name": "ann"})
BOB = Member("user:2", {"id": 2, "name": "bob"})
GUEST = Member("sid:x", {"id": None, "name": "guest"})


def seat(sid: str, room: str | None = "hall", namespace: str = "/") -> Seat:
    return Seat(namespace, room, sid)


# ---- members


def test_a_member_is_as_others_will_see_it() -> None:
    moment = datetime.datetime(2024, 5, 6, tzinfo=datetime.timezone.utc)
    assert Member("a", {"since": moment, "at": (1, 2)}).info == {"since": "2024-05-06T00:00:00Z", "at": [1, 2]}


def test_a_member_keeps_its_info_whatever_becomes_of_what_was_given() -> None:
    info = {"roles": ["reader"]}
    member = Member("a", info)
    info["roles"].append("writer")
    assert member.info == {"roles": ["reader"]}


def test_what_has_no_json_form_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="object"):
        Member("a", {"what": object()})


# ---- one process


@pytest.fixture
def rolls() -> LocalRolls:
    return LocalRolls()


@given(st.lists(steps, max_size=40))
def test_any_coming_and_going_gives_who_should_be_present(taken: list[Step]) -> None:
    rolls, model = LocalRolls(), Model()
    for step in taken:
        changes = rolls.leave(step.seat) if step.member is None else rolls.enter(step.seat, step.member)
        assert [(each.event, each.seat, each.member.key) for each in changes] == model.take(step)
        for roll in ROLLS:
            assert rolls.members(*roll) == model.members(*roll)
            assert sorted(rolls.sids(*roll)) == model.sids(*roll)
    for room in {room for _, room in ROLLS}:
        assert sorted(rolls.seats(room)) == sorted(each for each in model.seats if each.room == room)


def test_a_member_is_present_from_its_first_seat_to_its_last(rolls: LocalRolls) -> None:
    assert rolls.enter(seat("1"), ANN) == [Change(JOINED, seat("1"), ANN)]
    assert rolls.enter(seat("2"), ANN) == []
    assert rolls.leave(seat("1")) == []
    assert rolls.members("/", "hall") == [ANN]
    assert rolls.leave(seat("2")) == [Change(LEFT, seat("2"), ANN)]
    assert rolls.members("/", "hall") == []


def test_who_is_there_already_keeps_its_place_when_another_tab_opens(rolls: LocalRolls) -> None:
    for sid, member in [("1", ANN), ("2", BOB), ("3", ANN)]:
        rolls.enter(seat(sid), member)
    rolls.leave(seat("1"))
    assert rolls.members("/", "hall") == [ANN, BOB]


def test_entering_and_leaving_twice_is_once(rolls: LocalRolls) -> None:
    assert len(rolls.enter(seat("1"), ANN)) == 1
    assert rolls.enter(seat("1"), ANN) == []
    assert len(rolls.leave(seat("1"))) == 1
    assert rolls.leave(seat("1")) == []


def test_a_seat_that_changes_hands_tells_both(rolls: LocalRolls) -> None:
    """Somebody logged in while connected."""
    rolls.enter(seat("1"), GUEST)
    assert rolls.enter(seat("1"), ANN) == [Change(LEFT, seat("1"), GUEST), Change(JOINED, seat("1"), ANN)]
    assert rolls.members("/", "hall") == [ANN]


def test_the_newest_description_counts(rolls: LocalRolls) -> None:
    renamed = Member(ANN.key, {"name": "anna"})
    rolls.enter(seat("1"), ANN)
    assert rolls.enter(seat("2"), renamed) == []
    assert rolls.members("/", "hall") == [renamed]


def test_a_room_of_one_name_is_another_in_each_namespace(rolls: LocalRolls) -> None:
    rolls.enter(seat("1"), ANN)
    rolls.enter(seat("2", namespace="/chat"), ANN)
    assert rolls.sids("/chat", "hall") == ["2"]
    assert sorted(rolls.seats("hall")) == [seat("1"), seat("2", namespace="/chat")]
    assert rolls.leave(seat("1")) == [Change(LEFT, seat("1"), ANN)]


def test_at_the_end_everybody_leaves_once(rolls: LocalRolls) -> None:
    for sid, member in [("1", ANN), ("2", BOB), ("3", ANN)]:
        rolls.enter(seat(sid), member)
    assert sorted((each.event, each.member.key) for each in rolls.end()) == [(LEFT, ANN.key), (LEFT, BOB.key)]
    assert rolls.end() == []
    assert rolls.seats("hall") == []


# ---- which store


def test_the_setting_tells_where_presence_is_kept() -> None:
    assert type(rolls_for(conf.Settings())) is LocalRolls
    assert type(rolls_for(conf.Settings(message_queue=NOBODY_LISTENS))) is RedisRolls


def test_a_sentinel_is_a_store_too() -> None:
    assert type(rolls_for(conf.Settings(message_queue="redis+sentinel://:secret@127.0.0.1:8269/0/main"))) is RedisRolls


def test_a_missing_redis_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtws_sio\[redis\]'") as caught:
        rolls_for(conf.Settings(message_queue=NOBODY_LISTENS))
    assert "secret" not in str(caught.value)


# ---- a Redis that is not there


@pytest.fixture
def adrift() -> RedisRolls:
    """Rolls whose Redis cannot be reached."""
    return RedisRolls(NOBODY_LISTENS, channel="socketio")


def test_clients_come_and_go_whether_or_not_redis_is_there(
    adrift: RedisRolls, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "dtws_sio.presence")
    for _ in range(3):
        assert adrift.enter(seat("1"), ANN) == []
        assert adrift.leave(seat("1")) == []
        assert adrift.catch_up() == []
    (line,) = caplog.messages  # once, however often it fails
    assert line.startswith(
        "presence falls behind, and will catch up: the message queue redis://127.0.0.1:8269/0 cannot"
    )
    assert "secret" not in line
    assert adrift.end() == []


READS: list[Callable[[Rolls], object]] = [
    lambda rolls: rolls.members("/", "hall"),
    lambda rolls: rolls.sids("/", "hall"),
    lambda rolls: rolls.seats("hall"),
]


@pytest.mark.parametrize("read", READS, ids=["members", "sids", "seats"])
def test_who_is_present_cannot_be_told_without_redis(adrift: RedisRolls, read: Callable[[Rolls], object]) -> None:
    with pytest.raises(PresenceError) as caught:
        read(adrift)
    message = str(caught.value)
    assert message.startswith(
        "who is present cannot be told: the message queue redis://127.0.0.1:8269/0 cannot be used"
    )
    assert "DTWS_SIO['MESSAGE_QUEUE']" in message
    assert "secret" not in message


# ---- telling the rooms


class Told:
    """Stands in for `sio.emit`; fails as it is told to."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None

    def __call__(self, event: str, data: Any, *, namespace: str, room: str | None, skip_sid: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.events.append((event, data, namespace, room, skip_sid))


@pytest.fixture
def told() -> Told:
    return Told()


def is_public(namespace: str, room: str | None) -> bool:
    return room == "hall"


@pytest.fixture
def presence(rolls: LocalRolls, told: Told) -> Presence:
    return Presence(rolls, told, is_public)


def test_a_room_is_told_who_comes_and_goes_except_for_whoever_it_is(presence: Presence, told: Told) -> None:
    presence.entered("/", "hall", "1", ANN)
    presence.entered("/", "hall", "2", ANN)
    presence.left("/", "hall", "1")
    presence.left("/", "hall", "2")
    who = {"room": "hall", "who": {"id": 1, "name": "ann"}}
    assert told.events == [
        ("presence_joined", who, "/", "hall", "1"),
        ("presence_left", who, "/", "hall", "2"),
    ]


def test_a_room_that_is_not_told_is_kept_all_the_same(presence: Presence, rolls: LocalRolls, told: Told) -> None:
    presence.entered("/", "user:1", "1", ANN)
    presence.entered("/chat", "user:1", "2", ANN)
    assert rolls.seats("user:1") == [seat("1", "user:1"), seat("2", "user:1", "/chat")]
    presence.left("/", "user:1", "1")
    assert told.events == []


def test_who_is_present_is_what_others_see(presence: Presence) -> None:
    presence.entered("/", "hall", "1", ANN)
    presence.entered("/", "hall", "2", GUEST)
    assert presence.present("/", "hall") == [{"id": 1, "name": "ann"}, {"id": None, "name": "guest"}]
    assert presence.present("/", "elsewhere") == []


def test_a_client_enters_although_the_room_cannot_be_told(
    presence: Presence, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    told.failure = EmitError("the message queue is away")
    presence.entered("/", "hall", "1", ANN)
    assert presence.present("/", "hall") == [ANN.info]
    assert caplog.messages == ["presence_joined of the room 'hall' in / was not told: the message queue is away"]


def test_whoever_is_here_at_the_end_leaves(presence: Presence, told: Told) -> None:
    presence.start()
    presence.entered("/", "hall", "1", ANN)
    told.events.clear()
    presence.stop()
    assert [event for event, *_ in told.events] == [LEFT]


class Joined(LocalRolls):
    """Rolls that have something to catch up with, as those in Redis do."""

    interval: float | None = 5.0

    def __init__(self) -> None:
        super().__init__()
        self.news: list[Change] = []
        self.failure: Exception | None = None

    def catch_up(self) -> list[Change]:
        if self.failure is not None:
            raise self.failure
        news, self.news = self.news, []
        return news


class Clock:
    """Lets the loop of a `Presence` go on when the test says so."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._go = threading.Semaphore(0)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        assert self._go.acquire(timeout=10)

    def advance(self) -> None:
        """Let the loop run until it sleeps again, if it does."""
        before = len(self.slept)
        self._go.release()
        eventually(lambda: len(self.slept) > before)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(runtime, "sleep", clock.sleep)
    return clock


@pytest.fixture
def others() -> Joined:
    return Joined()


@pytest.fixture
def joined(others: Joined, told: Told) -> Presence:
    return Presence(others, told, is_public)


def test_what_is_found_while_catching_up_is_told(joined: Presence, others: Joined, told: Told, clock: Clock) -> None:
    others.news = [Change(LEFT, seat("1"), ANN), Change(LEFT, seat("2", "user:1"), ANN)]
    joined.start()
    assert eventually(lambda: clock.slept == [5.0])
    others.news = [Change(LEFT, seat("3"), BOB)]
    clock.advance()
    joined.stop()
    clock._go.release()
    assert told.events == [
        ("presence_left", {"room": "hall", "who": ANN.info}, "/", "hall", "1"),
        ("presence_left", {"room": "hall", "who": BOB.info}, "/", "hall", "3"),
    ]


def test_catching_up_ends_with_stop(monkeypatch: pytest.MonkeyPatch, joined: Presence, clock: Clock) -> None:
    threads: list[threading.Thread] = []

    def spawn(function: Callable[..., Any], *args: Any) -> None:
        threads.append(threading.Thread(target=function, args=args))
        threads[-1].start()

    monkeypatch.setattr(runtime, "spawn", spawn)
    joined.start()
    joined.start()
    assert len(threads) == 1, "one loop, however often it is started"
    assert eventually(lambda: clock.slept == [5.0])
    joined.stop()
    clock._go.release()
    threads[0].join(10)
    assert not threads[0].is_alive()


def test_a_process_that_is_alone_has_no_loop(monkeypatch: pytest.MonkeyPatch, presence: Presence) -> None:
    monkeypatch.setattr(runtime, "spawn", lambda *args: pytest.fail("a loop was started"))
    presence.start()


def test_an_error_is_logged_once_until_it_is_over(
    joined: Presence, others: Joined, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    for failure, lines in [(KeyError("a"), 1), (KeyError("b"), 1), (None, 1), (KeyError("c"), 2), (None, 2)]:
        others.failure = failure
        joined.tick()
        assert len(caplog.messages) == lines
    others.news = [Change(LEFT, seat("1"), ANN)]
    joined.tick()
    assert [event for event, *_ in told.events] == [LEFT]


def test_what_could_not_be_told_keeps_nothing_else_from_being_told(
    joined: Presence, others: Joined, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    others.news = [Change(LEFT, seat("1"), ANN), Change(LEFT, seat("2"), BOB)]
    told.failure = KeyError("a defect")
    joined.tick()
    told.failure = None
    joined.tick()
    assert [data["who"]["name"] for _, data, *_ in told.events] == ["bob"]
    assert len(caplog.messages) == 1
