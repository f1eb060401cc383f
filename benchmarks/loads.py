"""What is measured: a table of loads, and the few rows that need more than one run of the load generator."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from servers import LOAD_CORE, SERVERS, Served, pinned, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECONDS: Final = 3
"""How long each load is measured, after a second of warming up."""

REST_SECONDS: Final = 3.0
"""How long a server has after many connects or disconnects before it is looked at again."""

BROWSER: Final = {"BROWSER": "1"}


@dataclass(frozen=True)
class Figure:
    """
    What was measured.

    Attributes:
        value: In the row's unit.
        cpu_us: CPU time of the server per event, delivery or request, in µs; None where there are none. Less disturbed
            by what else runs on the machine than the value.
        load_cpu: The share of its core that the load generator used; near 1 it, and not the server, was measured.
    """

    value: float
    cpu_us: float | None = None
    load_cpu: float | None = None


@dataclass(frozen=True)
class Load:
    """One run of the load generator: its mode, clients, events in flight and payload in bytes; see sioload.c."""

    mode: str
    clients: int
    in_flight: int = 1
    payload: int = 32
    environ: tuple[tuple[str, str], ...] = ()

    def command(self, program: Path, port: int, seconds: float = SECONDS) -> list[str]:
        """Give the command line, on the core for loads."""
        numbers = (port, self.clients, seconds, self.in_flight, self.payload)
        return pinned(LOAD_CORE, [str(program), self.mode, *map(str, numbers)])

    def environment(self, server: Served) -> dict[str, str]:
        """Give the environment, with the processes whose CPU time is to be taken."""
        return {**os.environ, "PIDS": ",".join(map(str, server.pids)), **dict(self.environ)}


@dataclass(frozen=True)
class Row:
    """
    A line of the table.

    Attributes:
        name: What is measured, with its unit.
        measure: Takes the load generator and the name of a server.
        target: The ratio to Node's socket.io that is aimed at, or None.
        less_is_better: Of memory and latencies.
    """

    name: str
    measure: Callable[[Path, str], Figure]
    target: float | None = None
    less_is_better: bool = False


def run(program: Path, load: Load, server: Served) -> dict[str, Any]:
    """
    Run the load generator, and give its figures.

    Raises:
        SystemExit: If it fails; what it and the server printed is shown.
    """
    ended = subprocess.run(
        load.command(program, server.port),
        env=load.environment(server),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if ended.returncode != 0:
        raise SystemExit(
            f"{load} failed: {ended.stdout}{ended.stderr}\nthe server printed:\n{server.printed()[-3000:]}"
        )
    lines: dict[str, Any] = {}
    for line in ended.stdout.splitlines():
        lines.update(json.loads(line))
    return lines


@contextmanager
def held(program: Path, load: Load, server: Served) -> Iterator[None]:
    """Keep idle clients connected while the block runs; then they all leave at once."""
    command = load.command(program, server.port, seconds=3600)
    process = subprocess.Popen(command, env=load.environment(server), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        connected = json.loads(process.stdout.readline() or "{}")
        if connected.get("connected") != load.clients:
            raise SystemExit(f"of {load.clients} clients {connected} connected:\n{server.printed()[-3000:]}")
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# Ways to measure; each makes the function of a row


def rate(load: Load) -> Callable[[Path, str], Figure]:
    """Events, deliveries or requests per second."""

    def measure(program: Path, name: str) -> Figure:
        with served(SERVERS[name]) as server:
            figures = run(program, load, server)
        return Figure(figures["rate"], figures["cpu_us"], figures["load_cpu"])

    return measure


def connect_rate(clients: int) -> Callable[[Path, str], Figure]:
    """Clients that connect and join per second."""
    load = Load("hold", clients)

    def measure(program: Path, name: str) -> Figure:
        with served(SERVERS[name]) as server:
            command = load.command(program, server.port, seconds=0)
            printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
        return Figure(json.loads(printed)["connect_rate"])

    return measure


def memory(clients: int) -> Callable[[Path, str], Figure]:
    """KB of memory per idle client with a browser's headers."""
    load = Load("hold", clients, environ=tuple(BROWSER.items()))

    def measure(program: Path, name: str) -> Figure:
        with served(SERVERS[name]) as server:
            run(program, Load("echo", 10, environ=load.environ), server)  # what is made at the first use
            before = server.resident
            with held(program, load, server):
                time.sleep(REST_SECONDS)
                return Figure((server.resident - before) / clients / 1024)

    return measure


