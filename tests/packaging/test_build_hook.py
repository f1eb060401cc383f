"""The step of setup.py that builds the browser files, in a fresh checkout."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.packaging.checkouts import BROWSER_FILES, built_files, pip_install

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("what", [["."], ["-e", "."]], ids=["install", "editable install"])
def test_a_checkout_without_npm_is_refused_and_told_about_node(
    checkout: Path, venv: Path, no_node: dict[str, str], what: list[str]
) -> None:
    """setuptools turns an error of a changed `build_py` into a warning for editable installs; this one must be loud."""
    refused = pip_install(venv, *what, cwd=checkout, env=no_node)
    assert refused.returncode != 0
    assert "npm was not found" in refused.stdout
    assert "install Node 20 or later" in refused.stdout


def test_an_install_from_a_checkout_carries_the_browser_files(checkout: Path, venv: Path) -> None:
    installed = pip_install(venv, ".", cwd=checkout)
    assert installed.returncode == 0, installed.stdout
    (package,) = venv.glob("lib/python*/site-packages/dtws_sio")
    assert built_files(package) >= BROWSER_FILES


def test_npm_runs_again_only_when_a_source_changed(checkout: Path, venv: Path, no_node: dict[str, str]) -> None:
    """A machine without npm tells the two cases apart: what needs no build succeeds there."""
    first = pip_install(venv, "-e", ".", cwd=checkout)
    assert first.returncode == 0, first.stdout
    assert built_files(checkout / "dtws_sio") >= BROWSER_FILES

    unchanged = pip_install(venv, "-e", ".", cwd=checkout, env=no_node)
    assert unchanged.returncode == 0, unchanged.stdout

    later = time.time() + 10
    os.utime(checkout / "static" / "src" / "connect.js", (later, later))
    changed = pip_install(venv, "-e", ".", cwd=checkout, env=no_node)
    assert changed.returncode != 0
    assert "npm was not found" in changed.stdout
