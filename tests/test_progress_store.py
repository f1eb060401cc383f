"""What is kept of bars, and what happens where Redis is not there; `tests/live/test_progress.py` has it there."""

from __future__ import annotations

import json
import logging
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.exceptions import MissingDependencyError
from dtws_sio.progress import redis_store, store
from dtws_sio.progress.records import Key, Record
from dtws_sio.progress.redis_store import RedisStore
from dtws_sio.progress.state import Speed, State
from dtws_sio.progress.store import CLAIM_SECONDS, ProcessStore
from dtws_sio.redis_rates import COMPLAINT_PAUSE, OUTAGE_PAUSE, PATIENCE
from dtws_sio.topics import Topic
from tests.bars import Clock, Recorder, board_for, make

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = Key("/import", "rows", None)
PASSWORD = "hush-hush"


def record(key: Key = KEY, **more: Any) -> Record:
    return Record(key, State.of().begun(), driver="me", **more)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(clock: Clock) -> ProcessStore:
    return ProcessStore(lambda: 600, clock=clock)


@pytest.mark.parametrize(
    "key", [KEY, Key("/", None, None), Key("/a", "é:/%", Topic("dtws_sio:auth.user:7")), Key("/a", "x", "room")]
)
def test_a_record_is_read_as_it_was_written(key: Key) -> None:
    kept = Record(
        key, State.of(1, 2.5, label="\ud83d").advanced().failed("x"), Speed(1.5, None), "7", "me", True, "me:3"
    )
    again = Record.loads(kept.dumps())
    assert again == kept
    assert type(again.room) is type(key.room)


def test_a_record_of_a_version_that_keeps_more_is_read() -> None:
    """While a new version is being rolled out, processes of both share a Redis."""
    kept = json.loads(record().dumps())
    kept |= {"colour": "red", "speed": [1.0, 2.0, "new"]}
    kept["state"]["unit"] = "rows"
    assert Record.loads(json.dumps(kept)) == record(speed=Speed(1.0, 2.0))
    del kept["state"]["has_range"], kept["has_job"]
    assert Record.loads(json.dumps(kept)).key == KEY


