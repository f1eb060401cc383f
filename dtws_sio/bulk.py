"""
Sessions, users and permissions of many clients at once, with a query for hundreds where Django asks one for each.

Source: rows S-34, W-F2 and W-F6.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.contrib.auth import get_backends, get_user_model
from django.contrib.sessions.backends.cache import SessionStore as CacheStore
from django.contrib.sessions.backends.cached_db import SessionStore as CachedDatabaseStore
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.core import signing
from django.core.cache import caches
from django.db.models import prefetch_related_objects
from django.utils import timezone

from dtws_sio.identity import anonymous_user, key_text, links, user_key_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from dtws_sio.identity import HandshakeRequest

CHUNK: Final = 500
"""Users or sessions that one query asks about."""

RIGHTS: Final = ("password", "is_active", "is_staff", "is_superuser")
"""Fields of a user on which its rights depend, where it has them."""


def _chunks(keys: Iterable[Any]) -> Iterator[list[Any]]:
    left = list(keys)
    for start in range(0, len(left), CHUNK):
        yield left[start : start + CHUNK]


# Sessions


def _store() -> Any:
    return import_module(django_settings.SESSION_ENGINE).SessionStore


def _is_plain(store: Any, base: Any) -> bool:
    """Tell whether a store of sessions reads them as Django's own does, so that many can be read in its place."""
    return issubclass(store, base) and all(
        getattr(store, name, None) is getattr(base, name, None) for name in ("load", "decode", "_get_session_from_db")
    )


def _is_table(store: Any) -> bool:
    return _is_plain(store, DatabaseStore) or _is_plain(store, CachedDatabaseStore)


def session_ends(keys: Collection[str]) -> dict[str, float | None]:
    """Give the sessions that are alive, each with when it expires, in seconds since the epoch, if its store says so."""
    if not keys:
        return {}
    store = _store()
    if _is_table(store):
        rows = store.get_model_class().objects.filter(expire_date__gt=timezone.now())
        pairs = (
            row
            for chunk in _chunks(keys)
            for row in rows.filter(session_key__in=chunk).values_list("session_key", "expire_date")
        )
        return {key: ends.timestamp() for key, ends in pairs}
    if _is_plain(store, CacheStore):
        return dict.fromkeys(_cached(store, keys))
    return {key: _end(session) for key in keys if (session := _loaded(store, key)).keys()}


def _loaded(store: Any, key: str) -> Any:
    session = store(key)
    session.create = lambda: None  # as files do in place of one that has expired; Django's clearsessions knows it too
    return session


def _end(session: Any) -> float | None:
    if hasattr(session, "_expiry_date"):  # of files
        seconds: float = session.get_expiry_age(expiry=session._expiry_date(session._session))
        return time.time() + seconds
    if isinstance(session, CookieStore):
        made: int = signing.b62_decode(str(session.session_key).rsplit(":", 2)[1])
        return made + float(session.get_session_cookie_age())
    return None


