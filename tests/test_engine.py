"""
The Engine.IO servers: `Server`, alone and below Socket.IO, in processes of their own; and `StockServer`, in this one.

The rules of the protocol are tried one by one in tests/wire.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from engineio.async_drivers import threading as threading_driver

from dtws_sio.engine import Outgoing, StockServer
from dtws_sio.engine.answers import Refusal
from tests.live.servers import ROOT, free_port, serve
from tests.live.services import program
from tests.page import DEADLINE, SEPARATOR, Page, eventually, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.live import servers
    from tests.page import Response

needs_eventlet = pytest.mark.skipif(find_spec("eventlet") is None, reason="eventlet is not installed")


# Clients


class Answer(NamedTuple):
    """What a request was answered with."""

    status: int
    packets: list[str]


class Polling:
    """An Engine.IO session over long-polling."""

    def __init__(self, port: int, **query: str) -> None:
        self._port = port
        self._query = "".join(f"&{name}={value}" for name, value in query.items())
        self.opening = self.get()
        if self.opening.status == 200:
            self.handshake: dict[str, Any] = json.loads(self.opening.packets[0][1:])
            self.sid: str = self.handshake["sid"]
            self._query += f"&sid={self.sid}"

    def _request(self, method: str, body: bytes | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        connection.request(method, f"/socket.io/?EIO=4&transport=polling{self._query}", body)
        response = connection.getresponse()
        answer = Answer(response.status, response.read().decode().split(SEPARATOR))
        connection.close()
        return answer

    def get(self) -> Answer:
        """Poll once."""
        return self._request("GET")

    def post(self, *packets: str) -> Answer:
        """Send packets in one request."""
        return self._request("POST", SEPARATOR.join(packets).encode())

    def send(self, *packets: str) -> None:
        """Send packets, which have to be accepted."""
        assert self.post(*packets) == (200, ["ok"])

    def receive(self, count: int = 1) -> list[str]:
        """Poll until so many packets came; pings are answered."""
        packets: list[str] = []
        while len(packets) < count:
            status, polled = self.get()
            assert status == 200, polled
            if "2" in polled:
                self.send("3")
            packets += [packet for packet in polled if packet not in ("2", "6")]
        return packets


class WebSocket:
    """An Engine.IO connection over a WebSocket, framed by hand; `early` goes out together with the handshake."""

    def __init__(self, port: int, *, sid: str = "", early: bytes = b"", buffer: int = 0, tls: bool = False) -> None:
        self._sock = socket.socket()
        self._sock.settimeout(DEADLINE)
        if buffer:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._sock.connect(("127.0.0.1", port))
        if tls:
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            self._sock = trusting.wrap_socket(self._sock)
        lines = [
            f"GET /socket.io/?EIO=4&transport=websocket{'&sid=' + sid if sid else ''} HTTP/1.1",
            "Host: 127.0.0.1",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
        ]
        self._sock.sendall("\r\n".join([*lines, "", ""]).encode() + early)
        self._reader = self._sock.makefile("rb")
        self.head = b"".join(iter(self._reader.readline, b"\r\n")).decode()
        if not sid and " 101 " in self.head:
            self.sid: str = json.loads(str(self.receive())[1:])["sid"]

    def send(self, *packets: str | bytes) -> None:
        """Send each packet in a frame, all in one go."""
        self._sock.sendall(b"".join(map(masked, packets)))

    def frame(self) -> tuple[int, bytes]:
        """Give the next frame, as (opcode, data)."""
        first, length = self._read(2)
        if length > 125:
            length = int.from_bytes(self._read(2 if length == 126 else 8), "big")
        return first & 0x0F, self._read(length)

    def _read(self, count: int) -> bytes:
        data = self._reader.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def receive(self) -> str | bytes:
        """Give the next message; pings are answered."""
        while True:
            opcode, data = self.frame()
            if (opcode, data) == (1, b"2"):
                self.send("3")
            elif opcode in (1, 2):
                return data.decode() if opcode == 1 else data
            else:
                raise EOFError(data)

    def end(self, *, reset: bool = False) -> None:
        """Let go of the connection, with a RST if wanted."""
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reader.close()
        self._sock.close()


def masked(packet: str | bytes, opcode: int | None = None) -> bytes:
    """Put a client's frame around a packet, with a mask of zeros. Source: RFC 6455 section 5.2."""
    data = packet.encode() if isinstance(packet, str) else packet
    if opcode is None:
        opcode = 1 if isinstance(packet, str) else 2
    if len(data) < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(data))
    else:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(data))
    return head + bytes(4) + data


@pytest.fixture
def connect() -> Iterator[Callable[..., WebSocket]]:
    """Open WebSockets, which are closed after the test."""
    opened: list[WebSocket] = []

    def open_one(port: int, **options: Any) -> WebSocket:
        opened.append(WebSocket(port, **options))
        return opened[-1]

    yield open_one
    for each in opened:
        each.end()


def start(folder: Path, code: str, *arguments: str) -> Any:
    script = folder / "server.py"
    script.write_text(code)
    port = free_port()
    return serve([sys.executable, "-W", "ignore", script, str(port), *arguments], ready_port=port)


