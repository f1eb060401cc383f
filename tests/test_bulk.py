"""What many clients need, in a few queries: the same as Django gives for each alone."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.backends.file import SessionStore as FileStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dtws_sio import bulk, identity
from dtws_sio.authenticators import SessionAuthenticator, SignedTokenAuthenticator, make_token
from dtws_sio.identity import HandshakeRequest
from tests.conftest import THREADS

if TYPE_CHECKING:
    from collections.abc import Callable

AUTHENTICATORS: Any = (SignedTokenAuthenticator(), SessionAuthenticator())


def recognised(headers: dict[str, str], auth: Any = None) -> HandshakeRequest:
    """Give the request of a client as it is looked at later on."""
    environ = {"REQUEST_METHOD": "GET", "wsgi.input": BytesIO(), **headers}
    return HandshakeRequest(environ, identity.recognise(HandshakeRequest(environ), auth, AUTHENTICATORS))


@pytest.fixture
def requests(people: type[User], sign_in: Callable[..., Any]) -> list[HandshakeRequest]:
    """Users with permissions of all kinds, each with a session."""
    first, second = (Permission.objects.get(codename=f"{what}_group") for what in ("add", "change"))
    group, empty = Group.objects.create(name="editors"), Group.objects.create(name="empty")
    group.permissions.add(second)
    users = [people.objects.create_user(f"user {number}") for number in range(5)]
    users[1].user_permissions.add(first)
    users[2].groups.add(group, empty)
    users[3].groups.add(group)
    users[3].user_permissions.add(first, second)
    people.objects.filter(pk=users[4].pk).update(is_superuser=True)
    return [recognised(sign_in(user)) for user in users]


def permissions(user: Any) -> tuple[Any, ...]:
    names = ("auth.add_group", "auth.change_group", "auth.delete_group")
    return (
        user.pk,
        [user.has_perm(name) for name in names],
        identity.group_keys(user),
        sorted(user.get_all_permissions()),
    )


def test_users_and_permissions_are_those_that_each_would_load(requests: list[HandshakeRequest]) -> None:
    alone = [permissions(HandshakeRequest(request.environ, request.identity).user) for request in requests]
    bulk.prepare(requests)
    assert [permissions(request.user) for request in requests] == alone


def test_the_number_of_queries_does_not_depend_on_that_of_clients(requests: list[HandshakeRequest]) -> None:
    with CaptureQueriesContext(connection) as queries:
        bulk.prepare(requests)
        for request in requests:
            assert request.user.has_perm("auth.change_group") in (True, False)
            identity.topics_of(request)
    assert len(queries) == 6, [query["sql"] for query in queries]  # sessions, users, groups, and three for permissions


@pytest.mark.parametrize(
    "change",
    [
        lambda user: User.objects.filter(pk=user).update(is_active=False),
        lambda user: User.objects.filter(pk=user).update(password="!"),
        lambda user: User.objects.filter(pk=user).delete(),
        lambda user: Session.objects.all().delete(),
        lambda user: Session.objects.update(expire_date=timezone.now()),
    ],
    ids=["inactive", "password", "deleted-user", "deleted-session", "expired-session"],
)
def test_nobody_is_taken_for_a_user_whose_proof_does_not_hold(
    people: type[User], sign_in: Callable[..., Any], change: Callable[[Any], object]
) -> None:
    request = recognised(sign_in(people.objects.create_user("ann")))
    assert request.identity is not None
    change(request.identity.user_key)
    with CaptureQueriesContext(connection) as queries:
        bulk.prepare([request])
        assert not request.user.is_authenticated
    assert len(queries) <= 6, "nothing is asked for this one alone"


def test_a_secret_key_that_was_rotated_voids_no_session(people: type[User], sign_in: Callable[..., Any]) -> None:
    request = recognised(sign_in(people.objects.create_user("ann")))
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[django_settings.SECRET_KEY]):
        bulk.prepare([request])
        assert request.user.is_authenticated
    again = HandshakeRequest(request.environ, request.identity)
    with override_settings(SECRET_KEY="new"):
        bulk.prepare([again])
        assert not again.user.is_authenticated


class Particular(ModelBackend):
    """A backend that lets nobody in on some days."""

    def get_user(self, user_id: Any) -> Any:
        return None if days.get("closed") else super().get_user(user_id)


class Generous(ModelBackend):
    """A backend that knows permissions that stand in no table."""

    def _get_group_permissions(self, user_obj: Any) -> Any:
        return Permission.objects.filter(codename="delete_group")


days: dict[str, bool] = {}


def test_a_backend_of_ones_own_is_asked_for_each_user(
    people: type[User], sign_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with override_settings(AUTHENTICATION_BACKENDS=[f"{__name__}.Particular"]):
        request = recognised(sign_in(people.objects.create_user("ann")))
        monkeypatch.setitem(days, "closed", True)
        bulk.prepare([request])
        assert not request.user.is_authenticated


def test_a_backend_with_permissions_of_its_own_is_asked_for_them(
    people: type[User], sign_in: Callable[..., Any]
) -> None:
    with override_settings(AUTHENTICATION_BACKENDS=[f"{__name__}.Generous"]):
        request = recognised(sign_in(people.objects.create_user("ann")))
        bulk.prepare([request])
        assert request.user.has_perm("auth.delete_group")  # type: ignore[union-attr]


def test_tokens_are_confirmed_by_the_password_for_which_they_were_made(people: type[User]) -> None:
    ann = people.objects.create_user("ann")
    request = recognised({}, {"token": make_token(ann)})
    with CaptureQueriesContext(connection) as queries:
        bulk.prepare([request])
        assert request.user == ann
    assert len([each for each in queries if 'FROM "auth_user" ' in each["sql"]]) == 1
    ann.set_password("other")
    ann.save()
    again = HandshakeRequest(request.environ, request.identity)
    bulk.prepare([again])
    assert not again.user.is_authenticated


@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file", "signed_cookies"])
def test_sessions_of_each_store_are_alive_until_they_end(
    people: Any, engine: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "sessions"
    files.mkdir()
    monkeypatch.setattr(FileStore, "_storage_path", str(files), raising=False)
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}", SESSION_COOKIE_AGE=60):
        store = import_module(django_settings.SESSION_ENGINE).SessionStore
        keys = []
        for number in range(3):
            session = store()
            session["number"] = number
            session.save()
            keys.append(session.session_key)
        ends = bulk.session_ends([*keys, "0" * 32])
        assert set(ends) == set(keys)
        for end in ends.values():
            assert end is None if engine == "cache" else abs(float(end or 0) - time.time() - 60) < 2
        if engine == "file":
            assert len(list(files.iterdir())) == 3, "none was made for the one that there is not"
        if engine != "signed_cookies":
            store(keys[0]).delete()
            assert set(bulk.session_ends(keys)) == set(keys[1:])


def test_rights_are_a_value_that_changes_with_them(people: type[User]) -> None:
    ann = people.objects.create_user("ann")
    group = Group.objects.create(name="editors")
    ann.groups.add(group)
    key = str(ann.pk)
    seen = [bulk.rights([key])]
    for change in (
        lambda: group.permissions.add(Permission.objects.get(codename="add_group")),
        lambda: ann.user_permissions.add(Permission.objects.get(codename="add_group")),
        lambda: people.objects.update(is_staff=True),
        lambda: ann.groups.clear(),
        lambda: people.objects.all().delete(),
    ):
        assert bulk.rights([key]) == seen[-1]
        change()
        seen.append(bulk.rights([key]))
        assert seen[-1] != seen[-2]
    assert seen[-1] == {}


class Locking(DatabaseStore):
    """A store of a project's own: sessions can be locked."""

    def load(self) -> dict[str, Any]:
        return {} if days.get("closed") else super().load()


