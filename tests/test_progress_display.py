"""What pages are told of a bar, and how often."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.exceptions import Cancelled, EmitError, NotServingError
from tests.bars import Clock, Recorder, make

if TYPE_CHECKING:
    from dtws_sio.progress.board import Board


def test_the_last_update_comes_before_the_end_whatever_was_held_back(
    board: Board, recorder: Recorder, clock: Clock
) -> None:
    with make(board, max=100) as bar:
        for number in range(50):
            bar.tick(f"row {number}")
        recorder.events()
    assert recorder.events() == [
        ("update", {"bar": "rows", "current": 100, "label": "row 49", "rate": None, "remaining": None}),
        ("done", {"bar": "rows", "current": 100, "label": "row 49"}),
    ]


def test_a_million_ticks_send_twenty_updates_a_second_and_the_first_and_the_last(
    board: Board, recorder: Recorder, clock: Clock
) -> None:
    """Whatever the loop does, 2 seconds have place for 41; each counts."""
    count = 200_000
    bar = make(board, max=count)
    for _ in range(count):
        clock.now += 2 / count
        bar.tick()
    updates = [data["current"] for event, data in recorder.events() if event == "update"]
    assert updates[0] == 1
    assert updates[-1] == count
    assert 35 <= len(updates) <= 42
    assert updates == sorted(updates)


def test_the_rate_is_a_setting(board: Board, recorder: Recorder, clock: Clock, settings: Any) -> None:
    settings.DTWS_SIO = {"PROGRESS_RATE": 2}
    bar = make(board, max=1000)
    for _ in range(100):
        clock.now += 0.1
        bar.tick()
    assert 20 <= recorder.names().count("update") <= 21


def test_what_was_held_back_is_told_although_the_work_stands_still(
    board: Board, recorder: Recorder, clock: Clock
) -> None:
    bar = make(board, max=100)
    bar.tick()
    bar.tick("two")
    recorder.events()
    bar._course.beat()
    assert recorder.names() == [], "it is too early"
    clock.now += 0.05
    bar._course.beat()
    assert recorder.events()[0][1]["label"] == "two"
    bar._course.beat()
    assert recorder.names() == []


def test_who_begins_a_bar_is_told_that_nobody_would_see_it(board: Board, recorder: Recorder) -> None:
    recorder.error = NotServingError("set MESSAGE_QUEUE")
    bar = make(board)
    with pytest.raises(NotServingError), bar:
        raise AssertionError("it begins not")
    with pytest.raises(NotServingError):
        bar.tick()
    assert (board.load(bar.key), bar.status) == (None, "idle"), "late pages see nothing of it"
    recorder.error = None
    with make(board):
        pass


def test_work_goes_on_where_it_cannot_be_shown(
    board: Board, recorder: Recorder, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "dtws_sio.progress"), make(board, max=100) as bar:
        recorder.error = EmitError("redis is away")
        for _ in range(50):
            clock.now += 0.1
            bar.tick()
    assert bar.is_done()
    assert [record.getMessage() for record in caplog.records] == [
        "the progress of 'rows' in /import is not shown: redis is away"
    ]


def test_a_newcomer_sees_what_the_others_see(board: Board, recorder: Recorder, clock: Clock) -> None:
    """Row P-04: alone; and not what they were not told yet, such as a label that may be gone before they are."""
    bar = make(board, None, max=100)
    bar.tick("a")
    bar.tick("b")
    before = len(recorder.sent)
    board.show(bar.declared, "newcomer")
    assert {to for to, _, _ in recorder.sent[before:]} == {"newcomer"}
    assert recorder.sent[before + 1][2]["label"] == "a"
    recorder.events()
    bar.tick("a")
    clock.now += 1
    bar._course.beat()
    assert "label" not in recorder.events()[0][1]


def test_who_lost_its_bar_to_another_process_is_silent_and_stops(
    board: Board, recorder: Recorder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was thought dead: the pages see what the other one does."""
    with make(board, max=100) as bar:
        bar.tick()
        recorder.events()
        monkeypatch.setattr(board, "keep", lambda key, driver: "lost")
        monkeypatch.setattr(board, "save", lambda record, is_kept: "lost")
        clock.now += 1
        bar._course.beat()
        bar.tick("unseen")
        assert bar.cancelled
        with pytest.raises(Cancelled):
            bar.check()
    assert recorder.events() == []


def test_it_can_be_told_again_on_request_rows_p_05_and_p_07(board: Board, recorder: Recorder) -> None:
    bar = make(board, max=3)
    bar.tick("a")
    recorder.events()
    bar.emit_update()
    bar.emit_update("b")
    bar.emit_init()
    bar.emit_init(to="someone")
    assert [(to, event) for to, event, _ in recorder.sent if event in ("init", "update")] == [
        (None, "update"),
        (None, "update"),
        (None, "init"),
        ("someone", "init"),
        ("someone", "update"),
    ]
    bar.emit_done()
    assert bar.is_done()
    recorder.events()
    bar.emit_init()
    assert recorder.names() == ["init", "done"]
    bar.emit_init(to="someone")
    assert recorder.names() == ["init", "done"]


def test_events_of_a_bar_with_a_room_go_to_the_room(board: Board, recorder: Recorder) -> None:
    bar = make(board, room="sid-1", max=3)
    bar.tick()
    assert {tuple(to) for to, _, _ in recorder.sent} == {("sid-1", "dtws_sio:bar:rows:sid-1")}


def test_what_a_job_left_behind_is_kept_although_nothing_is_new(board: Board, recorder: Recorder) -> None:
    """Late pages are to know that no job drives it any more, and others may have it."""
    bar = make(board)
    with bar.held():
        bar.tick()
        record = board.load(bar.key)
        assert record is not None
        assert record.has_job
        recorder.events()
    record = board.load(bar.key)
    assert record is not None
    assert not record.has_job
    assert recorder.names() == []


def test_who_sends_need_not_ask_whether_to_stop(board: Board, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is answered; only who says nothing for a while asks."""
    asked: list[float] = []
    monkeypatch.setattr(board, "keep", lambda key, driver: asked.append(clock.now) or "driven")
    with make(board, max=100) as bar:
        for _ in range(40):
            clock.now += 0.1
            bar.tick()
            bar._course.beat()
        assert not asked
        for _ in range(40):
            clock.now += 0.1
            bar._course.beat()
    assert 7 <= len(asked) <= 8
