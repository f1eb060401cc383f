"""Rights that end reach clients that are connected; rows S-34, W-F2 and W-F6, pitfall 13."""

from __future__ import annotations

import json
import logging
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.backends.file import SessionStore as FileStore
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.db import OperationalError, transaction
from django.test import Client, override_settings
from django.utils import timezone

from dtws_sio import Namespace, bulk, identity, revocation, topics
from dtws_sio.authenticators import SessionAuthenticator, make_token
from dtws_sio.permissions import login_required, permission_required, request_passes_test
from dtws_sio.rights import Change, Signals
from tests.page import Page, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dtws_sio.server import Server

LONG = 3600

AGE = 2
"""Seconds for which the sessions of some tests last."""


@pytest.fixture
def ann(people: type[User]) -> User:
    return people.objects.create_user("ann", password="secret", is_staff=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("TICK", "PAUSE", "ASK_AGAIN"):
        monkeypatch.setattr(revocation, pause, 0.01)


@pytest.fixture
def make(make_server: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """Make servers that follow Django's signals, and have namespaces with conditions; the sweep is far away."""
    signals: list[Signals] = []

    def make(**keys: Any) -> Server:
        server = make_server(**{"RIGHTS_SWEEP": LONG, **keys})
        signals.append(Signals(server._signalled))
        signals[-1].connect()
        for namespace in (Open("/open"), Members("/members"), Editors("/editors"), Library("/library")):
            server.register_namespace(namespace)
        return server

    yield make
    signals.clear()  # receivers are held weakly


class Open(Namespace):
    """Anybody may be here."""


@login_required
class Members(Namespace):
    """Only signed-in users may be here."""


@permission_required("auth.change_group")
class Editors(Namespace):
    """Only users with a permission may be here."""


class Library(Namespace):
    def may_enter_room(self, request: Any, room: Any) -> bool:
        return room != "archive" or bool(request.user.is_staff)


def visit(server: Server, namespace: str, headers: dict[str, str], auth: Any = None) -> Page:
    page = Page(server.handle_request, server.eio, **headers)
    answer = page.join(namespace, auth)
    assert namespace in page.sids, answer
    settle(server)
    return page


def settle(server: Server) -> None:
    """Wait until what was noticed so far has been dealt with."""
    looks: list[int] = []
    watch = server.clients.revocation
    look = watch.look
    watch.look = lambda: (look(), looks.append(1))  # type: ignore[method-assign, assignment]
    assert eventually(lambda: (len(looks) > 1 and watch.is_idle) or not watch._is_running)
    watch.look = look  # type: ignore[method-assign]


def guest() -> dict[str, str]:
    """Give the cookie of somebody who has a session, but has not signed in."""
    session = import_module(django_settings.SESSION_ENGINE).SessionStore()
    session["basket"] = [1]
    session.save()
    return {"HTTP_COOKIE": f"sessionid={session.session_key}"}


def log_out(user: User | None) -> None:
    """Log out as the view does, in the browser whose session is the only one."""
    browser = Client()
    browser.cookies["sessionid"] = Session.objects.get().session_key
    browser.logout()


def change_password(user: User) -> None:
    user.set_password("other")
    user.save()


def deactivate(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


@pytest.mark.parametrize(
    "end",
    [
        log_out,
        change_password,
        deactivate,
        User.delete,
        lambda user: Session.objects.get().delete(),
        lambda user: (
            import_module("django.contrib.sessions.backends.db").SessionStore().clear_expired()
            if Session.objects.update(expire_date=timezone.now())
            else None
        ),
    ],
    ids=["logout", "password", "inactive", "deleted-user", "deleted-session", "clearsessions"],
)
@pytest.mark.parametrize("namespace", ["/open", "/members"])
def test_what_ends_a_users_rights_closes_its_connections(
    make: Callable[..., Server],
    ann: User,
    sign_in: Callable[..., Any],
    end: Callable[[User], object],
    namespace: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make()
    left: list[Any] = []
    server.on("disconnect", lambda sid, reason: left.append(reason), namespace)
    bob = User.objects.create_user("bob")
    page, stranger = visit(server, namespace, sign_in(ann)), Page(server.handle_request, server.eio)
    stranger.join("/open")
    end(ann)
    assert eventually(lambda: page.is_closed)
    assert eventually(lambda: left == ["rights revoked"])
    (record,) = [each for each in caplog.records if each.name == "dtws_sio.security"]
    assert (record.levelno, page.sids[namespace] in record.getMessage()) == (logging.WARNING, True)
    assert not stranger.is_closed
    assert bob.is_active


def test_only_those_whom_it_concerns_are_closed(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]
) -> None:
    server = make()
    bob = User.objects.create_user("bob")
    first, second, other = (visit(server, "/open", sign_in(user)) for user in (ann, ann, bob))
    deactivate(ann)
    assert eventually(lambda: first.is_closed and second.is_closed)
    settle(server)
    assert not other.is_closed


def test_a_logout_ends_its_own_session_only(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]
) -> None:
    server = make()
    phone = visit(server, "/open", sign_in(ann))
    browser = Client()
    browser.force_login(ann)
    laptop = visit(server, "/open", {"HTTP_COOKIE": f"sessionid={browser.cookies['sessionid'].value}"})
    browser.logout()
    assert eventually(lambda: laptop.is_closed)
    settle(server)
    assert not phone.is_closed


@pytest.mark.parametrize(
    "change",
    [
        lambda user: user.user_permissions.clear(),
        lambda user: user.user_permissions.set([]),
        lambda user: Permission.objects.get(codename="change_group").user_set.clear(),
        lambda user: Permission.objects.get(codename="change_group").delete(),
    ],
)
def test_a_lost_permission_closes_where_it_is_needed(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], change: Callable[[User], object]
) -> None:
    server = make()
    ann.user_permissions.add(Permission.objects.get(codename="change_group"))
    editing, reading = visit(server, "/editors", sign_in(ann)), visit(server, "/open", sign_in(ann))
    change(ann)
    assert eventually(lambda: editing.is_closed)
    settle(server)
    assert not reading.is_closed


@pytest.mark.parametrize(
    "change",
    [
        lambda user, group: user.groups.remove(group),
        lambda user, group: group.user_set.clear(),
        lambda user, group: group.permissions.clear(),
        lambda user, group: group.delete(),
    ],
)
def test_a_permission_lost_with_a_group_closes_too(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], change: Callable[..., object]
) -> None:
    server = make()
    group = Group.objects.create(name="editors")
    group.permissions.add(Permission.objects.get(codename="change_group"))
    ann.groups.add(group)
    page = visit(server, "/editors", sign_in(ann))
    change(ann, group)
    assert eventually(lambda: page.is_closed)


