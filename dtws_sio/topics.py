"""
Objects as rooms: who watches an object is in the room of its topic.

    sio.enter_room(sid, article)
    sio.emit("changed", {"id": article.pk}, to=article)

A topic is a name that is the same in every process and for no two objects. Every signed-in client is in the topics of
its user, of the user's groups and of its session, without being put there. Rooms that a handler names by a string never
meet topics: no string that a client sends can be one.

Source: rows S-31 and W-F11.
"""

from __future__ import annotations

from collections.abc import Hashable
from hashlib import sha256
from typing import Any, Final

from django.conf import settings as django_settings
from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager
from django.utils.functional import LazyObject

from dtws_sio.exceptions import RoomNameError, TopicError

PREFIX: Final = "dtws_sio:"
"""What all topics begin with, and no other room may."""

SESSION_PREFIX: Final = f"{PREFIX}session:"


class Topic(str):
    """
    The name of a topic; made by the functions below only.

    Attributes:
        kind: The model's label in lower case, such as "news.article"; or "session".
        key: The instance's primary key, as text.
    """

    __slots__ = ()

    @property
    def kind(self) -> str:
        return self.split(":", 2)[1]

    @property
    def key(self) -> str:
        return self.split(":", 2)[2]


def topic(thing: Model) -> Topic:
    """
    Name the topic of a model instance.

    Proxies have the topic of the model that they stand for, deferred and lazy objects that of the whole one.

    Raises:
        TopicError: If it has no primary key yet, or is no model instance at all, as an anonymous user is none.
    """
    if not isinstance(thing, Model):
        raise TopicError(
            f"{thing!r} is no model instance, so it has no topic"
            + ("; anonymous users have none" if getattr(thing, "is_anonymous", False) is True else "")
        )
    if thing.pk is None or thing._state.adding:
        raise TopicError(f"{thing!r} is not saved, so it has no topic; save it first")
    model = _model(thing._meta.concrete_model or type(thing))
    field = model._meta.pk
    given = thing.pk if model is thing._meta.concrete_model else getattr(thing, field.attname)
    key = field.to_python(given)
    if model is not thing._meta.concrete_model or type(key) is not type(given):
        thing = model(pk=key)  # such as a UUID that was given as text, in any of its forms
    return model_topic(model, field.value_to_string(thing))


def _model(model: type[Model]) -> type[Model]:
    """Give the model by which an instance goes: users go by that of users, whatever they are besides."""
    users = django_settings.AUTH_USER_MODEL.lower()
    return next((each for each in model._meta.get_parent_list() if each._meta.label_lower == users), model)


def model_topic(model: type[Model], key: object) -> Topic:
    """Name the topic of the instance of a model that has a primary key."""
    return Topic(f"{PREFIX}{model._meta.label_lower}:{key}")


def is_user_topic(name: str) -> bool:
    """Tell whether a room is the topic of a user; asked in projects without users too, which have no such model."""
    return name.startswith(f"{PREFIX}{django_settings.AUTH_USER_MODEL.lower()}:")


def is_personal(name: str) -> bool:
    """Tell whether a room is the topic of a user or of a session."""
    return is_user_topic(name) or name.startswith(SESSION_PREFIX)


def is_given(name: str) -> bool:
    """Tell whether clients are in a room for who they are: that of a user, a session, or a group of users."""
    return is_personal(name) or name.startswith(f"{PREFIX}auth.group:")


def session_topic(session_key: str) -> Topic:
    """Name the topic of a session; the key itself opens the session and so is not part of it."""
    return Topic(f"{SESSION_PREFIX}{sha256(session_key.encode()).hexdigest()}")


def room(thing: Any) -> Any:
    """
    Give a room's name, which a model instance has by its topic.

    Raises:
        TopicError: As `topic` does.
    """
    if isinstance(thing, BaseManager):
        raise TopicError(f"{thing!r} is a manager, which names nobody; write .all() behind it")
    is_object = isinstance(thing, (Model, LazyObject)) or hasattr(thing, "is_anonymous")
    return topic(thing) if is_object else thing


def rooms(things: Any) -> Any:
    """Give whom an emit is for: one room's name, or the list of several. Raises TopicError as `room` does."""
    if isinstance(things, (list, tuple, set, frozenset, QuerySet)):
        return [_one(each) for each in things]
    return room(things)


def _one(thing: Any) -> Any:
    if thing is None:
        raise TopicError("None, among those whom an emit is for, would be everybody; leave it out")
    return room(thing)


def named(room: Any) -> Any:
    """Give a room's name as it was before the message queue carried it, where topics are strings like others."""
    return Topic(room) if isinstance(room, str) and room.startswith(PREFIX) else room


def check_room(room: Any) -> None:
    """
    Refuse what names no room that handlers may have clients enter and leave; they may have it from their client.

    Raises:
        RoomNameError: If it is None, cannot be a key, or has a name that only topics have.
    """
    if room is None:
        raise RoomNameError("the room None is the whole namespace; name another")
    if not isinstance(room, Hashable):
        raise RoomNameError(f"{str(room)[:100]} cannot name a room; use a string")
    if isinstance(room, str) and room.startswith(PREFIX) and not isinstance(room, Topic):
        raise RoomNameError(
            f"the room name {room[:100]!r} begins with {PREFIX!r}, which is kept for topics; use another"
        )
