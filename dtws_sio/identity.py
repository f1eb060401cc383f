"""
Who a client is: the request of its handshake, with session and user, and how it proved to be that user.

When a client joins a namespace, authenticators look at it in turn; the first that recognises it decides. What is kept
is an `Identity`: by which proof, and whose. The user itself is loaded anew for each event, at the first touch of
`request.user`, so that what changed since the handshake counts: a logout, a new password, an account switched off.

Source: rows S-34, W-D7, W-F2 and W-F6; pitfall list 2, item 6.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from contextvars import Context, ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import (
    get_user_model,
)
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.exceptions import ValidationError
from django.core.handlers.wsgi import WSGIRequest
from django.http import parse_cookie
from django.utils.crypto import constant_time_compare, salted_hmac

from dtws_sio import topics
from dtws_sio.exceptions import AuthenticationFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

logger = logging.getLogger("dtws_sio.identity")


@dataclass(frozen=True, slots=True)
class Identity:
    """
    How a client was recognised.

    Attributes:
        authenticator: What recognised it, and loads its user again for each event.
        user_key: The user's primary key as text; None for a session in which nobody is signed in.
        session_key: The key of its session, where that is the proof.
        stamp: A piece of what the user's password was, as `short_stamp` gives it; a new one voids proofs that Django
            does not void itself. `recognise` adds it.
        expires: When the proof ends by itself, in seconds since the epoch, if it says so.
    """

    authenticator: Authenticator
    user_key: str | None = None
    session_key: str | None = None
    stamp: str = ""
    expires: float | None = None

    @property
    def user_topic(self) -> topics.Topic | None:
        """The topic of its user."""
        return None if self.user_key is None else topics.model_topic(get_user_model(), self.user_key)

    @property
    def session_topic(self) -> topics.Topic | None:
        """The topic of its session."""
        return None if self.session_key is None else topics.session_topic(self.session_key)

    @property
    def topics(self) -> set[topics.Topic]:
        """The topics of its user and of its session."""
        return {each for each in (self.user_topic, self.session_topic) if each is not None}


class HandshakeRequest(WSGIRequest):
    """
    The HTTP request with which a client connected, as a view would have got it.

    `session` and `user` are loaded when they are first touched. What handlers change in the session is saved when they
    end, as after a view.

    Args:
        environ: The handshake's WSGI environ.
        identity: How the client was recognised; None while it was not.
    """

    def __init__(self, environ: dict[str, Any], identity: Identity | None = None) -> None:
        super().__init__(environ)
        self.identity = identity
        self.looks: int | None = None  # how often the client's rights had been looked at when it was made

    @cached_property
    def session(self) -> SessionBase:  # type: ignore[override]
        """The session of the cookie; an empty one without."""
        store: SessionBase = import_module(django_settings.SESSION_ENGINE).SessionStore(self._session_key)
        return store

    @property
    def _session_key(self) -> str | None:
        if self.identity is not None and self.identity.session_key is not None:
            return self.identity.session_key
        return self.COOKIES.get(django_settings.SESSION_COOKIE_NAME)

    @cached_property
    def user(self) -> AbstractBaseUser | AnonymousUser:  # type: ignore[override]
        """The user as it is now; an anonymous one if there is none, or none any more."""
        identity = self.identity
        user = None
        if identity is not None and identity.user_key is not None:
            user = identity.authenticator.load(identity, self)
            if user is not None and not has_stamp(identity, user):
                user = None
        return anonymous_user() if user is None else user

    def finish(self) -> None:
        """Save the session if it was changed; one that was deleted meanwhile, by a logout, stays deleted."""
        session: SessionBase | None = self.__dict__.get("session")
        if session is None or not session.modified:
            return
        if session.session_key is None:
            logger.warning(
                "what a handler put into the session of a client without session cookie is lost, as an event cannot "
                "set a cookie; save request.session in a view first, or use sio.session(sid)"
            )
            return
        with suppress(UpdateError):
            session.save()


def anonymous_user() -> Any:
    """Make the user of somebody who has not signed in; in projects without users, what looks like Django's."""
    if not apps.is_installed("django.contrib.auth"):
        return Stranger()
    from django.contrib.auth.models import AnonymousUser  # a module of models, so not before apps are ready

    return AnonymousUser()


