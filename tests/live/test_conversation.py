"""
Conversations with the project over the network, with python-socketio's client and with clients made by hand.

Both servers; polling alone, WebSocket alone and both where the transport matters.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
import urllib.error
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import requests
import socketio

from tests.live import sites, wire
from tests.live.servers import Server, eventually, free_port, serve
from tests.live.sites import emit, get, lives, post

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.live


@contextmanager
def client(site: Server, transports: list[str], namespace: str = "/", **options: Any) -> Iterator[socketio.Client]:
    """Connect python-socketio's client while the block runs; with both transports, until the better one is in use."""
    with requests.Session() as http:
        page = socketio.Client(reconnection=False, handle_sigint=False, http_session=http)
        for event, handler in options.pop("events", {}).items():
            page.on(event, handler, namespace=namespace)
        try:
            page.connect(site.url, transports=transports, namespaces=[namespace], wait_timeout=10, **options)
            eventually(lambda: page.transport() == transports[-1], f"the transport {transports[-1]}")
            yield page
        finally:
            page.disconnect()
            page.eio.wait()
            if page.eio.ws is not None:
                page.eio.ws.shutdown()


# ---- the basics


def test_an_event_is_acknowledged(site: Server, transports: list[str]) -> None:
    """Rows D-25, D-27; wire P4."""
    with client(site, transports) as page:
        assert page.call("echo", {"a": [1, "é", None]}) == {"a": [1, "é", None]}
        assert page.call("several", (1, "two")) == (1, "two")
        assert page.call("nothing") is None


def test_binary_is_acknowledged_at_any_depth(site: Server, transports: list[str]) -> None:
    with client(site, transports) as page:
        value = {"raw": b"\x00\xff", "deep": [{"er": b"x" * 50_000}]}
        assert page.call("echo", value) == value


def test_a_failing_handler_leaves_the_connection(site: Server, transports: list[str]) -> None:
    """Row W-D21; wire P6."""
    with client(site, transports) as page:
        assert page.call("fail") == {"error": {"code": "handler_failed", "message": "Internal server error"}}
        assert page.call("pair", 1)["error"]["code"] == "wrong_arguments"
        assert page.call("nobody")["error"]["code"] == "unknown_event"
        assert page.call("echo", 1) == 1


@pytest.mark.parametrize(
    ("namespace", "told"),
    [
        ("/guarded", {"message": "wrong password", "data": {"left": 2}}),
        ("/nobody", {"message": "Invalid namespace"}),
    ],
)
def test_a_refused_client_is_told_why(site: Server, transports: list[str], namespace: str, told: Any) -> None:
    """Rows D-21, D-41; wire C2 and C3."""
    heard: list[Any] = []
    refusing = pytest.raises(socketio.exceptions.ConnectionError)
    with (
        refusing,
        client(site, transports, namespace, auth={"how": "data"}, events={"connect_error": heard.append}),
    ):
        pass
    assert heard == [told]


def test_a_view_emits_to_a_room_of_clients_on_every_transport(site: Server, tag: str) -> None:
    """Rows D-29, D-30."""
    heard: dict[str, list[Any]] = {}

    def listen(name: str) -> dict[str, Any]:
        heard[name] = []
        return {"news": lambda data: heard[name].append(data)}

    polling, socket = sites.TRANSPORTS["polling"], sites.TRANSPORTS["websocket"]
    with (
        client(site, polling, events=listen("polling")) as first,
        client(site, socket, events=listen("socket")) as second,
        client(site, socket, events=listen("skipped")) as third,
        client(site, polling, events=listen("elsewhere")) as fourth,
    ):
        for page in (first, second, third):
            page.call("join", tag)
        emit(site, "news", 1, room=tag, skip_sid=third.get_sid())
        emit(site, "news", 2, to=[first.get_sid(), tag], skip_sid=[third.get_sid()])
        eventually(lambda: heard["polling"] == heard["socket"] == [1, 2], "the news")
        for page in (first, second, third, fourth):
            page.call("nothing")
    assert heard == {"polling": [1, 2], "socket": [1, 2], "skipped": [], "elsewhere": []}


