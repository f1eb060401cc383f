"""Tokens that are renewed; rows S-32 and W-F4."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from django.urls import include, path, reverse

from dtws_sio.signals import set_topics
from dtws_sio.signals.tokens import verified
from tests.signals import view_request

if TYPE_CHECKING:
    from collections.abc import Iterator

urlpatterns = [path("live/", include("dtws_sio.signals.urls"))]

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


@pytest.fixture(autouse=True)
def site(people: type[User]) -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[SESSIONS, AUTHENTICATION]):
        yield


@pytest.fixture
def ann(people: type[User]) -> User:
    return people.objects.create_user("ann", is_staff=True)


def browser_of(user: User | None = None, **options: Any) -> Client:
    client = Client(**options)
    if user is not None:
        client.force_login(user)
    return client


def request_of(browser: Client) -> Any:
    return view_request({"HTTP_COOKIE": browser.cookies.output(header="", sep=";")})


def renew(browser: Client, body: Any, **extra: Any) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return browser.post("/live/window/", data, content_type="application/json", **extra)


def test_the_url_has_a_name() -> None:
    assert reverse("dtws_sio:window") == "/live/window/"


@pytest.mark.parametrize("is_known", [True, False])
def test_an_old_token_is_renewed_for_the_same_window_and_topics_row_s_32(ann: User, is_known: bool) -> None:
    browser = browser_of(ann if is_known else None)
    request = request_of(browser)
    old = set_topics(request, "a", "b")
    now = time.time
    with patch("time.time", lambda: now() + 100_000):
        answer = renew(browser, {"window": old})
        assert answer.status_code == 200
        assert "no-store" in answer.headers["Cache-Control"]
        assert verified(answer.json()["window"], request) == verified(old, request, however_old=True)


def refusals(browser: Client, token: Any) -> Any:
    answer = renew(browser, {"window": token})
    return answer.status_code, answer.json()["code"]


def test_a_token_is_renewed_for_its_session_and_user_only(ann: User) -> None:
    hers = browser_of(ann)
    token = set_topics(request_of(hers), "a")
    for browser in (browser_of(ann), browser_of(), browser_of(User.objects.create_user("bob"))):
        assert refusals(browser, token) == (403, "token_invalid")
    hers.logout()
    assert refusals(hers, token) == (403, "token_invalid")


def test_a_token_is_not_renewed_after_its_user_lost_a_right(ann: User) -> None:
    browser = browser_of(ann)
    token = set_topics(request_of(browser), "a")
    ann.is_staff = False
    ann.save()
    assert refusals(browser, token) == (403, "token_invalid")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", [], None, {}, {"window": None}, {"window": 5}, {"window": "x"}])
def test_what_is_no_token_is_refused(body: Any) -> None:
    answer = renew(browser_of(), body)
    assert (answer.status_code, answer.json()["code"]) == (403, "token_invalid")


def test_it_is_for_posts_with_a_csrf_token_only(ann: User) -> None:
    browser = browser_of(ann, enforce_csrf_checks=True)
    token = set_topics(request_of(browser), "a")
    assert browser.get("/live/window/").status_code == 405
    assert renew(browser, {"window": token}).status_code == 403
    browser.cookies["csrftoken"] = secret = "c" * 32
    assert renew(browser, {"window": token}, HTTP_X_CSRFTOKEN=secret).status_code == 200
