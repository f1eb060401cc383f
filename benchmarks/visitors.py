"""Clients of the soak: what each does, and how it lets the server down. Sources: RFC 6455; Engine.IO protocol 4."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

HOSTS: Final = tuple(f"127.0.0.{number}" for number in range(1, 5))
"""Where the server listens."""

SOURCES: Final = tuple(f"127.0.0.{number}" for number in range(10, 250))
"""Where clients come from."""

PATIENCE: Final = 30.0
"""Seconds in which an answer, or the end of a connection, has to come."""

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: `close` sends RST."""

POLLING: Final = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET: Final = "/socket.io/?EIO=4&transport=websocket"

UPGRADE: Final = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
"""The headers that ask for a WebSocket."""


def frame(data: bytes, opcode: int = 1) -> bytes:
    """Make a frame whose mask changes nothing."""
    length = len(data)
    head = struct.pack("!BB", 0x80 | opcode, 0x80 | length) if length < 126 else b""
    return (head or struct.pack("!BBH", 0x80 | opcode, 0xFE, length)) + bytes(4) + data


class Visitor:
    """
    One client, with all the connections that it opens.

    Args:
        port: The server's.
        chance: Where its decisions come from.
    """

    def __init__(self, port: int, chance: random.Random) -> None:
        self.chance = chance
        self.received = b""
        self._port = port
        self._sockets: list[socket.socket] = []

    async def connect(self, buffer: int | None = None) -> socket.socket:
        """Open a connection, with a receive buffer of so many bytes."""
        sock = socket.socket()
        self._sockets.append(sock)
        sock.setblocking(False)
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((self.chance.choice(SOURCES), 0))
        await asyncio.get_running_loop().sock_connect(sock, (self.chance.choice(HOSTS), self._port))
        return sock

    @staticmethod
    async def send(sock: socket.socket, data: bytes) -> None:
        """Send bytes."""
        await asyncio.get_running_loop().sock_sendall(sock, data)

    async def read_until(self, sock: socket.socket, text: bytes) -> bytes:
        """
        Read until a text came, and give everything up to there and beyond.

        Raises:
            ConnectionError: If the connection ends before.
        """
        received = b""
        while text not in received:
            data = await asyncio.get_running_loop().sock_recv(sock, 65536)
            if not data:
                raise ConnectionError(f"the connection ended before {text!r} came, after {received[-200:]!r}")
            received += data
        return received

    @staticmethod
    async def read_all(sock: socket.socket) -> None:
        """Read until the server ends the connection."""
        with suppress(ConnectionError):
            while await asyncio.get_running_loop().sock_recv(sock, 65536):
                pass

    def leave(self, how: str | None = None) -> None:
        """Close all connections; with RST, with FIN, or as chance has it."""
        for sock in self._sockets:
            if (how or self.chance.choice(("reset", "close"))) == "reset":
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()

    # Requests

    async def request(self, sock: socket.socket, method: str, target: str, body: bytes = b"", more: str = "") -> None:
        """Send a request."""
        length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
        await self.send(sock, f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}{length}\r\n".encode() + body)

    async def shake_hands(self, sock: socket.socket, sid: str = "") -> None:
        """Ask for a WebSocket, for a session if there is one."""
        await self.request(sock, "GET", WEBSOCKET + (f"&sid={sid}" if sid else ""), more=UPGRADE)
        await self.read_until(sock, b"\r\n\r\n")

    async def join(self, buffer: int | None = None) -> socket.socket:
        """Open a WebSocket, join the namespace "/" and some rooms."""
        sock = await self.connect(buffer)
        await self.shake_hands(sock)
        await self.send(sock, frame(b"40"))
        await self.read_until(sock, b'40{"sid"')
        for _ in range(self.chance.randrange(4)):
            await self.send(sock, frame(b'42["join","r%d"]' % self.chance.randrange(50)))
        return sock

    async def poll(self) -> tuple[socket.socket, str]:
        """Open a session by long-polling, join, and give the connection with the session's target."""
        sock = await self.connect()
        await self.request(sock, "GET", POLLING)
        opening = await self.read_until(sock, b"}")
        found = re.search(rb'"sid":"([^"]+)"', opening)
        assert found, opening
        sid = found[1].decode()
        await self.request(sock, "POST", f"{POLLING}&sid={sid}", b"40")
        await self.read_until(sock, b"ok")
        await self.request(sock, "GET", f"{POLLING}&sid={sid}")
        await self.read_until(sock, b'40{"sid"')
        return sock, sid

    async def ask(self, sock: socket.socket) -> None:
        """Send an event and wait for what it is answered with."""
        await self.send(sock, frame(b'42["echo","a word"]'))
        await self.read_until(sock, b"a word")


IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux's option (ip(7)): the port is chosen when it is known where the connection goes; Python 3.12 names it."""


# What visitors do


async def converse(visitor: Visitor) -> None:
    """Do everything right."""
    sock = await visitor.join()
    await visitor.ask(sock)
    await visitor.send(sock, frame(b'42["room","r%d","to a room"]' % visitor.chance.randrange(50)))
    await visitor.send(sock, frame(b"\x03\xe8", 8))
    await visitor.read_all(sock)


async def go_away(visitor: Visitor) -> None:
    """Send events and leave without waiting for the answers."""
    sock = await visitor.join()
    for _ in range(5):
        await visitor.send(sock, frame(b'42["echo","a word"]'))


