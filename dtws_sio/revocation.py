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
from itertools import islice
from typing import TYPE_CHECKING, Final

from dtws_sio import bulk, dispatch, identity, runtime, security
from dtws_sio.rechecks import Rechecks, Turn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from dtws_sio.client import Client
    from dtws_sio.identity import Identity
    from dtws_sio.rights import Change
    from dtws_sio.standing import Standing

TICK: Final = 0.1
"""Seconds between two looks at what has changed."""

BREATH: Final = 0.01
"""Seconds between two looks where there is more to verify that is not urgent."""

PAUSE: Final = 1.0
"""Seconds until the next look after one that failed."""

BATCH: Final = 100
"""Clients that one look verifies, which takes about 0.03 s; then others run, and it is the next change's turn."""

URGENT_SHARE: Final = 75
"""How many of those may be urgent, if there are others."""

ASK_AGAIN: Final = 1.0
"""Seconds after which a session is looked for again whose store, a cache, does not say when it expires."""

ASKING_SHARE: Final = 4
"""Such a look is followed by a pause of this many times what it took, if that is longer."""


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
    Keeps an eye on the clients of this process that have a user or a session, and on others where there are rules.

    Its loop runs while there are any.

    Args:
        standing: Closes those who may not be where they are, and takes them out of rooms.
        sweep_seconds: How often everybody is looked at.
    """

    has_loop = True
    """Whether `look` is called as often as it should be; else somebody else has to see to that."""

    def __init__(self, standing: Standing, *, sweep_seconds: float) -> None:
        self._standing = standing
        self._rechecks = Rechecks(standing.recheck)
        self._sweep_seconds = sweep_seconds
        self._lock = runtime.lock()
        self._clients: dict[str, Client] = {}
        self._strangers: dict[str, Client] = {}
        self._pending = _Pending()
        self._urgent: dict[Client, None] = {}
        self._waiting: dict[Client, None] = {}
        self._known: dict[str, object] = {}
        self._expiries: list[tuple[float, str]] = []
        self._undated: set[str] = set()
        self._next_question = 0.0
        self._next_sweep = 0.0
        self._is_running = False
        self._is_failing = False
        self._is_away = False
        self._is_looking = False
        self._retries: set[Client] = set()
        self._next_try = 0.0

    def enrol(self, client: Client) -> None:
        """Watch a client that has joined; where it has no session, only whether the rules let it be where it is."""
        with self._lock:
            if client.identity is None:
                self._strangers[client.sid] = client
                self._pending.rooms.add(client.sid)
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
        self._undated.discard(client.sid)

    @property
    def is_idle(self) -> bool:
        """Whether all that was noticed so far has been dealt with."""
        pending = self._pending
        is_quiet = pending == _Pending() and not self._is_looking and self._rechecks.is_idle
        return is_quiet and not (self._urgent or self._waiting or self._retries)

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
                self._urgent.clear()
                self._waiting.clear()
                self._known.clear()
                self._expiries.clear()
            return self._is_running

    def _run(self) -> None:
        while self._is_needed():
            runtime.sleep(self._pause())
            try:
                self.look()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # such as the Timeout of eventlet
                self._is_away = True
                self._complain(error)
            else:
                self._is_away = False
                if self._is_failing and not self._retries and self._rechecks.is_idle:
                    self._is_failing = False
                    security.logger.warning("the rights of clients are looked at again")
            finally:
                dispatch.give_back_connections()

    def _pause(self) -> float:
        if self._is_away:
            return PAUSE
        return 0 if self._urgent else BREATH if self._waiting else TICK

    def _complain(self, error: BaseException) -> None:
        if not self._is_failing:
            security.logger.error("the rights of clients cannot be looked at now; trying on", exc_info=error)
        self._is_failing = True

    def look(self) -> None:
        """
        Look at those who came, changed or expired since the last time, and at all when a sweep is due.

        If the database does not answer, everybody is looked at the next time, so that nothing is forgotten.
        """
        self._is_looking = True
        pending = self._take()
        for client in self._having(sessions=pending.sessions):
            self._standing.close(client, "its session has ended")
        try:
            self._urgent.update(dict.fromkeys([*self._having(users=pending.users), *self._inside(pending.rooms)]))
            self._end_expired()
            self._begin([self._clients[sid] for sid in pending.new if sid in self._clients])
            self._ask_again()
            if pending.everybody:
                self._put_off(self._everybody())
            elif pending.all_users:
                self._put_off(list(self._clients.values()))
            if time.monotonic() >= self._next_sweep:
                self._next_sweep = time.monotonic() + self._sweep_seconds
                self._put_off(self._sweep())
            self._try_again()
            self._verify_some()
            if self.has_loop:
                self._rechecks.start()
                return
            while self._urgent or self._waiting:
                self._verify_some()
            self._rechecks.finish()
            for error in self._rechecks.take_failures().values():
                raise error
        except BaseException:
            self._pending.everybody = True
            self._next_sweep = 0.0
            raise
        finally:
            self._is_looking = False

    def _having(self, users: Collection[str] = (), sessions: Collection[str] = ()) -> list[Client]:
        found = []
        for client in list(self._clients.values()) if users or sessions else ():
            known = _of(client)
            if known.user_key in users or (sessions and not known.topics.isdisjoint(sessions)):
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
        some = list(islice(self._urgent, URGENT_SHARE))
        some += islice(self._waiting, BATCH - len(some))
        self._verify(dict.fromkeys(some))
        for client in some:
            self._urgent.pop(client, None)
            self._waiting.pop(client, None)

    def _try_again(self) -> None:
        """Have those verified once more, after a pause, about whom it could not be told whether they may stay."""
        failures = self._rechecks.take_failures()
        for error in failures.values():
            self._complain(error)
        self._retries.update(failures)
        if self._retries and time.monotonic() >= self._next_try:
            self._next_try = time.monotonic() + PAUSE
            self._put_off(self._retries)
            self._retries.clear()

    def _verify(self, clients: Iterable[Client]) -> None:
        """Load each proof again, in a few queries for all; close those who have none, and have the others rechecked."""
        requests = {
            client: identity.HandshakeRequest(client.environ, client.identity)
            for client in clients
            if client.left is None
        }
        if requests:
            bulk.prepare(list(requests.values()))
        turn = Turn()
        for client, request in requests.items():
            if "user" in request.__dict__:  # others may take long, and prove themselves when they are rechecked
                self._standing.prove(client, request)
            if client.left is None:
                self._rechecks.put(client, request)
            turn.give_way()

    def _begin(self, clients: list[Client]) -> None:
        """
        Note what newcomers may do and when their proofs end, and have them verified.

        Others of the same users are verified too if their rights are not what they were, as the next sweep compares
        with what is noted here.
        """
        for client in clients:
            self._note_expiry(client, _of(client).expires)
        rights = bulk.rights(_users_of(clients))
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
            expires = _of(client).expires
            if expires is not None and expires <= time.time():
                self._standing.close(client, "its token has expired")
        self._end_sessionless(due)

    def _end_sessionless(self, clients: list[Client]) -> None:
        """Close those of the clients whose session is there no more, and note when those of the others expire."""
        keys = {key for client in clients if (key := _of(client).session_key)}
        ends = bulk.session_ends(keys) if keys else {}
        for client in clients:
            key = _of(client).session_key
            if key is None:
                continue
            if key not in ends:
                self._standing.close(client, "its session has ended")
            elif ends[key] is None:
                self._undated.add(client.sid)
            else:
                self._note_expiry(client, ends[key])

    def _ask_again(self) -> None:
        """Look for those sessions that end without having said when."""
        started = time.monotonic()
        if not self._undated or started < self._next_question:
            return
        self._end_sessionless([self._clients[sid] for sid in list(self._undated) if sid in self._clients])
        now = time.monotonic()
        self._next_question = now + max(ASK_AGAIN, ASKING_SHARE * (now - started))

    # What sends no signal

    def _sweep(self) -> list[Client]:
        """Close those without a session, and give those of users whose rights are not what they were."""
        clients = list(self._clients.values())
        self._expiries.clear()
        self._undated.clear()
        for client in clients:
            self._note_expiry(client, _of(client).expires)
        self._end_sessionless(clients)
        keys = _users_of(clients)
        before, self._known = self._known, bulk.rights(keys)
        return self._having(users={key for key in keys if self._known.get(key) != before.get(key)})


def _of(client: Client) -> Identity:
    """Give how a client was recognised."""
    assert client.identity is not None  # noqa: S101
    return client.identity


def _users_of(clients: Iterable[Client]) -> set[str]:
    """Give the keys of the users of clients, of whom guests with a session have none."""
    return {key for client in clients if (key := _of(client).user_key) is not None}
