"""
The build hook: fill dtws_sio/static/dtws_sio/ with the files that browsers load. All metadata is in setup.cfg.

The hook runs for wheels, sdists and editable installs. An sdist carries the built files, so installing from one needs
no Node; a git checkout does not, so it does.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from setuptools import Command, setup
from setuptools.command.build import build
from setuptools.command.sdist import sdist
from setuptools.errors import SetupError

ROOT = Path(__file__).resolve().parent
WORKSPACE = ROOT / "static"
BUILT = ROOT / "dtws_sio" / "static" / "dtws_sio"

ALWAYS_BUILT = (
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.LICENSE.txt",
    "connect.js",
    "progress.js",
    "signals.js",
)

STEPS = (("ci", "--omit=dev", "--no-audit", "--no-fund"), ("run", "build"))

NO_NODE = (
    "the browser files of dtws_sio are not built, and npm was not found to build them: "
    "install Node 20 or later (https://nodejs.org), or install dtws_sio from a wheel or an sdist, which carry the files"
)


def is_built() -> bool:
    return all((BUILT / name).is_file() for name in ALWAYS_BUILT)


def is_sdist() -> bool:
    """Tell whether this folder is an unpacked sdist: only those have PKG-INFO at their root."""
    return (ROOT / "PKG-INFO").is_file()


def is_up_to_date() -> bool:
    """Tell whether every built file is newer than every source; src/ itself counts, its time tells of removed files."""
    source = WORKSPACE / "src"
    sources = [WORKSPACE / name for name in ("package.json", "package-lock.json", "build.mjs")]
    newest = max(path.stat().st_mtime for path in [*sources, source, *source.iterdir()])
    return all(path.stat().st_mtime > newest for path in BUILT.iterdir())


def run_npm() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SetupError(NO_NODE)
    for step in STEPS:
        if subprocess.run([npm, *step], cwd=WORKSPACE, check=False).returncode:
            raise SetupError(f"`npm {' '.join(step)}` failed in {WORKSPACE}; its output above says why")


class BuildBrowser(Command):
    """
    Build the browser files, unless they are there and up to date.

    A step of its own rather than a `build_py`: editable installs turn an error of a changed `build_py` into a warning
    (setuptools/command/editable_wheel.py, `_safely_run`), and the package would be installed without its files.
    """

    description = "build the files that browsers load, with npm"
    user_options: ClassVar[list[tuple[str, str | None, str]]] = []
    editable_mode = False

    def initialize_options(self) -> None:
        pass

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        if not (is_built() and (is_sdist() or is_up_to_date())):
            run_npm()

    def get_source_files(self) -> list[str]:
        return []

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class Build(build):
    sub_commands: ClassVar = [("build_browser", None), *build.sub_commands]


class SDist(sdist):
    def run(self) -> None:
        self.run_command("build_browser")
        super().run()


setup(cmdclass={"build": Build, "build_browser": BuildBrowser, "sdist": SDist})
