"""
The bars that processes share through Redis, one driver each.

A key holds where a bar stands, as its pages were told last; another one who drives it, which expires when that one is
not heard of; a third that it should stop. A sorted set has the rooms in which there are bars of a name, by the moment
until which each is kept. Everything expires.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import quote

from dtws_sio import json
from dtws_sio.conf import without_password
from dtws_sio.exceptions import MissingDependencyError
from dtws_sio.progress.records import Key, Record
from dtws_sio.progress.store import CLAIM_SECONDS
from dtws_sio.redis_rates import COMPLAINT_PAUSE, OUTAGE_PAUSE, connect
from dtws_sio.topics import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

logger = logging.getLogger("dtws_sio.progress")

Answer = Literal["driven", "stop", "lost", "lapsed"]
"""
What a driver is told: that it has its bar, that somebody wants it to stop, that another one has the bar, or that it was
not heard of for so long that pages may have been told that it is dead.
"""

MOST_ROOMS: Final = 1000
"""Rooms that are looked through for a bar by its name: those in which one moved last."""

PAGE: Final = 100
"""Bars that are loaded at once."""

CLAIM: Final = """
local driver = redis.call('GET', KEYS[2])
if driver and driver ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[3])
return 1
"""

_ENTER: Final = """
local function enter(rooms, room, lasts)
    if room == '' then
        return
    end
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('ZREMRANGEBYSCORE', rooms, '-inf', now)
    redis.call('ZADD', rooms, now + lasts, room)
    redis.call('PEXPIREAT', rooms, redis.call('ZRANGE', rooms, -1, -1, 'WITHSCORES')[2])
end
"""

SAVE: Final = f"""{_ENTER}
local driver = redis.call('GET', KEYS[2])
if driver and driver ~= ARGV[1] then
    return -1
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
enter(KEYS[4], ARGV[5], ARGV[3])
local stop = redis.call('GET', KEYS[3]) == ARGV[1]
if ARGV[4] == '0' then
    redis.call('DEL', KEYS[2], KEYS[3])
else
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4])
end
if not driver then
    return 2
end
return stop and 1 or 0
"""

KEEP: Final = f"""{_ENTER}
local driver = redis.call('GET', KEYS[2])
if not driver then
    return 2
end
if driver ~= ARGV[1] then
    return -1
end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
enter(KEYS[4], ARGV[4], ARGV[3])
return redis.call('GET', KEYS[3]) == ARGV[1] and 1 or 0
"""

RELEASE: Final = """
if redis.call('GET', KEYS[2]) == ARGV[1] then
    redis.call('DEL', KEYS[2], KEYS[3])
end
"""

FORGET: Final = """
if redis.call('GET', KEYS[2]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[4], ARGV[2])
end
"""

REPLACE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return 1
end
return 0
"""

_ANSWERS: Final[dict[int, Answer]] = {0: "driven", 1: "stop", -1: "lost", 2: "lapsed"}

T = TypeVar("T")


