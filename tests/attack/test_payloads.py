"""Messages and bodies that want the server to fall over."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire.clients import endpoint, request

from . import attackers as attacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Dial
    from .harness import Attackers, Target

MUCH = 900_000
"""Nearly MAX_PAYLOAD."""

NORMAL = 1000
"""Close code of a session that the server ends, as the reference server does after a broken packet."""

BROKEN = {
    "lists 450,000 deep": f'2["echo",{"[" * (MUCH // 2)}{"]" * (MUCH // 2)}]',
    "lists 5,000 deep": f'2["echo",{"[" * 5000}{"]" * 5000}]',
    "lists 1,000 deep, which could be read and not written": f'2["echo",{"[" * 1000}{"]" * 1000}]',
    "objects 2,000 deep": '2["echo",' + '{"a":' * 2000 + "1" + "}" * 2000 + "]",
    "lists that are never closed": "2" + "[" * MUCH,
    "no JSON": '2["echo",',
    "not a number": '2["echo",NaN]',
    "a whole number of 900,000 digits": f'2["echo",{"9" * MUCH}]',
    "a million attachments": '51000000-["echo",1]',
    "a count of attachments of 900,000 digits": f'5{"9" * MUCH}-["echo",1]',
    "an acknowledgement id of 900,000 digits": f'2{"9" * MUCH}["echo",1]',
    "a namespace of 900,000 characters": f"0/{'x' * MUCH},",
    "a packet type that does not exist": "7",
    "a packet that only servers send": '4{"message":"no"}',
    "an event without a name": "2[]",
    "an event whose name is an object": '2[{"a":1}]',
    "an event of a namespace that was not joined": '2/chat,["echo",1]',
    "an acknowledgement that is no list": '31{"a":1}',
    "a disconnect with a payload": '1{"a":1}',
    "a second connect": "0",
}


def collide() -> dict[str, int]:
    """Make keys that hash alike where strings are hashed by Bernstein's function, as in PHP and Java."""
    return {"".join(parts): 1 for parts in itertools.product(("Aa", "BB"), repeat=14)}


HARMLESS: dict[str, Any] = {
    "16,384 keys whose hashes collide elsewhere": collide(),
    "50,000 keys": {f"{number:06}": number for number in range(50_000)},
    "a list of 300,000 items": [1] * 300_000,
    "a string of 900,000 characters": "x" * MUCH,
    "a fraction of 1,000 digits": float("0." + "3" * 1000),
}


@pytest.mark.parametrize("packet", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_packet_closes_its_connection_with_one_line(
    packet: str, dial: Dial, log: Callable[[], list[str]]
) -> None:
    attacker = dial.joined()
    attacker.send(packet)
    assert attacker.wait_for_end().code == NORMAL
    (line,) = log()
    assert line.startswith("closed the connection of 127.0.0.1: ")
    assert len(line) < 300


@pytest.mark.parametrize("packet", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_packet_ends_a_polling_session_too(packet: str, dial: Dial, log: Callable[[], list[str]]) -> None:
    attacker = dial.polling()
    attacker.join()
    attacker.send(packet)
    assert attacker.get().status == 400
    assert len(log()) == 1


@pytest.mark.parametrize("value", HARMLESS.values(), ids=HARMLESS.keys())
def test_a_large_value_is_a_value(value: Any, dial: Dial, log: Callable[[], list[str]]) -> None:
    client = dial.joined()
    assert client.ask("echo", value) == [value]
    assert log() == []


def test_what_nests_as_deep_as_may_be_read_can_be_sent_back(dial: Dial, log: Callable[[], list[str]]) -> None:
    client = dial.joined()
    nested = "[" * 390 + "]" * 390
    client.send(f'27["echo",{nested}]')
    assert client.text() == f"37[{nested}]"
    assert log() == []


# Attachments


def test_a_placeholder_without_its_attachment_closes(dial: Dial, log: Callable[[], list[str]]) -> None:
    attacker = dial.joined()
    attacker.send('51-["echo",{"_placeholder":true,"num":999999999}]', b"x")
    assert attacker.wait_for_end().code == NORMAL
    (line,) = log()
    assert line == "closed the connection of 127.0.0.1: there is no attachment 999999999"


def test_attachments_that_nobody_announced_close(dial: Dial, log: Callable[[], list[str]]) -> None:
    attacker = dial.joined()
    attacker.send(b"x" * MUCH)
    assert attacker.wait_for_end().code == NORMAL
    assert len(log()) == 1


def test_attachments_are_no_longer_than_a_message_together(dial: Dial) -> None:
    """Ten megabytes for each connection, for as long as it answers pings."""
    attacker = dial.joined()
    attacker.send('510-["echo",1]', *[b"x" * MUCH] * 9)
    assert attacker.wait_for_end().code == NORMAL


# Compression


@pytest.mark.parametrize("fragments", [1, 50])
def test_a_deflate_bomb_is_refused_before_it_is_large(
    fragments: int, target: Target, attackers: Attackers, log: Callable[[], list[str]]
) -> None:
    assert attackers.run(attacks.bomb, target.port, 300, fragments).code == 1009
    assert log() == []


def test_garbage_that_claims_to_be_compressed_closes(dial: Dial, log: Callable[[], list[str]]) -> None:
    attacker = dial.handshake(endpoint("websocket"), headers=attacks.DEFLATE, may_compress=True)
    attacker.send_frame(1, b"\xff" * 1000, rsv=4)
    assert attacker.wait_for_end().code in (1002, 1007, 1011)
    assert log() == []


# Bodies


@pytest.mark.parametrize(
    ("packet", "count", "then"),
    [
        ("3", 400_000, "nothing"),
        ("435[]", 150_000, "nothing"),
        ('42["nobody handles this"]', 30_000, "nothing"),
        ('42["echo",1]', 70_000, "nothing"),
        ("40/nowhere,", 10_000, '44/nowhere,{"message":"Invalid namespace"}'),
        ("2", 10_000, "closed"),
    ],
    ids=["pongs", "acknowledgements", "unknown events", "events", "namespaces", "pings"],
)
def test_a_body_of_many_tiny_packets_holds_nobody_up(
    packet: str, count: int, then: str, target: Target, attackers: Attackers, log: Callable[[], list[str]]
) -> None:
    status, answer = attackers.run(attacks.post, target.port, packet, count)
    assert (status, answer) == (400 if then == "closed" else 200, then if then != "nothing" else answer)
    assert answer in (then, "2")
    assert [line for line in log() if "MAX_EVENTS" not in line] == []


WRONG_BODIES = {
    "too long": (b"4" * 1_000_001, 413),
    "not UTF-8": (b"4\xff\xfe", 400),
    "not base64": (b"b!!!", 400),
    "empty": (b"", 400),
    "only separators": (b"\x1e" * 100_000, 400),
    "a packet that only servers send": (b"0{}", 400),
}


@pytest.mark.parametrize(("body", "status"), WRONG_BODIES.values(), ids=WRONG_BODIES.keys())
def test_a_wrong_body_ends_the_session(
    body: bytes, status: int, target: Target, dial: Dial, log: Callable[[], list[str]]
) -> None:
    attacker = dial.polling()
    assert request(target.port, "POST", attacker.target, body).status == status
    assert attacker.get().status == 400
    assert log() == []
