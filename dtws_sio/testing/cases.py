"""Test cases in which `sio` serves."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings as django_settings
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.core.servers.basehttp import ThreadedWSGIServer
from django.db import connections
from django.test import override_settings
from django.test.testcases import LiveServerThread, QuietWSGIRequestHandler

from dtws_sio import runtime
from dtws_sio.pool import Pool, ThreadPool
from dtws_sio.server import sio
from dtws_sio.signals import outlets, queues, triggers
from dtws_sio.signals.calls import Call
from dtws_sio.signals.queues.execution import execute
from dtws_sio.signals.queues.pending import Pending
from dtws_sio.testing.client import SocketIOClient
from dtws_sio.wsgi import SocketIOApplication

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.test import Client as HttpClient

    from dtws_sio.topics import Topic


@contextmanager
def serving(pool: Pool, *, watches: bool, **keys: Any) -> Iterator[None]:
    """
    Have `sio` serve in this process, alone: without a message queue, whatever the settings say.

    Args:
        pool: Runs the handlers.
        watches: As for `sio.start`.
        keys: Keys of DTWS_SIO that replace the project's.
    """
    project: Mapping[str, Any] = getattr(django_settings, "DTWS_SIO", {})
    here = {"RUNTIME": runtime.current(), "ENGINE": "stock", "MESSAGE_QUEUE": None, **keys}
    server = {**project.get("SERVER", {}), "monitor_clients": False, **keys.get("SERVER", {})}
    with override_settings(DTWS_SIO={**project, **here, "SERVER": server}):
        sio.start(pool=pool, watches=watches)
        try:
            yield
        finally:
            sio.stop()


class InlinePool(Pool):
    """Runs every job where it is submitted, before `submit` returns; a mailbox still keeps the order of its own."""

    def __init__(self) -> None:
        super().__init__(size=1_000_000)
        self._start = self._work


class Inline:
    """Runs queued calls where they are submitted, and sends to windows as usual."""

    def submit(self, call: Call) -> Pending:
        """Run a call; its delay is not waited for, and its failure is logged as a worker would."""
        queues.check_name(call.queue)
        pending = Pending()
        try:
            pending.settle(execute(Call.from_json(call.to_json())))
        except Exception as error:
            pending.settle(error=error)
        return pending

    def emit(self, topics: list[Topic] | None, message: dict[str, Any]) -> None:
        """Send to windows."""
        triggers.deliver(topics, message)


class ClientTestMixin:
    """
    Has `sio` serve while a test runs, and makes clients; for `django.test.TestCase` and its relatives.

    Everything happens in the thread of the test, in its transaction: handlers, disconnect handlers, and the functions
    of signals that are queued. What waits for a client inside of a handler, as `sio.call` does, waits in vain; that is
    for `SocketIOLiveServerTestCase`.

    Attributes:
        socketio_settings: Keys of DTWS_SIO that are different in these tests.
    """

    socketio_settings: ClassVar[Mapping[str, Any]] = {}
    client: HttpClient

    def setUp(self) -> None:
        """Begin to serve."""
        super().setUp()  # type: ignore[misc]
        self.__clients: list[SocketIOClient] = []
        server = serving(InlinePool(), watches=False, **self.socketio_settings)
        server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)  # type: ignore[attr-defined]
        inline = Inline()
        outlets.push(inline)
        self.addCleanup(outlets.pop, inline)  # type: ignore[attr-defined]
        self.addCleanup(self.__disconnect)  # type: ignore[attr-defined]

    def socketio(self, *, user: Any = None, **options: Any) -> SocketIOClient:
        """
        Make a client, which is yet to `connect`.

        Args:
            user: Who is signed in; without, the client shares the session of `self.client`.
            options: Further arguments of `SocketIOClient`.
        """
        made = SocketIOClient(self.client if user is None else None, **options)
        if user is not None:
            made.force_login(user)
        self.__clients.append(made)
        return made

    def __disconnect(self) -> None:
        for each in self.__clients:
            each.disconnect()


class _SharingPool(ThreadPool):
    """Threads that use the database connections of the test, where those are the database: SQLite in memory."""

    def __init__(self, size: int, shared: Mapping[str, BaseDatabaseWrapper]) -> None:
        super().__init__(size)
        self._shared = shared

    def _work(self, work: Any) -> None:
        for alias, connection in self._shared.items():
            connections[alias] = connection
        super()._work(work)


class _RequestHandler(QuietWSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        """Hand over the socket too, for WebSockets; simple-websocket looks for it under werkzeug's name."""
        return {**super().get_environ(), "werkzeug.socket": self.connection}


class _Application(SocketIOApplication):
    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return super().__call__(environ, start_response)
        except ConnectionError as error:  # python-engineio's sign that a WebSocket has ended
            raise ConnectionAbortedError("the WebSocket has ended") from error


class _Server(ThreadedWSGIServer):
    def set_app(self, application: Any) -> None:
        super().set_app(_Application(application))


class _Thread(LiveServerThread):
    def _create_server(self, connections_override: Any = None) -> _Server:
        return _Server(
            (self.host, self.port),
            _RequestHandler,
            allow_reuse_address=False,
            connections_override=connections_override,
        )


class SocketIOLiveServerTestCase(StaticLiveServerTestCase):
    """
    Django's live server with Socket.IO, for browsers and for clients that speak over a network.

    It serves in threads of the test process, on python-engineio's sockets with long-polling and WebSocket, so that it
    shares the test's database; what is particular to eventlet is not tested by it. As for Django's own
    `LiveServerTestCase`, tests are not in a transaction, and tables are emptied after each.

    Attributes:
        socketio_settings: Keys of DTWS_SIO that are different in these tests.
    """

    server_thread_class = _Thread
    socketio_settings: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def _start_server_thread(cls) -> None:
        shared = cls._make_connections_override()  # type: ignore[attr-defined]
        server = serving(_SharingPool(20, shared), watches=True, **cls.socketio_settings)
        server.__enter__()
        cls.addClassCleanup(server.__exit__, None, None, None)
        super()._start_server_thread()  # type: ignore[misc]
