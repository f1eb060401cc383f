"""
Sockets of a server under eventlet: one accept loop, shared by the gunicorn worker and the development server.

Both servers that came with eventlet and gunicorn let one bad connection end the loop for good: a client that spoke
plain HTTP to a TLS port, or a moment without free file descriptors. Here nothing a client does reaches the loop: it
only accepts, and each connection is wrapped and served in a greenlet of its own.

Imports eventlet, so it must only be imported after `dtws_sio.runtime.patch`.
"""

from __future__ import annotations

import errno
import logging
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import eventlet
from eventlet.green.ssl import GreenSSLSocket
from eventlet.greenio import GreenSocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext
    from typing import BinaryIO

    from eventlet.greenpool import GreenPool

HANDSHAKE_SECONDS: Final = 10.0
"""How long a TLS handshake may take; two round trips need a second on the worst of networks."""

FIRST_PAUSE: Final = 0.05
"""Seconds before the next attempt after `accept` failed; doubled at each further failure."""

LONGEST_PAUSE: Final = 1.0
"""Seconds; how late at most new clients are noticed once descriptors are free again."""

EPISODE_GAP: Final = 10.0
"""Seconds without a failure after which the next one is news. At the limit, `accept` works and fails in turns."""

LISTENER_GONE: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
"""The listening socket itself was closed. Whatever else accept(2) may say passes, or belongs to one connection."""

NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Too many open files, in the process or in the system, or no memory for one more socket."""

SENDFILE_BLOCK: Final = 65536
"""Bytes of a file sent before others run; 20 MB to a fast reader would otherwise hold the hub all the while."""

READER_SECONDS = 60.0
"""How long a client may take nothing of an answer that waits for it. nginx's default (send_timeout)."""

TLS_RECORD: Final = 16384
"""Bytes that a record of TLS holds. RFC 8446 section 5.1."""

logger = logging.getLogger("dtws_sio.listener")


class SlowReaderError(TimeoutError):
    """A client took nothing of its answer for longer than is allowed."""


class Impatient:
    """
    For sockets: a client that stops reading its answer must not hold a connection's greenlet for good.

    Attributes:
        most: Bytes that are sent at once.
    """

    most: int | None = None

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """
        Send some of the data, as `sendall` does until all is sent.

        Raises:
            SlowReaderError: If the other end took nothing for `READER_SECONDS`.
        """
        error = SlowReaderError(f"nothing of its answer was read for {READER_SECONDS:g} s")
        with eventlet.Timeout(READER_SECONDS, error):
            sent: int = super().send(data[: self.most], flags)  # type: ignore[misc]
            return sent

    def sendall(self, data: bytes, flags: int = 0) -> None:
        """Send everything; what is left is never copied."""
        super().sendall(memoryview(data), flags)  # type: ignore[misc]


class ServerSocket(Impatient, GreenSocket):  # type: ignore[misc]
    """
    A green socket that can send a file; what it accepts is of this class too.

    eventlet's own hands `sendfile` to the real socket, which refuses, since that one never blocks.
    """

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        """Send a file, or `count` bytes of it, and return how many were sent; as `socket.socket.sendfile`."""
        file.seek(offset)
        sent = 0
        while count is None or sent < count:
            block = file.read(SENDFILE_BLOCK if count is None else min(SENDFILE_BLOCK, count - sent))
            if not block:
                break
            self.sendall(block)
            sent += len(block)
            eventlet.sleep()
        return sent


class TLSSocket(Impatient, GreenSSLSocket):  # type: ignore[misc]
    """
    A green TLS connection of a server; eventlet's class makes objects of itself only, which `tls` turns into this.

    OpenSSL takes all that it is given or nothing, so that it is given what fits into one record.
    """

    most = TLS_RECORD


