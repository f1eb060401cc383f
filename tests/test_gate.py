"""What a request has to pass before an engine sees it; rows W-D1 and W-F1, pitfalls 11 and 12."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpResponse
from django.middleware.security import SecurityMiddleware
from django.test import RequestFactory, override_settings

from dtws_sio.gate import Gate

if TYPE_CHECKING:
    from dtws_sio.engine.answers import Answer

REQUESTS: dict[str, dict[str, str]] = {
    "polling": {"REQUEST_METHOD": "GET", "QUERY_STRING": "EIO=4&transport=polling"},
    "post": {"REQUEST_METHOD": "POST", "QUERY_STRING": "EIO=4&transport=polling&sid=a"},
    "preflight": {
        "REQUEST_METHOD": "OPTIONS",
        "QUERY_STRING": "EIO=4&transport=polling",
        "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST",
    },
    "websocket": {
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": "EIO=4&transport=websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_UPGRADE": "WebSocket",
    },
}


@pytest.fixture(params=REQUESTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(kind: str = "polling", /, gate: Gate | None = None, **environ: Any) -> Answer | None:
    usual = RequestFactory(HTTP_HOST="testserver").get("/socket.io/").environ
    return (gate or Gate()).answer({**usual, **REQUESTS[kind], **environ})


def message(answer: Answer | None) -> str:
    assert answer is not None
    assert ("Content-Type", "application/json") in answer.headers
    said = json.loads(answer.body)
    assert set(said) == {"code", "message"}
    return str(said["message"])


# Origins

FOREIGN: dict[str, dict[str, str]] = {
    "foreign": {"HTTP_ORIGIN": "https://evil.example"},
    "same-origin, so it says": {"HTTP_ORIGIN": "https://evil.example", "HTTP_SEC_FETCH_SITE": "same-origin"},
    "null": {"HTTP_ORIGIN": "null"},
    "null, and same-origin": {"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "same-origin"},
    "null, and cross-site": {"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "cross-site"},
    "empty": {"HTTP_ORIGIN": ""},
    "two": {"HTTP_ORIGIN": "http://testserver,https://evil.example"},
    "a link of another site": {"HTTP_SEC_FETCH_SITE": "cross-site"},
    "a link of another subdomain": {"HTTP_SEC_FETCH_SITE": "same-site"},
    "forwarded": {"HTTP_ORIGIN": "https://evil.example", "HTTP_X_FORWARDED_HOST": "evil.example"},
}

OWN: dict[str, dict[str, str]] = {
    "none": {},
    "same origin": {"HTTP_ORIGIN": "http://testserver", "HTTP_SEC_FETCH_SITE": "same-origin"},
    "without Sec-Fetch-Site": {"HTTP_ORIGIN": "http://testserver"},
    "same-origin GET": {"HTTP_SEC_FETCH_SITE": "same-origin"},
    "typed by the user": {"HTTP_SEC_FETCH_SITE": "none"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_page_is_refused_with_every_kind_of_request(kind: str, headers: dict[str, str]) -> None:
    answer = ask(kind, **headers)
    assert answer is not None
    assert (answer.status, json.loads(answer.body)) == ("403 Forbidden", {"code": 4, "message": "Origin not allowed"})
    assert [name for name, _ in answer.headers] == ["Content-Type"]  # no CORS header among them


@pytest.mark.parametrize("headers", OWN.values(), ids=OWN)
def test_a_page_of_the_site_and_a_client_without_a_page_pass(kind: str, headers: dict[str, str]) -> None:
    assert ask(kind, **headers) is None


@pytest.mark.parametrize("headers", [*FOREIGN.values(), *OWN.values()], ids=[*FOREIGN, *OWN])
def test_everybody_passes_where_the_setting_says_so(kind: str, headers: dict[str, str]) -> None:
    with override_settings(DTWS_SIO={"ALLOWED_ORIGINS": "*"}):
        assert ask(kind, **headers) is None


@pytest.mark.parametrize("allowed", [{}, {"ALLOWED_ORIGINS": ["https://shop.com"]}], ids=["django's", "ours"])
def test_a_trusted_page_passes_by_its_origin_and_not_by_saying_nothing(kind: str, allowed: dict[str, Any]) -> None:
    with override_settings(CSRF_TRUSTED_ORIGINS=["https://shop.com"], DTWS_SIO=allowed):
        assert ask(kind, HTTP_ORIGIN="https://shop.com", HTTP_SEC_FETCH_SITE="cross-site") is None
        assert ask(kind, HTTP_SEC_FETCH_SITE="cross-site") is not None


def test_with_debug_the_answer_names_the_origin_those_accepted_and_the_setting(kind: str) -> None:
    with override_settings(DEBUG=True, CSRF_TRUSTED_ORIGINS=["https://shop.com"]):
        said = message(ask(kind, HTTP_ORIGIN="https://evil.example"))
    named = ("'https://evil.example'", "'http://testserver'", "'https://shop.com'", "CSRF_TRUSTED_ORIGINS")
    assert all(each in said for each in named), said


def test_the_log_names_them_once_a_minute_for_each_origin(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    for _ in range(500):
        for kind in REQUESTS:
            ask(kind, gate=gate, HTTP_ORIGIN="https://evil.example")
            ask(kind, gate=gate, HTTP_ORIGIN="https://worse.example")
    records = [record for record in caplog.records if record.name == "dtws_sio.security"]
    assert [record.levelno for record in records] == [logging.WARNING] * 2
    for record, origin in zip(records, ("'https://evil.example'", "'https://worse.example'"), strict=True):
        assert all(each in record.getMessage() for each in (origin, "'http://testserver'", "CSRF_TRUSTED_ORIGINS"))


@pytest.mark.parametrize("origin", ["http://a\r\n[20/Nov] forged", "\x1b[2J\x00", "\x85http://a", "a" * 8000])
def test_a_header_cannot_forge_a_line_of_the_log_nor_fill_it(origin: str, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(HTTP_ORIGIN=origin) is not None
    (text,) = caplog.messages
    assert text.isprintable()
    assert len(text) < 1000


# Hosts

BAD_HOSTS = ["evil.example", "", "testserver@evil.example", "testserver:port", "a\r\nb", "[::1", "a" * 8000]


@pytest.mark.parametrize("origin", [{}, {"HTTP_ORIGIN": "http://testserver"}], ids=["without Origin", "with Origin"])
@pytest.mark.parametrize("host", BAD_HOSTS, ids=lambda host: str(host)[:24])
def test_a_host_that_is_not_allowed_gets_400_and_is_logged_as_django_does(
    kind: str, host: str, origin: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(kind, HTTP_HOST=host, **origin)
    assert answer is not None
    assert (answer.status, message(answer)) == ("400 Bad Request", "Bad request")
    (record,) = caplog.records
    found: Any = record
    assert (record.name, record.levelname) == ("django.security.DisallowedHost", "ERROR")
    assert record.getMessage().startswith(f"Invalid HTTP_HOST header: {host!r}"[:900])
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) <= 1000
    assert (found.status_code, found.request.path) == (400, "/socket.io/")


def test_a_host_that_is_not_allowed_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    for _ in range(1000):
        ask(gate=gate, HTTP_HOST="evil.example")
    assert len(caplog.records) == 1


def test_the_host_counts_also_where_any_origin_does() -> None:
    with override_settings(DTWS_SIO={"ALLOWED_ORIGINS": "*"}):
        assert message(ask(HTTP_HOST="evil.example", HTTP_ORIGIN="http://evil.example")) == "Bad request"


def test_with_debug_the_answer_says_what_to_add_to_the_setting() -> None:
    with override_settings(DEBUG=True):
        said = message(ask(HTTP_HOST="mine.example:81"))
    assert "'mine.example:81'" in said
    assert "'mine.example' to ALLOWED_HOSTS" in said


@pytest.mark.parametrize(
    ("host", "passes"), [("localhost:8000", True), ("a.localhost", True), ("[::1]:8000", True), ("testserver", False)]
)
def test_without_allowed_hosts_debug_lets_localhost_in(host: str, *, passes: bool) -> None:
    with override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        assert (ask(HTTP_HOST=host) is None) is passes
    with override_settings(DEBUG=False, ALLOWED_HOSTS=[]):
        assert ask(HTTP_HOST=host) is not None


def test_a_forwarded_host_counts_where_django_trusts_it() -> None:
    forwarded = {"HTTP_HOST": "127.0.0.1:81", "HTTP_X_FORWARDED_HOST": "example.com"}
    assert ask(**forwarded) is not None
    with override_settings(USE_X_FORWARDED_HOST=True):
        assert ask(**forwarded) is None


# https

SECURITY = "django.middleware.security.SecurityMiddleware"
REDIRECTS = {"SECURE_SSL_REDIRECT": True, "MIDDLEWARE": ["django.middleware.common.CommonMiddleware", SECURITY]}


class OwnMiddleware(SecurityMiddleware):
    """A project's own variety."""


