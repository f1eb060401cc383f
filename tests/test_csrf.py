"""Django's CSRF token, asked of a client that joins."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.template import engines
from django.test import RequestFactory, override_settings

from dtws_sio.csrf import check_csrf, csrf_matches, without_token
from dtws_sio.exceptions import CsrfError, EventError

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"
OTHER = "z" * 32


def handshake(cookie: str | None = f"csrftoken={SECRET}", **environ: Any) -> dict[str, Any]:
    cookies = {} if cookie is None else {"HTTP_COOKIE": cookie}
    return {**RequestFactory(**cookies).get("/socket.io/").environ, **environ}


def masked(secret: str) -> str:
    """Give what Django would render for a browser with this cookie."""
    request = HttpRequest()
    request.META["CSRF_COOKIE"] = secret
    return get_token(request)


GOOD: dict[str, str] = {"masked": masked(SECRET), "masked otherwise": masked(SECRET), "as in the cookie": SECRET}

BAD: dict[str, tuple[Any, str]] = {
    "of another browser": (masked(OTHER), "CSRF token incorrect."),
    "another secret": (OTHER, "CSRF token incorrect."),
    "turned round": (masked(SECRET)[::-1], "CSRF token incorrect."),
    "missing": (None, "CSRF token missing."),
    "empty": ("", "CSRF token has incorrect length."),
    "short": (SECRET[:-1], "CSRF token has incorrect length."),
    "long": (masked(SECRET) * 1000, "CSRF token has incorrect length."),
    "of odd characters": ("\u00e9\n" * 16, "CSRF token has invalid characters."),
    "bytes": (SECRET.encode(), "CSRF token missing."),
    "a list": ([SECRET], "CSRF token missing."),
    "a number": (7, "CSRF token missing."),
    "true": (True, "CSRF token missing."),
}


@pytest.mark.parametrize("token", GOOD.values(), ids=GOOD)
def test_the_token_of_the_browsers_own_page_is_accepted(token: str) -> None:
    assert csrf_matches(handshake(), token)
    check_csrf(handshake(), {"csrf_token": token, "room": 1})


@pytest.mark.parametrize(("token", "reason"), BAD.values(), ids=BAD)
def test_any_other_token_is_refused_with_the_reason_and_the_remedy(token: Any, reason: str) -> None:
    assert not csrf_matches(handshake(), token)
    with pytest.raises(CsrfError, match=re.escape(reason)) as caught:
        check_csrf(handshake(), {"csrf_token": token})
    assert isinstance(caught.value, EventError)
    assert caught.value.code == "csrf_failed"
    assert "dtws_sio_scripts" in caught.value.message
    assert "'csrf_token'" in caught.value.message


@pytest.mark.parametrize("auth", [None, {}, [SECRET], SECRET, {"csrftoken": SECRET}, {"token": SECRET}], ids=str)
def test_an_auth_without_a_token_is_refused(auth: Any) -> None:
    with pytest.raises(CsrfError, match=r"token missing\."):
        check_csrf(handshake(), auth)


@pytest.mark.parametrize(
    ("cookie", "reason"),
    [
        (None, "CSRF cookie not set."),
        ("sessionid=a", "CSRF cookie not set."),
        ("csrftoken=", "CSRF cookie has incorrect length."),
        (f"csrftoken={SECRET}=", "CSRF cookie has incorrect length."),
        ("csrftoken=" + "-" * 32, "CSRF cookie has invalid characters."),
        (f"csrftoken={OTHER}", "CSRF token incorrect."),
    ],
)
def test_a_browser_without_the_cookie_is_refused(cookie: str | None, reason: str) -> None:
    assert not csrf_matches(handshake(cookie), masked(SECRET))
    with pytest.raises(CsrfError, match=re.escape(reason)):
        check_csrf(handshake(cookie), {"csrf_token": masked(SECRET)})


def test_a_token_in_a_header_or_in_the_query_does_not_count() -> None:
    elsewhere = handshake(HTTP_X_CSRFTOKEN=SECRET, QUERY_STRING=f"csrf_token={SECRET}&csrfmiddlewaretoken={SECRET}")
    assert not csrf_matches(elsewhere, None)
    assert csrf_matches({**elsewhere, "HTTP_X_CSRFTOKEN": OTHER}, SECRET)


def test_the_handshake_stays_as_it_was_whatever_it_brings() -> None:
    environ = handshake(CONTENT_TYPE="text/plain; charset*=bogus''x")  # for which Django's request raises
    before = dict(environ)
    assert csrf_matches(environ, SECRET)
    assert not csrf_matches(environ, OTHER)
    assert environ == before


def test_the_names_of_djangos_settings_hold() -> None:
    with override_settings(CSRF_COOKIE_NAME="mine", CSRF_HEADER_NAME="HTTP_X_MINE"):
        assert csrf_matches(handshake(f"mine={SECRET}"), masked(SECRET))
        assert not csrf_matches(handshake(), masked(SECRET))


@pytest.fixture
def session() -> Iterator[str]:
    """The cookie of a session that holds the secret, as with CSRF_USE_SESSIONS."""
    engine = "django.contrib.sessions.backends.signed_cookies"
    with override_settings(CSRF_USE_SESSIONS=True, SESSION_ENGINE=engine):
        store = import_module(engine).SessionStore()
        store["_csrftoken"] = SECRET
        store.save()
        yield f"{django_settings.SESSION_COOKIE_NAME}={store.session_key}"


def test_the_secret_of_the_session_counts_where_django_keeps_it_there(session: str) -> None:
    assert csrf_matches(handshake(session), masked(SECRET))
    assert not csrf_matches(handshake(session), masked(OTHER))
    assert not csrf_matches(handshake(), SECRET)  # a cookie alone is none


def test_what_the_tag_hands_a_page_is_accepted_from_its_browser() -> None:
    """The whole way: Django's middleware sets the cookie of the response with the page."""

    def view(request: HttpRequest) -> HttpResponse:
        template = engines["django"].from_string("{% load dtws_sio %}{% dtws_sio_scripts %}")
        return HttpResponse(template.render({}, request))

    with override_settings(DTWS_SIO={"CSRF": True}):
        response = CsrfViewMiddleware(view)(RequestFactory().get("/"))
    assert isinstance(response, HttpResponse)
    block = re.search(r'type="application/json">(.*?)</script>', response.content.decode())
    assert block
    token = json.loads(block[1])["csrf_token"]
    cookie = response.cookies["csrftoken"]
    assert token != cookie.value
    check_csrf(handshake(f"csrftoken={cookie.value}"), {"csrf_token": token})


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (None, None),
        ({}, {}),
        ({"csrf_token": SECRET}, None),
        ({"csrf_token": SECRET, "room": 1}, {"room": 1}),
        ({"room": 1}, {"room": 1}),
        (["csrf_token"], ["csrf_token"]),
    ],
    ids=str,
)
def test_the_handler_sees_auth_as_the_page_wrote_it(auth: Any, expected: Any) -> None:
    assert without_token(auth) == expected