def test_a_store_that_loads_in_its_own_way_is_asked_for_each_session(
    people: type[User], sign_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = recognised(sign_in(people.objects.create_user("ann")))
    assert request.identity is not None
    key = str(request.identity.session_key)
    monkeypatch.setattr(f"{__name__}.SessionStore", Locking, raising=False)
    Locking.__qualname__ = "SessionStore"  # it is a part of the signature
    with override_settings(SESSION_ENGINE=__name__):
        assert bulk.session_ends([key]) == {key: None}
        monkeypatch.setitem(days, "closed", True)
        assert bulk.session_ends([key]) == {}
        bulk.prepare([request])
        assert not request.user.is_authenticated


@pytest.mark.parametrize("apps", ["", "auth contenttypes"])
def test_a_project_without_sessions_or_users_is_looked_after_too(apps: str) -> None:
    names = ["dtws_sio", *(f"django.contrib.{name}" for name in apps.split())]
    program = f"""
import django
from django.conf import settings
settings.configure(INSTALLED_APPS={names!r}, DTWS_SIO={THREADS!r}, ALLOWED_HOSTS=["*"], SECRET_KEY="x",
                   DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}})
django.setup()
from dtws_sio import sio
from tests.page import Page
asked = []
sio.room_rule(lambda request, room: asked.append(room) or room != "cellar")
sio.start(watches=False)
page = Page(sio.handle_request, sio.eio)
page.join()
sio.enter_room(page.sid, "bar")
asked.clear()
sio.recheck()
sio.clients.revocation.look()
assert asked == ["bar"], asked
sio.clients.revocation._next_sweep = 0
sio.clients.revocation.look()
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
