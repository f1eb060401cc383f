"""Whether clients may be where they are; that it is asked when rights change is shown in test_revocation.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.db import OperationalError
from django.utils import translation

from dtws_sio import Namespace
from dtws_sio.authenticators import SessionAuthenticator
from dtws_sio.exceptions import PermissionDeniedError
from dtws_sio.identity import HandshakeRequest, Identity
from dtws_sio.permissions import login_required, request_passes_test
from dtws_sio.topics import model_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server
    from tests.page import Page


class Club(Namespace):
    """Some rooms are closed; what is asked, and what pages are told, is noted."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.closed: set[Any] = set()
        self.told: list[Any] = []
        self.languages: list[str | None] = []

    def may_enter_room(self, request: Any, room: Any) -> bool:
        self.languages.append(translation.get_language())
        return room not in self.closed

    def removed_from_room(self, sid: str, room: Any) -> None:
        self.told.append(room)


@pytest.fixture
def club(server: Server) -> Club:
    club = Club("/club")
    server.register_namespace(club)
    return club


def recheck(server: Server, page: Page, namespace: str, *, identity: Identity | None = None) -> None:
    client = server.manager.find(page.sids[namespace], namespace)
    assert client is not None
    if identity is not None:
        client.identity = identity
    request = HandshakeRequest(client.environ, client.identity)
    server.clients._standing.prove(client, request)
    if client.left is None:
        server.clients._standing.recheck(client, request)


def test_who_may_not_be_in_a_room_any_more_leaves_it_and_no_other(
    server: Server, club: Club, visit: Callable[..., Page]
) -> None:
    page = visit("/club")
    for room in ("bar", "garden"):
        server.enter_room(page.sid, room, "/club")
    club.closed = {"bar"}
    recheck(server, page, "/club")
    assert set(server.rooms(page.sid, "/club")) == {page.sid, "garden"}
    assert club.told == ["bar"]


def test_rules_are_asked_in_the_clients_language(server: Server, club: Club, visit: Callable[..., Page]) -> None:
    page = visit("/club", HTTP_ACCEPT_LANGUAGE="de")
    server.enter_room(page.sid, "bar", "/club")
    club.languages.clear()
    recheck(server, page, "/club")
    assert club.languages == ["de"]


def test_whose_proof_is_void_is_closed(server: Server, visit: Callable[..., Page], people: Any) -> None:
    page = visit("/")
    recheck(server, page, "/", identity=Identity(SessionAuthenticator(), "1", "x" * 32))
    assert page.is_closed


@pytest.mark.parametrize("outcome", ["passes", "denied", "raises", "no database"])
def test_what_cannot_be_told_is_a_no_but_not_for_a_database_that_is_away(
    server: Server, visit: Callable[..., Page], outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    now: list[str] = ["passes"]

    def condition(request: Any) -> bool:
        if now[0] == "denied":
            raise PermissionDeniedError("Go away.", code="banned")
        if now[0] == "raises":
            raise ZeroDivisionError
        if now[0] == "no database":
            raise OperationalError
        return True

    server.register_namespace(request_passes_test(condition)(type("Guarded", (Namespace,), {}))("/club"))
    page = visit("/club")
    now[0] = outcome
    if outcome == "no database":
        with pytest.raises(OperationalError):
            recheck(server, page, "/club")
    else:
        recheck(server, page, "/club")
    assert page.is_closed == (outcome in ("denied", "raises"))
    assert ("banned" in caplog.text) == (outcome == "denied")
    assert ("cannot be told" in caplog.text) == (outcome == "raises")


def test_only_namespaces_with_conditions_have_anything_to_look_at_for_strangers(server: Server, club: Club) -> None:
    server.register_namespace(login_required(type("Staff", (Namespace,), {}))("/staff"))
    server.register_namespace(Namespace("/open"))
    has_rules = server.clients._standing.has_rules
    assert [has_rules(path) for path in ("/club", "/staff", "/open", "/")] == [True, True, False, False]


def test_a_client_leaves_topics_of_groups_that_its_user_is_not_in(
    server: Server, visit: Callable[..., Page], people: Any
) -> None:
    page = visit("/")
    client = server.manager.find(page.sid, "/")
    assert client is not None
    old = model_topic(people, 7)
    client.topics = frozenset({old})
    server.manager.enter_room(page.sid, "/", old)
    recheck(server, page, "/")
    assert server.rooms(page.sid) == [page.sid]


def test_a_close_that_fails_is_tried_again(
    server: Server, visit: Callable[..., Page], people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = visit("/")
    client = server.manager.find(page.sid, "/")
    assert client is not None
    standing = server.clients._standing
    with monkeypatch.context() as broken:
        broken.setattr(standing, "_end", lambda client: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            standing.close(client, "for a test")
    assert not page.is_closed
    standing.close(client, "for a test")
    assert page.is_closed
