"""Token buckets that all processes share, in the Redis that joins them."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from socketio.redis_manager import parse_redis_sentinel_url

from dtws_sio.conf import without_password
from dtws_sio.exceptions import MissingDependencyError
from dtws_sio.rates import Buckets

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from dtws_sio.rates import Rate

logger = logging.getLogger("dtws_sio.limits")

PATIENCE: Final = 0.5
"""Seconds that Redis has for an answer. A handler waits for it."""

OUTAGE_PAUSE: Final = 5.0
"""Seconds after a failure in which Redis is not asked again."""

COMPLAINT_PAUSE: Final = 60.0
"""Seconds between two log lines about it."""

TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, window, reach = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local ahead = full_at - now
if ahead > reach then
    return math.ceil(ahead - window)
end
full_at = full_at + interval
redis.call('SET', KEYS[1], string.format('%.2f', full_at), 'PX', math.ceil((full_at - now) / 1000))
return 0
"""
"""
`dtws_sio.rates.Bucket.take`, in microseconds of Redis' own clock, so that those of the hosts do not matter.

A key lives until its bucket is full. Numbers are written out because Lua's own way keeps 14 digits, and these have 16.
"""


class RedisBuckets:
    """
    Buckets in Redis; this process's own take their place while it cannot be reached.

    A limit must not take the site down: an outage costs one caller `PATIENCE` every `OUTAGE_PAUSE`, and the others
    nothing. Asking waits for the network, so it is never done in the hub.

    Args:
        url: The setting MESSAGE_QUEUE.
        channel: The setting MESSAGE_CHANNEL; with it begin the keys.
        clock: Gives the time in seconds, for the pauses and this process's buckets.

    Raises:
        MissingDependencyError: If the package redis is not installed.
    """

    def __init__(self, url: str, channel: str, *, clock: Callable[[], float] = monotonic) -> None:
        if find_spec("redis") is None:
            raise MissingDependencyError(
                f"DTWS_SIO['MESSAGE_QUEUE'] is {without_password(url)!r}, and the package redis is not installed: "
                "pip install 'dtws_sio[redis]'"
            )
        from redis.exceptions import RedisError

        self._name = without_password(url)
        self._prefix = f"{channel}:rate:"
        self._clock = clock
        self._own = Buckets(clock=clock)
        self._redis = connect(url, channel)
        self._take: Callable[..., Any] = self._redis.register_script(TAKE)  # EVALSHA, and loads it where it is missing
        self._errors = (RedisError, OSError)
        self._is_down = False
        self._ask_at = self._complain_at = clock()

    def take(self, key: str, rate: Rate) -> float:
        """Take a token from the bucket of a key; give 0, or the seconds until there is one."""
        now = self._clock()
        if now < self._ask_at:
            return self._own.take(key, rate)
        if self._is_down:
            self._ask_at = now + OUTAGE_PAUSE  # one caller finds out; the others need not wait with it
        try:
            wait = self._ask(key, rate)
        except self._errors as error:
            self._lost(error)
            return self._own.take(key, rate)
        if self._is_down:
            self._is_down, self._ask_at = False, now
        return wait

    def close(self) -> None:
        """Close the connections to Redis."""
        self._redis.close()
        self._own.close()

    def _ask(self, key: str, rate: Rate) -> float:
        times = [seconds * 1e6 for seconds in (rate.interval, rate.window, rate.reach)]
        return int(self._take(keys=[self._prefix + key], args=times)) / 1e6

    def _lost(self, error: Exception) -> None:
        now = self._clock()
        self._is_down = True
        self._ask_at = now + OUTAGE_PAUSE
        if now >= self._complain_at:
            self._complain_at = now + COMPLAINT_PAUSE
            logger.warning(
                "rate limits are not shared: the message queue %s cannot be used (%s); each process counts for itself "
                "until it can",
                self._name,
                error,
            )


def connect(url: str, channel: str) -> Redis:
    """
    Make a client, which connects when it is first used and tries everything once.

    Where to, python-socketio's Redis manager decides alike.
    """
    from redis import Redis, Sentinel
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": PATIENCE,
        # By default a Sentinel that is not there is tried for 4 s. A connection that Redis closed is replaced anyway.
        "retry": Retry(NoBackoff(), 0),
    }
    if not url.startswith("redis+sentinel:"):
        return Redis.from_url(url, **options)
    sentinels, service, more = parse_redis_sentinel_url(url)
    make: Any = Sentinel  # it has no annotations
    master: Redis = make(sentinels, sentinel_kwargs=options, **options, **more).master_for(service or channel)
    return master
