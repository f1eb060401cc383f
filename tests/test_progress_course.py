"""The course of a bar: what begins and ends it, its range, and who may cancel it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.exceptions import Cancelled, NotRunningError, ProgressError, ProgressRangeError, ProgressTypeError
from dtws_sio.progress.records import Key
from tests.bars import Recorder, make

if TYPE_CHECKING:
    from dtws_sio.progress.board import Board


def test_a_reset_shows_the_bar_as_it_was_declared_row_p_10(board: Board, recorder: Recorder) -> None:
    bar = make(board, max=2, label="ready")
    bar.tick("x", steps=2)
    recorder.events()
    bar.reset()
    [(event, data)] = recorder.events()
    assert (event, data["status"], data["max"], data["current"], data["label"]) == ("init", "idle", 2, 0, "ready")
    assert (bar.status, bar.is_done()) == ("idle", False)
    bar.tick()
    assert bar.current == 1


def test_a_new_range_is_shown_and_ends_what_is_beyond_it(board: Board, recorder: Recorder) -> None:
    bar = make(board, max=10)
    bar.set(5)
    recorder.events()
    bar.max = 20
    assert [data["max"] for _, data in recorder.events()] == [20]
    bar.min = -1
    assert (bar.min, bar.max, bar.current) == (-1, 20, 5)
    recorder.events()
    bar.max = 4
    (event, data), last = recorder.events()
    assert (event, data["status"], data["min"], data["max"], data["current"]) == ("init", "running", -1, 4, 4)
    assert last == ("done", {"bar": "rows", "current": 4, "label": ""})


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda bar: bar.tick(5), ProgressTypeError),
        (lambda bar: bar.tick(steps=-1), ProgressRangeError),
        (lambda bar: bar.tick(steps="1"), ProgressTypeError),
        (lambda bar: bar.set("1"), ProgressTypeError),
        (lambda bar: bar.set(101), ProgressRangeError),
        (lambda bar: bar.finish(b"x"), ProgressTypeError),
        (lambda bar: bar.fail(None), ProgressTypeError),
        (lambda bar: setattr(bar, "max", -1), ProgressRangeError),
    ],
)
@pytest.mark.parametrize("has_begun", [False, True])
def test_what_is_refused_changes_and_begins_nothing(
    board: Board, recorder: Recorder, call: Any, error: type[Exception], has_begun: bool
) -> None:
    bar = make(board)
    if has_begun:
        bar.tick()
    before = bar.state
    recorder.events()
    with pytest.raises(error):
        call(bar)
    assert bar.state == before
    assert recorder.names() == []
    make(board).reset() if not has_begun else None  # nobody has it


@pytest.mark.parametrize("label", [None, "Reading"])
def test_whatever_begins_a_bar_says_so_although_nothing_has_moved_row_p_05(
    board: Board, recorder: Recorder, label: str | None
) -> None:
    make(board, "with").__enter__()
    make(board, "by hand").tick(label, steps=0)
    begun = [data["status"] for event, data in recorder.events() if event == "init"]
    assert begun == ["running", "running"]
    for name in ("with", "by hand"):
        record = board.load(Key("/import", name, None))
        assert record is not None
        assert record.state.status == "running"


@pytest.mark.parametrize("way", ["check", "cancelled", "track", "return"])
def test_a_job_that_is_cancelled_says_so_once(board: Board, recorder: Recorder, way: str) -> None:
    bar = make(board, max=10)

    def work() -> None:
        with bar:
            bar.tick()
            make(board).cancel()
            assert bar.cancelled
            if way == "check":
                bar.check()
            elif way == "track":
                list(bar.track(range(3)))
            elif way == "cancelled":
                raise Cancelled

    if way == "return":
        work()
    else:
        with pytest.raises(Cancelled):
            work()
    assert recorder.names() == ["init", "update", "cancelled"]
    assert bar.status == "cancelled"
    with pytest.raises(ProgressError):
        bar.tick()
    with pytest.raises(NotRunningError):
        bar.cancel()


def test_a_job_that_came_to_its_end_nevertheless_is_done(board: Board, recorder: Recorder) -> None:
    with make(board, max=1) as bar:
        bar.cancel()
        bar.tick()
        bar.check()
    assert recorder.names() == ["init", "update", "done"]


def test_a_cancel_is_over_with_its_job(board: Board) -> None:
    with make(board) as bar:
        bar.cancel()
    with bar:
        assert not bar.cancelled
        bar.check()
    with pytest.raises(NotRunningError):
        make(board, "other").cancel()
