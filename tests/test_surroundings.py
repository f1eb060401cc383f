"""Language, time zone and script prefix around handlers; rows S-43 and W-F12."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.urls import get_script_prefix
from django.utils import timezone, translation

from tests.page import Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

    from dtws_sio.server import Server


@pytest.fixture
def around(server: Server) -> None:
    """Register the event `around`, which answers with language, time zone and script prefix."""

    @server.event
    def around(sid: str) -> list[str]:
        return [translation.get_language(), timezone.get_current_timezone_name(), get_script_prefix()]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({}, ["en-us", "America/Chicago", "/"]),
        ({"HTTP_ACCEPT_LANGUAGE": "de-AT,en;q=0.5"}, ["de", "America/Chicago", "/"]),
        ({"HTTP_COOKIE": "django_language=fr"}, ["fr", "America/Chicago", "/"]),
        ({"HTTP_COOKIE": "django_timezone=Europe/Vienna"}, ["en-us", "Europe/Vienna", "/"]),
        ({"HTTP_COOKIE": "django_timezone=../../etc/passwd"}, ["en-us", "America/Chicago", "/"]),
        ({"HTTP_COOKIE": "django_timezone=No/Where"}, ["en-us", "America/Chicago", "/"]),
        ({"SCRIPT_NAME": "/shop"}, ["en-us", "America/Chicago", "/shop/"]),
    ],
)
def test_handlers_run_in_the_surroundings_of_their_client_row_s_43(
    visit: Callable[..., Page], around: None, extra: dict[str, str], expected: list[str]
) -> None:
    assert visit("/", **extra).ask("around") == [expected]


def test_nothing_of_one_client_shows_in_the_next_row_w_f12(visit: Callable[..., Page], around: None) -> None:
    german, other = visit("/", HTTP_ACCEPT_LANGUAGE="de"), visit("/")
    assert [page.ask("around")[0][0] for page in (german, other, german, other)] == ["de", "en-us", "de", "en-us"]


def test_the_connect_and_disconnect_handlers_run_in_them_too(visit: Callable[..., Page], server: Server) -> None:
    got: list[str | None] = []
    server.on("connect", lambda sid, environ: got.append(translation.get_language()))
    server.on("disconnect", lambda sid, reason: got.append(translation.get_language()))
    page = visit("/", HTTP_ACCEPT_LANGUAGE="de")
    page.close()
    assert eventually(lambda: got == ["de", "de"])


def swiss(request: HttpRequest) -> str:
    return "it" if request.META["REMOTE_ADDR"] else "de"


def test_a_project_chooses_language_and_time_zone_itself(make_server: Callable[..., Server]) -> None:
    server = make_server(LANGUAGE=f"{__name__}.swiss", TIME_ZONE=f"{__name__}.none")
    server.on("language", lambda sid: translation.get_language())
    page = Page(server.handle_request, server.eio)
    page.join()
    assert page.ask("language") == ["it"]


def none(request: HttpRequest) -> None:
    return None
