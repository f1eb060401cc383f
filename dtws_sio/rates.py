"""
How often something may happen: rates such as "10/s", and token buckets that hold to them.

A bucket is one number, the moment at which it will be full again. A token takes a fixed time to come back, so taking
one moves that moment on; one that lies too far ahead means an empty bucket.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from dtws_sio import runtime
from dtws_sio.exceptions import RateError

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS: Final = MappingProxyType({"d": 86400, "h": 3600, "m": 60, "s": 1})
"""Seconds of each unit that a rate may be written with."""

MOST_KEYS: Final = 100_000
"""Buckets that `Buckets` keeps; some 25 MB."""

LOOKED_AT: Final = 4
"""Buckets that are looked at for each new one, whether they can be forgotten."""

_WRITTEN: Final = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,4})?([dhms])")

_TOLERANCE: Final = 0.01
"""Part of a token that may be missing, for times are rounded; so as many as the rate says really fit at once."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so many seconds, spread in any way: all may come at once, and then each again when its time is up."""

    count: int
    """How many; also how many at once."""

    period: float
    """Seconds."""

    interval: float = field(init=False, repr=False, compare=False)
    """Seconds until a token that was taken is back."""

    window: float = field(init=False, repr=False, compare=False)
    """Seconds that a bucket may need to be full again, and still give a token."""

    reach: float = field(init=False, repr=False, compare=False)
    """The same with the tolerance."""

    def __post_init__(self) -> None:
        if not (self.count >= 1 and 0 < self.period < inf):
            raise RateError(f"{self.count!r} in {self.period!r} seconds is no rate; both have to be above 0")
        interval = self.period / self.count
        for name, value in (
            ("interval", interval),
            ("window", self.period - interval),
            ("reach", self.period - interval + _TOLERANCE * interval),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def parse(cls, text: object) -> Rate:
        """
        Read a rate: a number, a slash, and a time of seconds, minutes, hours or days, as "10/s", "600/m" or "5/10m".

        Raises:
            RateError: If it is anything else.
        """
        match = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise RateError(f"{text!r} is no rate; write how many in which time, such as '10/s', '600/m' or '5/10m'")
        count, times, unit = match.groups()
        return cls(int(count), int(times or 1) * UNITS[unit])

    def __str__(self) -> str:
        for unit, seconds in UNITS.items():
            if self.period % seconds == 0:
                times = int(self.period // seconds)
                return f"{self.count}/{times if times > 1 else ''}{unit}"
        return f"{self.count}/{self.period:g}s"


class Bucket:
    """The tokens of one thing that is limited; it starts full."""

    __slots__ = ("_rate", "full_at")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self.full_at = -inf
        """When all tokens are back, by the clock that `take` is told the time of."""

    def take(self, now: float) -> float:
        """Take a token; give 0, or the seconds until there is one if there is none. A refusal costs nothing."""
        ahead = self.full_at - now
        if ahead <= 0.0:
            self.full_at = now + self._rate.interval
            return 0.0
        if ahead > self._rate.reach:
            return ahead - self._rate.window
        self.full_at += self._rate.interval
        return 0.0


class RateStore(Protocol):
    """Keeps the buckets of many things, by key. One key always goes with the same rate."""

    def take(self, key: str, rate: Rate) -> float:
        """Take a token from the bucket of a key; give 0, or the seconds until there is one."""

    def close(self) -> None:
        """Let go of what the store holds."""


class Buckets:
    """
    The buckets of this process.

    A full bucket says nothing and is forgotten. Whoever makes up keys cannot make it grow beyond a bound: then the one
    that would be full first is given up, of a few that are looked at, so that a flood of new keys does not wash out
    those that were used up. Each new key costs the same small time, at the bound too; nothing is ever swept.

    Args:
        most: Keys that are kept at most.
        clock: Gives the time in seconds.
    """

    def __init__(self, most: int = MOST_KEYS, *, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._lock = runtime.lock()
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._buckets)

    def take(self, key: str, rate: Rate) -> float:
        """Take a token from the bucket of a key; give 0, or the seconds until there is one."""
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(key)
            if bucket is None:
                self._make_room(now)
                bucket = self._buckets[key] = Bucket(rate)
            return bucket.take(now)

    def close(self) -> None:
        """Forget everything."""
        self._buckets.clear()

    def _make_room(self, now: float) -> None:
        """Look at those that were not looked at for longest; the others of them go to the end of the queue."""
        looked_at = list(islice(self._buckets.items(), LOOKED_AT))
        for key, bucket in looked_at:
            if bucket.full_at <= now:
                del self._buckets[key]
            else:
                self._buckets.move_to_end(key)
        if len(self._buckets) >= self._most:  # so all that were looked at are still there
            del self._buckets[min(looked_at, key=lambda item: item[1].full_at)[0]]
