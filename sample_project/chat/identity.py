"""Who a client is: the user who is signed in to Django, or else a guest who gave a name."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth import get_user, get_user_model
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, parse_cookie

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

MAX_NAME: Final = 30
"""Characters in a guest's name."""


class NameRefusedError(ValueError):
    """A guest cannot have this name; the message is for the guest to read."""


@dataclass(frozen=True)
class Person:
    """
    Somebody in the chat. Two tabs of one user are one person.

    Args:
        name: What the others see.
        user_id: Primary key of the account; None for a guest.
    """

    name: str
    user_id: int | None = None

    def as_event(self) -> dict[str, Any]:
        """Return what events carry; pages mark guests, so that nobody takes one for an account."""
        return {"name": self.name, "guest": self.user_id is None}


def identify(environ: Mapping[str, Any], auth: Any) -> Person:
    """
    Tell who connects. A signed-in user is never asked for a name, so nobody can claim another's.

    Args:
        environ: WSGI environment of the handshake; it carries the cookies, as every request of this browser does.
        auth: What the page gave as `auth` when it connected; a guest's is `{"name": "..."}`.

    Raises:
        NameRefusedError: If a guest gave no usable name.
    """
    user = session_user(environ)
    if user.is_authenticated:
        return Person(user.get_username(), user.pk)
    return Person(guest_name(auth.get("name") if isinstance(auth, dict) else None))


def session_user(environ: Mapping[str, Any]) -> AbstractBaseUser | AnonymousUser:
    """
    Return the user of the session cookie, by the steps Django's own middleware takes for a request.

    A Socket.IO handshake is answered in front of Django, so no middleware has run for it. `get_user` checks the session
    as it does for any page: signed, not expired, the account still active and its password still the same.
    """
    request = HttpRequest()
    request.COOKIES = parse_cookie(environ.get("HTTP_COOKIE", ""))
    SessionMiddleware(lambda request: HttpResponse()).process_request(request)
    return get_user(request)


def guest_name(name: object) -> str:
    """
    Return a guest's name as the others will see it.

    Raises:
        NameRefusedError: If it is empty, too long, cannot be printed, or belongs to an account.
    """
    if not isinstance(name, str) or not name.strip():
        raise NameRefusedError("Please give a name, or sign in.")
    name = unicodedata.normalize("NFKC", name).strip()
    if len(name) > MAX_NAME:
        raise NameRefusedError(f"A name has {MAX_NAME} characters at most; this one has {len(name)}.")
    if not name.isprintable():
        raise NameRefusedError("A name cannot hold line breaks or invisible characters.")
    if get_user_model().objects.filter(username__iexact=name).exists():
        raise NameRefusedError(f"“{name}” has an account here. Choose another name, or sign in.")
    return name