class Stranger:
    """What an `AnonymousUser` is, for projects without `django.contrib.auth`, where Django's cannot be imported."""

    id = pk = None
    username = ""
    is_active = is_authenticated = is_staff = is_superuser = False
    is_anonymous = True

    def __str__(self) -> str:
        return "AnonymousUser"

    def get_username(self) -> str:
        """Give no name."""
        return self.username

    def has_perm(self, perm: object, obj: object = None) -> bool:
        """Have no permission, nor any of several."""
        return False

    has_perms = has_module_perms = has_perm


def owner_of(environ: dict[str, Any]) -> str | None:
    """
    Give the session cookie of a request, which all requests of a connection have to share with its handshake.

    Whoever learns the name of another's connection, from a log for one, cannot speak or listen through it.
    """
    cookies = environ.get("HTTP_COOKIE")
    if not cookies or django_settings.SESSION_COOKIE_NAME not in cookies:
        return None
    return parse_cookie(cookies).get(django_settings.SESSION_COOKIE_NAME)


requests: ContextVar[dict[str, HandshakeRequest]] = ContextVar("dtws_sio_requests")
"""The requests that were asked for in this context, by sid."""

_is_event: ContextVar[bool] = ContextVar("dtws_sio_is_event", default=False)


def event_context() -> Context:
    """Make the context of which each event gets a copy; in a copy, `request_of` gives one request for each client."""
    context = Context()
    context.run(_is_event.set, True)
    return context


def request_of(sid: str, environ: dict[str, Any], identity: Identity | None) -> HandshakeRequest:
    """Give a client's request: within an event the same one each time, a fresh one in each event and elsewhere."""
    if not _is_event.get():
        return HandshakeRequest(environ, identity)
    known = requests.get(None)
    if known is None:
        known = {}
        requests.set(known)
    if sid not in known:
        known[sid] = HandshakeRequest(environ, identity)
    return known[sid]


def finish_requests(context: Context) -> None:
    """Save what was changed in sessions during the event that ran in this context."""
    for request in context.get(requests, _NONE).values():
        request.finish()


_NONE: Final[dict[str, HandshakeRequest]] = {}


def topics_of(request: HandshakeRequest) -> list[topics.Topic]:
    """Give the topics that a recognised client is in: those of its user, of the user's groups, and of its session."""
    identity = request.identity
    if identity is None:
        return []
    groups = group_keys(request.user) if identity.user_key is not None else []
    return [*identity.topics, *(topics.model_topic(_group_model(request.user), key) for key in groups)]


def group_keys(user: Any) -> list[Any]:
    """Give the primary keys of a user's groups; none where users have no groups, or something else by that name."""
    return [group.pk for group in user.groups.all()] if links(user.__class__, "groups") else []


def links(model: Any, name: str) -> bool:
    """Tell whether a model has a many-to-many field of that name, as users have "groups", and groups "permissions"."""
    return any(field.name == name for field in model._meta.many_to_many)


def _group_model(user: Any) -> Any:
    return user.groups.model


# Proofs


class Authenticator:
    """
    Recognises clients by one kind of proof; subclass it for your own, and name it in DTWS_SIO["AUTHENTICATORS"] or in
    a namespace's `authenticators`.
    """

    def recognise(self, request: HandshakeRequest, auth: Any) -> Identity | None:
        """
        Look at a client that connects.

        Args:
            request: The request of its handshake.
            auth: What the page gave as `auth`.

        Returns:
            Who it is, or None if it shows no proof of this kind.

        Raises:
            AuthenticationFailedError: If it shows one that does not hold; the client is refused.
        """
        raise NotImplementedError

    def load(self, identity: Identity, request: HandshakeRequest) -> AbstractBaseUser | None:
        """Load the user anew; None if the proof does not hold any more. An inactive user is no user."""
        assert identity.user_key is not None  # noqa: S101
        return active_user(identity.user_key)

    def verdict(self, identity: Identity, request: HandshakeRequest, user: AbstractBaseUser | None) -> bool | None:
        """
        Tell whether `load` would give this user, who was looked for just now together with many others.

        It saves queries for each. None where only `load` can tell is never wrong.

        Args:
            identity: How the client was recognised.
            request: The client's request, with its session as it is now.
            user: The user by that key; None if there is none.
        """
        if type(self).load is not Authenticator.load:
            return None
        return user is not None and user.is_active and has_stamp(identity, user)