def _cached(store: Any, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Give what a cache holds of sessions."""
    cache, prefix = caches[django_settings.SESSION_CACHE_ALIAS], store.cache_key_prefix
    found = (cache.get_many([prefix + key for key in chunk]) for chunk in _chunks(keys))
    return {name.removeprefix(prefix): data for each in found for name, data in each.items()}


def _fill_sessions(requests: Iterable[HandshakeRequest]) -> None:
    """Load the sessions of requests, if their store gives many at once; the others load themselves when touched."""
    sessions: list[Any] = [request.session for request in requests if request.identity and request.identity.session_key]
    if not sessions:
        return
    store, keys = _store(), {session.session_key for session in sessions}
    if _is_table(store):
        rows = store.get_model_class().objects.filter(expire_date__gt=timezone.now())
        decode = store().decode
        pairs = (
            row
            for chunk in _chunks(keys)
            for row in rows.filter(session_key__in=chunk).values_list("session_key", "session_data")
        )
        found = {key: decode(data) for key, data in pairs}
    elif _is_plain(store, CacheStore):
        found = _cached(store, keys)
    else:
        return
    for session in sessions:
        if session.session_key in found:
            session._session_cache = found[session.session_key]


# Users


def rights(keys: Collection[str]) -> dict[str, object]:
    """Give, for each user that exists, by its key as text, a value that changes with its rights."""
    if not keys:
        return {}
    model: Any = get_user_model()
    names = {each.name for each in model._meta.concrete_fields}
    fields = ["pk", *(name for name in RIGHTS if name in names)]
    found: dict[str, object] = {}
    for chunk in _chunks(keys):
        rows = {row[0]: row[1:] for row in model._default_manager.filter(pk__in=chunk).values_list(*fields)}
        groups, permissions = (_links(model, name, rows) for name in ("groups", "user_permissions"))
        all_groups = {group for each in groups.values() for group in each}
        of_groups = _links(model.groups.rel.model, "permissions", all_groups) if all_groups else {}
        for pk, row in rows.items():
            mine = groups.get(pk, frozenset())
            through = frozenset((group, of_groups.get(group, frozenset())) for group in mine)
            found[key_text(model, pk)] = (row, through, permissions.get(pk, frozenset()))
    return found


def _links(model: Any, name: str, keys: Iterable[Any]) -> dict[Any, frozenset[Any]]:
    """Give what each of some instances is linked to by a many-to-many field; nothing where there is no such field."""
    if not links(model, name):
        return {}
    relation = model._meta.get_field(name)
    own, other = f"{relation.m2m_field_name()}_id", f"{relation.m2m_reverse_field_name()}_id"
    linked: dict[Any, set[Any]] = {}
    rows = relation.remote_field.through._default_manager.filter(**{f"{own}__in": list(keys)})
    for key, value in rows.values_list(own, other):
        linked.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in linked.items()}


def prepare(requests: Sequence[HandshakeRequest]) -> None:
    """
    Load what `request.user` and its permissions will ask for, of many clients at once.

    Where only its authenticator can tell, a request loads its user itself when that is touched, as in an event.
    """
    known = [(request, request.identity) for request in requests if request.identity is not None]
    _fill_sessions(request for request, _ in known)
    users = _users({identity.user_key for _, identity in known if identity.user_key is not None})
    for request, identity in known:
        user = users.get(str(identity.user_key))
        try:
            verdict = None if identity.user_key is None else identity.authenticator.verdict(identity, request, user)
        except Exception:  # noqa: S112  `load` will run into the same, where it is one client's misfortune
            continue
        if verdict is not None:
            request.__dict__["user"] = user if verdict else anonymous_user()
    _fill_permissions(list(users.values()))


def _users(keys: Collection[str]) -> dict[str, Any]:
    if not keys:
        return {}
    model: Any = get_user_model()
    rows = (user for chunk in _chunks(keys) for user in model._default_manager.filter(pk__in=chunk))
    return {user_key_of(user): user for user in rows}


def _fill_permissions(users: Sequence[Any]) -> None:
    """Give users what `ModelBackend` keeps of their permissions; it asks where it does not find it."""
    if not users:
        return
    model: Any = get_user_model()
    if not links(model, "groups"):
        return
    prefetch_related_objects(users, "groups")
    if not links(model, "user_permissions") or not _are_plain(get_backends()):
        return
    own = _links(model, "user_permissions", [user.pk for user in users])
    groups = {group.pk for user in users for group in user.groups.all()}
    of_groups = _links(model.groups.rel.model, "permissions", groups)
    names = _permission_names({each for linked in (own, of_groups) for keys in linked.values() for each in keys})
    for user in users:
        if not getattr(user, "is_superuser", True):
            through = {key for group in user.groups.all() for key in of_groups.get(group.pk, ())}
            user._user_perm_cache = {names[key] for key in own.get(user.pk, ()) if key in names}
            user._group_perm_cache = {names[key] for key in through if key in names}


def _are_plain(backends: Iterable[Any]) -> bool:
    """Tell whether those who use Django's tables of permissions use them in Django's way."""
    from django.contrib.auth.backends import ModelBackend  # imports models, so not before apps are ready

    names = ("_get_permissions", "_get_user_permissions", "_get_group_permissions")
    heirs = [type(backend) for backend in backends if isinstance(backend, ModelBackend)]
    return heirs != [] and all(
        getattr(heir, name, None) is getattr(ModelBackend, name, None) for heir in heirs for name in names
    )


def _permission_names(keys: Iterable[Any]) -> dict[Any, str]:
    from django.contrib.auth.models import Permission

    fields = ("pk", "content_type__app_label", "codename")
    rows = (row for chunk in _chunks(keys) for row in Permission.objects.filter(pk__in=chunk).values_list(*fields))
    return {key: f"{app}.{name}" for key, app, name in rows}
