"""
What one client may ask of the server: how often, how many connections, how large.

Each limit answers with an error that has a name, a child of `EventError` for what clients do, and is counted by that
name in `Refusals`. The parts here hold the state and decide; whoever runs handlers and connections asks them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from dtws_sio import marks, runtime
from dtws_sio.addresses import client_address, finder, forwarded_address, peer_address
from dtws_sio.exceptions import OversizedEmitError, RateError, RateLimitedError, TooManyConnectionsError
from dtws_sio.rates import Bucket, Buckets, Rate, RateStore
from dtws_sio.redis_rates import RedisBuckets

if TYPE_CHECKING:
    from dtws_sio.conf import Settings

__all__ = [
    "Bucket",
    "Buckets",
    "Caller",
    "Connections",
    "Lease",
    "Rate",
    "RateLimit",
    "RateStore",
    "RedisBuckets",
    "Refusals",
    "check_emit",
    "client_address",
    "forwarded_address",
    "peer_address",
    "rate_limit",
    "rate_limits",
    "store",
    "too_often",
]

F = TypeVar("F", bound="Callable[..., Any]")

LONGEST_KEY: Final = 64
"""Characters of a key that is kept as it is; longer ones, which a client may have made up, are hashed."""

COMPLAINT_PAUSE: Final = 60.0
"""Seconds between two log lines about refusals of one kind."""


# ---- How often: the limits of handlers


class Caller:
    """
    Who sent an event, as far as limits care.

    Args:
        sid: The client in its namespace.
        address: What `client_address` gave for its handshake.
        find_user: Gives a text that is the signed-in user's own, such as the primary key, or None if nobody is signed
            in. It is called at most once, and only if a limit wants to know.
    """

    __slots__ = ("_find_user", "_user_key", "address", "sid")

    def __init__(
        self, sid: str, address: str | None = None, find_user: Callable[[], str | None] = lambda: None
    ) -> None:
        self.sid = sid
        self.address = address
        self._find_user: Callable[[], str | None] | None = find_user
        self._user_key: str | None = None

    @property
    def user_key(self) -> str | None:
        """What names the user who is signed in, or None."""
        if self._find_user is not None:
            self._user_key = self._find_user()
            self._find_user = None
        return self._user_key


def _by_client(caller: Caller) -> str:
    return f"client:{caller.sid}"


def _by_address(caller: Caller) -> str:
    return _by_client(caller) if caller.address is None else f"address:{caller.address}"


def _by_user(caller: Caller) -> str:
    return _by_address(caller) if caller.user_key is None else f"user:{caller.user_key}"


By = Literal["user", "address", "client"] | Callable[[Caller], object]
"""Whose events share a bucket."""

_KEYS: Final[Mapping[object, Callable[[Caller], str]]] = {
    "user": _by_user,
    "address": _by_address,
    "client": _by_client,
}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of one handler; `rate_limit` makes them."""

    rate: Rate
    by: By = "user"
    code: str = "rate_limited"
    message: str | None = None
    position: int = 0
    """Tells the limits of one handler from each other."""

    def check(self, caller: Caller, event: str, namespace: str, store: RateStore) -> None:
        """
        Take a token for a call of the handler. With Redis it waits for the network, so never in the hub.

        Args:
            caller: Who calls.
            event: The event that the handler was registered for; "*" for a catch-all, as clients make up what it gets.
            namespace: The namespace that it was registered for, likewise.
            store: Keeps the buckets.

        Raises:
            RateLimitedError: If there is none left.
        """
        who = self._who(caller)
        if who is None:
            return
        wait = store.take(f"{namespace} {event} {self.position} {who}", self.rate)
        if wait:
            raise too_often(self.rate, wait, code=self.code, message=self.message)

    def _who(self, caller: Caller) -> str | None:
        if not callable(self.by):
            return _short(_KEYS[self.by](caller))
        own = self.by(caller)
        return None if own is None else _short(f"own:{own}")


