"""
What may take rights away from users: Django's signals tell of logouts and of changed users, groups and permissions.

Every process in which the app is installed hears of what it does itself, and passes it on to those that serve clients.
Source: pitfall list 2, item 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.core.exceptions import ImproperlyConfigured
from django.db import router, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from dtws_sio import topics
from dtws_sio.identity import key_text, user_key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HARMLESS_FIELDS: Final = frozenset({"last_login"})
"""What a user's `save(update_fields=...)` may change without a second look; each login does."""


MOST_AT_ONCE: Final = 1000
"""Changes in one message to other processes."""


LOOKED_BACK: Final = 4
"""Calls of others, registered for the same commit, behind which one of ours is found."""


@dataclass(frozen=True)
class Change:
    """
    What may have taken rights away.

    Attributes:
        users: Primary keys, as text, of users who changed; None if any user may have.
        sessions: Topics of sessions that have ended, or of users all of whose sessions may have.
        rooms: Rooms and sids in which the rules may have changed; None for everywhere, for strangers too.
    """

    users: frozenset[str] | None = frozenset()
    sessions: frozenset[str] = frozenset()
    rooms: frozenset[str] | None = frozenset()

    def __or__(self, other: Change) -> Change:
        """Give what both are about."""
        return Change(
            users=None if self.users is None or other.users is None else self.users | other.users,
            sessions=self.sessions | other.sessions,
            rooms=None if self.rooms is None or other.rooms is None else self.rooms | other.rooms,
        )

    def as_message(self) -> dict[str, Any]:
        """Give it as the message queue carries it."""
        return {"users": _listed(self.users), "sessions": _listed(self.sessions), "rooms": _listed(self.rooms)}

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Change:
        """Read it from the message queue."""
        users, rooms = message["users"], message["rooms"]
        return cls(
            users=None if users is None else frozenset(users),
            sessions=frozenset(message["sessions"]),
            rooms=None if rooms is None else frozenset(rooms),
        )


def _listed(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names, key=str)


class _Telling:
    """
    What tells of changes after the commit; of a transaction that changes thousands of rows, of many at once.

    The latest takes over from the one before it. So each change is told by what was registered with it or after it,
    which is what tests that capture the calls of a block expect.
    """

    def __init__(self, tell: Callable[[Change], object], change: Change) -> None:
        self._tell = tell
        self._changes = [change]

    def __call__(self) -> None:
        if self._changes:
            self._tell(reduce(or_, self._changes))

    def take_over(self, other: object) -> bool:
        """Tell of what another was to tell of, unless it tells somebody else, or there is too much for one message."""
        if not isinstance(other, _Telling) or other._tell != self._tell or len(other._changes) >= MOST_AT_ONCE:
            return False
        other._changes.extend(self._changes)
        self._changes, other._changes = other._changes, []
        return True


