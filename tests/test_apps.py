"""The app: every installed app's `sockets.py` is imported at the start; row D-12."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from django.apps import apps
from django.core import checks
from django.test import modify_settings

from dtws_sio import apps as dtws_sio_apps
from dtws_sio import checks as dtws_sio_checks
from dtws_sio import launch
from dtws_sio.apps import DtwsSioConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def make_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Write an app, with the text of its modules, and give its name."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def make(**modules: str) -> str:
        folder = tmp_path / f"app_of_{tmp_path.name}"
        folder.mkdir()
        for name, text in {"__init__": "", **modules}.items():
            (folder / f"{name}.py").write_text(text)
        return folder.name

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("app_of_"):
            del sys.modules[name]


def test_sockets_py_of_an_installed_app_is_imported_row_d_12(make_app: Callable[..., str]) -> None:
    app = make_app(sockets="was_imported = True")
    with modify_settings(INSTALLED_APPS={"append": app}):
        assert sys.modules[f"{app}.sockets"].was_imported  # type: ignore[attr-defined]


def test_an_app_needs_no_sockets_py(make_app: Callable[..., str]) -> None:
    app = make_app(models="")
    with modify_settings(INSTALLED_APPS={"append": app}):
        assert f"{app}.sockets" not in sys.modules


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import no_such_module", ModuleNotFoundError),
        ("from os import no_such_name", ImportError),
        ("def broken(:", SyntaxError),
        ("1 / 0", ZeroDivisionError),
    ],
)
def test_a_broken_sockets_py_stops_the_start_rows_d_12_and_w_f17(
    make_app: Callable[..., str], text: str, error: type[Exception]
) -> None:
    app = make_app(sockets=text)
    with pytest.raises(error), modify_settings(INSTALLED_APPS={"append": app}):
        pytest.fail("the apps were set up all the same")


def test_the_checks_are_registered() -> None:
    registered = checks.registry.registry.get_checks()
    expected = {dtws_sio_checks.check_settings, dtws_sio_checks.check_ancestors, dtws_sio_checks.check_database}
    assert expected <= set(registered)


def test_the_app_is_found_by_its_name() -> None:
    config = apps.get_app_config("dtws_sio")
    assert isinstance(config, DtwsSioConfig)
    assert config.verbose_name == "Socket.IO"


@pytest.mark.parametrize(("command", "expected"), [("runsocketio", 1), ("runserver", 0), ("test", 0), ("shell", 0)])
def test_the_command_is_handed_over_before_other_apps_are_imported(
    monkeypatch: pytest.MonkeyPatch, command: str, expected: int
) -> None:
    """Nothing is patched, and nothing serves, in the other commands."""
    relaunched = []
    monkeypatch.setattr(sys, "argv", ["manage.py", command])
    monkeypatch.setattr(launch, "relaunch", relaunched.append)
    DtwsSioConfig("dtws_sio", dtws_sio_apps)
    assert relaunched == [["manage.py", command]] * expected