async def leave_in_handler(visitor: Visitor) -> None:
    """Leave while a handler runs, with events that wait for it."""
    sock = await visitor.join()
    await visitor.send(sock, frame(b'42["nap",0.3]') + frame(b'42["nap",0.1]') + frame(b'421["echo",1]'))


async def fall_silent(visitor: Visitor) -> None:
    """Be half-open: say nothing any more, and answer no ping, until the server gives up."""
    sock = await visitor.join()
    await visitor.read_all(sock)


async def finish_sending(visitor: Visitor) -> None:
    """Close one direction only."""
    sock = await visitor.join()
    sock.shutdown(socket.SHUT_WR)
    await visitor.read_all(sock)


async def stop_in_frame(visitor: Visitor) -> None:
    """Leave in the middle of a frame, or of a fragmented message."""
    sock = await visitor.join()
    part = frame(b"42[" + b"x" * 1000)[: visitor.chance.randrange(1, 1000)]
    await visitor.send(sock, visitor.chance.choice((part, b"\x01" + frame(b"42[")[1:])))


async def stop_in_request(visitor: Visitor) -> None:
    """Leave in the middle of a handshake."""
    sock = await visitor.connect()
    request = f"GET {WEBSOCKET} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n".encode()
    await visitor.send(sock, request[: visitor.chance.randrange(len(request))])


async def stop_in_handshake(visitor: Visitor) -> None:
    """Leave before the answer to the handshake can be sent."""
    sock = await visitor.connect()
    await visitor.request(sock, "GET", WEBSOCKET, more=UPGRADE)


async def read_slowly(visitor: Visitor) -> None:
    """Ask for more than is read."""
    sock = await visitor.join(2048)
    await visitor.send(sock, frame(b'42["flood",3000]'))
    for _ in range(visitor.chance.randrange(10)):
        await asyncio.sleep(0.02)
        await asyncio.get_running_loop().sock_recv(sock, 500)


async def talk_nonsense(visitor: Visitor) -> None:
    """Send bytes that mean nothing."""
    sock = await visitor.join()
    await visitor.send(sock, visitor.chance.randbytes(visitor.chance.randrange(1, 300)))
    sock.shutdown(socket.SHUT_WR)
    await visitor.read_all(sock)


async def break_rule(visitor: Visitor) -> None:
    """Send a packet that no client may send."""
    sock = await visitor.join()
    await visitor.send(sock, frame(visitor.chance.choice((b"9", b"42{}", b"2", b'451-["echo"]', b"40"))))
    if visitor.chance.random() < 0.5:
        await visitor.send(sock, frame(b'42["echo",1]'))
        sock.shutdown(socket.SHUT_WR)
        await visitor.read_all(sock)


async def converse_by_polling(visitor: Visitor) -> None:
    """Do everything right, without a WebSocket."""
    sock, sid = await visitor.poll()
    await visitor.request(sock, "POST", f"{POLLING}&sid={sid}", b'42["echo","a word"]')
    await visitor.read_until(sock, b"ok")
    await visitor.request(sock, "GET", f"{POLLING}&sid={sid}")
    await visitor.read_until(sock, b"a word")
    await visitor.request(sock, "POST", f"{POLLING}&sid={sid}", b"1")
    await visitor.read_until(sock, b"ok")


async def abandon_polling(visitor: Visitor) -> None:
    """Never come back."""
    sock, sid = await visitor.poll()
    if visitor.chance.random() < 0.5:
        await visitor.request(sock, "GET", f"{POLLING}&sid={sid}")


async def stop_in_body(visitor: Visitor) -> None:
    """Leave in the middle of a POST."""
    sock, sid = await visitor.poll()
    await visitor.send(sock, f"POST {POLLING}&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n4".encode())


async def abandon_upgrade(visitor: Visitor) -> None:
    """Leave in the middle of an upgrade."""
    _, sid = await visitor.poll()
    sock = await visitor.connect()
    await visitor.shake_hands(sock, sid)
    if visitor.chance.random() < 0.7:
        await visitor.send(sock, frame(b"2probe"))


async def upgrade(visitor: Visitor) -> None:
    """Change from polling to a WebSocket."""
    _, sid = await visitor.poll()
    sock = await visitor.connect()
    await visitor.shake_hands(sock, sid)
    await visitor.send(sock, frame(b"2probe"))
    await visitor.read_until(sock, b"3probe")
    await visitor.send(sock, frame(b"5"))
    await visitor.ask(sock)


async def nap(visitor: Visitor) -> None:
    """Have a handler wait for a second, and wait for it."""
    sock = await visitor.join()
    await visitor.send(sock, frame(b'42["nap",1]'))
    await visitor.ask(sock)


VISITS: Final[dict[Callable[[Visitor], Awaitable[None]], int]] = {
    converse: 20,
    go_away: 15,
    leave_in_handler: 5,
    fall_silent: 2,
    finish_sending: 5,
    stop_in_frame: 8,
    stop_in_request: 5,
    stop_in_handshake: 5,
    read_slowly: 2,
    talk_nonsense: 5,
    break_rule: 5,
    converse_by_polling: 5,
    abandon_polling: 5,
    stop_in_body: 3,
    abandon_upgrade: 5,
    upgrade: 5,
}
"""What there is to do, and how many of a hundred visitors do it."""