def rate_limit(
    rate: str, *, by: By = "user", code: str = "rate_limited", message: str | None = None
) -> Callable[[F], F]:
    """
    Bound how often a handler is called; what comes too often is answered with an error, and the handler does not run.

    Goes next to the function, below `@sio.event`, or on a method of a `Namespace`. Several limits hold together, such
    as "5/s" and "100/h". As many as the rate says may come at once.

    Args:
        rate: Such as "10/s", "600/m" or "5/10m".
        by: Who has a bucket of their own. "user": a user who is signed in, else an address, else a client. "address":
            an address if it can be told, else a client. "client": a connection, which a page can renew at will. Or a
            function of the `Caller` that gives a key, or None for no limit.
        code: What the answer has as its code.
        message: What the answer says, instead of the limit and the seconds to wait.

    Raises:
        RateError: If the rate or `by` is none of these.
    """
    parsed = Rate.parse(rate)
    if not callable(by) and by not in _KEYS:
        raise RateError(
            f"rate_limit(by={by!r}) names nobody; write 'user', 'address', 'client' or a function of the caller"
        )

    def mark(handler: F) -> F:
        present = rate_limits(handler)
        limit = RateLimit(parsed, by, code, message, len(present))
        marks.put(handler, "__dtws_sio_rate_limits__", (*present, limit))
        return handler

    return mark


def rate_limits(handler: object) -> tuple[RateLimit, ...]:
    """Give the limits that a handler was marked with."""
    found: tuple[RateLimit, ...] = getattr(handler, "__dtws_sio_rate_limits__", ())
    return found


def too_often(rate: Rate, wait: float, *, code: str = "rate_limited", message: str | None = None) -> RateLimitedError:
    """Make the error for what came before its time; also for the setting MAX_EVENTS."""
    return RateLimitedError(
        message or f"Rate limit of {rate} exceeded; try again in {_seconds(wait)}", code=code, wait=wait
    )


def store(settings: Settings) -> RateStore:
    """
    Make what keeps the buckets of handlers: shared through Redis where there is one, else this process's own.

    Raises:
        MissingDependencyError: If there is a message queue and the package redis is not installed.
    """
    if settings.message_queue is None:
        return Buckets()
    return RedisBuckets(settings.message_queue, settings.message_channel)


def _short(key: str) -> str:
    """Bound the length of what a client may have had a hand in, and keep lone surrogates out of Redis."""
    if len(key) <= LONGEST_KEY and key.isascii():
        return key
    return "#" + blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _seconds(wait: float) -> str:
    """Say how long to wait, rounded up to tenths or, if it is long, to seconds; noise of the clock does not count."""
    tenths = max(1, math.ceil(round(wait * 10, 2)))
    return f"{tenths / 10:g} s" if tenths <= 100 else f"{math.ceil(tenths / 10)} s"


# ---- How many: connections


class Lease:
    """A place that a connection takes; it is given back with `release`."""

    __slots__ = ("_key", "_tally")

    def __init__(self, tally: _Tally | None, key: str) -> None:
        self._tally = tally
        self._key = key

    def release(self) -> None:
        """Give the place back; again does nothing."""
        tally = self._tally
        if tally is not None:
            tally.leave(self)


_FREE: Final = Lease(None, "")
"""What is not limited takes no place."""

_IF_A_PROXY: Final = "if that is a proxy, let DTWS_SIO['CLIENT_ADDRESS'] name a function that tells its clients apart"


class _Tally:
    """How many places each key takes; a key that takes none is not kept."""

    def __init__(self, most: int | None, refusal: Callable[[str], TooManyConnectionsError]) -> None:
        self._most = most
        self._refusal = refusal
        self._lock = runtime.lock()
        self._taken: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._taken)

    def enter(self, key: str | None) -> Lease:
        if key is None or self._most is None:
            return _FREE
        with self._lock:
            taken = self._taken.get(key, 0)
            if taken < self._most:
                self._taken[key] = taken + 1
                return Lease(self, key)
        raise self._refusal(key)

    def leave(self, lease: Lease) -> None:
        with self._lock:
            if lease._tally is None:  # two threads were at it
                return
            lease._tally = None
            left = self._taken[lease._key] - 1
            if left:
                self._taken[lease._key] = left
            else:
                del self._taken[lease._key]


