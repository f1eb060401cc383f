"""
A Django project in one module, served by `eventlet.wsgi` in this process, for the fuzz test.

Imported after `dtws_sio.runtime.patch`. The clock of deadlines stands still until a test moves it, so that heartbeats
are part of an example and each example can be repeated.
"""

from __future__ import annotations

import logging
import os
import sys
from io import StringIO
from socket import SO_SNDBUF, SOL_SOCKET
from typing import TYPE_CHECKING, Any, Final

import eventlet
import eventlet.wsgi
from django.conf import settings
from eventlet import hubs

if TYPE_CHECKING:
    from collections.abc import Callable

VARIANTS: Final[dict[str, dict[str, object]]] = {
    "close": {"BACKLOG_POLICY": "close"},
    "drop-oldest": {"BACKLOG_POLICY": "drop-oldest", "HANDLER_POOL": 1},
    "keep-newest": {"BACKLOG_POLICY": "keep-newest", "ACK_ERRORS": False},
    "compression": {"COMPRESSION": True, "SERVER": {"http_compression": True, "compression_threshold": 1}},
}
"""Settings of DTWS_SIO to feed; FUZZ_VARIANT names one. The limits are low, for small data to reach them."""

SMALL_BUFFER: Final = 2048
"""Bytes asked of the kernel as buffers, so that it soon takes no more for a client that does not read."""

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DTWS_SIO={
        "MAX_PAYLOAD": 2000,
        "MAX_BACKLOG": 8000,
        "HANDLER_POOL": 4,
        "SERVER": {"cookie": "io"},
        **VARIANTS[os.environ.get("FUZZ_VARIANT", "close")],
    },
    INSTALLED_APPS=["dtws_sio"],
    LOGGING_CONFIG=None,
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
    USE_TZ=True,
)

from dtws_sio import Namespace, concurrent, deadlines, sio  # noqa: E402
from dtws_sio.engine import connection, server  # noqa: E402
from dtws_sio.wsgi import get_wsgi_application  # noqa: E402

urlpatterns: list[object] = []

connection.CLOSING_SECONDS = 0.05  # type: ignore[misc]
server.UPGRADE_SECONDS = 0.05  # type: ignore[misc]


class Clock:
    """The time of `dtws_sio.deadlines`: it passes only in `advance`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._calls: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        """Tell the time in seconds."""
        return self.now

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        """Call a function in the hub, once so many seconds have passed."""
        self._calls.append((self.now + seconds, function))

    def advance(self, seconds: float) -> None:
        """Let time pass, and everything that is due happen in its order."""
        end = self.now + seconds
        while due := sorted((each for each in self._calls if each[0] <= end), key=lambda each: each[0]):
            self.now = max(self.now, due[0][0])
            self._calls.remove(due[0])
            hubs.get_hub().schedule_call_global(0, due[0][1])
            eventlet.sleep()
        self.now = end


clock: Final = Clock()
deadlines.monotonic = clock.time  # type: ignore[assignment]
deadlines.call_later = clock.call_later


class Protocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]
    """`eventlet.wsgi`'s protocol, without its word on stderr about each request that is not HTTP."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class OnPurposeError(Exception):
    """Raised by handlers; the only error that may be logged."""


REFUSED_HOSTS: Final = "django.security.DisallowedHost"


