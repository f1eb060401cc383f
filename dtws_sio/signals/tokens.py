"""
The token of a window: what a view gave the page to watch, signed, for this session and this user, for a while.

The page shows it when it joins `/signals`, and in the header of its AJAX requests. There is one for each page, so each
tab has a window of its own, and nothing of it is kept on the server. It is void in another session, for another user,
with a new password, and when its user has lost a right that it had when the page was made.

Source: rows S-30, S-32 to S-34, S-36, F-05, W-F2, W-F3 and W-F6.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookieStore
from django.core import signing
from django.utils.crypto import constant_time_compare

from dtws_sio import conf, identity, security
from dtws_sio.exceptions import NotCallableError, WindowTokenError
from dtws_sio.signals.targets import Target, flattened, thing_topic
from dtws_sio.topics import PREFIX, Topic, session_topic

if TYPE_CHECKING:
    from django.http import HttpRequest

HEADER: Final = "X-Socket-Window"
"""The header in which AJAX requests of a page carry its token; static/src/signals.js knows it."""

ATTRIBUTE: Final = "_dtws_sio_window"
"""Where a request keeps its window."""

DIGEST: Final = 6
"""Bytes by which a token remembers one right of its user."""


FLAGS: Final = ("is_staff", "is_superuser")
"""What gives a user rights without being a permission."""


@dataclass(frozen=True, slots=True)
class Window:
    """
    One page in one tab.

    Attributes:
        key: Names it; nobody can guess it.
        topics: What it watches, besides its user, its session and itself.
        user_key: The primary key of the user for whom the page was made, as text; None for a stranger.
        stamp: Changes with the user's password.
        session: The topic of the session in which it was made, if there was one.
        rights: What its user might do then, as digests.
    """

    key: str
    topics: tuple[Topic, ...] = ()
    user_key: str | None = None
    stamp: str = ""
    session: str | None = None
    rights: frozenset[bytes] = frozenset()

    @property
    def topic(self) -> Topic:
        """The topic of the window itself."""
        return window_topic(self.key)

    def sign(self) -> str:
        """Make the token."""
        rights = b64encode(b"".join(sorted(self.rights))).decode()
        bare = [each.removeprefix(PREFIX) for each in self.topics]
        session = self.session and self.session.removeprefix(PREFIX)
        values = [self.key, bare, self.user_key, self.stamp, session, rights]
        return _signer().sign_object(values, compress=True)


def window_topic(key: str) -> Topic:
    """Name the topic of a window."""
    return Topic(f"{PREFIX}window:{key}")


def is_window_topic(room: object) -> bool:
    """Tell whether a room is that of a window."""
    return isinstance(room, Topic) and room.kind == "window"


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(salt="dtws_sio.signals.window")


# What views do


def set_topics(request: HttpRequest, *topics: Any) -> str:
    """
    Give the page that a view makes something to watch; `{% dtws_sio_signals %}` hands it the token.

    Its own window, its user, its session and BROADCAST are always among what it watches. A second call replaces what
    the first one gave. An AJAX request that brings its page's token keeps its window.

    Args:
        request: The view's.
        topics: Text, saved model instances, sessions, classes, or lists of those.

    Returns:
        The token, for views that answer with something else than a template.

    Raises:
        TopicError: If one of them has no topic.

    Source: row S-30.
    """
    things = [each for each in flattened(topics) if not isinstance(each, Target)]
    names = tuple(dict.fromkeys(map(thing_topic, things)))
    window = replace(window_of(request) or _new_window(request), topics=names)
    if names:
        window = replace(window, rights=_rights(request.user) if window.user_key is not None else frozenset())
    setattr(request, ATTRIBUTE, window)
    # Django's cache would hand one visitor's window to others; django/middleware/cache.py looks at this.
    request._cache_update_cache = False  # type: ignore[attr-defined]
    return window.sign()


def window_token(request: HttpRequest) -> str:
    """Give the token of a request's window; one that has none yet gets one, which watches nothing of its own."""
    window = window_of(request)
    return set_topics(request) if window is None else window.sign()


def window_of(request: Any) -> Window | None:
    """Give the window that a request belongs to: the one that its view made, or the one that its header proves."""
    if not hasattr(request, ATTRIBUTE):
        setattr(request, ATTRIBUTE, _from_header(request))
    window: Window | None = getattr(request, ATTRIBUTE)
    return window


