"""The parts of the gunicorn worker that need no server; the rest is driven in tests/live/test_gunicorn_worker.py."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.utils.functional import SimpleLazyObject

pytest.importorskip("gunicorn")

from dtws_sio import gunicorn as worker

ROOT = Path(__file__).resolve().parents[1]

GOOD = {
    "preload_app": False,
    "http_protocols": ["h1"],
    "http2_cleartext": "off",
    "do_handshake_on_connect": False,
}


def test_importing_it_in_the_arbiter_loads_nothing_that_must_be_patched_first() -> None:
    code = (
        "import sys, dtws_sio.gunicorn\n"
        "print([name for name in ('django', 'eventlet', 'gevent', 'socketio', 'engineio') if name in sys.modules])"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def check(**settings: Any) -> None:
    """Have gunicorn's settings checked; nothing may be logged if they are accepted."""
    log = Mock()
    worker.EventletWorker.check_config(SimpleNamespace(**settings), log)
    assert log.mock_calls == []


def refusals(**settings: Any) -> list[str]:
    """Have gunicorn's settings refused, and give the lines that were logged."""
    log = Mock()
    with pytest.raises(SystemExit) as end:
        worker.EventletWorker.check_config(SimpleNamespace(**settings), log)
    assert end.value.code == 1
    return [call.args[0] % call.args[1:] for call in log.error.call_args_list]


@pytest.fixture
def with_eventlet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "find_spec", lambda name: object())


@pytest.mark.usefixtures("with_eventlet")
def test_ordinary_settings_are_accepted() -> None:
    check(**GOOD)


@pytest.mark.usefixtures("with_eventlet")
def test_a_gunicorn_without_the_setting_http2_cleartext_is_accepted() -> None:
    check(**{name: value for name, value in GOOD.items() if name != "http2_cleartext"})


@pytest.mark.usefixtures("with_eventlet")
@pytest.mark.parametrize(
    ("setting", "value", "name", "remedy"),
    [
        ("preload_app", True, "--preload", "remove it"),
        ("http_protocols", ["h2", "h1"], "HTTP/2", "set http_protocols to 'h1'"),
        ("http2_cleartext", "prior-knowledge", "HTTP/2", "http2_cleartext to 'off'"),
        ("do_handshake_on_connect", True, "--do-handshake-on-connect", "remove it"),
    ],
)
def test_a_setting_that_would_break_is_refused_with_the_remedy(
    setting: str, value: object, name: str, remedy: str
) -> None:
    (line,) = refusals(**{**GOOD, setting: value})
    assert line.startswith(f"EventletWorker cannot run with {name}: ")
    assert remedy in line
    assert "\n" not in line


def test_a_missing_eventlet_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "find_spec", lambda name: None)
    (line,) = refusals(**GOOD)
    assert "pip install 'dtws_sio[eventlet]'" in line


@pytest.mark.usefixtures("with_eventlet")
def test_every_reason_is_told_at_once() -> None:
    assert len(refusals(**{**GOOD, "preload_app": True, "do_handshake_on_connect": True})) == 2


def test_files_are_read_in_large_blocks_even_if_small_ones_are_asked_for() -> None:
    data = os.urandom(150_000)
    blocks = list(worker.PoliteFileWrapper(io.BytesIO(data), 4096))
    assert b"".join(blocks) == data
    assert len(blocks) == 3


def test_reporting_greenlets_leaves_lazy_objects_alone() -> None:
    pytest.importorskip("greenlet")
    evaluated: list[int] = []
    lazy = SimpleLazyObject(lambda: evaluated.append(1))
    worker.stacks(sys._getframe())
    assert evaluated == []
    del lazy


def test_greenlets_that_wait_in_one_place_are_reported_together() -> None:
    greenlet = pytest.importorskip("greenlet")

    def wait_here() -> None:
        greenlet.getcurrent().parent.switch()

    waiting = [greenlet.greenlet(wait_here) for _ in range(3)]
    for each in waiting:
        each.switch()
    report = worker.stacks(sys._getframe())
    assert report.startswith("running:\n")
    assert "test_greenlets_that_wait_in_one_place" in report.partition("waiting:")[0]
    assert report.count(", in wait_here\n") == 1
    assert "3 waiting:\n" in report
    for each in waiting:
        each.switch()
