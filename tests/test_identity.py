"""Who a client is: request, session and user; rows D-49, S-34, W-D7, W-F2 and W-F6."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dtws_sio import Namespace, topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.identity import HandshakeRequest
    from dtws_sio.server import Server
    from tests.page import Page


@pytest.fixture
def ann(people: type[User]) -> User:
    return people.objects.create_user("ann", password="secret")


@pytest.fixture
def who(server: Server) -> None:
    """Register the event `who`, which answers with the name of the user that its handler sees."""
    ask_who(server)


def ask_who(server: Server) -> None:
    @server.event
    def who(sid: str) -> str:
        return server.user(sid).get_username()


def cookie(session: SessionStore) -> dict[str, str]:
    return {"HTTP_COOKIE": f"{settings.SESSION_COOKIE_NAME}={session.session_key}"}


# The request


def test_a_handler_gets_the_request_of_the_handshake_row_d_49(
    visit: Callable[..., Page], server: Server, people: Any
) -> None:
    got: list[HandshakeRequest] = []
    server.on("look", lambda sid: got.append(server.request(sid)))
    page = visit("/", HTTP_X_SHOP="yes", HTTP_COOKIE="a=b", REMOTE_ADDR="192.0.2.7")
    page.ask("look")
    (request,) = got
    assert isinstance(request, HttpRequest)
    assert (request.headers["X-Shop"], request.COOKIES, request.META["REMOTE_ADDR"]) == ("yes", {"a": "b"}, "192.0.2.7")
    assert request.get_host() == "testserver"
    assert request.user == AnonymousUser()
    assert request.session.is_empty()


def test_a_namespace_gives_request_and_user_of_its_clients(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    class Shop(Namespace):
        def on_who(self, sid: str) -> list[Any]:
            return [self.user(sid).pk, self.request(sid).user.pk]

    server.register_namespace(Shop("/shop"))
    page = visit("/shop", **sign_in(ann))
    assert page.ask("who", namespace="/shop") == [[ann.pk, ann.pk]]


def test_a_client_of_nobody_has_no_request(server: Server) -> None:
    with pytest.raises(KeyError, match="no client 'x'"):
        server.request("x")


def test_a_signed_in_user_is_known_row_w_d7(
    visit: Callable[..., Page], who: None, ann: User, sign_in: Callable[..., Any]
) -> None:
    assert visit("/", **sign_in(ann)).ask("who") == ["ann"]
    assert visit("/").ask("who") == [""]


def test_what_is_not_touched_is_not_loaded(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    queries: list[int] = []

    @server.event
    def look(sid: str, what: str) -> None:
        with CaptureQueriesContext(connection) as captured:
            request = server.request(sid)
            if what == "user":
                assert server.user(sid) is request.user is server.request(sid).user
            queries.append(len(captured))

    page = visit("/", **sign_in(ann))
    for what in ("nothing", "user", "user"):
        page.ask("look", what)
    assert queries == [0, 2, 2], "the session and the user, once in each event"


def test_a_stranger_costs_no_query(visit: Callable[..., Page], server: Server, people: Any) -> None:
    queries: list[int] = []

    @server.event
    def connect(sid: str, environ: Any) -> None:
        server.request(sid)
        queries.append(len(connection.queries_log))

    with override_settings(DEBUG=True):
        visit("/")
    assert queries == [0]


def test_each_event_sees_the_user_as_it_is_then_row_w_f6(
    visit: Callable[..., Page], who: None, ann: User, sign_in: Callable[..., Any]
) -> None:
    page = visit("/", **sign_in(ann))
    User.objects.filter(pk=ann.pk).update(username="anna")
    assert page.ask("who") == ["anna"]
    User.objects.filter(pk=ann.pk).update(is_active=False)
    assert page.ask("who") == [""]


@pytest.mark.parametrize("ends", ["logout", "password", "other-user", "expiry"])
def test_a_proof_that_ended_makes_a_stranger_of_its_client_row_w_f2(
    visit: Callable[..., Page], who: None, ann: User, sign_in: Callable[..., Any], ends: str
) -> None:
    headers = sign_in(ann)
    page = visit("/", **headers)
    session = Session.objects.get()
    if ends == "logout":
        session.delete()
    elif ends == "expiry":
        Session.objects.update(expire_date=timezone.now())
    elif ends == "password":
        ann.set_password("other")
        ann.save()
    else:
        store = SessionStore(session.session_key)
        bob = User.objects.create_user("bob")
        store.update({"_auth_user_id": str(bob.pk), "_auth_user_hash": bob.get_session_auth_hash()})
        store.save()
    assert page.ask("who") == [""]


def test_looking_does_not_change_the_session(
    visit: Callable[..., Page], who: None, ann: User, sign_in: Callable[..., Any]
) -> None:
    """With a new SECRET_KEY, `get_user` gives the session a new key; no cookie could tell the browser of it."""
    headers = sign_in(ann)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["tests"]):
        assert visit("/", **headers).ask("who") == ["ann"]
        key = Session.objects.get().session_key
        assert visit("/", **headers).ask("who") == ["ann"]
    assert headers["HTTP_COOKIE"] == f"sessionid={key}"


def test_what_a_handler_puts_into_the_session_is_kept(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    @server.event
    def put(sid: str, how: str) -> None:
        server.request(sid).session["how"] = how
        if how == "failure":
            raise RuntimeError("on purpose")

    page = visit("/", **sign_in(ann))
    for how in ("kept", "failure"):
        page.ask("put", how)
        assert SessionStore(Session.objects.get().session_key)["how"] == "kept"


def test_a_session_that_ended_meanwhile_does_not_come_back(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    @server.event
    def put(sid: str) -> None:
        server.request(sid).session["x"] = 1
        Session.objects.all().delete()

    assert visit("/", **sign_in(ann)).ask("put") == []
    assert not Session.objects.exists()


def test_what_cannot_be_kept_is_told(
    visit: Callable[..., Page], server: Server, people: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.on("put", lambda sid: server.request(sid).session.update({"x": 1}))
    visit("/").ask("put")
    assert [record.levelno for record in caplog.records if record.name == "dtws_sio.identity"] == [logging.WARNING]


# Topics of people


def test_a_client_is_in_the_topics_of_its_user_groups_and_session(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    staff = Group.objects.create(name="staff")
    ann.groups.add(staff)
    page = visit("/", **sign_in(ann))
    session = Session.objects.get()
    assert set(server.rooms(page.sid)) == {
        page.sid,
        topics.topic(ann),
        topics.topic(staff),
        topics.session_topic(session.session_key),
    }


def test_an_emit_to_a_user_or_group_reaches_all_its_pages_and_nobody_else(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    staff, bob = Group.objects.create(name="staff"), User.objects.create_user("bob")
    bob.groups.add(staff)
    first, second, other, stranger = (
        visit("/", **sign_in(ann)),
        visit("/", **sign_in(ann)),
        visit("/", **sign_in(bob)),
        visit("/"),
    )
    server.emit("news", 1, to=ann)
    server.emit("news", 2, to=staff)
    server.emit("news", 3, to=[ann, bob])
    pages = [[event.data[1] for event in page.arrived()] for page in (first, second, other, stranger)]
    assert pages == [[1, 3], [1, 3], [2, 3], []]


def test_a_handler_may_put_clients_into_the_room_of_an_object(
    visit: Callable[..., Page], server: Server, people: Any
) -> None:
    staff = Group.objects.create(name="staff")
    page = visit("/")
    server.enter_room(page.sid, staff)
    server.emit("news", 1, to=staff)
    server.leave_room(page.sid, staff)
    server.emit("news", 2, to=staff)
    assert [event.data for event in page.arrived()] == [["news", 1]]
