"""Whose pages may connect; rows D-48, W-D1 and W-F1, pitfall 11."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.test import RequestFactory, override_settings

from dtws_sio import origins
from dtws_sio.origins import find_foreign
from tests.page import request

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server


def is_allowed(allowed: tuple[str, ...] | str | None, origin: str | None, **environ: Any) -> bool:
    handshake = RequestFactory(HTTP_HOST="testserver").get("/socket.io/", **environ)
    return origins.checker(allowed)(origin, handshake.environ)


@pytest.mark.parametrize(
    ("origin", "environ", "expected"),
    [
        ("http://testserver", {}, True),
        (None, {}, True),
        ("http://example.com", {"HTTP_HOST": "example.com"}, True),
        ("http://example.com:81", {"HTTP_HOST": "example.com:81"}, True),
        ("https://testserver", {"wsgi.url_scheme": "https"}, True),
        ("http://evil.example", {}, False),
        ("http://example.com", {}, False),
        ("https://testserver", {}, False),
        ("http://testserver:81", {}, False),
        ("http://testserver.evil.example", {}, False),
        ("null", {}, False),
        ("", {}, False),
        ("http://evil.example", {"HTTP_HOST": "evil.example"}, False),
        ("http://evil.example", {"HTTP_X_FORWARDED_HOST": "evil.example"}, False),
        ("https://testserver", {"HTTP_X_FORWARDED_PROTO": "https"}, False),
    ],
    ids=lambda value: str(value),
)
def test_djangos_rules_say_whose_pages_may_connect(origin: str | None, environ: dict[str, str], expected: bool) -> None:
    """A page of another site must not get in with the user's cookies; a client that is no browser names no origin."""
    assert is_allowed(None, origin, **environ) is expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://shop.com", True),
        ("https://a.wild.com", True),
        ("https://a.b.wild.com:8443", False),
        ("https://a.b.wild.com", True),
        ("http://shop.com", False),
        ("https://www.shop.com", False),
        ("http://a.wild.com", False),
        ("https://wild.com.evil.example", False),
        ("https://evilwild.com", False),
        ("https://[", False),
        ("https://[::1", False),
        ("http://testserver", True),
    ],
)
def test_csrf_trusted_origins_may_connect(origin: str, expected: bool) -> None:
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://shop.com", "https://*.wild.com"]):
        assert is_allowed(None, origin) is expected


def test_forwarding_headers_count_where_django_trusts_them() -> None:
    forwarded = {"HTTP_X_FORWARDED_HOST": "example.com", "HTTP_X_FORWARDED_PROTO": "https"}
    with override_settings(USE_X_FORWARDED_HOST=True, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        assert is_allowed(None, "https://example.com", **forwarded)
        assert not is_allowed(None, "http://testserver", **forwarded)
    assert not is_allowed(None, "https://example.com", **forwarded)


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        ("*", "http://evil.example", True),
        (("https://a.com",), "https://a.com", True),
        (("https://a.com", "https://*.b.com"), "https://x.b.com", True),
        (("https://a.com",), "http://testserver", False),
        (("https://a.com",), "https://b.com", False),
        ((), "http://testserver", False),
        ((), None, True),
    ],
)
def test_the_setting_takes_the_place_of_djangos_rules(allowed: Any, origin: str | None, expected: bool) -> None:
    assert is_allowed(allowed, origin) is expected


@pytest.mark.parametrize(
    ("allowed", "environ", "named"),
    [
        (None, {}, ["'http://evil.example'", "'http://testserver'", "CSRF_TRUSTED_ORIGINS"]),
        (None, {"HTTP_HOST": "evil.example"}, ["'http://evil.example'", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS"]),
        (("https://a.com",), {}, ["'http://evil.example'", "'https://a.com'", "DTWS_SIO['ALLOWED_ORIGINS']"]),
    ],
)
def test_a_refusal_names_the_origin_those_accepted_and_the_setting(
    allowed: Any, environ: dict[str, str], named: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "dtws_sio.security"):
        assert not is_allowed(allowed, "http://evil.example", **environ)
    (record,) = (each for each in caplog.records if each.name == "dtws_sio.security")
    assert all(text in record.getMessage() for text in named)


def test_a_flood_from_one_origin_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    ask = origins.checker(None)
    environ = RequestFactory(HTTP_HOST="testserver").get("/socket.io/").environ
    assert not any(ask("http://evil.example", environ) for _ in range(1000))
    assert len(caplog.records) == 1


def test_what_the_gate_has_seen_is_not_looked_at_again() -> None:
    assert is_allowed((), "http://evil.example", **{origins.CHECKED: True})


@pytest.mark.parametrize(
    ("fetch_site", "foreign"),
    [
        (None, False),
        ("same-origin", False),
        ("none", False),
        ("", False),
        ("cross-site", True),
        ("same-site", True),
    ],
)
@pytest.mark.parametrize("allowed", [None, (), ("https://a.com",), "*"], ids=str)
def test_a_page_that_names_no_origin_is_told_by_sec_fetch_site(
    allowed: Any, fetch_site: str | None, *, foreign: bool
) -> None:
    found = find_foreign(None, fetch_site, allowed=allowed, own="https://testserver")
    assert (found is not None) is (foreign and allowed != "*")


@pytest.mark.parametrize("fetch_site", [None, "same-origin", "none", "same-site", "cross-site"])
@pytest.mark.parametrize(
    ("origin", "foreign"), [("https://testserver", False), ("null", True), ("", True), ("https://evil.example", True)]
)
def test_an_origin_speaks_for_itself(origin: str, fetch_site: str | None, *, foreign: bool) -> None:
    assert (find_foreign(origin, fetch_site, allowed=None, own="https://testserver") is not None) is foreign


REMEDIES: dict[str, tuple[str | None, str | None, str]] = {
    "a page of another site": ("https://evil.example", "https://testserver", "add it to CSRF_TRUSTED_ORIGINS"),
    "TLS ends at a proxy": ("https://testserver", "http://testserver", "set SECURE_PROXY_SSL_HEADER"),
    "the host is not allowed": ("https://testserver", None, "ALLOWED_HOSTS"),
    "a file": ("null", "https://testserver", "sandboxed or a file"),
    "an image": (None, "https://testserver", "CSRF_TRUSTED_ORIGINS says whose pages"),
}


@pytest.mark.parametrize(("origin", "own", "remedy"), REMEDIES.values(), ids=REMEDIES)
def test_the_remedy_fits_what_is_wrong(origin: str | None, own: str | None, remedy: str) -> None:
    found = find_foreign(origin, "cross-site", allowed=None, own=own)
    assert found is not None
    assert remedy in str(found)


def handshake(server: Server, origin: str | None) -> str:
    headers = {} if origin is None else {"HTTP_ORIGIN": origin}
    return request(server.handle_request, QUERY_STRING="EIO=4&transport=polling", **headers).status.partition(" ")[0]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://testserver", "200"), (None, "200"), ("http://evil.example", "400"), ("https://[", "400")],
)
def test_the_server_asks_before_it_opens_a_session(server: Server, origin: str | None, status: str) -> None:
    """Row W-D1."""
    assert handshake(server, origin) == status
    assert bool(server.eio.sockets) is (status == "200")


def test_the_server_heeds_the_setting(make_server: Callable[..., Server]) -> None:
    server = make_server(ALLOWED_ORIGINS=["https://a.com"])
    assert [handshake(server, origin) for origin in ("https://a.com", "http://testserver")] == ["200", "400"]
