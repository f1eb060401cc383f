"""
Who may send which event, and who may join which namespace: decorators with the meaning of Django's own.

    @sio.event
    @permission_required("news.change_article")
    def publish(sid, pk): ...

    @login_required
    class Chat(Namespace): ...

On a handler they are asked at each event, with the user as it is then. On a namespace, or on a connect handler, they
are asked when a client connects, and again when its user's rights change: who does not pass any more is disconnected.
A denial is the answer `{"error": {"code", "message"}}` and one line on the logger `dtws_sio.security`.

Source: rows S-04 and W-D7.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.core.exceptions import ObjectDoesNotExist, ValidationError

from dtws_sio import marks
from dtws_sio.exceptions import NotCallableError, PermissionDeniedError

if TYPE_CHECKING:
    from dtws_sio.identity import HandshakeRequest

T = TypeVar("T", bound=Callable[..., Any])

ATTRIBUTE: Final = "__dtws_sio_guards__"
"""Where the guards of a function or a class are kept."""

SIGN_IN: Final = "Please sign in."
DENIED: Final = "You may not do this."


@dataclass(frozen=True, slots=True)
class Guard:
    """
    One condition.

    Args:
        passes: Called with the client's request and what the event brought; whether it may go on.
        message: What the client is told otherwise.
        code: A short name of the reason.
        needs_data: Whether it looks at what an event brings, and so cannot be asked about a connection.
    """

    passes: Callable[..., bool]
    message: str = DENIED
    code: str = "permission_denied"
    needs_data: bool = False

    def check(self, request: HandshakeRequest, data: tuple[Any, ...]) -> None:
        """
        Ask it.

        Raises:
            PermissionDeniedError: If the client does not pass.
        """
        if not self.passes(request, *(data if self.needs_data else ())):
            raise PermissionDeniedError(self.message, code=self.code)


def guards_of(target: object) -> tuple[Guard, ...]:
    """Give the guards of a handler or a namespace, in the order in which they are asked: as they are written."""
    return getattr(target, ATTRIBUTE, ())


def check(guards: Iterable[Guard], request: HandshakeRequest, data: tuple[Any, ...] = ()) -> None:
    """Ask guards in turn. Raises PermissionDeniedError at the first that is not passed."""
    for guard in guards:
        guard.check(request, data)


def _guarded(target: T, guard: Guard) -> T:
    if not callable(target):
        raise NotCallableError(
            f"{target!r} was decorated, and is neither a function nor a class; decorate the class of a namespace, not "
            "its instance"
        )
    marks.put(target, ATTRIBUTE, (guard, *guards_of(target)))
    return target


def login_required(target: T) -> T:
    """Let only signed-in users pass."""
    return _guarded(target, Guard(lambda request: request.user.is_authenticated, SIGN_IN, "login_required"))


def user_passes_test(test: Callable[[Any], bool], *, message: str = DENIED) -> Callable[[T], T]:
    """Let those pass for whose user, which may be an anonymous one, the test is true."""
    return lambda target: _guarded(target, Guard(lambda request: bool(test(request.user)), message))


def permission_required(
    permission: str | Iterable[str], *, of: Callable[..., Any] | None = None, message: str = DENIED
) -> Callable[[T], T]:
    """
    Let those pass whose user has a permission, or all of several.

    Args:
        permission: Such as "news.change_article".
        of: For permissions on single objects: called with what the event brought, it gives the object that
            `user.has_perm` is asked about; one that does not exist is answered like one that is not allowed.
        message: What the others are told.
    """
    wanted = [permission] if isinstance(permission, str) else list(permission)

    def passes(request: HandshakeRequest, *data: Any) -> bool:
        user: Any = request.user
        return bool(user.has_perms(wanted, None if of is None else _object(of, data)))

    return lambda target: _guarded(target, Guard(passes, message, needs_data=of is not None))


def _object(of: Callable[..., Any], data: tuple[Any, ...]) -> Any:
    try:
        return of(*data)
    except (ObjectDoesNotExist, ValidationError, TypeError, ValueError) as error:
        raise PermissionDeniedError from error


def request_passes_test(test: Callable[..., bool], *, message: str = DENIED) -> Callable[[T], T]:
    """
    Let those pass for whose request the test is true: `test(request)`, or `test(request, *data)` with what came.
    """
    needs_data = _takes_data(test)
    guard = Guard(lambda request, *data: bool(test(request, *data)), message, needs_data=needs_data)
    return lambda target: _guarded(target, guard)


def _takes_data(test: Callable[..., bool]) -> bool:
    kinds = [parameter.kind for parameter in inspect.signature(test).parameters.values()]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Parameter.VAR_POSITIONAL in kinds or sum(kind in positional for kind in kinds) > 1
