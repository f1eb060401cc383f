"""
Rights that end take effect on clients that are connected, within a second.

Each process that hears of a change (dtws_sio.rights), itself or through the message queue, looks at its own clients
again. What sends no signal, as `QuerySet.update` does not, is found by a sweep. Sessions and tokens that expire are
noticed when they do.

A client whose proof is void, or who does not pass the guards of its namespace any more, is closed. The official client
then connects again, with the cookies that its browser has by now, and is whoever those say. One that may stay leaves
the rooms in which it may not be. Newcomers are looked at too: what they lost while they joined, they lost unseen.

Source: rows S-34, W-F2 and W-F6; pitfall 13.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from heapq import heappop, heappush
from importlib import import_module
from itertools import islice
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

BREATH: Final = 0.01
"""Seconds between two looks where there is more to verify; others run meanwhile."""

PAUSE: Final = 1.0
"""Seconds until the next look after one that failed."""

CHUNK: Final = 500
"""Users or sessions that one query of the sweep asks about."""

BATCH: Final = 50
"""Clients that one look verifies for no urgent reason, which takes about 0.1 s; then it is the next change's turn."""

RIGHTS: Final = ("password", "is_active", "is_staff", "is_superuser")
"""Fields of a user on which its rights depend, where it has them."""


@dataclass
class _Pending:
    """What the next look is about."""

    everybody: bool = False
    all_users: bool = False
    rooms: set[str] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)


