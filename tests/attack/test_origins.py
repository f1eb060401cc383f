"""Pages of other sites, whose visitors' browsers send this site's cookies along."""

from __future__ import annotations

import urllib.request
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from tests.wire.clients import endpoint, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Dial
    from .harness import Target

FOREIGN = {
    "another site": "http://evil.test",
    "another scheme": "https://127.0.0.1:{port}",
    "another port": "http://127.0.0.1:1",
    "our name with another behind it": "http://127.0.0.1:{port}.evil.test",
    "our name as a user": "http://127.0.0.1:{port}@evil.test",
    "a sandboxed frame": "null",
    "no URL": "http://[",
    "nothing": "",
}


@pytest.fixture(params=FOREIGN.values(), ids=FOREIGN.keys())
def origin(request: pytest.FixtureRequest, target: Target) -> str:
    """An origin that is not ours."""
    return str(request.param).format(port=target.port)


@pytest.fixture
def cookie(login: Callable[[str], str]) -> str:
    """What the victim's browser sends with every request to us."""
    return login("victim")


def test_a_foreign_page_opens_no_websocket(
    origin: str, cookie: str, target: Target, dial: Dial, log: Callable[[], list[str]]
) -> None:
    attacker = dial.handshake(endpoint("websocket"), headers={"Origin": origin, "Cookie": cookie})
    assert attacker.status == 403
    assert len(log()) <= 1, "the same again is told once a minute"
    lines = [line for line in target.log().splitlines() if f"refused a page of the origin {origin!r}; " in line]
    assert lines
    assert f"accepted origins: 'http://127.0.0.1:{target.port}'; " in lines[0]


def test_a_foreign_page_opens_no_polling_session_and_may_read_no_answer(
    origin: str, cookie: str, target: Target, log: Callable[[], list[str]]
) -> None:
    for method in ("GET", "OPTIONS"):
        answer = request(target.port, method, endpoint("polling"), headers={"Origin": origin, "Cookie": cookie})
        assert answer.status == 403
        assert b"sid" not in answer.body
        assert "access-control-allow-origin" not in answer.headers
    assert len(log()) <= 1, "the same again is told once a minute"


def test_a_foreign_page_that_knows_the_sid_can_neither_read_nor_send(
    origin: str, cookie: str, target: Target, dial: Dial
) -> None:
    victim = dial.polling()
    victim.join()
    headers = {"Origin": origin, "Cookie": cookie}
    assert request(target.port, "GET", victim.target, headers=headers).status == 403
    assert request(target.port, "POST", victim.target, "41", headers=headers).status == 403
    assert dial.handshake(endpoint("websocket", victim.sid), headers=headers).status == 403
    assert victim.ask("echo", 1) == [1]


FORWARDED = {
    "X-Forwarded-Host": ("http://evil.test", "evil.test"),
    "Forwarded": ("http://evil.test", "host=evil.test"),
    "X-Forwarded-Proto": ("https://127.0.0.1:{port}", "https"),
}


@pytest.mark.parametrize("header", FORWARDED)
def test_headers_that_only_a_proxy_may_send_change_nothing(header: str, target: Target) -> None:
    """gunicorn takes 127.0.0.1 for a proxy (its setting forwarded_allow_ips), so that they come from elsewhere."""
    origin, value = FORWARDED[header]
    headers = {"Origin": origin.format(port=target.port), header: value}
    connection = HTTPConnection("127.0.0.1", target.port, source_address=("127.0.0.2", 0))
    try:
        answer = request(target.port, "GET", endpoint("polling"), headers=headers, connection=connection)
    finally:
        connection.close()
    assert answer.status == 403


def test_a_page_whose_name_was_rebound_to_our_address_is_foreign(target: Target, dial: Dial) -> None:
    headers = {"Origin": "http://evil.test", "Host": "evil.test"}
    assert request(target.port, "GET", endpoint("polling"), headers=headers).status == 400
    assert dial.handshake(endpoint("websocket"), headers=headers).status == 400


def test_a_rebound_name_is_refused_without_origin_too(target: Target) -> None:
    """Browsers send none with a GET to the page's own host, which ours seems to be."""
    assert request(target.port, "GET", endpoint("polling"), headers={"Host": "evil.test"}).status == 400


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_an_image_or_script_of_a_foreign_page_is_refused(site: str, cookie: str, target: Target) -> None:
    """Those requests have no Origin."""
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Cookie": cookie}
    assert request(target.port, "GET", endpoint("polling"), headers=headers).status == 403


def test_no_answer_is_a_script(target: Target) -> None:
    """JSONP would let a page of any site read it."""
    assert request(target.port, "GET", endpoint("polling") + "&j=0").status == 400


def test_our_own_page_may(target: Target, cookie: str, dial: Dial) -> None:
    """Else all that is refused above would prove nothing."""
    headers = {"Origin": f"http://127.0.0.1:{target.port}", "Cookie": cookie}
    answer = request(target.port, "GET", endpoint("polling"), headers=headers)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, headers["Origin"])
    assert dial.handshake(endpoint("websocket"), headers=headers).status == 101
    with urllib.request.urlopen(urllib.request.Request(f"{target.server.url}/", headers=headers)) as page:
        assert page.read() == b"victim"
