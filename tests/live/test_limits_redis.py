"""Buckets that processes share through a real Redis."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import redis

from dtws_sio import limits
from dtws_sio.conf import Settings
from dtws_sio.rates import Rate
from dtws_sio.redis_rates import OUTAGE_PAUSE, PATIENCE, RedisBuckets
from tests.live.servers import eventually, free_port, serve
from tests.live.services import PASSWORD, program, redis_server
from tests.test_rates import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def make(url: str, client: redis.Redis) -> Iterator[Callable[..., RedisBuckets]]:
    """Make what several processes have; each has connections of its own, and nothing in common but Redis."""
    stores: list[RedisBuckets] = []

    def make_store(channel: str = "shop", **options: Any) -> RedisBuckets:
        stores.append(RedisBuckets(url, channel, **options))
        return stores[-1]

    yield make_store
    for store in stores:
        store.close()


def test_processes_share_the_tokens_of_a_key(make: Callable[..., RedisBuckets]) -> None:
    one, other, rate = make(), make(), Rate.parse("4/h")
    assert [store.take("a", rate) for store in (one, other, one, other)] == [0, 0, 0, 0]
    assert 899 < one.take("a", rate) <= 900
    assert 899 < other.take("a", rate) <= 900
    assert other.take("b", rate) == 0


@pytest.mark.parametrize("text", ["1/h", "3/h", "7/d", "1000/d"])
def test_as_many_as_the_rate_says_fit_at_once(make: Callable[..., RedisBuckets], text: str) -> None:
    store, rate = make(), Rate.parse(text)
    assert sum(not store.take("a", rate) for _ in range(rate.count + 20)) == rate.count


def test_tokens_come_back_as_told(make: Callable[..., RedisBuckets]) -> None:
    """By Redis' own clock; that of this process stands still."""
    store, rate = make(clock=Clock()), Rate(2, 0.4)
    assert [store.take("a", rate), store.take("a", rate)] == [0, 0]
    wait = store.take("a", rate)
    assert 0 < wait <= 0.2
    begun = time.monotonic()
    eventually(lambda: store.take("a", rate) == 0, "a token")
    assert time.monotonic() - begun > wait * 0.9 - 0.05


def test_the_clocks_of_the_hosts_do_not_matter(make: Callable[..., RedisBuckets]) -> None:
    stores = [make(clock=Clock(now)) for now in (0.0, 1e9, -5.0)]
    assert [store.take("a", Rate(2, 3600)) > 0 for store in stores] == [False, False, True]


def test_keys_expire_when_their_bucket_is_full(make: Callable[..., RedisBuckets], client: redis.Redis) -> None:
    store = make()
    store.take("slow", Rate(10, 1000))
    store.take("slow", Rate(10, 1000))
    assert client.keys() == ["shop:rate:slow"]
    assert 199_000 < client.pttl("shop:rate:slow") <= 200_000
    store.take("quick", Rate(100, 1))
    eventually(lambda: client.keys() == ["shop:rate:slow"], "the key of the full bucket to go")


def test_times_are_kept_to_the_microsecond(make: Callable[..., RedisBuckets], client: redis.Redis) -> None:
    """Lua's own way of writing numbers would round them to a tenth of a millisecond."""
    make().take("a", Rate(1, 3600))
    assert re.fullmatch(r"\d{16}\.\d\d", str(client.get("shop:rate:a")))


def test_a_refusal_costs_nothing(make: Callable[..., RedisBuckets], client: redis.Redis) -> None:
    store = make()
    store.take("a", Rate(1, 3600))
    before = client.get("shop:rate:a")
    assert all(store.take("a", Rate(1, 3600)) for _ in range(10))
    assert client.get("shop:rate:a") == before


def test_projects_that_share_a_redis_do_not_share_limits(make: Callable[..., RedisBuckets]) -> None:
    assert [make(channel).take("a", Rate(1, 3600)) > 0 for channel in ("shop", "forum", "shop")] == [False, False, True]


