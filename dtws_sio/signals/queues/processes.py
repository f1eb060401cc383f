"""
Calls in processes of their own, which import the project afresh.

Each worker process is a new interpreter, not a fork: a forked process would inherit a patched standard library, a hub
in the middle of its work, and open connections. It reads calls from a socket pair and writes what became of them; when
the socket is closed, also because this process was killed, it ends. The other side is `dtws_sio.signals.queues.worker`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from django.conf import ENVIRONMENT_VARIABLE
from django.conf import settings as django_settings

from dtws_sio import runtime
from dtws_sio.conf import ConfigurationError
from dtws_sio.dispatch import HandlerFailedError
from dtws_sio.exceptions import EventError, WorkerDiedError
from dtws_sio.launch import interpreter_options
from dtws_sio.signals.calls import loads

if TYPE_CHECKING:
    from dtws_sio.signals.calls import Call

MARK: Final = "DTWS_SIO_WORKER"
"""Environment variable that is set in worker processes."""

HEAD: Final = 4
"""Bytes, before each message, that tell its length; big-endian."""

START: Final = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = {path!r}
import django
django.setup()
from dtws_sio.signals.queues.worker import main
main({descriptor})
"""
"""What a worker process runs. Ctrl-C also reaches this process, which will close the socket."""

END_SECONDS: Final = 5.0
"""How long a worker process may take to end before it is killed."""


def is_worker() -> bool:
    """Tell whether this is a worker process, in which the backend "processes" starts no more of them."""
    return MARK in os.environ


def send(sock: socket.socket, text: str) -> None:
    """Write a message."""
    message = text.encode("utf-8", "surrogatepass")
    sock.sendall(len(message).to_bytes(HEAD, "big") + message)


def receive(sock: socket.socket) -> str:
    """
    Read a message.

    Raises:
        EOFError: If the other end is gone.
    """
    return _exactly(sock, int.from_bytes(_exactly(sock, HEAD), "big")).decode("utf-8", "surrogatepass")


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = sock.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other process is gone")
        parts += part
    return bytes(parts)


class Worker:
    """
    One worker process.

    Raises:
        ConfigurationError: If the project has no settings module that it could import.
    """

    def __init__(self) -> None:
        module = os.environ.get(ENVIRONMENT_VARIABLE) or getattr(django_settings, "SETTINGS_MODULE", None)
        if module is None:
            raise ConfigurationError(
                "a queue of processes needs a settings module that those can import; name it in the environment "
                f"variable {ENVIRONMENT_VARIABLE} instead of calling settings.configure()"
            )
        self._sock, other = socket.socketpair()
        with other:
            code = START.format(path=[path or str(Path.cwd()) for path in sys.path], descriptor=other.fileno())
            self._process = subprocess.Popen(
                [sys.executable, *interpreter_options(), "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                env={**os.environ, ENVIRONMENT_VARIABLE: module, MARK: "1"},
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process.poll() is None

    def ask(self, call: Call) -> Any:
        """
        Have a call run there, and give what it returned.

        Raises:
            EventError, HandlerFailedError: As `execute` does there.
            WorkerDiedError: If the process ends before it has answered.
        """
        try:
            send(self._sock, call.to_json())
            kind, value = loads(receive(self._sock))
        except (EOFError, OSError) as error:
            self.end(0)
            raise WorkerDiedError(
                f"the worker process {self.pid} ended, with the status {self._process.returncode}, before the call "
                f"{call} did"
            ) from error
        if kind == "value":
            return value
        if kind == "answer":
            raise _answer(value)
        raise HandlerFailedError(value)

    def close(self) -> None:
        """Tell the process to end after what it does."""
        self._sock.close()

    def end(self, seconds: float) -> None:
        """Have the process end, by force if it takes longer than so many seconds."""
        self.close()
        deadline = time.monotonic() + seconds
        while self.is_alive() and time.monotonic() < deadline:
            runtime.sleep(0.005)
        if self.is_alive():
            with suppress(ProcessLookupError):
                self._process.kill()
        self._process.wait()


def _answer(value: dict[str, Any]) -> EventError:
    """Give the error that a function raised as an answer, although its class may be unknown here."""
    details = {key: value[key] for key in value if key not in ("code", "message")}
    return EventError(value["message"], code=value["code"], details=details)


class Processes:
    """The worker processes of one queue; as many as calls were run at once, which a pool in front of it bounds."""

    def __init__(self) -> None:
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._is_stopped = False

    def run(self, call: Call) -> Any:
        """
        Run a call in a process that has nothing to do, or in a new one.

        Raises:
            EventError, HandlerFailedError, WorkerDiedError: As `Worker.ask` does.
        """
        worker = self._take()
        self._busy.add(worker)
        try:
            return worker.ask(call)
        finally:
            self._busy.discard(worker)
            self._give_back(worker)

    def _take(self) -> Worker:
        """Give an idle worker; one that was killed meanwhile is none."""
        while self._idle:
            with suppress(IndexError):  # another thread took the last one
                worker = self._idle.pop()
                if worker.is_alive():
                    return worker
                worker.end(0)
        return Worker()

    def _give_back(self, worker: Worker) -> None:
        if not worker.is_alive():
            return
        if self._is_stopped:
            worker.end(END_SECONDS)
        else:
            self._idle.append(worker)

    def stop(self) -> None:
        """End all processes, those that still run a call by force."""
        self._is_stopped = True
        for worker in self._idle:
            worker.close()
        for worker in self._idle:
            worker.end(END_SECONDS)
        self._idle.clear()
        for worker in list(self._busy):
            worker.end(0)
