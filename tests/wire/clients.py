"""
Two raw clients: Engine.IO over HTTP long-polling, and over a WebSocket that is framed by hand.

They send whatever they are told, however wrong, and show every byte that comes back. What a server may never send
(masked frames, reserved bits, anything that is not a WebSocket frame) fails the test at once. Neither the package nor
a WebSocket library is used, so that both being wrong in the same way is unlikely.

Source: RFC 6455; https://socket.io/docs/v4/engine-io-protocol/ and socket-io-protocol/
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import socket
import struct
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

SEPARATOR: Final = "\x1e"
"""Stands between two packets of a polling body."""

DEADLINE: Final = 5.0
"""Seconds after which something that should have happened counts as missing."""

AT_ONCE: Final = 1.0
"""Seconds within which something that should happen at once must have happened, on a busy machine too."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
"""Opcodes. RFC 6455 section 5.2."""

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""Joined to the key of a handshake before it is hashed. RFC 6455 section 1.3."""


class ClosedError(Exception):
    """The server has ended the session: HTTP 400, the packet CLOSE, or the end of the WebSocket's bytes."""


def later(function: Callable[..., T], *arguments: Any, **options: Any) -> Future[T]:
    """Call a function in a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments, **options))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def pause(seconds: float) -> None:
    """Let time pass where the time itself is tested, or where the server gives no sign to wait for."""
    time.sleep(seconds)


def endpoint(transport: str, sid: str | None = None, path: str = "/socket.io/") -> str:
    """Give the request target of a transport, for a session or, without a sid, to open one."""
    return f"{path}?EIO=4&transport={transport}" + (f"&sid={sid}" if sid else "")


def encode(message: str | bytes) -> str:
    """Write a message as a packet of a polling body."""
    return "b" + base64.b64encode(message).decode() if isinstance(message, bytes) else "4" + message


def address(kind: int, namespace: str) -> str:
    """Write the beginning of a Socket.IO packet."""
    return str(kind) if namespace == "/" else f"{kind}{namespace},"


# HTTP


@dataclass(frozen=True)
class Answer:
    """An HTTP response. Names of headers are in lower case; `seconds` is how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0.0

    @property
    def packets(self) -> list[str]:
        """The Engine.IO packets in the body."""
        return self.body.decode().split(SEPARATOR)


def request(
    port: int,
    method: str,
    target: str,
    body: bytes | str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    connection: http.client.HTTPConnection | None = None,
    chunked: bool = False,
) -> Answer:
    """
    Make a request.

    Args:
        port: Where the server listens.
        method: Any method.
        target: Path and query.
        body: Text is sent as UTF-8.
        headers: Sent besides those that HTTP asks for.
        connection: One to be kept alive; without it, one is opened for this request alone.
        chunked: Send the body without saying how long it is.
    """
    used = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    started = time.monotonic()
    data = body.encode() if isinstance(body, str) else body
    content: Any = _chunks(data) if chunked and data is not None else data
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # the server answered before it has read everything
            used.request(method, target, content, dict(headers or {}), encode_chunked=chunked)
        response = used.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read(), time.monotonic() - started)
    finally:
        if connection is None:
            used.close()


def _chunks(data: bytes) -> Any:
    return (data[start : start + 65536] for start in range(0, len(data), 65536))


