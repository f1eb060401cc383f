"""Clients that say nothing, read nothing, or do so very slowly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.live.servers import eventually
from tests.wire.clients import CLOSE, CONTINUATION, TEXT, frame

from . import attackers as attacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Dial
    from .harness import Attackers, Target

NOTICED = 4.0
"""Seconds until somebody has gone for the server: a ping after 1 s, 1 s for the answer, and a busy machine."""


def test_a_session_that_joins_nothing_is_closed(dial: Dial, log: Callable[[], list[str]]) -> None:
    """CONNECT_TIMEOUT, here 1.5 s; the pings are answered."""
    attacker = dial.websocket()
    assert attacker.wait_until_closed(NOTICED) > 1
    assert log() == []


def test_a_polling_session_that_never_polls_is_forgotten(target: Target, dial: Dial) -> None:
    attacker = dial.polling()
    eventually(lambda: attacker.post("3").status == 400, "the end of the session", seconds=NOTICED)


def test_a_half_open_connection_dies_by_the_ping_timeout(dial: Dial, log: Callable[[], list[str]]) -> None:
    """It reads, at least the kernel does, and says nothing more."""
    attackers = [dial.joined() for _ in range(20)]
    started = time.monotonic()
    for attacker in attackers:
        end = attacker.wait_for_end(NOTICED)
        assert end.texts in (["2"], ["2", "1"])
    assert time.monotonic() - started > 1.5
    assert log() == []


DRIPS = {
    "a frame": (b"", [bytes([byte]) for byte in frame(TEXT, "42" + "x" * 100)]),
    "a message": (frame(TEXT, "4", fin=False), [frame(CONTINUATION, b"x", fin=False)] * 100),
}
"""What is sent first, and then bit by bit."""


@pytest.mark.parametrize(("first", "drops"), DRIPS.values(), ids=DRIPS.keys())
def test_what_comes_bit_by_bit_dies_by_the_ping_timeout(
    first: bytes, drops: list[bytes], dial: Dial, log: Callable[[], list[str]]
) -> None:
    """Nothing else can be said meanwhile, the answer to a ping neither."""
    attacker = dial.joined()
    started, seen = time.monotonic(), []
    attacker.send_raw(first)
    for drop in drops:
        attacker.send_raw(drop)
        try:
            seen.append(attacker.frame(0.2))
        except TimeoutError:
            continue
        if seen[-1].opcode == CLOSE:
            break
    assert [(each.opcode, each.payload) for each in seen] == [(TEXT, b"2"), (CLOSE, b"\x03\xe8")]
    assert time.monotonic() - started < NOTICED
    assert log() == []


def test_a_reader_that_never_reads_is_closed(
    target: Target, attackers: Attackers, log: Callable[[], list[str]]
) -> None:
    """It asks for as much as it can, and MAX_BACKLOG bytes may wait for it."""
    packet = frame(TEXT, '421["echo","' + "x" * 100_000 + '"]')
    assert attackers.run(attacks.never_read, target.port, packet, 200) == "closed"
    (line,) = log()
    assert line.startswith("closed ")
    assert line.endswith(", and 1000000 may (setting MAX_BACKLOG)")


def test_a_poller_that_never_polls_is_closed(dial: Dial, log: Callable[[], list[str]]) -> None:
    attacker = dial.polling()
    attacker.join()
    asked = '1["echo","' + "x" * 300_000 + '"]'
    statuses = [attacker.post("42" + asked).status for _ in range(6)]
    assert statuses[:3] == [200] * 3
    assert statuses[-1] == 400
    (line,) = log()
    assert line.endswith(", and 1000000 may (setting MAX_BACKLOG)")
