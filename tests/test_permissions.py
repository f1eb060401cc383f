"""Who may send what, and who may be where; rows S-04, W-D7 and W-F7."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.decorators import login_required as django_login_required
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db.backends.signals import connection_created
from django.test import override_settings
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy

from dtws_sio import EventError, Namespace, concurrent
from dtws_sio.authenticators import SignedTokenAuthenticator, make_token
from dtws_sio.exceptions import (
    DecoratorOrderError,
    NotCallableError,
    PermissionDeniedError,
    RoomNameError,
    SignatureError,
)
from dtws_sio.limits import rate_limit
from dtws_sio.permissions import (
    Guard,
    guards_of,
    login_required,
    permission_required,
    request_passes_test,
    user_passes_test,
)
from tests.page import CONNECT, CONNECT_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.server import Server
    from tests.page import Page

SIGN_IN = {"code": "login_required", "message": "Please sign in."}
YES = gettext_lazy("Yes")
"""A word that Django itself has translations of."""

DENIED = {"code": "permission_denied", "message": "You may not do this."}


@pytest.fixture
def ann(people: type[User]) -> User:
    return people.objects.create_user("ann")


def change_group() -> Permission:
    return Permission.objects.get(codename="change_group")


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "dtws_sio.security"]


# Handlers


def test_a_decorated_function_is_the_same_function() -> None:
    def handler(sid: str) -> None: ...

    assert login_required(handler) is handler
    assert all(isinstance(guard, Guard) for guard in guards_of(handler))


def test_only_signed_in_users_may_send_it(
    visit: Callable[..., Page],
    server: Server,
    ann: User,
    sign_in: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran: list[str] = []

    @server.event
    @login_required
    def order(sid: str) -> str:
        ran.append(sid)
        return "done"

    stranger, member = visit("/"), visit("/", **sign_in(ann))
    assert stranger.ask("order") == [{"error": SIGN_IN}]
    assert member.ask("order") == ["done"]
    assert ran == [member.sid]
    assert refusals(caplog) == [f"denied 'order' of / from {stranger.sid}: login_required"]


@pytest.mark.parametrize(
    ("decorate", "may"),
    [
        (permission_required("auth.change_group"), True),
        (permission_required(["auth.change_group"]), True),
        (permission_required(("auth.change_group", "auth.add_group")), False),
        (permission_required("auth.add_group"), False),
        (user_passes_test(lambda user: user.username == "ann"), True),
        (user_passes_test(lambda user: user.is_staff), False),
        (request_passes_test(lambda request: request.META["REMOTE_ADDR"] == "192.0.2.1"), True),
        (request_passes_test(lambda request, number: number == 1), True),
        (request_passes_test(lambda request, *data: data == (2,)), False),
        (login_required, True),
    ],
)
def test_each_condition_decides_row_s_04(
    visit: Callable[..., Page],
    server: Server,
    ann: User,
    sign_in: Callable[..., Any],
    decorate: Callable[..., Any],
    may: bool,
) -> None:
    ann.user_permissions.add(change_group())
    server.on("order", decorate(lambda sid, number: number))
    assert visit("/", **sign_in(ann)).ask("order", 1) == [1 if may else {"error": DENIED}]


def test_all_conditions_are_asked_in_the_order_in_which_they_stand(
    visit: Callable[..., Page], server: Server, people: Any
) -> None:
    asked: list[str] = []

    @server.event
    @user_passes_test(lambda user: asked.append("first") is None)
    @user_passes_test(lambda user: asked.append("second") is not None, message="second")
    @user_passes_test(lambda user: asked.append("third") is None)
    def order(sid: str) -> None: ...

    assert visit("/").ask("order") == [{"error": {**DENIED, "message": "second"}}]
    assert asked == ["first", "second"]


def test_rights_count_as_they_are_at_the_event(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    server.on("order", permission_required("auth.change_group")(lambda sid: "done"))
    page = visit("/", **sign_in(ann))
    answers = [page.ask("order")]
    ann.user_permissions.add(change_group())
    answers.append(page.ask("order"))
    User.objects.update(is_active=False)
    answers.append(page.ask("order"))
    assert answers == [[{"error": DENIED}], ["done"], [{"error": DENIED}]]


class OwnGroups(ModelBackend):
    """Lets a user change the groups that it is in."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return obj is not None and user_obj.groups.filter(pk=obj.pk).exists()