class SocketIO:
    """What both clients can do once they send and receive messages."""

    sid: str

    def send(self, *messages: str | bytes) -> object:
        """Send Socket.IO packets, and their attachments, all at once."""
        raise NotImplementedError

    def message(self, seconds: float = DEADLINE) -> str | bytes:
        """
        Wait for the next message; pings that come before are answered.

        Raises:
            ClosedError: If the session is over.
            TimeoutError: If nothing came.
        """
        raise NotImplementedError

    def text(self, seconds: float = DEADLINE) -> str:
        """Wait for the next message, which has to be text."""
        message = self.message(seconds)
        assert isinstance(message, str), message
        return message

    def join(self, namespace: str = "/", auth: Any = None) -> str:
        """Join a namespace, and give the client's sid there."""
        head = address(0, namespace)
        self.send(head + ("" if auth is None else json.dumps(auth)))
        answer = self.text()
        assert answer.startswith(head + "{"), answer
        sid: str = json.loads(answer[len(head) :])["sid"]
        return sid

    def emit(self, *event: Any, namespace: str = "/", id: int | str = "") -> None:
        """Send an event."""
        self.send(f"{address(2, namespace)}{id}{json.dumps(event)}")

    def ask(self, *event: Any, namespace: str = "/", id: int = 7) -> list[Any]:
        """Send an event and give the values of its acknowledgement, which has to be what comes next."""
        self.emit(*event, namespace=namespace, id=id)
        head = f"{address(3, namespace)}{id}"
        answer = self.text()
        assert answer.startswith(head + "["), answer
        values: list[Any] = json.loads(answer[len(head) :])
        return values

    def is_quiet(self, seconds: float = 0.3) -> bool:
        """Tell whether no message comes for so long."""
        try:
            self.message(seconds)
        except TimeoutError:
            return True
        return False

    def wait_until_closed(self, seconds: float = AT_ONCE) -> float:
        """Wait until the server has ended the session, and give how many seconds that took."""
        started = time.monotonic()
        try:
            while (left := started + seconds - time.monotonic()) > 0:
                self.message(left)
        except ClosedError:
            return time.monotonic() - started
        except TimeoutError:
            pass
        raise AssertionError(f"the session was not closed within {seconds:g} s")

    def close(self) -> None:
        """Give back what the client holds."""


class Polling(SocketIO):
    """
    A session over HTTP long-polling.

    Args:
        port: Where the server listens.
        path: The endpoint.
        keep_alive: Use one connection for all requests but those that wait in a thread.
    """

    def __init__(self, port: int, *, path: str = "/socket.io/", keep_alive: bool = False) -> None:
        self.port = port
        self.path = path
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE) if keep_alive else None
        self._inbox: deque[str] = deque()
        self._pending: Future[Answer] | None = None
        self.opened_at = time.monotonic()
        opened = request(port, "GET", endpoint("polling", path=path), connection=self._connection)
        assert opened.status == 200, opened
        first, *more = opened.packets
        self.opening: dict[str, Any] = json.loads(first.removeprefix("0"))
        self.sid = self.opening["sid"]
        self._inbox.extend(more)

    @property
    def target(self) -> str:
        """The request target of this session."""
        return endpoint("polling", self.sid, self.path)

    def get(self) -> Answer:
        """Poll once, and wait for the answer."""
        return request(self.port, "GET", self.target, connection=self._connection)

    def get_later(self) -> Future[Answer]:
        """Poll in a thread, and give the server the time to take the request in."""
        pending = later(request, self.port, "GET", self.target)
        pause(0.1)
        return pending

    def post(self, *packets: str, **options: Any) -> Answer:
        """Send Engine.IO packets in one request."""
        body = SEPARATOR.join(packets)
        return request(self.port, "POST", self.target, body, connection=self._connection, **options)

    def send(self, *messages: str | bytes) -> Answer:
        """Send messages in one request."""
        return self.post(*map(encode, messages))

    def packet(self, seconds: float = DEADLINE) -> str:
        """
        Wait for the next Engine.IO packet.

        A poll that is not answered in time goes on; the next call waits for the same one.
        """
        if not self._inbox:
            self._pending = self._pending or later(request, self.port, "GET", self.target)
            try:
                answer = self._pending.result(seconds)
            except (ConnectionError, http.client.HTTPException) as error:
                raise ClosedError(repr(error)) from error
            finally:
                if self._pending.done():
                    self._pending = None
            if answer.status != 200:
                raise ClosedError(answer)
            self._inbox.extend(answer.packets)
        return self._inbox.popleft()

    def take(self) -> list[str]:
        """Take the packets that came with a poll and were not asked for yet."""
        taken = list(self._inbox)
        self._inbox.clear()
        return taken

    def message(self, seconds: float = DEADLINE) -> str | bytes:
        """Wait for the next message."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            packet = self.packet(left)
            if packet == "1":
                raise ClosedError(packet)
            if packet == "2":
                self.post("3")
            elif packet.startswith("b"):
                return base64.b64decode(packet[1:])
            elif packet.startswith("4"):
                return packet[1:]
            else:
                assert packet == "6", packet
        raise TimeoutError

    def close(self) -> None:
        """End the session, if it lasts still, and wait for the poll that may be pending."""
        with suppress(OSError, http.client.HTTPException):
            self.post("1")
        if self._pending is not None:
            with suppress(OSError, http.client.HTTPException, TimeoutError):
                self._pending.result(DEADLINE)
        if self._connection is not None:
            self._connection.close()


# WebSocket


@dataclass(frozen=True)
class Frame:
    """One frame that the server sent."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0

    @property
    def code(self) -> int | None:
        """The code of a close frame, or None if it has none."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


def frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """
    Write a frame as a client does, or wrongly. RFC 6455 section 5.2.

    Args:
        opcode: Four bits.
        payload: Text is sent as UTF-8.
        fin: Whether it is the last of its message.
        rsv: The three reserved bits.
        masked: Whether the payload is masked.
        length: What the header says, if that should not be the truth.
    """
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data) if length is None else length
    bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    if not masked:
        return head + data
    key = os.urandom(4)
    pattern = (key * (len(data) // 4 + 1))[: len(data)]
    hidden = int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")
    return head + key + hidden.to_bytes(len(data), "big")


def message_frame(message: str | bytes) -> bytes:
    """Write an Engine.IO message as a frame."""
    return frame(BINARY, message) if isinstance(message, bytes) else frame(TEXT, "4" + message)


@dataclass(frozen=True)
class End:
    """How a WebSocket ended: the frames that still came, and whether the server reset the connection."""

    frames: Sequence[Frame]
    reset: bool = False

    @property
    def code(self) -> int | None:
        """The code of the server's close frame; None if there was no such frame, or no code in it."""
        return next((each.code for each in self.frames if each.opcode == CLOSE), None)

    @property
    def texts(self) -> list[str]:
        """The text frames among them."""
        return [each.payload.decode() for each in self.frames if each.opcode == TEXT]