class Revocation:
    """
    Keeps an eye on the clients of this process that were recognised as users, and on strangers where there are rules.

    Its loop runs while there are any. What it does with them is up to the functions that it is given, which may wait.

    Args:
        close: Ends a client's connection, for a reason.
        recheck: Looks whether a client, whose user is as its request says now, may be where it is, and closes it or
            takes it out of rooms. It raises only if that cannot be told at the moment.
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
        self._lock = runtime.lock()
        self._clients: dict[str, Client] = {}
        self._strangers: dict[str, Client] = {}
        self._pending = _Pending()
        self._waiting: dict[Client, None] = {}
        self._known: dict[str, object] = {}
        self._expiries: list[tuple[float, str]] = []
        self._next_sweep = 0.0
        self._is_running = False
        self._is_failing = False

    def enrol(self, client: Client) -> None:
        """Watch a client that has joined; of a stranger, only whether the rules still let it be where it is."""
        with self._lock:
            if client.is_stranger:
                self._strangers[client.sid] = client
            else:
                self._clients[client.sid] = client
                self._pending.new.add(client.sid)
            if self._is_running or not self.has_loop:
                return
            self._is_running = True
        self._next_sweep = time.monotonic() + self._sweep_seconds
        runtime.spawn(self._run)

    def forget(self, client: Client) -> None:
        """Watch a client no more."""
        self._clients.pop(client.sid, None)
        self._strangers.pop(client.sid, None)

    def notice(self, change: Change) -> None:
        """Have a look at those whom a change concerns, within `TICK` seconds."""
        with self._lock:
            if change.rooms is None:
                self._pending.everybody = True
            else:
                self._pending.rooms |= change.rooms
            if change.users is None:
                self._pending.all_users = True
            else:
                self._pending.users |= change.users
            self._pending.sessions |= change.sessions

    def _take(self) -> _Pending:
        with self._lock:
            pending, self._pending = self._pending, _Pending()
            return pending

    def _is_needed(self) -> bool:
        with self._lock:
            self._is_running = bool(self._clients or self._strangers)
            if not self._is_running:
                self._waiting.clear()
                self._known.clear()
                self._expiries.clear()
            return self._is_running

    def _run(self) -> None:
        while self._is_needed():
            runtime.sleep(PAUSE if self._is_failing else BREATH if self._waiting else TICK)
            try:
                self.look()
            except Exception:
                if not self._is_failing:
                    security.logger.exception("the rights of clients cannot be looked at now; trying on")
                self._is_failing = True
            else:
                if self._is_failing:
                    security.logger.warning("the rights of clients are looked at again")
                self._is_failing = False
            finally:
                dispatch.give_back_connections()

    def look(self) -> None:
        """
        Look at those who came, changed or expired since the last time, and at all when a sweep is due.

        If the database does not answer, everybody is looked at the next time, so that nothing is forgotten.
        """
        pending = self._take()
        for client in self._having(sessions=pending.sessions):
            self._close(client, "its session has ended")
        try:
            inside = self._inside(pending.rooms)
            self._verify([*self._having(users=pending.users), *inside[:BATCH]])
            self._begin([self._clients[sid] for sid in pending.new if sid in self._clients])
            self._end_expired()
            self._put_off(inside[BATCH:])
            if pending.everybody:
                self._put_off(self._everybody())
            elif pending.all_users:
                self._put_off(list(self._clients.values()))
            if time.monotonic() >= self._next_sweep:
                self._next_sweep = time.monotonic() + self._sweep_seconds
                self._put_off(self._sweep())
            self._verify_some()
        except BaseException:
            self._pending.everybody = True
            self._next_sweep = 0.0
            raise

    def _having(self, users: Collection[str] = (), sessions: Collection[str] = ()) -> list[Client]:
        found = []
        for client in list(self._clients.values()):
            known = _of(client)
            session = topics.session_topic(known.session_key) if sessions and known.session_key else ""
            if known.user_key in users or session in sessions:
                found.append(client)
        return found

    def _everybody(self) -> list[Client]:
        return [*self._clients.values(), *self._strangers.values()]

    def _inside(self, rooms: set[str]) -> list[Client]:
        if not rooms:
            return []
        return [client for client in self._everybody() if client.sid in rooms or not rooms.isdisjoint(client.rooms)]

    def _put_off(self, clients: Iterable[Client]) -> None:
        """Have clients verified, but not before what is urgent."""
        self._waiting.update(dict.fromkeys(clients))

    def _verify_some(self) -> None:
        some = list(islice(self._waiting, BATCH))
        self._verify(some)
        for client in some:
            del self._waiting[client]

    def _verify(self, clients: Iterable[Client]) -> None:
        """Load each proof again, once for all clients that have it, and close or recheck them."""
        users: dict[Identity | None, Any] = {}
        for client in clients:
            if client.left is not None:
                continue
            known = client.identity
            request = identity.HandshakeRequest(client.environ, known)
            if known in users:
                request.__dict__["user"] = users[known]
            self._recheck(client, request)
            if "user" in request.__dict__:
                users[known] = request.user

    def _begin(self, clients: list[Client]) -> None:
        """
        Note what newcomers may do and when their proofs end, and have them verified.

        Others of the same users are verified too if their rights are not what they were, as the next sweep compares
        with what is noted here.
        """
        for client in clients:
            self._note_expiry(client, _of(client).expires)
        rights = _rights({str(_of(client).user_key) for client in clients})
        changed = {key for key, now in rights.items() if self._known.get(key, now) != now}
        self._known.update(rights)
        self._end_sessionless(clients)
        self._put_off([*clients, *self._having(users=changed)])

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
    """Give how a client was recognised that is no stranger."""
    assert client.identity is not None  # noqa: S101
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
            text = model._meta.pk.value_to_string(model(pk=pk))
            found[text] = (row, through, permissions.get(pk, frozenset()))
    return found


def _links(model: Any, name: str, keys: Iterable[Any]) -> dict[Any, frozenset[Any]]:
    """Give what each of some instances is linked to by a many-to-many field; nothing where there is no such field."""
    if not identity.links(model, name):
        return {}
    relation = model._meta.get_field(name)
    own, other = f"{relation.m2m_field_name()}_id", f"{relation.m2m_reverse_field_name()}_id"
    linked: dict[Any, set[Any]] = {}
    rows = relation.remote_field.through._default_manager.filter(**{f"{own}__in": list(keys)})
    for key, value in rows.values_list(own, other):
        linked.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in linked.items()}
