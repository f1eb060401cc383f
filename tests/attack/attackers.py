"""What attackers do who need much of a processor, or many connections; run in a process of their own."""

from __future__ import annotations

import selectors
import socket
import threading
import time
import zlib
from collections import Counter
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from tests.wire.clients import (
    BINARY,
    CLOSE,
    TEXT,
    ClosedError,
    End,
    Polling,
    WebSocket,
    endpoint,
    frame,
    open_websocket,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES: Final = tuple(f"127.0.0.{number}" for number in range(10, 250))
"""Where connections come from: one address has ports for 28,000."""

ABREAST: Final = 4
"""Connections of a flood."""

DEFLATE: Final = {"Sec-WebSocket-Extensions": "permessage-deflate"}

HANDSHAKE: Final = (
    f"GET {endpoint('websocket')} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()


def read_all(sock: socket.socket) -> None:
    """Read until the end, whatever comes."""
    with suppress(OSError):
        while sock.recv(1 << 20):
            pass


def flood(port: int, packet: bytes, seconds: float, *, first: bytes = b"") -> int:
    """
    Send a packet as often as the server takes it, on some connections at once, and give how many bytes it took.

    Args:
        port: The server's.
        packet: A frame, or several.
        seconds: How long.
        first: Sent once before.
    """
    block, taken = packet * (65536 // len(packet) + 1), 0
    with ExitStack() as stack:
        sockets = []
        for _ in range(ABREAST):
            client = open_websocket(port)
            stack.callback(client.close)
            client.join()
            client.send_raw(first)
            client.socket.settimeout(None)
            threading.Thread(target=read_all, args=(client.socket,), daemon=True).start()
            sockets.append(client.socket)
        end = time.monotonic() + seconds
        left = [block] * ABREAST
        while (now := time.monotonic()) < end and sockets:
            for number, sock in enumerate(sockets):
                with suppress(BlockingIOError):
                    sent = sock.send(left[number], socket.MSG_DONTWAIT)
                    left[number] = left[number][sent:] or block
                    taken += sent
            time.sleep(max(0.0, min(0.002, end - now)))
    return taken


def post(port: int, packet: str, count: int) -> tuple[int, str]:
    """Send many packets in one request of a client that joined; give the status, and what the next poll says."""
    client = Polling(port)
    client.join()
    status = client.post(*[packet] * count).status
    try:
        return status, client.packet(1.0)
    except ClosedError:
        return status, "closed"
    except TimeoutError:
        return status, "nothing"
    finally:
        client.close()


def connects(port: int, count: int, abreast: int) -> Counter[str]:
    """
    Open that many WebSockets, some at once, each from another address, and count what became of them.

    Every third says nothing, every third joins and goes without a word, every third joins and says goodbye.
    """
    seen: Counter[str] = Counter()
    with selectors.DefaultSelector() as selector:
        numbers, open_now = iter(range(count)), 0
        while True:
            while open_now < abreast and (number := next(numbers, None)) is not None:
                _connect(port, number, selector)
                open_now += 1
            if not open_now:
                return seen
            ready = selector.select(5.0)
            assert ready, f"nothing happens any more after {seen}"
            for key, _ in ready:
                outcome = key.data.advance()
                if outcome:
                    seen[outcome] += 1
                    open_now -= 1


def _connect(port: int, number: int, selector: selectors.BaseSelector) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: the port is chosen at the connect (ip(7))
    sock.bind((SOURCES[number % len(SOURCES)], 0))
    sock.setblocking(False)
    with suppress(BlockingIOError):
        sock.connect(("127.0.0.1", port))
    selector.register(sock, selectors.EVENT_WRITE, _Visit(sock, number, selector))


class _Visit:
    """One of those connections."""

    def __init__(self, sock: socket.socket, number: int, selector: selectors.BaseSelector) -> None:
        self._sock = sock
        self._selector = selector
        self._steps = self._live(number % 3)
        next(self._steps)

    def advance(self) -> str:
        """Go on, since the connection can be read or written; once it is over, tell how it was."""
        try:
            outcome = next(self._steps)
        except OSError as error:
            outcome = type(error).__name__
        if outcome:
            self._selector.unregister(self._sock)
            self._sock.close()
        return outcome

    def _live(self, kind: int) -> Iterator[str]:
        yield ""
        self._sock.send(HANDSHAKE + frame(TEXT, "40") * (kind > 0))
        self._selector.modify(self._sock, selectors.EVENT_READ, self)
        received, awaited = b"", b'40{"sid"' if kind else b'"maxPayload"'
        while awaited not in received:
            yield ""
            data = self._sock.recv(65536)
            if not data:
                yield "refused"
            received += data
        if kind == 2:
            self._sock.send(frame(CLOSE, b"\x03\xe8"))
            yield ""
            while self._sock.recv(65536):
                yield ""
        yield ("silent", "gone", "closed")[kind]


def bomb(port: int, megabytes: int, fragments: int) -> End:
    """Send a message of zeros, compressed, as that many frames; give how the connection ended."""
    squeezed = _squeeze(megabytes)  # that takes longer than a client may be silent
    size = -(-len(squeezed) // fragments)
    with ExitStack() as stack:
        client = WebSocket(port, endpoint("websocket"), headers=DEFLATE, may_compress=True)
        stack.callback(client.close)
        for number in range(fragments):
            part = squeezed[number * size : (number + 1) * size]
            opcode, rsv = (BINARY, 4) if number == 0 else (0, 0)
            client.send_frame(opcode, part, rsv=rsv, fin=number == fragments - 1)
        return client.wait_for_end(5.0)


def _squeeze(megabytes: int) -> bytes:
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(1_000_000)
    data = b"".join(press.compress(zeros) for _ in range(megabytes)) + press.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\x00\x00\xff\xff")


def never_read(port: int, packet: bytes, count: int) -> str:
    """Send packets and read nothing of what they are answered with; tell how the server ended that."""
    client = open_websocket(port)
    try:
        client.join()
        client.socket.settimeout(5.0)
        for _ in range(count):
            client.socket.sendall(packet)
        read_all(client.socket)
    except TimeoutError:
        return "the server reads no more"
    except OSError:
        pass
    finally:
        client.close()
    return "closed"


def drip(port: int, head: bytes, drop: bytes, pause: float, connections: int, seconds: float) -> list[float]:
    """
    Send a beginning and then a drop at a time, on several connections; give after how many seconds each was closed.

    Connections that are open at the end are not in the list.
    """
    started, ends = time.monotonic(), []
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 5.0)) for _ in range(connections)]
        for sock in sockets:
            sock.sendall(head)
            sock.setblocking(False)
        while sockets and time.monotonic() - started < seconds:
            for sock in list(sockets):
                if _has_ended(sock, drop):
                    ends.append(time.monotonic() - started)
                    sockets.remove(sock)
            time.sleep(pause)
    return ends


def _has_ended(sock: socket.socket, drop: bytes) -> bool:
    try:
        if drop:
            sock.send(drop)
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
