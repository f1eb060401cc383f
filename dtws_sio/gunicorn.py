"""
The worker of gunicorn that serves Socket.IO and Django under eventlet.

    gunicorn -k dtws_sio.gunicorn.EventletWorker mysite.wsgi

gunicorn 26 removed its own eventlet worker; this one is for 26 and 27. gunicorn imports it in the arbiter, whose
threads must stay ordinary ones, so nothing here loads eventlet, socketio or Django before a worker has patched itself.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from collections import Counter
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from gunicorn.http.errors import NoMoreData
from gunicorn.http.wsgi import FileWrapper
from gunicorn.sock import ssl_context
from gunicorn.workers.base_async import AsyncWorker

from dtws_sio import runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from dtws_sio.engine.listener import Listener, ServerSocket

HEADER_SECONDS: Final = 20.0
"""How long the headers of a request may take where there is no keep-alive time to limit them. Apache's default."""

BODY_SECONDS = 20.0
"""How long a client may take for a request's body before any of it arrived. Apache's default (mod_reqtimeout)."""

BODY_RATE = 500.0
"""Bytes of a body that earn its client one second more. Apache's default; a fifth of what GPRS carries."""

BEAT: Final = 1.0
"""Seconds between two signs of life to the arbiter; it is as precise itself."""

EXIT_MARGIN: Final = 1.0
"""Seconds by which a worker gives up before the arbiter, which counts the same time, would kill it without a word."""

GC_THRESHOLD: Final = (10_000, 20, 20)
"""When Python looks for cyclic garbage; its own (700, 10, 10) does so every 40 connections."""

SESSION: Final = SimpleNamespace(status="101 Switching Protocols", headers=(), sent=None)
"""What gunicorn's access log asks a response for, of a WebSocket; how much was sent is not counted."""

REFUSALS: Final[tuple[tuple[str, Callable[[Any], bool], str], ...]] = (
    (
        "--preload",
        lambda cfg: bool(cfg.preload_app),
        "Django would be loaded in the arbiter, before patching, and its workers would block; remove it",
    ),
    (
        "HTTP/2",
        lambda cfg: "h2" in cfg.http_protocols or getattr(cfg, "http2_cleartext", "off") != "off",
        "WebSockets need HTTP/1.1; set http_protocols to 'h1' and http2_cleartext to 'off'",
    ),
    (
        "--do-handshake-on-connect",
        lambda cfg: bool(cfg.do_handshake_on_connect),
        "TLS handshakes take place in each connection's own greenlet, with a time limit; remove it",
    ),
    (
        "a Python that has no eventlet",
        lambda cfg: find_spec("eventlet") is None,
        "it is what the worker serves with; run: pip install 'dtws_sio[eventlet]'",
    ),
)
"""What cannot be served: its name, how to tell from the settings, and the reason with the remedy."""


