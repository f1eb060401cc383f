"""
Whom a signal is for: the server, or windows by the topics that they watch.

A topic has one name, the same in every process and for no two things. Model instances and sessions have the one by
which `sio.emit` knows them, text has one of its own that no other room shares.

Source: rows S-11, S-24, S-31 and W-F11.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Final

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db.models import Model, QuerySet

from dtws_sio import topics
from dtws_sio.exceptions import TopicError
from dtws_sio.topics import PREFIX, Topic

if TYPE_CHECKING:
    from dtws_sio.signals.windows import WindowInfo


class Target(enum.Enum):
    """Whom a signal is for, where that is not a topic of the project's own."""

    SERVER = "the functions connected on the server, each through its queue"
    SYNC = "the functions connected on the server, here and now"
    WINDOW = "the window that the request came from"
    USER = "all windows of the user"
    SESSION = "all windows of the session"
    BROADCAST = "every window"

    def __repr__(self) -> str:
        return self.name


SERVER: Final = Target.SERVER
SYNC: Final = Target.SYNC
WINDOW: Final = Target.WINDOW
USER: Final = Target.USER
SESSION: Final = Target.SESSION
BROADCAST: Final = Target.BROADCAST


def flattened(to: Any) -> list[Any]:
    """Give one target, or several in a list, a tuple, a set or a queryset, as a list."""
    if isinstance(to, (list, tuple, set, frozenset, QuerySet, Iterator)):
        return [inner for each in to for inner in flattened(each)]
    return [to]


def rooms(targets: Iterable[Any], window: WindowInfo) -> list[Topic] | None:
    """
    Give the rooms of the windows that a signal is for, each once; None is everybody.

    Args:
        targets: As `flattened` gives them; those that are on the server are left out.
        window: What WINDOW, USER and SESSION are about.

    Raises:
        TopicError: If one has no topic: WINDOW without a window, USER without a user, an unsaved object.
    """
    found = dict.fromkeys(topic_of(each, window) for each in targets if each not in (SERVER, SYNC))
    return None if None in found else [topic for topic in found if topic is not None]


def topic_of(target: Any, window: WindowInfo) -> Topic | None:
    """Give the topic of a target in windows; None is that of every window. Raises TopicError as `rooms` does."""
    if not isinstance(target, Target):
        return thing_topic(target)
    if target is BROADCAST:
        return None
    found: Topic | None = _OF_WINDOW[target](window)
    if found is None:
        raise TopicError(f"{target!r} is nobody here: {_REMEDIES[target]}")
    return found


_OF_WINDOW: Final[dict[Target, Any]] = {
    WINDOW: lambda window: window.window_topic,
    USER: lambda window: window.user_topic,
    SESSION: lambda window: window.session_topic,
}

_REMEDIES: Final = {
    WINDOW: "what was given as the window belongs to none. Give the request of a view that called set_topics(request), "
    "of an AJAX call that sends the page's token in the header X-Socket-Window, or the window_info of a signal",
    USER: "nobody is signed in. Use WINDOW or SESSION for strangers, or to=user for somebody else",
    SESSION: "there is no session. Use WINDOW, or save the session before",
}


def thing_topic(thing: Any) -> Topic:
    """
    Give the topic of something that windows watch: text, an object, a class or a session.

    Raises:
        TopicError: If it has none.
    """
    if isinstance(thing, str):
        return thing if isinstance(thing, Topic) else Topic(f"{PREFIX}text:{thing}")
    if isinstance(thing, (SessionBase, AbstractBaseSession)):
        if not thing.session_key:
            raise TopicError(f"{thing!r} has no key yet, so it has no topic; save it first")
        return topics.session_topic(thing.session_key)
    if isinstance(thing, type):
        return Topic(f"{PREFIX}class:{_class_name(thing)}")
    if isinstance(thing, Model) or hasattr(thing, "is_anonymous"):
        return topics.topic(thing)
    return Topic(f"{PREFIX}object:{_class_name(type(thing))}:{serialize_topic(thing)}")


def _class_name(owner: type) -> str:
    """Name a class so that no two share the name; a proxy watches what the model watches that it stands for."""
    if issubclass(owner, Model):
        owner = owner._meta.concrete_model or owner
    return f"{owner.__module__}.{owner.__qualname__}"


@singledispatch
def serialize_topic(thing: Any) -> str:
    """
    Give the text that tells an object of your own from others of its class; register a function for the class.

        @serialize_topic.register
        def _(basket: Basket) -> str:
            return str(basket.number)

    The text has to be the same in every process, as `hash` is not, and for no two objects that pages tell apart.

    Raises:
        TopicError: If nothing was registered for its class.

    Source: rows F-07 and W-F11.
    """
    raise TopicError(
        f"{thing!r:.100} has no topic: topics are text, saved model instances, sessions, classes, and objects of "
        f"classes for which @serialize_topic.register names one"
    )
