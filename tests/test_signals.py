"""The package of signals: its public names, its discovery, and what it needs of others; rows F-17 and W-F17."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.test import modify_settings

import dtws_sio.signals
from dtws_sio.signals import registry
from tests.test_apps import make_app

__all__ = ["make_app"]  # a fixture


@pytest.mark.parametrize("name", dtws_sio.signals.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(dtws_sio.signals, name) is not None
    assert name in dir(dtws_sio.signals)


def test_what_is_no_name_is_told() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'triger'; public names: .*trigger"):
        _ = dtws_sio.signals.triger


def test_importing_the_package_loads_nothing() -> None:
    """What patches the standard library must be able to come first."""
    code = "import sys, dtws_sio.signals; print([n for n in ('django', 'socketio', 'eventlet') if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_signals_py_of_an_installed_app_is_imported_row_f_17(registered: Any, make_app: Any) -> None:
    text = "from dtws_sio.signals import signal\n@signal('found.it')\ndef found(window_info): ...\n"
    with modify_settings(INSTALLED_APPS={"append": make_app(signals=text)}):
        assert len(registry.connections("found.it")) == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("import no_such_module", ModuleNotFoundError),
        ("def broken(:", SyntaxError),
        ("from dtws_sio.signals import signal\n@signal\ndef found(): ...\n", TypeError),
        ("from dtws_sio.signals import no_such_name", ImportError),
    ],
)
def test_a_broken_signals_py_stops_the_start_row_w_f17(
    registered: Any, make_app: Any, text: str, error: type[Exception]
) -> None:
    app = make_app(signals=text)
    with pytest.raises(error), modify_settings(INSTALLED_APPS={"append": app}):
        pytest.fail("the apps were set up all the same")
