"""Who a client is: request, session, user, and the proofs of it; rows D-49, S-34, W-D7, W-F2 and W-F6."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import connection
from django.http import HttpRequest
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dtws_sio import Namespace, conf, topics
from dtws_sio.identity import (
    Authenticator,
    HandshakeRequest,
    Identity,
    JWTAuthenticator,
    SignedTokenAuthenticator,
    make_token,
)
from tests.page import CONNECT, CONNECT_ERROR, Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server


TOKENS = {"AUTHENTICATORS": ["dtws_sio.identity.SignedTokenAuthenticator"]}
KEY = "a key that is long enough for HS256"
JWTS = {"AUTHENTICATORS": ["dtws_sio.identity.JWTAuthenticator"]}


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


# Tokens


def token_page(make_server: Callable[..., Server], keys: dict[str, Any]) -> Page:
    server = make_server(**keys)
    ask_who(server)
    return Page(server.handle_request, server.eio)


def test_a_signed_token_names_its_user(make_server: Callable[..., Server], ann: User) -> None:
    page = token_page(make_server, TOKENS)
    assert page.join(auth={"token": make_token(ann)}).type == CONNECT
    assert page.ask("who") == ["ann"]


def test_without_a_token_one_is_a_stranger(make_server: Callable[..., Server], people: Any) -> None:
    for auth in (None, {"other": 1}):
        page = token_page(make_server, TOKENS)
        assert page.join(auth=auth).type == CONNECT
        assert page.ask("who") == [""]


@pytest.mark.parametrize("token", ["", "x", 1, None, ["a"], {"a": 1}, "a:b:c", "ImEi:1:x"], ids=repr)
def test_a_token_that_does_not_hold_is_refused(make_server: Callable[..., Server], people: Any, token: object) -> None:
    answer = token_page(make_server, TOKENS).join(auth={"token": token})
    if token is None:
        assert answer.type == CONNECT
        return
    assert (answer.type, answer.data) == (
        CONNECT_ERROR,
        {"message": "The token is not valid.", "data": {"code": "authentication_failed"}},
    )


@pytest.mark.parametrize("change", ["password", "inactive", "deleted", "age", "salt"])
def test_a_token_ends_with_what_it_stands_for(
    make_server: Callable[..., Server], ann: User, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make_token(ann)
    if change == "password":
        ann.set_password("other")
        ann.save()
    elif change == "inactive":
        User.objects.update(is_active=False)
    elif change == "deleted":
        ann.delete()
    elif change == "age":
        monkeypatch.setattr(SignedTokenAuthenticator, "max_age", -1)
    else:
        token = signing.TimestampSigner(salt="other").sign_object((str(ann.pk), ""))
    assert token_page(make_server, TOKENS).join(auth={"token": token}).type == CONNECT_ERROR


def test_a_connected_client_loses_its_user_with_a_new_password(make_server: Callable[..., Server], ann: User) -> None:
    page = token_page(make_server, TOKENS)
    page.join(auth={"token": make_token(ann)})
    ann.set_password("other")
    ann.save()
    assert page.ask("who") == [""]


def jwt_of(user: User, key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": str(user.pk), "exp": time.time() + 60, **claims}, key, algorithm=algorithm)


@pytest.fixture
def jwt_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JWTAuthenticator, "verification_key", KEY)


def test_a_jwt_names_its_user(make_server: Callable[..., Server], ann: User, jwt_key: None) -> None:
    page = token_page(make_server, JWTS)
    assert page.join(auth={"token": jwt_of(ann)}).type == CONNECT
    assert page.ask("who") == ["ann"]


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1}, {"exp": None}, {"sub": "999"}, {"sub": ""}, {"key": "other" * 10}, {"aud": "shop"}, {"nbf": 9e9}],
    ids=repr,
)
def test_a_jwt_that_does_not_hold_is_refused(
    make_server: Callable[..., Server], ann: User, jwt_key: None, claims: dict[str, Any]
) -> None:
    answer = token_page(make_server, JWTS).join(auth={"token": jwt_of(ann, **claims)})
    assert answer.type == CONNECT_ERROR


@pytest.mark.parametrize("token", ["x", 5, {}, "a.b.c"], ids=repr)
def test_what_is_no_jwt_is_refused(make_server: Callable[..., Server], people: Any, token: Any, jwt_key: None) -> None:
    assert token_page(make_server, JWTS).join(auth={"token": token}).type == CONNECT_ERROR


def test_an_unsigned_jwt_is_refused(make_server: Callable[..., Server], ann: User, jwt_key: None) -> None:
    token = jwt_of(ann, key="", algorithm="none")
    assert token_page(make_server, JWTS).join(auth={"token": token}).type == CONNECT_ERROR


def test_a_namespace_may_have_proofs_of_its_own(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any], jwt_key: None
) -> None:
    class Machines(Namespace):
        authenticators = (JWTAuthenticator(),)

        def on_who(self, sid: str) -> str:
            return self.user(sid).get_username()

    server.register_namespace(Machines("/machines"))
    page = visit(**sign_in(ann))
    page.join("/machines")
    assert page.ask("who", namespace="/machines") == [""]
    page = visit()
    page.join("/machines", auth={"token": jwt_of(ann)})
    assert page.ask("who", namespace="/machines") == ["ann"]


def test_an_authenticator_that_cannot_be_imported_stops_the_start(make_server: Callable[..., Server]) -> None:
    with pytest.raises(conf.ConfigurationError, match=r"AUTHENTICATORS.*'shop.auth.Key'"):
        make_server(AUTHENTICATORS=["shop.auth.Key"])


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


# Several proofs


@pytest.mark.parametrize("order", [("session", "token"), ("token", "session")])
def test_a_session_without_a_user_does_not_hide_a_token(
    make_server: Callable[..., Server], ann: User, order: tuple[str, ...]
) -> None:
    """Neither one that exists, nor a cookie that is left of one."""
    paths = {"session": "dtws_sio.identity.SessionAuthenticator", "token": TOKENS["AUTHENTICATORS"][0]}
    server = make_server(AUTHENTICATORS=[paths[name] for name in order])
    ask_who(server)
    basket = SessionStore()
    basket["basket"] = [1]
    basket.save()
    for headers in (cookie(basket), {"HTTP_COOKIE": "sessionid=" + "x" * 32}):
        page = Page(server.handle_request, server.eio, **headers)
        assert page.join(auth={"token": make_token(ann)}).type == CONNECT
        assert page.ask("who") == ["ann"]
        page = Page(server.handle_request, server.eio, **headers)
        assert page.join(auth={"token": "a:b:c"}).type == CONNECT_ERROR, "what does not hold is no guest"
        page = Page(server.handle_request, server.eio, **headers)
        assert page.join().type == CONNECT


@pytest.mark.parametrize("order", [1, -1])
def test_two_kinds_of_tokens_may_come_in_one_place(
    make_server: Callable[..., Server], ann: User, jwt_key: None, order: int
) -> None:
    server = make_server(AUTHENTICATORS=[*TOKENS["AUTHENTICATORS"], *JWTS["AUTHENTICATORS"]][::order])
    ask_who(server)
    for token in (make_token(ann), jwt_of(ann)):
        page = Page(server.handle_request, server.eio)
        assert page.join(auth={"token": token}).type == CONNECT
        assert page.ask("who") == ["ann"]
    assert Page(server.handle_request, server.eio).join(auth={"token": "x"}).type == CONNECT_ERROR


@pytest.mark.parametrize("key", ["0{}", " {} ", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_user_has_one_key_however_a_token_writes_it(
    make_server: Callable[..., Server], ann: User, jwt_key: None, key: str
) -> None:
    """Otherwise neither emits to the user nor the end of its rights would reach the client."""
    assert ann.pk == 1
    server = make_server(**JWTS)
    page = Page(server.handle_request, server.eio)
    assert page.join(auth={"token": jwt_of(ann, sub=key.format(ann.pk))}).type == CONNECT
    assert eventually(lambda: [socket.sid for socket in server.sockets(ann)] == [page.sid])
    server.emit("news", 1, to=ann)
    assert [event.data for event in page.arrived()] == [["news", 1]]


class Trusting(Authenticator):
    """A proof of a project's own: whoever says a name is it."""

    def recognise(self, request: HandshakeRequest, auth: Any) -> Identity | None:
        return Identity(self, auth["key"])


