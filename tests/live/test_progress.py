"""Bars that another process drives: a worker beside, a command, a Celery worker; and the Redis that joins them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from dtws_sio.exceptions import EmitError
from dtws_sio.progress import BarBusyError, Cancelled, Record, redis_store
from dtws_sio.progress.records import Key
from dtws_sio.progress.redis_store import RedisStore
from dtws_sio.progress.state import State
from dtws_sio.progress.store import CLAIM_SECONDS
from tests.bars import Mirror, Recorder, board_for
from tests.bars import make as make_bar
from tests.live import sites, wire
from tests.live.servers import ROOT, Server, eventually, serve
from tests.live.services import redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dtws_sio.progress.board import Board

pytestmark = pytest.mark.live

NAMESPACE = "/import"


@pytest.fixture(scope="module")
def queue() -> Iterator[Mapping[str, Any]]:
    """Run Redis, and give the setting DTWS_SIO of those who use it."""
    with redis_server() as url:
        yield {"MESSAGE_QUEUE": url}


@pytest.fixture(scope="module")
def joined(queue: Mapping[str, Any]) -> Iterator[dict[str, Server]]:
    """Serve with both servers, which Redis joins."""
    settings = {"DTWS_SIO": queue}
    with (
        sites.running("runsocketio", settings=settings) as one,
        sites.running("gunicorn", settings=settings) as other,
    ):
        yield {"runsocketio": one, "gunicorn": other}


@pytest.fixture(params=[("runsocketio", "gunicorn"), ("gunicorn", "runsocketio")], ids="-to-".join)
def pair(request: pytest.FixtureRequest, joined: dict[str, Server]) -> Iterator[tuple[Server, Server]]:
    """Give the process that works, and the one whose pages watch."""
    here, there = (joined[name] for name in request.param)
    before = [len(server.log()) for server in (here, there)]
    yield here, there
    for server, length in zip((here, there), before, strict=True):
        printed = server.log()[length:]
        assert "Traceback" not in printed, printed


@pytest.fixture
def client(queue: Mapping[str, Any]) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(queue["MESSAGE_QUEUE"], decode_responses=True) as client:
        yield client


class Page:
    """A page in the namespace, which shows what it is told."""

    def __init__(self, socket: wire.Socket) -> None:
        self.socket = socket
        self.sid = socket.join(NAMESPACE)
        self.shown: dict[str | None, Mirror] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []

    def take(self) -> tuple[int, Any]:
        """Give the id of the acknowledgement that comes next and its value, or -1 for an event."""
        frame = self.socket.receive()
        kind, rest = frame[:2], frame[2:].removeprefix(f"{NAMESPACE},")
        if kind == "43":
            number, _, payload = rest.partition("[")
            values = json.loads("[" + payload)
            return int(number), values[0] if values else None
        assert kind == "42", frame
        event, data = json.loads(rest)
        self.events.append((event, data))
        self.shown.setdefault(data.get("bar"), Mirror()).take(event, data)
        return -1, None

    def until(self, event: str, bar: str | None = None, **expected: Any) -> dict[str, Any]:
        """Take what comes until an event of a bar with such data, and give that."""
        while True:
            while self.events:
                name, data = self.events.pop(0)
                if name == event and data.get("bar") == bar and expected.items() <= data.items():
                    return data
            self.take()

    def ask(self, event: str, *data: Any, number: int = 7) -> Any:
        """Send an event, and give its acknowledgement."""
        self.socket.send(f"42{NAMESPACE},{number}{json.dumps([event, *data])}")
        while (answer := self.take())[0] != number:
            pass
        return answer[1]


@contextmanager
def visiting(site: Server, *rooms: str) -> Iterator[Page]:
    with wire.connected(site) as socket:
        page = Page(socket)
        for room in rooms:
            page.ask("join", room)
        yield page


def settle(page: Page) -> None:
    """Wait until nobody drives the namespace's own bar; tests come in any order."""
    eventually(lambda: page.ask("state")[0] != "running", "the last job to end")
    page.events.clear()


