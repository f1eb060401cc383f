"""Django's CSRF token on connect, over the network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.live import sites, wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.servers import Server

pytestmark = pytest.mark.live

SECRET: Final = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"
COOKIE: Final = f"csrftoken={SECRET}"


@pytest.fixture(scope="module", params=sites.KINDS)
def guarded(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The project, which asks for the token."""
    with sites.running(request.param, settings={"DTWS_SIO": {"CSRF": True}}) as server:
        yield server


@pytest.mark.parametrize("namespace", ["/", "/chat"])
def test_a_client_with_the_token_of_its_cookie_joins(guarded: Server, namespace: str) -> None:
    with wire.connected(guarded, cookie=COOKIE) as socket:
        socket.join(namespace, {"csrf_token": SECRET})


@pytest.mark.parametrize(
    ("cookie", "auth", "reason"),
    [
        (COOKIE, None, "CSRF token missing."),
        (COOKIE, {"csrf_token": "z" * 32}, "CSRF token incorrect."),
        (COOKIE, {"csrf_token": [SECRET]}, "CSRF token missing."),
        (None, {"csrf_token": SECRET}, "CSRF cookie not set."),
    ],
)
def test_any_other_is_refused_and_told_why(guarded: Server, cookie: str | None, auth: Any, reason: str) -> None:
    with wire.connected(guarded, cookie=cookie) as socket:
        socket.send("40" + ("" if auth is None else json.dumps(auth)))
        answer = socket.receive()
        assert answer.startswith("44{"), answer
        told = json.loads(answer[2:])
    assert reason in told["message"]
    assert told["data"] == {"code": "csrf_failed"}


def test_the_connect_handler_gets_auth_without_the_token(guarded: Server, tag: str) -> None:
    """The project's handler of this namespace takes the rest as its own."""
    with wire.connected(guarded, cookie=COOKIE) as socket:
        socket.join("/slow", {"csrf_token": SECRET, "tag": tag, "seconds": 0})
    assert "connect" in sites.lives(guarded, tag)
