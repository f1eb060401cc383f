"""Proofs of who a client is; rows S-34, W-D7, W-F2 and W-F6."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core import signing
from django.test import override_settings

from dtws_sio import Namespace, conf
from dtws_sio.authenticators import JWTAuthenticator, SignedTokenAuthenticator, make_token
from dtws_sio.identity import Authenticator, HandshakeRequest, Identity
from tests.page import CONNECT, CONNECT_ERROR, Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server


TOKENS = {"AUTHENTICATORS": ["dtws_sio.authenticators.SignedTokenAuthenticator"]}
KEY = "a key that is long enough for HS256"
JWTS = {"AUTHENTICATORS": ["dtws_sio.authenticators.JWTAuthenticator"]}


@pytest.fixture
def ann(people: type[User]) -> User:
    return people.objects.create_user("ann", password="secret")


def ask_who(server: Server) -> None:
    @server.event
    def who(sid: str) -> str:
        return server.user(sid).get_username()


def cookie(session: SessionStore) -> dict[str, str]:
    return {"HTTP_COOKIE": f"{settings.SESSION_COOKIE_NAME}={session.session_key}"}


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


# Several proofs


@pytest.mark.parametrize("order", [("session", "token"), ("token", "session")])
def test_a_session_without_a_user_does_not_hide_a_token(
    make_server: Callable[..., Server], ann: User, order: tuple[str, ...]
) -> None:
    """Neither one that exists, nor a cookie that is left of one."""
    paths = {"session": "dtws_sio.authenticators.SessionAuthenticator", "token": TOKENS["AUTHENTICATORS"][0]}
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