# ---- two processes that serve


def test_a_page_of_another_process_sees_each_step_and_a_late_one_all_of_it(pair: tuple[Server, Server]) -> None:
    """Row P-04."""
    here, there = pair
    with visiting(here) as worker, visiting(there) as watcher:
        settle(worker)
        assert worker.ask("start", 20) == "started"
        watcher.until("init", max=20)
        watcher.until("update", current=5)
        with visiting(there) as late, visiting(here) as near:
            for page in (late, near):
                assert page.until("init")["max"] == 20
                assert page.shown[None].shown["current"] >= 4
            for page in (worker, watcher, late, near):
                page.until("done")
                assert page.shown[None].shown["label"] == "19"
                assert page.shown[None].shown["current"] == 20
    with visiting(there) as reloaded:
        assert reloaded.until("done") == {"current": 20, "label": "19"}
        assert reloaded.ask("state") == ["done", 20, "19"]


def test_one_job_drives_a_bar_in_all_processes_row_p_13(pair: tuple[Server, Server]) -> None:
    here, there = pair
    with visiting(here) as worker, visiting(there) as other:
        settle(worker)
        assert worker.ask("start", 10) == "started"
        assert other.ask("start", 10)["error"]["code"] == "busy"
        worker.until("done")
        eventually(lambda: other.ask("start", 2) == "started", "the bar to be free")
        worker.until("done")


def test_a_page_of_another_process_cancels(pair: tuple[Server, Server]) -> None:
    here, there = pair
    with visiting(here) as worker, visiting(there) as other:
        settle(worker)
        worker.ask("start", 1000)
        other.until("update", current=2)
        assert other.ask("cancel", {"bar": None}) == {"ok": True}
        for page in (worker, other):
            page.until("cancelled")
        assert other.ask("cancel", {"bar": None})["error"]["code"] == "not_running"
        assert [page.ask("state")[0] for page in (worker, other)] == ["cancelled", "cancelled"]


# ---- processes that serve nobody


def test_a_command_drives_a_bar_of_a_room(pair: tuple[Server, Server], queue: Mapping[str, Any], tag: str) -> None:
    here, there = pair
    command = sites.manage("work", "mail", tag, "30")
    with (
        visiting(here, tag) as page,
        visiting(there) as stranger,
        serve(command, cwd=sites.PROJECT, env=sites.environment({"DTWS_SIO": queue})) as process,
    ):
        assert page.until("init", "mail")["max"] == 30
        page.until("update", "mail", current=3)
        with visiting(there, tag) as late:
            state = late.ask("watch", {"bar": "mail"})["state"]
            assert (state["status"], state["max"], state["label"]) == ("running", 30, "row")
            assert late.until("init", "mail")["current"] >= 3
            late.until("done", "mail")
        assert stranger.ask("watch", {"bar": "mail"})["error"]["code"] == "permission_denied"
        assert "mail" not in stranger.shown
        page.until("done", "mail")
        assert process.wait_for_exit() == 0, process.log()
        assert process.log() == ""


def test_a_command_is_cancelled_by_a_page(joined: dict[str, Server], queue: Mapping[str, Any], tag: str) -> None:
    command = sites.manage("work", "mail", tag, "10000")
    with (
        visiting(joined["gunicorn"], tag) as page,
        serve(command, cwd=sites.PROJECT, env=sites.environment({"DTWS_SIO": queue})) as process,
    ):
        page.until("update", "mail", current=2)
        assert page.ask("cancel", {"bar": "mail"}) == {"ok": True}
        page.until("cancelled", "mail")
        assert process.wait_for_exit() != 0
        assert process.log().splitlines()[-1] == "dtws_sio.exceptions.Cancelled: Cancelled."


