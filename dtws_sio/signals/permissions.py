"""
Who may call a signal from a page.

A permission is called with the connection, the window that calls and the arguments as they came; it is asked before
anything else happens, each time, with the user as it is then. Functions triggered from Python are not asked about.

Source: rows S-04, W-F6 and W-F7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ObjectDoesNotExist, ValidationError

from dtws_sio.exceptions import NotCallableError

if TYPE_CHECKING:
    from dtws_sio.signals.windows import WindowInfo

Arguments = dict[str, Any]

IsAllowed = Callable[[Any, "WindowInfo", Arguments], bool]
"""Called with the connection, the window and the arguments; a project may write its own."""


@dataclass(frozen=True, slots=True)
class Permission:
    """
    A permission that has a name.

    Attributes:
        name: What is shown of it.
        test: Called with the connection, the window and the arguments.
        needs_user: Whether strangers never pass, so that they are told to sign in.
    """

    name: str
    test: IsAllowed
    needs_user: bool = False

    def __call__(self, connection: Any, window_info: WindowInfo, kwargs: Arguments) -> bool:
        """Tell whether a window may call the function."""
        return self.test(connection, window_info, kwargs)

    def __repr__(self) -> str:
        return self.name


server_side: Final = Permission("server_side", lambda connection, window, kwargs: False)
"""No page; for a page the function does not exist."""

everyone: Final = Permission("everyone", lambda connection, window, kwargs: True)
"""Every page."""

is_authenticated: Final = Permission("is_authenticated", lambda _, window, kwargs: window.is_authenticated, True)
"""Pages of users who are signed in."""

is_anonymous: Final = Permission("is_anonymous", lambda _, window, kwargs: window.is_anonymous)
"""Pages of strangers."""

is_staff: Final = Permission("is_staff", lambda _, window, kwargs: window.is_staff, True)
"""Pages of users who may use the admin."""

is_superuser: Final = Permission("is_superuser", lambda _, window, kwargs: window.is_superuser, True)
"""Pages of superusers."""


def has_perm(permission: str, *, of: Callable[[Arguments], Any] | None = None) -> Permission:
    """
    Let pages of users pass who have a permission.

    Args:
        permission: Such as "news.change_article".
        of: For permissions on single objects: called with the arguments, which are not validated yet, it gives the
            object that `user.has_perm` is asked about. One that does not exist is like one that is not allowed.
    """

    def test(connection: Any, window: WindowInfo, kwargs: Arguments) -> bool:
        if of is None or not window.is_authenticated:
            return window.has_perm(permission)
        try:
            thing = of(kwargs)
        except (ObjectDoesNotExist, ValidationError, LookupError, TypeError, ValueError):
            return False
        return window.has_perm(permission, thing)

    return Permission(f"has_perm({permission!r})", test, True)


def any_of(*permissions: IsAllowed) -> Permission:
    """Let pages pass that one of some permissions lets pass. Raises NotCallableError without any."""
    return Permission(
        _name("any_of", permissions),
        lambda connection, window, kwargs: any(each(connection, window, kwargs) for each in permissions),
        all(map(needs_user, permissions)),
    )


def all_of(*permissions: IsAllowed) -> Permission:
    """Let pages pass that all of some permissions let pass. Raises NotCallableError without any."""
    return Permission(
        _name("all_of", permissions),
        lambda connection, window, kwargs: all(each(connection, window, kwargs) for each in permissions),
        any(map(needs_user, permissions)),
    )


def needs_user(permission: IsAllowed) -> bool:
    """Tell whether strangers never pass."""
    return isinstance(permission, Permission) and permission.needs_user


def _name(kind: str, permissions: tuple[IsAllowed, ...]) -> str:
    if not permissions or not all(map(callable, permissions)):
        raise NotCallableError(f"{kind}{permissions!r}: give one permission at least, such as is_staff")
    return f"{kind}({', '.join(getattr(each, '__name__', repr(each)) for each in permissions)})"
