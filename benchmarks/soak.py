"""
See whether a server that was used badly is as it was before.

    make soak                           50,000 clients a round, two rounds, some minutes
    SOAK_CONNECTIONS=5000 make soak     fewer

Most of the clients break something: see `visitors.py`. They meet one gunicorn worker. After each round descriptors,
listeners, greenlets, sessions, clients, rooms, callbacks and handlers must be as many as before the first; memory after
the second round may be 5 % above that after the first.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from typing import Final

from servers import GUNICORN, LOAD_CORE, Served, raise_file_limit, served
from visitors import HOSTS, PATIENCE, VISITS, Visitor, nap

CONNECTIONS: Final = int(os.environ.get("SOAK_CONNECTIONS", "50000"))
SEED: Final = int(os.environ.get("SOAK_SEED", "1"))

AT_ONCE: Final = 300
"""Clients at any moment."""

ROUND_SECONDS: Final = 60 + CONNECTIONS / 50
"""How long a round may take."""

SETTLE_SECONDS: Final = 60.0
"""How long after a round the server may take to forget everybody."""

GROWTH: Final = 1.05
"""Memory after the second round, as a multiple of that after the first."""

HANDLER_POOL: Final = 50
"""Handlers that may run at once."""

SETTINGS: Final = {"PING_INTERVAL": 3, "PING_TIMEOUT": 3, "MAX_BACKLOG": 200_000, "HANDLER_POOL": HANDLER_POOL}
"""DTWS_SIO of the server: it notices soon who has gone."""


@dataclass(frozen=True)
class Round:
    """What a round did: how many visits of each kind, what went wrong that should not have, and how long it took."""

    visits: Counter[str]
    failures: list[str]
    seconds: float


def main() -> None:
    """Soak a server, print what it held when, and exit with 1 if it held on to something."""
    raise_file_limit()
    os.sched_setaffinity(0, {min(int(LOAD_CORE), (os.cpu_count() or 1) - 1)})
    binds = [part for host in HOSTS for part in ("-b", f"{host}:{{port}}")]
    with served((*GUNICORN, *binds), settings=SETTINGS) as server:
        problems = soak(server)
        printed = server.printed()
    if "Traceback" in printed:
        problems.append(f"the server printed a traceback:\n{printed[-5000:]}")
    for problem in problems:
        print(f"FAILED: {problem}")
    sys.exit(bool(problems))


def soak(server: Served) -> list[str]:
    """Run a short round, so that the server has everything it keeps, and two long ones; give what is wrong."""
    chance = random.Random(SEED)
    visit(server, max(500, CONNECTIONS // 20), chance)
    asyncio.run(fill_pool(server, chance))
    held = [settled(server, None)]
    problems: list[str] = []
    for number in (1, 2):
        done = visit(server, CONNECTIONS, chance)
        print(f"round {number}: {CONNECTIONS} clients in {done.seconds:.0f} s", flush=True)
        problems += [f"{count} x {what}" for what, count in Counter(done.failures).most_common(10)]
        held.append(settled(server, held[0]))
    print("  ".join(f"{name} {count}" for name, count in sorted(done.visits.items())))
    return problems + compare(*held)


async def fill_pool(server: Served, chance: random.Random) -> None:
    """Have as many handlers run at once as may: their greenlets are kept, and belong to what was there before."""
    visitors = [Visitor(server.port, chance) for _ in range(2 * HANDLER_POOL)]
    await asyncio.gather(*map(nap, visitors))
    for visitor in visitors:
        visitor.leave()


def compare(before: dict[str, int], first: dict[str, int], second: dict[str, int]) -> list[str]:
    """Print what was held before and after each round, and give what is wrong with it."""
    print(f"\n{'':12}{'before':>14}{'after round 1':>16}{'after round 2':>16}")
    for name in before:
        print(f"{name:12}{before[name]:14,}{first[name]:16,}{second[name]:16,}")
    problems = [
        f"{name}: {held[name]} after a round, {before[name]} before"
        for held in (first, second)
        for name in before
        if name != "resident" and held[name] > before[name]
    ]
    growth = second["resident"] / first["resident"]
    print(f"\nmemory after round 2 is {growth:.3f} of that after round 1")
    if growth > GROWTH:
        problems.append(f"memory grew by a factor of {growth:.3f} from round 1 to round 2; {GROWTH} is allowed")
    return problems


def settled(server: Served, wanted: dict[str, int] | None) -> dict[str, int]:
    """Give what the server holds, once it is no more than wanted, or does not change any more."""
    deadline = time.monotonic() + SETTLE_SECONDS
    previous: dict[str, int] = {}
    while time.monotonic() < deadline:
        held = ask_counts(server)
        if wanted is None:
            if held["sessions"] == 0 and held.items() - {"resident": held["resident"]}.items() <= previous.items():
                return held
        elif all(held[name] <= wanted[name] for name in wanted if name != "resident"):
            return held
        previous = held
        time.sleep(1)
    return held


def ask_counts(server: Served) -> dict[str, int]:
    """Ask the server what it holds."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/counts", timeout=PATIENCE) as answer:
        counts: dict[str, int] = json.load(answer)
    return counts


def visit(server: Served, clients: int, chance: random.Random) -> Round:
    """Let so many clients come."""
    done = Round(Counter(), [], 0.0)
    started = time.monotonic()
    asyncio.run(asyncio.wait_for(_visit_all(server, clients, chance, done), ROUND_SECONDS))
    return Round(done.visits, done.failures, time.monotonic() - started)


async def _visit_all(server: Served, clients: int, chance: random.Random, done: Round) -> None:
    kinds, weights = list(VISITS), list(VISITS.values())
    left = iter(range(clients))

    async def keep_coming() -> None:
        for _ in left:
            (kind,) = chance.choices(kinds, weights)
            done.visits[kind.__name__] += 1
            visitor = Visitor(server.port, random.Random(chance.random()))
            try:
                await asyncio.wait_for(kind(visitor), PATIENCE)
            except (OSError, TimeoutError, asyncio.TimeoutError) as error:
                done.failures.append(f"{kind.__name__}: {error!r}")
            finally:
                visitor.leave()

    await asyncio.gather(*(keep_coming() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    main()
