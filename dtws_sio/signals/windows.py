"""
What a signal's function knows of the window that it is about.

A `WindowInfo` is made from a request where the signal is triggered, and travels with queued calls as a dict. The user
is loaded anew wherever it arrives, so rights are those of that moment.

Source: rows S-40 to S-46 and F-08.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from datetime import timezone as fixed_zone
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.messages.constants import DEFAULT_LEVELS
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template import loader
from django.utils import timezone, translation

from dtws_sio import conf, identity
from dtws_sio.exceptions import SignalError
from dtws_sio.signals.tokens import Window, window_of, window_topic
from dtws_sio.surroundings import Surroundings, surroundings, zone
from dtws_sio.topics import Topic, model_topic, session_topic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import tzinfo

    from django.contrib.auth.models import AbstractBaseUser


class WindowProcessor:
    """
    Adds to what is known of windows; name a subclass in DTWS_SIO["WINDOW_PROCESSORS"].

    One instance serves all windows. What it sets as attributes of a `WindowInfo` comes along to the workers as far as
    it writes it into the dict, which has to have a JSON form.
    """

    def from_request(self, request: HttpRequest, window_info: WindowInfo) -> None:
        """Set attributes from the request of a view or of a handshake."""

    def new_window_info(self, window_info: WindowInfo) -> None:
        """Set attributes where there is no request."""

    def to_dict(self, window_info: WindowInfo) -> Mapping[str, Any]:
        """Give what `from_dict` needs."""
        return {}

    def from_dict(self, window_info: WindowInfo, values: Mapping[str, Any]) -> None:
        """Set attributes from what `to_dict` gave."""

    def before_process(self, window_info: WindowInfo) -> None:
        """Do something before each function that is called; what it activates in its context ends with the call."""

    def get_context(self, window_info: WindowInfo) -> Mapping[str, Any]:
        """Give variables for templates."""
        return {}


def processors() -> list[WindowProcessor]:
    """Give the processors of the setting. Raises ConfigurationError if one cannot be imported."""
    paths = conf.settings().window_processors
    if paths not in _processors:
        _processors.clear()
        _processors[paths] = [conf.load("WINDOW_PROCESSORS", path)() for path in paths]
    return _processors[paths]


_processors: dict[tuple[str, ...], list[WindowProcessor]] = {}


class WindowInfo:
    """
    The window that a signal is about, its user, and how it is to be spoken to.

    One without a request is nobody's: it has no window key and no user.

    Attributes:
        window_key: Names the window; None if there is none.
        csrf_cookie: The secret of its browser's CSRF token.
        user_agent: What its browser calls itself.
        surroundings: Its language and time zone, where they are not the project's.
        request: What it was made from; None in other processes than that.
        celery_request: Celery's request of the task that runs the function, if one does.
    """

    def __init__(self) -> None:
        self.window_key: str | None = None
        self.csrf_cookie: str | None = None
        self.user_agent = ""
        self.surroundings: Surroundings | None = None
        self.celery_request: Any = None
        self.request: Any = None
        self._session: str | None = None
        self._user_key: str | None = None

    # Where it comes from

    @classmethod
    def from_request(cls, request: HttpRequest | WindowInfo | None, window: Window | None = None) -> WindowInfo:
        """
        Make one from a request; one that is made already is given back.

        Args:
            request: Of a view or of a handshake, or None for nobody's.
            window: The window, where the request does not tell.

        Raises:
            SignalError: If it is something else.
        """
        if isinstance(request, WindowInfo):
            return request
        info = cls()
        if request is None:
            for processor in processors():
                processor.new_window_info(info)
            return info
        if not isinstance(request, HttpRequest):
            raise SignalError(f"{request!r:.100} is no window: give a request, a signal's window_info, or None")
        info._read(request, window or window_of(request))
        for processor in processors():
            processor.from_request(request, info)
        return info

    def _read(self, request: HttpRequest, window: Window | None) -> None:
        self.window_key = None if window is None else window.key
        self.csrf_cookie = request.META.get("CSRF_COOKIE") or request.COOKIES.get(django_settings.CSRF_COOKIE_NAME)
        self.user_agent = request.META.get("HTTP_USER_AGENT", "")
        self.surroundings = _surroundings_of(request)
        self.request = request

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> WindowInfo | None:
        """Make one from what `to_dict` gave; None of None."""
        if values is None:
            return None
        info = cls()
        info.window_key = values["window_key"]
        info.csrf_cookie = values["csrf_cookie"]
        info.user_agent = values["user_agent"]
        time_zone = _zone_from_json(values["time_zone"])
        info.surroundings = Surroundings(values["language_code"], time_zone, values["script_prefix"])
        info._user_key = values["user"]
        info._session = values["session"]
        for processor in processors():
            processor.from_dict(info, values)
        return info

    def to_dict(self) -> dict[str, Any]:
        """Give what `from_dict` needs; it has a JSON form, and is for queues that are the project's own only."""
        around = self.surroundings or Surroundings()
        values = {
            "window_key": self.window_key,
            "csrf_cookie": self.csrf_cookie,
            "user_agent": self.user_agent,
            "language_code": around.language,
            "time_zone": _zone_to_json(around.time_zone),
            "script_prefix": around.script_prefix,
            "user": self._key_of_user,
            "session": self._topic_of_session,
        }
        for processor in processors():
            values.update(processor.to_dict(self))
        return values

    # Its user, as it is now

    @cached_property
    def user(self) -> AbstractBaseUser | None:
        """The user, loaded when it is first touched; None for strangers, and if it may not sign in any more."""
        if self.request is not None:
            user = getattr(self.request, "user", None)
            return user if user is not None and user.is_authenticated and user.is_active else None
        return None if self._user_key is None else identity.active_user(self._user_key)

    @property
    def _key_of_user(self) -> str | None:
        return self._user_key if self.user is None else identity.user_key_of(self.user)

    @property
    def is_authenticated(self) -> bool:
        """Whether somebody is signed in who still may."""
        return self.user is not None

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is."""
        return self.user is None

    @property
    def user_pk(self) -> Any:
        """The primary key of the user; None for strangers."""
        return None if self.user is None else self.user.pk

    @property
    def username(self) -> str | None:
        """The name that the user signs in with; None for strangers."""
        return None if self.user is None else self.user.get_username()

    @property
    def is_active(self) -> bool:
        """Whether there is a user, as others than active ones are none."""
        return self.user is not None

    @property
    def is_staff(self) -> bool:
        """Whether the user may use the admin."""
        return bool(getattr(self.user, "is_staff", False))

    @property
    def is_superuser(self) -> bool:
        """Whether the user may do anything."""
        return bool(getattr(self.user, "is_superuser", False))

    @cached_property
    def perms(self) -> frozenset[str]:
        """The permissions of the user, such as "news.change_article"; all of them for a superuser."""
        user: Any = self.user
        return frozenset(user.get_all_permissions()) if hasattr(user, "get_all_permissions") else frozenset()

    def has_perm(self, permission: str, obj: Any = None) -> bool:
        """Ask the project's authentication backends, also about a single object."""
        user: Any = self.user
        return bool(user.has_perm(permission, obj)) if hasattr(user, "has_perm") else False

    # Its topics

    @property
    def window_topic(self) -> Topic | None:
        """The topic of the window itself."""
        return None if self.window_key is None else window_topic(self.window_key)

    @property
    def user_topic(self) -> Topic | None:
        """The topic of its user."""
        return None if self.user is None else model_topic(get_user_model(), identity.user_key_of(self.user))

    @property
    def session_topic(self) -> Topic | None:
        """The topic of its session."""
        found = self._topic_of_session
        return None if found is None else Topic(found)

    @property
    def _topic_of_session(self) -> str | None:
        key = getattr(getattr(self.request, "session", None), "session_key", None)
        return session_topic(key) if key else self._session

    # How it is spoken to

    @property
    def language_code(self) -> str:
        """The language of the window."""
        language = None if self.surroundings is None else self.surroundings.language
        return language or django_settings.LANGUAGE_CODE

    @contextmanager
    def spoken_to(self) -> Iterator[None]:
        """Let the block run in the language and the time zone of the window."""
        time_zone = None if self.surroundings is None else self.surroundings.time_zone
        with translation.override(self.language_code), timezone.override(time_zone):
            yield


