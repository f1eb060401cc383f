"""
One Engine.IO session: what a client and the server say to each other, whichever transport carries it.

    polling:    GET waits for the outbox, POST brings packets
    upgrading:  a WebSocket, the candidate, asks with "2probe", is answered "3probe", and says "5"; polling lives on
                until then
    websocket:  a `Connection` carries everything

Packets go into `outbox`. The server's cork flushes it once in a turn of the hub: into the WebSocket with one `send`, or
into the GET that waits. Source: Engine.IO protocol 4; wire rules E5 to E12, H2 and H3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eventlet.event import Event
from websockets.frames import CloseCode

from dtws_sio.engine.handshake import has_gone
from dtws_sio.engine.outgoing import CLOSE, NOOP, PROBE_ANSWER, Outgoing

if TYPE_CHECKING:
    from dtws_sio.engine.connection import Connection
    from dtws_sio.engine.server import Server

EARLY_FLUSH: Final = 65536
"""Bytes in the outbox that do not wait for the end of the hub's turn."""


class InvalidPacketError(ValueError):
    """A client sent a packet that no client may send; its session is closed."""


class Session:
    """
    One client.

    Args:
        server: Whose client it is.
        sid: Its name.
        owner: What its requests have to show; None if they need not show anything.
    """

    __slots__ = (
        "_polled",
        "candidate",
        "closed",
        "connection",
        "is_behind",
        "is_dirty",
        "is_upgrading",
        "outbox",
        "owner",
        "paused",
        "poll",
        "pong_due",
        "posting",
        "server",
        "session",
        "sid",
        "waiting",
    )

    def __init__(self, server: Server, sid: str, owner: object = None) -> None:
        self.server = server
        self.sid = sid
        self.owner = owner
        self.closed = False
        self.session: dict[str, Any] = {}
        self.connection: Connection | None = None
        self.candidate: Connection | None = None
        self.outbox: list[Outgoing] = []
        self.waiting = 0
        self.is_dirty = False
        self.is_behind = True
        self.poll: Event | None = None
        self._polled: Any = None
        self.posting = False
        self.paused = False
        self.is_upgrading = False
        self.pong_due: float | None = None

    @property
    def upgraded(self) -> bool:
        """Whether a WebSocket carries the session."""
        return self.connection is not None

    # Out

    def send(self, outgoing: Outgoing, volatile: bool = False) -> None:
        """Send packets with the next flush; for a client that is behind, the backlog policy decides."""
        if self.is_behind and not self._has_room(outgoing, volatile):
            return
        self.outbox.append(outgoing)
        self.waiting += outgoing.size
        if not self.is_dirty:
            self.is_dirty = True
            self.server.cork(self)
        elif self.waiting > EARLY_FLUSH and self.connection is not None:
            self.flush()

    def _has_room(self, outgoing: Outgoing, volatile: bool) -> bool:
        if self.closed or volatile:
            return False
        unsent = self.connection.unsent if self.connection is not None else 0
        return self.server.backlog.admits(self, outgoing, unsent)

    def flush(self) -> None:
        """Hand the outbox to the transport, if that can take it now."""
        if self.connection is None:
            if self.poll is not None and self.outbox:
                if has_gone(self._polled):
                    self.close("transport error")  # what it is sent would be lost without a word
                else:
                    self._answer_poll(self.take())
        elif not self.connection.unsent:
            if self.outbox:
                self.connection.write(self.take())
            self.is_behind = self.closed or self.connection.unsent > 0

    def take(self) -> list[Outgoing]:
        """Empty the outbox."""
        outbox, self.outbox = self.outbox, []
        self.waiting = 0
        return outbox

    def wait(self, sock: Any) -> list[Outgoing]:
        """Give what the GET that came on this socket is answered with, waiting until there is something."""
        if self.is_upgrading:
            return self.take() or [NOOP]  # an upgrade waits for the client's polling to pause
        if self.outbox or self.closed:
            return self.take()
        self.poll = poll = Event()
        self._polled = sock
        self.is_behind = False
        try:
            packets: list[Outgoing] = poll.wait()
        finally:
            if self.poll is poll:
                self.poll = None
                self.is_behind = True
        return packets

    def _answer_poll(self, packets: list[Outgoing]) -> None:
        """Settle now what the GET that waits is answered with; its greenlet sends it in the hub's next turn."""
        assert self.poll is not None  # noqa: S101
        poll, self.poll, self._polled = self.poll, None, None
        self.is_behind = self.connection is None
        poll.send(packets)

    def end_poll(self, last: Outgoing) -> None:
        """Answer the GET that waits, if one does, with what there is, or with this packet."""
        if self.poll is not None:
            self._answer_poll(self.take() or [last])

    # In

    def receive(self, connection: Connection | None, packet: str | bytes) -> None:
        """
        Take in one packet, from a POST or from a WebSocket.

        Raises:
            InvalidPacketError: If it came in a POST and is invalid; a WebSocket is closed here.
        """
        if self.closed:
            return
        if connection is None or connection is self.connection:
            if type(packet) is str and packet[:1] == "4":
                self.server.receiver.received(self.sid, packet[1:])
                return
            try:
                self._control(packet)
            except InvalidPacketError:
                if connection is None:
                    raise
                self.close("parse error", CloseCode.PROTOCOL_ERROR)
        else:
            self._probe(connection, packet)

    def _control(self, packet: str | bytes) -> None:
        if isinstance(packet, bytes):
            self.server.receiver.received(self.sid, packet)
        elif packet == "3":
            self.server.heartbeat.answered(self)
        elif packet == "1":
            self.end_poll(NOOP)
            self.close("transport close")
        else:
            raise InvalidPacketError(f"no client sends the packet {packet[:20]!r}")

    def _probe(self, connection: Connection, packet: str | bytes) -> None:
        """Follow the upgrade: "2probe", then "5"; anything else ends the attempt, and polling goes on."""
        if connection is not self.candidate:
            connection.close(CloseCode.PROTOCOL_ERROR)
        elif packet == "2probe" and not self.is_upgrading:
            self.is_upgrading = True
            connection.write([PROBE_ANSWER])
            self.end_poll(NOOP)
        elif packet == "5" and self.is_upgrading:
            self._drop_candidate()
            self.carry(connection)
        else:
            self._drop_candidate()
            connection.close(CloseCode.PROTOCOL_ERROR)

    def give_up(self, connection: Connection) -> None:
        """Close a WebSocket that took too long to take the session over."""
        if connection is self.candidate:
            self._drop_candidate()
            connection.close()

    def _drop_candidate(self) -> None:
        self.candidate = None
        self.is_upgrading = False

    def carry(self, connection: Connection) -> None:
        """Let a WebSocket carry the session from now on."""
        self.connection = connection
        self.is_behind = False
        if self.paused:
            connection.pause()
        self.end_poll(NOOP)
        self.flush()

    # The end

    def lost(self, connection: Connection, reason: str) -> None:
        """Note that a WebSocket has ended by itself."""
        if connection is self.candidate:
            self._drop_candidate()
        elif connection is self.connection:
            self.close(reason)

    def close(self, reason: str, code: int = CloseCode.NORMAL_CLOSURE) -> None:
        """End the session at once."""
        if self.closed:
            return
        if self.connection is not None and self.outbox:
            self.connection.write(self.take())
        self.closed = self.is_behind = True
        self.end_poll(CLOSE)
        for connection in (self.connection, self.candidate):
            if connection is not None:
                connection.close(code)
        self.connection = self.candidate = None  # they know us too
        self.server.ended(self, reason)
