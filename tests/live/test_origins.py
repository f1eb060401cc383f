"""
Hosts, origins and https over the network: what the endpoint refuses before an engine sees it.

Both servers and both engines. Rows D-48, W-D1 and W-F1; pitfalls 11 and 12.
"""

from __future__ import annotations

import http.client
import json
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.live import sites, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.live.servers import Server

pytestmark = pytest.mark.live

UPGRADE: Final = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version": "13",
}

REQUESTS: Final[dict[str, tuple[str, str, dict[str, str]]]] = {
    "polling": ("GET", wire.endpoint("polling"), {}),
    "post": ("POST", wire.endpoint("polling", sid="nobody"), {}),
    "preflight": ("OPTIONS", wire.endpoint("polling"), {"Access-Control-Request-Method": "POST"}),
    "websocket": ("GET", wire.endpoint("websocket"), UPGRADE),
}
"""What browsers send, and what pages of other sites have them send."""

PASSED: Final = {"polling": 200, "post": 400, "preflight": 200, "websocket": 101}
"""HTTP status of those that pass; nobody has the session of the POST."""

FRIEND: Final = "https://friend.example"

SETTINGS: Final[dict[str, Any]] = {
    "DEBUG": False,
    "ALLOWED_HOSTS": ["127.0.0.1", "chat.example"],
    "CSRF_TRUSTED_ORIGINS": [FRIEND],
    "LOGGING": {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"]},
    },
}

ENGINES: Final[dict[str, dict[str, str]]] = {"own": {}, "stock": {"ENGINE": "stock"}}


@dataclass(frozen=True)
class Response:
    """What was answered; the body of a WebSocket that opened is left unread."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> str:
        """The words of a refusal in the reference server's form."""
        assert self.headers["content-type"] == "application/json"
        return str(json.loads(self.body)["message"])

    @property
    def cors(self) -> dict[str, str]:
        """The headers that let a page of another origin read the answer."""
        return {name: value for name, value in self.headers.items() if name.startswith("access-control-")}


def ask(site: Server, kind: str, **headers: str) -> Response:
    """Send one of REQUESTS; in the names of headers `_` stands for `-`."""
    method, target, own = REQUESTS[kind]
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)) as connection:
        connection.request(method, target, headers={**own, **given})
        with connection.getresponse() as answer:
            body = b"" if answer.status == 101 else answer.read()
            return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)


