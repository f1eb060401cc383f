"""Names of rooms for objects; rows S-31 and W-F11."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.sessions.models import Session
from django.utils.functional import SimpleLazyObject

from dtws_sio import topics
from dtws_sio.exceptions import RoomNameError, TopicError


def saved(model: type[Any], **fields: Any) -> Any:
    instance = model(**fields)
    instance._state.adding = False
    return instance


class Customer(User):
    class Meta:
        proxy = True
        app_label = "auth"


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (saved(User, pk=7), "dtws_sio:auth.user:7"),
        (saved(Customer, pk=7), "dtws_sio:auth.user:7"),
        (SimpleLazyObject(lambda: saved(User, pk=7)), "dtws_sio:auth.user:7"),
        (saved(Group, pk=7), "dtws_sio:auth.group:7"),
        (saved(Session, session_key="a:b"), "dtws_sio:sessions.session:a:b"),
    ],
    ids=["user", "proxy", "lazy", "group", "text-key"],
)
def test_an_object_has_one_topic_row_s_31(thing: Any, name: str) -> None:
    assert topics.topic(thing) == name
    assert topics.rooms(thing) == name


def test_a_topic_is_the_same_in_every_process_row_w_f11() -> None:
    program = (
        "import django; from django.conf import settings\n"
        "settings.configure(INSTALLED_APPS=['django.contrib.auth','django.contrib.contenttypes'])\n"
        "django.setup(); from dtws_sio import topics; from django.contrib.auth.models import User\n"
        "print(topics.model_topic(User, 7), topics.session_topic('abc'))"
    )
    names = {
        subprocess.run([sys.executable, "-c", program], text=True, check=True, capture_output=True, env=env).stdout
        for env in ({"PYTHONHASHSEED": "1", "PYTHONPATH": "."}, {"PYTHONHASHSEED": "2", "PYTHONPATH": "."})
    }
    assert names == {f"{topics.model_topic(User, 7)} {topics.session_topic('abc')}\n"}


def test_the_topic_of_a_session_does_not_tell_its_key() -> None:
    assert "abcdef" not in topics.session_topic("abcdef")
    assert topics.session_topic("abcdef") != topics.session_topic("abcdeg")


@pytest.mark.parametrize(
    "thing",
    [User(), User(pk=3), AnonymousUser(), SimpleLazyObject(AnonymousUser)],
    ids=["unsaved", "made-up", "anonymous", "lazy-anonymous"],
)
def test_what_has_no_topic_is_refused_row_w_f11(thing: Any) -> None:
    with pytest.raises(TopicError, match="has no topic"):
        topics.rooms(thing)
    with pytest.raises(TopicError, match="has no topic"):
        topics.rooms([saved(Group, pk=1), thing])


@pytest.mark.parametrize("thing", [1, "x", None, User])
def test_what_is_no_object_has_no_topic(thing: Any) -> None:
    with pytest.raises(TopicError, match="no model instance"):
        topics.topic(thing)


@pytest.mark.parametrize("room", ["x", 1, ("a", 1), "dtws_si", ""])
def test_other_rooms_are_what_they_are(room: Any) -> None:
    assert topics.room(room) is room
    topics.check_room(room)


def test_a_collection_is_taken_apart() -> None:
    assert topics.rooms((saved(User, pk=1), "room")) == ["dtws_sio:auth.user:1", "room"]


def test_no_string_is_a_topic() -> None:
    with pytest.raises(RoomNameError, match=r"'dtws_sio:auth\.user:1'"):
        topics.check_room("dtws_sio:auth.user:1")
    topics.check_room(topics.model_topic(User, 1))
