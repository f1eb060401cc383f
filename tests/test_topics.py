"""Names of rooms for objects; rows S-31 and W-F11."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.sessions.models import Session
from django.db import models
from django.utils.functional import SimpleLazyObject

from dtws_sio import topics
from dtws_sio.exceptions import RoomNameError, TopicError
from dtws_sio.identity import user_key_of


def saved(model: type[Any], **fields: Any) -> Any:
    instance = model(**fields)
    instance._state.adding = False
    return instance


UUID_TEXT = "550e8400-e29b-41d4-a716-446655440000"


class Parcel(models.Model):
    id = models.UUIDField(primary_key=True)

    class Meta:
        app_label = "tests"

    def __str__(self) -> str:
        return str(self.pk)


class Courier(User):
    class Meta:
        app_label = "tests"


class Person(models.Model):
    number = models.AutoField(primary_key=True)

    class Meta:
        app_label = "tests"

    def __str__(self) -> str:
        return str(self.pk)


class Member(Person, User):
    """Its primary key is the person's, not the user's."""

    class Meta:
        app_label = "tests"


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


def test_a_key_has_one_form() -> None:
    """Django leaves what an instance was made with as it is, until it is loaded again."""
    for written in (UUID_TEXT, UUID_TEXT.upper(), UUID_TEXT.replace("-", ""), UUID(UUID_TEXT)):
        assert topics.topic(saved(Parcel, pk=written)) == f"dtws_sio:tests.parcel:{UUID_TEXT}"
    assert topics.topic(saved(Group, pk="7")) == topics.topic(saved(Group, pk=7))


def test_a_user_of_a_model_of_its_own_is_that_user() -> None:
    """A client is in the topic of its user, whatever else the user is."""
    member = saved(Member, number=3, person_ptr_id=3, id=4, user_ptr_id=4)
    assert topics.topic(member) == "dtws_sio:auth.user:4"
    assert user_key_of(member) == "4"
    assert topics.topic(saved(Courier, id=7, user_ptr_id=7)) == "dtws_sio:auth.user:7"


def test_an_emit_to_nobody_is_not_one_to_everybody() -> None:
    for things in ([None], [saved(Group, pk=7), None]):
        with pytest.raises(TopicError, match="None, among those whom an emit is for, would be everybody"):
            topics.rooms(things)
    with pytest.raises(TopicError, match=r"is a manager, which names nobody; write .all\(\)"):
        topics.rooms(saved(User, pk=7).groups)