def _from_header(request: HttpRequest) -> Window | None:
    token = request.headers.get(HEADER)
    if not token:
        return None
    try:
        return verified(token, request)
    except WindowTokenError as error:
        security.logger.warning("the window's token of %s is refused: %s", request.path[:100], error.reason)
        return None


def _new_window(request: HttpRequest) -> Window:
    user = getattr(request, "user", None)
    is_known = user is not None and user.is_authenticated
    return Window(
        secrets.token_urlsafe(16),
        user_key=identity.user_key_of(user) if is_known else None,
        stamp=identity.short_stamp(user) if is_known else "",
        session=_session_of(request, save=True),
    )


def _session_of(request: Any, *, save: bool = False) -> str | None:
    """Name the topic of a request's session; what a view put into a new one gives it its key only when it is saved."""
    session = getattr(request, "session", None)
    if session is None or isinstance(session, SignedCookieStore):
        return None  # the key of a session that is kept in its cookie changes with what is in it
    if save and session.modified and session.session_key is None and not session.is_empty():
        session.save()
    session.keys()  # loads it; a key that stands for no session any more is given up then
    return session_topic(session.session_key) if session.session_key else None


# What holds, and for how long


def verified(token: Any, request: Any, *, however_old: bool = False) -> Window:
    """
    Read a token that a page shows.

    Args:
        token: What it shows.
        request: Its request, of HTTP or of the handshake.
        however_old: Let it be older than TOKEN_MAX_AGE, to renew it.

    Raises:
        WindowTokenError: If it is not ours, too old, or not for this session and user.
    """
    try:
        values = _signer().unsign_object(token, max_age=None if however_old else conf.settings().token_max_age)
        window = _window(*values)
    except signing.SignatureExpired as error:
        raise WindowTokenError("it has expired", expired=True) from error
    except (signing.BadSignature, TypeError, ValueError, AttributeError) as error:
        raise WindowTokenError("it is not one of ours") from error
    user = getattr(request, "user", None)
    is_known = user is not None and user.is_authenticated
    if window.user_key != (identity.user_key_of(user) if is_known else None):
        raise WindowTokenError("it is another user's")
    if is_known and not constant_time_compare(window.stamp, identity.short_stamp(user)):
        raise WindowTokenError("it was made before the password was changed")
    if window.session is not None and window.session != _session_of(request):
        raise WindowTokenError("it is another session's")
    check_rights(window, user)
    return window


def _window(key: str, names: list[str], user_key: str | None, stamp: str, session: str | None, rights: str) -> Window:
    digests = b64decode(rights)
    return Window(
        key,
        tuple(Topic(PREFIX + each) for each in names),
        user_key,
        stamp,
        None if session is None else Topic(PREFIX + session),
        frozenset(digests[start : start + DIGEST] for start in range(0, len(digests), DIGEST)),
    )


def check_rights(window: Window, user: Any) -> None:
    """
    Refuse a window whose user has lost a right since its page was made, unless a topic rule decides.

    Which of them the view looked at before it gave the topics is not known.

    Raises:
        WindowTokenError: If a right is lost.
    """
    if window.rights and _rule is None and not window.rights <= _rights(user):
        raise WindowTokenError("its user has lost a right")


def _rights(user: Any) -> frozenset[bytes]:
    """Digest what a user may do: flags, groups and permissions."""
    names = [flag for flag in FLAGS if getattr(user, flag, False)]
    names += [f"group {key}" for key in identity.group_keys(user)]
    if hasattr(user, "get_all_permissions"):
        names += user.get_all_permissions()
    return frozenset(hashlib.sha256(name.encode()).digest()[:DIGEST] for name in names)


TopicRule = Callable[[Any, Topic], bool]

_rule: TopicRule | None = None


def topic_rule(function: TopicRule) -> TopicRule:
    """
    Register what decides, instead of all rights of its user together, whether a window may watch a topic; a decorator.

        @topic_rule
        def may_watch(request, topic):
            return topic.kind != "news.draft" or request.user.has_perm("news.change_draft")

    It is called with the request of the window's handshake and the topic (`kind` and `key` tell what it is of): when
    the window joins, and again when its user's rights have changed. It is called in place of no rule or another one.

    Raises:
        NotCallableError: If it cannot be called.
    """
    global _rule
    if not callable(function):
        raise NotCallableError(f"@topic_rule was used on a thing that is not callable: {function!r}")
    _rule = function
    return function


def may_watch(request: Any, topic: Topic) -> bool:
    """Ask the topic rule, if there is one."""
    return _rule is None or bool(_rule(request, topic))
