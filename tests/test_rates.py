"""Rates, and the token buckets that hold to them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtws_sio.exceptions import RateError, RegistrationError
from dtws_sio.rates import LOOKED_AT, Bucket, Buckets, Rate

if TYPE_CHECKING:
    from collections.abc import Sequence


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "count", "period", "written"),
    [
        ("10/s", 10, 1, "10/s"),
        ("600/m", 600, 60, "600/m"),
        ("5/h", 5, 3600, "5/h"),
        ("1/d", 1, 86400, "1/d"),
        ("10/2s", 10, 2, "10/2s"),
        ("5/10m", 5, 600, "5/10m"),
        ("5/60m", 5, 3600, "5/h"),
        ("999999999/99999d", 999_999_999, 99999 * 86400, "999999999/99999d"),
    ],
)
def test_a_rate_is_read_and_written(text: str, count: int, period: float, written: str) -> None:
    rate = Rate.parse(text)
    assert (rate.count, rate.period) == (count, period)
    assert str(rate) == written
    assert Rate.parse(written) == rate


@pytest.mark.parametrize(
    "text",
    ["", "10", "10/", "/s", "0/s", "-1/s", "1.5/s", "10/0s", "10/x", "10/sec", "10 / s", "10/s\n", " 10/s", "010/s"],
)
def test_text_that_is_no_rate_is_named_with_the_remedy(text: str) -> None:
    refuses(text)


@pytest.mark.parametrize(
    "value",
    [
        "\u0661/s",
        "1" * 10 + "/s",
        "1/" + "1" * 6 + "s",
        "1e3/s",
        "10/S",
        None,
        10,
        True,
        b"10/s",
        ("10", "s"),
        Rate(1, 1),
    ],
)
def test_a_value_that_is_no_rate_is_named_with_the_remedy(value: object) -> None:
    refuses(value)


def refuses(value: object) -> None:
    with pytest.raises(RateError) as caught:
        Rate.parse(value)
    assert repr(value) in str(caught.value)
    assert "'10/s'" in str(caught.value)


def test_a_wrong_rate_is_a_value_error_and_stops_the_start() -> None:
    assert issubclass(RateError, ValueError)
    assert issubclass(RateError, RegistrationError)


@pytest.mark.parametrize(("count", "period"), [(0, 1), (-1, 1), (1, 0), (1, -1), (1, float("inf")), (1, float("nan"))])
def test_a_rate_of_nothing_or_for_ever_is_refused(count: int, period: float) -> None:
    with pytest.raises(RateError, match="no rate"):
        Rate(count, period)


@pytest.mark.parametrize("period", [0.5, 1.5, 90.25])
def test_any_time_can_be_written(period: float) -> None:
    assert str(Rate(3, period)) == f"3/{period}s"


# ---- one bucket


def taken_at_once(bucket: Bucket, now: float, most: int = 100_000) -> int:
    return next(count for count in range(most) if bucket.take(now))


@pytest.mark.parametrize("now", [0.0, -5.0, 0.1, 1e5, 1e7], ids=str)
@pytest.mark.parametrize("text", ["1/s", "3/s", "7/s", "1000/s", "600/m", "5/h", "3/d"])
def test_as_many_as_the_rate_says_fit_at_once(text: str, now: float) -> None:
    rate = Rate.parse(text)
    assert taken_at_once(Bucket(rate), now) == rate.count


@pytest.mark.parametrize("text", ["1/s", "3/s", "10000/s", "7/m", "3/d"])
def test_an_empty_bucket_tells_when_it_gives_again(text: str) -> None:
    """What is told is right to a hundredth of a token: then there is exactly one, and a little earlier none."""
    rate, now = Rate.parse(text), 1000.0
    bucket = Bucket(rate)
    taken_at_once(bucket, now)
    for _ in range(5):
        wait = bucket.take(now)
        assert 0 < wait <= rate.interval * 1.001
        assert bucket.take(now + wait * 0.95) > 0
        now += wait
        assert bucket.take(now) == 0
        assert bucket.take(now) > 0


def test_a_refusal_costs_nothing() -> None:
    bucket = Bucket(Rate(1, 10))
    assert bucket.take(0) == 0
    assert [bucket.take(5) for _ in range(1000)] == [5] * 1000
    assert bucket.take(10) == 0


def test_a_bucket_that_rests_is_full_and_no_fuller() -> None:
    bucket = Bucket(Rate(3, 1))
    assert taken_at_once(bucket, 0) == 3
    assert taken_at_once(bucket, 1_000_000) == 3


@given(
    count=st.integers(1, 50),
    period=st.sampled_from([1.0, 2.0, 60.0]),
    gaps=st.lists(st.floats(0, 3), max_size=200),
)
def test_never_more_pass_than_the_rate_allows_in_any_stretch_of_time(
    count: int, period: float, gaps: Sequence[float]
) -> None:
    rate, now, passed = Rate(count, period), 50.0, []
    bucket = Bucket(rate)
    for gap in gaps:
        now += gap
        if not bucket.take(now):
            passed.append(now)
    for first, since in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= count + (passed[last] - since) / rate.interval + 0.02


@given(gaps=st.lists(st.floats(0.1, 3), min_size=1, max_size=100))
def test_what_keeps_to_the_rate_always_passes(gaps: Sequence[float]) -> None:
    bucket, now = Bucket(Rate(10, 1)), 0.0
    for gap in gaps:
        now += gap
        assert bucket.take(now) == 0


def test_a_bucket_is_small() -> None:
    """Every connection has one."""
    with pytest.raises(AttributeError):
        Bucket(Rate(1, 1)).anything = 1  # type: ignore[attr-defined]


# ---- many


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(clock=Clock())
    assert [buckets.take(key, Rate(1, 1)) > 0 for key in "aabba"] == [False, True, False, True, True]


def test_the_clock_refills() -> None:
    clock = Clock()
    buckets = Buckets(clock=clock)
    assert buckets.take("a", Rate(1, 10)) == 0
    assert buckets.take("a", Rate(1, 10)) == 10
    clock.now += 10
    assert buckets.take("a", Rate(1, 10)) == 0


def test_full_buckets_are_forgotten_when_others_come() -> None:
    clock = Clock()
    buckets = Buckets(clock=clock)
    for number in range(1000):
        buckets.take(f"old {number}", Rate(10, 1))
    assert len(buckets) == 1000
    clock.now += 1
    for number in range(1000 // LOOKED_AT + 1):
        buckets.take(f"new {number}", Rate(1, 1000))
    assert len(buckets) == 1000 // LOOKED_AT + 1


def test_those_that_stay_for_long_do_not_hide_full_ones_behind_them() -> None:
    clock = Clock()
    buckets = Buckets(clock=clock)
    for number in range(LOOKED_AT):
        buckets.take(f"slow {number}", Rate(1, 86400))
    for number in range(100):
        buckets.take(f"quick {number}", Rate(1, 1))
    clock.now += 1
    for number in range(100):
        buckets.take(f"new {number}", Rate(1, 86400))
    assert len(buckets) == LOOKED_AT + 100


def test_keys_that_someone_makes_up_do_not_fill_the_memory() -> None:
    buckets = Buckets(most=100, clock=Clock())
    for number in range(10_000):
        assert buckets.take(str(number), Rate(5, 86400)) == 0
        assert len(buckets) <= 100


def test_a_flood_of_made_up_keys_does_not_wash_out_those_that_were_used_up() -> None:
    """Else whoever is limited would only have to make up others to be free again."""
    buckets, rate = Buckets(most=100, clock=Clock()), Rate(5, 86400)
    for _ in range(5):
        buckets.take("victim", rate)
    for number in range(10_000):
        buckets.take(str(number), rate)
    assert buckets.take("victim", rate) > 0


@pytest.mark.parametrize("most", [1, 2, LOOKED_AT])
def test_the_bound_may_be_small(most: int) -> None:
    buckets = Buckets(most=most, clock=Clock())
    for number in range(20):
        assert buckets.take(str(number), Rate(1, 9)) == 0
    assert len(buckets) == most


def test_a_store_that_was_closed_holds_nothing() -> None:
    buckets = Buckets(clock=Clock())
    buckets.take("a", Rate(1, 9))
    buckets.close()
    assert len(buckets) == 0


def test_threads_get_no_more_than_the_rate_between_them() -> None:
    buckets, rate = Buckets(clock=Clock()), Rate(1000, 60)
    passed: list[Any] = []

    def work() -> None:
        passed.extend(number for number in range(500) if not buckets.take("a", rate))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(passed) == 1000
