"""The server that is attacked, the crowd that must not notice, and the process in which the attackers live."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tests.live.servers import ROOT, Server, eventually, free_port, serve
from tests.live.sites import gunicorn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PROJECT: Final = Path(__file__).parent / "project"

SLOWEST: Final = 0.25
"""Seconds: the 99th percentile of what the crowd waits for an answer."""

MOST_MEMORY: Final = 60_000_000
"""Bytes by which the server may grow while it is attacked. The crowd's own connections are in what it had before."""

NICENESS: Final = 15
"""Of the attackers: on a machine with few cores it must not be their own work that delays the crowd."""

SETTLE_SECONDS: Final = 10.0
"""How long the server may take to forget the attackers: a dead client lives for 2 s, a close for 5 s."""

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """The server that is attacked."""

    server: Server
    worker: int

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    def log(self) -> str:
        """Give what it has printed so far."""
        return self.server.log()

    def held(self) -> dict[str, int]:
        """Count what it holds for clients."""
        with urllib.request.urlopen(f"{self.server.url}/held/", timeout=SETTLE_SECONDS) as answer:
            counts: dict[str, int] = json.load(answer)
        return {**counts, "descriptors": len(os.listdir(f"/proc/{self.worker}/fd"))}  # noqa: PTH208

    def memory(self, field: str = "VmRSS") -> int:
        """Give its memory in bytes: VmRSS now, VmHWM at most since `forget_peak`."""
        lines = Path(f"/proc/{self.worker}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

    def forget_peak(self) -> None:
        """Let the highest memory be counted anew, where the system lets us; see proc(5), clear_refs."""
        with suppress(OSError):
            Path(f"/proc/{self.worker}/clear_refs").write_text("5")


@contextmanager
def attacked(keys: Mapping[str, Any] | None = None) -> Iterator[Target]:
    """Serve the project with gunicorn while the block runs; `keys` replace some of DTWS_SIO."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="dtws_sio-attack-") as folder:
        variables = {
            "ATTACK_DATABASE": str(Path(folder, "db.sqlite3")),
            "ATTACK_SETTINGS": json.dumps(keys or {}),
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT)}
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=PROJECT, env=environment, check=True, timeout=60)
        url = f"http://127.0.0.1:{port}/held/"
        with serve(gunicorn(port), cwd=PROJECT, ready_url=url, env=variables) as server:
            pid = server.process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            yield Target(server, int(children[0]))


@dataclass(frozen=True)
class Report:
    """How the crowd fared; times are in seconds."""

    answered: int
    lost: int
    disorders: int
    disconnects: int
    median: float
    p99: float
    slowest: float

    def check(self) -> None:
        """
        See that the crowd noticed nothing.

        Raises:
            AssertionError: If it did.
        """
        assert (self.lost, self.disorders, self.disconnects) == (0, 0, 0), self
        assert self.p99 < SLOWEST, self


class Crowd:
    """The well-behaved clients, seen from outside of their process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _ask(self, line: str) -> dict[str, Any]:
        commands, answers = self._process.stdin, self._process.stdout
        assert commands is not None
        assert answers is not None
        commands.write(f"{line}\n")
        commands.flush()
        answer = answers.readline()
        assert answer, f"the crowd has ended with exit status {self._process.wait()}"
        told: dict[str, Any] = json.loads(answer)
        return told

    def begin(self) -> None:
        """Look from now on."""
        self._ask("begin")

    def report(self) -> Report:
        """Tell how it was since `begin`."""
        return Report(**self._ask("report"))


@contextmanager
def well_behaved(port: int) -> Iterator[Crowd]:
    """Connect the crowd while the block runs."""
    command = [sys.executable, "-m", "tests.attack.crowd", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            crowd = Crowd(process)
            crowd.begin()  # answered once all are connected
            yield crowd
        finally:
            process.kill()


class Attackers:
    """A process of low priority that runs functions of `tests.attack.attackers`."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def run(self, function: Callable[..., T], *arguments: Any, seconds: float = 60.0, **options: Any) -> T:
        """Call a function there, and give or raise what it does."""
        return self._executor.submit(function, *arguments, **options).result(seconds)


@contextmanager
def attackers() -> Iterator[Attackers]:
    """Have a process for attackers while the block runs."""
    with ProcessPoolExecutor(1, get_context("spawn"), os.nice, (NICENESS,)) as executor:
        yield Attackers(executor)


@contextmanager
def unharmed(target: Target, crowd: Crowd, before: Mapping[str, int]) -> Iterator[None]:
    """
    See that what happens in the block harms neither the crowd nor the server.

    Args:
        target: The server.
        crowd: Those who must not notice.
        before: What the server held when only the crowd was there.

    Raises:
        AssertionError: If somebody of the crowd noticed, or the server holds more afterwards, has grown beyond
            `MOST_MEMORY`, or has printed a traceback.
    """
    printed, resident = len(target.log()), target.memory()
    target.forget_peak()
    crowd.begin()
    yield
    report, peak = crowd.report(), target.memory("VmHWM")
    log = target.log()[printed:]
    print(report, f"memory {resident:,} -> {peak:,}", log, sep="\n")  # noqa: T201  pytest shows it
    report.check()
    assert "Traceback" not in log, log
    assert peak - resident < MOST_MEMORY
    eventually(lambda: not _more(target.held(), before), "the attackers to be forgotten", seconds=SETTLE_SECONDS)


def _more(held: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in held.items() if count > before[name]}
