"""
What a connection may send, over real long-polling in this process; wire rules P1 and P2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio import Namespace
from dtws_sio.packet import RESERVED_EVENTS
from tests.handling import errors
from tests.page import DEADLINE, Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server

BREACHES: dict[str, list[str | bytes]] = {
    "unknown packet type": ["7"],
    "letters": ["abc"],
    "an Engine.IO message that is an object": ["{}"],
    "invalid JSON": ['2["echo"'],
    "an event that is an object": ["2{}"],
    "an event that is empty": ["2[]"],
    "an event whose name is an object": ["2[{}]"],
    **{f"the reserved event {name}": [f'2["{name}",{{"HTTP_COOKIE":"x"}}]'] for name in sorted(RESERVED_EVENTS)},
    "a disconnect with payload": ["1{}"],
    "an acknowledgement that is an object": ["31{}"],
    "a CONNECT with a list": ["0/other,[]"],
    "an acknowledgement id that is negative": ['2-1["echo"]'],
    "a second CONNECT": ["0"],
    "a second CONNECT with auth": ['0{"a":1}'],
    "an event for a namespace that is not joined": ['2/other,["echo"]'],
    "an event for a namespace that does not exist": ['2/unknown,["echo"]'],
    "text where an attachment is due": ['51-["echo",{"_placeholder":true,"num":0}]', '2["echo"]'],
    "a binary frame where none is due": [b"\x01"],
    "a binary frame too many": ['51-["echo",{"_placeholder":true,"num":0}]', b"1", b"2"],
    "too many attachments": ['511-["echo"]'],
    "a placeholder without attachment": ['51-["echo",{"_placeholder":true,"num":1}]', b"1"],
    "a CONNECT_ERROR": ['4{"message":"no"}'],
    "nesting without end": ["2" + "[" * 50_000],
    "an attachment in nesting almost without end": ['51-["echo",' + "[" * 1000 + "]" * 1000 + "]", b"1"],
}


@pytest.mark.parametrize("messages", BREACHES.values(), ids=BREACHES.keys())
def test_a_breach_of_the_protocol_closes_the_connection_and_no_other_wire_p1(
    visit: Callable[..., Page],
    server: Server,
    echo: None,
    left: list[tuple[str, str]],
    messages: list[str | bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Rows D-43 to D-45, W-D3."""
    connected = []
    server.on("connect", lambda sid, environ: connected.append(sid))
    server.on("where", lambda sid: sid, "/other")
    bystander, page = visit("/"), visit("/")

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "dtws_sio.clients"]

    page.send(*messages)
    assert page.is_closed
    assert eventually(told), "what is told is told a moment later, as the hub may not log"
    assert eventually(lambda: left)
    assert left == [(page.sid, "parse error")]
    assert connected == [bystander.sid, page.sid]
    (line,) = told()
    assert line.startswith("closed the connection of 192.0.2.1: ")
    assert errors(caplog) == []
    assert bystander.ask("echo", "alive") == ["alive"]


@pytest.mark.parametrize("event", sorted(RESERVED_EVENTS))
@pytest.mark.parametrize("payload", ["", ',{"HTTP_COOKIE":"x"}', ',"transport close"'])
def test_a_forged_reserved_event_reaches_no_handler_wire_p2(
    visit: Callable[..., Page], server: Server, event: str, payload: str
) -> None:
    """Rows W-D5 and W-D6, pitfall 10: neither plain handlers nor methods, nor those that catch all events."""
    got: list[tuple[str, Any]] = []

    class Shop(Namespace):
        def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
            got.append(("connect", environ["REQUEST_METHOD"]))

        def on_disconnect(self, sid: str, reason: str) -> None:
            got.append(("disconnect", reason))

    server.register_namespace(Shop("/shop"))
    server.on("*", lambda event, *rest: got.append((event, rest)), "/shop")
    server.on("*", lambda event, *rest: got.append((event, rest)), "*")
    page = visit("/shop")
    page.send(f'2/shop,["{event}"{payload}]')
    assert eventually(lambda: len(got) == 2)
    assert server._pool.wait_until_idle(DEADLINE)
    assert got == [("connect", "GET"), ("disconnect", "parse error")]


@pytest.mark.parametrize("method", ["popen", "reopen", "emit", "enter_room", "trigger_event", "on_order", "__init__"])
def test_only_what_is_registered_can_be_called(visit: Callable[..., Page], server: Server, method: str) -> None:
    """Row W-D6, pitfall 10."""

    class Shop(Namespace):
        def on_order(self, sid: str) -> str:
            return "ordered"

    server.register_namespace(Shop("/shop"))
    page = visit("/shop")
    unknown = {"error": {"code": "unknown_event", "message": f"Unknown event: {method}"}}
    assert page.ask(method, namespace="/shop") == [unknown]
    assert page.ask("order", namespace="/shop") == ["ordered"]