def rate_after_leaving(load: Load, leavers: int) -> Callable[[Path, str], Figure]:
    """The rate of a load after many clients have left, as a share of that of a fresh server, measured just before."""

    def measure(program: Path, name: str) -> Figure:
        with served(SERVERS[name]) as server:
            fresh = run(program, load, server)["rate"]
        with served(SERVERS[name]) as server:
            with held(program, Load("hold", leavers), server):
                time.sleep(REST_SECONDS)
            time.sleep(REST_SECONDS)
            return Figure(run(program, load, server)["rate"] / fresh)

    return measure


def latency_beside_idle(active: int, idle: int, turns: int = 5) -> Callable[[Path, str], Figure]:
    """The median latency of clients beside many idle ones, as a multiple of that without; medians of turns."""
    load = Load("echo", active)

    def measure(program: Path, name: str) -> Figure:
        idlers = Load("hold", idle)
        with served(SERVERS[name]) as alone, served(SERVERS[name]) as crowded, held(program, idlers, crowded):
            time.sleep(REST_SECONDS)
            pairs = [(run(program, load, alone), run(program, load, crowded)) for _ in range(turns)]
        without, beside = (sorted(pair[side]["p50_ms"] for pair in pairs)[turns // 2] for side in (0, 1))
        return Figure(beside / without)

    return measure


# The table

ECHO: Final = Load("echo", 50)
FANOUT: Final = Load("fanout", 1000)

QUICK: Final = (
    Row("echo, 1 in flight [events/s]", rate(ECHO), target=1.0),
    Row("echo, 8 in flight [events/s]", rate(replace(ECHO, in_flight=8)), target=1.0),
    Row("fan-out to 1,000, 1 in flight [deliveries/s]", rate(FANOUT), target=1.5),
    Row("fan-out to 1,000, 4 in flight [deliveries/s]", rate(replace(FANOUT, in_flight=4)), target=5.0),
    Row("fan-out to 5,000, 4 in flight [deliveries/s]", rate(Load("fanout", 5000, 4)), target=4.0),
    Row("connecting [clients/s]", connect_rate(5000), target=1.0),
)
"""What `make bench` measures in two minutes."""

GROWTH: Final = tuple(
    Row(f"fan-out to {clients:,} [deliveries/s]", rate(Load("fanout", clients)))
    for clients in (1, 10, 100, 1000, 10_000)
)
"""How the cost of a delivery grows with the number of clients."""

ALL: Final = (
    *QUICK,
    *(
        Row(f"memory per idle client, {clients:,} clients [KB]", memory(clients), less_is_better=True)
        for clients in (1000, 5000, 10_000)
    ),
    Row("fan-out after 5,000 clients have left [share of fresh]", rate_after_leaving(FANOUT, 5000)),
    Row("latency of 50 beside 10,000 idle [multiple of alone]", latency_beside_idle(50, 10_000), less_is_better=True),
    Row("polling [requests/s]", rate(Load("poll", 50))),
    Row("echo of 1 KB [events/s]", rate(replace(ECHO, payload=1024))),
    Row("echo of 100 KB [events/s]", rate(Load("echo", 10, payload=102_400))),
    Row("echo of 32 bytes, binary [events/s]", rate(replace(ECHO, environ=(("BINARY", "1"),)))),
    Row("echo of 100 KB, binary [events/s]", rate(Load("echo", 10, payload=102_400, environ=(("BINARY", "1"),)))),
    Row("fan-out of 1 KB to 1,000 [deliveries/s]", rate(replace(FANOUT, payload=1024))),
    Row("10 rooms of 100 [deliveries/s]", rate(Load("rooms", 1000))),
    *GROWTH,
)
"""What `--all` measures."""
