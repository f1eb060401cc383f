"""The official JavaScript client, under Node, against both servers and on each transport."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.live import sites
from tests.live.servers import ROOT, Server, eventually, free_port
from tests.live.services import missing, program
from tests.live.sites import lives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.live

SCRIPT: Final = Path(__file__).parent / "js" / "client.mjs"
PATIENCE: Final = 15.0
"""Seconds to wait for Node's answer; the script itself gives up after ten."""


class Node:
    """A Node process that plays one scenario of client.mjs after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line)

    def start(self, scenario: str, url: str, transports: list[str], tag: str) -> None:
        """Begin a scenario."""
        assert self.process.stdin is not None
        order = {"scenario": scenario, "url": url, "transports": transports, "tag": tag}
        self.process.stdin.write(f"{json.dumps(order)}\n")
        self.process.stdin.flush()

    def answer(self, kind: str = "result") -> Any:
        """Give what the scenario says next."""
        answer = json.loads(self._answers.get(timeout=PATIENCE))
        assert kind in answer, answer.get("error", answer)
        return answer[kind]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """Run Node with the client that `npm ci` put into static/node_modules."""
    if not (ROOT / "static/node_modules/socket.io-client").exists():
        missing("socket.io-client is not installed: run npm ci in static/")
    argv = [program("node"), str(SCRIPT)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Node(process)
        process.kill()


@pytest.fixture
def play(node: Node, site: Server, transports: list[str], tag: str) -> Callable[[str], Any]:
    """Give the function that plays a scenario with this server and these transports, and gives what it saw."""

    def play(scenario: str) -> Any:
        node.start(scenario, site.url, transports, tag)
        return node.answer()

    return play


def test_connects_with_the_best_transport_it_may_use(play: Callable[[str], Any], transports: list[str]) -> None:
    seen = play("connects")
    assert seen["sid"]
    assert seen["transport"] == transports[-1]


def test_a_value_comes_back_as_it_went(play: Callable[[str], Any]) -> None:
    """Rows D-25, D-31; wire P4: any JSON, a lone surrogate among it, goes both ways."""
    seen = play("echo")
    assert seen["same"], seen["answers"]


def test_a_tuple_is_several_values_and_none_is_no_value(play: Callable[[str], Any]) -> None:
    """Row D-25; wire P4."""
    assert play("several") == [[1, "two", {"three": 3}], [], []]


def test_no_ack_leaves_the_client_without_an_answer(play: Callable[[str], Any]) -> None:
    """Wire P4."""
    assert play("no_ack") == ["operation has timed out", "still here"]


def test_binary_goes_both_ways(play: Callable[[str], Any]) -> None:
    assert play("binary") == {"acked": ["x", [0, 1, 255], True, 0], "event": ["one", "two", "three"]}


def test_several_namespaces_share_a_connection(play: Callable[[str], Any]) -> None:
    """Wire C7: leaving one leaves the others."""
    seen = {"shared": True, "answers": ["a", "chat: b"], "after": "c", "root": True, "chat": False}
    assert play("namespaces") == seen


def test_a_room_hears_what_is_said_in_it(play: Callable[[str], Any]) -> None:
    """Row D-29: who has left a room hears no more, who spoke was left out with skip_sid."""
    assert play("rooms") == {"speaker": [], "member": ["one"], "other": []}


def test_a_refusal_tells_its_reason_and_data(play: Callable[[str], Any]) -> None:
    """Row D-41; wire C3: an exception tells nothing of itself."""
    assert play("refusals") == {
        "reason": {"message": "wrong password", "data": None},
        "data": {"message": "wrong password", "data": {"left": 2}},
        "builtin": {"message": "not you", "data": None},
        "false": {"message": "Connection rejected by server", "data": None},
        "error": {"message": "not today", "data": {"code": "closed"}},
        "failure": {"message": "Internal server error", "data": None},
        "none": "connected",
    }


def test_an_unknown_namespace_is_refused(play: Callable[[str], Any]) -> None:
    """Row D-21; wire C2."""
    assert play("unknown_namespace") == {"message": "Invalid namespace", "data": None}


def test_a_refused_namespace_leaves_the_others(play: Callable[[str], Any]) -> None:
    """Wire C7."""
    assert play("refused_beside_another") == [{"message": "wrong password", "data": None}, "still here"]


def test_what_goes_wrong_is_told_in_the_acknowledgement(play: Callable[[str], Any]) -> None:
    """Rows D-43 to D-47, W-D21; wire P4 and P6: the connection lives, and no internals leak."""

    def error(code: str, message: str) -> dict[str, Any]:
        return {"error": {"code": code, "message": message}}

    assert play("error_acks") == {
        "unknown": error("unknown_event", "Unknown event: nobody_handles_this"),
        "wrong": error("wrong_arguments", "Wrong number of arguments for pair"),
        "many": error("wrong_arguments", "Wrong number of arguments for pair"),
        "failed": error("handler_failed", "Internal server error"),
        "denied": error("closed", "not today"),
        "after": "still here",
    }


def test_a_client_is_told_that_the_server_disconnected_it(play: Callable[[str], Any], site: Server, tag: str) -> None:
    """Row D-42."""
    assert play("kicked")["reason"] == "io server disconnect"
    eventually(lambda: lives(site, tag) == ["connect", "server disconnect"], "the disconnect handler")


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("leaves", "client namespace disconnect"),
        ("leaves_namespace", "client namespace disconnect"),
        ("loses_connection", "transport close"),
    ],
)
def test_the_server_learns_why_a_client_left(
    play: Callable[[str], Any], site: Server, tag: str, scenario: str, reason: str
) -> None:
    """Row D-42; wire H3."""
    play(scenario)
    eventually(lambda: len(lives(site, tag)) == 2, "the disconnect handler")
    assert lives(site, tag) == ["connect", reason]


def test_a_plain_view_emits(play: Callable[[str], Any]) -> None:
    """Row D-30."""
    assert play("view_emits") == {"status": 200, "news": [{"title": "é"}]}


def test_a_background_task_emits(play: Callable[[str], Any]) -> None:
    """Rows D-30, W-D20."""
    assert play("background_task_emits") == [0, 1, 2]


def test_a_handler_awaits_the_answer_of_its_own_client(play: Callable[[str], Any]) -> None:
    """Wire P5: acknowledgements do not wait behind events."""
    assert play("server_asks") == ["WHY", "!"]


def test_events_are_handled_in_the_order_sent(play: Callable[[str], Any]) -> None:
    """Wire P5, pitfall 4: text and binary, and across an upgrade."""
    assert play("many_up") == list(range(300))


def test_events_arrive_in_the_order_emitted(play: Callable[[str], Any]) -> None:
    """The acknowledgement comes after what its handler emitted."""
    assert play("many_down") == {"end": 300, "numbers": list(range(300))}


def test_the_client_is_connected_before_it_hears_anything(play: Callable[[str], Any]) -> None:
    """Wire C1."""
    assert play("greeting") == ["connect", 1, 2, 3]


@pytest.mark.parametrize("kind", sites.KINDS)
def test_reconnects_to_a_restarted_server(node: Node, kind: str, transports: list[str], tag: str) -> None:
    """Row W-D10."""
    port = free_port()
    with sites.running(kind, port=port) as site:
        node.start("reconnects", site.url, transports, tag)
        assert node.answer("news") == "connected"
    with sites.running(kind, port=port):
        seen = node.answer()
    assert seen["reason"] in ("transport close", "transport error")
    assert seen["renewed"]
    assert seen["answer"] == "again"
