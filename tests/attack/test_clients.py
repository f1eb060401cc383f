"""Clients that are after other clients: their sessions, their rooms, and what happens in their name."""

from __future__ import annotations

import json
import secrets
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.servers import eventually
from tests.wire.clients import AT_ONCE, endpoint, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Dial
    from .harness import Target

NORMAL = 1000
"""Close code of a session that the server ends."""


# Stolen sids


@pytest.mark.parametrize("method", ["GET", "POST", "websocket"])
@pytest.mark.parametrize("thief", ["somebody else", "nobody"])
def test_a_stolen_sid_is_of_no_use_in_another_session(
    method: str, thief: str, target: Target, dial: Dial, login: Callable[[str], str]
) -> None:
    victims = {"Cookie": login("victim")}
    thiefs = {"Cookie": login("thief")} if thief == "somebody else" else {}
    opening = request(target.port, "GET", endpoint("polling"), headers=victims)
    sid = json.loads(opening.packets[0][1:])["sid"]
    own = endpoint("polling", sid)
    dial.afterwards(request, target.port, "POST", own, "1", headers=victims)
    assert request(target.port, "POST", own, "40", headers=victims).status == 200
    if method == "websocket":
        assert dial.handshake(endpoint("websocket", sid), headers=thiefs).status in (400, 403)
    else:
        body = "41" if method == "POST" else None
        assert request(target.port, method, own, body, headers=thiefs).status in (400, 403)
    answer = request(target.port, "GET", own, headers=victims)
    assert answer.status == 200
    assert answer.packets[0].startswith('40{"sid":')


def test_a_guessed_sid_is_of_no_use(target: Target, dial: Dial, log: Callable[[], list[str]]) -> None:
    victim = dial.polling()
    victim.join()
    guesses = [secrets.token_urlsafe(15) for _ in range(50)]
    guesses += [victim.sid[:-1], victim.sid.lower() + "x", victim.sid + "%00", "..%2F", "x" * 3000]
    for sid in guesses:
        assert request(target.port, "GET", endpoint("polling", sid)).status == 400
        assert request(target.port, "POST", endpoint("polling", sid), "41").status == 400
    assert dial.handshake(endpoint("websocket", guesses[0])).status == 400
    assert victim.ask("echo", 1) == [1]
    assert log() == []


def test_sids_are_twenty_characters_that_never_repeat(dial: Dial) -> None:
    """The sid of a session is a secret, and not the one that others see."""
    sids = []
    for _ in range(20):
        client = dial.websocket()
        sids += [client.sid, client.join()]
    assert len(set(sids)) == len(sids)
    assert {len(sid) for sid in sids} == {20}


# Room guessing

ROOMS: list[Any] = [
    None,
    "",
    "/",
    "*",
    "None",
    0,
    False,
    "everybody",
    "/chat",
    "__all__",
    [],
    {},
    ["/", None],
    {"a": 1},
]
"""Names that somebody who knows the code would try."""


def test_no_room_lets_a_client_hear_what_another_is_told(dial: Dial, log: Callable[[], list[str]]) -> None:
    victim, attacker = dial.websocket(), dial.joined()
    sid = victim.join()
    refused = [{"error": {"code": "no_room", "message": "No such room"}}]
    assert attacker.ask("join", sid) == refused
    for room in (*ROOMS, victim.sid, sid.lower(), f" {sid}", f"/{sid}", f"{sid}\0"):
        (answer,) = attacker.ask("join", room)
        assert answer == "joined" or answer["error"]["code"] in ("no_room", "invalid")
    victim.emit("whisper", "a secret")
    assert victim.text() == '2["whisper","a secret"]'
    assert attacker.ask("echo", 1) == [1], "nothing came before"
    assert log() == []


def test_nobody_leaves_a_room_in_anothers_name(dial: Dial) -> None:
    """The private room of a client goes with it; its namespace elsewhere is another one."""
    victim, attacker = dial.websocket(), dial.websocket()
    sid = victim.join()
    attacker.join("/chat")
    attacker.emit("join", sid, namespace="/chat", id=1)
    assert attacker.text().startswith("3/chat,1[")
    victim.emit("whisper", "a secret")
    assert victim.text() == '2["whisper","a secret"]'
    assert attacker.is_quiet()


# Forged packets

FORGED = {
    "connect": '2["connect",{"tag":"forged"}]',
    "disconnect": '2["disconnect","transport close"]',
    "connect_error": '2["connect_error",{}]',
    "disconnecting": '2["disconnecting"]',
    "newListener": '2["newListener"]',
    "removeListener": '2["removeListener"]',
    "connect, with an acknowledgement": '27["connect",{}]',
    "disconnect, with attachments": '51-["disconnect",{"_placeholder":true,"num":0}]',
    "a refusal that only servers send": '4{"message":"no"}',
}


@pytest.mark.parametrize("packet", FORGED.values(), ids=FORGED.keys())
def test_a_forged_life_event_closes_its_connection_and_runs_nothing(
    packet: str, dial: Dial, log: Callable[[], list[str]]
) -> None:
    witness, tag = dial.joined(), uuid.uuid4().hex
    attacker = dial.joined(auth={"tag": tag})
    attacker.send(packet, *([b"x"] if packet.startswith("5") else []))
    assert attacker.wait_for_end().code == NORMAL
    eventually(lambda: len(witness.ask("lives", tag)[0]) > 1, "the disconnect handler")
    assert witness.ask("lives", tag) == [[f"connect {tag}", f"disconnect {tag}"]]
    assert len(log()) == 1


def test_events_of_a_namespace_that_was_not_joined_close_the_connection(
    dial: Dial, log: Callable[[], list[str]]
) -> None:
    attacker = dial.joined()
    attacker.send('2/chat,["echo",1]')
    assert attacker.wait_for_end().code == NORMAL
    assert log() == [
        "closed the connection of 127.0.0.1: an event for the namespace '/chat', which is not joined",
    ]


def test_acknowledgements_that_nobody_waits_for_are_ignored(dial: Dial, log: Callable[[], list[str]]) -> None:
    attacker, victim = dial.joined(), dial.joined()
    victim.emit("ask")
    question = victim.text()
    number = question.removeprefix("2").partition("[")[0]
    attacker.send(*(f'3{forged}["forged"]' for forged in (0, 1, 2, 99, 10**14, number)))
    assert attacker.ask("echo", 1) == [1]
    victim.send(f'3{number}["mine"]', f'3{number}["again"]')
    assert victim.text() == '2["answered","mine"]'
    assert victim.is_quiet(), "answered once"
    assert log() == []


def test_a_poll_beside_another_ends_only_its_own_session(target: Target, dial: Dial) -> None:
    """Whoever may poll may also end the session; see stolen sids."""
    attacker, other = dial.polling(), dial.polling()
    attacker.join()
    other.join()
    pending = attacker.get_later()
    assert attacker.get().status == 400
    assert pending.result(AT_ONCE).packets[-1] in ("1", "6")
    assert other.ask("echo", 1) == [1]