class Connections:
    """
    Bounds the connections to this process by address, Django session and user, and the attempts by address.

    Args:
        settings: The values in force.
        clock: Gives the time in seconds.

    Raises:
        ConfigurationError: If CLIENT_ADDRESS names nothing that can be imported.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = monotonic) -> None:
        self.address_of = finder(settings.client_address)
        self._settings = settings
        self._rate = None if settings.max_connects is None else Rate.parse(settings.max_connects)
        self._attempts = Buckets(clock=clock)
        self._addresses = _Tally(settings.max_connections_per_address, self._address_is_full)
        self._sessions = _Tally(settings.max_connections_per_session, self._session_is_full)
        self._users = _Tally(settings.max_connections_per_user, self._user_is_full)

    def __len__(self) -> int:
        """How many addresses, sessions and users have connections that are counted."""
        return len(self._addresses) + len(self._sessions) + len(self._users)

    def admit_address(self, environ: dict[str, Any]) -> Lease:
        """
        Let a connection begin, by the WSGI environ of its handshake; release the lease when it has ended.

        Raises:
            TooManyConnectionsError: If its address has too many, or tries too often.
        """
        address = self.address_of(environ)
        if address is None:
            return _FREE
        wait = 0.0 if self._rate is None else self._attempts.take(address, self._rate)
        if wait:
            raise self._address_is_hasty(address, wait)
        return self._addresses.enter(address)

    def admit_again(self, environ: dict[str, Any], session: str) -> None:
        """
        Count one more attempt of a connection to join, by its handshake's environ; by itself if its address is unknown.

        Raises:
            TooManyConnectionsError: If there are too many.
        """
        key = self.address_of(environ) or f"session {session}"
        wait = 0.0 if self._rate is None else self._attempts.take(key, self._rate)
        if wait:
            raise self._address_is_hasty(key, wait)

    def admit_session(self, key: str | None) -> Lease:
        """
        Count a connection to the Django session that it came with, if any; release the lease when it has ended.

        Raises:
            TooManyConnectionsError: If the session has too many.
        """
        return self._sessions.enter(key)

    def admit_user(self, key: str | None) -> Lease:
        """
        Count a connection to the user who is signed in, if any; release the lease when it has ended.

        Raises:
            TooManyConnectionsError: If the user has too many.
        """
        return self._users.enter(key)

    def _address_is_hasty(self, address: str, wait: float) -> TooManyConnectionsError:
        return TooManyConnectionsError(
            f"Too many attempts to connect; try again in {_seconds(wait)}",
            code="too_many_connects",
            reason=f"{address} tries to connect more often than DTWS_SIO['MAX_CONNECTS'] ({self._rate}) allows; "
            f"{_IF_A_PROXY}",
            wait=wait,
        )

    def _address_is_full(self, address: str) -> TooManyConnectionsError:
        return TooManyConnectionsError(
            "Too many connections from your address",
            reason=f"{address} has {self._settings.max_connections_per_address} connections, all that "
            f"DTWS_SIO['MAX_CONNECTIONS_PER_ADDRESS'] allows; {_IF_A_PROXY}",
        )

    def _session_is_full(self, key: str) -> TooManyConnectionsError:
        return TooManyConnectionsError(
            "Too many connections of your session",
            # The key of a session is as good as a password.
            reason=f"a session has {self._settings.max_connections_per_session} connections, all that "
            "DTWS_SIO['MAX_CONNECTIONS_PER_SESSION'] allows",
        )

    def _user_is_full(self, key: str) -> TooManyConnectionsError:
        return TooManyConnectionsError(
            "Too many connections of your account",
            reason=f"the user {key} has {self._settings.max_connections_per_user} connections, all that "
            "DTWS_SIO['MAX_CONNECTIONS_PER_USER'] allows",
        )


# ---- How large


def check_emit(size: int, event: str, limit: int | None) -> None:
    """
    Look at the size of an event before anything of it is sent.

    Args:
        size: Bytes of the encoded packet and its attachments.
        event: The event's name.
        limit: The setting MAX_EMIT.

    Raises:
        OversizedEmitError: If it is larger.
    """
    if limit is not None and size > limit:
        raise OversizedEmitError(
            f"emit({event!r}) has {size:,} bytes, and DTWS_SIO['MAX_EMIT'] allows {limit:,}; send it in parts or as a "
            "URL to load it from, or raise the limit"
        )


# ---- How many were refused


class Refusals(Mapping[str, int]):
    """
    How often this process refused something, by the code of the error. A code that never came up counts 0.

    Args:
        clock: Gives the time in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = runtime.lock()
        self._counts: Counter[str] = Counter()
        self._complain_at: dict[str, float] = {}

    def add(self, code: str) -> bool:
        """Count one; True if it is worth a line in the log, which it is once a minute for each code."""
        with self._lock:
            self._counts[code] += 1
            now = self._clock()
            if now < self._complain_at.get(code, now):
                return False
            self._complain_at[code] = now + COMPLAINT_PAUSE
            return True

    def __getitem__(self, code: str) -> int:
        return self._counts[code]

    def __contains__(self, code: object) -> bool:
        return code in self._counts

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._counts))

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"<Refusals {dict(self._counts)}>"
