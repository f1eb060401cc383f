"""
What a request for the endpoint has to pass before an engine sees it: https, the host and the origin.

The endpoint stands in front of Django and its middleware, so what these would refuse is refused here, for polling,
WebSocket handshakes and CORS preflights alike.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from django.core.exceptions import DisallowedHost, MiddlewareNotUsed
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.middleware.security import SecurityMiddleware
from django.utils.module_loading import import_string

from dtws_sio import conf
from dtws_sio.engine.answers import Answer, Refusal
from dtws_sio.origins import CHECKED, Handshake, find_foreign
from dtws_sio.security import SparingLog, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase


class Gate:
    """Refuses requests as Django's middleware would; the settings SECURE_* are read once, as there."""

    def __init__(self) -> None:
        self._to_https = list(_redirecting_middleware()) if django_settings.SECURE_SSL_REDIRECT else []
        self._log = SparingLog()
        self._host_log = SparingLog(logging.getLogger("django.security.DisallowedHost"), logging.ERROR)

    def answer(self, environ: dict[str, Any]) -> Answer | None:
        """
        Give the answer to a request that no engine may see; None lets it through.

        Source: rows W-D1 and W-F1, pitfalls 11 and 12.
        """
        handshake = Handshake(environ)
        try:
            if self._to_https and not handshake.is_secure():
                redirect = self._redirect(environ)
                if redirect is not None:
                    return redirect
            own = handshake.origin()
        except DisallowedHost as error:
            return self._refuse_host(environ, error)
        foreign = find_foreign(
            environ.get("HTTP_ORIGIN"),
            environ.get("HTTP_SEC_FETCH_SITE"),
            allowed=conf.settings().allowed_origins,
            own=own,
        )
        if foreign is not None:
            return self._refuse("Origin not allowed", str(foreign))
        environ[CHECKED] = True
        return None

    def _redirect(self, environ: dict[str, Any]) -> Answer | None:
        request = _whole_request(environ)
        for middleware in self._to_https:
            response = middleware.process_request(request)
            if response is not None:
                break
        else:
            return None
        if environ.get("HTTP_UPGRADE", "").lower() != "websocket":
            return _as_answer(response)
        # Browsers do not follow redirects there.
        return self._refuse(
            "WebSockets need https here",
            f"refused a WebSocket without TLS for the host {shown(request.get_host())}, as SECURE_SSL_REDIRECT is on; "
            "connect by https, and if a proxy ends TLS, set SECURE_PROXY_SSL_HEADER",
        )

    def _refuse(self, message: str, details: str) -> Answer:
        self._log.write(details)
        return Refusal("403 Forbidden", 4, details if django_settings.DEBUG else message).answer

    def _refuse_host(self, environ: dict[str, Any], error: DisallowedHost) -> Answer:
        # Django's own message, but for its length; the host is in it twice.
        message = str(error)[:1000]
        self._host_log.write(message, status_code=400, request=_whole_request(environ))
        return Refusal("400 Bad Request", 3, message if django_settings.DEBUG else "Bad request").answer


def _redirecting_middleware() -> Iterator[SecurityMiddleware]:
    """Make the project's own; without it, SECURE_SSL_REDIRECT does nothing."""
    for path in django_settings.MIDDLEWARE:
        factory = import_string(path)
        if isinstance(factory, type) and issubclass(factory, SecurityMiddleware):
            try:
                yield factory(_no_view)
            except MiddlewareNotUsed:
                continue


def _whole_request(environ: dict[str, Any]) -> WSGIRequest:
    """Make a request of a copy, as it writes into it, and without what only the body of a form needs."""
    return WSGIRequest({**environ, "CONTENT_TYPE": ""})


def _no_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def _as_answer(response: HttpResponseBase) -> Answer:
    status = f"{response.status_code} {response.reason_phrase}"
    return Answer(status, getattr(response, "content", b""), tuple(response.items()))