class UnusedMiddleware(SecurityMiddleware):
    """One that steps back."""

    def __init__(self, get_response: Any) -> None:
        raise MiddlewareNotUsed


def function_middleware(get_response: Any) -> Any:
    """A middleware that is no class."""
    return lambda request: HttpResponse()


@pytest.mark.parametrize("name", ["polling", "post", "preflight"])
@pytest.mark.parametrize("middleware", [SECURITY, f"{__name__}.OwnMiddleware"])
def test_a_request_without_tls_is_sent_to_https(name: str, middleware: str) -> None:
    with override_settings(SECURE_SSL_REDIRECT=True, MIDDLEWARE=[middleware]):
        answer = ask(name, SCRIPT_NAME="/shop")
    assert answer is not None
    assert answer.status == "301 Moved Permanently"
    location = dict(answer.headers)["Location"]
    assert location == f"https://testserver/shop/socket.io/?{REQUESTS[name]['QUERY_STRING']}"


@pytest.mark.parametrize("debug", [False, True])
def test_a_websocket_without_tls_is_refused_as_browsers_follow_no_redirect_there(
    caplog: pytest.LogCaptureFixture, *, debug: bool
) -> None:
    with override_settings(**REDIRECTS, DEBUG=debug):
        answer = ask("websocket")
    assert answer is not None
    assert answer.status == "403 Forbidden"
    assert "https" in message(answer)
    assert ("SECURE_PROXY_SSL_HEADER" in message(answer)) is debug
    (record,) = caplog.records
    assert record.name == "dtws_sio.security"
    assert all(name in record.getMessage() for name in ("SECURE_SSL_REDIRECT", "SECURE_PROXY_SSL_HEADER"))


