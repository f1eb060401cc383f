"""
Rights that end take effect on clients that are connected, within a second.

Each process that hears of a change (dtws_sio.rights), itself or through the message queue, looks at its own clients
again. What sends no signal, as `QuerySet.update` does not, is found by a sweep. Sessions and tokens that expire are
noticed when they do.

A client whose proof is void, or who does not pass the guards of its namespace any more, is closed. The official client
then connects again, with the cookies that its browser has by now, and is whoever those say. One that may stay leaves
the rooms in which it may not be.

Source: rows S-34, W-F2 and W-F6; pitfall 13.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from heapq import heappop, heappush
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.utils import timezone

from dtws_sio import dispatch, identity, runtime, security, topics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from dtws_sio.client import Client
    from dtws_sio.identity import HandshakeRequest, Identity
    from dtws_sio.rights import Change

TICK: Final = 0.25
"""Seconds between two looks at what has changed."""

CHUNK: Final = 500
"""Users or sessions that one query of the sweep asks about."""

RIGHTS: Final = ("password", "is_active", "is_staff", "is_superuser")
"""Fields of a user on which its rights depend, where it has them."""


@dataclass
class _Pending:
    """What the next look is about."""

    everybody: bool = False
    users: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)


class Revocation:
    """
    Keeps an eye on the clients of this process that were recognised as users.

    Its loop runs while there are any. What it does with them is up to the functions that it is given, which may wait.

    Args:
        close: Ends a client's connection, for a reason.
        recheck: Looks whether a client, whose user is as its request says now, may be where it is.
        sweep_seconds: How often everybody is looked at.
    """

    has_loop = True
    """Whether `look` is called as often as it should be; else somebody else has to see to that."""

    def __init__(
        self,
        *,
        close: Callable[[Client, str], object],
        recheck: Callable[[Client, HandshakeRequest], object],
        sweep_seconds: float,
    ) -> None:
        self._close = close
        self._recheck = recheck
        self._sweep_seconds = sweep_seconds
        self._clients: dict[str, Client] = {}
        self._pending = _Pending()
        self._known: dict[str, object] = {}
        self._expiries: list[tuple[float, str]] = []
        self._next_sweep = 0.0
        self._is_running = False

    def enrol(self, client: Client) -> None:
        """Watch a client that has joined; strangers have no rights to lose."""
        if client.identity is None or client.identity.user_key is None:
            return
        self._clients[client.sid] = client
        self._pending.new.add(client.sid)
        if self.has_loop and not self._is_running:
            self._is_running = True
            self._next_sweep = time.monotonic() + self._sweep_seconds
            runtime.spawn(self._run)

    def forget(self, client: Client) -> None:
        """Watch a client no more."""
        self._clients.pop(client.sid, None)

    def notice(self, change: Change) -> None:
        """Have a look at those whom a change concerns, within `TICK` seconds."""
        if change.users is None:
            self._pending.everybody = True
        else:
            self._pending.users |= change.users
        self._pending.sessions |= change.sessions

    def _run(self) -> None:
        while self._clients:
            runtime.sleep(TICK)
            try:
                self.look()
            except Exception:
                security.logger.exception("looking at the rights of clients failed; the next look is in %g s", TICK)
            finally:
                dispatch.give_back_connections()
        self._known.clear()
        self._expiries.clear()
        self._is_running = False

    def look(self) -> None:
        """Look at those who came, changed or expired since the last time, and at all when a sweep is due."""
        pending, self._pending = self._pending, _Pending()
        for client in self._having(sessions=pending.sessions):
            self._close(client, "its session has ended")
        self._begin([self._clients[sid] for sid in pending.new if sid in self._clients])
        self._end_expired()
        due = list(self._clients.values()) if pending.everybody else self._having(users=pending.users)
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + self._sweep_seconds
            due += self._sweep()
        self._verify(dict.fromkeys(due))

    def _having(self, users: Collection[str] = (), sessions: Collection[str] = ()) -> list[Client]:
        found = []
        for client in list(self._clients.values()):
            known = _of(client)
            session = topics.session_topic(known.session_key) if sessions and known.session_key else ""
            if known.user_key in users or session in sessions:
                found.append(client)
        return found

    def _verify(self, clients: Iterable[Client]) -> None:
        """Load each proof again, once for all clients that have it, and close or recheck them."""
        users: dict[Identity, Any] = {}
        for client in clients:
            known = _of(client)
            request = identity.HandshakeRequest(client.environ, known)
            if known in users:
                request.__dict__["user"] = users[known]
            users[known] = request.user
            if request.user.is_authenticated:
                self._recheck(client, request)
            else:
                self._close(client, "its proof of who it is does not hold any more")

    def _begin(self, clients: list[Client]) -> None:
        for client in clients:
            self._note_expiry(client, _of(client).expires)
        self._known.update(_rights({str(_of(client).user_key) for client in clients}))
        self._end_sessionless(clients)

    # What ends by itself

    def _note_expiry(self, client: Client, expires: float | None) -> None:
        if expires is not None:
            heappush(self._expiries, (expires, client.sid))

    def _end_expired(self) -> None:
        """Close those whose proof was to end by now, unless their session was prolonged meanwhile."""
        due = []
        while self._expiries and self._expiries[0][0] <= time.time():
            _, sid = heappop(self._expiries)
            if sid in self._clients:
                due.append(self._clients[sid])
        for client in due:
            if _of(client).expires is not None:
                self._close(client, "its token has expired")
        self._end_sessionless(due)

    def _end_sessionless(self, clients: list[Client]) -> None:
        """Close those of the clients whose session is there no more, and note when those of the others expire."""
        keys = {key for client in clients if (key := _of(client).session_key)}
        ends = dict(_session_ends(keys)) if keys else {}
        for client in clients:
            key = _of(client).session_key
            if key in ends:
                self._note_expiry(client, ends[key])
            elif key:
                self._close(client, "its session has ended")

    # What sends no signal

    def _sweep(self) -> list[Client]:
        """Close those without a session, and give those of users whose rights are not what they were."""
        clients = list(self._clients.values())
        self._expiries.clear()
        for client in clients:
            self._note_expiry(client, _of(client).expires)
        self._end_sessionless(clients)
        keys = {str(_of(client).user_key) for client in clients}
        before, self._known = self._known, _rights(keys)
        return self._having(users={key for key in keys if self._known.get(key) != before.get(key)})


def _of(client: Client) -> Identity:
    assert client.identity is not None  # noqa: S101  only those are watched
    return client.identity


def _chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    left = list(keys)
    for start in range(0, len(left), CHUNK):
        yield left[start : start + CHUNK]


def _session_ends(keys: Iterable[str]) -> Iterator[tuple[str, float | None]]:
    """Give the sessions that are alive, each with when it expires, if its store says that."""
    store: Any = import_module(django_settings.SESSION_ENGINE).SessionStore
    if hasattr(store, "get_model_class"):
        rows = store.get_model_class().objects.filter(expire_date__gt=timezone.now())
        for chunk in _chunks(keys):
            for key, ends in rows.filter(session_key__in=chunk).values_list("session_key", "expire_date"):
                yield key, ends.timestamp()
        return
    for key in keys:
        if store(key).load():
            yield key, None


def _rights(keys: Iterable[str]) -> dict[str, object]:
    """Give, for each user that exists, a value that changes with its rights; a few queries for hundreds of users."""
    model: Any = get_user_model()
    names = {each.name for each in model._meta.get_fields()}
    fields = ["pk", *(name for name in RIGHTS if name in names)]
    found: dict[str, object] = {}
    for chunk in _chunks(keys):
        rows = {row[0]: row[1:] for row in model._default_manager.filter(pk__in=chunk).values_list(*fields)}
        groups = _links(model, "groups", rows) if "groups" in names else {}
        permissions = _links(model, "user_permissions", rows) if "user_permissions" in names else {}
        all_groups = {group for each in groups.values() for group in each}
        of_groups = _links(model.groups.rel.model, "permissions", all_groups) if all_groups else {}
        for pk, row in rows.items():
            mine = groups.get(pk, frozenset())
            through = frozenset((group, of_groups.get(group, frozenset())) for group in mine)
            text = model._meta.pk.value_to_string(model(pk=pk))
            found[text] = (row, through, permissions.get(pk, frozenset()))
    return found


def _links(model: Any, name: str, keys: Iterable[Any]) -> dict[Any, frozenset[Any]]:
    """Give what each of some instances is linked to by a many-to-many field."""
    relation = model._meta.get_field(name)
    own, other = f"{relation.m2m_field_name()}_id", f"{relation.m2m_reverse_field_name()}_id"
    linked: dict[Any, set[Any]] = {}
    rows = relation.remote_field.through._default_manager.filter(**{f"{own}__in": list(keys)})
    for key, value in rows.values_list(own, other):
        linked.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in linked.items()}
