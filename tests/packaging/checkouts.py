"""Copies of the checkout, and programs that run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]

BROWSER_FILES = frozenset(
    {"connect.js", "progress.js", "signals.js", "socket.io.LICENSE.txt", "socket.io.min.js", "socket.io.min.js.map"}
)
"""What must be among the built files, whatever else is built."""


def run(*command: object, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; `env` is added to the environment. The outcome is left to the caller to look at."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(env or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=110,
        check=False,
    )


def output_of(*command: object, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program that must succeed, and return what it printed."""
    done = run(*command, cwd=cwd, env=env)
    assert done.returncode == 0, done.stdout
    return done.stdout


def repository_files() -> list[str]:
    """Return the paths of all files that are, or would be, committed."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT)
    if listed.returncode:
        pytest.skip(f"not a git checkout: {listed.stdout}")
    return sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def copy_checkout(target: Path) -> Path:
    for name in repository_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def pip_install(
    venv: Path, *what: object, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Install without dependencies, in an isolated build as users have it."""
    return run(sys.executable, "-m", "pip", "--python", venv, "install", "--no-deps", *what, cwd=cwd, env=env)


def built_files(package: Path) -> set[str]:
    folder = package / "static" / "dtws_sio"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