class EventletWorker(AsyncWorker):  # type: ignore[misc]
    """Serve one process of gunicorn with greenlets; see `gunicorn.workers.base.Worker` for the life of a worker."""

    sockets: list[Any]
    wsgi: Callable[..., Iterable[bytes]]
    alive: bool

    @staticmethod
    def check_config(cfg: Any, log: Any) -> None:
        """Refuse settings that would break later, before the first worker starts. gunicorn calls it in the arbiter."""
        refused = [(name, remedy) for name, applies, remedy in REFUSALS if applies(cfg)]
        for name, remedy in refused:
            log.error("EventletWorker cannot run with %s: %s", name, remedy)
        if refused:
            sys.exit(1)

    # ---- starting

    def init_process(self) -> None:
        """Patch first, then let gunicorn load the application and call `run`."""
        if "django" in sys.modules:
            self.log.warning("the configuration file imported Django before it could be patched; import it in a hook")
        runtime.patch()
        from eventlet import corolocal, hubs
        from greenlet import getcurrent

        # A hub that a configuration file made in the arbiter would share its epoll descriptor with every worker.
        hubs.use_hub()
        self.main = getcurrent()
        self.local = corolocal.local()
        self.limits_headers = not self.cfg.keepalive
        self.unreaders: dict[Any, Any] = {}
        self.requests: set[Any] = set()
        self.sockets = [self._green(sock) for sock in self.sockets]
        super().init_process()

    def _green(self, sock: Any) -> ServerSocket:
        """Take the descriptor over: what a socket object made before patching accepts is not green."""
        from dtws_sio.engine.listener import ServerSocket

        return ServerSocket(sock.family, sock.type, fileno=sock.detach())

    def load_wsgi(self) -> None:
        """
        Load the application; if `dtws_sio.wsgi` made it, Socket.IO is served from now on.

        Whether it did is told by that module being loaded: nothing else imports it, and an application that is not
        Django's must not be asked for Django's settings.
        """
        super().load_wsgi()
        self.wsgi = partial(self._answer, self.wsgi)
        # Here rather than in `run`: gunicorn gives up on a worker that fails now, and would start later ones for ever.
        self.context = ssl_context(self.cfg) if self.cfg.is_ssl else None
        if "dtws_sio.wsgi" in sys.modules:
            from dtws_sio.server import sio

            sio.start()
            self._warn_of_others()
        elif "dtws_sio.server" in sys.modules:
            self.log.warning(
                "Socket.IO is not served: the application %s is Django's own; let its module import "
                "get_wsgi_application from dtws_sio.wsgi, not from django.core.wsgi",
                self.app.app_uri,
            )
        # What is loaded now stays; without it in the way, and collecting less often, connecting costs a quarter less.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)

    def _warn_of_others(self) -> None:
        """Say what several processes on one port lack; each of them says it."""
        from dtws_sio import conf

        if self.cfg.workers > 1 and conf.settings().message_queue is None:
            self.log.warning(
                "%d workers share the port, and clients of one cannot be reached from another: set "
                "DTWS_SIO['MESSAGE_QUEUE'], and start one gunicorn with one worker for each port, behind a proxy that "
                "keeps a client with its process",
                self.cfg.workers,
            )

    def run(self) -> None:
        """Serve until told to stop, and give the arbiter a sign of life meanwhile."""
        from eventlet.greenpool import GreenPool

        pool = GreenPool(self.worker_connections)
        listeners = [self._listen(sock, pool) for sock in self.sockets]
        for listener in listeners:
            listener.start()
        while self.alive:
            self.notify()
            self._pause(BEAT)
        self._finish(listeners)

    def _listen(self, sock: ServerSocket, pool: Any) -> Listener:
        from dtws_sio.engine.listener import Listener, tls

        name, context = sock.getsockname(), self.context
        # gunicorn asks for the name at the start of each connection, when the socket itself may be closed already.
        handle = partial(self.handle, SimpleNamespace(getsockname=lambda: name))
        wrap = tls(context, suppress_ragged_eofs=self.cfg.suppress_ragged_eofs) if context else None
        return Listener(sock, handle, pool=pool, wrap=wrap, log=self.log)

    # ---- living and stopping

    def notify(self) -> None:
        """Tell the arbiter that this worker lives; without an arbiter there is nobody to restart or stop it."""
        super().notify()
        if self.alive and self.ppid != os.getppid():
            self.log.warning("the arbiter (pid %s) is gone; this worker stops too", self.ppid)
            self.alive = False

    def _pause(self, seconds: float) -> None:
        """Let others run until the time is up or a signal came: Python's handlers write to this pipe."""
        from eventlet import Timeout

        with Timeout(seconds, False):
            os.read(self.PIPE[0], 4096)

    def _finish(self, listeners: list[Listener]) -> None:
        """Close the listening sockets and the clients, and wait for requests; idle connections just end with us."""
        import eventlet

        for listener in listeners:
            listener.stop()
        for req in self.requests:
            req.force_close()  # its answer says so; what comes later on the connection would be lost
        grace = max(self.cfg.graceful_timeout - EXIT_MARGIN, self.cfg.graceful_timeout / 2)
        deadline = time.monotonic() + grace
        closing = eventlet.spawn(self._close_clients, grace)
        # One turn for connections that were accepted, but not read from yet.
        self._pause(0.01)
        while (self.requests or not closing.dead) and time.monotonic() < deadline:
            self.notify()
            self._pause(0.05)
        if self.requests:
            self.log.warning("%d requests were not done after %g s and are cut off", len(self.requests), grace)

    def _close_clients(self, seconds: float) -> None:
        if "dtws_sio.wsgi" not in sys.modules:
            return
        from dtws_sio.server import sio

        try:
            if not sio.stop(seconds):
                self.log.warning("handlers still ran after %g s and are cut off", seconds)
        except Exception:
            self.log.exception("closing the Socket.IO clients failed")

    # ---- requests

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection; gunicorn limits the time for headers only where it keeps connections alive."""
        if self.limits_headers:
            from eventlet import Timeout

            self.local.headers = Timeout(HEADER_SECONDS, NoMoreData(f"headers not complete in {HEADER_SECONDS:g} s"))
        try:
            super().handle(listener, client, addr)
        finally:
            self._headers_are_here()

    def timeout_ctx(self) -> Any:
        """Limit how long a connection may be idle, or take for the next request's headers."""
        from eventlet import Timeout

        return Timeout(self.cfg.keepalive, False)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """Serve one request, and have the connection closed if its body comes too slowly, or its answer is not read."""
        from dtws_sio.engine.listener import PacedSource, SlowBodyError, SlowReaderError

        self._headers_are_here()
        self.requests.add(req)
        self.unreaders[sock] = req.unreader
        req.unreader.sock = PacedSource(sock, seconds=BODY_SECONDS, rate=BODY_RATE)
        try:
            return super().handle_request(listener_name, req, sock, addr)
        except (SlowBodyError, SlowReaderError) as error:
            self.log.info("cut off %s %s from %s: %s", req.method, req.path, addr, error)
            raise StopIteration from error
        finally:
            req.unreader.sock = sock
            self.requests.discard(req)
            del self.unreaders[sock]

    def _headers_are_here(self) -> None:
        timer = getattr(self.local, "headers", None) if self.limits_headers else None
        if timer is not None:
            timer.cancel()

    def _answer(self, application: Any, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """
        Call the application; one log line tells of a WebSocket session when it has ended.

        A session answers past gunicorn and says so in a place of its greenlet's own, which a later request on the same
        connection must not find set.
        """
        from eventlet.wsgi import WSGI_LOCAL

        from dtws_sio.engine.listener import WebSocketConnection

        WSGI_LOCAL.already_handled = None
        # Where python-engineio looks for the socket of a WebSocket (engineio/async_drivers/eventlet.py).
        connection = environ["gunicorn.socket"]
        environ["eventlet.input"] = SimpleNamespace(get_socket=lambda: WebSocketConnection(connection))
        # What dtws_sio.engine takes over besides the socket, and whom it tells when the session has ended.
        environ["dtws_sio.early_bytes"] = self.unreaders[connection].take_buffered
        if "HTTP_UPGRADE" in environ and (self.cfg.accesslog or self.cfg.logconfig or self.cfg.logconfig_dict):
            environ["dtws_sio.websocket_ended"] = self._session_log(environ)
        environ["wsgi.file_wrapper"] = PoliteFileWrapper
        body: Iterable[bytes] = application(environ, start_response)
        ended = environ.pop("dtws_sio.websocket_ended", None)
        if ended is not None and WSGI_LOCAL.already_handled:
            ended()  # nobody took it over: the session ran inside the call, as with eventlet's own WebSocketWSGI
        return body

    def _session_log(self, environ: dict[str, Any]) -> Callable[[], None]:
        """Make the function that writes the access-log line of a WebSocket session, at its end."""
        started = time.monotonic()
        kept = {name: value for name, value in environ.items() if isinstance(value, str)}
        headers = [(name[5:].replace("_", "-"), kept[name]) for name in kept if name.startswith("HTTP_")]

        def log() -> None:
            self.log.access(SESSION, headers, kept, timedelta(seconds=time.monotonic() - started))

        return log

    def is_already_handled(self, respiter: Any) -> bool:
        """Tell gunicorn to leave a connection alone that was a WebSocket."""
        from eventlet.wsgi import WSGI_LOCAL

        if WSGI_LOCAL.already_handled:
            raise StopIteration
        return bool(super().is_already_handled(respiter))

    # ---- signals; they arrive in whatever greenlet runs, which may be the hub, where nothing may wait

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at once."""
        import eventlet

        eventlet.spawn_n(super().handle_quit, sig, frame)

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """Open the log files anew."""
        import eventlet

        eventlet.spawn_n(super().handle_usr1, sig, frame)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """Say where every greenlet is, then die: the arbiter sends this to a worker that gave no sign of life."""
        from greenlet import getcurrent

        report = f"worker {self.pid} is aborted; its greenlets:\n{stacks(frame)}"
        try:
            self.log.critical("%s", report)
        except (AssertionError, RuntimeError):
            # In the hub, with the log's lock held by another greenlet.
            sys.stderr.write(report)
        try:
            super().handle_abort(sig, frame)
        except SystemExit as end:
            if getcurrent() is self.main:
                raise
            # Anywhere else gunicorn would answer it with an error page and live on.
            self.main.throw(end)


class PoliteFileWrapper(FileWrapper):  # type: ignore[misc]
    """Read files in larger blocks and let others run between two; TLS connections cannot use `sendfile`."""

    def __init__(self, filelike: Any, blksize: int = 65536) -> None:
        super().__init__(filelike, max(blksize, 65536))

    def __next__(self) -> bytes:
        runtime.sleep(0)
        block: bytes = super().__next__()
        return block


def stacks(running: FrameType | None) -> str:
    """Format the stack that runs and those of all waiting greenlets, each with how many wait there."""
    from greenlet import greenlet

    # By type: `isinstance` asks each object for its class, at which Django's lazy ones would begin to work.
    found = [each for each in gc.get_objects() if issubclass(type(each), greenlet)]
    waiting = [each.gr_frame for each in found if each.gr_frame]
    counted = Counter("".join(traceback.format_stack(frame)) for frame in waiting)
    current = "".join(traceback.format_stack(running))
    return f"running:\n{current}" + "".join(f"{n} waiting:\n{text}" for text, n in counted.most_common())
