"""
The development server: `runserver` of Django, with a server beneath it that speaks Socket.IO.

Django's command does what it does best, autoreload, checks, static files, addresses; `Server` takes the place of its
threaded WSGI server.
"""

from __future__ import annotations

import errno
import logging
import os
import platform
import signal
import socket
import ssl
import sys
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import django
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.staticfiles.management.commands.runserver import Command as RunserverCommand
from django.core.management.base import CommandError, CommandParser

from dtws_sio import conf, launch, runtime
from dtws_sio.server import sio
from dtws_sio.wsgi import SocketIOApplication

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication

access_log = logging.getLogger("django.server")

KEEPALIVE: Final = 60
"""Seconds that an idle HTTP connection is kept."""

MOST_CONNECTIONS: Final = 1000

BIND_ERRORS: Final = {
    errno.EACCES: "you may not listen on {address}; ports below 1024 are for root: give another port",
    errno.EADDRINUSE: "{address} is already in use; stop what listens there, or give another port",
    errno.EADDRNOTAVAIL: "this machine has no address {address}; give one that it has, such as 127.0.0.1",
}


class Command(RunserverCommand):
    """`manage.py runsocketio`, and `runserver` where `dtws_sio` stands above `django.contrib.staticfiles`."""

    help = "Starts a development server that serves Django and Socket.IO."

    addr: str
    """Where to listen; set by the parent's `handle`."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add TLS to what `runserver` takes."""
        super().add_arguments(parser)
        parser.add_argument("--cert", help="PEM file with the certificate chain: serve HTTPS.")
        parser.add_argument("--key", help="PEM file with the certificate's key, if it is not in the same file.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve, in a process that was patched first. Source: rows D-03, D-08, D-09."""
        try:
            settings = conf.settings()
        except conf.ConfigurationError as error:
            raise CommandError(str(error)) from error
        if settings.runtime == "eventlet":
            _patch_first()
            self.server_cls = partial(  # type: ignore[assignment]  # only called
                Server, tls=_tls_context(options["cert"], options["key"])
            )
            options["use_threading"] = False
        elif settings.runtime != runtime.current():
            raise CommandError(
                f"DTWS_SIO['RUNTIME'] is {settings.runtime!r}, which the development server does not run on: use "
                "'eventlet' or 'threading', or serve with another WSGI server"
            )
        self.protocol = "https" if options["cert"] else "http"
        self.default_addr, self.default_port = settings.host, str(settings.port)
        super().handle(*args, **options)

    def get_handler(  # type: ignore[override]  # any WSGI application will do
        self, *args: Any, **options: Any
    ) -> WSGIApplication:
        """Put Socket.IO before static files and Django, whichever application the project names."""
        if not apps.is_installed("django.contrib.staticfiles"):
            options["use_static_handler"] = False
        handler = super().get_handler(*args, **options)
        sio.start()
        _log_to_console()
        return handler if isinstance(handler, SocketIOApplication) else SocketIOApplication(handler)

    def on_bind(self, server_port: int) -> None:
        """Say what is served where."""
        print(_summary(self.protocol, self.addr, server_port), file=self.stdout, flush=True)


def _patch_first() -> None:
    if runtime.current() == "eventlet":
        return
    if not launch.needs_relaunch():
        raise CommandError("eventlet is not installed, and serving needs it: pip install 'dtws_sio[eventlet]'")
    if sys.argv[1:2] not in ([launch.COMMAND], ["runserver"]):
        raise CommandError("the server needs a process of its own; run `manage.py runsocketio` in a shell")
    launch.relaunch(sys.argv)


def _tls_context(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise CommandError("--key is for the certificate of --cert, which is missing")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        files = f"--cert {cert}" + (f" and --key {key}" if key else "")
        raise CommandError(f"{files} cannot be used: {error}") from error
    return context


def _log_to_console() -> None:
    """Show who comes and goes, unless the project has decided where these lines go."""
    log = logging.getLogger("dtws_sio")
    if log.hasHandlers() or log.level != logging.NOTSET:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("[%(asctime)s] %(message)s", "%d/%b/%Y %H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def _version(engine: runtime.Name) -> str:
    return platform.python_version() if engine == "threading" else version(engine)


def _summary(protocol: str, host: str, port: int) -> str:
    engine = runtime.current()
    served = dict(sio.table)
    width = max(map(len, served), default=0)
    shown_host = f"[{host}]" if ":" in host else host
    return "\n".join(
        [
            f"Django {django.get_version()} on {engine} {_version(engine)}, settings {django_settings.SETTINGS_MODULE}",
            f"Serving {protocol}://{shown_host}:{port}/ with Socket.IO at {conf.settings().url_path}",
            *(f"  {namespace:{width}}  {', '.join(events)}" for namespace, events in served.items()),
            *([] if served else ["  no handlers yet: write some in sockets.py of an app"]),
            "This is a development server. Quit with CONTROL-C.",
        ]
    )


class Server:
    """
    A WSGI server on eventlet, with the interface that django.core.servers.basehttp.run asks for.

    Args:
        address: Host and port.
        handler_class: What Django's own server handles requests with; not needed here.
        ipv6: Whether the host is an IPv6 address.
        tls: Serve HTTPS with this context.

    Raises:
        OSError: If the address cannot be listened on; its text says why and what to do.
    """

    def __init__(
        self, address: tuple[str, int], handler_class: type, *, ipv6: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        import eventlet

        self.tls = tls
        try:
            # Without reuse_port=False a second server on the port would share its connections, and break both.
            self.socket = eventlet.listen(address, socket.AF_INET6 if ipv6 else socket.AF_INET, reuse_port=False)
        except OSError as error:
            text = BIND_ERRORS.get(error.errno or 0)
            if text is None:
                raise
            raise OSError(text.format(address=f"{address[0]}:{address[1]}")) from error
        self.server_port = self.socket.getsockname()[1]

    def set_app(self, application: WSGIApplication) -> None:
        """Take the application to serve."""
        from eventlet import wsgi

        self.http = wsgi.Server(
            self.socket,
            self.socket.getsockname(),
            partial(_without_body_for_head, application),
            log=_AccessLog(),
            log_format='"%(request_line)s" %(status_code)s %(body_length)s',
            environ={"wsgi.url_scheme": "https", "HTTPS": "on"} if self.tls else None,
            keepalive=KEEPALIVE,
            debug=False,
        )

    def serve_forever(self) -> None:
        """Serve until the process ends."""
        import eventlet
        from eventlet import wsgi
        from eventlet.event import Event

        from dtws_sio.engine.listener import Listener, tls

        def handle(connection: Any, address: Any) -> None:
            self.http.process_request([address, connection, wsgi.STATE_IDLE])

        wrap = tls(self.tls) if self.tls else None
        Listener(self.socket, handle, pool=eventlet.GreenPool(MOST_CONNECTIONS), wrap=wrap).start()
        eventlet.spawn_n(_end_on_interrupt)
        Event().wait()


def _without_body_for_head(
    application: WSGIApplication, environ: dict[str, Any], start_response: StartResponse
) -> Iterable[bytes]:
    """Answer HEAD with the headers alone; eventlet's server sends what the application gives."""
    body = application(environ, start_response)
    if environ["REQUEST_METHOD"] != "HEAD":
        return body
    if hasattr(body, "close"):
        body.close()
    return []


def _end_on_interrupt() -> None:
    """
    Raise KeyboardInterrupt where Django waits for it, in the main greenlet.

    Python raises it wherever the signal finds the process; in a `__del__`, or under a bare `except`, it would be lost.
    A second Ctrl-C does just that, for handlers that never let others run.
    """
    from eventlet import hubs, patcher
    from greenlet import getcurrent

    main = getcurrent()
    while main.parent is not None:
        main = main.parent
    reading, writing = os.pipe()
    write = patcher.original("os").write  # the hub itself may be what is interrupted, where the patched one raises

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        write(writing, b"\n")

    signal.signal(signal.SIGINT, interrupt)
    os.read(reading, 1)
    hubs.get_hub().schedule_call_global(0, main.throw, KeyboardInterrupt)


class _AccessLog:
    """What eventlet's server writes its lines to."""

    def info(self, line: str) -> None:
        access_log.info(line)

    def error(self, line: str) -> None:
        access_log.error(line)

    def debug(self, line: str) -> None:
        access_log.debug(line)