# The server alone


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of the server that the documentation shows."""
    port = free_port()
    with serve(
        [sys.executable, "-W", "ignore", ROOT / "docs" / "engine_echo.py", str(port)], ready_port=port
    ) as server:
        yield port
        assert "Traceback" not in server.log()


@needs_eventlet
def test_the_documented_example_echoes_over_polling(echo: int) -> None:
    page = Polling(echo)
    assert (page.handshake["upgrades"], page.handshake["pingInterval"]) == (["websocket"], 300)
    page.send("4hello", "4é", "bAP8=", *["4more"] * 50)
    assert page.receive(53) == ["4hello", "4é", "bAP8=", *["4more"] * 50]


@needs_eventlet
def test_the_documented_example_echoes_over_a_websocket(echo: int, connect: Callable[..., WebSocket]) -> None:
    packets: list[str | bytes] = ["4hello", b"\x00\xff", "4" + "é" * 20_000, b"", "4"]
    websocket = connect(echo)
    websocket.send(*packets)
    assert [websocket.receive() for _ in packets] == packets


@needs_eventlet
def test_a_session_goes_over_to_a_websocket(echo: int, connect: Callable[..., WebSocket]) -> None:
    page = Polling(echo)
    websocket = connect(echo, sid=page.sid)
    websocket.send("2probe")
    assert websocket.receive() == "3probe"
    assert page.get() == (200, ["6"])
    websocket.send("5", "4hello")
    assert websocket.receive() == "4hello"
    assert page.get().status == page.post("4late").status == 400


@needs_eventlet
def test_what_comes_together_with_the_handshake_is_not_lost(echo: int, connect: Callable[..., WebSocket]) -> None:
    websocket = connect(echo, early=masked("4early") + masked("4too"))
    assert [websocket.receive(), websocket.receive()] == ["4early", "4too"]


@needs_eventlet
def test_a_client_that_answers_pings_stays_and_one_that_does_not_goes(
    echo: int, connect: Callable[..., WebSocket]
) -> None:
    websocket, silent = connect(echo), connect(echo)
    with ThreadPoolExecutor() as executor:
        message = executor.submit(websocket.receive)
        assert [silent.frame(), silent.frame()] == [(1, b"2"), (8, b"\x03\xe8")]
        websocket.send("4hello")
        assert message.result(DEADLINE) == "4hello"


WITH_HANDLERS = """
import sys
from dtws_sio import runtime
runtime.patch()
import eventlet.wsgi
from dtws_sio.engine import Server

eio = Server(ping_interval=0.2, ping_timeout=0.2, max_http_buffer_size=1000)

@eio.on("connect")
def connect(sid, environ):
    if "refuse" in environ["QUERY_STRING"]:
        return False
    if "leave" in environ["QUERY_STRING"]:
        eio.disconnect(sid)

@eio.on("message")
def message(sid, data):
    if data == "go":
        eio.disconnect(sid)
    if data == "fail":
        raise ValueError("on purpose")
    eio.send(sid, {"got": data})

@eio.on("disconnect")
def disconnect(sid, reason):
    print("ended", sid, reason, flush=True)

listener = eventlet.listen(("127.0.0.1", int(sys.argv[1])), reuse_port=False)
eventlet.wsgi.server(listener, eio.handle_request, log_output=False)
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """A server with a connect handler and a disconnect handler; it prints why each session ended."""
    with start(tmp_path_factory.mktemp("alone"), WITH_HANDLERS) as server:
        yield server


@needs_eventlet
def test_a_connect_handler_refuses(alone: servers.Server, connect: Callable[..., WebSocket]) -> None:
    assert Polling(alone.port, refuse="1").opening.status == 401
    websocket = WebSocket(alone.port)
    refused = Polling(alone.port)
    assert websocket.sid != refused.sid
    websocket.end()


@needs_eventlet
def test_a_connect_handler_may_end_its_session(alone: servers.Server) -> None:
    failures = alone.log().count("Traceback")
    assert Polling(alone.port, leave="1").opening.status == 401
    assert Polling(alone.port).opening.status == 200
    assert alone.log().count("Traceback") == failures


@needs_eventlet
@pytest.mark.parametrize("path", ["?EIO=4&transport=polling", "?EIO=4&transport=polling&sid=unknown", ""])
def test_head_is_answered_without_body(alone: servers.Server, path: str) -> None:
    """What followed on the connection would be taken for the next answer."""
    with socket.create_connection(("127.0.0.1", alone.port), DEADLINE) as sock:
        sock.sendall(f"HEAD /socket.io/{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = sock.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\n")


@needs_eventlet
def test_data_that_is_no_text_is_sent_as_json(alone: servers.Server) -> None:
    page = Polling(alone.port)
    page.send("4hello")
    assert page.receive() == ['4{"got":"hello"}']


