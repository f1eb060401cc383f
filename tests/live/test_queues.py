"""
Queues of every kind under a real server: who runs what where, and what reaches the page.

Celery has a real Redis and a real worker. Rows S-05, S-10, S-12, S-13, F-14, W-F7, W-F9 and W-F12.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.live import sites, wire
from tests.live.servers import Server, eventually, serve
from tests.live.services import redis_server
from tests.live.sites import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.live

QUEUES: Final[dict[str, Any]] = {
    "bounded": {"BACKEND": "pool", "SIZE": 2, "MOST_WAITING": 3},
    "threads": {"BACKEND": "threads", "SIZE": 3},
    "processes": {"BACKEND": "processes", "SIZE": 2},
    "celery": "celery",
    "tasks": "pool",
}
LOCAL: Final = ("default", "bounded", "threads", "processes")
APPS: Final = [
    "dtws_sio",
    "django.contrib.staticfiles",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "playground",
    "queued",
]
GERMAN: Final = {"header": ["Accept-Language: de", "Cookie: django_timezone=Europe/Vienna"]}


def settings_for(url: str) -> dict[str, Any]:
    return {
        "INSTALLED_APPS": APPS,
        "DTWS_SIO": {"MESSAGE_QUEUE": url, "QUEUES": QUEUES},
        "CELERY_BROKER_URL": url,
        "LOGGING": {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"console": {"class": "logging.StreamHandler"}},
            "root": {"handlers": ["console"], "level": "INFO"},
        },
    }


@pytest.fixture(scope="module")
def settings() -> Iterator[Mapping[str, Any]]:
    """Run Redis, and give the settings of those who use it."""
    with redis_server() as url:
        yield settings_for(url)


@pytest.fixture(scope="module", params=list(sites.KINDS))
def site(request: pytest.FixtureRequest, settings: Mapping[str, Any]) -> Iterator[Server]:
    with sites.running(request.param, settings=settings) as server:
        yield server


class Page:
    """A page that has joined `/signals`."""

    def __init__(self, socket: wire.Socket) -> None:
        self.socket = socket
        self.numbers = iter(range(1000))
        self.reports: list[dict[str, Any]] = []
        self._answers: dict[int, dict[str, Any]] = {}
        socket.join("/signals")

    def send(self, name: str, /, **opts: Any) -> int:
        """Trigger a signal on the server, and give the number of its acknowledgement."""
        number = next(self.numbers)
        self.socket.send(f"42/signals,{number}{json.dumps(['signal', {'signal': name, 'opts': opts}])}")
        return number

    def answer(self, number: int) -> dict[str, Any]:
        """Wait for an acknowledgement; what else comes meanwhile is kept."""
        while number not in self._answers:
            self.take()
        return self._answers.pop(number)

    def ask(self, name: str, /, **opts: Any) -> Any:
        """Trigger a signal to which one function is connected, and give what that returned."""
        answer = self.answer(self.send(name, **opts))
        assert answer["ok"], answer
        return answer["results"][0]

    def code(self, name: str, /, **opts: Any) -> str:
        """Trigger a signal that fails, and give the code of the error."""
        answer = self.answer(self.send(name, **opts))
        assert not answer["ok"]
        assert "secret" not in json.dumps(answer)
        return str(answer["errors"][0]["code"])

    def report(self) -> dict[str, Any]:
        """Wait for the next signal to the window."""
        while not self.reports:
            self.take()
        return self.reports.pop(0)

    def take(self) -> None:
        """Wait for the next thing that comes, and keep it."""
        kind, _, rest = self.socket.receive().partition("/signals,")
        number, bracket, payload = rest.partition("[")
        values = json.loads(bracket + payload)
        if kind == "43":
            self._answers[int(number)] = values[0]
        else:
            assert (kind, values[0], values[1]["signal"]) == ("42", "signal", "reported")
            self.reports.append(values[1]["opts"])


@contextmanager
def page(site: Server, **options: Any) -> Iterator[Page]:
    with wire.connected(site, **options) as socket:
        yield Page(socket)


def hub(site: Server) -> dict[str, Any]:
    with wire.connected(site) as socket:
        socket.join("/")
        found: dict[str, Any] = socket.ask("where_is_the_hub")[0]
        return found


# ---- where


def test_each_kind_of_queue_runs_where_it_should(site: Server) -> None:
    """Row S-13: greenlets and threads of this process, and other processes, which are not patched."""
    here = hub(site)
    with page(site) as it:
        found = {kind: it.ask(f"{kind}.where") for kind in LOCAL}
    for kind in ("default", "bounded"):
        assert (found[kind]["pid"], found[kind]["thread"]) == (here["pid"], here["thread"])
    assert found["threads"]["pid"] == here["pid"]
    assert found["threads"]["thread"] != here["thread"]
    assert found["processes"]["pid"] != here["pid"]
    assert [found[kind]["runtime"] for kind in LOCAL] == ["eventlet"] * 3 + ["threading"]


@pytest.mark.parametrize("kind", LOCAL)
def test_language_and_time_zone_are_those_of_the_window_and_gone_afterwards(site: Server, kind: str) -> None:
    """Rows S-43 and W-F12: each call sets others, in the same thread or process."""
    with page(site, **GERMAN) as german, page(site) as other:
        for _ in range(4):
            found = german.ask(f"{kind}.where")
            assert (found["language"], found["zone"]) == ("de", "Europe/Vienna")
            found = other.ask(f"{kind}.where")
            assert (found["language"], found["zone"]) == ("en-us", "America/Chicago")


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("value", [None, {"a": [1, "é😀"]}, "x" * 300_000, 2**53])
def test_values_travel_there_and_back(site: Server, kind: str, value: Any) -> None:
    with page(site) as it:
        assert it.ask(f"{kind}.echo", value=value) == value


@pytest.mark.parametrize("kind", LOCAL)
def test_a_failure_is_logged_once_and_the_page_learns_no_more_than_that(site: Server, kind: str) -> None:
    before = site.log().count("OnPurposeError: a secret")
    with page(site) as it:
        assert it.code(f"{kind}.fail") == "handler_failed"
        assert it.code(f"{kind}.refuse") == "closed"
    eventually(lambda: site.log().count("OnPurposeError: a secret") == before + 1, "the log of the failure")


# ---- threads


def test_what_blocks_a_thread_does_not_stop_the_hub(site: Server) -> None:
    with page(site) as busy, page(site) as other:
        numbers = [busy.send("threads.sleep", seconds=1) for _ in range(3)]
        started = time.monotonic()
        for _ in range(20):
            other.ask("default.echo", value=1)
        assert time.monotonic() - started < 0.8
        for number in numbers:
            assert busy.answer(number)["ok"]
        assert time.monotonic() - started < 2.5, "three at once"


def test_waiting_in_a_thread_works_as_elsewhere(site: Server) -> None:
    """`time.sleep` is patched in the process; in a thread it needs a hub of that thread."""
    with page(site) as it:
        started = time.monotonic()
        numbers = [it.send("threads.wait", seconds=0.3) for _ in range(3)]
        assert all(it.answer(number)["ok"] for number in numbers)
        assert time.monotonic() - started < 0.85


def test_emits_and_logs_of_many_threads_all_arrive_in_order(site: Server) -> None:
    """Results, emits and log lines at once from threads and the hub; nothing is lost, nothing hangs."""
    with page(site) as it:
        numbers = [it.send(f"{kind}.report", times=100) for kind in ("threads", "bounded") * 2]
        assert all(it.answer(number)["ok"] for number in numbers)
        reports = it.reports
        while len(reports) < 400:
            it.take()
        for kind in ("threads", "bounded"):
            assert sorted(report["number"] for report in reports if report["kind"] == kind) == [
                number for number in range(100) for _ in range(2)
            ]


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("other", ["bounded", "threads"])
def test_a_queued_function_can_queue_another(site: Server, kind: str, other: str) -> None:
    with page(site) as it:
        it.ask(f"{kind}.relay", other=other)
        assert it.report()["kind"] == other


# ---- bounds


def test_a_full_queue_tells_the_page_that_it_is_busy(site: Server) -> None:
    """Row W-F7: two run, three wait, the others are refused at once."""
    with page(site) as it, page(site) as other:
        numbers = [it.send("bounded.wait", seconds=0.5) for _ in range(9)]
        assert other.ask("default.echo", value=1) == 1
        answers = [it.answer(number) for number in reversed(numbers[5:])]
        assert [answer["errors"][0]["code"] for answer in answers] == ["busy"] * 4
        started = time.monotonic()
        assert all(it.answer(number)["ok"] for number in numbers[:5])
        assert time.monotonic() - started > 0.5
        assert it.ask("bounded.echo", value=2) == 2


# ---- processes


def test_processes_are_kept_and_compute_beside_the_hub(site: Server) -> None:
    with page(site) as busy, page(site) as other:
        before = {busy.ask("processes.where")["pid"] for _ in range(3)}
        assert len(before) == 1, "one is enough for calls one after the other"
        numbers = [busy.send("processes.compute", rounds=20_000_000) for _ in range(2)]
        started = time.monotonic()
        for _ in range(10):
            other.ask("default.echo", value=1)
        assert time.monotonic() - started < 0.8
        assert [busy.answer(number)["ok"] for number in numbers] == [True, True]


def test_a_process_that_dies_is_replaced(site: Server) -> None:
    with page(site) as it:
        before = it.ask("processes.where")["pid"]
        assert it.code("processes.die") == "handler_failed"
        assert re.search(r"with the status 3, before the call 'processes\.die' \(\S+\) did", site.log())
        after = it.ask("processes.where")["pid"]
        os.kill(after, signal.SIGKILL)  # one that has nothing to do
        eventually(lambda: not is_running(after), "the end of the process")
        assert it.ask("processes.where")["pid"] not in (before, after)


def test_what_a_process_emits_reaches_the_page(site: Server) -> None:
    with page(site) as it:
        pid = it.ask("processes.where")["pid"]
        it.ask("processes.report")
        assert it.report()["pid"] in (pid, it.ask("processes.where")["pid"])


def test_what_cannot_leave_a_process_is_a_failure_there(site: Server) -> None:
    with page(site) as it:
        assert it.code("processes.unsendable") == "handler_failed"
        assert re.search(
            r"what the call 'processes\.unsendable' \(\S+\) returned or raised cannot leave its process", site.log()
        )


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as status:  # noqa: PTH123
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("kind", sites.KINDS)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_no_process_outlives_the_server(kind: str, how: signal.Signals, settings: Mapping[str, Any]) -> None:
    with sites.running(kind, settings=settings) as server:
        with page(server) as it:
            worker = it.ask("processes.where")["pid"]
            serving = hub(server)["pid"]
        os.kill(serving if how is signal.SIGKILL else server.process.pid, how)
        eventually(lambda: not is_running(worker), "the end of the worker process")


# ---- time


@pytest.mark.parametrize("kind", LOCAL)
def test_delayed_calls_run_when_they_are_due(site: Server, kind: str) -> None:
    """Rows S-10 and W-F9: without Celery."""
    with page(site) as it:
        if kind == "processes":
            it.ask("processes.where")
        started = time.monotonic()
        it.ask("later", name=f"{kind}.report", countdown=0.4)
        assert time.monotonic() - started < 0.35, "nobody waits for it"
        assert it.report()["kind"] == kind
        assert 0.35 < time.monotonic() - started < 3


def test_delayed_signals_reach_the_page(site: Server) -> None:
    """Row W-F9: the peer's never do."""
    with page(site) as it:
        started = time.monotonic()
        it.ask("later.page", countdown=0.4)
        assert it.report() == {"kind": "page"}
        assert 0.35 < time.monotonic() - started < 3


