"""
Measure this project beside stock python-socketio, in one run: one core for the server, one for the load.

    make bench                      about a minute
    make bench ARGS="--rounds 5"    medians of five rounds

Figures of different machines or runs do not compare; the ratios within one run do. `sioload.c` is the load generator.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).resolve().parent

SERVERS: Final = {
    "dtws_sio": [
        str(Path(sys.executable).with_name("gunicorn")),
        *("-k", "dtws_sio.gunicorn.EventletWorker", "--worker-connections", "20000", "--log-level", "warning"),
        *("-b", "127.0.0.1:{port}", "project.wsgi"),
    ],
    "stock": [sys.executable, "stock.py", "{port}"],
}
"""How each server is started."""


@dataclass(frozen=True)
class Load:
    """One thing to measure: what it is called, and sioload's mode, clients, messages in flight and payload bytes."""

    name: str
    mode: str
    clients: int
    in_flight: int = 1
    payload: int = 32


LOADS: Final = (
    Load("echo, 1 in flight, events/s", "echo", 50),
    Load("echo, 8 in flight, events/s", "echo", 50, 8),
    Load("echo of 1 KB, events/s", "echo", 50, 1, 1024),
    Load("fan-out to 1000, 1 in flight, deliveries/s", "fanout", 1000),
    Load("fan-out to 1000, 4 in flight, deliveries/s", "fanout", 1000, 4),
    Load("connects, clients/s", "hold", 1000),
)


def main() -> None:
    """Run every load against every server, in turns, and print the medians with their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rounds", type=int, default=1, help="how often each load is run (default 1)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        sioload = build(Path(folder))
        for load in LOADS:
            ours, stock = measure(sioload, load, rounds).values()
            print(f"{load.name:45} {ours:9.0f}   stock {stock:9.0f}   ratio {ours / stock:5.2f}", flush=True)


def build(folder: Path) -> Path:
    """Compile the load generator."""
    program = folder / "sioload"
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "sioload.c"], check=True)
    return program


def measure(sioload: Path, load: Load, rounds: int) -> dict[str, float]:
    """Give the median figure of each server; each round asks all of them, so that drift meets all alike."""
    results: dict[str, list[float]] = {name: [] for name in SERVERS}
    for _ in range(rounds):
        for name in SERVERS:
            with served(name) as port:
                results[name].append(run(sioload, load, port))
    return {name: statistics.median(values) for name, values in results.items()}


def run(sioload: Path, load: Load, port: int) -> float:
    """Run the load generator once and read its figure."""
    arguments = [load.mode, str(port), str(load.clients), "3", str(load.in_flight), str(load.payload)]
    command = ["taskset", "-c", "1", str(sioload), *arguments]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    pattern = r"= (\d+)/s" if load.mode == "hold" else r": (\d+) msg/s"
    found = re.search(pattern, output)
    if found is None:
        raise SystemExit(f"sioload printed no figure for {load.name}:\n{output}")
    return float(found[1])


@contextmanager
def served(name: str) -> Iterator[int]:
    """Run a fresh server on core 0 while the block runs, and give its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["taskset", "-c", "0", *(part.format(port=port) for part in SERVERS[name])]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=HERE, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(port, process)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server accepts connections."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"the server on port {port} did not start")


if __name__ == "__main__":
    main()