@pytest.mark.parametrize("text", ["", "1", "[]", "{}", '{"key": [1]}', '{"key": [1, 2, 3], "state": 5}', b"\xff"])
def test_what_is_no_record_is_told(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  whoever reads JSON says it its own way
        Record.loads(text)


def test_a_bar_is_forgotten_when_it_expires_row_p_10(known: ProcessStore, clock: Clock) -> None:
    known.save(record())
    clock.now += 599
    assert known.load(KEY) == record()
    clock.now += 2
    assert known.load(KEY) is None
    known.save(record(Key("/import", "other", None)))
    assert len(known) == 1


def test_a_job_keeps_its_bar_however_long_it_says_nothing(known: ProcessStore, clock: Clock) -> None:
    known.claim(KEY, "me", has_job=True)
    known.save(record())
    clock.now += 10_000
    known.save(record(Key("/import", "other", None)))
    assert known.load(KEY) is not None
    known.release(KEY, "me")
    assert known.load(KEY) is None


def test_memory_is_bounded(known: ProcessStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST", 10)
    keys = [Key("/import", "rows", f"sid-{number}") for number in range(30)]
    known.claim(keys[0], "me", has_job=True)
    for key in keys:
        known.save(record(key))
    assert len(known) <= 11
    assert known.load(keys[0]) is not None, "a job drives it"
    assert known.load(keys[1]) is None
    assert known.load(keys[-1]) is not None


def test_to_save_a_bar_looks_at_the_oldest_only(known: ProcessStore) -> None:
    looked: list[Key] = []

    class Records(dict[Key, Any]):
        def __iter__(self) -> Iterator[Key]:
            for key in super().__iter__():
                looked.append(key)
                yield key

        def items(self) -> Any:
            return ((key, self[key]) for key in self)

    known._records = Records()
    for number in range(100):
        known.save(record(Key("/import", "rows", f"sid-{number}")))
    looked.clear()
    known.save(record())
    assert looked == [Key("/import", "rows", "sid-0")]


def test_claims_of_drivers_that_are_gone_are_forgotten(
    known: ProcessStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST", 10)
    job = Key("/import", "job", None)
    known.claim(job, "me", has_job=True)
    for number in range(30):
        known.claim(Key("/import", "rows", f"sid-{number}"), "me", has_job=False)
    clock.now += CLAIM_SECONDS + 1
    known.claim(KEY, "me", has_job=False)
    known.save(record())
    assert set(known._claims) == {job, KEY}


def test_one_driver_has_a_bar_until_it_lets_go_or_is_not_heard_of_row_p_13(known: ProcessStore, clock: Clock) -> None:
    assert known.claim(KEY, "me", has_job=False)
    assert known.claim(KEY, "me", has_job=False)
    assert not known.claim(KEY, "you", has_job=True)
    known.release(KEY, "you")
    assert not known.claim(KEY, "you", has_job=True)
    clock.now += CLAIM_SECONDS + 1
    assert known.claim(KEY, "you", has_job=True)
    clock.now += 10 * CLAIM_SECONDS
    assert not known.claim(KEY, "me", has_job=False)
    known.release(KEY, "you")
    assert known.claim(KEY, "me", has_job=False)


def test_bars_of_a_name_are_found_in_all_rooms(known: ProcessStore) -> None:
    keys = {Key("/import", "rows", room) for room in (None, "a", "b")}
    for key in (*keys, Key("/import", "other", "a"), Key("/export", "rows", "a")):
        known.save(record(key))
    assert set(known.rooms("/import", "rows")) == keys


@pytest.mark.parametrize("name", ["rows", "a:b/c %", "é"])
@pytest.mark.parametrize("room", ["sid", "a:b/c %", Topic("dtws_sio:auth.user:7")])
def test_the_bar_is_known_by_the_room_of_its_watchers(name: str, room: str) -> None:
    key = Key("/import", name, room)
    again = Key.watched_in("/import", key.watchers)
    assert again == key
    assert again is not None
    assert type(again.room) is type(room)
    assert [Key.watched_in("/import", other) for other in (room, 5, ("dtws_sio:bar:",))] == [None] * 3


def test_an_orphan_has_failed(known: ProcessStore) -> None:
    orphan = record(has_job=True, version="me:1").orphaned()
    assert (orphan.state.status, orphan.has_job, orphan.is_running) == ("failed", False, False)
    assert orphan.version != "me:1"


# ---- Redis that is not there


@pytest.fixture
def away(clock: Clock) -> RedisStore:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return RedisStore(f"redis://:{PASSWORD}@127.0.0.1:{port}/0", "shop", lambda: 600, clock=clock)


def test_without_redis_each_process_knows_its_own_and_says_so_once_a_minute(
    away: RedisStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "dtws_sio.progress"):
        for _ in range(int(2 * COMPLAINT_PAUSE / OUTAGE_PAUSE)):
            assert away.claim(KEY, "me") is True
            assert away.save(record(), is_kept=True) == "driven"
            assert away.keep(KEY, "me") == "driven"
            assert away.load(KEY) is None
            assert list(away.in_rooms("/import", "rows")) == []
            away.stop(record())
            away.release(KEY, "me")
            clock.now += OUTAGE_PAUSE
    assert len(caplog.records) == 2
    assert "progress bars are not shared: the message queue redis://127.0.0.1" in caplog.text
    assert PASSWORD not in caplog.text


def test_an_outage_is_found_out_by_one_caller_at_a_time(clock: Clock) -> None:
    """The others do not wait for the network."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        away = RedisStore(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0", "shop", lambda: 600, clock=clock)
        begun = time.monotonic()
        for _ in range(20):
            away.load(KEY)
    assert PATIENCE * 0.9 < time.monotonic() - begun < 4 * PATIENCE


def test_a_missing_redis_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'dtws_sio\[redis\]'"):
        RedisStore(f"redis://:{PASSWORD}@localhost/0", "shop", lambda: 600)


def test_keys_of_different_bars_differ(away: RedisStore) -> None:
    keys = [
        Key("/a", None, None),
        Key("/a", "b", None),
        Key("/a", None, "b"),
        Key("/a:b", "c", None),
        Key("/a", "b:c", None),
        Key("/a", "b", "c"),
        Key("/a", "b/c", "d"),
        Key("/a/b", "c", "d"),
    ]
    assert len({away._keys(key)[0] for key in keys}) == len(keys)


# ---- the board of a process


def test_a_job_works_without_redis_as_it_would_without_a_queue(settings: Any, away: RedisStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings.DTWS_SIO = {"MESSAGE_QUEUE": f"redis://127.0.0.1:{port}/0"}
    recorder = Recorder()
    board = board_for(recorder)
    with make(board, max=2) as bar:
        bar.tick()
        assert board.load(bar.key) is not None
    assert recorder.names() == ["init", "update", "update", "done"]