# ---- the end


@pytest.mark.parametrize("kind", sites.KINDS)
def test_the_end_of_the_server_waits_for_what_runs_and_names_what_is_lost(
    kind: str, settings: Mapping[str, Any]
) -> None:
    with sites.running(kind, settings=settings) as server:
        with page(server) as it:
            it.ask("later", name="default.report", countdown=60)
            it.send("threads.report", times=1)
            it.send("bounded.finish", seconds=1)
            server.wait_for_log("begun")
            os.kill(server.process.pid, {"gunicorn": signal.SIGTERM, "runsocketio": signal.SIGINT}[kind])
            server.wait_for_exit()
        assert "finished after 1 s" in server.log()
        assert "1 delayed calls are lost, as this process ends before their time" in server.log()


@pytest.mark.parametrize("kind", ["default", "threads", "processes"])
def test_a_command_ends_when_its_calls_have(kind: str, settings: Mapping[str, Any]) -> None:
    """It is not patched, and its queues are threads, which would else end with it."""
    code = f"from dtws_sio.signals import trigger, SERVER; trigger(None, '{kind}.finish', to=SERVER, seconds=0.5)"
    done = sites.run(*sites.manage("shell", "-v0", "-c", code), settings=settings)
    assert done.returncode == 0, done.stdout
    assert "finished after 0.5 s" in done.stdout