def test_a_bar_whose_process_was_killed_has_failed(
    pair: tuple[Server, Server], queue: Mapping[str, Any], tag: str, client: redis.Redis
) -> None:
    """Whoever looks first finds it out, for all; what the dead one had claimed runs out by itself, later."""
    here, there = pair
    command = sites.manage("work", "mail", tag, "10000")
    with (
        visiting(here, tag) as page,
        serve(command, cwd=sites.PROJECT, env=sites.environment({"DTWS_SIO": queue})) as process,
    ):
        page.until("update", "mail", current=2)
        process.process.send_signal(signal.SIGKILL)
        process.wait_for_exit()
        (claim,) = client.keys(f"*:driver:*{tag}")
        assert 0 < client.pttl(claim) <= CLAIM_SECONDS * 1000
        client.delete(claim)
        with visiting(there, tag) as late:
            assert late.ask("watch", {"bar": "mail"})["state"]["status"] == "failed"
        assert page.until("failed", "mail")["message"] == "The task ended without a word."


def test_a_celery_worker_drives_a_bar(pair: tuple[Server, Server], queue: Mapping[str, Any], tag: str) -> None:
    here, there = pair
    env = sites.environment({"DTWS_SIO": queue})
    worker = [sys.executable, "-m", "celery", "-A", "playground.tasks", "worker", "--pool=solo", "--loglevel=INFO"]
    call = f"from playground.tasks import fill; fill.delay('task', {tag!r}, 20)"
    with (
        visiting(here, tag) as page,
        serve([*worker, "--without-mingle", "--without-gossip"], cwd=sites.PROJECT, env=env) as celery,
    ):
        celery.wait_for_log("ready.", seconds=30)
        done = sites.run(*sites.manage("shell", "-v0", "-c", call), settings={"DTWS_SIO": queue})
        assert done.returncode == 0, done.stdout
        page.until("update", "task", current=2)
        with visiting(there, tag) as late:
            assert late.ask("watch", {"bar": "task"})["ok"] is True
            late.until("done", "task")
        assert page.until("done", "task") == {"bar": "task", "current": 20, "label": "row"}
        assert "Traceback" not in celery.log()


# ---- while it runs


def test_a_loop_that_only_counts_lets_others_be_served(site: Server) -> None:
    """Its updates leave while it runs, and other pages are answered."""
    with visiting(site) as page, visiting(site) as other:
        page.socket.send(f'42{NAMESPACE},["count",3000000]')
        page.until("update", "count")
        waits = []
        for _ in range(5):
            begun = time.monotonic()
            assert other.ask("echo", 1) == 1
            waits.append(time.monotonic() - begun)
        assert page.shown["count"].shown["status"] == "open", "it ran meanwhile"
        assert min(waits) < 0.2
        page.until("done", "count")
        assert page.shown["count"].shown["current"] == 3_000_000


def test_a_thread_of_the_operating_system_drives_a_bar_row_d_30(site: Server) -> None:
    with visiting(site) as page:
        page.socket.send(f'42{NAMESPACE},["thread",10]')
        assert page.until("init", "thread")["max"] == 10
        page.until("update", "thread", current=2)
        page.until("done", "thread")


# ---- Redis


@pytest.fixture
def make(queue: Mapping[str, Any], client: redis.Redis, tag: str) -> Callable[..., RedisStore]:
    """Make what several processes have."""
    return lambda expiry=600: RedisStore(queue["MESSAGE_QUEUE"], tag, lambda: expiry)


def record(driver: str = "me", **more: Any) -> Record:
    state = more.pop("state", State.of().begun())
    return Record(Key("/shop", "rows", "sid"), state, driver=driver, **more)


KEY = record().key


def test_one_process_has_a_bar_row_p_13(make: Callable[..., RedisStore]) -> None:
    one, other = make(), make()
    assert [one.claim(KEY, "me"), other.claim(KEY, "you"), one.claim(KEY, "me")] == [True, False, True]
    other.release(KEY, "you")
    assert not other.claim(KEY, "you")
    one.release(KEY, "me")
    assert other.claim(KEY, "you")
    assert one.save(record(), is_kept=True) == "lost"
    assert one.keep(KEY, "me") == "lost"
    assert other.load(KEY) is None, "it was not written over"


