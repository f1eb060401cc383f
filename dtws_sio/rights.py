"""
What may take rights away from users: Django's signals tell of logouts and of changed users, groups and permissions.

Every process in which the app is installed hears of what it does itself, and passes it on to those that serve clients.
Source: pitfall list 2, item 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from dtws_sio import identity, topics

if TYPE_CHECKING:
    from collections.abc import Callable

HARMLESS_FIELDS: Final = frozenset({"last_login"})
"""What a user's `save(update_fields=...)` may change without a second look; each login does."""


@dataclass(frozen=True)
class Change:
    """
    What may have taken rights away.

    Attributes:
        users: Primary keys, as text, of users who changed; None if any user may have.
        sessions: Topics of sessions that have ended.
        rooms: Rooms and sids in which the rules may have changed; None for everywhere, for strangers too.
    """

    users: frozenset[str] | None = frozenset()
    sessions: frozenset[str] = frozenset()
    rooms: frozenset[str] | None = frozenset()

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
    return None if names is None else sorted(names)


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
            elif model._meta.label in ("auth.Group", "auth.Permission"):
                post_save.connect(self._anybody_changed, sender=model)
                post_delete.connect(self._anybody_changed, sender=model)
        for owner in models:
            for field in owner._meta.local_many_to_many:
                if _is_right(owner, field.name):
                    m2m_changed.connect(self._links_changed, sender=field.remote_field.through)

    def _later(self, change: Change, using: str | None = None) -> None:
        """Tell after the commit; at once where nobody but the project knows of it, as with AUTOCOMMIT switched off."""
        connection = transaction.get_connection(using)
        if connection.in_atomic_block or connection.get_autocommit():
            transaction.on_commit(lambda: self._tell(change), using=using, robust=True)
        else:
            self._tell(change)  # if it is too early, the sweep finds what was committed later

    def _user_changed(self, instance: Any, using: str, **kwargs: Any) -> None:
        fields = kwargs.get("update_fields")
        is_harmless = fields is not None and HARMLESS_FIELDS.issuperset(fields)
        if not kwargs.get("created") and not is_harmless:
            self._later(Change(users=frozenset({identity.user_key_of(instance)})), using)

    def _links_changed(self, instance: Any, action: str, using: str, **kwargs: Any) -> None:
        if action.startswith("post_"):
            is_user = isinstance(instance, get_user_model())
            self._later(Change(users=frozenset({identity.user_key_of(instance)}) if is_user else None), using)

    def _anybody_changed(self, using: str, **kwargs: Any) -> None:
        if not kwargs.get("created"):
            self._later(Change(users=None), using)

    def _signed_out(self, request: Any, **kwargs: Any) -> None:
        key = getattr(getattr(request, "session", None), "session_key", None)
        if key:
            self._later(Change(sessions=frozenset({topics.session_topic(key)})))

    def _session_deleted(self, instance: Any, using: str, **kwargs: Any) -> None:
        self._later(Change(sessions=frozenset({topics.session_topic(instance.session_key)})), using)


def _is_right(owner: Any, name: str) -> bool:
    """Tell whether a many-to-many field gives rights: a user's groups and permissions, and a group's permissions."""
    if name in ("groups", "user_permissions"):
        return issubclass(get_user_model(), owner)
    return bool(name == "permissions" and owner._meta.label == "auth.Group")
