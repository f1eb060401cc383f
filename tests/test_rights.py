"""What may take rights away, as Django's signals tell it; that it reaches clients is shown in test_revocation.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.db import transaction

from dtws_sio import topics
from dtws_sio.rights import Change, Signals

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def ann(people: type[User]) -> User:
    return people.objects.create_user("ann")


@pytest.mark.parametrize(
    "change",
    [Change(), Change(users=None), Change(frozenset({"1", "2"}), frozenset({"dtws_sio:session:x"}))],
    ids=["nothing", "everybody", "some"],
)
def test_a_change_travels_as_json(change: Change) -> None:
    assert Change.from_message(json.loads(json.dumps(change.as_message()))) == change


def test_whom_a_change_concerns_is_told_once_it_is_committed(ann: User, sign_in: Callable[..., Any]) -> None:
    sign_in(ann)
    session = Session.objects.get()
    told: list[Change] = []
    signals = Signals(told.append)
    signals.connect()
    with transaction.atomic():
        ann.save()
        assert told == []
    assert told.pop() == Change(users=frozenset({str(ann.pk)}))
    ann.groups.add(Group.objects.create(name="staff"))
    assert told.pop() == Change(users=frozenset({str(ann.pk)}))
    Group.objects.get().delete()
    assert Change(users=None) in told
    told.clear()
    topic = topics.session_topic(session.session_key)
    session.delete()
    assert told == [Change(sessions=frozenset({topic}))]


def test_a_login_concerns_nobody(people: type[User], ann: User, sign_in: Callable[..., Any]) -> None:
    told: list[Change] = []
    signals = Signals(told.append)
    signals.connect()
    sign_in(ann)
    people.objects.create_user("new")
    assert not any(change.users or change.users is None for change in told)
