"""What may take rights away, as Django's signals tell it; that it reaches clients is shown in test_revocation.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from django.apps import apps
from django.contrib.auth import logout
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.test import Client, TestCase, override_settings
from django.utils import timezone

from dtws_sio import topics
from dtws_sio.rights import Change, Signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    group = Group.objects.get()
    of_members = Change(users=None, rooms=frozenset({topics.topic(group)}))
    group.save()
    assert told.pop() == of_members
    group.delete()
    assert of_members in told
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


@pytest.fixture
def told(people: type[User]) -> Iterator[list[Change]]:
    """What is told of, by signals that know two proxies too."""
    for model in (Group, Permission):
        meta = type("Meta", (), {"proxy": True, "app_label": "auth"})
        type(f"{model.__name__}Proxy", (model,), {"__module__": __name__, "Meta": meta})
    told: list[Change] = []
    signals = Signals(told.append)
    signals.connect()
    yield told
    for name in ("groupproxy", "permissionproxy"):
        del apps.all_models["auth"][name]
    apps.clear_cache()


def of(*groups: Group) -> Change:
    return Change(users=None, rooms=frozenset(topics.topic(group) for group in groups))


@pytest.mark.parametrize(
    ("change", "whom"),
    [
        (lambda ann, bob, group, right: group.user_set.add(bob), "bob"),
        (lambda ann, bob, group, right: group.user_set.remove(ann), "ann"),
        (lambda ann, bob, group, right: group.user_set.clear(), "ann"),
        (lambda ann, bob, group, right: group.user_set.set([bob]), "ann bob"),
        (lambda ann, bob, group, right: ann.groups.clear(), "ann"),
        (lambda ann, bob, group, right: bob.user_permissions.add(right), "bob"),
        (lambda ann, bob, group, right: right.user_set.add(ann, bob), "ann bob"),
        (lambda ann, bob, group, right: right.user_set.clear(), ""),
        (lambda ann, bob, group, right: group.permissions.add(right), "group"),
        (lambda ann, bob, group, right: (group.permissions.add(right), right.group_set.clear()), "group"),
        (lambda ann, bob, group, right: right.group_set.add(group), "group"),
        (lambda ann, bob, group, right: group.save(), "group"),
        (lambda ann, bob, group, right: apps.get_model("auth.GroupProxy").objects.get().save(), "group"),
        (lambda ann, bob, group, right: apps.get_model("auth.GroupProxy").objects.get().delete(), "group"),
        (lambda ann, bob, group, right: right.save(), "anybody"),
        (lambda ann, bob, group, right: apps.get_model("auth.PermissionProxy")(pk=right.pk).delete(), "anybody"),
    ],
    ids=range(16),
)
def test_those_whom_it_concerns_come_first(told: list[Change], change: Callable[..., object], whom: str) -> None:
    """Which way round a link is changed makes no difference."""
    ann, bob = (User.objects.create_user(name) for name in ("ann", "bob"))
    group, right = Group.objects.create(name="editors"), Permission.objects.get(codename="add_group")
    ann.groups.add(group)
    keys = {"ann": str(ann.pk), "bob": str(bob.pk)}
    topic = topics.topic(group)
    told.clear()
    change(ann, bob, group, right)
    users = {user for each in told for user in each.users or ()}
    rooms = {room for each in told for room in each.rooms or ()}
    if whom in ("group", "anybody"):
        assert (users, rooms) == (set(), {topic} if whom == "group" else set())
        assert all(each.users is None for each in told)
    else:
        assert (users, rooms) == ({keys[name] for name in whom.split()}, set())


def test_a_logout_is_told_by_session_and_for_sessions_in_cookies_by_user_too(ann: User) -> None:
    told: list[Change] = []
    signals = Signals(told.append)
    signals.connect()
    for engine, is_known in (("db", True), ("signed_cookies", False)):
        with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
            browser = Client()
            browser.force_login(ann)
            key = str(browser.session.session_key)
            told.clear()
            browser.logout()
            sessions = {topics.session_topic(key)} | (set() if is_known else {topics.topic(ann)})
            assert Change(sessions=frozenset(sessions)) in told


def test_a_transaction_tells_of_thousands_at_once(people: type[User]) -> None:
    told: list[Change] = []
    signals = Signals(told.append)
    signals.connect()
    Session.objects.bulk_create(
        Session(session_key=f"{number:032}", session_data="", expire_date=timezone.now()) for number in range(2500)
    )
    SessionStore.clear_expired()
    assert [len(each.sessions) for each in told] == [1000, 1000, 500]
    topic = topics.session_topic
    assert set().union(*(each.sessions for each in told)) == {topic(f"{number:032}") for number in range(2500)}


def test_what_a_savepoint_takes_back_is_not_told(ann: User) -> None:
    bob = User.objects.create_user("bob")
    told: list[Change] = []
    signals = Signals(told.append)
    signals.connect()
    with transaction.atomic():
        with transaction.atomic():
            ann.save()
            transaction.set_rollback(True)
        bob.save()
        with transaction.atomic():
            ann.save()
            transaction.set_rollback(True)
        bob.groups.add(Group.objects.create(name="staff"))
    assert told == [Change(users=frozenset({str(bob.pk)}))]


def test_changes_add_up() -> None:
    one, other = Change(users=frozenset("a"), rooms=frozenset("x")), Change(users=frozenset("b"), rooms=None)
    assert one | other == Change(users=frozenset("ab"), rooms=None)
    assert (Change(users=None) | one).users is None
    assert one | Change() == one


class InTestCase(TestCase):
    def test_a_test_captures_the_calls_of_its_block(self) -> None:
        """Those of earlier blocks never run, as nothing is committed."""
        told: list[Change] = []
        signals = Signals(told.append)
        signals.connect()
        ann = User.objects.create_user("ann")
        ann.save()
        with self.captureOnCommitCallbacks(execute=True):
            ann.save()
        assert told == [Change(users=frozenset({str(ann.pk)}))]


def test_a_call_of_the_project_that_fails_takes_nothing_with_it_that_came_before(ann: User) -> None:
    """Django drops what is registered behind it; so nothing is moved there."""
    bob = User.objects.create_user("bob")
    told: list[Change] = []
    signals = Signals(told.append)
    signals.connect()

    def save() -> None:
        with transaction.atomic():
            ann.save()
            transaction.on_commit(lambda: 1 / 0)
            bob.save()

    with pytest.raises(ZeroDivisionError):
        save()
    assert told == [Change(users=frozenset({str(ann.pk)}))]


def test_a_user_who_is_deleted_can_still_sign_out(ann: User) -> None:
    signals = Signals(lambda change: None)
    signals.connect()
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
        browser = Client()
        browser.force_login(ann)
        request = HttpRequest()
        request.session, request.user = browser.session, ann  # type: ignore[assignment]
        ann.delete()
        logout(request)
        assert request.session.is_empty()


def test_rooms_of_all_kinds_travel(ann: User) -> None:
    assert Change(rooms=frozenset({5, "a"})).as_message()["rooms"] == [5, "a"]  # type: ignore[arg-type]
