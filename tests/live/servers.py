"""Start a real server in a process of its own, wait until it answers, and stop it with everything it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
"""The checkout; servers import the package from here."""

START_SECONDS = 30.0
"""How long a server may take until it answers. It takes one; a loaded CI machine takes many more."""

T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """A running server. Everything that it and its children print is in one file."""

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """Give what the server has printed so far."""
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, text: str, *, seconds: float = 10) -> str:
        """Wait until the server has printed a text, and give the whole log."""
        eventually(lambda: text in self.log(), f"{text!r} in the log", seconds=seconds)
        return self.log()

    def wait_for_exit(self, *, seconds: float = 10) -> int:
        """Wait until the server has ended, and give its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server still runs after {seconds:g} s") from None


@contextmanager
def serve(
    argv: Sequence[str | Path],
    *,
    ready_url: str | None = None,
    ready_port: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    **options: Any,
) -> Iterator[Server]:
    """
    Run a server while the block runs; if the block fails, its log is shown.

    Args:
        argv: The command; `sys.executable` stands first in most.
        ready_url: The server is ready when this URL gives any HTTP answer at all.
        ready_port: The server is ready when it accepts connections on this port; with neither, at once.
        env: Variables to set besides those of this process.
        cwd: Folder to start it in.
        options: Further arguments of `subprocess.Popen`.

    Raises:
        AssertionError: If it does not become ready.
    """
    port = ready_port or (urlsplit(ready_url).port if ready_url else 0)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environ = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(env or {})}
    with tempfile.TemporaryDirectory(prefix="dtws_sio-server-") as folder:
        log_path = Path(folder, "log")
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environ,
                cwd=cwd,
                start_new_session=True,
                **options,
            )
        server = Server(process, port or 0, log_path)
        try:
            if ready_url or ready_port:
                eventually(lambda: _is_ready(server, ready_url), "an answer from the server", seconds=START_SECONDS)
            yield server
        except BaseException:
            sys.stdout.write(f"--- log of {' '.join(map(str, argv))}\n{server.log()}---\n")
            raise
        finally:
            _end(process)


def _is_ready(server: Server, url: str | None) -> bool:
    assert server.process.poll() is None, f"the server ended with exit status {server.process.returncode}"
    try:
        if url is None:
            socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
        else:
            urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as answer:
        answer.close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group, which outlives its leader where a test killed that one."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def eventually(condition: Callable[[], T], what: str, *, seconds: float = 10) -> T:
    """Wait until a condition gives something true, and give that; fail with `what` was waited for otherwise."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.02)
    return result


def free_port() -> int:
    """Find a port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