ENDS: dict[str, tuple[str, Callable[[WebSocket], object]]] = {
    "the packet CLOSE": ("transport close", lambda websocket: websocket.send("1")),
    "a close frame": ("transport close", lambda websocket: websocket._sock.sendall(masked(b"\x03\xe8", 8))),
    "the end of the connection": ("transport close", lambda websocket: websocket.end()),
    "a reset": ("transport close", lambda websocket: websocket.end(reset=True)),
    "an invalid packet": ("parse error", lambda websocket: websocket.send("9")),
    "silence": ("ping timeout", lambda websocket: None),
    "the server": ("server disconnect", lambda websocket: websocket.send("4go")),
    "a reserved opcode": ("transport error", lambda websocket: websocket._sock.sendall(masked(b"", 3))),
    "text that is not UTF-8": ("transport error", lambda websocket: websocket._sock.sendall(masked(b"4\xff", 1))),
    "a message that is too long": ("transport error", lambda websocket: websocket.send("4" * 1001)),
}


@needs_eventlet
@pytest.mark.parametrize(("reason", "end"), ENDS.values(), ids=ENDS.keys())
def test_a_disconnect_handler_is_told_why_wire_h3(
    alone: servers.Server, connect: Callable[..., WebSocket], reason: str, end: Callable[[WebSocket], object]
) -> None:
    websocket = connect(alone.port)
    end(websocket)
    alone.wait_for_log(f"ended {websocket.sid} {reason}\n", seconds=DEADLINE)
    assert alone.log().count(f"ended {websocket.sid} ") == 1


