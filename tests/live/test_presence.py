"""Who is present in several processes that a real Redis joins; some are killed, paused, or cut off from it."""

from __future__ import annotations

import logging
import secrets
import signal
import sys
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dtws_sio.presence import JOINED, LEFT, Change, Member, Seat, scripts
from dtws_sio.presence.redis import BATCH, RedisRolls
from tests.live.servers import Server, eventually, free_port, serve
from tests.live.services import PASSWORD, program, redis_server
from tests.rolls import PROCESSES, ROLLS, Model, Step, members, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.live

ANN = Member("user:1", {"name": "ann"})
BOB = Member("user:2", {"name": "bob"})
HALL = ("/", "hall")
LEASE: Final = 2.0
"""Seconds of the lease where time has to pass."""


def seat(sid: str) -> Seat:
    return Seat(*HALL, sid)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run Redis."""
    with redis_server() as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[redis.Redis]:
    """Look into Redis."""
    with redis.Redis.from_url(url) as client:
        yield client


class Cluster:
    """Processes that share a Redis; each is an object of this process, and does what it does when it is told to."""

    def __init__(self, url: str, client: redis.Redis) -> None:
        self.channel = secrets.token_hex(4)
        self._url = url
        self._client = client
        self._processes: list[RedisRolls] = []

    def process(self) -> RedisRolls:
        """Add a process that has a lease."""
        rolls = RedisRolls(self._url, channel=self.channel, lease_seconds=60)
        self._processes.append(rolls)
        assert rolls.catch_up() == []
        return rolls

    def lapse(self, rolls: RedisRolls) -> None:
        """Have so much time pass that a process's lease runs out."""
        self._client.zadd(f"{self.channel}:presence:leases", {rolls._process: 1}, xx=True)

    def keys(self) -> list[bytes]:
        """Give what is there of it."""
        return sorted(self._client.keys(f"{self.channel}*"))

    def forget(self) -> None:
        """Lose everything, as a Redis does that is started again."""
        self._client.delete(*self.keys())

    def close(self) -> None:
        """End every process, the dead too."""
        for rolls in self._processes:
            rolls.end()


