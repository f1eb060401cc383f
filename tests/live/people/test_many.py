"""Many signed-in clients, and a database that they must neither use up nor depend on."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from dtws_sio import revocation
from tests.live import wire
from tests.live.people import visitors
from tests.live.people.visitors import Person, evaluate, run
from tests.live.servers import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.people.conftest import Pair
    from tests.live.servers import Server
    from tests.live.services import Cluster

psycopg = pytest.importorskip("psycopg")

pytestmark = pytest.mark.live

CROWD: Final = int(os.environ.get("CROWD", "200"))
"""Signed-in clients of one process."""

LIMIT: Final = 1.0
"""Seconds within which what Django tells of takes effect on all of them."""

SIGN_IN: Final = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
users = User.objects.bulk_create(User(username=f"{name}-{{n}}", password="x") for n in range({count}))
group("{name}").permissions.add(Permission.objects.get(codename="change_group"))
group("{name}").user_set.add(*users)
result = []
for user in users:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    result.append(session.session_key)
"""
"""What Django's login does, without hundreds of requests."""


@pytest.fixture
def crowd(pair: Pair, tag: str) -> Iterator[list[wire.Socket]]:
    """Sign very many users in, and let each open a page there."""
    keys = run(pair.here, SIGN_IN.format(name=tag, count=CROWD))
    with ExitStack() as stack:
        pages = [stack.enter_context(wire.connected(pair.there, cookie=f"sessionid={key}")) for key in keys]
        for namespace in ("", "/editors,"):
            for page in pages:
                page.send(f"40{namespace}")
            for page in pages:
                assert page.receive().startswith(f"40{namespace}{{")
        eventually(lambda: evaluate(pair.there, "sio.clients.revocation.is_idle"), "newcomers to have been looked at")
        yield pages


def connections(cluster: Cluster) -> int:
    """Count the servers' connections to the database."""
    with admin(cluster) as connection:
        row = connection.execute("select count(*) from pg_stat_activity where application_name = 'site'").fetchone()
        return int(row[0])


@contextmanager
def admin(cluster: Cluster) -> Iterator[Any]:
    """Connect to another database of the cluster."""
    address = f"host=127.0.0.1 port={cluster.port} user=postgres dbname=template1"
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection


def sweeps(site: Server) -> float:
    """Tell when the next sweep is due; it moves on with each."""
    due: float = run(site, "result = sio.clients.revocation._next_sweep")
    return due


def test_a_crowd_is_swept_and_served(pair: Pair, cluster: Cluster, crowd: list[wire.Socket], tag: str) -> None:
    """Through several sweeps, each client gets its answers and its user; then all of them are closed at once."""
    first = sweeps(pair.there)
    latencies = []
    rounds = 0
    while sweeps(pair.there) < first + 2:
        rounds += 1
        for page in crowd[:: 1 if rounds == 1 else 10]:
            started = time.perf_counter()
            assert page.ask("nap", 0, tag) == ["slept"]
            latencies.append(time.perf_counter() - started)
    latencies.sort()
    print(f"{len(latencies)} answers: p50 {latencies[len(latencies) // 2]:.4f} s, longest {latencies[-1]:.4f} s")  # noqa: T201
    eventually(lambda: connections(cluster) <= 1, "the connections to be given back")
    done = visitors.change(
        pair.here, f"User.objects.filter(username__startswith={tag!r}).update(is_active=False); sio.recheck()"
    )
    assert all(page.is_closed() for page in crowd)
    print(f"all of {CROWD} were closed after {time.time() - done.at:.2f} s")  # noqa: T201
    eventually(lambda: connections(cluster) == 0, "the last connection to be given back")


@pytest.mark.parametrize("change", ["group({tag!r}).permissions.clear()", "group({tag!r}).delete()"])
def test_a_crowd_that_loses_a_permission_with_its_group_is_closed_within_a_second(
    pair: Pair, crowd: list[wire.Socket], tag: str, change: str
) -> None:
    person = visitors.register(pair.here, f"{tag}-other", permissions=("change_group",))
    with person.browser(pair.there).socket("/editors") as other:
        done = visitors.change(pair.here, change.format(tag=tag))
        assert all(page.is_closed() for page in crowd)
        seconds = time.time() - done.at
        print(f"all of {CROWD} were closed after {seconds:.2f} s")  # noqa: T201
        assert seconds < LIMIT
        assert other.ask("who", namespace="/editors") == [person.name]


def test_no_connection_stays_open_behind_events_that_load_users(pair: Pair, cluster: Cluster, tag: str) -> None:
    person = visitors.register(pair.here, tag)
    browser = person.browser(pair.there)
    with ExitStack() as stack:
        pages = [stack.enter_context(browser.socket()) for _ in range(10)]
        for number in range(10):
            for page in pages:
                page.send(f'42{number}["who"]')
        for page in pages:
            assert [page.receive() for _ in range(10)] == [f'43{number}["{tag}"]' for number in range(10)]
        eventually(lambda: connections(cluster) == 0, "the end of every connection, while the clients stay")


@contextmanager
def no_database(cluster: Cluster) -> Iterator[None]:
    """Have the database refuse everybody while the block runs."""
    with admin(cluster) as connection:
        connection.execute("alter database postgres with allow_connections false")
        try:
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'postgres'")
            yield
        finally:
            connection.execute("alter database postgres with allow_connections true")


def test_clients_outlive_a_database_that_is_away(pair: Pair, cluster: Cluster, tag: str) -> None:
    """What is committed when it is back is found; the log tells of the outage once."""
    person: Person = visitors.register(pair.here, tag)
    before = len(pair.there.log())

    def lines(text: str) -> int:
        return pair.there.log()[before:].count(text)

    with person.browser(pair.there).socket() as page:
        eventually(lambda: run(pair.there, "result = not sio.clients.revocation._pending.new"), "a first look")
        with no_database(cluster):
            eventually(lambda: lines("the rights of clients cannot be looked at now"), "a sweep")
            until = time.monotonic() + 3 * revocation.PAUSE
            eventually(lambda: time.monotonic() > until, "three more looks")
            assert page.ask("request")[0][0] == "/socket.io/"
            assert "error" in page.ask("who")[0]
        eventually(lambda: lines("the rights of clients are looked at again"), "a look")
        assert page.ask("who") == [tag]
        with psycopg.connect(f"host=127.0.0.1 port={cluster.port} user=postgres dbname=postgres") as connection:
            connection.execute("update auth_user set is_active = false where id = %s", [person.pk])
        assert page.is_closed()
    assert lines("the rights of clients cannot be looked at now") == 1
    assert lines("the rights of clients are looked at again") == 1
