"""
What Django's middleware would have set up around a view: language, time zone and script prefix, for handlers.

They are worked out once, when a client joins, and set in the fresh context of each of its events, where nothing has to
be taken back. Clients for whom all are the defaults cost nothing. Source: rows S-43 and W-F12.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.urls import set_script_prefix
from django.utils import timezone, translation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from django.http import HttpRequest

TIME_ZONE_COOKIE: Final = "django_timezone"
"""The cookie that Django's documentation keeps a visitor's time zone in."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What differs from the project's defaults for one client; None and "/" are those."""

    language: str | None = None
    time_zone: tzinfo | None = None
    script_prefix: str = "/"

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in them; the context in which this is called must end with the call."""
        if self.language is not None:
            translation.activate(self.language)
        if self.time_zone is not None:
            timezone.activate(self.time_zone)
        if self.script_prefix != "/":
            set_script_prefix(self.script_prefix)
        return function(*arguments)


def surroundings(
    request: HttpRequest,
    choose_language: Callable[[HttpRequest], str | None],
    choose_time_zone: Callable[[HttpRequest], str | tzinfo | None],
) -> Surroundings | None:
    """Give a client's surroundings, or None if they are the defaults."""
    found = Surroundings(
        choose_language(request),
        zone(choose_time_zone(request)),
        f"{request.META.get('SCRIPT_NAME', '').rstrip('/')}/",
    )
    return None if found == _DEFAULTS else found


_DEFAULTS: Final = Surroundings()


def language_of(request: HttpRequest) -> str | None:
    """Choose a language as Django's LocaleMiddleware does: by its cookie, then by what the browser prefers."""
    if not django_settings.USE_I18N:
        return None
    language = translation.get_language_from_request(request)
    return None if language == _default_language(django_settings.LANGUAGE_CODE) else language


@lru_cache
def _default_language(code: str) -> str:
    """Give what Django makes of LANGUAGE_CODE: "en" for "en-us", if only that is one of LANGUAGES."""
    try:
        return translation.get_supported_language_variant(code)
    except LookupError:
        return code


def time_zone_of(request: HttpRequest) -> str | None:
    """Choose the time zone that the cookie `django_timezone` names."""
    return request.COOKIES.get(TIME_ZONE_COOKIE)


def zone(chosen: str | tzinfo | None) -> tzinfo | None:
    """Give a time zone; a client's cookie may name one that does not exist, and it then has none."""
    if not isinstance(chosen, str):
        return chosen
    try:
        return ZoneInfo(chosen)
    except (KeyError, OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        return None