BACKENDS = ["django.contrib.auth.backends.ModelBackend", f"{__name__}.OwnGroups"]


@pytest.mark.parametrize("number", [0, 99, "x", None, [], {"a": 1}], ids=repr)
def test_rights_on_single_objects_are_asked_with_the_object(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any], number: Any
) -> None:
    own, other = Group.objects.create(name="own"), Group.objects.create(name="other")
    ann.groups.add(own)

    @server.event
    @permission_required("auth.change_group", of=lambda pk: Group.objects.get(pk=pk))
    def rename(sid: str, pk: int) -> str:
        return Group.objects.get(pk=pk).name

    with override_settings(AUTHENTICATION_BACKENDS=BACKENDS):
        page = visit("/", **sign_in(ann))
        assert page.ask("rename", own.pk) == ["own"]
        assert page.ask("rename", other.pk) == [{"error": DENIED}]
        assert page.ask("rename", number) == [{"error": DENIED}], "whether it exists is not told"


def test_djangos_own_error_is_a_denial_too(
    visit: Callable[..., Page], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    @server.event
    def order(sid: str, why: str) -> None:
        raise PermissionDenied(why)

    page = visit("/")
    assert page.ask("order", "Closed today.") == [{"error": {**DENIED, "message": "Closed today."}}]
    assert page.ask("order", "") == [{"error": DENIED}]
    assert len(refusals(caplog)) == 1, "the second is counted, and told a minute later"
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_condition_that_fails_denies_and_is_logged(
    visit: Callable[..., Page], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []
    server.on("order", user_passes_test(lambda user: user.no_such_thing)(lambda sid: ran.append(1)))
    assert visit("/").ask("order")[0]["error"]["code"] == "handler_failed"
    assert not ran
    assert [record.levelno for record in caplog.records if record.name == "dtws_sio.events"] == [logging.ERROR]


def test_catch_all_handlers_are_guarded_with_what_came(visit: Callable[..., Page], server: Server) -> None:
    server.on("*", request_passes_test(lambda request, number: number == 1)(lambda event, sid, number: number))
    page = visit("/")
    assert page.ask("any", 1) == [1]
    assert page.ask("any", 2) == [{"error": DENIED}]


# Namespaces


@login_required
class Members(Namespace):
    def on_order(self, sid: str) -> str:
        return "done"


@permission_required("auth.change_group", message="For editors.")
class Editors(Members):
    def on_connect(self, sid: str, environ: Any) -> None:
        self.save_session(sid, {"user": self.user(sid).username})


def test_a_namespace_lets_only_those_in_who_pass(
    visit: Callable[..., Page],
    server: Server,
    ann: User,
    sign_in: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.register_namespace(Members("/members"))
    answer = visit().join("/members")
    assert (answer.type, answer.data) == (
        CONNECT_ERROR,
        {"message": SIGN_IN["message"], "data": {"code": SIGN_IN["code"]}},
    )
    assert len(refusals(caplog)) == 1
    page = visit("/members", **sign_in(ann))
    assert page.ask("order", namespace="/members") == ["done"]


def test_conditions_of_a_class_are_inherited_and_do_not_show_in_its_parent(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    server.register_namespace(Members("/members"))
    server.register_namespace(Editors("/editors"))
    headers = sign_in(ann)
    assert visit(**headers).join("/members").type == CONNECT
    assert visit(**headers).join("/editors").data["message"] == "For editors."
    assert visit().join("/editors").data["message"] == "For editors."
    ann.user_permissions.add(change_group())
    assert visit(**headers).join("/editors").type == CONNECT


def test_a_namespace_asks_at_each_event_too(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    server.register_namespace(Members("/members"))
    page = visit("/members", **sign_in(ann))
    User.objects.update(is_active=False)
    assert page.ask("order", namespace="/members") == [{"error": SIGN_IN}]


def test_a_connect_handler_may_be_guarded(visit: Callable[..., Page], server: Server) -> None:
    ran: list[int] = []
    server.on("connect", login_required(lambda sid, environ: ran.append(1)))
    assert visit().join().type == CONNECT_ERROR
    assert not ran


# Rooms


class Library(Namespace):
    def may_enter_room(self, request: Any, room: Any) -> bool:
        return room != "archive" or bool(request.user.is_staff)

    def on_read(self, sid: str, room: Any) -> str:
        self.enter_room(sid, room)
        return "reading"


def test_a_rule_decides_who_may_enter_a_room(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    server.register_namespace(Library("/library"))
    page = visit("/library", **sign_in(ann))
    assert page.ask("read", "novels", namespace="/library") == ["reading"]
    answer = page.ask("read", "archive", namespace="/library")
    assert answer == [{"error": {"code": "room_denied", "message": "You may not enter this room."}}]
    assert len(refusals(caplog)) == 1
    User.objects.update(is_staff=True)
    assert page.ask("read", "archive", namespace="/library") == ["reading"]


def test_a_rule_may_be_a_function(visit: Callable[..., Page], server: Server, people: Any) -> None:
    @server.room_rule
    def may_enter(request: Any, room: Any) -> bool:
        return room == "open"

    page = visit("/")
    server.enter_room(page.sid, "open")
    with pytest.raises(PermissionDeniedError, match="may not enter"):
        server.enter_room(page.sid, "closed")
    assert set(server.rooms(page.sid)) == {page.sid, "open"}


def test_no_name_that_a_client_sends_is_a_topic(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    server.register_namespace(Library("/library"))
    spy, ann_page = visit("/library"), visit("/library", **sign_in(ann))
    answer = spy.ask("read", f"dtws_sio:auth.user:{ann.pk}", namespace="/library")
    assert answer[0]["error"]["code"] == "room_denied"
    server.emit("secret", 1, to=ann, namespace="/library")
    assert [event.data for event in spy.arrived()] == []
    assert [event.data for event in ann_page.arrived()] == [["secret", 1]]
    with pytest.raises(RoomNameError, match="kept for topics"):
        server.enter_room(spy.sid, "dtws_sio:x", namespace="/library")


@pytest.mark.parametrize("room", [None, [], {"a": 1}, ["x"]], ids=repr)
def test_what_can_name_no_room_is_refused_as_the_clients_fault(
    visit: Callable[..., Page], server: Server, room: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @server.event
    def act(sid: str, name: str, room: Any) -> None:
        getattr(server, name)(*([room] if name == "close_room" else [sid, room]))

    page, other = visit("/"), visit("/")
    for name in ("enter_room", "leave_room", "close_room"):
        assert page.ask("act", name, room)[0]["error"]["code"] == "room_denied"
    server.emit("news", 1)
    assert [event.data for event in other.arrived()] == [["news", 1]]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# Namespaces that nobody registered


@login_required
class Anywhere(Namespace):
    """Whatever the namespace is called, only users may be there, and nobody in the cellar."""

    def may_enter_room(self, request: Any, room: Any) -> bool:
        return room != "cellar"

    def on_secret(self, namespace: str, sid: str) -> str:
        return "told"


def test_who_catches_all_namespaces_guards_them_all(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    server.register_namespace(Anywhere("*"))
    answer = visit().join("/made-up")
    assert (answer.type, answer.data["data"]) == (CONNECT_ERROR, {"code": "login_required"})
    page = visit("/made-up", **sign_in(ann))
    assert page.ask("secret", namespace="/made-up") == ["told"]
    with pytest.raises(PermissionDeniedError):
        server.enter_room(page.sid, "cellar", namespace="/made-up")


def test_its_conditions_go_with_its_handlers_into_namespaces_of_others(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    """A namespace that somebody registered has terms of its own, but some events only "*" handles."""
    server.register_namespace(Anywhere("*"))
    server.on("echo", lambda sid, word: word, "/open")
    stranger, member = visit("/open"), visit("/open", **sign_in(ann))
    assert stranger.ask("echo", "hello", namespace="/open") == ["hello"]
    assert stranger.ask("secret", namespace="/open") == [{"error": SIGN_IN}]
    assert member.ask("secret", namespace="/open") == ["told"]


def test_who_catches_all_namespaces_may_have_proofs_of_its_own(
    visit: Callable[..., Page], server: Server, ann: User, people: Any
) -> None:
    class Machines(Anywhere):
        authenticators = (SignedTokenAuthenticator(),)

    server.register_namespace(Machines("*"))
    page = visit()
    assert page.join("/press", {"token": make_token(ann)}).type == CONNECT


# Decorators in the wrong place


@pytest.mark.parametrize("decorator", [login_required, rate_limit("1/m"), concurrent], ids=["guard", "limit", "mark"])
def test_a_decorator_that_comes_too_late_is_an_error(server: Server, decorator: Callable[[Any], Any]) -> None:
    def register(decorate: Callable[[Any], Any]) -> Any:
        @decorate
        @server.on("order")
        def order(sid: str) -> str:
            return "done"

        return order

    with pytest.raises(DecoratorOrderError, match=r"order' was decorated after .* below @sio.event"):
        register(decorator)


def test_djangos_decorators_for_views_are_refused(server: Server) -> None:
    @django_login_required
    def order(sid: str) -> None: ...

    class Shop(Namespace):
        @method_decorator(django_login_required)
        def on_order(self, sid: str) -> None: ...

    for register in (lambda: server.on("order", order), lambda: server.register_namespace(Shop("/shop"))):
        with pytest.raises(SignatureError, match=r"order.* has a decorator that Django made for views"):
            register()


# What the page may show


@pytest.mark.parametrize("how", ["guard", "guard of the class", "error", "django", "connect"])
def test_a_refusal_speaks_the_language_of_its_client(
    visit: Callable[..., Page], server: Server, people: Any, how: str
) -> None:
    class Shop(Namespace):
        def on_connect(self, sid: str, environ: Any) -> None:
            if how == "connect":
                raise PermissionDenied(YES)

        def on_order(self, sid: str) -> None:
            if how != "guard":
                raise EventError(YES, code="x") if how == "error" else PermissionDenied(YES)

    never = user_passes_test(lambda user: False, message=YES)
    if how == "guard":
        never(Shop.on_order)
    server.register_namespace((never(Shop) if how == "guard of the class" else Shop)("/shop"))
    page = visit(HTTP_ACCEPT_LANGUAGE="de")
    answer = page.join("/shop")
    if answer.type == CONNECT_ERROR:
        assert (how in ("guard of the class", "connect"), answer.data["message"]) == (True, "Ja")
    else:
        assert page.ask("order", namespace="/shop")[0]["error"]["message"] == "Ja"


def test_a_limit_by_user_costs_no_query(
    visit: Callable[..., Page], server: Server, ann: User, sign_in: Callable[..., Any]
) -> None:
    server.on("order", rate_limit("2/h")(lambda sid: "done"))
    first, second = (visit("/", **sign_in(ann)) for _ in range(2))
    queries: list[str] = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    connection_created.connect(watch := lambda connection, **kwargs: connection.execute_wrappers.append(count))
    answers = [page.ask("order") for page in (first, second, first, second)]
    connection_created.disconnect(watch)
    assert [isinstance(answer[0], dict) for answer in answers] == [False, False, True, True], "they share a bucket"
    assert queries == []


def test_only_functions_and_classes_are_decorated(server: Server) -> None:
    with pytest.raises(NotCallableError, match="decorate the class of a namespace, not its instance"):
        login_required(Library("/library"))  # type: ignore[type-var]