@pytest.fixture
def make_cluster(url: str, client: redis.Redis) -> Iterator[Callable[[], Cluster]]:
    """Make clusters that do not meet."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Cluster(url, client)))


@pytest.fixture
def cluster(make_cluster: Callable[[], Cluster]) -> Cluster:
    """One of them."""
    return make_cluster()


def told(changes: list[Change]) -> list[tuple[str, Seat, str]]:
    return [(each.event, each.seat, each.member.key) for each in changes]


# ---- processes that live


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(taken=st.lists(steps, max_size=30))
def test_any_coming_and_going_gives_who_should_be_present(
    make_cluster: Callable[[], Cluster], taken: list[Step]
) -> None:
    cluster, model = make_cluster(), Model()
    processes = [cluster.process() for _ in range(PROCESSES)]
    for step in taken:
        rolls = processes[step.process]
        changes = rolls.leave(step.seat) if step.member is None else rolls.enter(step.seat, step.member)
        assert told(changes) == model.take(step)
        for roll in ROLLS:
            reader = processes[0]
            assert reader.members(*roll) == model.members(*roll)
            assert sorted(reader.sids(*roll)) == model.sids(*roll)
    for room in {room for _, room in ROLLS}:
        assert sorted(processes[1].seats(room)) == sorted(each for each in model.seats if each.room == room)
    left = [change for rolls in processes for change in rolls.end()]
    assert {event for event, *_ in told(left)} <= {LEFT}
    assert len(left) == sum(map(len, model.arrivals.values()))
    assert cluster.keys() == []


def test_projects_that_share_a_redis_do_not_meet(make_cluster: Callable[[], Cluster]) -> None:
    shop, forum = make_cluster().process(), make_cluster().process()
    shop.enter(seat("1"), ANN)
    assert forum.members(*HALL) == []
    assert len(forum.enter(seat("2"), ANN)) == 1


def test_a_process_that_has_ended_takes_no_more(cluster: Cluster) -> None:
    rolls = cluster.process()
    rolls.enter(seat("1"), ANN)
    assert told(rolls.end()) == [(LEFT, seat("1"), ANN.key)]
    assert rolls.leave(seat("1")) == rolls.enter(seat("2"), BOB) == rolls.catch_up() == []
    assert cluster.keys() == []


# ---- processes that die, or seem to


def test_who_was_in_a_dead_process_is_gone_at_once_and_told_once(cluster: Cluster) -> None:
    dead, *others = [cluster.process() for _ in range(3)]
    dead.enter(seat("1"), ANN)
    others[0].enter(seat("2"), BOB)
    cluster.lapse(dead)
    for reader in others:
        assert reader.members(*HALL) == [BOB]
        assert reader.sids(*HALL) == [each.sid for each in reader.seats("hall")] == ["2"]
    assert told([change for each in others * 2 for change in each.catch_up()]) == [(LEFT, seat("1"), ANN.key)]


def test_whoever_comes_back_in_time_has_never_left(cluster: Cluster) -> None:
    """Its process died, and it found another one before anybody noticed."""
    dead, other = cluster.process(), cluster.process()
    dead.enter(seat("1"), ANN)
    cluster.lapse(dead)
    assert other.enter(seat("2"), ANN) == []
    assert other.catch_up() == []
    assert other.members(*HALL) == [ANN]
    assert told(other.leave(seat("2"))) == [(LEFT, seat("2"), ANN.key)]


def crowd(rolls: RedisRolls, count: int) -> set[str]:
    """Have many take seats, and give their names."""
    for number in range(count):
        rolls._wanted[seat(f"{number}")] = Member(f"{number}")
    rolls._unsettled.update(dict.fromkeys(rolls._wanted))
    names = {change.member.key for change in rolls.catch_up()}
    assert len(names) == count
    return names


def test_a_dead_process_that_held_very_many_is_cleared_wholly(cluster: Cluster) -> None:
    dead, other = cluster.process(), cluster.process()
    names = crowd(dead, 2 * BATCH + 1)
    cluster.lapse(dead)
    assert {change.member.key for change in other.catch_up()} == names
    other.end()
    assert cluster.keys() == []


def test_a_process_that_comes_back_while_it_is_cleared_keeps_what_it_has(cluster: Cluster) -> None:
    paused, other = cluster.process(), cluster.process()
    names = crowd(paused, BATCH + 10)
    cluster.lapse(paused)
    _, left = other._run(scripts.CLEAR, BATCH)
    assert left == 1, "the first of two steps"
    assert len([change for change in paused.catch_up() if change.event == JOINED]) == BATCH
    assert other.catch_up() == paused.catch_up() == []
    assert {member.key for member in other.members(*HALL)} == names


def test_a_process_that_was_taken_for_dead_comes_back_and_tells(cluster: Cluster) -> None:
    paused, other = cluster.process(), cluster.process()
    paused.enter(seat("1"), ANN)
    cluster.lapse(paused)
    assert told(other.catch_up()) == [(LEFT, seat("1"), ANN.key)]
    assert paused.enter(seat("2"), BOB) == []
    assert other.members(*HALL) == []
    assert told(paused.catch_up()) == [(JOINED, seat("1"), ANN.key), (JOINED, seat("2"), BOB.key)]
    assert other.members(*HALL) == [ANN, BOB]
    assert paused.catch_up() == other.catch_up() == []


def test_a_lease_that_ran_out_unnoticed_goes_on(cluster: Cluster) -> None:
    paused, other = cluster.process(), cluster.process()
    paused.enter(seat("1"), ANN)
    cluster.lapse(paused)
    assert paused.catch_up() == []
    assert other.members(*HALL) == [ANN]
    assert other.catch_up() == []


def test_processes_that_slept_together_do_not_take_each_other_for_dead(cluster: Cluster) -> None:
    """A laptop that wakes up, say."""
    processes = [cluster.process() for _ in range(2)]
    for number, rolls in enumerate(processes):
        rolls.enter(seat(f"{number}"), Member(f"{number}"))
    for rolls in processes:
        cluster.lapse(rolls)
    assert [rolls.catch_up() for rolls in processes * 2] == [[]] * 4
    assert len(processes[0].members(*HALL)) == 2


class Accidents(RuleBasedStateMachine):
    """Clients come and go while processes die and are taken for dead: what is told alternates, and comes true."""

    make_cluster: Callable[[], Cluster]
    process = st.integers(0, PROCESSES - 1)

    @initialize()
    def begin(self) -> None:
        self.cluster = self.make_cluster()
        self.processes = [self.cluster.process() for _ in range(PROCESSES)]
        self.seats: list[dict[Seat, Member]] = [{} for _ in range(PROCESSES)]
        self.lapsed: set[int] = set()
        self.present: set[tuple[str, str | None, str]] = set()
        self.life = 0

    def hear(self, changes: list[Change]) -> None:
        for change in changes:
            who = (*change.seat[:2], change.member.key)
            assert (who in self.present) == (change.event == LEFT), "who joins was away, and who leaves was there"
            self.present ^= {who}

    @rule(number=process, roll=st.sampled_from(ROLLS), tab=st.sampled_from("ab"), member=members)
    def enter(self, number: int, roll: tuple[str, str | None], tab: str, member: Member) -> None:
        taken = Seat(*roll, f"{number}{tab}{self.life}")
        self.seats[number][taken] = member
        self.hear(self.processes[number].enter(taken, member))

    @rule(number=process, choice=st.randoms(use_true_random=False))
    def leave(self, number: int, choice: Any) -> None:
        if self.seats[number]:
            left = choice.choice(sorted(self.seats[number], key=repr))
            del self.seats[number][left]
            self.hear(self.processes[number].leave(left))

    @rule(number=process)
    def is_paused(self, number: int) -> None:
        self.cluster.lapse(self.processes[number])
        self.lapsed.add(number)

    @rule(number=process)
    def dies(self, number: int) -> None:
        self.cluster.lapse(self.processes[number])
        self.life += 1
        self.processes[number] = self.cluster.process()
        self.seats[number] = {}
        self.lapsed.discard(number)

    @rule(number=process)
    def catches_up(self, number: int) -> None:
        self.hear(self.processes[number].catch_up())
        self.lapsed.discard(number)

    @invariant()
    def the_dead_are_not_present(self) -> None:
        for namespace, room in ROLLS:
            read = {member.key for member in self.processes[0].members(namespace, room)}
            living = [seats for number, seats in enumerate(self.seats) if number not in self.lapsed]
            assert read <= {
                member.key for seats in living for taken, member in seats.items() if taken[:2] == (namespace, room)
            }

    def teardown(self) -> None:
        for _ in range(2):
            for rolls in self.processes:
                self.hear(rolls.catch_up())
        expected = {(*taken[:2], member.key) for seats in self.seats for taken, member in seats.items()}
        assert self.present == expected
        for roll in ROLLS:
            assert {(*roll, member.key) for member in self.processes[0].members(*roll)} == {
                each for each in expected if each[:2] == roll
            }
        for rolls in self.processes:
            self.hear(rolls.end())
        assert self.present == set()
        assert self.cluster.keys() == []
        self.cluster.close()


def test_what_is_told_alternates_and_comes_true_whatever_happens_to_processes(
    make_cluster: Callable[[], Cluster],
) -> None:
    class Here(Accidents):
        pass

    Here.make_cluster = staticmethod(make_cluster)
    run_state_machine_as_test(Here, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))


# ---- a Redis that forgets, or is not there


def test_what_redis_forgot_is_noted_again_and_nobody_is_told(cluster: Cluster) -> None:
    one, other = cluster.process(), cluster.process()
    one.enter(seat("1"), ANN)
    other.enter(seat("2"), BOB)
    cluster.forget()
    assert one.catch_up() == other.catch_up() == []
    assert one.members(*HALL) == [ANN, BOB]
    assert told(one.leave(seat("1"))) == [(LEFT, seat("1"), ANN.key)]


def test_who_came_and_went_before_it_was_noticed_is_told_then(cluster: Cluster) -> None:
    rolls = cluster.process()
    rolls.enter(seat("1"), ANN)
    cluster.forget()
    assert rolls.leave(seat("1")) == []
    assert rolls.enter(seat("2"), BOB) == []
    assert told(rolls.catch_up()) == [(LEFT, seat("1"), ANN.key), (JOINED, seat("2"), BOB.key)]
    assert rolls.members(*HALL) == [BOB]


@contextmanager
def redis_on(port: int) -> Iterator[None]:
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]
    with serve([program("redis-server"), *options], cwd="/tmp", ready_port=port):
        yield


def test_clients_come_and_go_while_redis_is_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dtws_sio.presence")
    port = free_port()
    rolls = RedisRolls(f"redis://:{PASSWORD}@127.0.0.1:{port}/0", channel="away")
    assert rolls.catch_up() == rolls.enter(seat("1"), ANN) == rolls.catch_up() == []
    with redis_on(port):
        assert told(rolls.catch_up()) == [(JOINED, seat("1"), ANN.key)]
        rolls.enter(seat("2"), BOB)
    assert rolls.leave(seat("1")) == rolls.enter(seat("3"), BOB) == rolls.catch_up() == []
    with redis_on(port):
        assert told(rolls.catch_up()) == [(LEFT, seat("1"), ANN.key)]
        assert sorted(rolls.sids(*HALL)) == ["2", "3"]
    assert rolls.end() == []
    behind, caught_up, behind_again, caught_up_again, end = caplog.messages
    assert behind.startswith("presence falls behind")
    assert behind_again.startswith("presence falls behind")
    assert caught_up == caught_up_again == "presence has caught up"
    assert end.startswith("presence ends without a word: ")
    assert PASSWORD not in caplog.text


def test_two_that_are_at_one_seat_leave_it_as_it_should_be(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client leaves while its entering is under way: the later one is noted first."""
    rolls, run, overtaken = cluster.process(), RedisRolls._run, list[Change]()

    def delayed(self: RedisRolls, script: str, *arguments: Any) -> Any:
        monkeypatch.setattr(RedisRolls, "_run", run)
        overtaken.extend(rolls.leave(seat("1")))
        return run(self, script, *arguments)

    monkeypatch.setattr(RedisRolls, "_run", delayed)
    assert told(rolls.enter(seat("1"), ANN)) == [(JOINED, seat("1"), ANN.key), (LEFT, seat("1"), ANN.key)]
    assert overtaken == rolls.members(*HALL) == rolls.catch_up() == []


