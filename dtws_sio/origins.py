"""
Whose pages may connect.

A browser sends a site's cookies along whichever page opens the connection, so the page's origin is checked, by the
rules that Django's CSRF protection has: the host must be one of `ALLOWED_HOSTS` and the same as the request's, or the
origin one of `CSRF_TRUSTED_ORIGINS`. Forwarding headers count only where Django trusts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.utils.http import is_same_domain

from dtws_sio.security import SparingLog, shown

if TYPE_CHECKING:
    from collections.abc import Callable

Allowed = tuple[str, ...] | str | None
"""The setting ALLOWED_ORIGINS: None for Django's rules, "*" for any, or a list of origins."""

CHECKED: Final = "dtws_sio.origin_checked"
"""The key that `dtws_sio.gate` leaves in the environ of a request that it lets through; no header can set it."""

OTHER_SITES: Final = ("cross-site", "same-site")
"""Values of Sec-Fetch-Site. Source: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header."""


@dataclass(frozen=True)
class Foreign:
    """
    A request of a page that may not connect.

    Attributes:
        page: Which page it is, as far as the request says.
        accepted: The origins whose pages may.
        remedy: The setting to change, or what else helps.
    """

    page: str
    accepted: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        accepted = ", ".join(map(shown, self.accepted)) or "none"
        return f"refused {self.page}; accepted origins: {accepted}; {self.remedy}"


def find_foreign(origin: str | None, fetch_site: str | None, *, allowed: Allowed, own: str | None) -> Foreign | None:
    """
    Tell whether a request comes from a page that may not connect; None if it may.

    A request without Origin comes from the site itself or from no browser, unless Sec-Fetch-Site says otherwise:
    links, images and scripts of other sites bring the user's cookies without naming their origin.

    Args:
        origin: The header Origin.
        fetch_site: The header Sec-Fetch-Site.
        allowed: The setting ALLOWED_ORIGINS.
        own: The site's own origin, as the request names it; None if its Host is not one of ALLOWED_HOSTS.

    Source: rows D-48, W-D1 and W-F1.
    """
    if allowed == "*":
        return None
    if origin is None:
        if fetch_site not in OTHER_SITES:
            return None
    elif allowed is None and origin == own:
        return None  # most requests
    accepted = tuple(allowed) if allowed is not None else _by_djangos_rules(own)
    if origin is None:
        page = f"a page of another site, which names no origin (Sec-Fetch-Site is {fetch_site})"
    elif any(_matches(origin, pattern) for pattern in accepted):
        return None
    else:
        page = f"a page of the origin {shown(origin)}"
    return Foreign(page, accepted, _remedy(origin, own, "CSRF_TRUSTED_ORIGINS" if allowed is None else _OUR_SETTING))


_OUR_SETTING: Final = "DTWS_SIO['ALLOWED_ORIGINS']"


def _by_djangos_rules(own: str | None) -> tuple[str, ...]:
    return (*([] if own is None else [own]), *django_settings.CSRF_TRUSTED_ORIGINS)


def _matches(origin: str, pattern: str) -> bool:
    """Compare as CSRF_TRUSTED_ORIGINS does: exactly, or any subdomain of `https://*.example.com`."""
    if "*" not in pattern:
        return origin == pattern
    try:
        wanted, given = urlsplit(pattern), urlsplit(origin)
    except ValueError:  # such as "https://["
        return False
    return wanted.scheme == given.scheme and is_same_domain(given.netloc, wanted.netloc.lstrip("*"))


def _remedy(origin: str | None, own: str | None, setting: str) -> str:
    if origin is None:
        return f"Socket.IO clients name their origin; {setting} says whose pages may connect"
    if origin == "null":
        return f"this page is sandboxed or a file: serve it from an origin, and add that to {setting} if it is another"
    remedy = f"add it to {setting} if it is yours"
    if setting == _OUR_SETTING:
        return remedy
    if own is None:
        return f"the request's Host is not one of ALLOWED_HOSTS; {remedy}"
    if origin == "https://" + own.removeprefix("http://"):
        return f"if a proxy ends TLS, set SECURE_PROXY_SSL_HEADER; else {remedy}"
    return remedy


class Handshake(HttpRequest):
    """As much of a request as its scheme and host need; a whole one would be made for every poll."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.META = environ

    def _get_scheme(self) -> str:
        return str(self.META.get("wsgi.url_scheme"))

    def origin(self) -> str:
        """
        Give the site's own origin, as this request names it.

        Raises:
            DisallowedHost: If its Host is not one of ALLOWED_HOSTS.
        """
        return f"{self.scheme}://{self.get_host()}"


def checker(allowed: Allowed) -> Callable[[str | None, dict[str, Any]], bool]:
    """Make the function that python-engineio asks about each origin that `dtws_sio.gate` has not seen."""
    log = SparingLog()

    def is_allowed(origin: str | None, environ: dict[str, Any]) -> bool:
        if CHECKED in environ:
            return True
        fetch_site = environ.get("HTTP_SEC_FETCH_SITE")
        foreign = find_foreign(origin, fetch_site, allowed=allowed, own=_own_origin(environ))
        if foreign is not None:
            log.write(str(foreign))
        return foreign is None

    return is_allowed


def _own_origin(environ: dict[str, Any]) -> str | None:
    try:
        return Handshake(environ).origin()
    except DisallowedHost:
        return None
