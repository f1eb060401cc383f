"""What one client may ask of the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from django.test import override_settings

from dtws_sio import conf, limits
from dtws_sio.conf import Settings
from dtws_sio.exceptions import (
    EmitError,
    EventError,
    OversizedEmitError,
    RateError,
    RateLimitedError,
    TooManyConnectionsError,
)
from dtws_sio.limits import Buckets, Caller, Connections, Rate, RedisBuckets, Refusals, rate_limit
from dtws_sio.namespaces import Namespace
from tests.test_rates import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLIC = {"REMOTE_ADDR": "203.0.113.9"}
"""The environ of a client that comes without a proxy."""


def handler(sid: str) -> None:
    """Stand for a handler."""


def marked(*rates: str, **options: Any) -> Callable[..., None]:
    """Make a handler with limits, the first of which is the innermost."""

    def function(sid: str) -> None: ...

    for rate in rates:
        function = rate_limit(rate, **options)(function)
    return function


class Calls:
    """Calls of one marked handler, with buckets of their own."""

    def __init__(self, function: object) -> None:
        self.clock = Clock()
        self.store = Buckets(clock=self.clock)
        self.limits = limits.rate_limits(function)

    def __call__(self, caller: Caller, event: str = "say", namespace: str = "/") -> bool:
        """Call; False if a limit refuses it."""
        try:
            for limit in self.limits:
                limit.check(caller, event, namespace, self.store)
        except RateLimitedError:
            return False
        return True


def user(sid: str, key: str, address: str | None = None) -> Caller:
    return Caller(sid, address, lambda: key)


# ---- the mark


def test_a_handler_that_is_marked_stays_what_it_was() -> None:
    assert rate_limit("10/s")(handler) is handler
    (limit,) = limits.rate_limits(handler)
    assert (limit.rate, limit.by, limit.code) == (Rate(10, 1), "user", "rate_limited")
    assert handler.__dtws_sio_rate_limits__ == (limit,)  # type: ignore[attr-defined]


def test_a_handler_without_a_mark_has_no_limits() -> None:
    assert limits.rate_limits(test_a_handler_without_a_mark_has_no_limits) == ()
    assert limits.rate_limits(None) == ()


def test_a_method_of_a_namespace_can_be_marked() -> None:
    class Chat(Namespace):
        @rate_limit("10/s")
        def on_message(self, sid: str) -> None: ...

    (limit,) = limits.rate_limits(Chat("/chat").on_message)
    assert limit.rate == Rate(10, 1)


@pytest.mark.parametrize("rate", ["fast", "", 10, None, handler])
def test_a_wrong_rate_stops_the_start(rate: Any) -> None:
    with pytest.raises(RateError, match="is no rate"):
        rate_limit(rate)


@pytest.mark.parametrize("by", ["session", "", None, 1])
def test_a_wrong_key_stops_the_start(by: Any) -> None:
    with pytest.raises(RateError, match="'user', 'address', 'client' or a function") as caught:
        rate_limit("10/s", by=by)
    assert f"by={by!r}" in str(caught.value)


# ---- the check


def test_what_comes_too_often_is_refused_until_its_time() -> None:
    call, caller = Calls(marked("3/s")), Caller("a")
    assert [call(caller) for _ in range(5)] == [True, True, True, False, False]
    call.clock.now += 0.34
    assert [call(caller) for _ in range(2)] == [True, False]
    call.clock.now += 1
    assert [call(caller) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("rate", "passed", "message"),
    [
        ("10/s", 0.0, "Rate limit of 10/s exceeded; try again in 0.1 s"),
        ("1/m", 0.0, "Rate limit of 1/m exceeded; try again in 60 s"),
        ("1/m", 58.95, "Rate limit of 1/m exceeded; try again in 1.1 s"),
        ("1/d", 0.5, "Rate limit of 1/d exceeded; try again in 86400 s"),
        ("1/5m", 290.0, "Rate limit of 1/5m exceeded; try again in 10 s"),
    ],
)
def test_the_refusal_names_the_limit_and_the_time_to_wait(rate: str, passed: float, message: str) -> None:
    call, caller = Calls(marked(rate)), Caller("a")
    while call(caller):
        pass
    call.clock.now += passed
    with pytest.raises(RateLimitedError) as caught:
        call.limits[0].check(caller, "say", "/", call.store)
    assert (caught.value.message, caught.value.code) == (message, "rate_limited")
    call.clock.now += caught.value.wait
    assert call(caller)


def test_code_and_message_can_be_chosen() -> None:
    call = Calls(marked("1/m", code="slow_down", message="One vote a minute."))
    assert call(Caller("a"))
    with pytest.raises(RateLimitedError) as caught:
        call.limits[0].check(Caller("a"), "say", "/", call.store)
    assert (caught.value.message, caught.value.code) == ("One vote a minute.", "slow_down")


def test_a_refusal_is_an_answer_to_the_event() -> None:
    assert issubclass(RateLimitedError, EventError)
    assert issubclass(TooManyConnectionsError, EventError)


def test_several_limits_hold_together() -> None:
    call, caller = Calls(marked("2/s", "3/h")), Caller("a")
    assert [call(caller) for _ in range(3)] == [True, True, False]
    call.clock.now += 10
    assert [call(caller) for _ in range(3)] == [True, False, False]


def test_two_limits_of_the_same_rate_have_buckets_of_their_own() -> None:
    call, caller = Calls(marked("2/s", "2/s")), Caller("a")
    assert [call(caller) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("by", "one", "other", "is_shared"),
    [
        ("user", user("a", "7"), user("b", "7"), True),
        ("user", user("a", "7", "1.1.1.1"), user("b", "8", "1.1.1.1"), False),
        ("user", user("a", "7", "1.1.1.1"), Caller("b", "1.1.1.1"), False),
        ("user", Caller("a", "1.1.1.1"), Caller("b", "1.1.1.1"), True),
        ("user", Caller("a", "1.1.1.1"), Caller("b", "2.2.2.2"), False),
        ("user", Caller("a"), Caller("b"), False),
        ("user", user("a", "b"), Caller("b"), False),
        ("user", user("a", "1.1.1.1"), Caller("b", "1.1.1.1"), False),
        ("address", user("a", "7", "1.1.1.1"), user("b", "8", "1.1.1.1"), True),
        ("address", user("a", "7", "1.1.1.1"), user("b", "7", "2.2.2.2"), False),
        ("address", user("a", "7"), user("b", "7"), False),
        ("client", user("a", "7", "1.1.1.1"), user("b", "7", "1.1.1.1"), False),
        ("client", Caller("a", "1.1.1.1"), Caller("a", "2.2.2.2"), True),
        (lambda caller: 1, Caller("a"), Caller("b"), True),
        (lambda caller: caller.sid, Caller("a"), Caller("b"), False),
        (lambda caller: "x" * 1000 + caller.sid, Caller("a"), Caller("b"), False),
        (lambda caller: "\ud83d" + caller.sid, Caller("a"), Caller("b"), False),
        (lambda caller: "\ud83d", Caller("a"), Caller("b"), True),
    ],
)
def test_who_shares_a_bucket(by: Any, one: Caller, other: Caller, is_shared: bool) -> None:
    call = Calls(marked("1/s", by=by))
    assert call(one)
    assert not call(one)
    assert call(other) is not is_shared


def test_a_function_may_let_someone_off() -> None:
    call = Calls(marked("1/s", by=lambda caller: None))
    assert all(call(Caller("a")) for _ in range(100))
    assert len(call.store) == 0


def test_each_event_of_each_namespace_has_buckets_of_its_own() -> None:
    call, caller = Calls(marked("1/s")), Caller("a")
    assert [call(caller, *where) for where in (("say", "/"), ("say", "/b"), ("shout", "/"), ("say", "/"))] == [
        True,
        True,
        True,
        False,
    ]


def test_keys_stay_short_whatever_a_client_makes_up() -> None:
    keys = []

    class Store(Buckets):
        def take(self, key: str, rate: Rate) -> float:
            keys.append(key)
            return 0

    (limit,) = limits.rate_limits(marked("1/s", by=lambda caller: "é" * 1_000_000))
    limit.check(Caller("a"), "say", "/", Store())
    assert len(keys[0]) < 100
    assert keys[0].isascii()


def test_the_user_is_looked_up_once_and_only_if_a_limit_asks() -> None:
    lookups = []

    def find() -> str | None:
        lookups.append(1)

    Calls(marked("9/s", by="client"))(Caller("a", None, find))
    Calls(marked("9/s", by="address"))(Caller("a", None, find))
    assert lookups == []
    Calls(marked("9/s", "8/s", by="user"))(Caller("a", None, find))
    assert lookups == [1]


# ---- where the buckets are


def test_without_a_queue_the_buckets_are_this_processs_own() -> None:
    assert isinstance(limits.store(Settings()), Buckets)


def test_with_a_queue_the_buckets_are_in_redis() -> None:
    """It is asked for when the first event comes, so nothing has to run here."""
    store = limits.store(Settings(message_queue="redis://127.0.0.1:1/0"))
    assert isinstance(store, RedisBuckets)
    store.close()


# ---- connections


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Connections]:
    return lambda **settings: Connections(replace(Settings(), **settings), clock=clock)


@pytest.mark.parametrize(
    ("kind", "given", "setting"),
    [
        ("address", PUBLIC, "MAX_CONNECTIONS_PER_ADDRESS"),
        ("session", "s3cret", "MAX_CONNECTIONS_PER_SESSION"),
        ("user", "7", "MAX_CONNECTIONS_PER_USER"),
    ],
)
class TestPresent:
    """Connections that are there; the same holds for all three kinds."""

    def test_one_too_many_is_refused_and_welcome_when_another_goes(
        self, make: Callable[..., Connections], kind: str, given: Any, setting: str
    ) -> None:
        connections = make(**{setting.lower(): 3})
        admit = getattr(connections, f"admit_{kind}")
        leases = [admit(given) for _ in range(3)]
        for _ in range(2):
            with pytest.raises(TooManyConnectionsError) as caught:
                admit(given)
            assert caught.value.code == "too_many_connections"
            assert caught.value.message.startswith("Too many connections ")
            assert "3 connections" in caught.value.reason
            assert f"DTWS_SIO['{setting}']" in caught.value.reason
        leases.pop().release()
        leases.append(admit(given))
        with pytest.raises(TooManyConnectionsError):
            admit(given)

    def test_giving_a_place_back_twice_gives_one_place(
        self, make: Callable[..., Connections], kind: str, given: Any, setting: str
    ) -> None:
        connections = make(**{setting.lower(): 2})
        admit = getattr(connections, f"admit_{kind}")
        first, _ = admit(given), admit(given)
        first.release()
        first.release()
        admit(given)
        with pytest.raises(TooManyConnectionsError):
            admit(given)

    def test_nothing_is_kept_of_those_that_went(
        self, make: Callable[..., Connections], kind: str, given: Any, setting: str
    ) -> None:
        connections = make()
        leases = [getattr(connections, f"admit_{kind}")(given) for _ in range(50)]
        assert len(connections) == 1
        for lease in leases:
            lease.release()
        assert len(connections) == 0

    def test_none_switches_it_off(self, make: Callable[..., Connections], kind: str, given: Any, setting: str) -> None:
        connections = make(**{setting.lower(): None, "max_connects": None})
        leases = [getattr(connections, f"admit_{kind}")(given) for _ in range(5000)]
        assert len(connections) == 0
        for lease in leases:
            lease.release()

    def test_what_threads_take_and_give_back_adds_up(
        self, make: Callable[..., Connections], kind: str, given: Any, setting: str
    ) -> None:
        connections = make(**{setting.lower(): 1000, "max_connects": None})
        leases: list[limits.Lease] = []

        def take() -> None:
            for _ in range(500):
                with suppress(TooManyConnectionsError):
                    leases.append(getattr(connections, f"admit_{kind}")(given))

        def give_back() -> None:
            for lease in leases:
                lease.release()

        in_threads(take)
        assert len(leases) == 1000
        in_threads(give_back)
        assert len(connections) == 0


def in_threads(function: Callable[[], object]) -> None:
    """Run a function in eight threads at once; what it raises there fails the test."""
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(function) for _ in range(8)]:
            done.result(timeout=30)


@pytest.mark.parametrize("kind", ["session", "user"])
def test_who_has_no_session_or_user_is_not_counted(make: Callable[..., Connections], kind: str) -> None:
    connections = make(max_connections_per_session=1, max_connections_per_user=1)
    for _ in range(3):
        getattr(connections, f"admit_{kind}")(None)
    assert len(connections) == 0


@pytest.mark.parametrize("environ", [{}, {"REMOTE_ADDR": "127.0.0.1"}, {**PUBLIC, "HTTP_X_FORWARDED_FOR": "1.1.1.1"}])
def test_who_has_no_address_is_not_counted(make: Callable[..., Connections], environ: dict[str, Any]) -> None:
    connections = make(max_connections_per_address=1, max_connects="1/d")
    for _ in range(3):
        connections.admit_address(environ)
    assert len(connections) == 0


def test_each_address_has_places_of_its_own(make: Callable[..., Connections]) -> None:
    connections = make(max_connections_per_address=1)
    connections.admit_address({"REMOTE_ADDR": "203.0.113.9"})
    connections.admit_address({"REMOTE_ADDR": "203.0.113.10"})
    connections.admit_address({"REMOTE_ADDR": "2001:db8::1"})
    with pytest.raises(TooManyConnectionsError):
        connections.admit_address({"REMOTE_ADDR": "2001:db8::2"})


def test_the_setting_says_what_an_address_is(make: Callable[..., Connections]) -> None:
    connections = make(max_connections_per_address=1, client_address="dtws_sio.addresses.forwarded_address")
    connections.admit_address({"HTTP_X_FORWARDED_FOR": "1.1.1.1"})
    with pytest.raises(TooManyConnectionsError):
        connections.admit_address({"HTTP_X_FORWARDED_FOR": "1.1.1.1"})


def test_a_setting_that_names_nothing_stops_the_start(make: Callable[..., Connections]) -> None:
    with pytest.raises(conf.ConfigurationError, match="CLIENT_ADDRESS"):
        make(client_address="dtws_sio.addresses.nothing")


def test_the_key_of_a_session_is_told_nobody(make: Callable[..., Connections]) -> None:
    connections = make(max_connections_per_session=1)
    connections.admit_session("s3cret")
    with pytest.raises(TooManyConnectionsError) as caught:
        connections.admit_session("s3cret")
    assert "s3cret" not in f"{caught.value} {caught.value.reason} {caught.value!r}"


def test_the_address_is_told_to_the_log_only_with_the_remedy_for_a_proxy(make: Callable[..., Connections]) -> None:
    for settings in ({"max_connections_per_address": 1}, {"max_connects": "1/d"}):
        connections = make(**settings)
        connections.admit_address(PUBLIC)
        with pytest.raises(TooManyConnectionsError) as caught:
            connections.admit_address(PUBLIC)
        assert "203.0.113.9" not in caught.value.message
        assert "203.0.113.9" in caught.value.reason
        assert "DTWS_SIO['CLIENT_ADDRESS']" in caught.value.reason


def test_who_tries_to_connect_too_often_has_to_wait(make: Callable[..., Connections], clock: Clock) -> None:
    connections = make(max_connects="3/m")
    for _ in range(3):
        connections.admit_address(PUBLIC).release()
    with pytest.raises(TooManyConnectionsError) as caught:
        connections.admit_address(PUBLIC)
    assert caught.value.code == "too_many_connects"
    assert caught.value.message == "Too many attempts to connect; try again in 20 s"
    assert "DTWS_SIO['MAX_CONNECTS'] (3/m)" in caught.value.reason
    assert caught.value.wait == pytest.approx(20)
    connections.admit_address({"REMOTE_ADDR": "203.0.113.10"})
    clock.now += caught.value.wait
    connections.admit_address(PUBLIC)


def test_attempts_that_find_no_place_are_attempts_too(make: Callable[..., Connections]) -> None:
    connections = make(max_connections_per_address=1, max_connects="3/m")
    connections.admit_address(PUBLIC)
    codes = []
    for _ in range(4):
        with pytest.raises(TooManyConnectionsError) as caught:
            connections.admit_address(PUBLIC)
        codes.append(caught.value.code)
    assert codes == ["too_many_connections"] * 2 + ["too_many_connects"] * 2


def test_a_page_that_reloads_all_day_is_let_in_by_default(make: Callable[..., Connections], clock: Clock) -> None:
    """An office behind one address: 1,000 pages, and each of them reconnects after a restart."""
    connections = make()
    leases = [connections.admit_address(PUBLIC) for _ in range(1000)]
    for lease in leases:
        lease.release()
    clock.now += 60
    assert len([connections.admit_address(PUBLIC) for _ in range(1000)]) == 1000


# ---- the size of an emit


@pytest.mark.parametrize(("size", "limit"), [(0, 1), (10, 10), (10**12, None)])
def test_an_emit_within_the_limit_passes(size: int, limit: int | None) -> None:
    limits.check_emit(size, "news", limit)


def test_an_emit_beyond_the_limit_is_told_with_the_remedy() -> None:
    with pytest.raises(OversizedEmitError) as caught:
        limits.check_emit(10_000_001, "news", 10_000_000)
    assert str(caught.value).startswith(
        "emit('news') has 10,000,001 bytes, and DTWS_SIO['MAX_EMIT'] allows 10,000,000; send it in parts"
    )
    assert isinstance(caught.value, EmitError)


# ---- refusals


def test_refusals_are_counted_by_their_code() -> None:
    refusals = Refusals()
    for code in ("rate_limited", "too_many_connects", "rate_limited"):
        refusals.add(code)
    assert refusals == {"rate_limited": 2, "too_many_connects": 1}
    assert refusals["rate_limited"] == refusals.get("rate_limited") == 2
    assert refusals["never"] == 0
    assert "never" not in refusals
    assert len(refusals) == 2
    assert sum(refusals.values()) == 3
    assert "'rate_limited': 2" in repr(refusals)


def test_a_flood_of_refusals_is_worth_a_log_line_a_minute_for_each_code() -> None:
    clock = Clock()
    refusals = Refusals(clock=clock)
    assert [refusals.add(code) for code in "aaabab"] == [True, False, False, True, False, False]
    clock.now += 59
    assert not refusals.add("a")
    clock.now += 1
    assert [refusals.add("a"), refusals.add("a")] == [True, False]
    assert refusals["a"] == 7


def test_refusals_of_many_threads_are_all_counted() -> None:
    refusals = Refusals()
    in_threads(lambda: [refusals.add("a") for _ in range(2000)])
    assert refusals["a"] == 16_000


# ---- the settings in force


def test_the_default_rates_can_be_read() -> None:
    with override_settings(DTWS_SIO={}):
        settings = conf.settings()
    assert Rate.parse(settings.max_events) == Rate(10_000, 1)
    assert Rate.parse(settings.max_connects) == Rate(1200, 60)
