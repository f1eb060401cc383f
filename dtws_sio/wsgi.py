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
from dtws_sio.engine.answers import Answer
from dtws_sio.gate import Gate
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

    The path is looked for below the script prefix, so the whole project may live under one. What is for Socket.IO has
    to pass the gate first.

    Args:
        django: The application for every other path.
    """

    def __init__(self, django: WSGIApplication) -> None:
        self.django = django
        self._gate = Gate()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(conf.settings().url_path):
            return self.django(environ, start_response)
        answer = self._gate.answer(environ) or _unavailable()
        if answer is None:
            return sio.handle_request(environ, start_response)  # type: ignore[no-any-return]
        start_response(answer.status, [*answer.headers, ("Content-Length", str(len(answer.body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def _unavailable() -> Answer | None:
    """Give the answer of a process that serves no clients; None if it does, or begins to with this request."""
    if sio.stopped:
        message = "Socket.IO is served no more: this process is stopping."
    elif not sio.serving and not _start():
        message = _mismatch()
    else:
        return None
    return Answer("503 Service Unavailable", message.encode(), [("Content-Type", "text/plain")])


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