@pytest.fixture(scope="module")
def serving() -> Iterator[Callable[..., Server]]:
    """Serve the project with settings that are started once, when the first test asks for them."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def start(kind: str, engine: str, **settings: Any) -> Server:
            key = json.dumps([kind, engine, settings])
            if key not in running:
                whole = {**SETTINGS, **settings, "DTWS_SIO": ENGINES[engine]}
                running[key] = stack.enter_context(sites.running(kind, settings=whole))
            return running[key]

        yield start


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sites.KINDS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=REQUESTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def closed_site(serving: Callable[..., Server], server: str, engine: str) -> Server:
    """The project as one would deploy it, without DEBUG."""
    return serving(server, engine)


@pytest.fixture
def https_site(serving: Callable[..., Server], server: str, engine: str) -> Server:
    """The same behind a proxy that ends TLS and says so in X-Tls."""
    return serving(
        server,
        engine,
        MIDDLEWARE=["django.middleware.security.SecurityMiddleware"],
        SECURE_SSL_REDIRECT=True,
        SECURE_PROXY_SSL_HEADER=["HTTP_X_TLS", "on"],
        SECURE_REDIRECT_EXEMPT=["^pid/$"],
    )


# Origins


def test_pages_of_this_site_and_those_it_trusts_may_connect(closed_site: Server, kind: str) -> None:
    own: list[dict[str, str]] = [
        {},
        {"Origin": closed_site.url},
        {"Origin": closed_site.url, "Sec_Fetch_Site": "same-origin"},
        {"Origin": FRIEND, "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none"},
        {"Host": "chat.example", "Origin": "http://chat.example"},
    ]
    for headers in own:
        assert ask(closed_site, kind, **headers).status == PASSED[kind], headers


def test_no_other_page_may(closed_site: Server, kind: str) -> None:
    foreign: list[dict[str, str]] = [
        {"Origin": "https://evil.example"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"},
        {"Origin": closed_site.url.replace("http", "https")},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://chat.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example", "X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "https"},
    ]
    for headers in foreign:
        answer = ask(closed_site, kind, **headers)
        assert (answer.status, answer.message, answer.cors) == (403, "Origin not allowed", {}), headers


def test_with_debug_the_answer_names_the_origin_those_accepted_and_the_setting(site: Server, kind: str) -> None:
    answer = ask(site, kind, Origin="https://evil.example")
    assert answer.status == 403
    named = ("'https://evil.example'", repr(site.url), "CSRF_TRUSTED_ORIGINS")
    assert all(each in answer.message for each in named), answer.message


@pytest.mark.parametrize("engine", ["own"], indirect=True)
def test_a_flood_of_foreign_requests_is_one_line_in_the_log(closed_site: Server, kind: str) -> None:
    origin = f"https://{kind}.evil.example"
    for _ in range(50):
        assert ask(closed_site, kind, Origin=origin).status == 403
    lines = [line for line in closed_site.wait_for_log(origin).splitlines() if origin in line]
    assert len(lines) == 1
    assert lines[0].startswith("WARNING dtws_sio.security: ")
    assert all(each in lines[0] for each in (repr(closed_site.url), repr(FRIEND), "CSRF_TRUSTED_ORIGINS"))


@pytest.mark.parametrize("kind", ["polling", "preflight"], indirect=True)
def test_an_accepted_page_of_another_origin_may_read_the_answer(closed_site: Server, kind: str) -> None:
    wanted = {"Access_Control_Request_Headers": "x-one, x-two"} if kind == "preflight" else {}
    answer = ask(closed_site, kind, Origin=FRIEND, **wanted)
    preflight = {
        "access-control-allow-methods": "OPTIONS, GET, POST",
        "access-control-allow-headers": "x-one, x-two",
    }
    assert answer.cors == {
        "access-control-allow-origin": FRIEND,
        "access-control-allow-credentials": "true",
        **(preflight if kind == "preflight" else {}),
    }
    assert answer.headers["vary"] == "Origin"


def test_an_answer_to_nobody_from_elsewhere_has_no_cors_headers(closed_site: Server) -> None:
    assert ask(closed_site, "polling").cors == {}


@pytest.mark.parametrize("index", ["j=0", "%6a=0", "j=0&j=1"])
def test_jsonp_is_refused(closed_site: Server, index: str) -> None:
    """A script element of any site could read the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", closed_site.port, timeout=10)) as connection:
        connection.request("GET", f"{wire.endpoint('polling')}&{index}")
        with connection.getresponse() as answer:
            assert (answer.status, json.loads(answer.read())["message"]) == (400, "Transport unknown")


# Hosts


def test_a_host_that_is_not_allowed_gets_400(closed_site: Server, kind: str) -> None:
    for host in ("evil.example", f"localhost:{closed_site.port}", "127.0.0.1@evil.example"):
        for origin in ({}, {"Origin": f"http://{host}"}):
            answer = ask(closed_site, kind, Host=host, **origin)
            assert (answer.status, answer.message, answer.cors) == (400, "Bad request", {}), host
    log = closed_site.wait_for_log("Invalid HTTP_HOST header: 'evil.example'")
    assert "ERROR django.security.DisallowedHost: Invalid HTTP_HOST header: 'evil.example'" in log


# https


@pytest.mark.parametrize("kind", ["polling", "post", "preflight"], indirect=True)
def test_a_request_without_tls_is_sent_to_https(https_site: Server, kind: str) -> None:
    answer = ask(https_site, kind)
    assert answer.status == 301
    assert answer.headers["location"] == f"https://127.0.0.1:{https_site.port}{REQUESTS[kind][1]}"
    assert answer.cors == {}


def test_a_websocket_without_tls_is_refused(https_site: Server) -> None:
    answer = ask(https_site, "websocket")
    assert (answer.status, answer.message) == (403, "WebSockets need https here")
    assert "SECURE_PROXY_SSL_HEADER" in https_site.wait_for_log("WARNING dtws_sio.security: ")


def test_with_tls_everything_passes(https_site: Server, kind: str) -> None:
    answer = ask(https_site, kind, X_Tls="on", Origin=https_site.url.replace("http", "https"))
    assert answer.status == PASSED[kind]
    assert ask(https_site, kind, X_Tls="on", Origin=https_site.url).status == 403


def test_tls_counts_only_as_the_setting_says(https_site: Server) -> None:
    assert ask(https_site, "polling", X_Tls="off").status == 301
