"""The token of a window, and whom it lets hear what; rows S-30, S-32 to S-34, S-36, W-F2, W-F3, W-F6 and W-F11."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core import signing
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.views.decorators.cache import cache_page

from dtws_sio import revocation
from dtws_sio.exceptions import NotCallableError, TopicError, WindowTokenError
from dtws_sio.identity import HandshakeRequest
from dtws_sio.signals import (
    BROADCAST,
    SERVER,
    SESSION,
    USER,
    WINDOW,
    everyone,
    set_topics,
    signal,
    tokens,
    topic_rule,
    trigger,
    window_token,
)
from dtws_sio.signals.tokens import verified, window_of
from tests.conftest import THREADS
from tests.page import CONNECT_ERROR, Page, eventually
from tests.signals import call, heard, view_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dtws_sio.server import Server

    OpenWindow = Callable[..., Page]
    SignIn = Callable[[User], dict[str, str]]

INVALID, EXPIRED = {"code": "token_invalid"}, {"code": "token_expired"}


@pytest.fixture
def ann(people: type[User]) -> User:
    return people.objects.create_user("ann", password="secret", is_staff=True)


@pytest.fixture
def bob(people: type[User]) -> User:
    return people.objects.create_user("bob")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "TICK", 0.01)


@pytest.fixture
def no_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_rule", None)


def refusal(serving: Server, token: Any, **extra: Any) -> Any:
    """Show a token, and give with which code it is refused; None if it is not."""
    page = Page(serving.handle_request, serving.eio, **extra)
    answer = page.join("/signals", {"window": token})
    return answer.data["data"] if answer.type == CONNECT_ERROR else None


# What a view gives


def test_a_window_hears_what_its_view_gave_it_row_s_30(open_window: OpenWindow, ann: User) -> None:
    group = Group.objects.create(name="editors")
    page = open_window(set_topics(view_request(), group, "front page"))
    other = open_window(set_topics(view_request(), "back page"))
    trigger(None, "a", to=group, n=1)
    trigger(None, "b", to=["front page", "back page"], n=2)
    trigger(None, "c", to=[ann, "nobody"], n=3)
    assert heard(page) == [("a", {"n": 1}), ("b", {"n": 2})]
    assert heard(other) == [("b", {"n": 2})]


@pytest.mark.parametrize(
    "arguments", [([["a", "b"]]), (["a", ["b"]]), (["a", "b", "a"]), ([WINDOW, SERVER, "a", {"b"}])]
)
def test_topics_come_one_by_one_or_in_lists_row_s_30(arguments: Any) -> None:
    request = view_request()
    set_topics(request, *arguments)
    assert [topic.key for topic in window_of(request).topics] == ["a", "b"]  # type: ignore[union-attr]


@pytest.mark.parametrize("thing", [User(), AnonymousUser(), None, 5])
def test_what_has_no_topic_is_refused_where_it_is_given_row_w_f11(thing: Any) -> None:
    with pytest.raises(TopicError, match="has no topic"):
        set_topics(view_request(), "a", thing)


def test_a_second_call_replaces_the_topics_and_keeps_the_window_row_s_30() -> None:
    request = view_request()
    set_topics(request, "a")
    first = window_of(request)
    set_topics(request, "b")
    second = window_of(request)
    assert first is not None
    assert second is not None
    assert first.key == second.key
    assert [topic.key for topic in second.topics] == ["b"]


def test_each_page_has_a_window_of_its_own_row_s_36(open_window: OpenWindow, ann: User, sign_in: SignIn) -> None:
    """Two tabs of one session, and the requests that scripts of each send."""
    cookies = sign_in(ann)
    first, second = (set_topics(view_request(cookies), "a") for _ in range(2))
    tabs = [open_window(first, **cookies), open_window(second, **cookies)]
    for number, token in enumerate((first, second)):
        trigger(view_request(cookies, HTTP_X_SOCKET_WINDOW=token), "saved", to=WINDOW, n=number)
    assert [heard(tab) for tab in tabs] == [[("saved", {"n": 0})], [("saved", {"n": 1})]]


def test_the_window_outlives_its_connection_row_w_f3(open_window: OpenWindow) -> None:
    signal("who", everyone)(lambda window_info: window_info.window_key)
    request = view_request()
    token = set_topics(request, "a")
    before = open_window(token)
    [key] = call(before, "who")["results"]
    before.close()
    after = open_window(token)
    assert call(after, "who")["results"] == [key]
    trigger(request, "saved", to=WINDOW)
    assert heard(after) == [("saved", {})]


def test_window_user_session_and_broadcast_are_always_there(
    open_window: OpenWindow, ann: User, sign_in: SignIn
) -> None:
    cookies = sign_in(ann)
    request = view_request(cookies)
    mine, stranger = open_window(window_token(request), **cookies), open_window()
    for target in (WINDOW, USER, SESSION, BROADCAST, ann, request.session):
        trigger(request, "hello", to=target)
    assert len(heard(mine)) == 6
    assert len(heard(stranger)) == 1, "that was the broadcast"


def test_a_request_has_one_window_however_often_it_is_asked(ann: User, sign_in: SignIn) -> None:
    request = view_request(sign_in(ann))
    tokens_given = {verified(window_token(request), request).key for _ in range(3)}
    assert len(tokens_given) == 1
    assert window_of(view_request()) is None


def test_an_ajax_request_that_sets_topics_keeps_its_window(ann: User, sign_in: SignIn) -> None:
    cookies = sign_in(ann)
    request = view_request(cookies)
    token = set_topics(request, "a")
    later = view_request(cookies, HTTP_X_SOCKET_WINDOW=token)
    again = verified(set_topics(later, "b"), later)
    assert again.key == window_of(request).key  # type: ignore[union-attr]
    assert [topic.key for topic in again.topics] == ["b"]


# Attacks and mishaps


def test_djangos_cache_gives_no_visitor_the_window_of_another(people: type[User]) -> None:
    @cache_page(60)
    def page(request: Any) -> HttpResponse:
        return HttpResponse(set_topics(request, "a"))

    @cache_page(60)
    def plain(request: Any) -> HttpResponse:
        return HttpResponse(secrets.token_hex())

    for view, count in ((page, 2), (plain, 1)):
        assert len({view(view_request(path=f"/{count}/")).content for _ in range(2)}) == count


def test_a_token_is_good_for_its_session_and_its_user_only_row_w_f2(
    serving: Server, ann: User, bob: User, sign_in: SignIn
) -> None:
    hers, elsewhere, his = sign_in(ann), sign_in(ann), sign_in(bob)
    token = set_topics(view_request(hers), "secret")
    assert refusal(serving, token, **hers) is None
    for thief in (elsewhere, his, {}, {"HTTP_COOKIE": "sessionid=" + "x" * 32}):
        assert refusal(serving, token, **thief) == INVALID
        assert window_of(view_request(thief, HTTP_X_SOCKET_WINDOW=token)) is None


def test_a_strangers_token_is_no_good_for_who_has_signed_in(serving: Server, ann: User, sign_in: SignIn) -> None:
    token = set_topics(view_request(), "for strangers")
    assert refusal(serving, token) is None
    assert refusal(serving, token, **sign_in(ann)) == INVALID


def test_a_strangers_session_binds_its_token_also_if_it_is_new(serving: Server, people: type[User]) -> None:
    request = view_request()
    request.session["basket"] = [1]
    token = set_topics(request, "basket")
    assert request.session.session_key is not None
    assert refusal(serving, token, HTTP_COOKIE=f"sessionid={request.session.session_key}") is None
    assert refusal(serving, token) == INVALID


@pytest.mark.parametrize("change", ["password", "is_active", "deleted", "logout"])
def test_a_token_is_void_with_what_proved_its_user_row_w_f2(
    serving: Server, ann: User, sign_in: SignIn, change: str
) -> None:
    cookies = sign_in(ann)
    token = set_topics(view_request(cookies), "secret")
    if change == "password":
        ann.set_password("new")
        ann.save()
    elif change == "is_active":
        ann.is_active = False
        ann.save()
    elif change == "deleted":
        ann.delete()
    else:
        view_request(cookies).session.flush()
    assert refusal(serving, token, **cookies) == INVALID


def test_a_new_password_voids_a_token_that_has_no_session(ann: User) -> None:
    request = RequestFactory().get("/")
    request.user = ann
    token = set_topics(request, "secret")
    assert verified(token, request).user_key == str(ann.pk)
    ann.set_password("new")
    with pytest.raises(WindowTokenError) as raised:
        verified(token, request)
    assert raised.value.reason == "it was made before the password was changed"


def test_a_token_expires_row_s_32(serving: Server, open_window: OpenWindow) -> None:
    token, now = set_topics(view_request(), "a"), time.time
    with override_settings(DTWS_SIO={**THREADS, "TOKEN_MAX_AGE": 60}):
        with patch("time.time", lambda: now() + 59):
            assert refusal(serving, token) is None
        with patch("time.time", lambda: now() + 61):
            assert refusal(serving, token) == EXPIRED


def forged(key: str = "k", names: Any = ("text:secret",), **salt: str) -> str:
    values = [key, list(names), None, "", None, ""]
    return signing.TimestampSigner(salt=salt.get("salt", "x")).sign_object(values, compress=True)


@pytest.mark.parametrize(
    "token",
    [
        forged(),
        forged(salt="dtws_sio.identity"),
        forged(salt="dtws_sio.signals.window") + "x",
        signing.TimestampSigner(salt="dtws_sio.signals.window").sign_object([1, 2]),
        signing.TimestampSigner(salt="dtws_sio.signals.window").sign("no object"),
        signing.TimestampSigner(key="other", salt="dtws_sio.signals.window").sign_object(["k", [], None, "", None, ""]),
        None,
        5,
        b"x",
    ],
    ids=["salt", "other-use", "changed", "other-form", "no-object", "other-key", "nothing", "number", "bytes"],
)
def test_what_is_not_signed_for_this_is_refused(token: Any) -> None:
    with pytest.raises(WindowTokenError) as raised:
        verified(token, view_request())
    assert raised.value.answer["code"] == "token_invalid"


def test_a_page_cannot_join_a_topic_it_was_not_given(open_window: OpenWindow, ann: User) -> None:
    """Neither by a token that it changed, nor by naming rooms in what it sends."""
    page = open_window(set_topics(view_request(), "a"))
    for event in ("join", "enter_room", "subscribe", "room"):
        page.ask(event, "dtws_sio:text:secret", namespace="/signals")
    trigger(None, "secret", to=["secret", ann])
    assert heard(page) == []


def test_a_page_cannot_choose_another_pages_window(
    open_window: OpenWindow, ann: User, bob: User, sign_in: SignIn
) -> None:
    hers, his = sign_in(ann), sign_in(bob)
    request = view_request(hers)
    victim = open_window(set_topics(request, "a"), **hers)
    attempt = view_request(his, HTTP_X_SOCKET_WINDOW=window_token(request))
    with pytest.raises(TopicError, match="X-Socket-Window"):
        trigger(attempt, "boo", to=WINDOW)
    set_topics(attempt, "b")
    trigger(attempt, "boo", to=WINDOW)
    assert heard(victim) == []


def test_a_token_tells_a_page_no_session_key(ann: User, sign_in: SignIn) -> None:
    cookies = sign_in(ann)
    token = set_topics(view_request(cookies), "a")
    content = json.dumps(signing.TimestampSigner(salt="dtws_sio.signals.window").unsign_object(token))
    assert cookies["HTTP_COOKIE"].removeprefix("sessionid=") not in content


# Rights that end


def test_a_logout_takes_the_topics_away_at_once_row_w_f2(open_window: OpenWindow, ann: User, quick: None) -> None:
    browser = Client()
    browser.force_login(ann)
    cookies = {"HTTP_COOKIE": f"sessionid={browser.cookies['sessionid'].value}"}
    page = open_window(set_topics(view_request(cookies), "secret"), **cookies)
    browser.logout()
    assert eventually(lambda: page.is_closed)


@pytest.mark.parametrize("lost", ["is_staff", "is_superuser", "permission", "group", "permission of a group"])
def test_a_lost_right_takes_the_topics_away_at_once_row_w_f6(
    serving: Server, open_window: OpenWindow, ann: User, sign_in: SignIn, quick: None, no_rule: None, lost: str
) -> None:
    """Who of several rights the view had looked at is not known, so the page has to be made again."""
    permission = Permission.objects.get(codename="change_group")
    group = Group.objects.create(name="editors")
    group.permissions.add(permission)
    ann.is_superuser = lost == "is_superuser"
    ann.save()
    if lost == "permission":
        ann.user_permissions.add(permission)
    elif "group" in lost:
        ann.groups.add(group)
    cookies = sign_in(ann)
    token = set_topics(view_request(cookies), "secret")
    page = open_window(token, **cookies)
    untouched = open_window(set_topics(view_request(cookies)), **cookies)
    if lost.startswith("is_"):
        setattr(ann, lost, False)
        ann.save()
    elif lost == "permission":
        ann.user_permissions.remove(permission)
    elif lost == "group":
        ann.groups.remove(group)
    else:
        group.permissions.remove(permission)
    assert eventually(lambda: page.is_closed)
    assert refusal(serving, token, **cookies) == INVALID
    assert not untouched.is_closed, "it was given nothing that depends on rights"


def test_a_gained_right_takes_nothing_away(
    serving: Server, open_window: OpenWindow, ann: User, sign_in: SignIn, quick: None, no_rule: None
) -> None:
    cookies = sign_in(ann)
    token = set_topics(view_request(cookies), "news")
    page = open_window(token, **cookies)
    ann.user_permissions.add(Permission.objects.get(codename="change_group"))
    ann.is_superuser = True
    ann.save()
    asked = open_window(token, **cookies)
    trigger(None, "news", to="news")
    assert heard(page) == heard(asked) == [("news", {})]


@pytest.fixture
def rule(no_rule: None) -> Iterator[list[Any]]:
    asked: list[Any] = []

    @topic_rule
    def may_watch(request: Any, topic: Any) -> bool:
        assert isinstance(request, HandshakeRequest)
        asked.append((topic.kind, topic.key))
        return topic.key != "draft" or bool(request.user.is_staff)

    return asked


def test_a_rule_decides_topic_by_topic_instead(
    open_window: OpenWindow, ann: User, sign_in: SignIn, quick: None, rule: list[Any], caplog: Any
) -> None:
    cookies = sign_in(ann)
    token = set_topics(view_request(cookies), "draft", "news")
    page = open_window(token, **cookies)
    assert rule == [("text", "draft"), ("text", "news")]
    trigger(None, "a", to="draft")
    ann.is_staff = False
    ann.save()
    told: list[str] = []
    assert eventually(lambda: told.extend(name for name, _ in heard(page)) or "dtws_sio.topic_lost" in told)
    trigger(None, "b", to="draft")
    trigger(None, "c", to="news")
    assert [*told, *(name for name, _ in heard(page))] == ["a", "dtws_sio.topic_lost", "c"]
    assert not page.is_closed
    again = open_window(token, **cookies)
    trigger(None, "d", to=["draft"])
    trigger(None, "e", to=["draft", "news"])
    assert [name for name, _ in heard(again)] == ["e"]
    assert "may not watch dtws_sio:text:draft: room_denied" in caplog.text


def test_a_rule_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(NotCallableError, match="5"):
        topic_rule(5)  # type: ignore[arg-type]