def test_a_client_follows_its_user_into_groups_and_out_of_them(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]
) -> None:
    server = make()
    old, new = Group.objects.create(name="old"), Group.objects.create(name="new")
    ann.groups.add(old)
    page = visit(server, "/open", sign_in(ann))
    ann.groups.set([new])
    sid = page.sids["/open"]
    assert eventually(lambda: topics.topic(new) in server.rooms(sid, "/open"))
    assert topics.topic(old) not in server.rooms(sid, "/open")
    server.emit("news", 1, to=old, namespace="/open")
    server.emit("news", 2, to=new, namespace="/open")
    assert [event.data for event in page.arrived()] == [["news", 2]]


def test_a_client_leaves_the_rooms_in_which_it_may_not_be_any_more(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    server = make()
    page = visit(server, "/library", sign_in(ann))
    sid = page.sids["/library"]
    for room in ("archive", "novels"):
        server.enter_room(sid, room, "/library")
    ann.is_staff = False
    ann.save()
    assert eventually(lambda: "archive" not in server.rooms(sid, "/library"))
    assert "novels" in server.rooms(sid, "/library")
    assert not page.is_closed
    assert [each.getMessage() for each in caplog.records if "'archive'" in each.getMessage()]


@pytest.mark.parametrize("when", ["before the rule", "in the rule"])
def test_a_room_that_a_client_is_about_to_enter_counts_too(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], when: str
) -> None:
    """A handler has the user of the beginning of its event, and no look at rights sees a room before it is entered."""
    server = make()

    def lose() -> None:
        if not lost:
            lost.append(1)
            User.objects.update(is_staff=False)
            server.recheck()
            settle(server)

    class Vault(Namespace):
        def on_enter(self, sid: str) -> None:
            assert self.user(sid).is_staff
            if when == "before the rule":
                lose()
            self.enter_room(sid, "vault")

        def may_enter_room(self, request: Any, room: Any) -> bool:
            may = bool(request.user.is_staff)
            lose()
            return may

    lost: list[int] = []
    server.register_namespace(Vault("/vault"))
    page = visit(server, "/vault", sign_in(ann))
    assert page.ask("enter", namespace="/vault")[0]["error"]["code"] == "room_denied"
    assert "vault" not in server.rooms(page.sid, "/vault")