def test_a_handler_awaits_an_answer_of_its_own_client(site: Server, transports: list[str]) -> None:
    """Wire P5: the acknowledgement does not wait behind the event that waits for it."""
    with client(site, transports, events={"question": lambda question: (question.upper(), 2)}) as page:
        assert page.call("ask", "why") == ["WHY", 2]


# ---- order


def test_a_handler_that_waits_holds_up_its_own_client_only(site: Server, transports: list[str]) -> None:
    """Wire P5, pitfall 4; rows D-06, W-D9: `time.sleep` lets the others run."""
    with client(site, transports) as sleeper, client(site, transports) as other:
        sleeper.emit("nap", (1.0, "slept"))
        sleeper.emit("note", "after")
        started = time.monotonic()
        assert other.call("echo", 1) == 1
        assert get(site, "/pid/")
        assert time.monotonic() - started < 0.6
        assert sleeper.call("notes") == ["slept", "after"]
        assert time.monotonic() - started > 0.6


def test_a_concurrent_handler_overtakes(site: Server, transports: list[str]) -> None:
    """Wire P5."""
    with client(site, transports) as page:
        page.emit("nap", (0.5, "slept"))
        assert page.call("note_at_once", "overtook") == "overtook"
        assert page.call("notes") == ["overtook", "slept"]


def test_three_hundred_events_keep_their_order(site: Server, transports: list[str]) -> None:
    """
    Wire P5.

    By polling, python-engineio's client takes 16 packets at once (engineio/payload.py, max_decode_packets); the
    JavaScript client gets more.
    """
    numbers: list[int] = []
    many = 15 if transports == ["polling"] else 300
    with client(site, transports, events={"number": numbers.append}) as page:
        for number in range(300):
            page.emit("note", (number, "x" if number % 7 else b"x"))
        assert page.call("notes", timeout=10) == list(range(300))
        assert page.call("count", many) == many
        eventually(lambda: len(numbers) == many, f"{many} numbers")
    assert numbers == list(range(many))


# ---- leaving


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("41", "client namespace disconnect"),
        ("close", "transport close"),
        ("drop", "transport close"),
        ("server", "server disconnect"),
    ],
)
def test_the_disconnect_handler_runs_once_and_learns_why(site: Server, tag: str, how: str, reason: str) -> None:
    """Row D-42; wire H3, pitfall 8: a packet 41, a WebSocket close, a lost connection, and the server's own act."""
    with wire.connected(site) as page:
        sid = page.join("/", {"tag": tag})
        if how == "41":
            page.send("41")
        elif how == "close":
            page.connection.close()
        elif how == "drop":
            page.connection.shutdown()
        else:
            get(site, "/disconnect/", sid=sid)
            assert page.receive() == "41"
        eventually(lambda: len(lives(site, tag)) > 1, "the disconnect handler")
    assert lives(site, tag) == ["connect", reason]
    assert sid not in get(site, "/members/")


@pytest.mark.parametrize("packet", ["1", "41"])
def test_a_polling_client_that_leaves_is_told_of_once(site: Server, tag: str, packet: str) -> None:
    """Wire H3: CLOSE is `transport close`, DISCONNECT is `client namespace disconnect`."""
    page = wire.Polling(site)
    page.post(f"40{json.dumps({'tag': tag})}")
    page.receive()
    page.post(packet)
    eventually(lambda: len(lives(site, tag)) > 1, "the disconnect handler")
    reason = {"1": "transport close", "41": "client namespace disconnect"}[packet]
    assert lives(site, tag) == ["connect", reason]


def test_a_websocket_that_is_dropped_leaves_no_word_outside_the_log(site: Server) -> None:
    """Pitfall 9; the fixture `site` reads what the server printed."""
    for _ in range(10):
        assert opening(site, "websocket") == 101  # closed with Engine.IO's OPEN packet unread
    with wire.connected(site) as page:
        page.join("/")
        assert page.ask("echo", 1) == [1]


