"""
Start the development server in a process that is patched first.

`manage.py` has imported Django by the time a command runs, and what Django imported unpatched stays so (pitfall 7).
Therefore the server runs in a process of its own, started with `python -m dtws_sio manage.py ...`, whose first act is
to patch. This module is what `manage.py`'s own process needs for that; it imports neither Django nor eventlet.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from dtws_sio import runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND: Final = "runsocketio"

RELOADER: Final = "RUN_MAIN"
"""Environment variable that django.utils.autoreload sets in the process that serves."""

FOLDER: Final = "DTWS_SIO_SYS_PATH_0"
"""Environment variable that carries the folder which the first process had at the head of `sys.path`."""

RELOAD: Final = 3
"""Exit status with which that process asks to be started again (django/utils/autoreload.py, trigger_reload)."""


def is_due(argv: Sequence[str]) -> bool:
    """Tell whether this process was asked for `manage.py runsocketio` and is not the one that should serve."""
    return argv[1:2] == [COMMAND] and not {"-h", "--help", "--version"} & set(argv) and needs_relaunch()


def needs_relaunch() -> bool:
    """Tell whether this process is unpatched, and eventlet is there to patch another."""
    return runtime.current() == "threading" and find_spec("eventlet") is not None


def relaunch(argv: Sequence[str]) -> NoReturn:
    """
    Serve in a patched process, and leave with its exit status.

    With autoreload this process stays and starts the other one again whenever a file has changed; without, or when it
    is itself the one that a reloader started, it becomes the other one.

    Args:
        argv: The command line, `manage.py` first.
    """
    arguments = [sys.executable, *interpreter_options(), "-m", "dtws_sio", *argv]
    os.environ.setdefault(FOLDER, _script_folder(argv[0]))
    if "--noreload" in argv or RELOADER in os.environ:
        os.execv(sys.executable, arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    environ = {**os.environ, RELOADER: "true"}
    try:
        while (status := subprocess.run(arguments, env=environ, check=False).returncode) == RELOAD:
            pass
    except KeyboardInterrupt:
        status = 0  # the other process got the same signal, and has ended
    sys.exit(status if status >= 0 else 128 - status)


def _script_folder(script: str) -> str:
    """Give what `sys.path` began with: the script's folder, or with `python -m django` the current one."""
    was_module = getattr(sys.modules["__main__"], "__spec__", None) is not None
    return str(Path.cwd()) if was_module else str(Path(script).resolve().parent)


def interpreter_options() -> list[str]:
    """Give the options that this Python was started with, such as -W and -X, for the next one."""
    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined,no-any-return]