def test_where_it_stands_is_seen_by_all_and_its_end_frees_it(make: Callable[..., RedisStore]) -> None:
    one, other = make(), make()
    one.claim(KEY, "me")
    assert one.save(record(has_job=True, version="1"), is_kept=True) == "driven"
    assert other.load(KEY) == (record(has_job=True, version="1"), False)
    ended = record(state=State.of().finished(), version="2")
    one.save(ended, is_kept=False)
    assert other.load(KEY) == (ended, False)
    assert other.claim(KEY, "you")


def test_a_stop_is_for_the_one_who_drives_it(make: Callable[..., RedisStore]) -> None:
    one, other = make(), make()
    one.claim(KEY, "me")
    other.stop(record("somebody before"))
    assert one.keep(KEY, "me") == "driven"
    other.stop(record())
    assert [one.keep(KEY, "me"), one.save(record(), is_kept=True)] == ["stop", "stop"]
    one.release(KEY, "me")
    one.claim(KEY, "me")
    assert one.keep(KEY, "me") == "driven", "a new job"


def test_everything_expires(make: Callable[..., RedisStore], client: redis.Redis, tag: str) -> None:
    one = make(expiry=100)
    one.claim(KEY, "me")
    one.save(record(has_job=True), is_kept=True)
    one.stop(record())
    kinds = {name.split(":")[2]: client.pttl(name) / 1000 for name in client.keys(f"{tag}:*")}
    assert set(kinds) == {"state", "driver", "stop", "places"}
    assert all(0 < seconds <= 100 + CLAIM_SECONDS for seconds in kinds.values())
    one.save(record(state=State.of().finished()), is_kept=False)
    kinds = {name.split(":")[2]: client.pttl(name) / 1000 for name in client.keys(f"{tag}:*")}
    assert set(kinds) == {"state", "places"}
    assert 95 < kinds["state"] <= 100
    brief = make(expiry=0.05)
    brief.save(record(), is_kept=False)
    eventually(lambda: brief.load(KEY) is None, "the bar to be forgotten")


@pytest.fixture
def boards(queue: Mapping[str, Any], tag: str, settings: Any) -> list[Board]:
    """Give the boards of two processes, and let bars beat only when the test says so."""
    settings.DTWS_SIO = {"MESSAGE_QUEUE": queue["MESSAGE_QUEUE"], "MESSAGE_CHANNEL": tag}
    return [board_for(Recorder()) for _ in range(2)]


