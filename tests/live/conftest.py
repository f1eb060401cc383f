"""What the live tests share: each server is started once, when the first test asks for it."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.live import sites

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.servers import Server

PURPOSE = "playground.sockets.OnPurposeError: "


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[[str], Server]]:
    """Give the project's server of a kind; tests run in random order, so each stays until the end."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def start(kind: str) -> Server:
            if kind not in running:
                running[kind] = stack.enter_context(sites.running(kind))
            return running[kind]

        yield start


@pytest.fixture(params=list(sites.KINDS))
def site(request: pytest.FixtureRequest, started: Callable[[str], Server]) -> Iterator[Server]:
    """
    Serve the project, with `runsocketio` and with gunicorn.

    What the server printed meanwhile is shown if the test fails, and a traceback in it fails the test, unless a handler
    raised it on purpose.
    """
    server = started(request.param)
    before = len(server.log())
    yield server
    printed = server.log()[before:]
    print(printed)  # noqa: T201  pytest shows it
    assert printed.count("Traceback (most recent call last)") == printed.count(PURPOSE)
    assert "socket shutdown error" not in printed  # pitfall 9


@pytest.fixture(params=list(sites.TRANSPORTS))
def transports(request: pytest.FixtureRequest) -> list[str]:
    """Name the transports a client may use: polling alone, WebSocket alone, and both."""
    return sites.TRANSPORTS[request.param]


@pytest.fixture
def tag() -> str:
    """Name what belongs to one test: its clients' lives, and rooms."""
    return uuid.uuid4().hex
