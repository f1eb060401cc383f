"""Whom the workers look at, and in which order."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from dtws_sio import rechecks
from dtws_sio.rechecks import Rechecks
from tests.page import DEADLINE, eventually


def client(user: str | None, sid: str = "x") -> Any:
    identity = None if user is None else SimpleNamespace(user_key=user)
    return type("Client", (), {"sid": sid, "left": None, "identity": identity})()


def test_a_user_whose_rooms_take_long_holds_up_nobody_else() -> None:
    seen: list[str] = []
    release = threading.Event()

    def recheck(client: Any, request: Any) -> None:
        if client.identity.user_key == "slow":
            assert release.wait(DEADLINE)
        seen.append(client.identity.user_key)

    work = Rechecks(recheck)
    for _ in range(20):
        work.put(client("slow"), None)  # type: ignore[arg-type]
    for name in ("ann", "bob"):
        work.put(client(name), None)  # type: ignore[arg-type]
    work.start()
    assert eventually(lambda: sorted(seen) == ["ann", "bob"])
    assert not work.is_idle
    release.set()
    assert eventually(lambda: work.is_idle)
    assert seen.count("slow") == 20


def test_users_take_turns() -> None:
    seen: list[str] = []
    work = Rechecks(lambda client, request: seen.append(client.identity.user_key))
    for name in ("ann", "ann", "ann", "bob", "bob"):
        work.put(client(name), None)  # type: ignore[arg-type]
    work.finish()
    assert seen == ["ann", "bob", "ann", "bob", "ann"]


def test_strangers_are_one_user_each() -> None:
    seen: list[str] = []
    work = Rechecks(lambda client, request: seen.append(client.sid))
    first = client(None, "a")
    for each in (first, client(None, "b"), first):
        work.put(each, None)  # type: ignore[arg-type]
    work.finish()
    assert seen == ["a", "b"]


def test_the_latest_request_counts_and_those_who_left_do_not() -> None:
    seen: list[Any] = []
    work = Rechecks(lambda client, request: seen.append(request))
    ann, gone = client("ann"), client("bob")
    gone.left = "transport close"
    work.put(ann, "old")  # type: ignore[arg-type]
    work.put(gone, "gone")  # type: ignore[arg-type]
    work.put(ann, "new")  # type: ignore[arg-type]
    work.finish()
    assert seen == ["new"]


def test_what_one_recheck_raises_is_told_once_and_the_others_go_on() -> None:
    seen: list[str] = []
    error = ConnectionError("no database")

    def recheck(client: Any, request: Any) -> None:
        seen.append(client.identity.user_key)
        if client.identity.user_key == "ann":
            raise error

    work = Rechecks(recheck)
    ann, bob = client("ann"), client("bob")
    for each in (ann, bob):
        work.put(each, None)  # type: ignore[arg-type]
    work.finish()
    assert seen == ["ann", "bob"]
    assert work.take_failures() == {ann: error}
    assert work.take_failures() == {}
    assert work.is_idle


def test_a_worker_that_is_thrown_out_makes_place_for_another() -> None:
    class Thrown(BaseException): ...

    seen: list[str] = []

    def recheck(client: Any, request: Any) -> None:
        seen.append(client.identity.user_key)
        if client.identity.user_key == "ann":
            raise Thrown

    work = Rechecks(recheck)
    for _ in range(2 * rechecks.WORKERS):
        work.put(client("ann"), None)  # type: ignore[arg-type]
        with pytest.raises(Thrown):
            work.finish()
    work.put(client("bob"), None)  # type: ignore[arg-type]
    work.start()
    assert eventually(lambda: "bob" in seen)


def test_no_more_work_at_once_than_there_are_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rechecks, "WORKERS", 2)
    inside: list[int] = []
    most: list[int] = []
    release = threading.Event()

    def recheck(client: Any, request: Any) -> None:
        inside.append(1)
        most.append(len(inside))
        assert release.wait(DEADLINE)
        inside.pop()

    work = Rechecks(recheck)
    for number in range(6):
        work.put(client(str(number)), None)  # type: ignore[arg-type]
        work.start()
    assert eventually(lambda: len(inside) == 2)
    release.set()
    assert eventually(lambda: work.is_idle)
    assert max(most) == 2