@pytest.mark.parametrize("secure", [{"wsgi.url_scheme": "https"}, {"HTTP_X_FORWARDED_PROTO": "https"}], ids=str)
def test_with_tls_nothing_is_sent_anywhere(kind: str, secure: dict[str, str]) -> None:
    with override_settings(**REDIRECTS, SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https")):
        assert ask(kind, **{"wsgi.url_scheme": "http", **secure, "HTTP_ORIGIN": "https://testserver"}) is None


def test_a_proxys_word_about_tls_counts_only_where_django_trusts_it() -> None:
    with override_settings(**REDIRECTS):
        answer = ask(HTTP_X_FORWARDED_PROTO="https")
    assert answer is not None
    assert answer.status == "301 Moved Permanently"


NOT_REDIRECTED: dict[str, dict[str, Any]] = {
    "the setting is off": {"MIDDLEWARE": [SECURITY]},
    "the middleware is missing": {"SECURE_SSL_REDIRECT": True, "MIDDLEWARE": []},
    "the middleware steps back": {"SECURE_SSL_REDIRECT": True, "MIDDLEWARE": [f"{__name__}.UnusedMiddleware"]},
    "another kind of middleware": {"SECURE_SSL_REDIRECT": True, "MIDDLEWARE": [f"{__name__}.function_middleware"]},
    "the path is exempt": {**REDIRECTS, "SECURE_REDIRECT_EXEMPT": [r"^socket\.io/$"]},
}


@pytest.mark.parametrize("settings", NOT_REDIRECTED.values(), ids=NOT_REDIRECTED)
def test_where_djangos_middleware_would_not_redirect_nothing_is_done(kind: str, settings: dict[str, Any]) -> None:
    with override_settings(**settings):
        assert ask(kind) is None


def test_the_host_of_the_setting_is_redirected_to_whatever_host_was_asked_for() -> None:
    with override_settings(**REDIRECTS, SECURE_SSL_HOST="secure.example"):
        answer = ask(HTTP_HOST="evil.example")
    assert answer is not None
    assert dict(answer.headers)["Location"].startswith("https://secure.example/socket.io/?")


def test_no_request_is_redirected_to_a_host_that_is_not_allowed(kind: str) -> None:
    with override_settings(**REDIRECTS):
        answer = ask(kind, HTTP_HOST="evil.example")
    assert answer is not None
    assert answer.status == "400 Bad Request"


def test_what_only_forms_need_cannot_break_it() -> None:
    odd = {"CONTENT_TYPE": "text/plain; charset*=bogus''x"}  # for which Django's request raises
    with override_settings(**REDIRECTS):
        assert ask(**odd) is not None
    assert ask(HTTP_HOST="evil.example", **odd) is not None


# What it leaves behind


@pytest.mark.parametrize("name", ["HTTP_DTWS_SIO_ORIGIN_CHECKED", "HTTP_DTWS_SIO.ORIGIN_CHECKED"])
def test_the_environ_stays_as_it_was_but_for_a_mark(name: str) -> None:
    environ = RequestFactory(HTTP_HOST="testserver").get("/socket.io/", **REQUESTS["polling"]).environ
    before = dict(environ)
    with override_settings(**REDIRECTS, SECURE_REDIRECT_EXEMPT=["."]):
        assert Gate().answer(environ) is None
    assert {key: value for key, value in environ.items() if key not in before} == {"dtws_sio.origin_checked": True}
    assert {key: environ[key] for key in before} == before
    assert ask(HTTP_ORIGIN="https://evil.example", **{name: "1"}) is not None
