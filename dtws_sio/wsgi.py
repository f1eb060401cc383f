"""
The WSGI application: Socket.IO at its path, Django for everything else.

    # mysite/wsgi.py
    from dtws_sio.wsgi import get_wsgi_application
    application = get_wsgi_application()
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.core.wsgi import get_wsgi_application as get_django_application

from dtws_sio import conf, runtime
from dtws_sio.server import sio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication

logger = logging.getLogger("dtws_sio.wsgi")

__all__ = ["SocketIOApplication", "get_wsgi_application"]


def get_wsgi_application() -> SocketIOApplication:
    """Set Django up and give the application that a WSGI server should serve. Source: row D-06."""
    return SocketIOApplication(get_django_application())


class SocketIOApplication:
    """
    Send each request where it belongs.

    The path is looked for below the script prefix, so the whole project may live under one.

    Args:
        django: The application for every other path.
    """

    def __init__(self, django: WSGIApplication) -> None:
        self.django = django

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(conf.settings().url_path):
            return self.django(environ, start_response)
        if sio.stopped:
            return _refuse(start_response, "Socket.IO is served no more: this process is stopping.")
        if not sio.serving and not _start():
            return _refuse(start_response, _mismatch())
        return sio.handle_request(environ, start_response)  # type: ignore[no-any-return]


def _start() -> bool:
    """Begin to serve, if the server that handed us a request waits with the library that the setting RUNTIME names."""
    if runtime.current() != conf.settings().runtime:
        return False
    sio.start()
    return True


def _mismatch() -> str:
    message = (
        f"Socket.IO is not served by this WSGI server: DTWS_SIO['RUNTIME'] is {conf.settings().runtime!r}, and the "
        f"server runs on {runtime.current()!r}. Use `manage.py runsocketio`, or "
        "`gunicorn -k dtws_sio.gunicorn.EventletWorker`."
    )
    logger.error(message)
    return message


def _refuse(start_response: StartResponse, message: str) -> list[bytes]:
    body = message.encode()
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
