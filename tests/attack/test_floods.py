"""More than a client should send, and more clients than should come."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.wire.clients import BINARY, CONTINUATION, PING, PONG, TEXT, endpoint, frame

from . import attackers as attacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Dial
    from .harness import Attackers, Target

CONNECTS = int(os.environ.get("ATTACK_CONNECTS", "5000"))
"""`make soak` sets 100,000."""

FLOOD_SECONDS = 0.7

FLOODS = {
    "pings": frame(PING),
    "pings with a payload": frame(PING, b"x" * 125),
    "pongs that nobody asked for": frame(PONG),
    "Engine.IO pongs": frame(TEXT, "3"),
    "events": frame(TEXT, '42["echo",1]'),
    "events that want an acknowledgement": frame(TEXT, '421["echo",1]'),
    "events of 60 KB": frame(TEXT, '421["echo","' + "x" * 60_000 + '"]'),
    "events of 900 KB": frame(TEXT, '421["echo","' + "x" * 900_000 + '"]'),
    "events that nobody handles": frame(TEXT, '421["nobody"]'),
    "events with too many arguments": frame(TEXT, '421["echo",1,2,3]'),
    "attachments": frame(TEXT, '451-1["echo",{"_placeholder":true,"num":0}]') + frame(BINARY, b"x"),
    "acknowledgements of nothing": frame(TEXT, '4399["forged"]'),
    "namespaces that do not exist": frame(TEXT, "40/nowhere,"),
    "comings and goings": frame(TEXT, "40/chat,") + frame(TEXT, "41/chat,"),
    "comings to and goings from many namespaces": b"".join(
        frame(TEXT, f"4{kind}/room{number},") for kind in (0, 1) for number in range(10)
    ),
    "rooms": frame(TEXT, '42["join","a room"]'),
}


@pytest.mark.parametrize("packet", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_is_taken_in_turns(
    packet: bytes, target: Target, attackers: Attackers, log: Callable[[], list[str]]
) -> None:
    """From four connections at once, as much as the server takes; the log is not flooded too."""
    assert attackers.run(attacks.flood, target.port, packet, FLOOD_SECONDS) > 10_000
    assert len(log()) <= 2 * attacks.ABREAST, log()[:20]


def test_fragments_of_nothing_are_taken_in_turns(
    target: Target, attackers: Attackers, log: Callable[[], list[str]]
) -> None:
    first, packet = frame(TEXT, "4", fin=False), frame(CONTINUATION, fin=False)
    assert attackers.run(attacks.flood, target.port, packet, FLOOD_SECONDS, first=first) > 10_000
    assert log() == []


@pytest.mark.timeout(60 + CONNECTS // 100)
def test_so_many_may_connect(target: Target, attackers: Attackers, log: Callable[[], list[str]]) -> None:
    """Hundreds at once, from 240 addresses; each is answered, and nothing is kept of any."""
    seen = attackers.run(attacks.connects, target.port, CONNECTS, 300, seconds=50 + CONNECTS / 100)
    third = CONNECTS // 3
    assert set(seen) == {"silent", "gone", "closed"}, seen
    assert all(abs(count - third) <= 1 for count in seen.values()), seen
    assert log() == []


def test_of_many_websockets_that_want_a_session_one_gets_it(dial: Dial, log: Callable[[], list[str]]) -> None:
    session = dial.polling()
    session.join()
    first = dial.probe(session)
    others = [dial.handshake(endpoint("websocket", session.sid)) for _ in range(50)]
    for other in others:
        other.send_packet("2probe")
        assert other.wait_for_end().texts == []
    first.send_packet("5")
    assert first.ask("echo", 1) == [1]
    assert log() == []
