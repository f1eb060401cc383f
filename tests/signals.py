"""What tests of signals share: requests of views, and windows that trigger and hear."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user
from django.test import RequestFactory

from tests.page import EVENT

if TYPE_CHECKING:
    from django.http import HttpRequest

    from tests.page import Page


def view_request(cookies: dict[str, str] | None = None, path: str = "/", **extra: Any) -> HttpRequest:
    """Make the request of a view, after Django's middleware for sessions and users has seen it."""
    request = RequestFactory().get(path, **{**(cookies or {}), **extra})
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    request.user = get_user(request)  # type: ignore[assignment]
    return request


def call(page: Page, name: str, /, **opts: Any) -> dict[str, Any]:
    """Trigger a signal as a page does, and give what it is told."""
    [answer] = page.ask("signal", {"signal": name, "opts": opts, "id": "1"}, namespace="/signals")
    assert isinstance(answer, dict)
    return answer


def heard(page: Page) -> list[tuple[str, Any]]:
    """Give the signals that a window got so far; a call that is answered comes after all that were sent before."""
    page.emit("signal", {"signal": "no.such"}, namespace="/signals", id=77)
    found = []
    while (packet := page.next()).type == EVENT:
        event, message = packet.data
        assert event == "signal"
        assert set(message) == {"signal", "opts", "id"}
        found.append((message["signal"], message["opts"]))
    assert packet.id == 77
    return found
