"""
Proofs of who a client is: the session cookie, a token that a view signed, or a JSON Web Token.

One of your own is a subclass of `dtws_sio.identity.Authenticator`; DTWS_SIO["AUTHENTICATORS"], or the attribute
`authenticators` of a namespace, names those that are asked in turn. Source: rows S-34 and W-D7; pitfall list 2, item 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user, load_backend
from django.core import signing
from django.utils.crypto import constant_time_compare

from dtws_sio.exceptions import AuthenticationFailedError, MissingDependencyError
from dtws_sio.identity import Authenticator, ForeignTokenError, Identity, short_stamp, stamp_of, user_key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.contrib.auth.models import AbstractBaseUser
    from django.contrib.sessions.backends.base import SessionBase

    from dtws_sio.identity import HandshakeRequest

_SEPARATOR: Final = ":"
"""What stands between the parts of what Django signs."""


class SessionAuthenticator(Authenticator):
    """Recognises a client by its session cookie, by the rules of `django.contrib.auth.get_user`."""

    def recognise(self, request: HandshakeRequest, auth: Any) -> Identity | None:
        """Look for a session cookie; a session that has ended makes a stranger, as for a view."""
        key = request._session_key
        if not key or not _has_sessions():
            return None
        user = self._user(request)
        if user is None:
            return Identity(self, session_key=key) if _is_alive(request.session, key) else None
        request.__dict__["user"] = user  # as this event's `request.user` would find again
        return Identity(self, user_key_of(user), key)

    def load(self, identity: Identity, request: HandshakeRequest) -> AbstractBaseUser | None:
        """Ask the session again; another user than the one who connected is none."""
        user = self._user(request)
        return user if user is not None and user_key_of(user) == identity.user_key else None

    def verdict(self, identity: Identity, request: HandshakeRequest, user: AbstractBaseUser | None) -> bool | None:
        """Judge by session and password, if Django's own backend looks at no more than these."""
        session = request.session
        if type(self).load is not SessionAuthenticator.load:
            return None
        if not session.keys():
            return False
        if session.get(SESSION_KEY) != identity.user_key or not _is_django(session.get(BACKEND_SESSION_KEY)):
            return None
        if user is None or not user.is_active:
            return False
        holds = constant_time_compare(session.get(HASH_SESSION_KEY, ""), stamp_of(user))
        return holds or (None if django_settings.SECRET_KEY_FALLBACKS else False)

    @staticmethod
    def _user(request: HandshakeRequest) -> AbstractBaseUser | None:
        user: Any = get_user(_Holder(_ReadSession(request.session)))  # type: ignore[arg-type]
        return user if user.is_authenticated else None


def _has_sessions() -> bool:
    return apps.is_installed("django.contrib.sessions") and apps.is_installed("django.contrib.auth")


def _is_alive(session: SessionBase, key: str) -> bool:
    """Tell whether a session that was loaded by a key exists."""
    return session.session_key == key and bool(session.keys())


def _is_django(backend: Any) -> bool:
    """Tell whether an authentication backend finds its users in Django's own way."""
    from django.contrib.auth.backends import ModelBackend  # imports models, so not before apps are ready

    if backend not in django_settings.AUTHENTICATION_BACKENDS:
        return False
    found = type(load_backend(backend))
    return all(
        getattr(found, name, None) is getattr(ModelBackend, name) for name in ("get_user", "user_can_authenticate")
    )


@dataclass(frozen=True, slots=True)
class _ReadSession:
    """
    A session for `get_user`, which may empty it, or change its key where an old SECRET_KEY signed it.

    A view could tell the browser of the new key; an event cannot, and would sign its user out.
    """

    session: SessionBase

    def __getitem__(self, key: str) -> Any:
        return self.session[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.session.get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        """Leave it as it is."""

    def cycle_key(self) -> None:
        """Leave it as it is."""

    flush = cycle_key


@dataclass(frozen=True, slots=True)
class _Holder:
    """As much of a request as `get_user` looks at."""

    session: _ReadSession


class SignedTokenAuthenticator(Authenticator):
    """
    Recognises a client by a token that a view made with `make_token` and the page sends as `auth.token`.

    For pages and programs that have no session cookie. A token is a ticket for connecting; what ends the connection is
    a new password or an account that is switched off.
    """

    max_age: ClassVar[float] = 3600
    """Seconds for which a token is good."""

    key: ClassVar[str] = "token"
    """Where in `auth` it is looked for."""

    def recognise(self, request: HandshakeRequest, auth: Any) -> Identity | None:
        """Check the token; one that has the form of a JSON Web Token may be for others."""
        token = _token(auth, self.key)
        if token is None:
            return None
        if isinstance(token, str) and token.count(".") == 2 and _SEPARATOR not in token:
            raise ForeignTokenError
        try:
            user_key, stamp = _signer().unsign_object(token, max_age=self.max_age)
        except signing.SignatureExpired as error:
            raise AuthenticationFailedError("The token has expired; get a new one.", code="token_expired") from error
        except (signing.BadSignature, TypeError, ValueError, AttributeError) as error:
            raise AuthenticationFailedError("The token is not valid.") from error
        return Identity(self, user_key, stamp=stamp)


def make_token(user: AbstractBaseUser) -> str:
    """Make a token for `SignedTokenAuthenticator`; give it to nobody but the user."""
    return _signer().sign_object((user_key_of(user), short_stamp(user)))


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt="dtws_sio.identity")


class JWTAuthenticator(Authenticator):
    """
    Recognises a client by a JSON Web Token that the page sends as `auth.token`; its connection ends when that expires.

    Subclass it and set what differs. Needs the package PyJWT.
    """

    key: ClassVar[str] = "token"
    """Where in `auth` it is looked for."""

    verification_key: ClassVar[Any] = None
    """What verifies the signature; None is SECRET_KEY."""

    algorithms: ClassVar[Sequence[str]] = ("HS256",)
    """Those that are accepted; never take this from the token."""

    audience: ClassVar[str | None] = None
    issuer: ClassVar[str | None] = None
    user_claim: ClassVar[str] = "sub"
    """The claim that holds the user's primary key."""

    def recognise(self, request: HandshakeRequest, auth: Any) -> Identity | None:
        """Check the token; one of those that Django signs may be for others."""
        token = _token(auth, self.key)
        if token is None:
            return None
        if isinstance(token, str) and token.count(_SEPARATOR) == 2:
            raise ForeignTokenError
        claims = self.claims(token)
        try:
            return Identity(self, str(claims[self.user_claim]), expires=float(claims["exp"]))
        except OverflowError as error:
            raise AuthenticationFailedError("The token is not valid.") from error

    def claims(self, token: Any) -> dict[str, Any]:
        """
        Verify a token and give what it says; it must say until when, and who.

        Raises:
            AuthenticationFailedError: If it does not hold.
            MissingDependencyError: Without PyJWT.
        """
        try:
            import jwt  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise MissingDependencyError("JWTAuthenticator needs PyJWT: pip install pyjwt") from error
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self.verification_key or django_settings.SECRET_KEY,
                algorithms=list(self.algorithms),
                audience=self.audience,
                issuer=self.issuer,
                options={"require": ["exp", self.user_claim]},
            )
        except jwt.ExpiredSignatureError as error:
            raise AuthenticationFailedError("The token has expired; get a new one.", code="token_expired") from error
        except (jwt.InvalidTokenError, TypeError, ValueError) as error:
            raise AuthenticationFailedError("The token is not valid.") from error
        return claims


def _token(auth: Any, key: str) -> Any:
    return auth.get(key) if isinstance(auth, dict) else None