@pytest.mark.parametrize("way", ["tick", "beat", "end", "leave"])
def test_a_driver_that_was_silent_for_too_long_shows_its_bar_anew(
    boards: list[Board], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Pages were told that it failed, by whoever looked meanwhile; nothing that they get contradicts the last init."""
    monkeypatch.setattr(redis_store, "CLAIM_SECONDS", 0.2)
    here, there = boards
    page = Mirror()

    def shown() -> str:
        for board in (there, here):
            for event, data in board.server.events():  # type: ignore[attr-defined]
                page.take(event, data)
        return str(page.shown["status"])

    with make_bar(here, max=9) as bar:
        bar.tick()
        shown()
        time.sleep(0.3)
        assert there.load(bar.key).state.status == "failed"  # type: ignore[union-attr]
        assert shown() == "failed"
        if way == "tick":
            time.sleep(0.1)
            bar.tick()
        elif way == "beat":
            bar._course.display._poll_at = 0
            bar._course.beat()
        elif way == "end":
            bar.finish()
        if way != "leave":
            assert shown() == ("done" if way == "end" else "open")
            assert there.load(bar.key).state.status == bar.status  # type: ignore[union-attr]
            with pytest.raises(BarBusyError):
                make_bar(there).tick()
    assert shown() == "done"
    make_bar(there).tick()


@pytest.mark.parametrize("begin", ["with", "tick", "held"])
def test_a_bar_that_could_not_begin_leaves_nothing_behind(
    boards: list[Board], client: redis.Redis, tag: str, begin: str
) -> None:
    here, there = boards
    bar = make_bar(here, room="sid")
    here.server.error = EmitError("the queue is away")  # type: ignore[attr-defined]

    def begin_within_a_start() -> None:
        with bar.held(), bar:
            raise AssertionError

    ways = {"with": bar.__enter__, "tick": bar.tick, "held": begin_within_a_start}
    with pytest.raises(EmitError):
        ways[begin]()
    assert bar.status == "idle"
    assert there.load(bar.key) is None or begin == "held"
    assert there.server.events() == []  # type: ignore[attr-defined]
    if begin != "held":
        assert client.keys(f"{tag}:bar:*") == []
    with make_bar(there, room="sid"):
        pass


def test_a_bar_that_is_ticked_by_hand_is_shown_once_and_had_from_its_first_event_on(
    boards: list[Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = boards
    emit = here.server.emit

    def emit_and_try(event: str, data: dict[str, Any], **options: Any) -> None:
        emit(event, data, **options)
        with pytest.raises(BarBusyError):
            make_bar(there).tick()

    bar = make_bar(here, max=2)
    with monkeypatch.context() as patch:
        patch.setattr(here.server, "emit", emit_and_try)
        bar.tick()
    bar.tick()
    assert here.server.names() == ["init", "update", "update", "done"]  # type: ignore[attr-defined]
    make_bar(there).tick()


@pytest.mark.parametrize("way", ["ask", "beat"])
def test_a_bar_that_is_ticked_by_hand_hears_of_a_cancel_in_another_process(boards: list[Board], way: str) -> None:
    here, there = boards
    bar = make_bar(here, max=9)
    bar.tick()
    record = there.load(bar.key)
    assert record is not None
    there.cancel(record)
    bar._course.display._poll_at = 0
    if way == "beat":
        bar._course.beat()
        assert bar._course.is_to_stop
    assert bar.cancelled
    with pytest.raises(Cancelled):
        bar.check()
    assert here.server.names()[-1] == "cancelled"  # type: ignore[attr-defined]


def test_who_asks_for_its_bar_does_not_take_it(make: Callable[..., RedisStore]) -> None:
    one, other = make(), make()
    assert one.keep(KEY, "me") == "lapsed"
    assert other.claim(KEY, "you")
    assert one.keep(KEY, "me") == "lost"


def test_what_cannot_be_read_is_unknown_and_no_outage(
    make: Callable[..., RedisStore], client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = make(), make()
    one.claim(KEY, "me")
    one.save(record(), is_kept=True)
    place, *_ = one._keys(bad := Key("/shop", "rows", "bad"))
    one.save(Record(bad, State.of(), driver="you"), is_kept=False)
    client.set(place, '{"secret": 1}')
    for _ in range(2):
        assert other.load(bad) is None
        assert rooms_of(other) == ["sid"]
        assert not other.claim(KEY, "you"), "drivers are still told of each other"
    [message] = [record.getMessage() for record in caplog.records]
    assert place in message
    assert "secret" not in message


def test_an_orphan_is_found_by_one(make: Callable[..., RedisStore]) -> None:
    one, others = make(), [make(), make()]
    one.save(record(has_job=True), is_kept=False)
    found = [other.load(KEY) for other in others]
    assert [each is not None and each[0].state.status for each in found] == ["failed", "failed"]
    assert [each is not None and each[1] for each in found] == [True, False]


def test_bars_of_a_name_are_found_in_all_rooms(make: Callable[..., RedisStore]) -> None:
    one = make()
    for room in ("a", "b", None):
        one.save(Record(Key("/shop", "rows", room), State.of(), driver="me"), is_kept=False)
    assert rooms_of(make()) == ["b", "a"]
    assert rooms_of(make(), "other") == []


def rooms_of(store: RedisStore, name: str = "rows") -> list[str | None]:
    """Give the rooms in which bars of a name are found, in their order."""
    return [record.room for record, _ in store.in_rooms("/shop", name)]


def test_a_bar_is_found_among_many_and_those_first_that_moved_last(make: Callable[..., RedisStore]) -> None:
    one = make()
    for number in range(250):
        one.save(Record(Key("/shop", "rows", f"user {number}"), State.of(), driver="me"), is_kept=False)
        time.sleep(0.001)  # the order is that of milliseconds
    assert rooms_of(make()) == [f"user {number}" for number in reversed(range(250))]


def test_rooms_are_forgotten_with_their_bars(make: Callable[..., RedisStore], client: redis.Redis, tag: str) -> None:
    """Each reload has a new sid, and so a room: they must not become more for ever."""
    brief = make(expiry=0.2)
    for number in range(30):
        brief.save(Record(Key("/shop", "rows", f"sid {number}"), State.of(), driver="me"), is_kept=False)
    time.sleep(0.25)
    make(expiry=100).save(Record(Key("/shop", "rows", "last"), State.of(), driver="me"), is_kept=False)
    [place] = client.keys(f"{tag}:bar:places:*")
    assert client.zrange(place, 0, -1) == ['"last"']
    brief.save(Record(Key("/shop", "rows", "brief"), State.of(), driver="me"), is_kept=False)
    assert client.pttl(place) > 90_000, "it lasts as long as the last of them"


def test_a_silent_job_is_found_by_its_name_as_long_as_it_lives(
    make: Callable[..., RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "CLAIM_SECONDS", 0.3)
    one = make(expiry=0.1)
    one.claim(KEY, "me")
    one.save(record(has_job=True), is_kept=True)
    for _ in range(8):
        time.sleep(0.1)
        assert one.keep(KEY, "me") == "driven"
    assert rooms_of(make()) == ["sid"]


FORK_WITHIN_A_JOB = """
import os, sys, django
from django.conf import settings
settings.configure(DTWS_SIO={"MESSAGE_QUEUE": sys.argv[1], "MESSAGE_CHANNEL": sys.argv[2]}, INSTALLED_APPS=["dtws_sio"])
django.setup()
import time
from dtws_sio.progress import bar
from dtws_sio.progress.display import POLL_SECONDS
job = bar("before", namespace="/shop", max=10)
job.__enter__()
child = os.fork()
if child == 0:
    with bar("after", namespace="/shop", max=10) as mine:
        for _ in range(4):
            mine.tick()
            time.sleep(POLL_SECONDS / 2)
    os._exit(0)
job.__exit__(None, None, None)
os.waitpid(child, 0)
with bar("before", namespace="/shop", max=10) as again:
    again.tick()
"""


def test_a_forked_process_leaves_its_parents_bars_to_the_parent(
    queue: Mapping[str, Any], tag: str, client: redis.Redis
) -> None:
    """It had kept them busy as long as it lived."""
    command = [sys.executable, "-W", "ignore", "-c", FORK_WITHIN_A_JOB, queue["MESSAGE_QUEUE"], tag]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    assert client.keys(f"{tag}:bar:driver:*") == []


FORK = """
import os, sys, django
from django.conf import settings
settings.configure(DTWS_SIO={"MESSAGE_QUEUE": sys.argv[1], "MESSAGE_CHANNEL": sys.argv[2]}, INSTALLED_APPS=["dtws_sio"])
django.setup()
import time
from dtws_sio.progress import bar
first = bar("before", namespace="/shop")
first.tick()
child = os.fork()
if child == 0:
    task = bar("after", namespace="/shop", max=10)
    with task:
        task.tick(); task.tick()
        end = time.monotonic() + 5
        while task._course.display.shown.current != 2 and time.monotonic() < end:
            time.sleep(0.01)
        os._exit(0 if task._course.display.shown.current == 2 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_bars_are_looked_after_in_a_forked_process_too(queue: Mapping[str, Any], tag: str) -> None:
    """As Celery's workers are."""
    command = [sys.executable, "-W", "ignore", "-c", FORK, queue["MESSAGE_QUEUE"], tag]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
