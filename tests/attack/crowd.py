"""
Fifty well-behaved clients, in a process of their own.

    python -m tests.attack.crowd PORT

Each sends a numbered event every 100 ms, whether or not the last one was answered, and sees that every one is answered,
once and in order. A line on standard input, "begin" or "report", begins a window or asks how it was; the answer is a
line of JSON, given once everything that was sent before the question is answered, or `PATIENCE` seconds have passed.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from typing import Any, Final

SIZE: Final = 50
"""Clients."""

PACE: Final = 0.1 / SIZE
"""Seconds between two events of the crowd: each client sends ten a second."""

SAMPLES: Final = SIZE
"""Answers that a window has at least: one for each client, of which none may be late then."""

PATIENCE: Final = 5.0
"""Seconds after which an event that was not answered is lost."""

HANDSHAKE: Final = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(text: bytes) -> bytes:
    """Write a short text frame whose mask changes nothing."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


class Window:
    """What happened to the crowd since somebody last asked."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.disorders = 0
        self.disconnects = 0

    def report(self, lost: int) -> dict[str, Any]:
        """Sum it up; times are in seconds."""
        ordered = sorted(self.latencies) or [PATIENCE]
        return {
            "answered": len(self.latencies),
            "lost": lost,
            "disorders": self.disorders,
            "disconnects": self.disconnects,
            "median": ordered[len(ordered) // 2],
            "p99": ordered[len(ordered) * 99 // 100],
            "slowest": ordered[-1],
        }


class Member:
    """
    One client.

    Args:
        port: The server's.
        selector: Tells when there is something to read.
    """

    def __init__(self, port: int, selector: selectors.BaseSelector) -> None:
        self._port = port
        self._selector = selector
        self._number = 0
        self.awaited: dict[int, float] = {}
        self.window = Window()
        self._connect()

    def _connect(self) -> None:
        self._sock = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock.sendall(HANDSHAKE.format(port=self._port).encode())
        self._buffer = self._read_past(b"", b"\r\n\r\n")
        self._sock.sendall(frame(b"40"))
        self._buffer = self._read_past(self._buffer, b'40{"sid":"', b'"}')
        self._sock.setblocking(False)
        self._selector.register(self._sock, selectors.EVENT_READ, self)

    def _read_past(self, buffer: bytes, *texts: bytes) -> bytes:
        for text in texts:
            while text not in buffer:
                data = self._sock.recv(65536)
                if not data:
                    raise ConnectionError(f"the server ended the connection before {text!r}; it said {buffer!r}")
                buffer += data
            buffer = buffer.partition(text)[2]
        return buffer

    def send(self) -> None:
        """Send the next event."""
        self._number += 1
        self.awaited[self._number] = time.monotonic()
        self._write(b'42%d["echo",%d]' % (self._number, self._number))

    def _write(self, text: bytes) -> None:
        try:
            self._sock.send(frame(text))
        except BlockingIOError:
            pass  # the server reads nothing any more: the event counts as lost
        except OSError:
            self._come_again()

    def read(self) -> None:
        """Take what came."""
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._come_again()
            return
        self._buffer += data
        while len(self._buffer) >= 2 and len(self._buffer) >= (end := 2 + self._buffer[1]):
            text, self._buffer = self._buffer[2:end], self._buffer[end:]
            self._take(text)

    def _take(self, text: bytes) -> None:
        if text == b"2":
            self._write(b"3")
            return
        now, number = time.monotonic(), int(text.removeprefix(b"43").partition(b"[")[0])
        oldest = next(iter(self.awaited), None)
        if number != oldest or text != b"43%d[%d]" % (number, number):
            self.window.disorders += 1
        sent = self.awaited.pop(number, None)
        if sent is not None:
            self.window.latencies.append(now - sent)

    def _come_again(self) -> None:
        self.window.disconnects += 1
        self._selector.unregister(self._sock)
        self._sock.close()
        self._connect()


class Crowd:
    """All of them, and what asks about them."""

    def __init__(self, port: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._members = [Member(port, self._selector) for _ in range(SIZE)]
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        self._begin()
        self._asked: float | None = None

    def run(self) -> None:
        """Send and read until standard input ends."""
        started, count = time.monotonic(), 0
        while True:
            due = started + count * PACE
            for key, _ in self._selector.select(max(0.0, due - time.monotonic())):
                if key.data is not None:
                    key.data.read()
                elif not self._obey(sys.stdin.readline()):
                    return
            if time.monotonic() >= due:
                self._members[count % SIZE].send()
                count += 1
            if self._asked is not None:
                self._answer()

    def _begin(self) -> None:
        self._window = Window()
        for member in self._members:
            member.window = self._window

    def _obey(self, line: str) -> bool:
        if line == "begin\n":
            self._begin()
            self._say({})
        elif line == "report\n":
            self._asked = time.monotonic()
        return bool(line)

    def _answer(self) -> None:
        assert self._asked is not None
        due = [sent for member in self._members for sent in member.awaited.values() if sent <= self._asked]
        is_over = time.monotonic() > self._asked + PATIENCE
        if is_over or (not due and len(self._window.latencies) >= SAMPLES):
            self._asked = None
            self._say(self._window.report(len(due)))
            for member in self._members:
                if is_over:
                    member.awaited.clear()

    @staticmethod
    def _say(answer: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    Crowd(int(sys.argv[1])).run()
