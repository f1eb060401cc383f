"""What the wheel and the sdist hold; rows D-01 and D-10."""

from __future__ import annotations

import email
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import dtws_sio
from tests.packaging.checkouts import (
    BROWSER_FILES,
    ROOT,
    built_files,
    copy_checkout,
    output_of,
    pip_install,
    repository_files,
)

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Distributions:
    """The two archives and the names in them; those of the sdist without its top folder."""

    wheel: Path
    sdist: Path

    def wheel_names(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    def sdist_names(self) -> set[str]:
        with tarfile.open(self.sdist) as archive:
            return {member.name.partition("/")[2] for member in archive if member.isfile()}

    def metadata(self) -> email.message.Message:
        with zipfile.ZipFile(self.wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    folder = tmp_path_factory.mktemp("distributions")
    checkout = copy_checkout(folder / "checkout")
    output_of(sys.executable, "-m", "build", "--wheel", "--sdist", "--outdir", folder, checkout, cwd=folder)
    return Distributions(wheel=next(folder.glob("*.whl")), sdist=next(folder.glob("*.tar.gz")))


def test_the_wheel_carries_the_browser_files(distributions: Distributions) -> None:
    assert {f"dtws_sio/static/dtws_sio/{name}" for name in BROWSER_FILES} <= distributions.wheel_names()


def test_the_wheel_carries_every_file_of_the_package(distributions: Distributions) -> None:
    package = {name for name in repository_files() if name.startswith("dtws_sio/")}
    assert "dtws_sio/py.typed" in package
    assert package <= distributions.wheel_names()


def test_the_wheel_holds_nothing_but_the_package_and_its_licence(distributions: Distributions) -> None:
    info = f"dtws_sio-{dtws_sio.__version__}.dist-info/"
    assert f"{info}licenses/LICENSE" in distributions.wheel_names()
    assert not [name for name in distributions.wheel_names() if not name.startswith(("dtws_sio/", info))]
    assert not [name for name in distributions.wheel_names() if "node_modules" in name or name.endswith(".pyc")]


def test_the_sdist_carries_the_browser_files_and_their_sources(distributions: Distributions) -> None:
    names = distributions.sdist_names()
    assert {f"dtws_sio/static/dtws_sio/{name}" for name in BROWSER_FILES} <= names
    assert {"static/package-lock.json", "static/build.mjs", "static/src/connect.js"} <= names
    assert not [name for name in names if "node_modules" in name]


def test_the_sdist_carries_every_file_of_the_repository_but_dot_files(distributions: Distributions) -> None:
    wanted = {name for name in repository_files() if not name.startswith(".")}
    assert wanted - distributions.sdist_names() == set()


def test_the_readme_is_the_long_description(distributions: Distributions) -> None:
    assert distributions.metadata().get_payload() == (ROOT / "README.rst").read_text()


def test_the_metadata_states_version_licence_and_tested_bounds(distributions: Distributions) -> None:
    metadata = distributions.metadata()
    assert metadata["Version"] == dtws_sio.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    requirements = set(metadata.get_all("Requires-Dist", []))
    assert {"Django<6.2,>=5.2", "python-socketio<5.19,>=5.18.1", "python-engineio<4.16,>=4.15.1"} <= requirements
    assert {"eventlet", "gevent", "gunicorn", "redis", "celery", "docs", "dev"} <= set(
        metadata.get_all("Provides-Extra", [])
    )


def test_an_sdist_installs_without_node(
    distributions: Distributions, venv: Path, no_node: dict[str, str], tmp_path: Path
) -> None:
    installed = pip_install(venv, distributions.sdist, cwd=tmp_path, env=no_node)
    assert installed.returncode == 0, installed.stdout
    show = "import dtws_sio; print(dtws_sio.__path__[0], dtws_sio.__version__)"
    folder, version = output_of(venv / "bin" / "python", "-c", show, cwd=tmp_path).split()
    assert version == dtws_sio.__version__
    assert folder.startswith(str(venv))
    assert built_files(type(tmp_path)(folder)) >= BROWSER_FILES
