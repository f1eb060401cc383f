"""The rolls that processes share through Redis."""

from __future__ import annotations

import logging
import secrets
import threading
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from socketio.redis_manager import parse_redis_sentinel_url

from dtws_sio import json
from dtws_sio.conf import without_password
from dtws_sio.exceptions import MissingDependencyError, PresenceError
from dtws_sio.presence import scripts
from dtws_sio.presence.rolls import Change, Member, Seat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

logger = logging.getLogger("dtws_sio.presence")

LEASE_SECONDS: Final = 15.0
"""Seconds after which a process that was not heard of counts as dead."""

RENEWALS: Final = 3
"""How often a lease is renewed before it would run out: twice may fail."""

BATCH: Final = 500
"""Seats that one script handles; Redis serves nobody else meanwhile, for about 5 ms."""

ANSWER_SECONDS: Final = 5.0
"""Seconds in which Redis has to answer, unless the URL says otherwise."""


class _LeaseLostError(Exception):
    """This process was away for so long that others took it for dead, or Redis lost its data."""


class RedisRolls:
    """
    The rolls of all processes that share a Redis and a channel.

    What this process wants to be noted is kept here as well. While Redis cannot be reached, clients come and go as
    ever; `catch_up` notes it later, and gives the changes then. A process has a lease, which `catch_up` renews: when it
    runs out, its seats count no more in what is read, and whoever comes first clears them and gives the changes. Until
    they are cleared they count for who is first and last, so that a client that comes back in time through another
    process has never left.

    Redis may lose its data. Every process then notes its seats anew, of which nothing is told: nobody came or went.

    Args:
        url: As in DTWS_SIO["MESSAGE_QUEUE"].
        channel: What keeps projects apart that share a Redis.
        lease_seconds: Seconds after which a process that was not heard of counts as dead.

    Raises:
        MissingDependencyError: If the package redis is not installed.
    """

    def __init__(self, url: str, *, channel: str, lease_seconds: float = LEASE_SECONDS) -> None:
        self.interval: float | None = lease_seconds / RENEWALS
        self._lease = round(lease_seconds * 1000)
        self._name = without_password(url)
        self._client = _client(url, channel)
        self._prefix = f"{channel}:presence:"
        self._scripts = {text: self._client.register_script(text) for text in scripts.ALL}
        self._failures = _failures()
        self._process = ""
        self._epoch = b""
        self._wanted: dict[Seat, Member] = {}
        self._noted: dict[Seat, Member] = {}
        self._unsettled: dict[Seat, None] = {}
        self._is_behind = True
        self._is_told = False
        self._has_ended = False
        self._turn = threading.Lock()  # eventlet and gevent patch it; the hub never takes it

    def _run(self, script: str, *arguments: str | bytes | int) -> Any:
        return self._scripts[script]([self._prefix], arguments)

    # Changes

    def enter(self, seat: Seat, member: Member) -> list[Change]:
        """Note that a seat is taken."""
        self._wanted[seat] = member
        return self._settle(seat)

    def leave(self, seat: Seat) -> list[Change]:
        """Note that a seat is free."""
        if self._wanted.pop(seat, None) is None:
            return []
        return self._settle(seat)

    def _settle(self, seat: Seat) -> list[Change]:
        """Have noted what is wanted; nothing is lost by a failure, nor by two that are at the same seat."""
        changes: list[Change] = []
        self._unsettled[seat] = None
        while seat in self._unsettled and not self._is_behind:
            try:
                changes += self._note([seat])
            except self._failures as error:
                self._fall_behind(error)
        return changes

    def _note(self, seats: Iterable[Seat]) -> list[Change]:
        intents = [(seat, self._wanted.get(seat)) for seat in seats]
        answer = self._run(scripts.NOTE, self._process, *_arguments(intents))
        if answer is None:
            raise _LeaseLostError("the lease of this process ran out, or Redis lost its data")
        for seat, member in intents:
            if member is None:
                self._noted.pop(seat, None)
            else:
                self._noted[seat] = member
            # Another one may have noted something else meanwhile, before or after: whoever is not up to date goes on.
            if self._wanted.get(seat) is member:
                self._unsettled.pop(seat, None)
            else:
                self._unsettled[seat] = None
        return _changes(answer)

    def catch_up(self) -> list[Change]:
        """Renew the lease, note what could not be noted, and clear what the dead left behind."""
        changes: list[Change] = []
        with self._turn:
            if self._has_ended:
                return changes
            try:
                standing = self._renew()
                self._note_all(changes)
                self._keep_up()
                # Who was late itself may have been away together with all others, as on a laptop that slept.
                if standing == b"kept":
                    self._clear(changes)
            except self._failures as error:
                self._fall_behind(error)
        return changes

    def _renew(self) -> bytes:
        newcomer = secrets.token_hex(8)
        standing, epoch = self._run(scripts.KEEP, self._process, newcomer, self._lease)
        if standing == b"lost":
            self._is_behind = True
            if self._epoch in (b"", epoch):  # our seats were cleared, and rooms were told that we left
                self._noted.clear()
                for seat in list(self._wanted):  # in the order in which they were taken, after those that are free
                    self._unsettled.pop(seat, None)
                    self._unsettled[seat] = None
            else:
                self._restore(newcomer)
            self._process, self._epoch = newcomer, epoch
        return bytes(standing)

    def _restore(self, process: str) -> None:
        """Note again what Redis has forgotten, and tell nobody."""
        for batch in _batches(list(self._noted.items())):
            self._run(scripts.NOTE, process, *_arguments(batch))

    def _note_all(self, changes: list[Change]) -> None:
        while self._unsettled:
            for batch in _batches(list(self._unsettled)):
                changes += self._note(batch)

    def _fall_behind(self, error: Exception) -> None:
        self._is_behind = True
        if not self._is_told and not self._has_ended:
            self._is_told = True
            logger.warning("presence falls behind, and will catch up: %s", self._complaint(error))

    def _keep_up(self) -> None:
        self._is_behind = False
        if self._is_told:
            self._is_told = False
            logger.info("presence has caught up")

    def _complaint(self, error: Exception) -> str:
        return f"the message queue {self._name} cannot be used: {error}"

    def end(self) -> list[Change]:
        """Leave every seat; if Redis cannot be reached, the lease runs out."""
        changes: list[Change] = []
        with self._turn:
            self._has_ended = self._is_behind = True
            try:
                self._clear(changes, self._process)
            except self._failures as error:
                logger.info("presence ends without a word: %s", self._complaint(error))
            self._client.close()
        return changes

    def _clear(self, changes: list[Change], *ending: str) -> None:
        left = 1
        while left:
            answer, left = self._run(scripts.CLEAR, BATCH, *ending)
            changes += _changes(answer)

    # Reading

    def _read(self, script: str, *arguments: str) -> Any:
        try:
            return self._run(script, *arguments)
        except self._failures as error:
            raise PresenceError(
                f"who is present cannot be told: {self._complaint(error)}; start it, or correct "
                "DTWS_SIO['MESSAGE_QUEUE']"
            ) from error

    def members(self, namespace: str, room: str | None) -> list[Member]:
        """Give who is present in a room, each once, in the order of their arrival."""
        alive, sids, members = self._read(scripts.READ, json.dumps(namespace), json.dumps(room))
        present = {who for _, who in _held(sids, alive)}
        arrivals = []
        for who, record in _pairs(members):
            if who in present:
                arrival, _, info = record.split(b" ", 2)
                arrivals.append((int(arrival), _member(who, info)))
        return [member for _, member in sorted(arrivals, key=itemgetter(0))]

    def sids(self, namespace: str, room: str | None) -> list[str]:
        """Give the clients that have a seat in a room."""
        alive, sids, _ = self._read(scripts.READ, json.dumps(namespace), json.dumps(room))
        return [sid for sid, _ in _held(sids, alive)]

    def seats(self, room: str | None) -> list[Seat]:
        """Give all seats in the rooms of that name, in whichever namespace."""
        alive, found = self._read(scripts.SEATS, json.dumps(room))
        return [Seat(json.loads(namespace), room, sid) for namespace, sids in found for sid, _ in _held(sids, alive)]


