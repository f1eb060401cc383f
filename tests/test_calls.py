"""Queued calls: what they carry, and their JSON form."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from dtws_sio.signals.calls import Call, CallError

WHOLE = Call(
    "shop.order",
    "shop.signals.order#2",
    {"article": "é\ud83d", "number": 2**70, "list": [1, None, {"a": True}]},
    {"key": "w1"},
    "slow",
    12.5,
    99,
)


@pytest.mark.parametrize("call", [WHOLE, Call("a", "shop.signals.a", {})])
def test_a_call_survives_its_json_form(call: Call) -> None:
    assert Call.from_json(call.to_json()) == call


def test_dates_decimals_and_uuids_travel_as_text() -> None:
    kwargs = {"day": datetime.date(2024, 2, 29), "price": Decimal("1.10"), "id": UUID(int=7)}
    assert Call.from_json(Call("a", "shop.signals.a", kwargs).to_json()).kwargs == {
        "day": "2024-02-29",
        "price": "1.10",
        "id": "00000000-0000-0000-0000-000000000007",
    }


@pytest.mark.parametrize(
    "value", [b"", b"\xff\x00", [{"a": b"x"}], {"$bytes": 1}, {"$bytes": "?"}, {"$bytes": "eA==", "more": 1}, "$bytes"]
)
def test_bytes_stay_bytes(value: Any) -> None:
    """A page may send files; what only looks like our mark for them is left alone."""
    assert Call.from_json(Call("a", "shop.signals.a", {"it": value}).to_json()).kwargs == {"it": value}


@pytest.mark.parametrize(
    "value",
    [
        {"$bytes": "aGVsbG8="},
        {"$$bytes": "aGVsbG8="},
        {"$bytes": {"$bytes": "aGVsbG8="}},
        [{"bytes": "aGVsbG8="}, {"$bytes": ""}, b"hello"],
        {"a": {"$bytes": "aGVsbG8=", "b": 1}, "file": b"\x00", "c": ["$bytes"]},
    ],
)
def test_what_a_page_sent_does_not_become_bytes_on_the_way(value: Any) -> None:
    """Functions that are not queued would get it as it is."""
    assert Call.from_json(Call("a", "shop.signals.a", {"it": value}).to_json()).kwargs == {"it": value}


@pytest.mark.parametrize("value", [object(), {1, 2}])
def test_arguments_without_a_json_form_are_told_where_they_are_queued(value: Any) -> None:
    with pytest.raises(CallError, match=r"arguments of the signal 'shop\.order' cannot be queued"):
        Call("shop.order", "shop.signals.order", {"it": value}).to_json()


def test_arguments_that_contain_themselves_are_told() -> None:
    kwargs: dict[str, Any] = {}
    kwargs["self"] = kwargs
    with pytest.raises(CallError, match="cannot be queued"):
        Call("a", "shop.signals.a", kwargs).to_json()


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(Call("a", "shop.signals.a", {}).to_json()), **values})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "no call: it has list"),
        ("{}", "no call: it has"),
        (changed(more=1), "no call: it has"),
        (changed(signal=1), "signal is 1"),
        (changed(function=0), "function is 0"),
        (changed(function=True), "function is True"),
        (changed(kwargs=[]), "kwargs is"),
        (changed(window="w"), "window is 'w'"),
        (changed(queue=None), "queue is None"),
        (changed(eta="now"), "eta is 'now'"),
        (changed(expires=[]), "expires is"),
    ],
)
def test_what_is_no_call_is_refused(text: str, message: str) -> None:
    with pytest.raises(CallError, match=message):
        Call.from_json(text)


@pytest.mark.parametrize(("expires", "now", "is_late"), [(None, 1e12, False), (10, 9.9, False), (10, 10.0, True)])
def test_a_call_expires_at_its_moment(expires: float | None, now: float, is_late: bool) -> None:
    assert Call("a", "shop.signals.a", {}, expires=expires).is_expired(now) is is_late


def test_a_log_line_shows_no_arguments() -> None:
    assert str(WHOLE) == "'shop.order' (shop.signals.order#2)"
