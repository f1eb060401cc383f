"""The sample project, served by either server from a database of its own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.live import sites
from tests.live.servers import ROOT, Server, free_port, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SAMPLE: Final = ROOT / "sample_project"

BUILT: Final = ROOT / "dtws_sio/static/dtws_sio"
"""What `npm run build` makes; the pages load it."""

VARIABLES: Final = {"DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL", "REDIS_URL"}
"""What the sample's settings read; what the tester has set must not change what is tested."""

STAFF: Final = ("ada", "correct horse battery staple")
"""Name and password of an account that may announce; all others sign up on the page."""


def runsocketio(port: int) -> list[str]:
    """Give the command line of the development server, which stays in one process."""
    return sites.manage("runsocketio", f"127.0.0.1:{port}", "--noreload", folder=SAMPLE)


def gunicorn(port: int) -> list[str]:
    """
    Give the command line of gunicorn, as the sample's README has it.

    No wrapper is needed for the static files: while DEBUG is on the sample's own URLs serve them.
    """
    return [*sites.gunicorn(port)[:-1], "sample.wsgi"]  # the last argument names the application


KINDS: Final[dict[str, Callable[[int], list[str]]]] = {"runsocketio": runsocketio, "gunicorn": gunicorn}
"""The servers that every behaviour is tested with."""


@dataclass(frozen=True)
class Database:
    """
    An SQLite file with the sample's tables.

    Args:
        path: The file.
    """

    path: Path

    def environment(self) -> dict[str, str]:
        """Give the variables with which the sample runs on it; no byte code is left in the checkout."""
        address = f"sqlite:///{self.path}"
        return {"DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "sample.settings", "PYTHONDONTWRITEBYTECODE": "1"}

    def copy(self, path: Path) -> Database:
        """Copy it to another file."""
        return Database(shutil.copyfile(self.path, path))

    def add_room(self, slug: str, name: str, *, member: str | None = None) -> None:
        """
        Add a room, past Django: the sample's models cannot be loaded beside the settings of the tests.

        Args:
            slug: Its name in the address.
            name: Its name on the page.
            member: The name of a user for whom alone it is.
        """
        with closing(sqlite3.connect(self.path, timeout=20)) as connection, connection:
            connection.execute(
                "INSERT INTO chat_room (slug, name, is_private) VALUES (?, ?, ?)", (slug, name, member is not None)
            )
            connection.execute(
                "INSERT INTO chat_room_members (room_id, user_id) "
                "SELECT chat_room.id, auth_user.id FROM chat_room, auth_user WHERE slug = ? AND username = ?",
                (slug, member),
            )

    def add_to_group(self, user: str, group: str) -> None:
        """Add a user to a group, likewise past Django."""
        with closing(sqlite3.connect(self.path, timeout=20)) as connection, connection:
            connection.execute(
                "INSERT OR IGNORE INTO auth_user_groups (user_id, group_id) "
                "SELECT auth_user.id, auth_group.id FROM auth_user, auth_group WHERE username = ? AND name = ?",
                (user, group),
            )

    def lift_sanctions(self) -> None:
        """Let everybody be who is muted or banned, likewise past Django."""
        with closing(sqlite3.connect(self.path, timeout=20)) as connection, connection:
            connection.execute("DELETE FROM chat_sanction")

    def manage(self, *arguments: str, **env: str) -> str:
        """
        Run a management command to its end and give what it printed.

        Raises:
            AssertionError: If it fails.
        """
        done = subprocess.run(
            sites.manage(*arguments, folder=SAMPLE),
            env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment(), **env},
            text=True,
            check=False,
            timeout=60,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def make_database(path: Path) -> Database:
    """Migrate a new database and add the account STAFF."""
    database = Database(path)
    name, password = STAFF
    database.manage("migrate", "--verbosity", "0")
    account = {"DJANGO_SUPERUSER_USERNAME": name, "DJANGO_SUPERUSER_PASSWORD": password}
    database.manage("createsuperuser", "--noinput", "--email", "ada@example.org", **account)
    return database


@dataclass(frozen=True)
class Site:
    """
    The sample, being served.

    Args:
        server: The process.
        database: What it runs on.
    """

    server: Server
    database: Database

    @property
    def url(self) -> str:
        """The address, without a path."""
        return self.server.url


@contextmanager
def running(kind: str, database: Database, *, port: int | None = None, **env: str) -> Iterator[Site]:
    """
    Serve the sample while the block runs.

    Args:
        kind: A key of KINDS.
        database: What it runs on.
        port: Where to listen; a free port if it is left out.
        env: Further environment variables.
    """
    port = port or free_port()
    variables = {**database.environment(), **env}
    with serve(KINDS[kind](port), cwd=SAMPLE, ready_url=f"http://127.0.0.1:{port}/", env=variables) as server:
        yield Site(server, database)
