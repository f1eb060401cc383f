"""Those who take more than their share, where the limits know their address and are low."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest

from tests.wire.clients import endpoint, request

from . import harness

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Crowd, Target

LIMITS = {
    "CLIENT_ADDRESS": "dtws_sio.addresses.peer_address",
    "MAX_CONNECTIONS_PER_ADDRESS": 60,
    "MAX_CONNECTS": "100/m",
    "MAX_EVENTS": "100/s",
}
"""The crowd is fifty, at one address, with ten events a second each."""


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A server of our own."""
    with harness.attacked(LIMITS) as target:
        yield target


@pytest.fixture(scope="module")
def crowd(target: Target) -> Iterator[Crowd]:
    """The crowd of that server."""
    with harness.well_behaved(target.port) as crowd:
        yield crowd


@pytest.fixture(scope="module")
def before(target: Target, crowd: Crowd) -> dict[str, int]:
    """What the server holds while only the crowd is there."""
    return target.held()


def opening(target: Target, source: str) -> tuple[int, bytes]:
    """Open a polling session from an address, and give the answer's status and body."""
    connection = HTTPConnection("127.0.0.1", target.port, source_address=(source, 0), timeout=10)
    try:
        answer = request(target.port, "GET", endpoint("polling"), connection=connection)
    finally:
        connection.close()
    return answer.status, answer.body


def test_an_address_that_connects_without_end_is_refused_and_others_are_not(target: Target) -> None:
    answers = [opening(target, "127.0.0.66") for _ in range(150)]
    statuses = [status for status, _ in answers]
    assert statuses[:60] == [200] * 60
    assert set(statuses[60:]) == {429}
    assert b"Too many connections from your address" in answers[60][1]
    assert b"Too many attempts to connect" in answers[-1][1]
    assert opening(target, "127.0.0.67")[0] == 200
    lines = [line for line in target.log().splitlines() if "127.0.0.66" in line]
    assert len(lines) == 2, "one for each limit"
