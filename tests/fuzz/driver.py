"""Plays conversations to the server of `site`, which runs in this process, and looks what they leave behind."""

from __future__ import annotations

import json
import socket as green_socket
import struct
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import eventlet
from eventlet import hubs, patcher

from dtws_sio import sio
from dtws_sio.engine.connection import Connection
from tests.fuzz import site
from tests.fuzz.conversations import COMPRESSING, HANDSHAKE, SID, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fuzz.conversations import Action, Conversation

socket: Final[Any] = patcher.original("socket")

DEADLINE: Final = 5.0
"""Seconds after which something that should have happened counts as missing."""

TURNS: Final = 4
"""Turns that the server's hub gets after each action: enough to accept, read, handle and answer."""

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: `close` sends RST."""


class Wire:
    """A TCP connection to the server, which reads only what is asked for and never waits."""

    def __init__(self, port: int) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(green_socket.SOL_SOCKET, green_socket.SO_RCVBUF, site.SMALL_BUFFER)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setblocking(False)
        self.received = b""

    def send(self, data: bytes, cut: int = 0) -> None:
        """Send bytes, in two parts if there is a cut; what does not fit, or comes too late, is lost."""
        for part in (data[:cut], data[cut:]):
            if part:
                with suppress(OSError):
                    self.sock.send(part)
                let_run(1)

    def read(self) -> bytes:
        """Give everything that came so far."""
        with suppress(OSError):
            while data := self.sock.recv(65536):
                self.received += data
        return self.received

    def finish(self, how: str) -> None:
        """End the connection in one of the ways of ENDS."""
        with suppress(OSError):
            if how == "half":
                self.sock.shutdown(green_socket.SHUT_WR)
                return
            if how == "reset":
                self.sock.setsockopt(green_socket.SOL_SOCKET, green_socket.SO_LINGER, RESET)
            self.sock.close()


def let_run(turns: int = TURNS) -> None:
    """Give the server's hub some turns."""
    for _ in range(turns):
        eventlet.sleep()


def eventually(condition: Callable[[], Any], what: Callable[[], str]) -> Any:
    """Let the server run until a condition gives something true, and give that."""
    deadline = time.monotonic() + DEADLINE
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {DEADLINE:g} s in vain for {what()}")
        eventlet.sleep()
    return result


@contextmanager
def joining() -> Iterator[None]:
    """Wait until one more client than before has been let in; what it says earlier would be an error."""
    before = len(site.present)
    yield
    eventually(lambda: len(site.present) > before, lambda: "a client to be let in")