# ---- Celery


@contextmanager
def worker(settings: Mapping[str, Any], *options: str) -> Iterator[Server]:
    """Run a worker of the queues."""
    argv = sites.manage("signalworker", *options)
    with serve(argv, cwd=PROJECT, env=sites.environment(settings)) as running:
        running.wait_for_log("celery@", seconds=30)
        eventually(lambda: " ready." in running.log(), "the worker", seconds=30)
        yield running


def test_celery_runs_a_call_and_reports_to_its_window_only(settings: Mapping[str, Any]) -> None:
    """Rows S-12, S-13 and F-14: with a real worker; the page learns that it is queued, and what comes of it."""
    with sites.running("gunicorn", settings=settings) as site, worker(settings) as celery:
        serving = hub(site)["pid"]
        with page(site, **GERMAN) as it, page(site) as stranger:
            queued = it.ask("celery.report")
            assert list(queued) == ["queued"]
            report = it.report()
            assert report["kind"] == "celery"
            assert report["pid"] not in (serving, 0)
            celery.wait_for_log(f"dtws_sio.call[{queued['queued']}] succeeded")
            assert stranger.ask("default.echo", value=1) == 1
            assert stranger.reports == []

            before = time.monotonic()
            it.ask("later", name="celery.report", countdown=0.6)
            assert it.report()["kind"] == "celery"
            assert time.monotonic() - before > 0.5

            it.ask("celery.fail")
            celery.wait_for_log("OnPurposeError")
            it.ask("celery.relay", other="celery")
            assert it.report()["kind"] == "celery"


def test_what_expires_before_a_worker_comes_is_not_run(settings: Mapping[str, Any]) -> None:
    with sites.running("gunicorn", settings=settings) as site, page(site) as it:
        it.ask("later", name="celery.fail", countdown=0, expires=0.2)
        expired = time.time() + 0.2
        it.ask("celery.report")
        eventually(lambda: time.time() > expired, "the end of its time")
        with worker(settings) as celery:
            assert it.report()["kind"] == "celery"
            assert "OnPurposeError" not in celery.log()


def test_a_broker_that_is_down_is_told(settings: Mapping[str, Any]) -> None:
    broken = {**settings, "CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}
    with sites.running("gunicorn", settings=broken) as site, page(site) as it:
        assert it.code("celery.report") == "handler_failed"
        site.wait_for_log("Celery's broker cannot be reached")
        assert it.ask("default.echo", value=1) == 1
