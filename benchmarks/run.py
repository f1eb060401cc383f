"""
Measure this project beside Node's socket.io and stock python-socketio, in one run: one core each for server and load.

    make bench                      the main figures, in about two minutes
    make bench ARGS="--all"         everything, medians of three rounds; an hour
    make bench ARGS="--only echo"   the rows whose name has this in it

Figures of different machines or runs do not compare; the ratios within one run do. The table, the figures as JSON and
a plot are left in results/, but not of single rows. The load generator is sioload.c.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import report
from loads import ALL, QUICK, Figure, Row
from servers import HERE, NODE, SERVERS, raise_file_limit

if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> None:
    """Measure the rows that were asked for."""
    options = arguments()
    raise_file_limit()
    install_node()
    rows = [row for row in (ALL if options.all or options.only else QUICK) if (options.only or "") in row.name]
    if not rows:
        raise SystemExit(f"no row has {options.only!r} in its name; these are: {', '.join(row.name for row in ALL)}")
    rounds = options.rounds or (3 if options.all else 1)
    measured: report.Results = {}
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        print(report.HEAD)
        for row in rows:
            measured[row.name] = measure(program, row, options.servers, rounds)
            print(report.line(row, measured[row.name]), flush=True)
    if not options.only:
        report.write(rows, measured, rounds)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[1])
    parser.add_argument("--quick", action="store_true", help="the main figures (the default)")
    parser.add_argument("--all", action="store_true", help="every row")
    parser.add_argument("--only", help="the rows whose name has this in it")
    parser.add_argument("--rounds", type=int, help="how often each row is measured (1, with --all 3)")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    return parser.parse_args()


def build(folder: Path) -> Path:
    """Compile the load generator."""
    program = folder / "sioload"
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "sioload.c"], check=True)
    return program


def install_node() -> None:
    """Install Node's socket.io beside its server, unless it is there."""
    if (NODE / "node_modules" / "socket.io").is_dir():
        return
    npm: Final = shutil.which("npm")
    if npm is None:
        raise SystemExit(
            "npm was not found; install Node 20 or later (https://nodejs.org), or use --servers dtws_sio stock"
        )
    subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--silent"], cwd=NODE, check=True)


def measure(program: Path, row: Row, servers: Sequence[str], rounds: int) -> dict[str, Figure]:
    """Give each server's median; a round asks all of them in turn, so that drift of the machine meets all alike."""
    found: dict[str, list[Figure]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name in servers:
            found[name].append(row.measure(program, name))
    return {name: middle(figures) for name, figures in found.items()}


def middle(figures: Sequence[Figure]) -> Figure:
    """Give the medians of what was measured."""

    def median(values: list[float | None]) -> float | None:
        numbers = [value for value in values if value is not None]
        return statistics.median(numbers) if numbers else None

    value = statistics.median(figure.value for figure in figures)
    return Figure(value, median([figure.cpu_us for figure in figures]), median([figure.load_cpu for figure in figures]))


if __name__ == "__main__":
    sys.exit(main())