class Signals:
    """
    Hears of changes from Django's signals.

    Receivers are connected for the models that matter only: one for all would keep Django from deleting rows of any
    model without loading them.

    Args:
        tell: Called with each change, once the transaction that makes it is committed; it must not raise, as it is
            called in the middle of somebody's `save`.
    """

    def __init__(self, tell: Callable[[Change], object]) -> None:
        self._tell = tell
        self._links: dict[Any, Any] = {}

    def connect(self) -> None:
        """Begin to listen; nothing happens in a project without users."""
        if not apps.is_installed("django.contrib.auth"):
            return
        from django.contrib.sessions.base_session import AbstractBaseSession  # a model, so not before apps are ready

        user_logged_out.connect(self._signed_out)
        models = apps.get_models(include_auto_created=True)
        for model in models:
            if issubclass(model, get_user_model()):
                post_save.connect(self._user_changed, sender=model)
                post_delete.connect(self._user_changed, sender=model)
            elif issubclass(model, AbstractBaseSession):
                post_delete.connect(self._session_deleted, sender=model)
            elif _label(model) in ("auth.Group", "auth.Permission"):
                post_save.connect(self._others_changed, sender=model)
                post_delete.connect(self._others_changed, sender=model)
        for owner in models:
            for field in owner._meta.local_many_to_many:
                if _is_right(owner, field.name):
                    self._links[field.remote_field.through] = field
                    m2m_changed.connect(self._links_changed, sender=field.remote_field.through)

    def _later(self, change: Change, using: str | None = None) -> None:
        """Tell after the commit; at once where nobody but the project knows of it, as with AUTOCOMMIT switched off."""
        connection = transaction.get_connection(using)
        if _has_commits(connection):
            telling = _Telling(self._tell, change)
            savepoints = {*connection.savepoint_ids, None}  # what is rolled back with them takes only its like with it
            for others, call, is_robust in connection.run_on_commit[: -LOOKED_BACK - 1 : -1]:
                if not is_robust or ({*others, None} == savepoints and telling.take_over(call)):
                    break  # behind a call that may fail, and end all that follow, nothing is put off
            transaction.on_commit(telling, using=using, robust=True)
        else:
            self._tell(change)  # if it is too early, the sweep finds what was committed later

    def _user_changed(self, instance: Any, using: str, **kwargs: Any) -> None:
        fields = kwargs.get("update_fields")
        is_harmless = fields is not None and HARMLESS_FIELDS.issuperset(fields)
        if not kwargs.get("created") and not is_harmless:
            self._later(Change(users=frozenset({user_key_of(instance)})), using)

    def _links_changed(self, sender: Any, action: str, using: str, **kwargs: Any) -> None:
        field = self._links[sender]
        keys = {key_text(field.model, key) for key in _owners(field, action, using=using, **kwargs)}
        if not keys:
            return
        if field.name == "permissions":
            self._later(self._of_groups(field.model, keys), using)
        else:
            self._later(Change(users=frozenset(keys)), using)

    def _others_changed(self, sender: Any, instance: Any, using: str, **kwargs: Any) -> None:
        if kwargs.get("created"):
            return
        is_group = _label(sender) == "auth.Group"
        self._later(self._of_groups(sender, [instance.pk]) if is_group else Change(users=None), using)

    @staticmethod
    def _of_groups(model: Any, keys: Iterable[Any]) -> Change:
        """Make the change of those in some groups, who come first, and of others, whom conditions may tie to them."""
        groups = model._meta.concrete_model
        return Change(users=None, rooms=frozenset(topics.model_topic(groups, key) for key in keys))

    def _signed_out(self, request: Any, user: Any = None, **kwargs: Any) -> None:
        session = getattr(request, "session", None)
        key = getattr(session, "session_key", None)
        if not key:
            return
        ended = {topics.session_topic(key)}
        if user is not None and user.pk is not None and isinstance(session, CookieStore):
            ended.add(topics.topic(user))  # the browser may have connected with an earlier cookie; none names the other
        self._later(Change(sessions=frozenset(ended)), router.db_for_write(get_user_model()))

    def _session_deleted(self, instance: Any, using: str, **kwargs: Any) -> None:
        self._later(Change(sessions=frozenset({topics.session_topic(instance.session_key)})), using)


def _has_commits(connection: Any) -> bool:
    """Tell whether Django knows of the commits of a connection; one without settings has none at all."""
    if connection.in_atomic_block:
        return True
    try:
        return bool(connection.get_autocommit())
    except ImproperlyConfigured:
        return False


def _label(model: Any) -> str:
    """Name a model, or the one for which a proxy stands."""
    return str(model._meta.concrete_model._meta.label)


def _owners(
    field: Any, action: str, *, instance: Any, reverse: bool, pk_set: set[Any] | None, using: str, **kwargs: Any
) -> Iterable[Any]:
    """Give the primary keys of those, users or groups, to whom a many-to-many field now links more or less."""
    if not reverse:
        return [instance.pk] if action.startswith("post_") else []
    if action != "pre_clear":
        return (pk_set or []) if action.startswith("post_") else []
    links = field.remote_field.through._default_manager.using(using)
    those = links.filter(**{f"{field.m2m_reverse_field_name()}_id": instance.pk})
    keys: Iterable[Any] = those.values_list(f"{field.m2m_field_name()}_id", flat=True)
    return keys


def _is_right(owner: Any, name: str) -> bool:
    """Tell whether a many-to-many field gives rights: a user's groups and permissions, and a group's permissions."""
    if name in ("groups", "user_permissions"):
        return issubclass(get_user_model(), owner)
    return bool(name == "permissions" and owner._meta.label == "auth.Group")
