"""The project with users, served by either server, and by two processes that share a database and a Redis."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from shutil import copyfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import sites
from tests.live.people import visitors
from tests.live.services import Cluster, postgresql, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live.people.visitors import Browser, Person
    from tests.live.servers import Server


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], dict[str, Any]]:
    """Give settings of new databases, whose tables exist: each is a copy of one that was migrated."""
    template = tmp_path_factory.mktemp("template") / "db.sqlite3"
    visitors.migrate(visitors.settings(visitors.sqlite(template)))

    def make() -> dict[str, Any]:
        path = tmp_path_factory.mktemp("people") / "db.sqlite3"
        copyfile(template, path)
        return visitors.sqlite(path)

    return make


@pytest.fixture(scope="session")
def started(new_database: Callable[[], dict[str, Any]]) -> Iterator[Callable[[str], Server]]:
    """Give the server of a kind, which has a database of its own; each stays until the end."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def start(kind: str) -> Server:
            if kind not in running:
                settings = visitors.settings(new_database())
                running[kind] = stack.enter_context(sites.running(kind, settings=settings))
            return running[kind]

        yield start


@pytest.fixture
def ann(site: Server, tag: str) -> Person:
    """A user without any rights."""
    return visitors.register(site, f"ann-{tag}")


@pytest.fixture
def bob(site: Server, tag: str) -> Person:
    """Another one."""
    return visitors.register(site, f"bob-{tag}")


@pytest.fixture
def anns(site: Server, ann: Person) -> Browser:
    """Ann's browser."""
    return ann.browser(site)


@dataclass(frozen=True)
class Pair:
    """Two processes, here and there, with the settings that others need to join them."""

    here: Server
    there: Server
    settings: dict[str, Any]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with postgresql() as running:
        yield running


SWEEP_SECONDS = 0.5
"""Between two sweeps of the pair."""


@pytest.fixture(scope="session")
def pair(cluster: Cluster) -> Iterator[Pair]:
    """Two processes of gunicorn that share a PostgreSQL and a Redis."""
    with redis_server() as url, ExitStack() as stack:
        settings = visitors.settings(
            {"default": cluster.database(OPTIONS={"application_name": "site"})},
            DTWS_SIO={"MESSAGE_QUEUE": url, "RIGHTS_SWEEP": SWEEP_SECONDS},
        )
        visitors.migrate(settings)
        here, there = (stack.enter_context(sites.running("gunicorn", settings=settings)) for _ in range(2))
        yield Pair(here, there, settings)
