"""Start the servers to measure, each in a process of its own on core 0, and look at what it uses."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HERE: Final = Path(__file__).resolve().parent

NODE: Final = HERE / "node"

GUNICORN: Final = (
    *(sys.executable, "-m", "gunicorn", "-k", "dtws_sio.gunicorn.EventletWorker", "--no-control-socket"),
    *("--worker-connections", "20000", "--log-level", "warning", "project.wsgi"),
)
"""This project's server; `-b` is still to be added."""

SERVERS: Final[dict[str, tuple[str, ...]]] = {
    "dtws_sio": (*GUNICORN, "-b", "127.0.0.1:{port}"),
    "node": ("node", str(NODE / "server.js"), "{port}"),
    "stock": (sys.executable, str(HERE / "stock.py"), "{port}"),
}
"""How each server is started."""

SERVER_CORE: Final = "0"
LOAD_CORE: Final = "1"
"""Where servers run, and what asks them; of a machine with one core both share it."""

START_SECONDS: Final = 30.0
"""How long a server may take until it accepts connections."""


@dataclass(frozen=True)
class Served:
    """A running server; what it prints is in `log`."""

    port: int
    process: subprocess.Popen[bytes]
    log: IO[str]

    @property
    def pids(self) -> list[int]:
        """The processes of the server: it leads a group of its own."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == self.process.pid:
                found.append(int(stat.parent.name))
        return sorted(found)

    @property
    def resident(self) -> int:
        """Bytes of memory that its processes occupy."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def printed(self) -> str:
        """Give what it has printed so far."""
        self.log.seek(0)
        return self.log.read()


def pinned(core: str, command: list[str]) -> list[str]:
    """Keep a command on one core, where there are two."""
    return ["taskset", "-c", core, *command] if (os.cpu_count() or 1) > 1 else command


@contextmanager
def served(command: tuple[str, ...], *, settings: Mapping[str, Any] | None = None) -> Iterator[Served]:
    """
    Run a fresh server while the block runs.

    Args:
        command: One of SERVERS; "{port}" in it is replaced by a free port.
        settings: DTWS_SIO for this project's server.

    Raises:
        SystemExit: If it does not accept connections; what it printed is shown.
    """
    port = free_port()
    environ = {**os.environ, "DTWS_SIO": json.dumps(settings or {}), "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            pinned(SERVER_CORE, [part.format(port=port) for part in command]),
            cwd=HERE,
            env=environ,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        server = Served(port, process, log)
        try:
            wait_for(server)
            yield server
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(server: Served) -> None:
    """Wait until the server accepts connections, and everything that it does at its start is done."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=START_SECONDS) as probe:
                probe.sendall(b"GET /socket.io/ HTTP/1.0\r\n\r\n")
                if probe.recv(1):
                    return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"the server on port {server.port} did not start:\n{server.printed()}")


def free_port() -> int:
    """Find a port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def raise_file_limit() -> None:
    """Allow as many open files as the system lets us, for this process and those that it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(most, 65536)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
