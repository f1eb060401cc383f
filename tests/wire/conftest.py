"""
The servers, each started once when the first test asks for it, and clients that are closed at the end of their test.

The variable WIRE_PEERS holds another server to the same rules: a JSON object of ports, `settings`, `hasty`,
`compressed` and `echo`, where it serves what `project/` does with those settings. Nothing is started then.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.live.servers import free_port, serve

from .clients import AT_ONCE, Polling, WebSocket, open_websocket, probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .clients import SocketIO

PROJECT: Final = Path(__file__).parent / "project"

PURPOSE: Final = "wired.sockets.OnPurposeError: "

PEERS: Final[dict[str, int]] = json.loads(os.environ.get("WIRE_PEERS", "{}"))

TRANSPORTS: Final = ("polling", "websocket", "upgraded")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as one that drives real servers."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("live")


@dataclass(frozen=True)
class Site:
    """A server that runs; `log` gives what it has printed."""

    port: int
    log: Callable[[], str]


def _development(port: int) -> list[str]:
    return [sys.executable, "manage.py", "runsocketio", f"127.0.0.1:{port}", "--noreload"]


def _gunicorn(port: int, application: str = "wsgi:application") -> list[str]:
    from gunicorn.config import KNOWN_SETTINGS

    quiet = ["--no-control-socket"] if any(each.name == "control_socket_disable" for each in KNOWN_SETTINGS) else []
    worker = ["-k", "dtws_sio.gunicorn.EventletWorker", "-b", f"127.0.0.1:{port}"]
    return [sys.executable, "-m", "gunicorn", *worker, *quiet, application]


COMMANDS: Final[dict[tuple[str, str], Callable[[int], list[str]]]] = {
    ("runsocketio", "project"): _development,
    ("gunicorn", "project"): _gunicorn,
    ("runsocketio", "echo"): lambda port: [sys.executable, "echo.py", str(port)],
    ("gunicorn", "echo"): lambda port: _gunicorn(port, "echo:application"),
}
"""How each server is started; the echo server that stands alone runs under `eventlet.wsgi` where the project does."""


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[[str, str], Site]]:
    """Give the server of a kind that runs with some settings, or the echo server."""
    running: dict[tuple[str, str], Site] = {}
    with ExitStack() as stack:

        def start(kind: str, settings: str) -> Site:
            if kind == "peer":
                if settings not in PEERS:
                    pytest.skip(f"the peer does not serve {settings}")
                return Site(PEERS[settings], str)
            if (kind, settings) not in running:
                port = free_port()
                argv = COMMANDS[kind, "echo" if settings == "echo" else "project"](port)
                variables = {"DJANGO_SETTINGS_MODULE": settings, "PYTHONDONTWRITEBYTECODE": "1"}
                url = f"http://127.0.0.1:{port}/"
                server = stack.enter_context(serve(argv, cwd=PROJECT, ready_url=url, env=variables))
                running[kind, settings] = Site(port, server.log)
            return running[kind, settings]

        yield start


@pytest.fixture(params=["peer"] if PEERS else ["runsocketio", "gunicorn"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which server runs the project."""
    return str(request.param)


def _watched(site: Site) -> Iterator[Site]:
    """Show what the server printed meanwhile; a traceback that no handler raised on purpose fails the test."""
    before = len(site.log())
    yield site
    printed = site.log()[before:]
    print(printed)  # noqa: T201  pytest shows it
    assert printed.count("Traceback (most recent call last)") == printed.count(PURPOSE), printed
    assert "socket shutdown error" not in printed, printed


@pytest.fixture
def site(kind: str, started: Callable[[str, str], Site]) -> Iterator[Site]:
    """The project, with times so long that no ping comes."""
    yield from _watched(started(kind, "settings"))


@pytest.fixture
def hasty_site(kind: str, started: Callable[[str, str], Site]) -> Iterator[Site]:
    """The project, with a ping each 0.3 s that has to be answered within 0.2 s, and 1.5 s to join a namespace."""
    yield from _watched(started(kind, "hasty"))