class Visitor:
    """One client of a conversation: a session, and the connections that it opened for it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sid = "none"
        self.wires: list[Wire] = []
        self.websocket: Wire | None = None

    def wire(self) -> Wire:
        """Open a connection."""
        self.wires.append(Wire(self._port))
        return self.wires[-1]

    def request(self, head: bytes, tail: bytes = b"\r\n", cut: int = 0) -> Wire:
        """Send a request on a connection of its own."""
        wire = self.wire()
        wire.send((head + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + tail).replace(SID, self.sid.encode()), cut)
        return wire

    def shake_hands(self, query: bytes, early: bytes = b"", cut: int = 0, headers: bytes = COMPRESSING) -> None:
        """Ask for a WebSocket, with its first frames right behind."""
        wire = self.wire()
        head = b"GET /socket.io/?EIO=4&transport=websocket" + query + b" HTTP/1.1\r\n" + headers
        wire.send(head.replace(SID, self.sid.encode()) + early, cut)
        self.websocket = wire

    # Openings

    def open_websocket(self) -> None:
        self.shake_hands(b"")

    def open_joined(self) -> None:
        with joining():
            self.shake_hands(b"", text("40"))

    def open_polling(self) -> None:
        wire = self.request(b"GET /socket.io/?EIO=4&transport=polling")
        eventually(lambda: b'"maxPayload"' in wire.read(), lambda: f"a session, got {wire.received!r}")
        self.sid = json.loads(wire.received.partition(b"\r\n\r\n0")[2])["sid"]
        with joining():
            self.act_post(b"40", 0)

    def open_upgrading(self) -> None:
        self.open_polling()
        self.act_poll(b"", 0)
        self.act_upgrade(text("2probe"), 0)

    def open_nothing(self) -> None:
        """Be somebody without a session."""

    # Actions

    def act_frames(self, data: bytes, cut: int) -> None:
        (self.websocket or self.wire()).send(data, cut)

    def act_post(self, data: bytes, cut: int) -> None:
        length = b"Content-Length: %d\r\n\r\n" % len(data)
        self.request(b"POST /socket.io/?EIO=4&transport=polling&sid=" + SID, length + data, cut)

    def act_poll(self, data: bytes, cut: int) -> None:
        self.request(b"GET /socket.io/?EIO=4&transport=polling&sid=" + SID, cut=cut)

    def act_request(self, data: bytes, cut: int) -> None:
        self.wire().send(data.replace(SID, self.sid.encode()), cut)

    def act_upgrade(self, data: bytes, cut: int) -> None:
        self.shake_hands(b"&sid=" + SID, data, cut)

    def act_finish(self, data: bytes, cut: int) -> None:
        if self.wires:
            (self.websocket or self.wires[-1]).finish(data.decode())

    def act_time(self, data: bytes, cut: int) -> None:
        site.clock.advance(int(data))


def play(conversation: Conversation, port: int) -> None:
    """Play a conversation; afterwards nobody is connected any more."""
    visitors = [Visitor(port) for _ in conversation.openings]
    for visitor, opening in zip(visitors, conversation.openings, strict=True):
        getattr(visitor, f"open_{opening}")()
        let_run()
    for action in conversation.actions:
        _act(visitors[action.client % len(visitors)], action)
    if conversation.end != "wait":
        _finish(visitors, conversation.end)
    for _ in range(3):  # pings are sent, remain without an answer, and a client that paused is asked again
        site.clock.advance(30)
        let_run()
    if conversation.end == "wait":
        eventually(lambda: not _served(), lambda: f"the server to close {_served()}")
        _finish(visitors, "close")


def _finish(visitors: list[Visitor], how: str) -> None:
    for visitor in visitors:
        for wire in visitor.wires:
            wire.finish(how)
    let_run()


def _served() -> list[Any]:
    """Give the WebSockets that the server reads from."""
    owners = [getattr(listener.cb, "__self__", None) for listener in hubs.get_hub().listeners["read"].values()]
    return [owner for owner in owners if isinstance(owner, Connection)]


def _act(visitor: Visitor, action: Action) -> None:
    getattr(visitor, f"act_{action.kind}")(action.data, action.cut)
    let_run()


class Left:
    """What the server holds for clients; `check` compares it with what it held before the first."""

    def __init__(self) -> None:
        self._listeners = self._count_listeners()

    @staticmethod
    def _count_listeners() -> dict[str, int]:
        hub = hubs.get_hub()
        counts = {kind: len(listeners) for kind, listeners in hub.listeners.items()}
        return {**counts, "second": sum(map(len, hub.secondaries.values())), "closed": len(hub.closed)}

    def _remains(self) -> dict[str, Any]:
        """Name what is held, and should not be."""
        held = {
            "sessions": sio.eio.sockets,
            "clients' sessions": sio.clients._carriers,
            "clients": sio.manager._clients,
            "rooms": sio.manager._members,
            "callbacks": sio.manager.callbacks,
            "dirty": sio.eio._dirty,
            "handlers": sio._pool._running,
            "present": site.present,
        }
        remains = {name: repr(value)[:500] for name, value in held.items() if value}
        listeners = self._count_listeners()
        return remains if listeners == self._listeners else {**remains, "listeners": listeners}

    def check(self) -> None:
        """
        Wait until nothing is left of any client.

        Raises:
            AssertionError: If something is.
        """
        try:
            eventually(lambda: not self._remains(), lambda: f"these to go: {self._remains()}")
            assert not site.twice, "a client came or went twice"
        finally:
            self._forgive()

    def _forgive(self) -> None:
        """Begin anew, so that what one example left behind is not held against the next."""
        self._listeners = self._count_listeners()
        for collection in (site.present, site.twice):
            collection.clear()


def visit(port: int) -> None:
    """Be a client that does everything right, over either transport."""
    visitor = Visitor(port)
    visitor.shake_hands(b"", text("40"), headers=HANDSHAKE)
    wire = visitor.wires[0]
    eventually(lambda: b'40{"sid":' in wire.read(), lambda: f"a welcome, got {wire.received!r}")
    wire.send(text('428["echo","fine"]'))
    eventually(lambda: b'438["fine"]' in wire.read(), lambda: f"an acknowledgement, got {wire.received!r}")
    wire.finish("close")
    let_run()