def test_what_is_rolled_back_has_not_happened(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]
) -> None:
    server = make()
    page = visit(server, "/members", sign_in(ann))
    with transaction.atomic():
        Session.objects.all().delete()
        transaction.set_rollback(True)
    settle(server)
    assert not page.is_closed


def test_a_project_that_manages_transactions_itself_can_save_its_users(people: type[User], ann: User) -> None:
    """Django's `on_commit` raises there."""
    told: list[Change] = []
    signals = Signals(told.append)
    signals.connect()
    transaction.set_autocommit(False)
    try:
        ann.save()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert told == [Change(users=frozenset({str(ann.pk)}))]


@pytest.mark.parametrize("fields", [["last_login"], ["username"], None], ids=repr)
def test_a_change_that_takes_nothing_away_harms_nobody(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], fields: list[str] | None
) -> None:
    server = make()
    page = visit(server, "/members", sign_in(ann))
    ann.save(update_fields=fields)
    settle(server)
    assert not page.is_closed


def test_what_this_process_hears_is_passed_on_to_the_others(
    make: Callable[..., Server], ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make()
    passed_on: list[Any] = []
    monkeypatch.setattr(server.manager, "publish_change", passed_on.append)
    deactivate(ann)
    assert eventually(lambda: passed_on == [Change(users=frozenset({str(ann.pk)})).as_message()])


# What sends no signal


@pytest.mark.parametrize(
    "change",
    [
        lambda user: User.objects.update(is_active=False),
        lambda user: User.objects.update(password="!"),
        lambda user: (
            User.user_permissions.through.objects.all()._raw_delete("default"),
            User.objects.all()._raw_delete("default"),
        ),
        lambda user: Session.objects.all()._raw_delete("default"),
        lambda user: User.user_permissions.through.objects.all().delete(),
    ],
    ids=["inactive", "password", "deleted", "session", "permission"],
)
def test_the_sweep_finds_what_sends_no_signal(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], change: Callable[[User], object]
) -> None:
    server = make(RIGHTS_SWEEP=0.05)
    ann.user_permissions.add(Permission.objects.get(codename="change_group"))
    page = visit(server, "/editors", sign_in(ann))
    change(ann)
    assert eventually(lambda: page.is_closed)


def test_the_sweep_leaves_others_alone_and_asks_little(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make()
    group = Group.objects.create(name="editors")
    group.permissions.add(Permission.objects.get(codename="change_group"))
    ann.groups.add(group)
    pages = [visit(server, "/editors", sign_in(ann)) for _ in range(3)]
    watch = server.clients.revocation
    verified: list[Any] = []
    monkeypatch.setattr(watch, "_verify", lambda clients: verified.extend(clients))
    watch._next_sweep = 0
    assert eventually(lambda: watch._next_sweep)
    settle(server)
    assert verified == []
    assert not any(page.is_closed for page in pages)


def test_a_recheck_may_be_asked_for(make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]) -> None:
    server = make()
    bob = User.objects.create_user("bob")
    page, other = visit(server, "/open", sign_in(ann)), visit(server, "/open", sign_in(bob))
    User.objects.update(is_active=False)
    server.recheck(ann)
    assert eventually(lambda: page.is_closed)
    assert not other.is_closed
    server.recheck()
    assert eventually(lambda: other.is_closed)


