"""A copy of the checkout, places to install it to, and an environment without Node."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.packaging.checkouts import copy_checkout, output_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.packaging)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh clone: the repository's files, and nothing that was built."""
    return copy_checkout(tmp_path / "checkout")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An empty virtual environment without pip; `pip_install` installs into it."""
    folder = tmp_path / "venv"
    output_of(sys.executable, "-m", "venv", "--without-pip", folder, cwd=tmp_path)
    return folder


@pytest.fixture
def no_node(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH holds no program at all, so neither node nor npm."""
    empty = tmp_path / "empty"
    empty.mkdir()
    return {"PATH": str(empty)}
