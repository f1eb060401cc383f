"""
The accept loop and the sockets of a server, each scenario in a patched process of its own.

A scenario is an ordinary function of this file; `run` calls it in another process, where it may import eventlet.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(find_spec("eventlet") is None, reason="eventlet is not installed")

ROOT = Path(__file__).resolve().parents[1]

PRELUDE = "from dtws_sio import runtime; runtime.patch(); from tests import test_listener; test_listener.{}(*{!r})"


def run(scenario: str, *arguments: Any) -> None:
    """Call a function of this module in a patched process, and fail with what that one printed."""
    code = PRELUDE.format(scenario, arguments)
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""


class Records(logging.Handler):
    """Keep what is logged, so that a scenario can look at it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        logger = logging.getLogger("dtws_sio.listener")
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


def open_listener(handle: Any, *, size: int = 10, failures: tuple[int, ...] = (), **options: Any) -> Any:
    """Start a listener whose first attempts to accept fail with the given error numbers."""
    from eventlet.greenpool import GreenPool

    from dtws_sio.engine.listener import Listener, ServerSocket

    class FailingSocket(ServerSocket):
        failures: list[int]

        def accept(self) -> Any:
            if self.failures:
                number = self.failures.pop(0)
                raise OSError(number, os.strerror(number))
            client, address = super().accept()
            client.__class__ = ServerSocket
            return client, address

    FailingSocket.failures = list(failures)
    sock = FailingSocket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    listener = Listener(sock, handle, pool=GreenPool(size), **options)
    listener.start()
    return listener


def ask(listener: Any, data: bytes = b"hello") -> bytes:
    """Send something to a listener and read the answer until its end."""
    with socket.create_connection(listener.name, timeout=5) as sock:
        sock.sendall(data)
        return b"".join(iter(lambda: sock.recv(1000), b""))


def answer(connection: Any, address: Any) -> None:
    """Send back what came, once."""
    connection.sendall(connection.recv(1000))


# ---- accepting


@pytest.mark.parametrize(
    "failures",
    [
        (errno.EMFILE, errno.EMFILE, errno.EMFILE),
        (errno.ENFILE,),
        (errno.ENOBUFS,),
        (errno.ENOMEM,),
        (errno.ECONNABORTED,),
        (errno.EPROTO, errno.EPERM),
    ],
    ids=lambda numbers: "+".join(errno.errorcode[number] for number in numbers),
)
def test_the_loop_survives_failures_and_tells_once(failures: tuple[int, ...]) -> None:
    run("check_failures", *failures)


def check_failures(*failures: int) -> None:
    records = Records()
    listener = open_listener(answer, failures=failures)
    assert ask(listener) == b"hello"
    assert len(records.messages) == 1, records.messages
    assert os.strerror(failures[0]) in records.messages[0]
    assert ("ulimit -n" in records.messages[0]) == (failures[0] not in {errno.ECONNABORTED, errno.EPROTO})


def test_a_closed_listening_socket_ends_the_loop() -> None:
    run("check_closed_socket")


def check_closed_socket() -> None:
    import eventlet

    records = Records()
    open_listener(answer, failures=(errno.EBADF,))
    eventlet.sleep(0.01)
    assert [message.split(" on ")[0] for message in records.messages] == ["no longer accepting connections"]


def test_a_handler_that_fails_harms_nobody() -> None:
    run("check_failing_handler")


def check_failing_handler() -> None:
    def fail_on_bad(connection: Any, address: Any) -> None:
        data = connection.recv(1000)
        if data == b"bad":
            raise RuntimeError("on purpose")
        connection.sendall(data)

    records = Records()
    listener = open_listener(fail_on_bad)
    assert ask(listener, b"bad") == b""
    assert ask(listener) == b"hello"
    assert len(records.messages) == 1
    assert "RuntimeError: on purpose" in records.messages[0]


def test_stopping_refuses_newcomers_and_leaves_others_alone() -> None:
    run("check_stop")


def check_stop() -> None:
    import eventlet

    accepted = eventlet.Event()

    def answer_later(connection: Any, address: Any) -> None:
        accepted.send()
        answer(connection, address)

    listener = open_listener(answer_later)
    with socket.create_connection(listener.name, timeout=5) as sock:
        accepted.wait()
        listener.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.name, timeout=5)
        sock.sendall(b"late")
        assert sock.recv(1000) == b"late"


def test_only_as_many_connections_are_served_as_the_pool_holds() -> None:
    run("check_full_pool")


def check_full_pool() -> None:
    import eventlet

    served: list[Any] = []

    def hold(connection: Any, address: Any) -> None:
        served.append(address)
        connection.recv(1)

    listener = open_listener(hold, size=2)
    clients = [socket.create_connection(listener.name, timeout=5) for _ in range(4)]
    eventlet.sleep(0.1)
    assert len(served) == 2
    clients[0].close()
    eventlet.sleep(0.1)
    assert len(served) == 3


def test_a_silent_client_fails_its_tls_handshake_in_time() -> None:
    run("check_silent_tls_client")