class RedisStore:
    """
    The bars of all processes that share a Redis and a channel.

    A bar must not stop the work that it shows: while Redis cannot be reached, each process knows its own bars only, and
    one caller in `OUTAGE_PAUSE` waits to find out. Asking waits for the network, so it is never done in the hub.

    Args:
        url: The setting MESSAGE_QUEUE.
        channel: The setting MESSAGE_CHANNEL; with it begin the keys.
        expiry: Gives the seconds for which a bar is kept that no job drives.
        clock: Gives the time in seconds, for the pauses.

    Raises:
        MissingDependencyError: If the package redis is not installed.
    """

    def __init__(
        self, url: str, channel: str, expiry: Callable[[], float], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if find_spec("redis") is None:
            raise MissingDependencyError(
                f"DTWS_SIO['MESSAGE_QUEUE'] is {without_password(url)!r}, and the package redis is not installed: "
                "pip install 'dtws_sio[redis]'"
            )
        from redis.exceptions import RedisError

        self._name = without_password(url)
        self._prefix = f"{channel}:bar"
        self._expiry = expiry
        self._clock = clock
        self._redis: Any = connect(url, channel)
        script = self._redis.register_script
        self._claim, self._release = script(CLAIM), script(RELEASE)
        self._save, self._keep, self._forget = script(SAVE), script(KEEP), script(FORGET)
        self._replace = script(REPLACE)
        self._errors = (RedisError, OSError)
        self._ask_at = self._complain_at = self._wonder_at = clock()

    def _keys(self, key: Key) -> list[str]:
        name = ":".join(quote(part or "", safe="/") for part in (key.namespace, key.name, key.room))
        # A name of None is told from "" by a letter, and so is a room.
        kind = ("n" if key.name is not None else "-") + ("r" if key.room is not None else "-")
        places = [f"{self._prefix}:{what}:{kind}:{name}" for what in ("state", "driver", "stop")]
        return [*places, self._rooms_key(key.namespace, key.name)]

    def _rooms_key(self, namespace: str, name: str | None) -> str:
        return f"{self._prefix}:places:{quote(namespace, safe='/')}:{quote(name or '', safe='/')}"

    def _ask(self, question: Callable[[], T], otherwise: T) -> T:
        """Ask Redis; what to answer for it otherwise."""
        now = self._clock()
        if now < self._ask_at:
            return otherwise
        try:
            return question()
        except self._errors as error:
            self._ask_at = now + OUTAGE_PAUSE
            if now >= self._complain_at:
                self._complain_at = now + COMPLAINT_PAUSE
                logger.warning(
                    "progress bars are not shared: the message queue %s cannot be used (%s); late comers and other "
                    "processes do not see where they stand until it can",
                    self._name,
                    error,
                )
            return otherwise

    def _wonder(self, place: str, error: ValueError) -> None:
        """Log what somebody else wrote, once in a while; it is no outage."""
        now = self._clock()
        if now >= self._wonder_at:
            self._wonder_at = now + COMPLAINT_PAUSE
            logger.warning(
                "the bar at %s in the message queue %s counts as unknown, as it cannot be read (%s); give each program "
                "that uses this Redis a MESSAGE_CHANNEL of its own",
                place,
                self._name,
                type(error.__cause__ or error).__name__,
            )

    def _expiry_ms(self) -> int:
        return round(self._expiry() * 1000)

    def claim(self, key: Key, driver: str) -> bool:
        """Let a driver have a bar, unless another one has it."""
        arguments: list[str | int] = [driver, round(CLAIM_SECONDS * 1000)]
        return self._ask(lambda: bool(self._claim(self._keys(key), arguments)), True)

    def release(self, key: Key, driver: str) -> None:
        """Let others have a bar."""
        self._ask(lambda: self._release(self._keys(key), [driver]), None)

    def forget(self, key: Key, driver: str) -> None:
        """Forget where a bar stands, if this driver has it."""
        self._ask(lambda: self._forget(self._keys(key), [driver, _member(key)]), None)

    def save(self, record: Record, *, is_kept: bool) -> Answer:
        """
        Keep where a bar stands; a driver that was not heard of for long has the bar again, unless another one does.

        Args:
            record: Where, and who drives it.
            is_kept: Whether the driver goes on; else others may have the bar.
        """
        claim = round(CLAIM_SECONDS * 1000) if is_kept else 0
        arguments: list[str | int] = [
            record.driver,
            record.dumps(),
            self._expiry_ms() + claim,
            claim,
            _member(record.key),
        ]
        return self._ask(lambda: _ANSWERS[self._save(self._keys(record.key), arguments)], "driven")

    def keep(self, key: Key, driver: str) -> Answer:
        """Tell that a driver lives, and ask whether it should stop; one that has "lapsed" has no bar until it saves."""
        claim = round(CLAIM_SECONDS * 1000)
        arguments: list[str | int] = [driver, claim, self._expiry_ms() + claim, _member(key)]
        return self._ask(lambda: _ANSWERS[self._keep(self._keys(key), arguments)], "driven")

    def stop(self, record: Record) -> None:
        """Ask whoever drives a bar to stop."""
        _, _, stop, _ = self._keys(record.key)
        self._ask(lambda: self._redis.set(stop, record.driver, px=self._expiry_ms()), None)

    def load(self, key: Key) -> tuple[Record, bool] | None:
        """
        Give where a bar stands, if that is known still.

        Returns:
            The record, and whether it was found just now that nobody drives it any more, which its pages must be told.
        """

        return next(iter(self._found([key])), None)

    def in_rooms(self, namespace: str, name: str | None) -> Iterator[tuple[Record, bool]]:
        """Give the bars of a name in `MOST_ROOMS` rooms, as `load` does; those that moved last come first."""
        place = self._rooms_key(namespace, name)
        members: list[str] = self._ask(lambda: self._redis.zrevrange(place, 0, MOST_ROOMS - 1), [])
        keys = (Key(namespace, name, named(json.loads(member))) for member in members)
        while page := list(islice(keys, PAGE)):
            yield from self._found(page)

    def _found(self, keys: Sequence[Key]) -> list[tuple[Record, bool]]:
        nothing: list[tuple[Record, bool]] = []
        return self._ask(partial(self._load, keys), nothing)

    def _load(self, keys: Sequence[Key]) -> list[tuple[Record, bool]]:
        places = [self._keys(key) for key in keys]
        pipeline = self._redis.pipeline(transaction=True)
        for state, driver, *_ in places:
            pipeline.get(state).exists(driver)
        answers = iter(pipeline.execute())
        found = (self._read(place, text, lives) for place, text, lives in zip(places, answers, answers, strict=True))
        return [each for each in found if each is not None]

    def _read(self, places: list[str], text: str | None, lives: int) -> tuple[Record, bool] | None:
        if text is None:
            return None
        try:
            record = Record.loads(text)
        except ValueError as error:
            self._wonder(places[0], error)
            return None
        if lives or not record.has_job or record.state.has_ended:
            return record, False
        orphan = record.orphaned()
        is_first = self._replace(places, [text, orphan.dumps(), self._expiry_ms()])
        return orphan, bool(is_first)


def _member(key: Key) -> str:
    """Name a room among those of its name; a bar for everybody is in none."""
    return "" if key.room is None else str(json.dumps(key.room))