@needs_eventlet
@pytest.mark.parametrize(
    ("packets", "status", "reason"),
    [
        (["1"], 200, "transport close"),
        (["1", "4late"], 200, "transport close"),
        (["4go", "4late"], 200, "server disconnect"),
        (["4good", "9", "4late"], 400, "parse error"),
        (["4" * 1001], 413, "parse error"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_post_that_ends_a_session_ends_it_once(
    alone: servers.Server, packets: list[str], status: int, reason: str
) -> None:
    """What stands behind the packet that ended it goes nowhere."""
    page = Polling(alone.port)
    assert page.post(*packets).status == status
    alone.wait_for_log(f"ended {page.sid} {reason}\n", seconds=DEADLINE)
    assert page.get().status == 400


@needs_eventlet
def test_a_message_in_many_fragments_arrives_as_one(alone: servers.Server, connect: Callable[..., WebSocket]) -> None:
    websocket = connect(alone.port)
    parts = [b"4", *[b"x"] * 500, b"", "é".encode()[:1], "é".encode()[1:]]
    for message in range(2):
        frames = [masked(part, 0 if number else 1) for number, part in enumerate(parts)]
        first = [bytes([each[0] & 0x7F]) + each[1:] for each in frames]
        ping = masked(b"between", 9)
        websocket._sock.sendall(b"".join(first[:100]) + ping + b"".join(first[100:-1]) + frames[-1])
        assert websocket.frame() == (10, b"between")
        assert websocket.receive() == '4{"got":"' + "x" * 500 + '\\u00e9"}', message


@needs_eventlet
def test_a_message_handler_that_fails_harms_nobody(alone: servers.Server) -> None:
    page = Polling(alone.port)
    page.send("4fail", "4next")
    assert page.receive() == ['4{"got":"next"}']


# Under Socket.IO: clients that are behind, and clients that are ahead

WITH_SOCKETIO = """
import json, sys
from dtws_sio import runtime
runtime.patch()
import threading
import django
from django.conf import settings
settings.configure(SECRET_KEY="tests", INSTALLED_APPS=["dtws_sio"], DTWS_SIO=json.loads(sys.argv[2]))
django.setup()
import eventlet.wsgi
from dtws_sio import concurrent, sio

gates, numbers = {}, {}

@sio.event
def connect(sid, environ):
    gates[sid], numbers[sid] = threading.Event(), []

@sio.event
def add(sid, number, filling):
    gates[sid].wait()
    numbers[sid].append(number)

@sio.event
def total(sid):
    return numbers[sid]

@sio.event
def open_gate(sid, other):
    gates[other].set()

@sio.event
def state(sid, other):
    client = sio.manager.find(other, "/")
    session = sio.eio.sockets[client.eio_sid]
    return {"paused": session.paused, "waiting": len(client.mailbox), "polls": session.poll is not None}

@sio.event
def flood(sid, other, size):
    session = sio.eio.sockets[sio.manager.find(other, "/").eio_sid]
    count = 0
    while not session.is_behind and count < 1000:
        sio.emit("flood", "x" * size, to=other)
        count += 1
        runtime.sleep()
    return count

@sio.event
def tell(sid, other, event, volatile):
    sio.emit(event, to=other, volatile=volatile)

@sio.event
def refused(sid):
    return dict(sio.refusals)

@sio.event
def end(sid, other):
    sio.eio.close(sio.manager.find(other, "/").eio_sid, sio.reason.SERVER_DISCONNECT)

sio.start()
listener = eventlet.listen(("127.0.0.1", int(sys.argv[1])), reuse_port=False)
if sys.argv[3:]:
    listener = eventlet.wrap_ssl(listener, certfile=sys.argv[3], keyfile=sys.argv[4], server_side=True)
eventlet.wsgi.server(listener, sio.handle_request, log_output=False)
"""

SMALL = {"MAX_PAYLOAD": 60_000, "MAX_BACKLOG": 100_000_000}


@pytest.fixture(scope="module")
def under_socketio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Socket.IO server with small limits."""
    with start(tmp_path_factory.mktemp("socketio"), WITH_SOCKETIO, json.dumps(SMALL)) as server:
        yield server.port
        assert "Traceback" not in server.log()


@pytest.fixture(scope="module")
def over_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of such a server that speaks TLS."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    curve, subject = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"], ["-subj", "/CN=localhost"]
    argv = [program("openssl"), "req", "-x509", *curve, "-keyout", key, "-out", cert, *subject]
    subprocess.run(argv, capture_output=True, check=True, timeout=30)
    with start(folder, WITH_SOCKETIO, json.dumps(SMALL), cert, key) as server:
        yield server.port
        assert "Traceback" not in server.log()


class Witness:
    """Another client, which asks the server how the one under test is doing."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.sid = join(websocket)

    def ask(self, *event: Any) -> Any:
        self._websocket.send("420" + json.dumps(event))
        answer = self._websocket.receive()
        assert isinstance(answer, str)
        assert answer.startswith("430"), answer
        return json.loads(answer[3:])


LARGE = "4" + "x" * 60_000


@needs_eventlet
def test_what_is_too_large_is_refused_by_its_name_and_counted(
    under_socketio: int, witness: Witness, connect: Callable[..., WebSocket]
) -> None:
    page = Polling(under_socketio)
    status, (body,) = page.post(LARGE)
    answer = {"code": 3, "message": "Payload too large", "error": "payload_too_large"}
    assert (status, json.loads(body)) == (413, answer)
    assert witness.ask("refused") == [{"payload_too_large": 1}]
    websocket = connect(under_socketio)
    websocket.send(LARGE)
    assert websocket.frame()[1][:2] == (1009).to_bytes(2, "big")
    assert witness.ask("refused") == [{"payload_too_large": 2}]
    echoing = connect(under_socketio)
    echoing._sock.sendall(masked((1009).to_bytes(2, "big"), 8))
    assert echoing.frame() == (8, (1009).to_bytes(2, "big"))
    assert witness.ask("refused") == [{"payload_too_large": 2}], "the code of a client's own close frame is nothing"


@needs_eventlet
def test_a_client_that_is_closed_as_it_is_behind_is_counted(tmp_path: Path, connect: Callable[..., WebSocket]) -> None:
    with start(tmp_path, WITH_SOCKETIO, json.dumps({"MAX_BACKLOG": 10_000})) as server:
        page, witness = Polling(server.port), Witness(connect(server.port))
        sid = join(page)
        for _ in range(20):
            witness.ask("tell", sid, "x" * 1000, False)
        assert page.get().status == 400
        assert witness.ask("refused") == [{"backlog_full": 1}]


def join(client: Any) -> str:
    """Join the namespace "/", and give the sid there."""
    client.send("40")
    answer = str(client.receive() if isinstance(client, WebSocket) else client.receive()[0])
    sid: str = json.loads(answer.removeprefix("40"))["sid"]
    return sid


@pytest.fixture
def witness(under_socketio: int, connect: Callable[..., WebSocket]) -> Witness:
    return Witness(connect(under_socketio))


@needs_eventlet
@pytest.mark.parametrize(("count", "size"), [(6000, 0), (100, 5000)], ids=["events", "bytes"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_mailbox_beyond_its_bound_stops_the_reading_and_nothing_is_lost(
    under_socketio: int,
    connect: Callable[..., WebSocket],
    witness: Witness,
    transport: str,
    count: int,
    size: int,
) -> None:
    events = [f'42["add",{number},"{"x" * size}"]' for number in range(count)]
    client: Any = connect(under_socketio) if transport == "websocket" else Polling(under_socketio)
    sid = join(client)

    def send() -> None:
        """Send everything, as much at once as a request may bring."""
        at_once = 10 if size else 1000
        for start_at in range(0, count, at_once):
            client.send(*events[start_at : start_at + at_once])
        client.send('420["total"]')

    def is_paused() -> bool:
        (state,) = witness.ask("state", sid)
        assert state["waiting"] < count * 3 / 4, "it reads on"
        return bool(state["paused"])

    with ThreadPoolExecutor() as executor:
        sending = executor.submit(send)
        assert eventually(is_paused)
        witness.ask("open_gate", sid)
        sending.result(DEADLINE)
    answer = client.receive() if transport == "websocket" else client.receive()[0]
    assert answer.startswith("430")
    assert json.loads(answer[3:]) == [list(range(count))]
    ((state),) = witness.ask("state", sid)
    assert state["paused"] is False


@needs_eventlet
def test_a_websocket_over_tls_is_not_read_beyond_its_bound_either(
    over_tls: int, connect: Callable[..., WebSocket]
) -> None:
    witness, client, count = Witness(connect(over_tls, tls=True)), connect(over_tls, tls=True), 300
    sid = join(client)

    def send() -> None:
        for number in range(count):
            client.send(f'42["add",{number},"{"x" * 30_000}"]')
        client.send('420["total"]')

    with ThreadPoolExecutor() as executor:
        sending = executor.submit(send)
        assert eventually(lambda: witness.ask("state", sid)[0]["paused"])
        assert not eventually(sending.done, seconds=0.1)
        assert witness.ask("state", sid)[0]["waiting"] < 10
        witness.ask("open_gate", sid)
        sending.result(DEADLINE)
    assert json.loads(str(client.receive())[3:]) == [list(range(count))]


@needs_eventlet
def test_a_websocket_over_tls_that_is_behind_gets_all_and_then_pong_and_close_frame(
    over_tls: int, connect: Callable[..., WebSocket]
) -> None:
    witness, client = Witness(connect(over_tls, tls=True)), connect(over_tls, tls=True, buffer=8192)
    sid = join(client)
    (count,) = witness.ask("flood", sid, 50_000)
    witness.ask("tell", sid, "last", False)
    witness.ask("end", sid)
    for _ in range(count):
        assert str(client.receive()).startswith('42["flood","x')
    assert client.receive() == '42["last"]'
    assert client.frame() == (8, b"\x03\xe8")
    client._sock.sendall(masked(b"\x03\xe8", 8))
    assert client._sock.recv(1) == b""


@needs_eventlet
@pytest.mark.parametrize("more", [True, False], ids=["with more to come", "with no more to come"])
def test_a_websocket_that_is_behind_gets_no_volatile_packets_until_it_has_caught_up(
    under_socketio: int, connect: Callable[..., WebSocket], witness: Witness, more: bool
) -> None:
    client = connect(under_socketio, buffer=8192)
    sid = join(client)
    (count,) = witness.ask("flood", sid, 50_000)
    assert 0 < count < 1000
    for _ in range(3):
        witness.ask("tell", sid, "dropped", True)
    if more:
        witness.ask("tell", sid, "kept", False)
    for _ in range(count):
        assert str(client.receive()).startswith('42["flood","x')
    if more:
        assert client.receive() == '42["kept"]'

    def is_back() -> bool:
        witness.ask("tell", sid, "again", True)
        return message.done()

    with ThreadPoolExecutor() as executor:
        message = executor.submit(client.receive)
        assert eventually(is_back, seconds=1)
    assert message.result() == '42["again"]'


@needs_eventlet
def test_a_websocket_that_is_behind_gets_what_was_sent_and_then_the_close_frame(
    under_socketio: int, connect: Callable[..., WebSocket], witness: Witness
) -> None:
    client = connect(under_socketio, buffer=8192)
    sid = join(client)
    (count,) = witness.ask("flood", sid, 50_000)
    witness.ask("tell", sid, "last", False)
    witness.ask("end", sid)
    for _ in range(count):
        assert str(client.receive()).startswith('42["flood","x')
    assert client.receive() == '42["last"]'
    assert client.frame() == (8, b"\x03\xe8")


@needs_eventlet
def test_a_websocket_that_is_behind_gets_the_last_pong_alone_once_it_has_caught_up(
    under_socketio: int, connect: Callable[..., WebSocket], witness: Witness
) -> None:
    """RFC 6455 section 5.5.3; the others would pile up."""
    client = connect(under_socketio, buffer=8192)
    sid = join(client)
    (count,) = witness.ask("flood", sid, 50_000)
    # At once: of small segments, TCP holds the second back until the first was acknowledged.
    client._sock.sendall(b"".join(masked(f"ping {number}".encode(), 9) for number in range(100)))
    client.send('420["total"]')
    witness.ask("tell", sid, "last", False)
    got = [client.frame() for _ in range(count)]
    assert {(opcode, data[:12]) for opcode, data in got} == {(1, b'42["flood","')}
    rest = [client.frame() for _ in range(3)]
    assert sorted(rest) == [(1, b'42["last"]'), (1, b"430[[]]"), (10, b"ping 99")]


@needs_eventlet
def test_a_poll_whose_client_has_gone_loses_nothing_without_a_word(under_socketio: int, witness: Witness) -> None:
    client = Polling(under_socketio)
    sid = join(client)
    with socket.create_connection(("127.0.0.1", under_socketio), DEADLINE) as sock:
        sock.sendall(f"GET /socket.io/?EIO=4&transport=polling&sid={client.sid} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert eventually(lambda: witness.ask("state", sid)[0]["polls"])
    witness.ask("tell", sid, "news", False)
    assert eventually(lambda: client.get().status == 400)


RESUME = """
from dtws_sio import runtime
runtime.patch()
import time
from types import SimpleNamespace
from dtws_sio.engine import Server
from dtws_sio.engine.session import Session

eio = Server(ping_timeout=0.1)
eio.receiver = SimpleNamespace(closed=lambda sid, reason: print(reason))
session = eio.sockets["sid"] = Session(eio, "sid")
eio.pause("sid")
session.pong_due = time.monotonic() - 1
eio.resume("sid")
eio._session("sid", {})
print(session.closed)
runtime.sleep(0.05)
print(session.closed)
runtime.sleep(0.15)
"""


@needs_eventlet
def test_who_was_not_read_has_all_its_time_again_to_answer_a_ping() -> None:
    argv = [sys.executable, "-W", "ignore", "-c", RESUME]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert (done.stdout.split("\n"), done.stderr) == (["False", "False", "ping timeout", ""], "")


@needs_eventlet
def test_the_rest_of_a_post_is_not_lost_when_its_session_goes_over_to_a_websocket(
    under_socketio: int, connect: Callable[..., WebSocket], witness: Witness
) -> None:
    """The POST waits, as there is too much to do, while the upgrade is completed."""
    page = Polling(under_socketio)
    sid = join(page)
    events = [f'42["add",{number},""]' for number in range(2000)]
    with ThreadPoolExecutor() as executor:
        sending = executor.submit(page.post, *events)
        assert eventually(lambda: witness.ask("state", sid)[0]["paused"])
        websocket = connect(under_socketio, sid=page.sid)
        websocket.send("2probe")
        assert websocket.receive() == "3probe"
        websocket.send("5", '420["total"]')
        assert not eventually(sending.done, seconds=0.1)
        witness.ask("open_gate", sid)
        assert sending.result(DEADLINE) == (200, ["ok"])
    websocket.send('421["total"]')
    totals = [json.loads(str(websocket.receive())[3:])[0] for _ in range(2)]
    assert totals[1] == list(range(2000))


@needs_eventlet
def test_who_does_not_poll_at_the_moment_gets_no_volatile_packets(under_socketio: int, witness: Witness) -> None:
    client = Polling(under_socketio)
    sid = join(client)
    witness.ask("tell", sid, "dropped", True)
    witness.ask("tell", sid, "kept", False)
    assert client.receive() == ['42["kept"]']
    with ThreadPoolExecutor() as executor:
        polling = executor.submit(client.receive)
        assert eventually(lambda: witness.ask("state", sid)[0]["polls"])
        witness.ask("tell", sid, "taken", True)
        assert polling.result(DEADLINE) == ['42["taken"]']


# python-engineio's server, in the project's clothes


@pytest.fixture
def engine() -> StockServer:
    """A server used alone, as the middle of a WSGI application."""
    return StockServer(async_mode="threading", monitor_clients=False, async_handlers=False, max_http_buffer_size=1000)


@pytest.fixture
def ended(engine: StockServer) -> list[tuple[str, str]]:
    """The sessions that ended, and why."""
    got: list[tuple[str, str]] = []
    engine.on("disconnect", lambda sid, reason: got.append((sid, reason)))
    return got


def post(engine: StockServer, page: Page, body: bytes) -> Response:
    return request(engine.handle_request, "POST", body=body, QUERY_STRING=f"EIO=4&transport=polling&sid={page.eio_sid}")


def test_the_stock_server_can_be_used_alone(engine: StockServer) -> None:
    got: list[Any] = []

    @engine.on("message")  # type: ignore[untyped-decorator]
    def message(sid: str, data: Any) -> None:
        got.append((sid, data))
        engine.send(sid, f"echo of {data}")

    page = Page(engine.handle_request, engine)
    page.send("hello", b"\x00")
    assert got == [(page.eio_sid, "hello"), (page.eio_sid, b"\x00")]
    assert [page.raw(), page.raw()] == ["echo of hello", "echo of b'\\x00'"]


POLLING = "EIO=4&transport=polling"


@pytest.mark.parametrize("index", ["j=0", "%6a=0", "j=0&j=1"])
def test_jsonp_is_refused_as_any_site_could_read_it(engine: StockServer, index: str) -> None:
    response = request(engine.handle_request, QUERY_STRING=f"{POLLING}&{index}")
    assert (response.status, json.loads(response.body)["message"]) == ("400 Bad Request", "Transport unknown")
    assert engine.sockets == {}


@pytest.mark.parametrize(
    ("allowed", "origin", "accepted"),
    [
        (["https://a.com"], "https://a.com", True),
        ("*", "https://a.com", True),
        (["https://a.com"], "https://b.com", False),
        (["https://a.com"], "", False),
        (["https://a.com"], None, False),
        ([], "https://a.com", False),
    ],
)
def test_only_pages_of_accepted_origins_may_read_the_answer(
    allowed: Any, origin: str | None, *, accepted: bool
) -> None:
    server = StockServer(async_mode="threading", monitor_clients=False, cors_allowed_origins=allowed)
    headers = {} if origin is None else {"HTTP_ORIGIN": origin}
    response = request(server.handle_request, "OPTIONS", QUERY_STRING=POLLING, **headers)
    cors = {name for name in response.headers if name.startswith("Access-Control-") or name == "Vary"}
    expected = {
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Methods",
        "Vary",
    }
    assert cors == (expected if accepted else set())
    assert response.headers.get("Access-Control-Allow-Origin") == (origin if accepted else None)


def test_packets_go_out_in_their_order(engine: StockServer) -> None:
    page = Page(engine.handle_request, engine)
    engine.deliver(page.eio_sid, Outgoing("4a", b"b", "4c"))
    engine.deliverer(page.eio_sid)(Outgoing("4d"), False)
    assert [page.raw() for _ in range(4)] == ["a", b"b", "c", "d"]


def test_a_packet_may_be_sent_to_many(engine: StockServer) -> None:
    """Emits encode once for all that will receive them."""
    shared = Outgoing("4news", b"\x00")
    pages = [Page(engine.handle_request, engine) for _ in range(3)]
    for page in pages:
        engine.deliver(page.eio_sid, shared)
    assert [(page.raw(), page.raw()) for page in pages] == [("news", b"\x00")] * 3


def test_packets_for_a_session_that_has_ended_go_nowhere(engine: StockServer) -> None:
    page = Page(engine.handle_request, engine)
    deliver = engine.deliverer(page.eio_sid)
    page.close()
    deliver(Outgoing("4late"), False)
    for sid in (page.eio_sid, "unknown"):
        engine.deliver(sid, Outgoing("4late"))


def test_it_reads_on_whatever_it_is_told(engine: StockServer) -> None:
    page = Page(engine.handle_request, engine)
    for sid in (page.eio_sid, "unknown"):
        engine.pause(sid)
        engine.resume(sid)
    assert post(engine, page, b"4hello").status == "200 OK"


def test_close_ends_a_session_once_with_its_reason(engine: StockServer, ended: list[Any]) -> None:
    page, other = Page(engine.handle_request, engine), Page(engine.handle_request, engine)
    for reason in (engine.reason.PARSE_ERROR, engine.reason.SERVER_DISCONNECT):
        engine.close(page.eio_sid, reason)
    engine.close("unknown", engine.reason.PARSE_ERROR)
    assert ended == [(page.eio_sid, "parse error")]
    assert (page.is_closed, other.is_closed) == (True, False)


@pytest.mark.parametrize("whom", ["one", "all"])
def test_disconnect_ends_one_session_or_all_at_once(engine: StockServer, ended: list[Any], whom: str) -> None:
    """Also where something is unread: python-engineio's waits until it is read."""
    pages = [Page(engine.handle_request, engine) for _ in range(2)]
    engine.send(pages[0].eio_sid, "unread")
    engine.disconnect(*([pages[0].eio_sid] if whom == "one" else []))
    gone = pages[:1] if whom == "one" else pages
    assert ended == [(page.eio_sid, "server disconnect") for page in gone]
    assert [page.is_closed for page in pages] == [True, whom == "all"]


def test_the_packet_close_is_the_end_of_the_transport_wire_h3(engine: StockServer, ended: list[Any]) -> None:
    page = Page(engine.handle_request, engine)
    page.close()
    assert ended == [(page.eio_sid, "transport close")]


@pytest.mark.parametrize("ends", ["server", "client"])
def test_a_request_of_a_session_that_has_ended_is_answered_400(engine: StockServer, ends: str) -> None:
    """Such a POST may be under way already when the server closes; it is no error of the server."""
    page = Page(engine.handle_request, engine)
    if ends == "server":
        engine.close(page.eio_sid, engine.reason.PARSE_ERROR)
    else:
        page.close()
    assert post(engine, page, b"4late").status.startswith("400")
    assert request(engine.handle_request, QUERY_STRING=f"EIO=4&transport=polling&sid={page.eio_sid}").status.startswith(
        "400"
    )


WEBSOCKET = {"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "websocket"}


@pytest.mark.parametrize("shown", [None, "thief"])
@pytest.mark.parametrize(
    ("method", "transport", "headers"),
    [("GET", "polling", {}), ("POST", "polling", {}), ("GET", "websocket", WEBSOCKET)],
    ids=["listen", "speak", "upgrade"],
)
def test_nobody_speaks_or_listens_through_the_session_of_another(
    engine: StockServer, shown: str | None, method: str, transport: str, headers: dict[str, str]
) -> None:
    """Nor learns whether there is one."""
    got: list[str] = []
    engine.on("message", lambda sid, data: got.append(data))
    engine.owner_of = lambda environ: environ.get("HTTP_COOKIE")
    page = Page(engine.handle_request, engine, HTTP_COOKIE="owner")
    cookie = {} if shown is None else {"HTTP_COOKIE": shown}
    answers = [
        request(
            engine.handle_request,
            method,
            body=b"4stolen" if method == "POST" else b"",
            QUERY_STRING=f"EIO=4&transport={transport}&sid={sid}",
            **headers,
            **cookie,
        )
        for sid in (page.eio_sid, "unknown")
    ]
    assert answers[0] == answers[1]
    assert answers[0].status == "400 Bad Request"
    assert json.loads(answers[0].body) == {"code": 1, "message": "Session ID unknown"}
    assert page.send("mine").status == "200 OK"
    assert got == ["mine"]


def test_a_session_that_shows_nothing_asks_for_nothing(engine: StockServer) -> None:
    """Somebody may sign in while the page is open."""
    engine.owner_of = lambda environ: environ.get("HTTP_COOKIE")
    page = Page(engine.handle_request, engine)
    query = f"EIO=4&transport=polling&sid={page.eio_sid}"
    assert request(engine.handle_request, "POST", body=b"4a", QUERY_STRING=query, HTTP_COOKIE="new").status == "200 OK"


def test_a_preflight_of_a_session_is_asked_for_no_cookie() -> None:
    """Browsers send none with it."""
    server = StockServer(async_mode="threading", monitor_clients=False, cors_allowed_origins=["https://a.com"])
    server.owner_of = lambda environ: environ.get("HTTP_COOKIE")
    page = Page(server.handle_request, server, HTTP_COOKIE="owner", HTTP_ORIGIN="https://a.com")
    query = f"EIO=4&transport=polling&sid={page.eio_sid}"
    assert request(server.handle_request, "OPTIONS", QUERY_STRING=query, HTTP_ORIGIN="https://a.com").status == "200 OK"
    refused = request(server.handle_request, QUERY_STRING=query, HTTP_ORIGIN="https://a.com")
    assert refused.status == "400 Bad Request"
    assert refused.headers["Access-Control-Allow-Origin"] == "https://a.com", "the page may read why"


@pytest.mark.parametrize("body", [b"4" + b"x" * 1000, b"9"], ids=["too long", "unknown type"])
def test_a_post_that_is_refused_is_answered_at_once_wire_e7(
    engine: StockServer, ended: list[tuple[str, str]], body: bytes
) -> None:
    """Also while nobody polls; python-engineio waits for ever until someone does."""
    page = Page(engine.handle_request, engine)
    answers: list[Response] = []
    engine.send(page.eio_sid, "unread")
    threading.Thread(target=lambda: answers.append(post(engine, page, body)), daemon=True).start()
    assert eventually(lambda: answers, seconds=1)
    assert answers[0].status.startswith("4")
    assert [sid for sid, _ in ended] == [page.eio_sid]


@pytest.mark.parametrize("length", [None, "-1", "x", "9" * 5000, "²"])
def test_a_post_that_is_too_long_or_says_nonsense_is_refused_by_its_name(
    engine: StockServer, ended: list[tuple[str, str]], length: str | None
) -> None:
    refused: list[str] = []
    engine.refused = refused.append
    page = Page(engine.handle_request, engine)
    query = f"EIO=4&transport=polling&sid={page.eio_sid}"
    announced = {} if length is None else {"CONTENT_LENGTH": length}
    answer = request(engine.handle_request, "POST", body=b"4" + b"x" * 1000, QUERY_STRING=query, **announced)
    assert answer.status == "413 Payload Too Large"
    assert json.loads(answer.body)["error"] == "payload_too_large"
    assert refused == ["payload_too_large"]
    assert ended == [(page.eio_sid, "parse error")]


def test_a_websocket_whose_message_is_too_long_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Upstream closes it; what eventlet's own class finds too long it tells nobody of."""
    messages = ["x" * 10, None, b"x" * 11, "x" * 11]
    fake = type("WebSocket", (), {"__init__": lambda self, *arguments: None, "wait": lambda self: messages.pop(0)})
    monkeypatch.setitem(threading_driver._async, "websocket", fake)
    server = StockServer(async_mode="threading", monitor_clients=False, max_http_buffer_size=10)
    refused: list[str] = []
    server.refused = refused.append
    websocket = server._async["websocket"](None, server)
    assert [websocket.wait() for _ in range(4)] == ["x" * 10, None, b"x" * 11, "x" * 11]
    assert refused == ["payload_too_large"] * 2


def test_a_connect_handler_may_choose_the_answer(engine: StockServer) -> None:
    answer: list[Any] = [Refusal("429 Too Many Requests", 4, "Too many", [("Retry-After", "7")], name="too_many")]
    engine.on("connect", lambda sid, environ: answer[0])
    refused = request(engine.handle_request, QUERY_STRING=POLLING)
    assert (refused.status, refused.headers["Retry-After"]) == ("429 Too Many Requests", "7")
    assert json.loads(refused.body) == {"code": 4, "message": "Too many", "error": "too_many"}
    answer[0] = "as upstream has it"
    assert request(engine.handle_request, QUERY_STRING=POLLING).status == "401 UNAUTHORIZED"
    assert engine.sockets == {}


NEGOTIATE = """
import warnings
warnings.simplefilter("ignore")
from dtws_sio.engine import StockServer
for options in ({}, {"compression": False}, {"compression": True}):
    server = StockServer(async_mode="eventlet", **options)
    websocket = server._async["websocket"](None, server)
    offered = {"permessage-deflate": [{}]}
    print(bool(websocket._negotiate_permessage_deflate(offered)))
"""


@needs_eventlet
def test_websockets_are_compressed_only_where_the_setting_asks_for_it_wire_e13() -> None:
    """In a process of its own, with eventlet's WebSocket class, which offers compression unasked."""
    done = subprocess.run([sys.executable, "-c", NEGOTIATE], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "False", "True"], done.stderr


LAZY = """
import sys
import dtws_sio.engine
print("eventlet" in sys.modules)
try:
    dtws_sio.engine.Sever
except AttributeError as error:
    print(error)
"""


def test_only_the_projects_own_server_needs_eventlet() -> None:
    """It is an extra; processes on threads and gevent do without."""
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False", "module 'dtws_sio.engine' has no attribute 'Sever'"]