# ---- processes that really are some


@pytest.fixture
def start(url: str, cluster: Cluster) -> Iterator[Callable[..., Server]]:
    """Start processes with people in the room."""
    with ExitStack() as stack:

        def run(*names: str) -> Server:
            script = Path(__file__).with_name("presence_process.py")
            return stack.enter_context(serve([sys.executable, script, url, cluster.channel, str(LEASE), *names]))

        yield run


def test_a_killed_process_is_noticed_within_its_lease_and_told_once(
    start: Callable[..., Server], cluster: Cluster
) -> None:
    processes = {name: start(name, "everybody") for name in ("ann", "bob", "eve", "joe")}
    reader = cluster.process()

    def present() -> set[str]:
        return {member.key for member in reader.members(*HALL)}

    def lines(event: str, name: str) -> int:
        return sum(each.log().count(f'["{event}","{name}"]') for each in processes.values())

    eventually(lambda: len(reader.sids(*HALL)) == 8, "everybody in the room", seconds=30)
    assert present() == {"everybody", *processes}
    for name in ("ann", "bob"):
        processes[name].process.send_signal(signal.SIGKILL)
        eventually(lambda name=name: name not in present(), f"{name} to be gone", seconds=LEASE + 2)
        eventually(lambda name=name: lines("presence_left", name), f"{name}'s end to be told")
    processes["eve"].process.send_signal(signal.SIGSTOP)
    eventually(lambda: lines("presence_left", "eve"), "eve to be taken for dead")
    processes["eve"].process.send_signal(signal.SIGCONT)
    eventually(lambda: lines("presence_joined", "eve") == 2, "eve to be back")
    assert present() == {"eve", "joe", "everybody"}
    # Two leases later, in which each that lives has looked six times, ann's and bob's ends were still told once.
    assert [lines("presence_left", name) for name in (*processes, "everybody")] == [1, 1, 1, 0, 0]
    assert [lines("presence_joined", name) for name in (*processes, "everybody")] == [1, 1, 2, 1, 1]
    for name in ("eve", "joe"):
        assert "Traceback" not in processes[name].log()