class WebSocketConnection:
    """
    The socket of a WebSocket; its `close` ends the connection and leaves the descriptor to the server.

    eventlet's WebSocket closes the descriptor while another greenlet reads from it. epoll then forgets it, and that
    greenlet waits until its number is used again. A second close prints "socket shutdown error: [Errno 9]" to stderr.

    Source: eventlet/websocket.py, WebSocket.close; pitfall 9.
    """

    def __init__(self, sock: GreenSocket) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._sock, name)
        setattr(self, name, attribute)
        return attribute

    def close(self) -> None:
        """End the connection in both directions, which wakes its reader."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)


class PacedSource:
    """
    What a request's body is read from: a slow client gets more time only for what it really sent.

    Only the time spent waiting for the client counts, not what the application does between two reads.

    Args:
        sock: The connection.
        seconds: How long the client may take for nothing at all.
        rate: Bytes that earn it one second more.
    """

    def __init__(self, sock: GreenSocket, *, seconds: float, rate: float) -> None:
        self.sock = sock
        self.seconds = seconds
        self.rate = rate
        self.received = 0
        self.waited = 0.0

    def recv(self, size: int) -> bytes:
        """
        Read from the connection.

        Raises:
            SlowBodyError: If the client used up its time.
        """
        left = self.seconds + self.received / self.rate - self.waited
        started = time.monotonic()
        with eventlet.Timeout(max(left, 0), self._error()):
            data: bytes = self.sock.recv(size)
        self.waited += time.monotonic() - started
        self.received += len(data)
        return data

    def _error(self) -> SlowBodyError:
        return SlowBodyError(
            f"the request's body came too slowly: {self.received} bytes after the headers; the limit is "
            f"{self.seconds:g} s plus 1 s per {self.rate:g} bytes"
        )


class SlowBodyError(TimeoutError):
    """A client sent the body of its request more slowly than is allowed."""


class Listener:
    """
    Accept connections on one socket until told to stop, and serve each in a greenlet of its own.

    Args:
        sock: A listening socket.
        handle: Called with each connection and its address; the connection is closed when it returns.
        pool: Where the connections' greenlets run; while it is full none is accepted.
        wrap: Makes a TLS connection of a plain one, without its handshake; see `tls`.
        handshake_timeout: Seconds.
        log: Where failures are told.
    """

    def __init__(
        self,
        sock: GreenSocket,
        handle: Callable[[GreenSocket, Any], object],
        *,
        pool: GreenPool,
        wrap: Callable[[GreenSocket], GreenSSLSocket] | None = None,
        handshake_timeout: float = HANDSHAKE_SECONDS,
        log: logging.Logger = logger,
    ) -> None:
        self.sock = sock
        self.name = sock.getsockname()
        self._handle = handle
        self._pool = pool
        self._wrap = wrap
        self._handshake_timeout = handshake_timeout
        self._log = log
        self._pause = FIRST_PAUSE
        self._failed_at = float("-inf")
        self._greenlet: Any = None

    def start(self) -> None:
        """Begin to accept, beside the caller."""
        # socket.setdefaulttimeout, which many a project calls, must not end the loop.
        self.sock.settimeout(None)
        self._greenlet = eventlet.spawn(self._run)

    def stop(self) -> None:
        """Accept no more and close the listening socket; the connections that are open live on."""
        if self._greenlet is not None:
            self._greenlet.kill()
        self.sock.close()

    def _run(self) -> None:
        while True:
            try:
                self._accept()
            except OSError as error:
                if error.errno in LISTENER_GONE:
                    self._log.error("no longer accepting connections on %s: %s", self.name, error)
                    return
                self._tell(error)
                eventlet.sleep(self._pause)
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
            else:
                self._pause = FIRST_PAUSE
                # A burst of connections must not keep those that are open waiting.
                eventlet.sleep()

    def _accept(self) -> None:
        client, address = self.sock.accept()
        self._pool.spawn_n(self._serve, client, address)

    def _tell(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._failed_at > EPISODE_GAP:
            remedy = "; raise the limit of open files (ulimit -n)" if error.errno in NO_ROOM else ""
            self._log.warning("cannot accept connections on %s at the moment: %s%s", self.name, error, remedy)
        self._failed_at = now

    def _serve(self, client: GreenSocket, address: Any) -> None:
        connection = client
        try:
            prepare(client)
            if self._wrap is not None:
                connection = self._wrap(client)
                self._shake_hands(connection)
        except OSError as error:
            self._log.info("the connection from %s could not be set up: %s", address, error)
            connection.close()
            return
        try:
            self._handle(connection, address)
        except Exception:
            self._log.exception("serving the connection from %s failed", address)
        finally:
            connection.close()

    def _shake_hands(self, connection: GreenSSLSocket) -> None:
        limit = self._handshake_timeout
        with eventlet.Timeout(limit, TimeoutError(f"the TLS handshake was not done after {limit:g} s")):
            connection.do_handshake()


def prepare(client: GreenSocket) -> None:
    """Have an accepted connection send small packets at once, and wait as long as its reader likes."""
    client.settimeout(None)
    if client.family in (socket.AF_INET, socket.AF_INET6):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def tls(context: SSLContext, *, suppress_ragged_eofs: bool = True) -> Callable[[GreenSocket], GreenSSLSocket]:
    """
    Make a `wrap` for `Listener` from a server's TLS context.

    The context's own `wrap_socket` is green only if the context was made after patching; a hook in gunicorn's
    configuration file may have made it before.
    """

    def wrap(client: GreenSocket) -> GreenSSLSocket:
        connection = GreenSSLSocket(
            client,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=suppress_ragged_eofs,
            _context=context,
        )
        connection.__class__ = TLSSocket
        return connection

    return wrap
