"""
`python -m dtws_sio manage.py runsocketio ...`: run manage.py in a process that is patched first.

The first thing that happens here is the patching; nothing of Django is imported before it.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from dtws_sio import launch, runtime
from dtws_sio.exceptions import MissingDependencyError


def main() -> None:
    """Patch, then be manage.py; with autoreload, outlive broken files."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m dtws_sio path/to/manage.py runsocketio [addr:port]")
    try:
        runtime.patch()
    except MissingDependencyError as error:
        sys.exit(f"Error: {error}")
    sys.argv = sys.argv[1:]
    sys.path[0] = os.environ.pop(launch.FOLDER, "") or str(Path(sys.argv[0]).resolve().parent)
    if launch.RELOADER in os.environ and "--noreload" not in sys.argv:
        _run_and_reload()
    else:
        _run()


def _run() -> None:
    runpy.run_path(sys.argv[0], run_name="__main__")


def _run_and_reload() -> None:
    """
    Run manage.py; if it cannot even be loaded, show why and wait for a change.

    `runserver` does so by a special case for its own name in django/core/management/__init__.py (execute).
    """
    from django.utils import autoreload

    try:
        autoreload.check_errors(_run)()
    except Exception:
        autoreload.run_with_reloader(autoreload.raise_last_exception)


if __name__ == "__main__":
    main()
