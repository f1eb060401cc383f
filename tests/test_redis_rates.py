"""Shared buckets where Redis is not there; `tests/live/test_limits_redis.py` has those where it is."""

from __future__ import annotations

import importlib.util
import logging
import socket
import time
from typing import TYPE_CHECKING

import pytest

from dtws_sio.exceptions import MissingDependencyError
from dtws_sio.rates import Rate
from dtws_sio.redis_rates import COMPLAINT_PAUSE, OUTAGE_PAUSE, PATIENCE, RedisBuckets
from tests.test_rates import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "hush-hush"


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """Listen on a port, and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def closed() -> int:
    """Give a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("scheme", ["redis://:{}@127.0.0.1:{}/0", "redis+sentinel://:{}@127.0.0.1:{}/0/main"])
def test_a_redis_that_is_not_there_leaves_each_process_its_own_buckets(
    closed: int, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisBuckets(scheme.format(PASSWORD, closed), "shop", clock=Clock())
    begun = time.monotonic()
    with caplog.at_level(logging.INFO, "dtws_sio.limits"):
        assert [store.take("a", Rate(2, 60)) for _ in range(3)] == [0, 0, 30]
    assert time.monotonic() - begun < 2 * PATIENCE
    store.close()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "rate limits are not shared" in record.getMessage()
    assert f"127.0.0.1:{closed}/0" in record.getMessage()
    assert PASSWORD not in record.getMessage()


def test_an_outage_is_told_once_a_minute(closed: int, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    store = RedisBuckets(f"redis://127.0.0.1:{closed}/0", "shop", clock=clock)
    told = []
    for _ in range(int(2 * COMPLAINT_PAUSE / OUTAGE_PAUSE) + 1):
        caplog.clear()
        store.take("a", Rate(1, 1))
        told.append(len(caplog.records))
        clock.now += OUTAGE_PAUSE
    store.close()
    pause = int(COMPLAINT_PAUSE / OUTAGE_PAUSE)
    assert [index for index, count in enumerate(told) if count] == [0, pause, 2 * pause]


def test_a_redis_that_hangs_costs_one_caller_its_patience_and_the_others_nothing(deaf: socket.socket) -> None:
    clock = Clock()
    store = RedisBuckets(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0", "shop", clock=clock)
    begun = time.monotonic()
    assert store.take("a", Rate(1, 60)) == 0
    assert time.monotonic() - begun < 2 * PATIENCE
    begun = time.monotonic()
    assert sum(store.take("a", Rate(1, 60)) > 0 for _ in range(100)) == 100
    assert time.monotonic() - begun < PATIENCE
    store.close()


def test_while_one_caller_asks_again_after_an_outage_the_others_do_not() -> None:
    asked = []

    class Hanging(RedisBuckets):
        def _ask(self, key: str, rate: Rate) -> float:
            asked.append(key)
            if key == "again":
                self.take("meanwhile", rate)
            raise OSError("no answer")

    clock = Clock()
    store = Hanging("redis://127.0.0.1:1/0", "shop", clock=clock)
    store.take("first", Rate(1, 1))
    clock.now += OUTAGE_PAUSE
    store.take("again", Rate(1, 1))
    store.close()
    assert asked == ["first", "again"]


def test_the_missing_package_is_told_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtws_sio.redis_rates.find_spec", lambda name: None)
    assert importlib.util.find_spec("redis") is not None, "only here it is missing"
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtws_sio\[redis\]'") as caught:
        RedisBuckets(f"redis://:{PASSWORD}@localhost:6379/0", "shop")
    assert PASSWORD not in str(caught.value)
    assert "'redis://localhost:6379/0'" in str(caught.value)
