"""Fixtures that several test modules share: servers without a network, and a database that closes for real."""

from __future__ import annotations

from contextlib import ExitStack
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from django.test import Client, override_settings

from dtws_sio.server import Server, sio
from dtws_sio.signals import queues, registry
from tests.bars import Clock, Recorder, board_for, set_clock
from tests.handling import Gate
from tests.page import CONNECT, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytest_django import DjangoDbBlocker

    from dtws_sio.progress.board import Board
    from dtws_sio.signals import SignalConnection

THREADS: dict[str, Any] = {"RUNTIME": "threading", "SERVER": {"monitor_clients": False}}
"""DTWS_SIO for a server that runs in pytest's own process, where nothing is patched."""


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    """
    What stops the servers of a test; who takes away what they use has to close it first.

    A test may make one where settings are overridden for a block. What that one overrides is taken back later, which
    would bring the block's settings back, for all tests to come.
    """
    before = settings._wrapped
    with ExitStack() as stack:
        yield stack
    settings._wrapped = before  # type: ignore[assignment]


@pytest.fixture
def make_server(servers: ExitStack) -> Callable[..., Server]:
    """Make servers that serve, each with the keys of DTWS_SIO that it is given."""

    def make(**keys: Any) -> Server:
        servers.enter_context(override_settings(DTWS_SIO={**THREADS, **keys}))
        server = Server()
        server.start()
        servers.callback(server.stop)
        return server

    return make


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A server that serves, with the default settings."""
    return make_server()


@pytest.fixture
def visit(server: Server) -> Callable[..., Page]:
    """Open connections to `server`, which join the namespaces they are given."""

    def open_page(*namespaces: str, **extra: Any) -> Page:
        page = Page(server.handle_request, server.eio, **extra)
        for namespace in namespaces:
            page.join(namespace)
        return page

    return open_page


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def echo(server: Server) -> None:
    """Register the event `echo`, which answers with what it got."""

    @server.event
    def echo(sid: str, *data: Any) -> Any:
        return data


@pytest.fixture
def left(server: Server) -> list[tuple[str, str]]:
    """Register the disconnect handler of "/", and give what it got."""
    got: list[tuple[str, str]] = []

    @server.event
    def disconnect(sid: str, reason: str) -> None:
        got.append((sid, reason))

    return got


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[SignalConnection]]:
    """Connect no functions to signals but those of the test, and those of the package."""
    own = {name: found for name, found in registry.REGISTERED.items() if name.startswith("dtws_sio.")}
    monkeypatch.setattr(registry, "REGISTERED", own)
    return own


@pytest.fixture
def serving(registered: Any) -> Iterator[Server]:
    """Serve with `sio` itself, in which `/signals` is registered and to which signals are sent."""
    with override_settings(DTWS_SIO=THREADS):
        sio.start()
        yield sio
        sio.stop()
        queues.stop()


@pytest.fixture
def open_window(serving: Server) -> Callable[..., Page]:
    """Open a window that joins `/signals`, with the token of its page if it has one."""

    def open_window(token: str | None = None, **extra: Any) -> Page:
        page = Page(serving.handle_request, serving.eio, **extra)
        answer = page.join("/signals", None if token is None else {"window": token})
        assert answer.type == CONNECT, answer
        return page

    return open_window


@pytest.fixture
def publisher() -> Iterator[Server]:
    """A server in a process that serves nobody, and has no message queue either."""
    with override_settings(DTWS_SIO={**THREADS}):
        yield Server()


@pytest.fixture
def database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker, servers: ExitStack
) -> Iterator[None]:
    """
    Make the default database a file, for each thread.

    Django never closes a database in memory, so tests of closing need another one.
    """
    before = connections["default"]
    # A new dict, as a connection keeps the one with which it was made, and must know by it that it is one to a file.
    file = {"NAME": str(tmp_path / "db.sqlite3"), "OPTIONS": {"init_command": "PRAGMA synchronous=OFF"}}
    monkeypatch.setitem(connections.settings, "default", {**connections.settings["default"], **file})
    connections["default"] = connections.create_connection("default")
    with django_db_blocker.unblock():
        yield
        servers.close()
        connections["default"].close()
    connections["default"] = before


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Path:
    """Make a database with the tables of Django's own apps."""
    path = tmp_path_factory.mktemp("migrated") / "db.sqlite3"
    before = connections["default"]
    name = connections.settings["default"]["NAME"]
    connections.settings["default"]["NAME"] = str(path)
    connections["default"] = connections.create_connection("default")
    try:
        with django_db_blocker.unblock():
            call_command("migrate", verbosity=0)
            connections["default"].close()
    finally:
        connections.settings["default"]["NAME"] = name
        connections["default"] = before
    return path


@pytest.fixture
def people(database: None, migrated: Path) -> type[User]:
    """Give the model of users, whose table exists."""
    copyfile(migrated, connections.settings["default"]["NAME"])
    return User


@pytest.fixture
def sign_in(people: type[User]) -> Callable[[User], dict[str, str]]:
    """Sign a user in, and give what its browser then sends with a handshake."""

    def sign_in(user: User) -> dict[str, str]:
        client = Client()
        client.force_login(user)
        return {"HTTP_COOKIE": f"sessionid={client.cookies['sessionid'].value}"}

    return sign_in


# ---- progress bars without clients


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which bars go."""
    clock = Clock()
    set_clock(monkeypatch, clock)
    return clock


@pytest.fixture
def recorder() -> Recorder:
    """A server that only notes what is sent."""
    return Recorder()


@pytest.fixture
def board(recorder: Recorder, clock: Clock) -> Board:
    """The board of the recorder; its bars beat only when the test says so."""
    return board_for(recorder)