def check_silent_tls_client() -> None:
    import ssl

    from dtws_sio.engine.listener import tls

    records = Records()
    wrap = tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    listener = open_listener(answer, wrap=wrap, handshake_timeout=0.2)
    started = time.monotonic()
    with socket.create_connection(listener.name, timeout=5) as sock:
        assert sock.recv(1000) == b""
    assert 0.1 < time.monotonic() - started < 2
    assert len(records.messages) == 1
    assert records.messages[0].endswith("could not be set up: the TLS handshake was not done after 0.2 s")


def test_a_default_timeout_of_the_project_is_not_inherited() -> None:
    run("check_default_timeout")


def check_default_timeout() -> None:
    import eventlet

    socket.setdefaulttimeout(0.05)
    records = Records()
    listener = open_listener(answer)
    eventlet.sleep(0.15)
    with socket.create_connection(listener.name, timeout=5) as sock:
        eventlet.sleep(0.15)
        sock.sendall(b"late")
        assert sock.recv(1000) == b"late"
    assert records.messages == []


# ---- the sockets


@pytest.mark.parametrize(("offset", "count"), [(0, None), (5, None), (0, 70_000), (5, 200_000), (199_999, 5)])
def test_sendfile_sends_what_it_is_asked_to(offset: int, count: int | None) -> None:
    run("check_sendfile", offset, count)


def check_sendfile(offset: int, count: int | None) -> None:
    import tempfile

    data = os.urandom(200_000)
    sent: list[int] = []
    with tempfile.TemporaryFile() as file:
        file.write(data)

        def send(connection: Any, address: Any) -> None:
            sent.append(connection.sendfile(file, offset, count))

        expected = data[offset:] if count is None else data[offset : offset + count]
        assert ask(open_listener(send)) == expected
        assert sent == [len(expected)]


def test_a_paced_source_gives_more_time_for_what_arrived() -> None:
    run("check_paced_source")


def check_paced_source() -> None:
    import eventlet

    from dtws_sio.engine.listener import PacedSource, SlowBodyError

    def send_steadily(sock: Any) -> None:
        for _ in range(10):
            eventlet.sleep(0.05)
            sock.sendall(b"x" * 100)

    ours, theirs = socket.socketpair()
    source = PacedSource(ours, seconds=0.2, rate=1000)
    eventlet.spawn(send_steadily, theirs)
    while source.received < 1000:
        source.recv(1000)
    # What the application does between two reads is not the client's fault.
    eventlet.sleep(1.5)
    started = time.monotonic()
    with pytest.raises(SlowBodyError, match="too slowly: 1000 bytes after the headers; the limit is"):
        source.recv(1000)
    # 0.2 s, and 1 s for 1000 bytes, of which the client took half a second to send.
    assert 0.5 < time.monotonic() - started < 0.9


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_whoever_reads_nothing_of_an_answer_is_given_up(kind: str, tmp_path: Path) -> None:
    run("check_slow_reader", kind, str(tmp_path))


def check_slow_reader(kind: str, folder: str) -> None:
    """One who reads slowly is served."""
    import eventlet
    from eventlet.event import Event
    from eventlet.green import ssl

    from dtws_sio.engine import listener as module

    module.READER_SECONDS = 1.0
    outcomes: list[Any] = []
    done = Event()

    def send_much(connection: Any, address: Any) -> None:
        try:
            connection.sendall(b"x" * 8_000_000)
        except module.SlowReaderError as error:
            outcomes.append(str(error))
        else:
            outcomes.append("sent")
        if len(outcomes) == 2:
            done.send()

    client_context, wrap = None, None
    if kind == "tls":
        server_context, client_context = make_contexts(folder)
        wrap = module.tls(server_context)
    listener = open_listener(send_much, wrap=wrap)

    def connect() -> Any:
        sock = socket.create_connection(listener.name, timeout=5)
        return ssl.SSLContext.wrap_socket(client_context, sock) if client_context else sock

    started = time.monotonic()
    lazy, slow = connect(), connect()
    received = 0
    while received < 8_000_000:
        data = slow.recv(200_000)  # of TLS one record comes at a time
        assert data, outcomes
        received += len(data)
        eventlet.sleep(len(data) / 5_000_000)
    with eventlet.Timeout(5):
        done.wait()
    assert sorted(outcomes) == ["nothing of its answer was read for 1 s", "sent"]
    assert time.monotonic() - started > 1.2, "longer than the one who reads nothing was given"
    lazy.close()
    slow.close()


def make_contexts(folder: str) -> tuple[Any, Any]:
    """Make the TLS contexts of a server and of a client that trusts anybody."""
    from eventlet.green import ssl

    key, cert = f"{folder}/key.pem", f"{folder}/cert.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*request.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client


def test_closing_a_websocket_wakes_its_reader() -> None:
    run("check_websocket_connection")


def check_websocket_connection() -> None:
    import eventlet

    from dtws_sio.engine.listener import WebSocketConnection

    ours, theirs = socket.socketpair()
    connection = WebSocketConnection(ours)
    reader = eventlet.spawn(connection.recv, 1000)
    eventlet.sleep(0.01)
    connection.close()
    with eventlet.Timeout(5):
        assert reader.wait() == b""
    assert theirs.recv(1000) == b""
    assert connection.fileno() != -1, "the server closes it"
    connection.close()
