"""What handlers do to a real PostgreSQL through psycopg 3, and it to the server."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import sites, wire
from tests.live.servers import Server, eventually
from tests.live.services import Cluster, missing, postgresql
from tests.live.sites import get

if TYPE_CHECKING:
    from collections.abc import Iterator

psycopg = pytest.importorskip("psycopg")

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgresql() as running:
        yield running


@contextmanager
def serving(kind: str, cluster: Cluster, **database: Any) -> Iterator[Server]:
    """Serve the project on the cluster; its connections carry a name of their own."""
    options = {"application_name": "site", **database.pop("OPTIONS", {})}
    settings = {"DATABASES": {"default": cluster.database(OPTIONS=options, **database)}}
    with sites.running(kind, settings=settings) as site:
        yield site


def connections(cluster: Cluster) -> int:
    """Count the server's connections to the database."""
    with psycopg.connect(f"host=127.0.0.1 port={cluster.port} user=postgres dbname=postgres") as connection:
        row = connection.execute("select count(*) from pg_stat_activity where application_name = 'site'").fetchone()
        return int(row[0])


def query(page: wire.Socket, number: int, seconds: float = 0) -> None:
    page.send(f"42{number}{json.dumps(['query', seconds])}")


def backends(pages: list[wire.Socket], count: int) -> set[int]:
    """Take the acknowledgements of so many queries from each client, and give who answered them in the database."""
    answers = [page.receive() for page in pages for _ in range(count)]
    found = [json.loads(answer.partition("[")[2].removesuffix("]")) for answer in answers]
    assert all(isinstance(backend, int) for backend in found), found
    return set(found)


@pytest.mark.parametrize("kind", sites.KINDS)
@pytest.mark.parametrize("age", [0, None], ids=["closed each time", "kept for ever"])
def test_events_that_query_leave_no_connection_open(kind: str, cluster: Cluster, age: int | None) -> None:
    """Pitfall 6, rows W-F12: 100 events of ten clients; nothing gives a greenlet's connection back but the library."""
    with serving(kind, cluster, CONN_MAX_AGE=age) as site, ExitStack() as stack:
        pages = [stack.enter_context(wire.connected(site)) for _ in range(10)]
        for page in pages:
            page.join("/")
            for number in range(10):
                query(page, number)
        assert backends(pages, 10)
        eventually(lambda: connections(cluster) == 0, "the end of every connection")


@pytest.mark.parametrize("kind", sites.KINDS)
def test_a_pool_bounds_the_connections(kind: str, cluster: Cluster) -> None:
    """Pitfall 6: events take connections from Django's pool and give them back."""
    if find_spec("psycopg_pool") is None:
        missing("psycopg_pool is not installed: pip install 'psycopg[pool]'")
    options = {"pool": {"min_size": 1, "max_size": 3, "timeout": 10}}
    with serving(kind, cluster, OPTIONS=options) as site, ExitStack() as stack:
        pages = [stack.enter_context(wire.connected(site)) for _ in range(10)]
        for page in pages:
            page.join("/")
            for number in range(10):
                query(page, number, 0.005)
        assert len(backends(pages, 10)) <= 3
        assert 1 <= connections(cluster) <= 3
    eventually(lambda: connections(cluster) == 0, "the end of the pool")


@pytest.mark.parametrize("kind", sites.KINDS)
def test_handlers_that_wait_for_the_database_do_not_wait_for_each_other(kind: str, cluster: Cluster) -> None:
    """Pitfall 5: without PSYCOPG_WAIT_FUNC each query stops everybody, and twenty of 0.2 s take four seconds."""
    with serving(kind, cluster) as site, ExitStack() as stack:
        pages = [stack.enter_context(wire.connected(site)) for _ in range(20)]
        for page in pages:
            page.join("/")
        started = time.monotonic()
        for page in pages:
            query(page, 1, 0.2)
        assert get(site, "/") == "home at /"
        assert time.monotonic() - started < 1, "a plain request was answered meanwhile"
        assert len(backends(pages, 1)) == 20
        assert time.monotonic() - started < 2
