"""`manage.py signalworker`: queues and options, rows F-14 and F-15. A real worker runs in tests/live/test_queues.py."""

from __future__ import annotations

from typing import Any

import celery
import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from dtws_sio.signals.queues import brokered, command

QUEUES = {"QUEUES": {"reports": "celery", "mails": "celery", "slow": "threads"}}


class App:
    """Stands for a Celery app; keeps what its worker is started with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[list[str]] = []
        monkeypatch.setattr(command, "_find_app", lambda path: self)

    def worker_main(self, arguments: list[str]) -> None:
        self.started.append(arguments)


@pytest.mark.parametrize(
    ("options", "is_debug", "arguments"),
    [
        ([], False, ["-Q", "reports,mails", "-l", "INFO"]),
        ([], True, ["-Q", "reports,mails", "-l", "INFO", "-c", "1", "-P", "solo"]),
        (["-Q", "mails"], False, ["-Q", "mails", "-l", "INFO"]),
        (["--queues=mails,reports"], False, ["-Q", "mails,reports", "-l", "INFO"]),
        (["-c", "4"], True, ["-Q", "reports,mails", "-l", "INFO", "-c", "4"]),
        (["-P", "threads", "-l", "debug"], True, ["-Q", "reports,mails", "-l", "debug", "-P", "threads"]),
        (
            ["--", "--max-tasks-per-child", "9"],
            False,
            ["-Q", "reports,mails", "-l", "INFO", "--max-tasks-per-child", "9"],
        ),
    ],
)
def test_it_works_off_celerys_queues(
    options: list[str], is_debug: bool, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(monkeypatch)
    with override_settings(DTWS_SIO=QUEUES, DEBUG=is_debug):
        call_command("signalworker", "--noreload", *options)
    assert app.started == [["worker", *arguments]]


def test_under_debug_it_starts_again_when_a_file_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    app, reloaded = App(monkeypatch), []
    monkeypatch.setattr(command.autoreload, "run_with_reloader", lambda *arguments: reloaded.append(arguments))
    with override_settings(DTWS_SIO=QUEUES, DEBUG=True):
        call_command("signalworker")
    assert not app.started
    assert reloaded[0][0] == app.worker_main


@pytest.mark.parametrize(
    ("setting", "options", "message"),
    [
        ({}, [], r"DTWS_SIO\['QUEUES'\] sends no queue to Celery"),
        (QUEUES, ["-Q", "slow"], "Celery has no queue 'slow' .* its queues are reports, mails"),
        (QUEUES, ["-Q", "reports,nothing"], "Celery has no queue 'nothing'"),
        (QUEUES, ["-A", "no.such.module"], "there is no Celery app in 'no.such.module'"),
    ],
)
def test_what_is_missing_is_told(setting: dict[str, Any], options: list[str], message: str) -> None:
    with override_settings(DTWS_SIO=setting), pytest.raises(CommandError, match=message):
        call_command("signalworker", *options)


def test_a_project_without_an_app_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celery.current_app", celery.Celery("default", set_as_current=False))
    with override_settings(DTWS_SIO=QUEUES), pytest.raises(CommandError, match="the project loads no Celery app"):
        call_command("signalworker")


def test_a_missing_celery_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "has_celery", lambda: False)
    with override_settings(DTWS_SIO=QUEUES), pytest.raises(CommandError, match="Celery is not installed: pip install"):
        call_command("signalworker")
    assert brokered.has_celery()
