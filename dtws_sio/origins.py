"""
Whose pages may connect.

A browser sends a site's cookies along whichever page opens the connection, so the page's origin is checked, by the
rules that Django's CSRF protection has: the host must be one of `ALLOWED_HOSTS` and the same as the request's, or the
origin one of `CSRF_TRUSTED_ORIGINS`. Forwarding headers count only where Django trusts them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.utils.http import is_same_domain

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("dtws_sio.origins")


def checker(allowed: tuple[str, ...] | str | None) -> Callable[[str | None, dict[str, Any]], bool]:
    """
    Make the function that python-engineio asks about each origin.

    Args:
        allowed: The setting ALLOWED_ORIGINS: None for Django's rules, "*" for any, or a list of origins.
    """

    def is_allowed(origin: str | None, environ: dict[str, Any]) -> bool:
        if origin is None or allowed == "*":
            return True
        accepted = _derived(environ) if allowed is None else list(allowed)
        if any(_matches(origin, pattern) for pattern in accepted):
            return True
        logger.warning(
            "refused a connection from a page of the origin %r; accepted are %s; add it to %s if it is yours",
            origin,
            ", ".join(map(repr, accepted)) or "none, as the request's Host is not one of ALLOWED_HOSTS",
            "CSRF_TRUSTED_ORIGINS" if allowed is None else "DTWS_SIO['ALLOWED_ORIGINS']",
        )
        return False

    return is_allowed


def _derived(environ: dict[str, Any]) -> list[str]:
    request = _Handshake(environ)
    try:
        own = [f"{request.scheme}://{request.get_host()}"]
    except DisallowedHost:
        own = []
    return own + list(django_settings.CSRF_TRUSTED_ORIGINS)


class _Handshake(HttpRequest):
    """As much of a request as its scheme and host need; a whole one would be made for every connection."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.META = environ

    def _get_scheme(self) -> str:
        return str(self.META.get("wsgi.url_scheme"))


def _matches(origin: str, pattern: str) -> bool:
    """Compare as CSRF_TRUSTED_ORIGINS does: exactly, or any subdomain of `https://*.example.com`."""
    if "*" not in pattern:
        return origin == pattern
    try:
        wanted, given = urlsplit(pattern), urlsplit(origin)
    except ValueError:  # such as "https://["
        return False
    return wanted.scheme == given.scheme and is_same_domain(given.netloc, wanted.netloc.lstrip("*"))
