"""Whom a signal is for; rows S-11, S-24, S-31, F-07 and W-F11."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils.functional import SimpleLazyObject

from dtws_sio import topics
from dtws_sio.exceptions import TopicError
from dtws_sio.signals import BROADCAST, SERVER, SESSION, SYNC, USER, WINDOW, WindowInfo, serialize_topic
from dtws_sio.signals.targets import flattened, rooms, thing_topic
from tests.live.servers import ROOT

NOBODY = WindowInfo.from_request(None)


class ShadowUser(User):
    class Meta:
        proxy = True
        app_label = "auth"


class Basket:
    def __init__(self, number: int) -> None:
        self.number = number


class Outer:
    class Basket(Basket):
        pass


@serialize_topic.register
def _(basket: Basket) -> str:
    return str(basket.number)


def window(*, key: str | None = None, user: Any = None, session: str | None = None) -> WindowInfo:
    info = WindowInfo()
    info.window_key = key
    info._session = session
    info.__dict__["user"] = user
    return info


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        ("front page", "dtws_sio:text:front page"),
        ("", "dtws_sio:text:"),
        ("dtws_sio:window:k", "dtws_sio:text:dtws_sio:window:k"),
        (Group, "dtws_sio:class:django.contrib.auth.models.Group"),
        (ShadowUser, "dtws_sio:class:django.contrib.auth.models.User"),
        (Outer.Basket, "dtws_sio:class:tests.test_signals_targets.Outer.Basket"),
        (Basket(5), "dtws_sio:object:tests.test_signals_targets.Basket:5"),
        (Outer.Basket(5), "dtws_sio:object:tests.test_signals_targets.Outer.Basket:5"),
    ],
)
def test_each_thing_has_one_topic_row_s_31(thing: Any, name: str) -> None:
    assert thing_topic(thing) == name
    assert isinstance(thing_topic(thing), topics.Topic)


def test_a_model_instance_has_the_topic_by_which_sio_emit_knows_it(people: type[User]) -> None:
    ann = people.objects.create_user("ann")
    for each in (ann, ShadowUser.objects.get(), SimpleLazyObject(lambda: ann), User.objects.only("pk").get()):
        assert thing_topic(each) == topics.topic(ann) == f"dtws_sio:auth.user:{ann.pk}"


def test_a_session_has_one_topic_however_it_comes(people: type[User]) -> None:
    store = SessionStore()
    store.create()
    row = Session.objects.get()
    assert thing_topic(store) == thing_topic(row) == topics.session_topic(str(store.session_key))
    assert str(store.session_key) not in thing_topic(store)


@pytest.mark.parametrize(
    "thing", [User(), User(pk=5), AnonymousUser(), SessionStore(), None, 5, b"x", ("a", 1), {"a": 1}, object()]
)
def test_what_has_no_topic_is_refused_row_w_f11(thing: Any) -> None:
    with pytest.raises(TopicError, match="has no topic"):
        thing_topic(thing)


def test_topics_are_the_same_in_every_process_row_w_f11() -> None:
    code = (
        "import django; django.setup()\n"
        "from dtws_sio.signals.targets import thing_topic\n"
        "from django.contrib.auth.models import Group\n"
        "print(thing_topic('é'), thing_topic(Group), sep='|')"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {f"{thing_topic('é')}|{thing_topic(Group)}\n".encode()}


def test_lists_of_targets_are_flattened_and_text_is_not_taken_apart_row_s_11() -> None:
    assert flattened("abc") == ["abc"]
    assert flattened(USER) == [USER]
    assert flattened([USER, ("a", {"b"}), frozenset({"c"})]) == [USER, "a", "b", "c"]
    assert flattened(iter(["a", SERVER])) == ["a", SERVER]


def test_a_queryset_is_a_list_of_targets(people: type[User]) -> None:
    ann, bob = people.objects.create_user("ann"), people.objects.create_user("bob")
    assert flattened(User.objects.order_by("username")) == [ann, bob]


def test_each_room_is_named_once_and_broadcast_is_everybody(people: type[User]) -> None:
    ann = people.objects.create_user("ann")
    info = window(key="k", user=ann, session="dtws_sio:session:s")
    own = ["dtws_sio:window:k", f"dtws_sio:auth.user:{ann.pk}", "dtws_sio:session:s"]
    assert rooms([WINDOW, USER, SESSION, ann, SERVER, SYNC, WINDOW], info) == own
    assert rooms([WINDOW, BROADCAST], info) is None
    assert rooms([SERVER, SYNC], info) == []
    assert rooms([], info) == []


@pytest.mark.parametrize(
    ("target", "remedy"),
    [(WINDOW, r"call set_topics|called set_topics"), (USER, "Use WINDOW or SESSION"), (SESSION, "Use WINDOW")],
)
def test_a_target_that_is_nobody_names_the_remedy_row_s_31(target: Any, remedy: str) -> None:
    with pytest.raises(TopicError, match=remedy):
        rooms([target], NOBODY)


def test_no_two_things_share_a_topic(people: type[User]) -> None:
    ann = people.objects.create_user("ann")
    store = SessionStore()
    store.create()
    things = [
        *("window:k", f"auth.user:{ann.pk}", "a", "A", "a ", "object:x", "class:x", f"dtws_sio:auth.user:{ann.pk}"),
        *(ann, User, Group, store, SessionStore, Basket(1), Outer.Basket(1), Basket, Outer.Basket),
    ]
    names = [thing_topic(thing) for thing in things]
    assert len(set(names)) == len(names)
