"""Programs that the tests need beside the server: found or explained, and run privately on free ports."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.live.servers import eventually, free_port, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD: Final = "hush-hush"
"""Of the Redis server; it must never turn up in a message."""

DEBIAN_POSTGRESQL: Final = Path("/usr/lib/postgresql")
"""Debian keeps the programs of each version in a folder of its own, away from PATH."""


def program(name: str) -> str:
    """
    Find a program; the test is skipped without it.

    Where the environment variable CI is "true", everything has to be there and the test fails instead.
    """
    versions = sorted(DEBIAN_POSTGRESQL.glob(f"*/bin/{name}"))
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        missing(f"the program {name} is not installed")
    return found


def missing(what: str) -> Any:
    """Skip the test because of something that this machine lacks, or fail where nothing may lack."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Run a Redis server with a password while the block runs, on a free port if none is given, and give its URL."""
    port = port or free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]
    with (
        tempfile.TemporaryDirectory(prefix="dtws_sio-redis-") as folder,
        serve([program("redis-server"), *options], cwd=folder, ready_port=port),
    ):
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL cluster."""

    port: int

    def database(self, **more: Any) -> dict[str, Any]:
        """Give Django's settings for its database."""
        address = {"NAME": "postgres", "USER": "postgres", "HOST": "127.0.0.1", "PORT": str(self.port)}
        return {"ENGINE": "django.db.backends.postgresql", **address, **more}


@contextmanager
def postgresql() -> Iterator[Cluster]:
    """
    Run a PostgreSQL cluster that trusts everybody on this machine while the block runs.

    PostgreSQL refuses to run as root; it runs as Debian's user `postgres` then.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="dtws_sio-postgresql-") as folder:
        prefix: list[str] = []
        if os.geteuid() == 0:
            user = _postgres_user()
            os.chown(folder, user.pw_uid, user.pw_gid)
            prefix = [program("setpriv"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
        data = f"{folder}/data"
        initdb = [program("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run([*prefix, *initdb], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        options = ["-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F", "-c", "max_connections=200"]
        ready = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
        with serve([*prefix, program("postgres"), "-D", data, *options], cwd=folder) as server:
            eventually(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL", seconds=30)
            yield Cluster(port)
            server.process.send_signal(signal.SIGINT)  # killed, it would leave shared memory behind
            server.wait_for_exit()


def _postgres_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        missing("there is no user postgres, and PostgreSQL does not run as root")
        raise
