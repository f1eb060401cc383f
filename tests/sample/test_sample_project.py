"""The sample project, driven through its manage.py as its users do; each command is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Manage = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_project"

VARIABLES = {"DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL", "REDIS_URL"}
"""What the sample's settings read."""


@pytest.fixture
def manage(tmp_path: Path) -> Manage:
    """Run a management command, from a folder that has nothing to do with the project."""
    inherited = {key: value for key, value in os.environ.items() if key not in VARIABLES | {"DJANGO_SETTINGS_MODULE"}}
    inherited["PYTHONPATH"] = str(ROOT)

    def run(*arguments: str, cwd: Path = tmp_path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", str(SAMPLE / "manage.py"), *arguments],
            cwd=cwd,
            env=inherited | variables,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


def test_its_own_tests_pass(manage: Manage) -> None:
    done = manage("test", cwd=SAMPLE)
    assert done.returncode == 0, done.stderr
    assert "Ran 0 tests" not in done.stderr


def test_no_migration_is_missing(manage: Manage, tmp_path: Path) -> None:
    done = manage("makemigrations", "--check", "--dry-run", DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_production_without_a_secret_key_does_not_start(manage: Manage) -> None:
    done = manage("check", DEBUG="0")
    assert done.returncode != 0
    assert "SECRET_KEY is not set and DEBUG is off" in done.stderr


def test_a_production_with_its_settings_passes_the_checks(manage: Manage) -> None:
    done = manage("check", DEBUG="0", SECRET_KEY="x1" * 30, ALLOWED_HOSTS="example.org, www.example.org")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("variables", "expression", "expected"),
    [
        ({}, "settings.DATABASES['default']['NAME']", str(SAMPLE / "db.sqlite3")),
        ({}, "settings.DTWS_SIO.get('MESSAGE_QUEUE')", "None"),
        ({"REDIS_URL": "redis://localhost"}, "settings.DTWS_SIO['MESSAGE_QUEUE']", "redis://localhost"),
        ({"DATABASE_URL": "postgres://u:p@host/n"}, "settings.DATABASES['default']['HOST']", "host"),
        ({"ALLOWED_HOSTS": "a, b,"}, "settings.ALLOWED_HOSTS", "['a', 'b']"),
    ],
)
def test_the_environment_changes_the_settings(
    manage: Manage, variables: dict[str, str], expression: str, expected: str
) -> None:
    done = manage("shell", "-v0", "-c", f"from django.conf import settings; print({expression})", **variables)
    assert done.stdout.strip() == expected, done.stderr


def test_collectstatic_gives_every_file_of_the_pages_a_new_name(manage: Manage, tmp_path: Path) -> None:
    """The page's modules import by the names of an import map, since manifest storage rewrites no JavaScript."""
    production = {"DEBUG": "0", "SECRET_KEY": "x1" * 30, "ALLOWED_HOSTS": "testserver"}
    code = f"""
from django.conf import settings
settings.STATIC_ROOT = {str(tmp_path / "static")!r}
from django.core.management import call_command
call_command("collectstatic", interactive=False, verbosity=0)
from django.test import Client
print(Client().get("/echo/").content.decode())
"""
    done = manage("shell", "-v0", "-c", code, **production)
    assert done.returncode == 0, done.stderr
    for name in ("dtws_sio/connect", "dtws_sio/progress", "bars/page", "home/connection", "echo/echo", "home/site"):
        (file,) = (tmp_path / "static").glob(f"{name}.????????????.*s")
        assert f'"/static/{file.relative_to(tmp_path / "static")}"' in done.stdout
