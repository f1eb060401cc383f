"""
Pings, time limits, and the ends of connections. Source: wire rules H1 to H4.

The server of most of these tests pings each 0.3 s, waits 0.2 s for the answer, and 1.5 s for the first namespace. Lower
bounds are exact but for the clocks' grain; upper bounds leave room for a busy machine.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from .clients import (
    CLOSE,
    DEADLINE,
    TEXT,
    ClosedError,
    Polling,
    WebSocket,
    endpoint,
    frame,
    later,
    pause,
    request,
)
from .conftest import TRANSPORTS, Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Dial, Site

INTERVAL, TIMEOUT, CONNECT_TIMEOUT = 0.3, 0.2, 1.5
"""As in the settings of the server, in seconds."""

GRAIN = 0.03
"""Seconds by which two clocks, and the way over the network, may differ."""

SLACK = 0.25
"""Seconds that a busy machine may be late; less than the half second by which one walk over all clients is."""


@pytest.fixture
def hasty_witness(hasty_site: Site, dial: Dial) -> Any:
    """
    Watch the clients of `hasty_site`, one question at a time.

    Each has a connection of its own, because nobody answers pings between two questions.
    """

    class Asking:
        def __getattr__(self, name: str) -> Any:
            client = dial.websocket(hasty_site)
            client.join()
            return getattr(Witness(client), name)

    return Asking()


def opened_at(client: Any) -> float:
    """Give the time just before the handshake: what is measured from then may seem late, and never early."""
    at: float = client.opened_at
    return at


def ping_after(client: Polling | WebSocket, started: float) -> float:
    """Wait for the next packet, which has to be a ping, and give how long after a time it came."""
    assert client.packet() == "2"
    return time.monotonic() - started


def send_pong(client: Any) -> None:
    """Answer a ping."""
    client.post("3") if isinstance(client, Polling) else client.send_packet("3")


def end_after(client: Any, started: float) -> float:
    """Wait until the session is over, without answering a ping, and give how long after a time that was."""
    try:
        while client.packet(DEADLINE) != "1":
            pass
    except ClosedError:
        pass
    return time.monotonic() - started


def on_every_transport(check: Callable[[str], object]) -> None:
    """Run a check for each transport, all at the same time: most of it is waiting."""
    for running in [later(check, transport) for transport in TRANSPORTS]:
        running.result(2 * DEADLINE)


def test_ping_comes_an_interval_after_the_opening_and_after_each_pong(dial: Dial, hasty_site: Site) -> None:
    """Whoever answers stays. Source: wire H1."""

    def check(transport: str) -> None:
        client: Any = dial.client(transport, hasty_site)
        client.join()
        started = opened_at(client)
        for _ in range(4):
            assert INTERVAL - GRAIN <= ping_after(client, started) <= INTERVAL + SLACK, transport
            started = time.monotonic()
            send_pong(client)
        assert client.ask("ask", 1) == [1]

    on_every_transport(check)


@pytest.mark.parametrize("answered", [0, 2])
def test_session_closes_when_a_pong_is_due_and_not_later(
    dial: Dial, hasty_site: Site, hasty_witness: Witness, tag: str, answered: int
) -> None:
    """An interval and a timeout after the last pong, or after the opening. Source: wire H1."""

    def check(transport: str) -> None:
        client: Any = dial.client(transport, hasty_site)
        client.join(auth={"tag": f"{tag} {transport}"})
        last = opened_at(client)
        for _ in range(answered):
            assert client.packet() == "2"
            last = time.monotonic()
            send_pong(client)
        assert client.packet() == "2"
        assert INTERVAL + TIMEOUT - GRAIN <= end_after(client, last) <= INTERVAL + TIMEOUT + SLACK, transport
        assert request(hasty_site.port, "GET", endpoint("polling", client.sid)).status == 400

    on_every_transport(check)
    for transport in TRANSPORTS:
        assert hasty_witness.reasons(f"{tag} {transport}") == ["ping timeout"]


def test_polling_client_that_is_never_seen_again_is_closed_in_time(
    dial: Dial, hasty_site: Site, hasty_witness: Witness, tag: str
) -> None:
    """With no poll pending either; shortly before the deadline its ping can still be fetched. Source: wire H1."""
    gone, late = dial.polling(hasty_site), dial.polling(hasty_site)
    gone.join(auth={"tag": tag})
    pause(late.opened_at + INTERVAL + TIMEOUT / 2 - time.monotonic())
    assert late.get().body == b"2"
    pause(late.opened_at + INTERVAL + TIMEOUT + SLACK - time.monotonic())
    assert [gone.get().status, late.get().status] == [400, 400]
    assert hasty_witness.reasons(tag) == ["ping timeout"]


def test_poll_at_the_very_deadline_finds_the_session_gone(dial: Dial, hasty_site: Site) -> None:
    """However coarse the timers are: a dozen clients, each at its own moment. Source: wire H1."""

    def check(number: int) -> int:
        pause(0.0137 * number)
        polling = dial.polling(hasty_site)
        pause(INTERVAL + TIMEOUT)
        return polling.get().status

    assert [each.result(DEADLINE) for each in [later(check, number) for number in range(12)]] == [400] * 12


def test_each_client_has_a_deadline_of_its_own(dial: Dial, hasty_site: Site) -> None:
    """A dozen, opened one after the other, go one after the other. Source: wire H1."""
    clients: list[Any] = []
    for number in range(12):
        clients.append(dial.websocket(hasty_site) if number % 2 else dial.polling(hasty_site))
        pause(0.03)
    ends = [later(end_after, client, opened_at(client)) for client in clients]
    took = [end.result(DEADLINE) for end in ends]
    assert min(took) >= INTERVAL + TIMEOUT - GRAIN
    assert max(took) <= INTERVAL + TIMEOUT + SLACK


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_other_packets_are_no_answer_to_a_ping(dial: Dial, hasty_site: Site, transport: str) -> None:
    """
    Events do not keep a client alive that answers no ping.

    The reference allows one more timeout to a client from which something came meanwhile. Source: wire H1.
    """
    client: Any = dial.client(transport, hasty_site)
    client.join()
    ended = later(end_after, client, opened_at(client))
    while not ended.done() and time.monotonic() < opened_at(client) + 3:
        client.emit("nothing")
        pause(0.05)
    assert INTERVAL + TIMEOUT - GRAIN <= ended.result(DEADLINE) <= INTERVAL + 2 * TIMEOUT + SLACK


def test_pong_that_came_unasked_does_no_harm(dial: Dial, hasty_site: Site) -> None:
    """It may only move the deadline. Source: wire H1."""
    client = dial.websocket(hasty_site)
    client.join()
    client.send_raw(frame(TEXT, "3") * 20)
    for _ in range(3):
        assert client.packet() == "2"
        client.send_packet("3")
    assert client.ask("ask", 1) == [1]


def test_pings_do_not_wait_behind_a_handler(dial: Dial, hasty_site: Site, hasty_witness: Witness, tag: str) -> None:
    """Nor do pongs: a client whose event takes twice the deadline stays. Source: wire H1 and P5."""
    seconds = 2 * (INTERVAL + TIMEOUT)

    def check(transport: str) -> None:
        client = dial.client(transport, hasty_site)
        client.join(auth={"tag": tag})
        started = time.monotonic()
        assert client.ask("mark", "long", seconds) == ["long"]
        assert time.monotonic() - started >= seconds - GRAIN

    on_every_transport(check)
    assert hasty_witness.disconnects(tag) == []


def test_upgrade_keeps_the_deadline(dial: Dial, hasty_site: Site) -> None:
    """A session that upgrades and then says nothing is closed as any other. Source: wire H1."""
    polling = dial.polling(hasty_site)
    polling.join()
    websocket = dial.probe(polling)
    websocket.send_packet("5")
    assert INTERVAL + TIMEOUT - GRAIN <= end_after(websocket, polling.opened_at) <= INTERVAL + TIMEOUT + SLACK


def test_session_that_dies_during_its_upgrade_takes_the_websocket_along(dial: Dial, hasty_site: Site) -> None:
    """The probe was answered, and then nothing came. Source: wire H1."""
    polling = dial.polling(hasty_site)
    websocket = dial.probe(polling)
    websocket.wait_for_end(INTERVAL + TIMEOUT + SLACK)
    assert time.monotonic() - polling.opened_at >= INTERVAL + TIMEOUT - GRAIN
    assert polling.get().status == 400


# H2

BAD_PACKETS = {
    "unknown type": frame(TEXT, "9"),
    "no type": frame(TEXT, "abc"),
    "empty": frame(TEXT, ""),
    "a client's ping": frame(TEXT, "2"),
    "a probe where none is due": frame(TEXT, "2probe"),
    "a type of another script": frame(TEXT, "٤hello"),
}


@pytest.mark.parametrize("data", BAD_PACKETS.values(), ids=BAD_PACKETS)
@pytest.mark.parametrize("transport", ["websocket", "upgraded"])
def test_invalid_packet_closes_the_websocket_at_once(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str, data: bytes
) -> None:
    """What is behind it is not handled, nothing but frames is written, and the session is gone. Source: wire H2."""
    websocket = dial.client(transport, site)
    assert isinstance(websocket, WebSocket)
    websocket.join(auth={"tag": tag})
    websocket.send_raw(data + frame(TEXT, '427["mark","behind"]'))
    assert websocket.wait_for_end().texts in ([], ["1"])
    assert request(site.port, "GET", endpoint("polling", websocket.sid)).status == 400
    (reason,) = witness.reasons(tag)
    assert reason in {"parse error", "transport error"}
    assert witness.marks(tag) == []


# H3


def by_packet(client: Any) -> None:
    """End the session as a page does that is left."""
    if isinstance(client, Polling):
        client.post("1")
    else:
        client.send_packet("1")
        client.wait_for_end()


def by_close_frame(client: Any) -> None:
    """End the WebSocket as a browser does when a tab is closed."""
    client.send_frame(CLOSE, b"\x03\xe9")
    client.wait_for_end()


ENDS = {
    "packet over polling": ("polling", by_packet),
    "packet": ("websocket", by_packet),
    "close frame": ("websocket", by_close_frame),
    "close frame after an upgrade": ("upgraded", by_close_frame),
    "end of the bytes": ("websocket", lambda client: client.close()),
    "reset": ("websocket", lambda client: client.reset()),
    "reset after an upgrade": ("upgraded", lambda client: client.reset()),
}


@pytest.mark.parametrize(("transport", "end"), ENDS.values(), ids=ENDS)
def test_end_of_the_connection_is_told_as_transport_close(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str, end: Any
) -> None:
    """In every namespace, once. Source: wire H3."""
    client = dial.client(transport, site)
    client.join(auth={"tag": tag})
    client.join("/chat", auth={"tag": f"{tag} in chat"})
    end(client)
    witness.reasons(tag)
    pause(0.1)  # a second one would come now
    assert witness.reasons(tag) == ["transport close"]
    assert witness.reasons(f"{tag} in chat") == ["transport close"]
    assert witness.members(tag) == 0


def test_leaving_a_namespace_is_told_as_such(
    dial: Dial, site: Site, witness: Witness, tag: str, transport: str
) -> None:
    """Also if the connection ends right behind it. Source: wire H3."""
    client = dial.client(transport, site)
    client.join(auth={"tag": tag})
    client.join("/chat", auth={"tag": f"{tag} in chat"})
    if isinstance(client, Polling):
        client.post("41", "1")
    else:
        client.send_raw(frame(TEXT, "41") + frame(TEXT, "1"))  # type: ignore[attr-defined]
    assert witness.reasons(tag) == ["client namespace disconnect"]
    assert witness.reasons(f"{tag} in chat") == ["transport close"]


# H4

NOT_JOINED = (None, '0{"do":"refuse"}', "0/nowhere,")
"""What a client asks that is let into no namespace: nothing, what is refused, what does not exist."""


def test_client_that_joins_no_namespace_is_closed(dial: Dial, hasty_site: Site) -> None:
    """Although it answers each ping; having asked is not enough. Source: wire H4."""

    def check(transport: str, message: str | None) -> None:
        client = dial.client(transport, hasty_site)
        if message is not None:
            client.send(message)
            assert client.text().startswith("4")
        client.wait_until_closed(CONNECT_TIMEOUT + 2 * SLACK)
        assert time.monotonic() - opened_at(client) >= CONNECT_TIMEOUT - GRAIN, (transport, message)
        assert request(hasty_site.port, "GET", endpoint("polling", client.sid)).status == 400

    running = [later(check, transport, message) for transport in TRANSPORTS for message in NOT_JOINED]
    for each in running:
        each.result(DEADLINE)


def test_client_that_joined_in_time_stays(dial: Dial, hasty_site: Site) -> None:
    """The time limit is for the first namespace alone, whichever it is. Source: wire H4."""

    def check(transport: str) -> None:
        client = dial.client(transport, hasty_site)
        client.join("/chat")
        assert client.is_quiet(CONNECT_TIMEOUT + 2 * SLACK)
        assert client.ask("ask", 1, namespace="/chat") == [1]

    on_every_transport(check)