class Club(Namespace):
    """Whoever is banned may not be here, and some rooms are closed, whoever asks."""

    def __init__(self) -> None:
        super().__init__("/club")
        self.closed: set[Any] = set()

    def may_enter_room(self, request: Any, room: Any) -> bool:
        return room not in self.closed

    def removed_from_room(self, sid: str, room: Any) -> None:
        self.emit("removed", {"room": room}, to=sid)


@pytest.fixture
def club(make: Callable[..., Server]) -> Server:
    server = make()
    server.register_namespace(request_passes_test(lambda request: "banned" not in request.COOKIES)(Club)())
    return server


def inside(server: Server, room: Any, **headers: str) -> Page:
    """Connect somebody who is in a room of the club."""
    page = visit(server, "/club", headers)
    server.enter_room(page.sids["/club"], room, "/club")
    return page


@pytest.mark.parametrize("whom", ["bar", "everybody", "sid"])
def test_strangers_leave_a_room_too_when_a_recheck_asks_about_it(club: Server, people: Any, whom: str) -> None:
    page = inside(club, "bar")
    sid = page.sids["/club"]
    club.enter_room(sid, "garden", "/club")
    club._namespaces["/club"].closed = {"bar"}  # type: ignore[attr-defined]
    club.recheck(*{"bar": ["bar"], "everybody": [], "sid": [sid]}[whom])
    assert eventually(lambda: "bar" not in club.rooms(sid, "/club"))
    assert page.next().data == ["removed", {"room": "bar"}]
    assert page.arrived() == []
    assert "garden" in club.rooms(sid, "/club")
    assert not page.is_closed


def test_a_recheck_of_an_object_is_about_those_who_watch_it(club: Server, people: Any) -> None:
    watched, other = Group.objects.create(name="watched"), Group.objects.create(name="other")
    pages = [inside(club, group) for group in (watched, other)]
    sids = [page.sids["/club"] for page in pages]
    club._namespaces["/club"].closed = {topics.topic(watched), topics.topic(other)}  # type: ignore[attr-defined]
    club.recheck(watched)
    assert eventually(lambda: topics.topic(watched) not in club.rooms(sids[0], "/club"))
    assert topics.topic(other) in club.rooms(sids[1], "/club")


def test_a_stranger_whom_the_guards_do_not_let_pass_any_more_is_closed(club: Server, people: Any) -> None:
    pages = [inside(club, "bar"), inside(club, "garden")]
    for page in pages:
        client = club.manager.find(page.sids["/club"], "/club")
        client.environ["HTTP_COOKIE"] = "banned=1"
    club.recheck("bar")
    assert eventually(lambda: pages[0].is_closed)
    assert not pages[1].is_closed


def test_a_strangers_session_that_is_none_closes_nobody(club: Server, people: Any) -> None:
    page = inside(club, "bar", HTTP_COOKIE="sessionid=" + "x" * 32)
    club.clients.revocation._next_sweep = 0
    assert eventually(lambda: club.clients.revocation._next_sweep)
    club.recheck()
    settle(club)
    assert not page.is_closed


def test_a_stranger_who_was_shut_out_while_joining_is_closed(club: Server, people: Any) -> None:
    @club.on("connect", namespace="/club")
    def connect(sid: str, environ: dict[str, Any]) -> None:
        environ["HTTP_COOKIE"] = "banned=1"

    page = Page(club.handle_request, club.eio)
    page.join("/club")
    assert eventually(lambda: page.is_closed)


