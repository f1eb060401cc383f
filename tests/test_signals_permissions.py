"""Who may call a signal from a page; row S-04."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from dtws_sio.exceptions import NotCallableError
from dtws_sio.signals import (
    WindowInfo,
    all_of,
    any_of,
    everyone,
    has_perm,
    is_anonymous,
    is_authenticated,
    is_staff,
    is_superuser,
    server_side,
)
from dtws_sio.signals.permissions import needs_user

USERS: dict[str, dict[str, Any]] = {
    "stranger": {},
    "user": {},
    "staff": {"is_staff": True},
    "superuser": {"is_superuser": True},
    "gone": {"is_staff": True, "is_superuser": True, "is_active": False},
}


def window(user: User | None) -> WindowInfo:
    info = WindowInfo()
    if user is not None:
        info._user_key = str(user.pk)
    return info


@pytest.mark.parametrize(
    ("permission", "passes"),
    [
        (server_side, []),
        (everyone, ["stranger", "user", "staff", "superuser", "gone"]),
        (is_authenticated, ["user", "staff", "superuser"]),
        (is_anonymous, ["stranger", "gone"]),
        (is_staff, ["staff"]),
        (is_superuser, ["superuser"]),
        (has_perm("auth.change_group"), ["superuser"]),
        (any_of(is_staff, is_superuser), ["staff", "superuser"]),
        (any_of(is_anonymous, is_staff), ["stranger", "staff", "gone"]),
        (all_of(is_staff, is_superuser), []),
        (all_of(is_authenticated, everyone), ["user", "staff", "superuser"]),
        (all_of(any_of(is_staff, is_superuser), lambda *_: True), ["staff", "superuser"]),
    ],
    ids=repr,
)
def test_a_permission_lets_those_pass_and_nobody_else_row_s_04(
    people: type[User], permission: Any, passes: list[str]
) -> None:
    for name, fields in USERS.items():
        user = None if name == "stranger" else people.objects.create_user(name, **fields)
        assert permission(None, window(user), {}) is (name in passes), name


def test_permissions_are_those_of_this_moment_row_w_f6(people: type[User]) -> None:
    ann = people.objects.create_user("ann")
    permission = has_perm("auth.change_group")
    assert not permission(None, window(ann), {})
    ann.user_permissions.add(Permission.objects.get(codename="change_group"))
    assert permission(None, window(ann), {})
    ann.is_active = False
    ann.save()
    assert not permission(None, window(ann), {})


def test_a_permission_on_an_object_asks_the_backends_about_it(people: type[User], settings: Any) -> None:
    """One that does not exist, and arguments that name none, are like one that is not allowed."""
    settings.AUTHENTICATION_BACKENDS = ["tests.test_signals_permissions.OwnGroups"]
    ann = people.objects.create_user("ann")
    mine, other = Group.objects.create(name="ann"), Group.objects.create(name="others")
    permission = has_perm("auth.change_group", of=lambda kwargs: Group.objects.get(pk=kwargs["pk"]))
    cases = [
        ({"pk": mine.pk}, True),
        ({"pk": other.pk}, False),
        ({"pk": 999}, False),
        ({"pk": "x"}, False),
        ({}, False),
    ]
    for kwargs, expected in cases:
        assert permission(None, window(ann), kwargs) is expected, kwargs
    assert not permission(None, window(None), {"pk": mine.pk})


class OwnGroups:
    def has_perm(self, user: Any, perm: str, obj: Any = None) -> bool:
        return obj is not None and obj.name == user.get_username()


@pytest.mark.parametrize(
    ("permission", "expected"),
    [
        (everyone, False),
        (is_anonymous, False),
        (is_authenticated, True),
        (has_perm("a.b"), True),
        (any_of(is_staff, is_superuser), True),
        (any_of(is_staff, is_anonymous), False),
        (all_of(everyone, is_staff), True),
        (all_of(everyone, everyone), False),
        (lambda *_: True, False),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_it_is_known_where_signing_in_would_help(permission: Any, expected: bool) -> None:
    assert needs_user(permission) is expected


@pytest.mark.parametrize("combine", [any_of, all_of])
@pytest.mark.parametrize("permissions", [(), (True,), (everyone, None)])
def test_a_combination_of_nothing_is_refused_rather_than_guessed_at(combine: Any, permissions: Any) -> None:
    with pytest.raises(NotCallableError, match="one permission at least"):
        combine(*permissions)


def test_permissions_have_names_for_logs() -> None:
    assert repr(any_of(is_staff, has_perm("a.b"))) == "any_of(is_staff, has_perm('a.b'))"