@dataclass
class _Assembly:
    """The fragments of the message that is coming in."""

    opcode: int = 0
    parts: list[bytes] = field(default_factory=list)


class WebSocket(SocketIO):
    """
    A WebSocket to the server; `status` says whether the handshake was accepted (101).

    Args:
        port: Where the server listens.
        target: Path and query of the handshake.
        early: Bytes sent in the same segment as the handshake.
        headers: Further header fields of the handshake.
        may_compress: Whether frames with the bit RSV1 may come.
    """

    def __init__(
        self,
        port: int,
        target: str,
        *,
        early: bytes = b"",
        headers: Mapping[str, str] | None = None,
        may_compress: bool = False,
    ) -> None:
        self._may_compress = may_compress
        self._buffer = bytearray()
        self._assembly = _Assembly()
        self._said_close = False
        self.opening: dict[str, Any] = {}
        self.sid = ""
        self.opened_at = time.monotonic()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16))
        fields = {
            "Host": f"127.0.0.1:{port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Version": "13",
            **(headers or {}),
        }
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        try:
            self.socket.sendall("\r\n".join(lines).encode() + early)
            self.status, self.headers = self._read_head()
            if self.status == 101:
                accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
                assert self.headers.get("sec-websocket-accept") == accept, self.headers
        except BaseException:
            self.socket.close()
            raise

    def _read_head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._buffer:
            assert self._read_more(time.monotonic() + DEADLINE), f"no answer to the handshake: {bytes(self._buffer)!r}"
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer[:] = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split()[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}

    def read_opening(self) -> WebSocket:
        """Take the packet OPEN, with which a session on a WebSocket begins."""
        packet = self.packet()
        assert isinstance(packet, str), packet
        assert packet.startswith("0"), packet
        self.opening = json.loads(packet[1:])
        self.sid = self.opening["sid"]
        return self

    # Sending

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are; a connection that the server has ended swallows them."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def send_frame(self, opcode: int, payload: bytes | str = b"", *, behind: bytes = b"", **options: Any) -> None:
        """Send one frame, with more bytes behind it in the same segment; the options are those of `frame`."""
        self._said_close = self._said_close or opcode == CLOSE
        self.send_raw(frame(opcode, payload, **options) + behind)

    def send_packet(self, packet: str) -> None:
        """Send an Engine.IO packet as text."""
        self.send_frame(TEXT, packet)

    def send(self, *messages: str | bytes) -> None:
        """Send messages, in one segment if they are short."""
        self.send_raw(b"".join(map(message_frame, messages)))

    # Receiving

    def _read_more(self, end: float) -> bool:
        """Wait for bytes; False if there will be none."""
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)
        data = self.socket.recv(65536)
        self._buffer += data
        return bool(data)

    def _parsed(self) -> Frame | None:
        """Take a whole frame out of the buffer."""
        data = bytes(self._buffer[:10])
        if len(data) < 2:
            return None
        fin, rsv, opcode = bool(data[0] & 0x80), data[0] >> 4 & 7, data[0] & 15
        shown = bytes(self._buffer[:60])
        assert opcode in {CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG}, f"no WebSocket frame: {shown!r}"
        assert rsv in ({0, 4} if self._may_compress else {0}), f"a reserved bit is set: {shown!r}"
        assert not data[1] & 0x80, f"a server must not mask: {shown!r}"
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start or len(self._buffer) < start + size:
            return None
        payload = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return Frame(opcode, payload, fin, rsv)

    def frame(self, seconds: float = DEADLINE) -> Frame:
        """
        Wait for the next frame, of whatever kind.

        Raises:
            ClosedError: At the end of the connection.
            TimeoutError: If none came.
        """
        end = time.monotonic() + seconds
        while (parsed := self._parsed()) is None:
            try:
                if self._read_more(end):
                    continue
            except ConnectionResetError as error:
                raise ClosedError("the connection was reset") from error
            self.socket.close()
            assert not self._buffer, f"the connection ended within a frame: {bytes(self._buffer[:60])!r}"
            raise ClosedError("the connection was closed")
        return parsed

    def packet(self, seconds: float = DEADLINE) -> str | bytes:
        """Wait for the next message of the WebSocket, put together from its fragments; its pings are answered."""
        end = time.monotonic() + seconds
        while True:
            got = self.frame(max(end - time.monotonic(), 0.001))
            if got.opcode == CLOSE:
                self._answer_close(got)
                raise ClosedError(f"close frame, code {got.code}")
            if got.opcode == PING:
                self.send_frame(PONG, got.payload)
            elif got.opcode != PONG:
                self._assembly.opcode = got.opcode or self._assembly.opcode
                self._assembly.parts.append(got.payload)
                if got.fin:
                    data, opcode = b"".join(self._assembly.parts), self._assembly.opcode
                    self._assembly = _Assembly()
                    return data.decode() if opcode == TEXT else data

    def message(self, seconds: float = DEADLINE) -> str | bytes:
        """Wait for the next message."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            packet = self.packet(left)
            if isinstance(packet, bytes):
                return packet
            if packet == "2":
                self.send_packet("3")
            elif packet == "1":
                raise ClosedError(packet)
            else:
                assert packet.startswith("4"), packet
                return packet[1:]
        raise TimeoutError

    def _answer_close(self, got: Frame) -> None:
        if not self._said_close:
            self.send_frame(CLOSE, got.payload[:2])

    def wait_for_end(self, seconds: float = AT_ONCE) -> End:
        """
        Wait until the server has ended the connection, and give how it did.

        A close frame is answered, since the server may wait for that; nothing else is.

        Raises:
            AssertionError: If it has not in time, or sent what is no WebSocket frame.
        """
        frames = []
        end = time.monotonic() + seconds
        try:
            while True:
                frames.append(self.frame(max(end - time.monotonic(), 0.001)))
                if frames[-1].opcode == CLOSE:
                    self._answer_close(frames[-1])
        except ClosedError as error:
            return End(frames, "reset" in str(error))
        except TimeoutError:
            raise AssertionError(f"the connection was not closed within {seconds:g} s; {frames} came") from None

    # Ending

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on listening."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """End the connection without a word."""
        self.socket.close()


def open_websocket(port: int, *, path: str = "/socket.io/", **options: Any) -> WebSocket:
    """Open a session on a WebSocket; the options are those of `WebSocket`."""
    opened = WebSocket(port, endpoint("websocket", path=path), **options)
    try:
        assert opened.status == 101, opened.status
        return opened.read_opening()
    except BaseException:
        opened.close()
        raise


def probe(polling: Polling) -> WebSocket:
    """Open a WebSocket for a polling session, and see that it works; the upgrade is not done yet."""
    opened = WebSocket(polling.port, endpoint("websocket", polling.sid, polling.path))
    try:
        assert opened.status == 101, opened.status
        opened.send_packet("2probe")
        answer = opened.packet()
        assert answer == "3probe", answer
        opened.sid, opened.opening, opened.opened_at = polling.sid, polling.opening, polling.opened_at
        return opened
    except BaseException:
        opened.close()
        raise
