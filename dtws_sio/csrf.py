"""
Django's CSRF token, asked of a client that joins a namespace; the setting CSRF turns it on.

The origin check already keeps foreign pages out. The token is for sites that trust origins which they do not wholly
control, and for those that have to: a page proves with it that this site rendered it for this very browser.

`static/src/connect.js` sends it, `{% dtws_sio_scripts %}` hands it to the page.
"""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings as django_settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, RejectRequest

from dtws_sio.exceptions import CsrfError

TOKEN: Final = "csrf_token"  # noqa: S105  a key
"""The key of the token in `auth`, and in the page's settings; static/src/connect.js has it too."""


def csrf_matches(environ: dict[str, Any], token: object) -> bool:
    """Tell whether a token, masked or as it stands in the cookie, belongs to the browser that sent a handshake."""
    return _find_fault(environ, token) is None


def check_csrf(environ: dict[str, Any], auth: object) -> None:
    """
    Require the token in what a client brought along to join a namespace.

    With CSRF_USE_SESSIONS the session is loaded, so call it where a query may wait.

    Args:
        environ: The handshake's; its cookies say whose token it has to be.
        auth: The payload of CONNECT.

    Raises:
        CsrfError: If there is no token, or it is another browser's.
    """
    fault = _find_fault(environ, auth.get(TOKEN) if isinstance(auth, dict) else None)
    if fault is not None:
        raise CsrfError(
            f"CSRF verification failed: {fault} Load the page again. Its template needs {{% dtws_sio_scripts %}} and "
            f"its script connect() of dtws_sio/connect.js, or auth with {TOKEN!r}."
        )


def without_token(auth: Any) -> Any:
    """Give `auth` as the page's own code wrote it, for the connect handler; None if that wrote nothing."""
    if not isinstance(auth, dict) or TOKEN not in auth:
        return auth
    return {key: value for key, value in auth.items() if key != TOKEN} or None


def _find_fault(environ: dict[str, Any], token: object) -> str | None:
    request = WSGIRequest({**environ, "CONTENT_TYPE": ""})  # a copy, as it writes into it; a body is not looked at
    request.META.pop(django_settings.CSRF_HEADER_NAME, None)
    if isinstance(token, str):
        request.META[django_settings.CSRF_HEADER_NAME] = token
    if django_settings.CSRF_USE_SESSIONS:
        SessionMiddleware(_no_view).process_request(request)
    try:
        _Csrf(_no_view).check(request)
    except RejectRequest as error:
        return str(error.reason)
    return None


class _Csrf(CsrfViewMiddleware):
    """Django's own comparison of token and secret; where the token came from is all that is different."""

    def check(self, request: HttpRequest) -> None:
        self._check_token(request)  # type: ignore[attr-defined]  # the stubs leave it out

    def _bad_token_message(self, reason: str, token_source: str) -> str:
        return f"CSRF token {reason}."


def _no_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