class Complaints(logging.Handler):
    """Collects what must not be: errors in the log that no handler raised on purpose, and anything on stderr."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []
        self.stderr = StringIO()

    def emit(self, record: logging.LogRecord) -> None:
        """Look a log record over."""
        error = record.exc_info[1] if record.exc_info else None
        if record.name == REFUSED_HOSTS and error is None:
            return  # an error at Django, which mails it to ADMINS; the client's own doing
        if not isinstance(error, OnPurposeError) and (error is not None or record.levelno >= logging.ERROR):
            self.found.append(logging.Formatter().format(record))

    def info(self, text: str, *arguments: object) -> None:
        """Take what `eventlet.wsgi` says, which logs tracebacks as information."""
        if "Traceback" in text:
            self.found.append(text)

    debug = error = info

    def take(self) -> list[str]:
        """Give what was found since the last time."""
        found, self.found = self.found, []
        if text := self.stderr.getvalue():
            found.append(text)
            self.stderr.seek(0)
            self.stderr.truncate()
        return found


present: Final[set[str]] = set()
"""The clients whose connect handler has accepted them and whose disconnect handler has not run."""

twice: Final[list[str]] = []
"""Clients that came or went twice."""


class Playground(Namespace):
    """Everything that a handler may do."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Let everybody in, with a word that has to wait for the welcome."""
        if sid in present:
            twice.append(sid)
        self.enter_room(sid, "everybody")
        self.emit("hello", to=sid)
        present.add(sid)

    def on_disconnect(self, sid: str, reason: str) -> None:
        """Note who goes."""
        if sid not in present:
            twice.append(sid)
        present.discard(sid)

    def on_fail(self, sid: str, *data: Any) -> None:
        """Raise."""
        raise OnPurposeError

    def on_echo(self, sid: str, *data: Any) -> tuple[Any, ...]:
        """Acknowledge with what came."""
        return data

    def on_join(self, sid: str, *data: Any) -> None:
        """Enter a room named by the client."""
        self.enter_room(sid, repr(data))

    def on_shout(self, sid: str, *data: Any) -> None:
        """Tell everybody, twice."""
        self.emit("shout", list(data))
        sio.emit("shout", list(data), room="everybody", namespace=self.namespace, volatile=True)

    def on_nap(self, sid: str, *data: Any) -> int:
        """Wait a moment."""
        sio.sleep(0.001)
        return len(data)

    @concurrent
    def on_race(self, sid: str, *data: Any) -> int:
        """Wait a moment, and let others overtake."""
        return self.on_nap(sid, *data)

    def on_ask(self, sid: str, *data: Any) -> None:
        """Ask the client something, with a callback."""
        self.emit("question", list(data), to=sid, callback=lambda *answer: None)

    def on_leave(self, sid: str, *data: Any) -> None:
        """Send the client away."""
        self.disconnect(sid)

    def on_flood(self, sid: str, *data: Any) -> None:
        """Send more than a client that does not read may have waiting."""
        for _ in range(6):
            self.emit("flood", "x" * 3000, to=sid)
            self.emit("more", b"x" * 100, to=sid)
            sio.sleep(0)


class Slow(Playground):
    """Takes a while to let somebody in."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any = None) -> None:
        """Give the client time to go away meanwhile."""
        sio.sleep(0.001)
        super().on_connect(sid, environ)


@sio.on("connect", namespace="/no")
def refuse(sid: str, environ: dict[str, Any]) -> bool:
    """Let nobody in."""
    sio.enter_room(sid, "refused", namespace="/no")
    return False


@sio.on("connect", namespace="/raise")
def fail(sid: str, environ: dict[str, Any]) -> None:
    """Fail to let somebody in."""
    raise OnPurposeError


for _namespace in (Playground("/"), Playground("/chat"), Slow("/slow")):
    sio.register_namespace(_namespace)


def serve(complaints: Complaints) -> int:
    """Serve from now on, and give the port."""
    logging.getLogger().addHandler(complaints)
    application = get_wsgi_application()
    sio.start()
    listener = eventlet.listen(("127.0.0.1", 0))
    listener.setsockopt(SOL_SOCKET, SO_SNDBUF, SMALL_BUFFER)
    options = {"log": complaints, "log_output": False, "debug": False, "protocol": Protocol}
    eventlet.spawn(eventlet.wsgi.server, listener, application, **options)
    eventlet.sleep()
    sys.stderr = complaints.stderr
    port: int = listener.getsockname()[1]
    return port
