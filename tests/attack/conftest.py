"""
One server, one crowd and one process of attackers for all attacks; after each, everything has to be as before.

Tests of this folder say what happens to the attacker. That nobody else notices, and nothing remains, is seen to here.
"""

from __future__ import annotations

import re
import urllib.request
from contextlib import ExitStack
from http.cookies import SimpleCookie
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.live.servers import eventually
from tests.wire.clients import Polling, WebSocket, open_websocket, probe

from . import harness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .harness import Attackers, Crowd, Target


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as one that drives real servers."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("live")


SUMMARY: Final = re.compile(r" \(\d+ more in the last 60 s\)$")
"""How a line ends that only counts how often one came again that was told a minute ago."""


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    """The server."""
    with harness.attacked() as target:
        yield target


@pytest.fixture(scope="session")
def crowd(target: Target) -> Iterator[Crowd]:
    """Fifty clients who do nothing wrong."""
    with harness.well_behaved(target.port) as crowd:
        yield crowd


@pytest.fixture(scope="session")
def attackers() -> Iterator[Attackers]:
    """A process for whoever needs much of a processor."""
    with harness.attackers() as attackers:
        yield attackers


@pytest.fixture(scope="session")
def before(target: Target, crowd: Crowd) -> dict[str, int]:
    """What the server holds while only the crowd is there."""
    counts = [target.held()]

    def is_settled() -> bool:
        counts.append(target.held())
        return counts[-1] == counts[-2]

    eventually(is_settled, "the server to settle")
    return counts[-1]


@pytest.fixture(autouse=True)
def unharmed(target: Target, crowd: Crowd, before: dict[str, int]) -> Iterator[None]:
    """See that the attack harms nobody else."""
    with harness.unharmed(target, crowd, before):
        yield


@pytest.fixture
def dial(target: Target, unharmed: None) -> Iterator[Dial]:
    """Open clients, which are closed at the end of the attack."""
    with ExitStack() as stack:
        yield Dial(target.port, stack)


class Dial:
    """Opens clients."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self._port = port
        self._stack = stack

    def afterwards(self, function: Callable[..., object], *arguments: Any, **options: Any) -> None:
        """Do something at the end."""
        self._stack.callback(function, *arguments, **options)

    def keep(self, client: Any) -> Any:
        """Close a client at the end."""
        self._stack.callback(client.close)
        return client

    def websocket(self, **options: Any) -> WebSocket:
        """Open a session on a WebSocket."""
        opened: WebSocket = self.keep(open_websocket(self._port, **options))
        return opened

    def handshake(self, target: str, **options: Any) -> WebSocket:
        """Send the handshake of a WebSocket, whatever comes of it."""
        opened: WebSocket = self.keep(WebSocket(self._port, target, **options))
        return opened

    def joined(self, *namespaces: str, auth: Any = None, **options: Any) -> WebSocket:
        """Open a session on a WebSocket and join namespaces, "/" if none is named."""
        opened = self.websocket(**options)
        for namespace in namespaces or ("/",):
            opened.join(namespace, auth)
        return opened

    def polling(self, **options: Any) -> Polling:
        """Open a polling session."""
        opened: Polling = self.keep(Polling(self._port, **options))
        return opened

    def probe(self, polling: Polling) -> WebSocket:
        """Open a WebSocket for a polling session, up to the answer of the probe."""
        opened: WebSocket = self.keep(probe(polling))
        return opened


@pytest.fixture
def login(target: Target) -> Callable[[str], str]:
    """Log somebody in, and give the header Cookie that their browser sends from then on."""

    def log_in(name: str) -> str:
        with urllib.request.urlopen(f"{target.server.url}/login/{name}/", timeout=10) as answer:
            cookies = SimpleCookie(answer.headers["Set-Cookie"])
        return "; ".join(f"{each.key}={each.value}" for each in cookies.values())

    return log_in


@pytest.fixture
def log(target: Target, unharmed: None) -> Callable[[], list[str]]:
    """Give the lines that the server has printed since the attack began, but no counts of what was before."""
    start = len(target.log())
    return lambda: [line for line in target.log()[start:].splitlines() if not SUMMARY.search(line)]