def test_leaving_a_namespace_leaves_the_connection(site: Server, tag: str) -> None:
    """Wire C7."""
    with wire.connected(site) as page:
        page.join("/")
        page.join("/chat", {"tag": tag})
        page.send("41/chat,")
        eventually(lambda: len(lives(site, tag)) == 2, "the disconnect handler")
        assert page.ask("echo", 1) == [1]
    assert lives(site, tag) == ["connect", "client namespace disconnect"]


# ---- while the connect handler runs


def slowly(tag: str, seconds: float = 0.3, *, accept: bool = True) -> str:
    """Give the CONNECT packet for the namespace whose connect handler takes a while."""
    return f"40/slow,{json.dumps({'tag': tag, 'seconds': seconds, 'accept': accept})}"


@pytest.mark.parametrize("accept", [True, False], ids=["accepted", "refused"])
def test_a_polling_client_that_leaves_while_it_connects_is_no_ghost(site: Server, tag: str, accept: bool) -> None:
    """Pitfall 1; wire C6: `disconnect` runs once if `connect` accepted, and never if it refused."""
    page = wire.Polling(site)
    page.post(slowly(tag, accept=accept))
    eventually(lambda: lives(site, tag) == ["connect"], "the connect handler")
    page.post("1")
    story = ["connect", "asked", "transport close"] if accept else ["connect", "asked"]
    eventually(lambda: lives(site, tag) == story, "the end of the story")
    assert get(site, "/members/", namespace="/slow", room=tag) == []
    assert lives(site, tag) == story


def test_a_websocket_that_closes_while_it_connects_is_no_ghost(site: Server, tag: str) -> None:
    """Pitfall 1; wire C6."""
    with wire.connected(site) as page:
        page.send(slowly(tag))
        eventually(lambda: lives(site, tag) == ["connect"], "the connect handler")
    story = ["connect", "asked", "transport close"]
    eventually(lambda: lives(site, tag) == story, "the end of the story")
    assert get(site, "/members/", namespace="/slow", room=tag) == []


@pytest.mark.parametrize(
    ("accept", "answer"),
    [(True, '40/slow,{"sid":'), (False, '44/slow,{"message":"Connection rejected by server"}')],
    ids=["accepted", "refused"],
)
def test_a_broadcast_does_not_reach_a_client_that_is_not_accepted_yet(
    site: Server, tag: str, accept: bool, answer: str
) -> None:
    """Pitfall 2; wire C4: neither by the namespace nor by a room that the connect handler entered."""
    with wire.connected(site) as page:
        page.send(slowly(tag, accept=accept))
        eventually(lambda: lives(site, tag) == ["connect"], "the connect handler")
        emit(site, "news", "to all", namespace="/slow")
        emit(site, "news", "to the room", namespace="/slow", room=tag)
        assert get(site, "/members/", namespace="/slow", room=tag) == []
        assert page.receive().startswith(answer)
        page.join("/")
        assert page.ask("echo", 1) == [1], "nothing else came"


def test_what_the_connect_handler_emits_follows_connect(site: Server) -> None:
    """Wire C1: in order, whether to the sid or to a room, with attachments."""
    with wire.connected(site) as page:
        page.send("40/greeting,")
        frames = [page.receive() for _ in range(5)]
    assert frames[0].startswith('40/greeting,{"sid":')
    assert frames[1:3] == ['42/greeting,["hello",1]', '42/greeting,["hello",2]']
    assert frames[3:] == ['451-/greeting,["hello",3,{"_placeholder":true,"num":0}]', b"\x03"]


def test_a_refused_client_hears_nothing_but_the_refusal(site: Server) -> None:
    """Wire C4."""
    with wire.connected(site) as page:
        page.send('40/greeting,{"refuse":true}')
        assert page.receive() == '44/greeting,{"message":"Connection rejected by server"}'
        page.join("/")
        assert page.ask("echo", 1) == [1]


