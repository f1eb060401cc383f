"""A strict Content-Security-Policy, to show that pages with dtws_sio need no exception from one."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Only this host's files, and the inline scripts that carry the nonce. 'self' covers its WebSocket as well."""


class ContentSecurityPolicyMiddleware:
    """
    Send the policy with every page, and keep its nonce as `request.csp_nonce` for the templates.

    Django 6.0 brings a middleware of its own for this (django.middleware.csp), which can take the place of this one.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        nonce = secrets.token_urlsafe(16)
        request.csp_nonce = nonce  # type: ignore[attr-defined]
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY.format(nonce=nonce))
        return response