def test_strangers_are_not_watched_where_there_are_no_rules(make: Callable[..., Server], people: Any) -> None:
    server = make()
    visit(server, "/open", {})
    assert not server.clients.revocation._is_running


def test_a_page_that_cannot_be_told_has_left_its_room(
    club: Server, people: Any, caplog: pytest.LogCaptureFixture
) -> None:
    page, other = inside(club, "bar"), inside(club, "bar")
    chat = club._namespaces["/club"]
    chat.closed = {"bar"}  # type: ignore[attr-defined]
    club.table.set_terms("/club", removed_from_room=lambda sid, room: 1 / 0)
    club.recheck("bar")
    for each in (page, other):
        assert eventually(lambda sid=each.sids["/club"]: "bar" not in club.rooms(sid, "/club"))
    assert eventually(lambda: caplog.text.count("'removed_from_room' of /club") == 2)


@pytest.mark.parametrize(
    "change",
    [
        Change(),
        Change(users=None),
        Change(rooms=None),
        Change(frozenset({"1", "2"}), frozenset({"session"}), frozenset({"bar", "garden"})),
    ],
    ids=repr,
)
def test_a_change_is_the_same_in_other_processes(change: Change) -> None:
    assert Change.from_message(json.loads(json.dumps(change.as_message()))) == change


# Expiry


def test_a_session_that_expires_closes_its_clients_then(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]
) -> None:
    server = make()
    headers = sign_in(ann)
    Session.objects.update(expire_date=timezone.now() + timezone.timedelta(seconds=0.4))
    page = visit(server, "/members", headers)
    assert not page.is_closed
    assert eventually(lambda: page.is_closed)