def test_events_wait_for_the_connect_handler(site: Server, tag: str) -> None:
    """Wire C5: who speaks before it is accepted is answered after."""
    with wire.connected(site) as page:
        page.send(slowly(tag))
        page.send('42/slow,5["nothing"]')
        assert page.receive().startswith('40/slow,{"sid":')
        assert page.receive().startswith('43/slow,5[{"error":{"code":"unknown_event"')


def test_events_of_a_refused_client_are_not_answered(site: Server, tag: str) -> None:
    """Wire C4 and C5."""
    with wire.connected(site) as page:
        page.send(slowly(tag, accept=False))
        page.send('42/slow,5["nothing"]')
        assert page.receive().startswith("44/slow,")
        page.join()
        assert page.ask("echo", 1) == [1]


# ---- what no proper client sends


@pytest.mark.parametrize(
    "name", ["connect", "disconnect", "connect_error", "disconnecting", "newListener", "removeListener"]
)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_forged_life_event_closes_the_connection(site: Server, tag: str, transport: str, name: str) -> None:
    """Wire P1 and P2: it never reaches `on_connect` or `on_disconnect`, whatever data it brings."""
    forged = f"42{json.dumps([name, {'tag': f'{tag}-forged'}])}"
    if transport == "polling":
        page = wire.Polling(site)
        page.post(f"40{json.dumps({'tag': tag})}")
        page.receive()
        page.post(forged)
        assert page.is_closed()
    else:
        with wire.connected(site) as socket:
            socket.join("/", {"tag": tag})
            socket.send(forged)
            assert socket.is_closed()
    eventually(lambda: len(lives(site, tag)) > 1, "the disconnect handler")
    assert lives(site, tag) == ["connect", "parse error"]
    assert lives(site, f"{tag}-forged") == []


MALFORMED = {
    "unknown packet type": ["4abc"],
    "invalid JSON": ['42["echo'],
    "object instead of list": ["42{}"],
    "empty event": ["42[]"],
    "event without a name": ["42[{}]"],
    "payload in DISCONNECT": ["41{}"],
    "object as acknowledgement": ["431{}"],
    "list as auth": ["40/chat,[]"],
    "second CONNECT": ["40"],
    "namespace that is not joined": ['42/chat,["echo",1]'],
    "text instead of an attachment": ['451-["echo",{"_placeholder":true,"num":0}]', '42["echo",1]'],
    "attachment that is not due": [b"surprise"],
    "eleven attachments": ['4511-["echo"]'],
    "placeholder out of range": ['451-["echo",{"_placeholder":true,"num":1}]', b"x"],
}


@pytest.mark.parametrize("frames", MALFORMED.values(), ids=list(MALFORMED))
def test_a_malformed_packet_closes_its_connection_only(site: Server, tag: str, frames: list[str | bytes]) -> None:
    """Wire P1; row W-D3: others live on."""
    with wire.connected(site) as other, wire.connected(site) as page:
        other.join("/")
        page.join("/", {"tag": tag})
        for frame in frames:
            page.send(frame)
        assert page.is_closed()
        assert other.ask("echo", 1) == [1]
    eventually(lambda: lives(site, tag) == ["connect", "parse error"], "the disconnect handler")


def test_a_binary_packet_without_attachments_is_an_event(site: Server) -> None:
    """Wire P3."""
    with wire.connected(site) as page:
        page.join("/")
        page.send('450-7["echo",1]')
        assert page.receive() == "437[1]"


def test_a_plain_request_to_the_endpoint_harms_nobody(site: Server) -> None:
    """Row W-D2."""
    with wire.connected(site) as page:
        page.join("/")
        for query in ("", "?EIO=4&transport=polling&sid=nobody", "?EIO=4&transport=carrier-pigeon"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                get(site, f"/socket.io/{query}")
            refused.value.close()
            assert refused.value.code == 400
        assert page.ask("echo", 1) == [1]
        emit(site, "news", "still here")
        assert page.receive() == '42["news","still here"]'


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
}
OPENED = {"polling": 200, "websocket": 101}
"""HTTP status with which each transport begins."""