NO_KEY: Final = (ValueError, TypeError, OverflowError, ValidationError)
"""What Django raises for what is no primary key."""


def active_user(key: str) -> AbstractBaseUser | None:
    """Load a user by the primary key as text; None if there is none, or none who may sign in."""
    model = get_user_model()
    try:
        user: AbstractBaseUser = model._default_manager.get(pk=model._meta.pk.to_python(key))
    except (model.DoesNotExist, *NO_KEY):
        return None
    return user if user.is_active else None


def user_key_of(user: Any) -> str:
    """Give a user's primary key as text; of one that is something more, that of the user."""
    model = get_user_model()
    if user._meta.concrete_model is model._meta.concrete_model:
        return str(model._meta.pk.value_to_string(user))
    return key_text(model, getattr(user, model._meta.pk.attname))


def key_text(model: Any, key: Any) -> str:
    """
    Give a primary key of a model as text, in the one form that it has for the database.

    Raises:
        ValueError, TypeError, OverflowError, ValidationError: If it is none.
    """
    field = model._meta.pk
    return str(field.value_to_string(model(pk=field.to_python(key))))


def stamp_of(user: Any) -> str:
    """Give what changes with a user's password."""
    return str(user.get_session_auth_hash()) if hasattr(user, "get_session_auth_hash") else ""


def has_stamp(identity: Identity, user: Any) -> bool:
    """Tell whether a user still has the password of the time when a client was recognised."""
    return not identity.stamp or any(constant_time_compare(each, identity.stamp) for each in _short_stamps(user))


def short_stamp(user: Any) -> str:
    """Give a piece of the user's stamp: enough to notice a new password, and nothing to learn from."""
    return next(_short_stamps(user))


def _short_stamps(user: Any) -> Iterator[str]:
    """Give the stamp by the SECRET_KEY of today, and by those that Django still accepts."""
    yield _short(stamp_of(user), django_settings.SECRET_KEY)
    if hasattr(user, "get_session_auth_fallback_hash"):
        for secret, stamp in zip(
            django_settings.SECRET_KEY_FALLBACKS, user.get_session_auth_fallback_hash(), strict=True
        ):
            yield _short(stamp, secret)


def _short(stamp: str, secret: str) -> str:
    return salted_hmac("dtws_sio.identity", stamp, secret=secret, algorithm="sha256").hexdigest()[:20]


class ForeignTokenError(AuthenticationFailedError):
    """A token has the form of those that another authenticator knows; it does not hold if none of them takes it."""

    def __init__(self) -> None:
        super().__init__("The token is not valid.")


def recognise(request: HandshakeRequest, auth: Any, authenticators: Iterable[Authenticator]) -> Identity | None:
    """
    Ask authenticators in turn who a client is; the first that finds a user decides.

    Returns:
        Who it is. If nobody finds a user, the session with which somebody came who has not signed in; None is a
        stranger without a session.

    Raises:
        AuthenticationFailedError: If one is shown a proof that does not hold, or that names nobody who may sign in.
    """
    guest = foreign = None
    for authenticator in authenticators:
        try:
            identity = authenticator.recognise(request, auth)
        except ForeignTokenError as error:
            foreign = error
            continue
        if identity is None:
            continue
        if identity.user_key is not None:
            return _settled(identity, request)
        guest = guest or identity
    if foreign is not None:
        raise foreign
    return guest


def _settled(identity: Identity, request: HandshakeRequest) -> Identity:
    """Give an identity with its user's key as the user itself has it, and a stamp, unless it is Django's session."""
    if identity.session_key is not None:
        return identity
    user = identity.authenticator.load(identity, request)
    if user is None or not has_stamp(identity, user):
        raise AuthenticationFailedError(NOBODY)
    request.__dict__["user"] = user
    return replace(identity, user_key=user_key_of(user), stamp=short_stamp(user))


NOBODY: Final = "The token is not valid any more."