def test_many_threads_get_no_more_than_the_rate_between_them(make: Callable[..., RedisBuckets]) -> None:
    stores, rate = [make(), make()], Rate.parse("50/h")
    passed: list[int] = []

    def work(store: RedisBuckets) -> None:
        passed.extend(number for number in range(20) if not store.take("a", rate))

    threads = [threading.Thread(target=work, args=(stores[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(passed) == 50


GREENLETS = """
from dtws_sio import runtime
runtime.patch()
import sys, time, eventlet
from dtws_sio.rates import Rate
from dtws_sio.redis_rates import RedisBuckets
store, turns, passed = RedisBuckets(sys.argv[1], "shop"), [], []
def take():
    for _ in range(10):
        passed.append(not store.take("a", Rate.parse("50/h")))
def watch():
    while True:
        turns.append(time.monotonic())
        eventlet.sleep(0.01)
eventlet.spawn(watch)
eventlet.sleep(0.02)
for thread in [eventlet.spawn(take) for _ in range(20)]:
    thread.wait()
turns.append(time.monotonic())
print(sum(passed), max(later - sooner for sooner, later in zip(turns, turns[1:])))
"""


def greenlets(url: str) -> tuple[int, float]:
    """Have many greenlets ask for tokens; give how many they got, and for how long nobody else had a turn."""
    done = subprocess.run([sys.executable, "-c", GREENLETS, url], capture_output=True, text=True, check=True)
    count, longest = done.stdout.split()
    return int(count), float(longest)


def test_many_greenlets_get_no_more_than_the_rate_between_them(url: str, client: redis.Redis) -> None:
    assert greenlets(url)[0] == 50
    assert client.keys() == ["shop:rate:a"]


def test_greenlets_that_wait_for_a_redis_that_hangs_hold_up_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as deaf:
        count, longest = greenlets(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
    assert count == 50, "from the process's own bucket"
    assert longest < PATIENCE / 2


def test_a_redis_that_lost_its_scripts_is_given_them_again(
    make: Callable[..., RedisBuckets], client: redis.Redis
) -> None:
    store, rate = make(), Rate.parse("2/h")
    assert store.take("a", rate) == 0
    client.script_flush()
    assert store.take("a", rate) == 0
    assert store.take("a", rate) > 0


def test_connections_that_redis_closed_are_opened_again(
    make: Callable[..., RedisBuckets], client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store = make()
    store.take("a", Rate(1, 3600))
    client.client_kill_filter(_type="normal", skipme=True)
    assert store.take("a", Rate(1, 3600)) > 0, "the process's own bucket would have had a token"
    assert caplog.records == []


def test_a_key_that_someone_else_uses_does_no_harm(
    make: Callable[..., RedisBuckets], client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.rpush("shop:rate:a", "a list")
    assert make().take("a", Rate(1, 3600)) == 0
    assert "WRONGTYPE" in caplog.text


def test_limits_are_shared_again_when_redis_is_back(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with redis_server() as first:
        store = RedisBuckets(first, "shop", clock=clock)
        assert store.take("a", Rate(1, 3600)) == 0
        assert store.take("a", Rate(1, 3600)) > 0
    assert store.take("a", Rate(1, 3600)) == 0, "its own bucket is still full"
    assert store.take("a", Rate(1, 3600)) > 0
    assert "rate limits are not shared" in caplog.text
    assert PASSWORD not in caplog.text
    port = int(first.rpartition(":")[2].partition("/")[0])
    with redis_server(port) as second, redis.Redis.from_url(second) as client:
        assert store.take("b", Rate(1, 3600)) == 0
        assert client.keys() == [], "it is not asked before its time"
        clock.now += OUTAGE_PAUSE
        assert store.take("c", Rate(1, 3600)) == 0
        assert store.take("d", Rate(1, 3600)) == 0
        assert sorted(client.keys()) == [b"shop:rate:c", b"shop:rate:d"]
        store.close()


def test_a_sentinel_tells_where_redis_is(url: str, client: redis.Redis, tmp_path: Path) -> None:
    where = urlsplit(url)
    port = free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {where.port} 1\n"
        f"sentinel auth-pass main {PASSWORD}\n"
    )
    with serve([program("redis-server"), str(config), "--sentinel"], cwd=str(tmp_path), ready_port=port):
        store = RedisBuckets(f"redis+sentinel://:{PASSWORD}@127.0.0.1:{port}/0/main", "shop")
        assert store.take("a", Rate(1, 3600)) == 0
        assert client.keys() == ["shop:rate:a"]
        store.close()


def test_a_wrong_password_leaves_each_process_its_own_buckets(url: str, caplog: pytest.LogCaptureFixture) -> None:
    store = RedisBuckets(url.replace(PASSWORD, "guess-guess"), "shop")
    assert [store.take("a", Rate(1, 3600)) > 0 for _ in range(2)] == [False, True]
    store.close()
    assert "rate limits are not shared" in caplog.text
    assert "guess-guess" not in caplog.text


def test_a_marked_handler_is_limited_across_processes(url: str, client: redis.Redis) -> None:
    @limits.rate_limit("2/h")
    def vote(sid: str) -> None: ...

    (limit,) = limits.rate_limits(vote)
    stores = [limits.store(Settings(message_queue=url, message_channel="shop")) for _ in range(2)]
    for store, sid in zip(stores, "ab", strict=True):
        limit.check(limits.Caller(sid, None, lambda: "7"), "vote", "/", store)
    with pytest.raises(limits.RateLimitedError, match="Rate limit of 2/h exceeded; try again in 1800 s"):
        limit.check(limits.Caller("c", None, lambda: "7"), "vote", "/", stores[0])
    assert client.keys() == ["shop:rate:/ vote 0 user:7"]
    for store in stores:
        store.close()