@pytest.mark.parametrize("who", ["user", "guest"])
@pytest.mark.parametrize("engine", ["db", "cached_db", "cache", "file", "signed_cookies", "own"])
def test_a_session_of_any_kind_closes_its_clients_when_it_expires(
    make: Callable[..., Server],
    ann: User,
    sign_in: Callable[..., Any],
    engine: str,
    who: str,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not before, not much later, and no sweep is needed."""
    server = make()
    path = "tests.ownsessions" if engine == "own" else f"django.contrib.sessions.backends.{engine}"
    monkeypatch.setattr(FileStore, "_storage_path", str(tmp_path), raising=False)
    with override_settings(SESSION_ENGINE=path, SESSION_COOKIE_AGE=AGE):
        started = time.time()
        page = visit(server, "/open", sign_in(ann) if who == "user" else guest())
        earliest = started + AGE - (1 if engine in ("file", "signed_cookies") else 0)  # they count whole seconds
        assert eventually(lambda: page.is_closed)
        assert earliest - 0.05 < time.time() < started + AGE + 1


@pytest.mark.parametrize(
    "end",
    [
        lambda: Session.objects.get().delete(),
        lambda: log_out(None),
        lambda: Session.objects.all()._raw_delete("default"),
    ],
    ids=["deleted", "logout", "deleted-in-sql"],
)
def test_the_end_of_a_guests_session_closes_its_clients_too(
    make: Callable[..., Server], people: Any, end: Callable[[], object]
) -> None:
    server = make(RIGHTS_SWEEP=0.1)
    page, other = visit(server, "/open", guest()), visit(server, "/open", {})
    settle(server)
    assert not page.is_closed
    end()
    assert eventually(lambda: page.is_closed)
    assert not other.is_closed


def test_a_guest_who_signs_in_comes_back_as_the_user(make: Callable[..., Server], ann: User) -> None:
    """Django gives it another session, so the one with which it connected ends."""
    server = make()
    headers = guest()
    page = visit(server, "/open", headers)
    browser = Client()
    browser.cookies["sessionid"] = headers["HTTP_COOKIE"].removeprefix("sessionid=")
    browser.force_login(ann)
    assert eventually(lambda: page.is_closed)
    again = visit(server, "/open", {"HTTP_COOKIE": f"sessionid={browser.cookies['sessionid'].value}"})
    assert server.user(again.sid, "/open") == ann


def test_a_logout_reaches_pages_that_connected_with_an_earlier_cookie(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]
) -> None:
    """Sessions in cookies have a new key whenever they are saved."""
    server = make()
    bob = User.objects.create_user("bob")
    with override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
        page, other = visit(server, "/open", sign_in(ann)), visit(server, "/open", sign_in(bob))
        browser = Client()
        browser.force_login(ann)
        browser.logout()
        assert eventually(lambda: page.is_closed)
        settle(server)
        assert not other.is_closed


def test_a_session_that_was_prolonged_does_not_end(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]
) -> None:
    server = make()
    headers = sign_in(ann)
    Session.objects.update(expire_date=timezone.now() + timezone.timedelta(seconds=0.4))
    page = visit(server, "/members", headers)
    Session.objects.update(expire_date=timezone.now() + timezone.timedelta(seconds=60))
    watch = server.clients.revocation
    assert eventually(lambda: watch._expiries and watch._expiries[0][0] > time.time() + 30)
    assert not page.is_closed


def test_a_jwt_that_expires_closes_its_client_then(
    make: Callable[..., Server], ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a key that is long enough for HS256"
    monkeypatch.setattr("dtws_sio.authenticators.JWTAuthenticator.verification_key", key)
    server = make(AUTHENTICATORS=["dtws_sio.authenticators.JWTAuthenticator"])
    token = jwt.encode({"sub": str(ann.pk), "exp": time.time() + 1.2}, key)
    page = visit(server, "/members", {}, {"token": token})
    assert not page.is_closed
    assert eventually(lambda: page.is_closed)


def test_a_client_with_a_token_is_watched_too(make: Callable[..., Server], ann: User) -> None:
    server = make(AUTHENTICATORS=["dtws_sio.authenticators.SignedTokenAuthenticator"])
    page = visit(server, "/members", {}, {"token": make_token(ann)})
    change_password(ann)
    assert eventually(lambda: page.is_closed)


@pytest.mark.parametrize("engine", ["cached_db", "cache", "signed_cookies", "file"])
def test_sessions_of_every_kind_are_followed(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], engine: str, tmp_path: Any
) -> None:
    server = make()
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}", SESSION_FILE_PATH=tmp_path):
        page = visit(server, "/members", sign_in(ann))
        watch = server.clients.revocation
        watch._next_sweep = 0
        settle(server)
        assert not page.is_closed
        deactivate(ann)
        assert eventually(lambda: page.is_closed)


# The loop


def test_what_was_lost_while_a_client_joined_counts(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]
) -> None:
    """Its user is switched off after it was recognised, and nobody is told."""
    server = make()
    server.on("connect", lambda sid, environ: User.objects.update(is_active=False), "/members")
    page = Page(server.handle_request, server.eio, **sign_in(ann))
    page.join("/members")
    assert eventually(lambda: page.is_closed)


def test_a_second_client_of_a_user_does_not_hide_a_change_from_the_sweep(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any]
) -> None:
    server = make(RIGHTS_SWEEP=0.3)
    first = visit(server, "/library", sign_in(ann))
    server.enter_room(first.sid, "archive", "/library")
    User.objects.update(is_staff=False)
    visit(server, "/library", sign_in(ann))
    assert eventually(lambda: "archive" not in server.rooms(first.sid, "/library"))
    assert not first.is_closed


def test_nothing_is_forgotten_while_the_database_does_not_answer(
    make: Callable[..., Server],
    ann: User,
    sign_in: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make()
    bob = User.objects.create_user("bob")
    page, other = visit(server, "/members", sign_in(ann)), visit(server, "/members", sign_in(bob))
    failures: list[int] = []

    def fail(*args: Any) -> None:
        failures.append(1)
        raise OperationalError("the server closed the connection")

    with monkeypatch.context() as broken:
        broken.setattr(bulk, "prepare", fail)
        deactivate(ann)
        assert eventually(lambda: len(failures) > 3)
        assert not page.is_closed
    assert eventually(lambda: page.is_closed)
    settle(server)
    assert not other.is_closed
    lines = [each.getMessage() for each in caplog.records if each.name == "dtws_sio.security"]
    told = [line for line in lines if line.startswith("the rights")]
    assert told == [
        "the rights of clients cannot be looked at now; trying on",
        "the rights of clients are looked at again",
    ]


@pytest.mark.parametrize("where", ["guard", "rule", "proof"])
@pytest.mark.parametrize("error", [PermissionDenied(), RuntimeError("broken")], ids=repr)
def test_a_condition_that_fails_closes_its_client_and_holds_up_nobody(
    make: Callable[..., Server],
    ann: User,
    sign_in: Callable[..., Any],
    where: str,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_broken: list[bool] = []

    def check(request: Any, *rest: Any) -> bool:
        if is_broken and request.COOKIES["sessionid"] in headers["HTTP_COOKIE"]:
            raise error
        return True

    class Proof(SessionAuthenticator):
        def load(self, identity: Any, request: Any) -> Any:
            return super().load(identity, request) if where != "proof" or check(request) else None

    @request_passes_test(lambda request: where != "guard" or check(request))
    class Fragile(Namespace):
        authenticators = (Proof(),)

        def may_enter_room(self, request: Any, room: Any) -> bool:
            return where != "rule" or check(request)

    server = make()
    server.register_namespace(Fragile("/fragile"))
    bob = User.objects.create_user("bob")
    headers = sign_in(ann)
    broken, other = visit(server, "/fragile", headers), visit(server, "/members", sign_in(bob))
    server.enter_room(broken.sid, "blue", "/fragile")
    is_broken.append(True)
    server.recheck()
    deactivate(bob)
    assert eventually(lambda: broken.is_closed and other.is_closed)


def test_the_loop_survives_a_failure_and_ends_with_the_last_client(
    make: Callable[..., Server],
    ann: User,
    sign_in: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make()
    page = visit(server, "/open", sign_in(ann))
    watch = server.clients.revocation
    with monkeypatch.context() as broken:
        broken.setattr(watch, "_end_expired", lambda: 1 / 0)
        assert eventually(lambda: "the rights of clients cannot be looked at" in caplog.text)
    deactivate(ann)
    assert eventually(lambda: page.is_closed)
    assert eventually(lambda: not watch._is_running)
    assert not watch._clients


def test_strangers_are_not_watched(make: Callable[..., Server], people: Any) -> None:
    server = make()
    Page(server.handle_request, server.eio).join("/open")
    assert not server.clients.revocation._is_running


def test_a_publisher_without_a_queue_has_nobody_to_tell(
    publisher: Server, ann: User, caplog: pytest.LogCaptureFixture
) -> None:
    signals = Signals(publisher._signalled)
    signals.connect()
    deactivate(ann)
    call_command("check")
    assert not caplog.records


class TimeoutOfEventlet(BaseException):
    """What bounds calls there is no Exception."""


@pytest.mark.parametrize("where", ["rule", "proof"])
def test_a_timeout_in_code_of_the_project_ends_neither_the_loop_nor_its_workers(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], where: str
) -> None:
    is_slow: list[bool] = []

    def wait() -> None:
        if is_slow:
            raise TimeoutOfEventlet

    class Proof(SessionAuthenticator):
        def load(self, identity: Any, request: Any) -> Any:
            if where == "proof":
                wait()
            return super().load(identity, request)

    class Slow(Namespace):
        authenticators = (Proof(),)

        def may_enter_room(self, request: Any, room: Any) -> bool:
            if where == "rule":
                wait()
            return True

    server = make()
    server.register_namespace(Slow("/slow"))
    bob = User.objects.create_user("bob")
    other = visit(server, "/members", sign_in(bob))
    slow = [visit(server, "/slow", sign_in(ann)) for _ in range(6)]
    for page in slow:
        server.enter_room(page.sid, "blue", "/slow")
    is_slow.append(True)
    server.recheck(ann)
    assert eventually(lambda: all(page.is_closed for page in slow))
    deactivate(bob)
    assert eventually(lambda: other.is_closed)


def test_a_rule_whose_own_database_is_away_holds_up_nobody(
    make: Callable[..., Server], ann: User, sign_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clients stay, and are asked about again; all others are looked at as ever."""
    monkeypatch.setattr(revocation, "PAUSE", 0.3)
    asked: list[bool] = []
    is_away: list[bool] = []

    class Elsewhere(Namespace):
        def may_enter_room(self, request: Any, room: Any) -> bool:
            if is_away:
                asked.append(True)
                raise OperationalError("no route to host")
            return not asked

    server = make()
    server.register_namespace(Elsewhere("/elsewhere"))
    bob = User.objects.create_user("bob")
    page, other = visit(server, "/elsewhere", sign_in(ann)), visit(server, "/members", sign_in(bob))
    server.enter_room(page.sid, "blue", "/elsewhere")
    is_away.append(True)
    server.recheck(ann)
    assert eventually(lambda: asked)
    before = len(asked)
    started = time.monotonic()
    deactivate(bob)
    assert eventually(lambda: other.is_closed)
    assert time.monotonic() - started < 0.3
    assert eventually(lambda: len(asked) > before + 1), "it is tried again"
    assert not page.is_closed
    is_away.clear()
    assert eventually(lambda: "blue" not in server.rooms(page.sid, "/elsewhere"))


def test_what_is_urgent_leaves_place_for_the_rest(make: Callable[..., Server], ann: User) -> None:
    server = make()
    watch = server.clients.revocation
    verified: list[Any] = []
    watch._verify = verified.extend  # type: ignore[method-assign, assignment]
    urgent, others = (dict.fromkeys(range(start, start + 1000)) for start in (0, 5000))
    watch._urgent.update(urgent)  # type: ignore[arg-type]
    watch._waiting.update(others)  # type: ignore[arg-type]
    watch._verify_some()
    assert (len([each for each in verified if each < 5000]), len(verified)) == (
        revocation.URGENT_SHARE,
        revocation.BATCH,
    )
    verified.clear()
    watch._urgent.clear()
    watch._verify_some()
    assert len(verified) == revocation.BATCH
    watch._waiting.clear()


def test_a_token_beside_a_session_ends_at_its_own_time(make: Callable[..., Server], ann: User) -> None:
    class Both(identity.Authenticator):
        def recognise(self, request: Any, auth: Any) -> identity.Identity:
            return identity.Identity(self, str(ann.pk), auth["session"], expires=time.time() + auth["seconds"])

    server = make()
    server.register_namespace(type("Machines", (Namespace,), {"authenticators": (Both(),)})("/machines"))
    session = import_module(django_settings.SESSION_ENGINE).SessionStore()
    session["basket"] = [1]
    session.save()
    Session.objects.update(expire_date=timezone.now() + timezone.timedelta(seconds=0.3))
    auths = [{"session": session.session_key, "seconds": seconds} for seconds in (60, 0.6)]
    long, short = (visit(server, "/machines", {}, auth) for auth in auths)
    Session.objects.update(expire_date=timezone.now() + timezone.timedelta(seconds=60))
    assert eventually(lambda: short.is_closed)
    settle(server)
    assert not long.is_closed


def test_a_token_expires_although_the_database_is_away(
    make: Callable[..., Server], ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a key that is long enough for HS256"
    monkeypatch.setattr("dtws_sio.authenticators.JWTAuthenticator.verification_key", key)
    server = make(AUTHENTICATORS=["dtws_sio.authenticators.JWTAuthenticator"])
    token = jwt.encode({"sub": str(ann.pk), "exp": time.time() + 1.2}, key)
    page = visit(server, "/members", {}, {"token": token})

    def fail(*args: Any) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(bulk, "rights", fail)
    monkeypatch.setattr(bulk, "prepare", fail)
    server.recheck()
    assert not page.is_closed
    assert eventually(lambda: page.is_closed)