def _zone_to_json(time_zone: tzinfo | None) -> str | list[Any] | None:
    """Give the name of a time zone; of one that has none, how many seconds it is ahead of UTC and how it is written."""
    if time_zone is None or zone(str(time_zone)) is not None:
        return None if time_zone is None else str(time_zone)
    offset = time_zone.utcoffset(None)
    return None if offset is None else [offset.total_seconds(), time_zone.tzname(None)]


def _zone_from_json(written: str | list[Any] | None) -> tzinfo | None:
    if not isinstance(written, list):
        return zone(written)
    seconds, name = written
    return fixed_zone(timedelta(seconds=seconds), *([] if name is None else [name]))


def _surroundings_of(request: HttpRequest) -> Surroundings | None:
    settings = conf.settings()
    chosen = getattr(request, "LANGUAGE_CODE", None)  # of LocaleMiddleware, which knows languages in URLs too
    choose = conf.load("LANGUAGE", settings.language)
    return surroundings(
        request,
        choose if chosen is None else lambda _: chosen,
        conf.load("TIME_ZONE", settings.time_zone),
    )


# Templates


def get_window_context(window_info: WindowInfo) -> dict[str, Any]:
    """Give the variables that templates rendered for a window have, and no request's context processors gave."""
    context: dict[str, Any] = {
        "LANGUAGES": django_settings.LANGUAGES,
        "LANGUAGE_CODE": window_info.language_code,
        "LANGUAGE_BIDI": translation.get_language_info(window_info.language_code)["bidi"],
        "DEFAULT_MESSAGE_LEVELS": DEFAULT_LEVELS,
        "messages": [],
        "df_window_key": window_info.window_key,
        "df_user_agent": window_info.user_agent,
    }
    if apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.context_processors import PermWrapper
        from django.contrib.auth.models import AnonymousUser

        user = AnonymousUser() if window_info.user is None else window_info.user
        context.update(user=user, perms=PermWrapper(user))
    if window_info.csrf_cookie:
        request = HttpRequest()
        request.META["CSRF_COOKIE"] = window_info.csrf_cookie
        context["csrf_token"] = get_token(request)
    for processor in processors():
        context.update(processor.get_context(window_info))
    return context


def render_to_string(
    template_name: str | list[str] | tuple[str, ...],
    context: Mapping[str, Any] | None = None,
    window_info: WindowInfo | HttpRequest | None = None,
    using: str | None = None,
) -> str:
    """
    Render a template for a window: in its language and time zone, with its user, permissions and CSRF token.

    Args:
        template_name: The template, or several of which the first that exists is taken.
        context: Further variables; they win.
        window_info: The window, or a request; without one it is as Django's function of this name.
        using: The template engine.

    Source: row S-46.
    """
    if window_info is None:
        return loader.render_to_string(template_name, dict(context or {}), using=using)
    info = WindowInfo.from_request(window_info)
    with info.spoken_to():
        variables = {**get_window_context(info), **(context or {})}
        return loader.render_to_string(template_name, variables, using=using)
