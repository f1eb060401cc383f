"""The worker in a real gunicorn, serving a plain WSGI application."""

from __future__ import annotations

import ast
import hashlib
import http.client
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.servers import Server, eventually, free_port, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("gunicorn")
websocket = pytest.importorskip("websocket")

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(find_spec("eventlet") is None, reason="eventlet is not installed"),
]

WORKER = "dtws_sio.gunicorn.EventletWorker"
MEGABYTES_20 = 20 << 20


def command(port: int, *options: str, application: str = "gunicorn_app:application") -> list[str]:
    base = [sys.executable, "-m", "gunicorn", "-k", WORKER, "-b", f"127.0.0.1:{port}", "--access-logfile", "-"]
    return [*base, *no_control_socket(), *options, application]


def no_control_socket() -> list[str]:
    from gunicorn.config import KNOWN_SETTINGS

    return ["--no-control-socket"] if any(s.name == "control_socket_disable" for s in KNOWN_SETTINGS) else []


@contextmanager
def gunicorn(*options: str, **further: Any) -> Iterator[Server]:
    port = free_port()
    with serve(command(port, *options), cwd=Path(__file__).parent, **{**ready(port, options), **further}) as server:
        yield server


def ready(port: int, options: tuple[str, ...]) -> dict[str, Any]:
    """Tell when the worker serves: the port alone is open as soon as the arbiter listens."""
    return {"ready_port": port} if "--certfile" in options else {"ready_url": f"http://127.0.0.1:{port}/"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with gunicorn("--keep-alive", "5") as running:
        yield running


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "big"
    path.write_bytes(os.urandom(MEGABYTES_20))
    return path


def get(server: Server, path: str = "/", *, timeout: float = 10) -> bytes:
    with urllib.request.urlopen(server.url + path, timeout=timeout) as answer:
        body: bytes = answer.read()
        return body


def worker_pid(server: Server) -> int:
    return int(get(server))


def is_running(pid: int) -> bool:
    """Tell whether a process lives; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def raw_connection(port: int, data: bytes = b"", *, buffer: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as sock:
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", port))
        sock.sendall(data)
        yield sock


def read_to_end(sock: socket.socket) -> bytes:
    chunks = []
    with suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks)


# ---- requests


def test_requests_on_one_connection_are_answered(server: Server) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        answers = []
        for _ in range(3):
            connection.request("GET", "/")
            answers.append(connection.getresponse().read())
            sock = connection.sock
            assert sock is not None
    assert len(set(answers)) == 1
    assert answers[0].isdigit()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_arrives_whole(server: Server, chunked: bool) -> None:
    data = os.urandom(5_000_000)
    body = (data[start : start + 100_000] for start in range(0, len(data), 100_000)) if chunked else data
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.request("POST", "/upload", body=body, encode_chunked=chunked, headers=_chunked(chunked))
        assert connection.getresponse().read().decode() == hashlib.sha256(data).hexdigest()


def _chunked(chunked: bool) -> dict[str, str]:
    return {"Transfer-Encoding": "chunked"} if chunked else {}


def test_a_body_can_be_read_in_every_way_of_pep_3333(server: Server) -> None:
    request = urllib.request.Request(server.url + "/lines", data=b"12345\nsecond\nthird\nfourth")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert ast.literal_eval(answer.read().decode()) == [b"12", b"345\n", b"second\n", b"third\n", b"fourth"]


def test_connections_are_prepared_for_websockets(server: Server) -> None:
    facts = ast.literal_eval(get(server, "/socket").decode())
    assert facts == {"same": True, "nodelay": True, "timeout": None, "class": "ServerSocket"}


@pytest.mark.parametrize("query", ["", "&length"])
def test_a_file_of_20_megabytes_is_sent_whole(server: Server, big_file: Path, query: str) -> None:
    assert get(server, f"/file?path={big_file}{query}", timeout=30) == big_file.read_bytes()


@pytest.mark.parametrize("query", ["", "&length"])
def test_a_slow_reader_of_a_file_holds_nobody_up(server: Server, big_file: Path, query: str) -> None:
    request = f"GET /file?path={big_file}{query} HTTP/1.0\r\n\r\n".encode()
    with raw_connection(server.port, request, buffer=4096) as sock:
        first = sock.recv(100)
        started = time.monotonic()
        assert get(server).isdigit()
        assert time.monotonic() - started < 1
        answer = first + read_to_end(sock)
    assert answer.partition(b"\r\n\r\n")[2] == big_file.read_bytes()


def test_a_websocket_has_one_log_line_at_its_end(server: Server) -> None:
    session = websocket.create_connection(server.url.replace("http", "ws") + "/echo?line", timeout=10)
    session.send("first")
    assert session.recv() == "first"
    # Longer than the default timeout that the application sets.
    session.settimeout(0.5)
    with pytest.raises(websocket.WebSocketTimeoutException):
        session.recv()
    session.settimeout(10)
    session.send("second")
    assert session.recv() == "second"
    assert "GET /echo?line" not in server.log()
    session.close()
    log = server.wait_for_log("GET /echo?line")
    assert log.count("GET /echo?line") == 1
    assert '"GET /echo?line HTTP/1.1" 101 - ' in log
    get(server, "/?after")
    assert '"GET /?after HTTP/1.1" 200 ' in server.wait_for_log("GET /?after")
    assert "Traceback" not in server.log()


# ---- limits of time


@pytest.mark.parametrize("options", [("--keep-alive", "1"), ("--keep-alive", "0")], ids=" ".join)
def test_half_a_header_does_not_hold_a_connection(options: tuple[str, ...]) -> None:
    with gunicorn(*options, env={"SPEEDUP": "HEADER_SECONDS=1"}) as server:
        with raw_connection(server.port, b"GET / HTTP/1.1\r\nHost: ") as sock:
            started = time.monotonic()
            assert read_to_end(sock) == b""
            assert 0.8 < time.monotonic() - started < 5
        assert get(server, "/nap?1.5").isdigit(), "only the headers are limited"
        assert "Traceback" not in server.log()


def test_a_slow_body_is_cut_off_and_a_steady_one_is_not() -> None:
    header = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
    with gunicorn(env={"SPEEDUP": "BODY_SECONDS=0.5 BODY_RATE=500"}) as server:
        with raw_connection(server.port, header) as sock:
            time.sleep(0.1)
            sock.sendall(b"x" * 50)
            started = time.monotonic()
            assert read_to_end(sock) == b""
            assert 0.3 < time.monotonic() - started < 5
        server.wait_for_log("cut off POST /upload from ('127.0.0.1', ")
        server.wait_for_log("50 bytes after the headers; the limit is 0.5 s plus 1 s per 500 bytes")
        with raw_connection(server.port, header) as sock:
            for _ in range(20):
                sock.sendall(b"x" * 250)
                time.sleep(0.05)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert "Traceback" not in server.log()


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subject = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*request.split(), *subject], check=True, capture_output=True)
    return key, cert


@pytest.fixture(scope="module")
def tls_server(certificate: tuple[Path, Path]) -> Iterator[Server]:
    key, cert = certificate
    with gunicorn("--keyfile", str(key), "--certfile", str(cert), "--worker-connections", "50") as running:
        yield running


def get_over_tls(server: Server, certificate: tuple[Path, Path], path: str) -> bytes:
    context = ssl.create_default_context(cafile=str(certificate[1]))
    with urllib.request.urlopen(f"https://127.0.0.1:{server.port}{path}", context=context, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def test_a_file_is_sent_whole_over_tls(tls_server: Server, certificate: tuple[Path, Path], big_file: Path) -> None:
    assert get_over_tls(tls_server, certificate, f"/file?path={big_file}") == big_file.read_bytes()


def test_a_websocket_works_over_tls(tls_server: Server, certificate: tuple[Path, Path]) -> None:
    options = {"ca_certs": str(certificate[1])}
    url = f"wss://127.0.0.1:{tls_server.port}/echo?tls"
    session = websocket.create_connection(url, timeout=10, sslopt=options)
    for message in ["hello", "x" * 1_000_000]:
        session.send(message)
        assert session.recv() == message
    session.close()
    assert '"GET /echo?tls HTTP/1.1" 101 - ' in tls_server.wait_for_log("GET /echo?tls")


def test_clients_that_do_not_speak_tls_harm_nobody(tls_server: Server, certificate: tuple[Path, Path]) -> None:
    with ExitStack() as silent:
        for _ in range(10):
            silent.enter_context(raw_connection(tls_server.port))
        for _ in range(5):
            with raw_connection(tls_server.port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
                read_to_end(sock)
        with raw_connection(tls_server.port) as sock:
            # A reset instead of an orderly end.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        started = time.monotonic()
        assert get_over_tls(tls_server, certificate, "/").isdigit()
        assert time.monotonic() - started < 2
    log = tls_server.wait_for_log("could not be set up: [SSL: HTTP_REQUEST]")
    assert "Traceback" not in log


# ---- settings that are refused


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--preload", "remove it"),
        ("--http2-cleartext=upgrade", "WebSockets need HTTP/1.1"),
        ("--do-handshake-on-connect", "remove it"),
    ],
)
def test_settings_that_would_break_are_refused(option: str, reason: str) -> None:
    if "http2" in option:
        from gunicorn.config import KNOWN_SETTINGS

        if not any(setting.name == "http2_cleartext" for setting in KNOWN_SETTINGS):
            pytest.skip("this gunicorn has no such setting")
    with serve(command(free_port(), option), cwd=Path(__file__).parent) as server:
        assert server.wait_for_exit() == 1
        log = server.log()
    errors = [line for line in log.splitlines() if "EventletWorker cannot run with" in line]
    assert len(errors) == 1
    assert reason in errors[0]
    assert "Traceback" not in log
    assert "Booting worker" not in log


def test_a_bad_certificate_stops_gunicorn(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    with serve(
        command(free_port(), "--certfile", str(bad), "--keyfile", str(bad)), cwd=Path(__file__).parent
    ) as server:
        assert server.wait_for_exit() == 3
        assert "Worker failed to boot" in server.log()


# ---- trouble


def test_a_lack_of_descriptors_is_survived_and_told_once() -> None:
    with gunicorn("--keep-alive", "30") as server, ExitStack() as clients:
        resource.prlimit(worker_pid(server), resource.RLIMIT_NOFILE, (48, 48))
        for _ in range(60):
            clients.enter_context(raw_connection(server.port))
        log = server.wait_for_log("cannot accept connections on ('127.0.0.1', ")
        assert "raise the limit of open files (ulimit -n)" in log
        clients.close()
        pid = worker_pid(server)
        assert server.log().count("cannot accept connections") == 1
        assert server.log().count("Booting worker") == 1
        assert pid == worker_pid(server)


def test_a_worker_that_was_killed_is_replaced() -> None:
    with gunicorn() as server:
        pid = worker_pid(server)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: server.log().count("Booting worker") == 2, "a new worker")
        assert worker_pid(server) != pid


def test_a_worker_is_replaced_after_max_requests() -> None:
    with gunicorn("--max-requests", "4") as server:
        pids = {worker_pid(server) for _ in range(3)}
        assert len(pids) == 1
        eventually(lambda: server.log().count("Booting worker") == 2, "a new worker")
        assert worker_pid(server) not in pids


def test_a_worker_ends_when_its_master_was_killed() -> None:
    with gunicorn() as server, raw_connection(server.port):
        pid = worker_pid(server)
        server.process.kill()
        eventually(lambda: not is_running(pid), "the end of the worker")
        assert "is gone; this worker stops too" in server.log()
        assert "Traceback" not in server.log()


@pytest.mark.parametrize("path", ["/", "/spin"], ids=["idle", "busy"])
def test_an_aborted_worker_says_where_its_greenlets_are(path: str, tmp_path: Path) -> None:
    config = tmp_path / "gunicorn.conf.py"
    config.write_text("def worker_abort(worker):\n    worker.log.info('the hook worker_abort ran')\n")
    with gunicorn("-c", str(config)) as server:
        pid = worker_pid(server)
        with (
            raw_connection(server.port, b"GET /nap?60 HTTP/1.1\r\nHost: x\r\n\r\n"),
            raw_connection(server.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) as sock,
        ):
            if path == "/":
                sock.recv(100)
            else:
                wait_until_busy(pid)
            os.kill(pid, signal.SIGABRT)
            log = server.wait_for_log("exited with code 1")
        assert "is aborted; its greenlets:" in log
        assert ", in nap\n" in log
        if path == "/spin":
            assert ", in spin\n" in log.partition(" waiting:\n")[0], "what runs is told first"
        assert "the hook worker_abort ran" in log
        assert worker_pid(server) != pid


def wait_until_busy(pid: int) -> None:
    def ticks() -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])

    start = ticks()
    eventually(lambda: ticks() > start + 20, "a worker that computes")


# ---- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_idle_connections_do_not_delay_the_end(number: signal.Signals) -> None:
    with gunicorn("--keep-alive", "60") as server, ExitStack() as clients:
        for data in [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] * 3:
            sock = clients.enter_context(raw_connection(server.port, data))
            if data:
                assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
        started = time.monotonic()
        server.process.send_signal(number)
        assert server.wait_for_exit() == 0
        assert time.monotonic() - started < 3
        assert "Traceback" not in server.log()


def test_requests_in_flight_are_finished() -> None:
    with gunicorn() as server, raw_connection(server.port, b"GET /nap?2 HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
        get(server)
        server.process.terminate()
        eventually(lambda: not accepts(server.port), "the end of listening")
        answer = read_to_end(sock)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b"\r\nconnection: close\r\n" in answer.lower()
        assert server.wait_for_exit() == 0


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_requests_that_outlast_the_grace_are_cut_off_with_a_word() -> None:
    with gunicorn("--graceful-timeout", "2") as server:
        with raw_connection(server.port, b"GET /nap?60 HTTP/1.1\r\nHost: x\r\n\r\n") as sock:
            get(server)
            server.process.terminate()
            assert read_to_end(sock) == b""
            assert server.wait_for_exit() == 0
        assert "1 requests were not done after 1 s and are cut off" in server.log()


def test_log_files_are_opened_anew(tmp_path: Path) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    with gunicorn("--access-logfile", str(path)) as server:
        pid = worker_pid(server)
        path.rename(moved)
        server.process.send_signal(signal.SIGUSR1)
        eventually(lambda: get(server) and path.exists() and "GET / " in path.read_text(), "a line in the new file")
        assert worker_pid(server) == pid


def test_a_unix_socket_is_served(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    argv = [*command(1), "-b", f"unix:{path}"]
    argv[argv.index("-b") : argv.index("-b") + 2] = []
    with serve(argv, cwd=Path(__file__).parent) as server:
        server.wait_for_log("Booting worker", seconds=30)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(path))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert read_to_end(sock).startswith(b"HTTP/1.0 200 OK")


# ---- Django and Socket.IO


@contextmanager
def django(*options: str) -> Iterator[Server]:
    port = free_port()
    argv = command(port, "--keep-alive", "60", *options, application="gunicorn_django:application")
    with serve(argv, ready_url=f"http://127.0.0.1:{port}/", cwd=Path(__file__).parent) as running:
        yield running


@pytest.fixture(scope="module")
def django_server() -> Iterator[Server]:
    with django() as running:
        yield running


@contextmanager
def client(server: Server, *transports: str) -> Iterator[Any]:
    socketio = pytest.importorskip("socketio")
    simple = socketio.SimpleClient()
    simple.connect(server.url, transports=list(transports), wait_timeout=10)
    try:
        yield simple
    finally:
        simple.disconnect()


TRANSPORTS = [("polling",), ("websocket",), ("polling", "websocket")]


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
def test_clients_are_served_beside_django(django_server: Server, transports: tuple[str, ...]) -> None:
    with client(django_server, *transports) as connected:
        eventually(lambda: connected.transport == transports[-1], f"the transport {transports[-1]}")
        assert connected.call("echo", {"number": 1, "bytes": b"\0\xff"}, timeout=10) == {
            "number": 1,
            "bytes": b"\0\xff",
        }
        assert get(django_server) == b"a page"
        assert get(django_server, "/news") == b"sent"
        assert connected.receive(timeout=10) == ["news", {"text": "from a view"}]


def test_a_session_over_websocket_has_one_log_line_at_its_end() -> None:
    with django() as server:
        with client(server, "websocket") as connected:
            assert connected.call("echo", 1, timeout=10) == 1
            assert "GET /socket.io/" not in server.log()
        log = server.wait_for_log('HTTP/1.1" 101 - ')
        assert log.count("GET /socket.io/") == 1


@pytest.mark.parametrize("transports", TRANSPORTS, ids="+".join)
def test_disconnect_handlers_run_when_the_worker_stops(transports: tuple[str, ...]) -> None:
    with django() as server, client(server, *transports) as connected:
        eventually(lambda: connected.transport == transports[-1], f"the transport {transports[-1]}")
        started = time.monotonic()
        server.process.terminate()
        assert server.wait_for_exit() == 0
        assert time.monotonic() - started < 5
        log = server.log()
        assert log.count("disconnect handler ran: server disconnect") == 1
        assert log.count('HTTP/1.1" 101 - ') == transports.count("websocket")
        assert "Traceback" not in log
        assert "shutdown error" not in log


PLAIN = """
from django.conf import settings
settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["dtws_sio"], ROOT_URLCONF="plain")
urlpatterns = []
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


def test_a_wsgi_module_that_was_forgotten_is_told(tmp_path: Path) -> None:
    """All goes well with the development server, and here clients would get Django's 404."""
    (tmp_path / "plain.py").write_text(PLAIN)
    port = free_port()
    with serve(command(port, application="plain:application"), ready_port=port, cwd=tmp_path) as server:
        log = server.wait_for_log("Socket.IO is not served")
        assert "plain:application is Django's own" in log
        assert "dtws_sio.wsgi" in log


@pytest.mark.parametrize("workers", [1, 2])
def test_several_workers_without_a_queue_are_told_what_they_lack(workers: int) -> None:
    with django("--workers", str(workers)) as server:
        if workers > 1:
            assert "DTWS_SIO['MESSAGE_QUEUE']" in server.wait_for_log("2 workers share the port")
        else:
            assert "share the port" not in server.log()