def _client(url: str, channel: str) -> Any:
    """
    Make a client of Redis; it connects when it is used, and greenlets that use it at once have a connection each.

    It tries everything once: what fails is tried again by `catch_up`, and must not hold handlers up meanwhile.
    """
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
        from redis.sentinel import Sentinel
    except ImportError as error:
        raise MissingDependencyError(
            f"DTWS_SIO['MESSAGE_QUEUE'] is {without_password(url)!r}, and the package redis is not installed: "
            "pip install 'dtws_sio[redis]'"
        ) from error
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": ANSWER_SECONDS,
        "socket_timeout": ANSWER_SECONDS,
    }
    if not url.startswith("redis+sentinel:"):
        return Redis.from_url(url, **options)
    hosts, service, more = parse_redis_sentinel_url(url)
    sentinel = Sentinel(hosts, **options, **more)  # type: ignore[no-untyped-call]
    return sentinel.master_for(service or channel)  # type: ignore[no-untyped-call]


def _failures() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    return RedisError, OSError, _LeaseLostError


T = TypeVar("T")


def _batches(things: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(things), BATCH):
        yield things[start : start + BATCH]


def _arguments(intents: Iterable[tuple[Seat, Member | None]]) -> Iterator[str]:
    """Write seats as the script NOTE reads them."""
    for seat, member in intents:
        yield from (seat.sid, json.dumps(seat.namespace), json.dumps(seat.room))
        yield from ("", "") if member is None else (json.dumps(member.key), json.dumps(member.info))


def _changes(answer: list[list[bytes]]) -> list[Change]:
    return [
        Change(event.decode(), Seat(json.loads(namespace), json.loads(room), sid.decode()), _member(who, info))
        for event, sid, namespace, room, who, info in answer
    ]


def _member(who: bytes, info: bytes) -> Member:
    return Member(json.loads(who), json.loads(info))


def _pairs(flat: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _held(sids: list[bytes], alive: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """Give each sid and its member's key, as JSON, of seats whose process lives."""
    living = set(alive)
    for sid, record in _pairs(sids):
        process, _, who = record.partition(b" ")
        if process in living:
            yield sid.decode(), who