@pytest.fixture
def compressed_site(kind: str, started: Callable[[str, str], Site]) -> Iterator[Site]:
    """The project, which offers permessage-deflate."""
    yield from _watched(started(kind, "compressed"))


@pytest.fixture
def echo_site(kind: str, started: Callable[[str, str], Site]) -> Iterator[Site]:
    """An Engine.IO server alone, which sends every message back."""
    yield from _watched(started(kind, "echo"))


@dataclass
class Dial:
    """Opens clients and closes them at the end of the test."""

    stack: ExitStack = field(default_factory=ExitStack)

    def keep(self, client: Any) -> Any:
        """Close a client at the end."""
        self.stack.callback(client.close)
        return client

    def polling(self, site: Site, **options: Any) -> Polling:
        """Open a polling session."""
        opened: Polling = self.keep(Polling(site.port, **options))
        return opened

    def websocket(self, site: Site, **options: Any) -> WebSocket:
        """Open a session on a WebSocket."""
        opened: WebSocket = self.keep(open_websocket(site.port, **options))
        return opened

    def handshake(self, site: Site, target: str, **options: Any) -> WebSocket:
        """Send the handshake of a WebSocket, whatever comes of it."""
        opened: WebSocket = self.keep(WebSocket(site.port, target, **options))
        return opened

    def probe(self, polling: Polling) -> WebSocket:
        """Open a WebSocket for a polling session, up to the answer of the probe."""
        opened: WebSocket = self.keep(probe(polling))
        return opened

    def upgraded(self, site: Site) -> WebSocket:
        """Open a session by polling, and upgrade it."""
        opened = self.probe(Polling(site.port))
        opened.send_packet("5")
        return opened

    def client(self, transport: str, site: Site) -> SocketIO:
        """Open a session on one of TRANSPORTS."""
        opened: SocketIO = getattr(self, transport)(site)
        return opened


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Open clients."""
    opened = Dial()
    with opened.stack:
        yield opened


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """How the client of the test is connected."""
    return str(request.param)


@pytest.fixture
def tag() -> str:
    """Name what belongs to one test."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Witness:
    """A client that tells what happens to others; it does not listen to what is broadcast meanwhile."""

    client: SocketIO

    def _ask(self, *event: Any) -> Any:
        self.client.emit(*event, id=7)
        while not (answer := self.client.text()).startswith("37["):
            assert answer.startswith("2["), answer
        (value,) = json.loads(answer[2:])
        return value

    def lives(self, tag: str) -> list[str]:
        """Tell what happened to the clients of a tag."""
        return list(self._ask("lives", tag))

    def disconnects(self, tag: str) -> list[str]:
        """Tell the reasons for which clients of a tag went."""
        return [each.removeprefix("disconnect: ") for each in self.lives(tag) if each.startswith("disconnect: ")]

    def reasons(self, tag: str) -> list[str]:
        """Wait until a client of a tag was disconnected, and tell the reasons."""
        end = time.monotonic() + AT_ONCE
        while not (reasons := self.disconnects(tag)):
            assert time.monotonic() < end, f"no disconnect handler ran within {AT_ONCE:g} s"
        return reasons

    def marks(self, tag: str) -> list[str]:
        """Tell the marks that handlers left."""
        return [each.removeprefix("mark ") for each in self.lives(tag) if each.startswith("mark ")]

    def members(self, tag: str) -> int:
        """Count the clients in the room of a tag."""
        return int(self._ask("members", f"room {tag}"))

    def broadcast(self, event: str, room: str | None = None) -> None:
        """Have an event emitted, without data, to a room or to everybody, and wait until that is done."""
        self._ask("broadcast", event, room)


@pytest.fixture
def witness(site: Site, dial: Dial) -> Witness:
    """Watch the clients of `site`."""
    client = dial.websocket(site)
    client.join()
    return Witness(client)
