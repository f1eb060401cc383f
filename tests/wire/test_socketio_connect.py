"""Joining namespaces and leaving them. Source: wire rules C1 to C7."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from .clients import AT_ONCE, CLOSE, ClosedError, Polling, pause

if TYPE_CHECKING:
    from .clients import SocketIO
    from .conftest import Dial, Site, Witness

WAIT = 0.15
"""Seconds that a connect handler takes where it is told to."""


def begin(client: SocketIO, tag: str, do: str, *more: str, namespace: str = "/") -> None:
    """Ask to join a namespace, with further packets right behind."""
    head = "0" if namespace == "/" else f"0{namespace},"
    client.send(head + json.dumps({"tag": tag, "do": do, "seconds": WAIT}), *more)


def wait_for(witness: Witness, tag: str, what: str) -> None:
    """Wait until something has happened to the clients of a tag."""
    end = time.monotonic() + WAIT + AT_ONCE
    while what not in witness.lives(tag):
        assert time.monotonic() < end, f"{what!r} did not happen"


@pytest.mark.parametrize("do", ["emit", "emit wait"])
@pytest.mark.parametrize("namespace", ["/", "/chat"])
def test_connect_is_the_first_packet_that_a_client_sees(
    dial: Dial, site: Site, tag: str, transport: str, do: str, namespace: str
) -> None:
    """What its connect handler emits to it follows, in order. Source: wire C1."""
    client = dial.client(transport, site)
    begin(client, tag, do, namespace=namespace)
    address = "" if namespace == "/" else f"{namespace},"
    first = client.text()
    assert first.startswith(f"0{address}{{")
    assert json.loads(first[1 + len(address) :]).keys() == {"sid"}
    assert [client.text(), client.text()] == [f'2{address}["hello",1]', f'2{address}["hello",2]']
    assert client.is_quiet(0.1)


def test_sid_of_a_namespace_is_not_the_sid_of_the_session(dial: Dial, site: Site, transport: str) -> None:
    """Whoever knows the one cannot use the other. Source: wire C1."""
    client = dial.client(transport, site)
    sids = [client.join(), client.join("/chat"), client.sid]
    assert len(set(sids)) == 3


@pytest.mark.parametrize("form", ["0/nowhere", "0/nowhere,", '0/nowhere,{"tag":1}'])
def test_unknown_namespace_is_refused_with_an_object(dial: Dial, site: Site, transport: str, form: str) -> None:
    """And the connection can still be used. Source: wire C2."""
    client = dial.client(transport, site)
    client.send(form)
    assert client.text() == '4/nowhere,{"message":"Invalid namespace"}'
    client.join()


def test_refusal_carries_its_message_and_data(dial: Dial, site: Site, tag: str, transport: str) -> None:
    """Another attempt, and other namespaces, are open. Source: wire C3."""
    client = dial.client(transport, site)
    begin(client, tag, "refuse")
    answer = client.text()
    assert answer.startswith("4{")
    assert json.loads(answer[1:]) == {"message": "not you", "data": {"why": "wire"}}
    client.join("/chat")
    client.join()


def test_refusal_by_false_is_an_object_with_a_message(dial: Dial, site: Site, tag: str, transport: str) -> None:
    """Source: wire C3."""
    client = dial.client(transport, site)
    begin(client, tag, "false", namespace="/chat")
    answer = client.text()
    assert answer.startswith("4/chat,{")
    told = json.loads(answer.removeprefix("4/chat,"))
    assert told.keys() == {"message"}
    assert told["message"]


def test_connect_handler_that_raises_tells_the_log_and_not_the_client(
    dial: Dial, site: Site, tag: str, transport: str
) -> None:
    """One record. Source: wire C3."""
    client = dial.client(transport, site)
    begin(client, tag, "raise")
    assert client.text() == '4{"message":"Internal server error"}'
    pause(0.1)
    assert site.log().count(f"OnPurposeError: {tag}\n") == 1
    client.join()


def test_client_within_its_connect_handler_gets_no_broadcast_and_is_in_no_room(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str
) -> None:
    """Neither to all nor to the room that it entered there; once accepted it gets both. Source: wire C4."""
    client = dial.client(transport, site)
    begin(client, tag, "wait")
    wait_for(witness, tag, "connecting")
    for room in (None, f"room {tag}"):
        witness.broadcast(f"early {tag}", room)
    assert witness.members(tag) == 0
    assert "accepted" not in witness.lives(tag)
    assert client.text().startswith("0{")
    assert witness.members(tag) == 1
    witness.broadcast(f"late {tag}", f"room {tag}")
    assert client.text() == f'2["late {tag}"]'
    assert client.is_quiet(0.1)


def test_client_that_is_refused_has_received_nothing_else(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str
) -> None:
    """Nor what its connect handler emitted, nor anything later. Source: wire C4."""
    client = dial.client(transport, site)
    begin(client, tag, "emit wait refuse")
    wait_for(witness, tag, "connecting")
    witness.broadcast(f"early {tag}", f"room {tag}")
    assert client.text().startswith('4{"message":"not you"')
    witness.broadcast(f"late {tag}", f"room {tag}")
    assert client.is_quiet(0.2)
    assert witness.members(tag) == 0
    assert witness.lives(tag) == ["connecting"]


@pytest.mark.parametrize("do", ["wait", "wait refuse"])
def test_no_event_runs_before_the_connect_handler_has_accepted(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str, do: str
) -> None:
    """
    However early it is sent. The reference closes such a connection: the namespace is not joined yet.

    Source: wire C5.
    """
    client = dial.client(transport, site)
    begin(client, tag, do, '2["mark","early"]')
    pause(0.05)
    client.emit("mark", "within")
    pause(WAIT + 0.1)
    lives = witness.lives(tag)
    assert not [each for each in lives[: lives.index("accepted") if "accepted" in lives else None] if "mark" in each]
    if do == "wait refuse":
        assert lives == ["connecting"]


LEAVING: dict[str, tuple[str, Any]] = {
    "packet over polling": ("polling", lambda client: client.post("1")),
    "packet": ("websocket", lambda client: client.send_packet("1")),
    "packet after an upgrade": ("upgraded", lambda client: client.send_packet("1")),
    "close frame": ("websocket", lambda client: client.send_frame(CLOSE, b"\x03\xe8")),
    "reset": ("websocket", lambda client: client.reset()),
    "end of the bytes": ("upgraded", lambda client: client.close()),
    "leaving the namespace": ("websocket", lambda client: client.send("1")),
    "invalid packet": ("polling", lambda client: client.post("9")),
}


GHOSTS = [
    *(pytest.param(*how, "emit wait", id=f"{name}, then accepted") for name, how in LEAVING.items()),
    *(pytest.param(*LEAVING[name], "emit wait refuse", id=f"{name}, then refused") for name in list(LEAVING)[:2]),
    *(pytest.param(*LEAVING[name], "wait raise", id=f"{name}, then an error") for name in list(LEAVING)[:2]),
]


@pytest.mark.parametrize(("transport", "leave", "do"), GHOSTS)
def test_client_that_goes_while_its_connect_handler_runs_leaves_no_ghost(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str, leave: Any, do: str
) -> None:
    """In no room, and disconnected exactly once if it was accepted, else never. Source: wire C6."""
    client = dial.client(transport, site)
    begin(client, tag, do)
    wait_for(witness, tag, "connecting")
    leave(client)
    pause(WAIT + 0.1)
    lives = witness.lives(tag)
    accepted = lives[1:2] == ["accepted"]
    assert accepted or do != "emit wait" or lives == ["connecting"], lives
    assert len(witness.disconnects(tag)) == accepted, lives
    assert witness.members(tag) == 0


def test_leaving_one_namespace_leaves_the_others(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str
) -> None:
    """Either way round; a namespace that was left can be joined anew, as another client. Source: wire C7."""
    client = dial.client(transport, site)
    before = client.join(auth={"tag": tag})
    client.join("/chat", auth={"tag": f"{tag} in chat"})
    assert client.ask("ask", 1, namespace="/chat") == [1]
    client.send("1")
    assert client.ask("ask", 2, namespace="/chat") == [2]
    assert witness.reasons(tag) == ["client namespace disconnect"]
    assert client.join() != before
    client.send("1/chat,")
    assert client.ask("ask", 3) == [3]
    assert witness.reasons(f"{tag} in chat") == ["client namespace disconnect"]


def test_namespaces_of_one_connection_hear_only_their_own(dial: Dial, site: Site, tag: str, transport: str) -> None:
    """The same room in two namespaces is two rooms. Source: wire C7."""
    client = dial.client(transport, site)
    client.join(auth={"tag": tag})
    client.join("/chat", auth={"tag": tag})
    client.emit("broadcast", "x", f"room {tag}", namespace="/chat")
    assert client.text() == '2/chat,["x"]'
    assert client.is_quiet(0.1)


def test_connection_lives_on_when_its_last_namespace_was_left(dial: Dial, site: Site, transport: str) -> None:
    """Source: wire C7."""
    client = dial.client(transport, site)
    client.join()
    client.send("1")
    try:
        assert client.is_quiet(0.2)
    except ClosedError:
        pytest.fail("the connection was closed with its last namespace")
    client.join("/chat")


def test_form_of_the_address_does_not_matter(dial: Dial, site: Site) -> None:
    """`40/chat` and `40/chat,` name the same namespace. Source: wire C7."""
    polling: Polling = dial.polling(site)
    polling.send("0/chat")
    assert polling.text().startswith("0/chat,{")
    assert polling.ask("ask", 1, namespace="/chat") == [1]
