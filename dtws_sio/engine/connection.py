"""
One WebSocket: the bytes of a TCP connection become messages, and messages bytes.

Frames are read in `dtws_sio.engine.incoming` and made in `dtws_sio.engine.outgoing`. A connection has no greenlet: once
its request was answered with 101 the socket is taken from the WSGI server, and the hub calls `_readable` when there is
something to read. What one `recv` brings is handled at once. Only TLS connections stay on the greenlet of their
request, which waits in `ParkedConnection.serve`.

In the hub nothing may wait or log, and an exception that left a listener would cost the descriptor; so the callbacks
here catch everything themselves. Source: RFC 6455; the hub rules of eventlet/hubs/hub.py (squelch_exception).
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from eventlet import greenthread, hubs, patcher
from websockets.exceptions import PayloadTooBig
from websockets.frames import CloseCode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from dtws_sio.engine.answers import PAYLOAD_TOO_LARGE
from dtws_sio.engine.handshake import silent
from dtws_sio.engine.incoming import Incoming

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.engine.outgoing import Outgoing
    from dtws_sio.engine.session import Session

_socket = patcher.original("socket")

READ_SIZE: Final = 8192
"""Bytes asked for at once. One turn of the hub handles what they bring; small frames of 64 KB would take 60 ms."""

CLOSING_SECONDS: Final = 5.0
"""How long a client may take to answer a close frame."""

PAUSE_SECONDS: Final = 0.01
"""How often a paused TLS connection looks whether it may read again."""

logger = logging.getLogger("dtws_sio.engine")


class Connection:
    """
    A WebSocket on the hub.

    Args:
        sock: The socket.
        session: Gets the messages, and is told when the connection is lost.
        head: The response to the handshake; it goes out with what is written first.
        extensions: What the handshake negotiated.
        max_size: Bytes of the longest message that is taken, after decompression.
        ended: Called on a greenlet of its own when the connection has ended, or None.

    Attributes:
        session: The same.
        state: "open", "closing" or "ended".
        unsent: Bytes that the client's end did not take yet; 0 while it keeps up.
    """

    __slots__ = (
        "_ended",
        "_head",
        "_hub",
        "_incoming",
        "_protocol",
        "_reader",
        "_rest",
        "_sock",
        "_writer",
        "session",
        "state",
        "unsent",
    )

    def __init__(
        self,
        sock: Any,
        session: Session,
        head: bytes,
        extensions: list[Any],
        max_size: int,
        ended: Callable[[], object] | None = None,
    ) -> None:
        self.session = session
        self._head = head
        self.state = "open"
        # A fresh protocol: the parser of the one that shook hands still waits for HTTP.
        self._protocol = ServerProtocol(state=OPEN, max_size=max_size, logger=silent)
        self._protocol.extensions = extensions
        self._incoming = Incoming(self._protocol, max_size)
        self._sock = sock
        self._hub = hubs.get_hub()
        self._reader: Any = None
        self._writer: Any = None
        self._rest: bytes | memoryview = b""
        self.unsent = 0
        self._ended = ended

    # In

    def begin(self, early: bytes = b"") -> None:
        """Start to read, in the hub: a listener that a request's greenlet added would keep that greenlet alive."""
        self._resume()
        if early and self.state != "ended":
            self._feed_safely(early)

    def _listen(self) -> None:
        self._reader = self._hub.add(self._hub.READ, self._sock.fileno(), self._readable, self._readable, None)

    def pause(self) -> None:
        """Read no more until `resume`; the client's own buffers fill up, and it has to wait."""
        if self._reader is not None:
            self._hub.remove(self._reader)
            self._reader = None

    def resume(self) -> None:
        """Read again."""
        if self._reader is None and self.state != "ended":
            self._hub.schedule_call_global(0, self._resume)

    def _resume(self) -> None:
        is_wanted = self.state == "closing" or (self.state == "open" and not self.is_paused)
        if self._reader is None and is_wanted:
            self._listen()

    @property
    def is_paused(self) -> bool:
        """Whether what it carries may not be read; one that only wants to take the session over is read."""
        return self.session.paused and self.session.connection is self

    def _readable(self, fileno: object) -> None:
        if self.state == "ended":
            return
        try:
            data = self._sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._feed_safely(data)

    def _feed_safely(self, data: bytes) -> None:
        try:
            if data:
                self.feed(data)
            else:
                self._lose()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        greenthread.spawn_n(partial(logger.error, "a WebSocket connection failed", exc_info=error))
        self._lose("transport error")

    def feed(self, data: bytes) -> None:
        """Take in bytes; nothing is left of a message that they complete."""
        for message in self._incoming.messages(data):
            self.session.receive(self, message)
            if self.state == "ended":
                break  # one that is closing reads on: the client's answer to the close frame may be next
        protocol = self._protocol
        if protocol.writes:
            self._answer()
        if protocol.eof_sent:
            if isinstance(protocol.parser_exc, PayloadTooBig):
                self.session.server.refused(PAYLOAD_TOO_LARGE)
            self._lose("transport error" if protocol.close_rcvd is None else "transport close")

    # Out

    def write(self, outbox: list[Outgoing]) -> None:
        """Send what is due in one go; what the client's end does not take waits for it."""
        if self.state != "open" or self._protocol.eof_sent:
            return  # nothing follows a close frame, whoever sent it
        if self._protocol.extensions:
            data = b"".join([self._compressed(part) for outgoing in outbox for part in outgoing.parts])
        elif len(outbox) == 1:
            data = outbox[0].frames
        else:
            data = b"".join([outgoing.frames for outgoing in outbox])
        if self._head:
            data, self._head = self._head + data, b""
        self._send(data)

    def _compressed(self, part: str | bytes) -> bytes:
        if isinstance(part, str):
            self._protocol.send_text(part.encode("utf-8", "replace"))
        else:
            self._protocol.send_binary(part)
        return b"".join(self._protocol.data_to_send())

    def _send(self, data: bytes) -> None:
        if self.unsent:
            self._rest = bytes(self._rest) + data
            self.unsent = len(self._rest)
        else:
            self._push(data)

    def _push(self, data: bytes | memoryview) -> None:
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._hub.schedule_call_global(0, self._lose)
            return
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self.unsent = len(self._rest)
            if self._writer is None:
                self._writer = self._hub.add(self._hub.WRITE, self._sock.fileno(), self._writable, self._writable, None)
        elif self.unsent:
            self._rest = b""
            self.unsent = 0

    def _writable(self, fileno: object) -> None:
        if self.state == "ended":
            return
        try:
            self._push(self._rest)
            if not self._rest:
                self._stop_writing()
                self._answer()
                self.session.flush()
        except Exception as error:
            self._fail(error)

    def _stop_writing(self) -> None:
        if self._writer is not None:
            self._hub.remove(self._writer)
            self._writer = None

    def _answer(self) -> None:
        """
        Send pongs and close frames.

        While the client's end takes nothing only the last one is kept (RFC 6455 section 5.5.3); it follows what was
        sent before.
        """
        if self._rest:
            del self._protocol.writes[:-1]
        elif data := b"".join(self._protocol.data_to_send()):
            self._send(data)

    # The end

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Say that it is over, and wait a little for the client to say so too (RFC 6455 section 7.1.1)."""
        if self.state != "open":
            return
        self.state = "closing"
        if self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._answer()
        if self._reader is None:
            self.resume()
        self._hub.schedule_call_global(CLOSING_SECONDS, self.end)

    def _lose(self, reason: str = "transport close") -> None:
        was_open = self.state == "open"
        self.end()
        if was_open:
            self.session.lost(self, reason)

    def end(self) -> None:
        """Let go of the socket."""
        if self.state == "ended":
            return
        self.state = "ended"
        self.pause()
        self._stop_writing()
        self._rest = b""
        self.unsent = 0
        self._protocol.parser.close()  # it holds the protocol, which holds it: the garbage collector's work otherwise
        self._shut()
        if self._ended is not None:
            greenthread.spawn_n(self._ended)

    def _shut(self) -> None:
        with suppress(OSError):
            self._sock.close()


class ParkedConnection(Connection):
    """A WebSocket over TLS, whose reads and writes may each have to wait for the other: it keeps its greenlets."""

    __slots__ = ("_drains",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._drains = False

    def serve(self, early: bytes) -> None:
        """Read until the end, on the greenlet of the request."""
        try:
            if early:
                self._feed_safely(early)
            while self.state != "ended":
                while self.is_paused and self.state == "open":
                    greenthread.sleep(PAUSE_SECONDS)
                self._feed_safely(self._receive())
        finally:
            self._sock.close()

    def _receive(self) -> bytes:
        try:
            return bytes(self._sock.recv(READ_SIZE))
        except (OSError, ValueError):  # ValueError: TLS is over
            return b""

    def begin(self, early: bytes = b"") -> None:
        """Do nothing; `serve` reads."""

    pause = resume = _listen = begin
    """`serve` looks at the session before each read."""

    def _send(self, data: bytes) -> None:
        self._rest = bytes(self._rest) + data
        self.unsent = len(self._rest)
        if not self._drains:
            self._drains = True
            greenthread.spawn_n(self._drain)

    def _drain(self) -> None:
        try:
            while self._rest and self.state != "ended":
                data, self._rest, self.unsent = self._rest, b"", 0
                self._sock.sendall(memoryview(data))
                if not self._rest:
                    self._answer()
                    self.session.flush()
        except (OSError, ValueError):
            self._lose()
        finally:
            self._drains = False

    def _shut(self) -> None:
        """Wake `serve`, which closes: another greenlet must not take the descriptor away from under it."""
        with suppress(OSError):
            self._sock.shutdown(_socket.SHUT_RDWR)
