"""What is, and what is not, in the repository."""

from __future__ import annotations

import json
import re
from configparser import ConfigParser
from pathlib import PurePath

from tests.packaging.checkouts import ROOT, repository_files


def test_no_built_and_no_third_party_file_is_committed() -> None:
    unwanted = {"node_modules", "dist", "build", "staticfiles"}
    names = repository_files()
    assert not [name for name in names if name.startswith("dtws_sio/static/")]
    assert not [name for name in names if unwanted & set(PurePath(name).parts)]
    assert not [name for name in names if name.endswith((".min.js", ".map", ".pyc", ".sqlite3"))]


def test_the_lock_file_pins_every_package_and_names_no_registry() -> None:
    lock = json.loads((ROOT / "static" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages["node_modules/socket.io-client"]["version"].startswith("4.8.")
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert [name for name, package in packages.items() if "resolved" in package] == []


def test_the_matrix_has_every_python_and_django_that_is_promised() -> None:
    """Row W-D4: `make matrix` runs the tests on each that the machine has."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    promised: dict[str, set[str]] = {"Python": set(), "Django": set()}
    for classifier in setup["metadata"]["classifiers"].split("\n"):
        kind, _, version = classifier.rpartition(" :: ")
        name = kind.rpartition(" :: ")[2]
        if name in promised and "." in version:
            promised[name].add(version)
    table = dict(re.findall(r"\[(3\.\d+)\]=\"([\d. ]+)\"", (ROOT / ".ci" / "matrix").read_text()))
    assert set(table) == promised["Python"]
    assert {django for each in table.values() for django in each.split()} == promised["Django"]
    assert setup["options"]["python_requires"] == ">=" + min(table, key=lambda version: int(version.split(".")[1]))
