"""Starting the development server in a process that is patched first; pitfall 7."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dtws_sio import launch
from tests.page import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["runsocketio"], True),
        (["runsocketio", "8001", "--noreload"], True),
        (["runsocketio", "--help"], False),
        (["runsocketio", "-h"], False),
        (["runsocketio", "--version"], False),
        (["help", "runsocketio"], False),
        (["runserver"], False),
        (["test", "runsocketio"], False),
        (["migrate"], False),
        ([], False),
    ],
)
def test_only_the_command_itself_asks_for_a_patched_process(arguments: list[str], expected: bool) -> None:
    assert launch.is_due(["manage.py", *arguments]) is expected


def test_a_process_without_eventlet_is_not_relaunched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says then what is missing."""
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    assert not launch.is_due(["manage.py", "runsocketio"])


def test_a_patched_process_is_not_relaunched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch.runtime, "current", lambda: "eventlet")
    assert not launch.is_due(["manage.py", "runsocketio"])


class Launcher:
    """
    Runs `relaunch` in a process of its own, with a shell script in the place of Python.

    The script notes how it was called, and then does what the test says: `status` is a file with one exit status for
    each run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.child = folder / "child"
        (folder / "project").mkdir()

    def does(self, script: str) -> None:
        self.child.write_text(
            f"#!/bin/sh\necho \"$RUN_MAIN|$DTWS_SIO_SYS_PATH_0|$*\" >> '{self.calls}'\ncd '{self.folder}'\n{script}\n"
        )
        self.child.chmod(0o755)

    def start(self, *arguments: str, options: tuple[str, ...] = (), **environ: str) -> subprocess.Popen[str]:
        code = "import signal, sys; from dtws_sio import launch; "
        code += f"signal.signal(signal.SIGINT, signal.default_int_handler); sys.executable = {str(self.child)!r}; "
        code += f"launch.relaunch({['project/manage.py', 'runsocketio', *arguments]!r})"
        ours = ("PYTHON", launch.RELOADER, launch.FOLDER)
        clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        root = str(launch.Path(launch.__file__).parent.parent)
        return subprocess.Popen(
            [sys.executable, *options, "-c", code],
            cwd=self.folder,
            env={**clean, "PYTHONPATH": root, **environ},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, options: tuple[str, ...] = (), **environ: str) -> int:
        process = self.start(*arguments, options=options, **environ)
        _, errors = process.communicate(timeout=10)
        assert errors == ""
        return process.returncode

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    """A project's folder, and the process that should become its server."""
    return Launcher(tmp_path)


RELOAD_ONCE = "test -e again || { touch again; exit 3; }; exit "


@pytest.mark.parametrize(("status", "expected"), [("0", 0), ("1", 1), ("2", 2), ("$(kill -9 $$)", 137)])
def test_the_server_is_started_again_while_it_asks_for_it_and_its_exit_status_is_kept(
    launcher: Launcher, status: str, expected: int
) -> None:
    launcher.does(RELOAD_ONCE + status)
    assert launcher.run("8250") == expected
    folder = launcher.folder / "project"
    assert launcher.called() == [f"true|{folder}|-m dtws_sio project/manage.py runsocketio 8250"] * 2


@pytest.mark.parametrize(
    ("arguments", "environ", "main"), [(["--noreload"], {}, ""), ([], {"RUN_MAIN": "true"}, "true")]
)
def test_without_autoreload_the_process_becomes_the_server(
    launcher: Launcher, arguments: list[str], environ: dict[str, str], main: str
) -> None:
    """Nobody would be there to start it again, so 3 is an exit status like any other."""
    launcher.does("echo $$ > pid; exit 3")
    process = launcher.start(*arguments, **environ)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (3, "")
    assert (launcher.folder / "pid").read_text().strip() == str(process.pid)
    command = " ".join(["-m dtws_sio project/manage.py runsocketio", *arguments])
    assert launcher.called() == [f"{main}|{launcher.folder / 'project'}|{command}"]


def test_the_folder_that_the_first_process_named_is_kept(launcher: Launcher) -> None:
    launcher.does("exit 0")
    launcher.run(DTWS_SIO_SYS_PATH_0="/the/first")
    assert launcher.called() == ["true|/the/first|-m dtws_sio project/manage.py runsocketio"]


def test_options_of_the_interpreter_are_handed_on(launcher: Launcher) -> None:
    launcher.does("exit 0")
    launcher.run(options=("-Werror", "-Xutf8"))
    options = launcher.called()[0].split("|")[2].partition(" -m dtws_sio ")[0].split()
    assert sorted(options) == ["-Werror", "-X", "utf8"]


@pytest.mark.parametrize(
    ("how", "send"), [(signal.SIGTERM, os.kill), (signal.SIGINT, os.killpg)], ids=["SIGTERM", "Ctrl-C"]
)
def test_the_server_ends_with_the_process_that_started_it(
    launcher: Launcher, how: signal.Signals, send: Callable[[int, int], None]
) -> None:
    """A terminal sends Ctrl-C to both."""
    # By the time the file is there, the process that started the script has to be waiting for it.
    launcher.does("sleep 0.1\necho $$ > pid; exec sleep 60")
    process = launcher.start()
    pid = launcher.folder / "pid"
    assert eventually(lambda: pid.exists() and pid.read_text().strip(), seconds=10)
    send(process.pid, how)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert eventually(lambda: not is_running(int(pid.read_text())))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_folder_of_a_script_is_its_own_and_that_of_a_module_the_current_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`python project/manage.py` and `python -m django`."""
    monkeypatch.chdir(tmp_path)
    main = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    main.__spec__ = None
    assert launch._script_folder("project/manage.py") == str(tmp_path / "project")
    main.__spec__ = launch.__spec__
    assert launch._script_folder("/elsewhere/django/__main__.py") == str(tmp_path)