def status(site: Server, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        with connection.getresponse() as answer:
            return answer.status


def opening(site: Server, transport: str, **headers: str) -> int:
    """Give the HTTP status that a page with these headers gets when it opens a connection."""
    return status(site, wire.endpoint(transport), **headers, **(UPGRADE if transport == "websocket" else {}))


# ---- beside Socket.IO


def test_django_answers_everything_else(site: Server) -> None:
    """Row D-06: pages, files, bodies and pages that do not exist, on one connection."""
    body = bytes(range(256)) * 2000
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    with closing(connection):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"home at /"
        connection.request("POST", "/upload/", body)
        assert connection.getresponse().read() == hashlib.sha256(body).hexdigest().encode()
        connection.request("GET", "/file/")
        answer = connection.getresponse()
        assert answer.read() == (sites.PROJECT / "playground/views.py").read_bytes()
        assert answer.headers["Content-Disposition"] == 'attachment; filename="views.py"'
        connection.request("GET", "/no-such-page/")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 404
        for path in ("/socket.iox", "/socket.io"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 404, path


def test_pages_are_answered_while_clients_poll(site: Server) -> None:
    with client(site, ["polling"]) as page, client(site, ["polling"]):
        assert all(get(site, "/") == "home at /" for _ in range(20))
        assert page.call("echo", 1) == 1


def test_many_clients_talk_at_once(site: Server) -> None:
    """Each hears its own answers."""
    answers: dict[int, Any] = {}

    def talk(number: int) -> None:
        with wire.connected(site) as page:
            page.join("/")
            answers[number] = [page.ask("echo", [number, turn]) for turn in range(10)]

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == {number: [[[number, turn]] for turn in range(10)] for number in range(20)}


def test_compression_is_not_agreed_to(site: Server) -> None:
    """Wire E13."""
    header = ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]
    with wire.connected(site, header=header) as page:
        assert "sec-websocket-extensions" not in page.connection.getheaders()
        page.join("/")
        assert page.ask("echo", "x" * 2000) == ["x" * 2000]


def test_the_project_may_live_under_a_prefix(transports: list[str]) -> None:
    """Row D-06: gunicorn takes the prefix from its environment; pages and Socket.IO move together."""
    port = free_port()
    env = {**sites.environment(), "SCRIPT_NAME": "/app"}
    ready = f"http://127.0.0.1:{port}/app/pid/"
    with serve(sites.gunicorn(port), cwd=sites.PROJECT, ready_url=ready, env=env) as site:
        assert get(site, "/app/") == "home at /app/"
        with client(site, transports, socketio_path="/app/socket.io") as page:
            assert page.call("echo", 1) == 1
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(site, "/app/other/socket.io/")
        refused.value.close()
        assert refused.value.code == 404


@pytest.mark.parametrize("kind", sites.KINDS)
def test_the_endpoint_moves_with_the_setting_path(kind: str, transports: list[str]) -> None:
    with sites.running(kind, settings={"DTWS_SIO": {"PATH": "live/ws"}}) as site:
        with client(site, transports, socketio_path="live/ws") as page:
            assert page.call("echo", 1) == 1
        assert status(site, "/socket.io/?EIO=4&transport=polling") == 404


@pytest.mark.parametrize("kind", sites.KINDS)
def test_a_body_over_the_limit_harms_nobody_else(kind: str) -> None:
    """Wire E7."""
    with sites.running(kind, settings={"DTWS_SIO": {"MAX_PAYLOAD": 1000}}) as site, wire.connected(site) as other:
        other.join("/")
        page = wire.Polling(site)
        assert page.post("4" + "x" * 2000) in (400, 413)
        assert page.is_closed()
        with wire.connected(site) as socket:
            socket.join("/")
            socket.send("42" + json.dumps(["echo", "x" * 2000]))
            assert socket.is_closed()
        assert other.ask("echo", 1) == [1]
        assert post(site, "/upload/", b"x" * 5000) == hashlib.sha256(b"x" * 5000).hexdigest()