@pytest.mark.parametrize("kind", ["jwt", "own"])
def test_a_new_password_ends_proofs_that_know_nothing_of_it(
    make_server: Callable[..., Server], ann: User, jwt_key: None, kind: str
) -> None:
    server = make_server(**(JWTS if kind == "jwt" else {"AUTHENTICATORS": [f"{__name__}.Trusting"]}))
    ask_who(server)
    page = Page(server.handle_request, server.eio)
    assert page.join(auth={"token": jwt_of(ann)} if kind == "jwt" else {"key": str(ann.pk)}).type == CONNECT
    assert page.ask("who") == ["ann"]
    ann.set_password("other")
    ann.save()
    assert page.ask("who") == [""]


@pytest.mark.parametrize(
    "claims",
    [{"sub": "auth0|123"}, {"sub": "1.5"}, {"sub": "9" * 400}, {"exp": 10**400}],
    ids=["text", "fraction", "long", "late"],
)
def test_a_jwt_of_somebody_elses_users_is_refused_without_a_traceback(
    make_server: Callable[..., Server],
    ann: User,
    jwt_key: None,
    claims: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = token_page(make_server, JWTS).join(auth={"token": jwt_of(ann, **claims)})
    assert (answer.type, answer.data.get("data")) == (CONNECT_ERROR, {"code": "authentication_failed"})
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("key", ["nobody", "", "99"])
def test_a_proof_of_nobody_is_refused(make_server: Callable[..., Server], people: Any, key: str) -> None:
    server = make_server(AUTHENTICATORS=[f"{__name__}.Trusting"])
    answer = Page(server.handle_request, server.eio).join(auth={"key": key})
    assert answer.data == {
        "message": "The token is not valid any more.",
        "data": {"code": "authentication_failed"},
    }


@pytest.mark.parametrize("kind", ["signed", "jwt"])
def test_a_token_of_a_form_that_nobody_takes_is_refused(
    make_server: Callable[..., Server], ann: User, jwt_key: None, kind: str
) -> None:
    foreign = make_token(ann) if kind == "jwt" else jwt_of(ann)
    answer = token_page(make_server, JWTS if kind == "jwt" else TOKENS).join(auth={"token": foreign})
    assert (answer.type, answer.data["data"]) == (CONNECT_ERROR, {"code": "authentication_failed"})


def test_a_token_outlives_the_rotation_of_the_secret_key(make_server: Callable[..., Server], ann: User) -> None:
    token = make_token(ann)
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        page = token_page(make_server, TOKENS)
        assert page.join(auth={"token": token}).type == CONNECT
        assert page.ask("who") == ["ann"]
    with override_settings(SECRET_KEY="new"):
        assert token_page(make_server, TOKENS).join(auth={"token": token}).type == CONNECT_ERROR
