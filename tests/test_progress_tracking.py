"""A loop as a job: `Bar.track`."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from tests.bars import Clock, Recorder, make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dtws_sio.progress.board import Board


def test_tracking_ticks_after_each_thing(board: Board, recorder: Recorder, clock: Clock) -> None:
    bar = make(board, has_range=False, indeterminate=True)
    seen = []
    for thing in bar.track("abc", label=lambda thing: f"at {thing}"):
        clock.now += 1
        seen.append((thing, bar.current, bar.max, bar.label))
    assert seen == [("a", 0, 3, "at a"), ("b", 1, 3, "at b"), ("c", 2, 3, "at c")]
    events = recorder.events()
    assert [event for event, _ in events].count("init") == 1
    assert events[0][1]["max"] == 3
    assert events[-1] == ("done", {"bar": "rows", "current": 3, "label": "at c"})


@pytest.mark.parametrize(
    ("things", "total", "shown"),
    [
        ([1, 2], None, (False, 2)),
        (iter([1, 2]), None, (True, 0)),
        (iter([1, 2]), 2, (False, 2)),
        ([], None, (True, 0)),
        (iter([1, 2]), 5, (False, 5)),
    ],
    ids=["known", "unknown", "told", "none", "fewer"],
)
def test_tracking_knows_the_end_or_does_without(
    board: Board, recorder: Recorder, things: Any, total: int | None, shown: tuple[bool, int]
) -> None:
    bar = make(board, max=0, has_range=False, indeterminate=True)
    list(bar.track(things, "Reading", total=total))
    events = recorder.events()
    assert (events[0][1]["indeterminate"], events[0][1]["max"]) == shown
    assert events[-1][0] == "done"


def test_a_loop_within_a_job_gives_it_a_range_or_takes_it_away(board: Board, recorder: Recorder) -> None:
    with make(board, has_range=False) as bar:
        list(zip(bar.track(range(3)), range(2), strict=False))
        gc.collect()
        assert (bar.max, bar.current, bar.indeterminate) == (3, 2, False)
        list(bar.track(iter(range(200))))
        assert (bar.status, bar.current, bar.indeterminate) == ("running", 202, True)
    shown = [(data["indeterminate"], data["max"]) for event, data in recorder.events() if event == "init"]
    assert shown == [(False, 100), (False, 3), (True, 3)]


def test_a_range_that_one_job_set_by_hand_is_not_that_of_the_next(board: Board) -> None:
    bar = make(board, has_range=False)
    with bar:
        bar.max = 7
        list(bar.track("abc"))
        assert bar.max == 7
    list(bar.track("ab"))
    assert (bar.max, bar.status) == (2, "done")


def test_tracking_keeps_a_range_that_was_given_and_never_leaves_it(board: Board, recorder: Recorder) -> None:
    bar = make(board, max=3)
    assert list(bar.track(range(5))) == [0, 1, 2, 3, 4]
    assert (bar.max, bar.status, recorder.names().count("done")) == (3, "done", 1)


def test_what_the_things_raise_fails_it(board: Board, recorder: Recorder) -> None:
    def things() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        list(make(board).track(things()))
    assert recorder.events()[-1] == ("failed", {"bar": "rows", "message": "The task failed."})


def test_a_loop_that_is_left_early_fails_it_unless_it_said_that_this_is_the_end(
    board: Board, recorder: Recorder
) -> None:
    for _ in make(board).track(range(5)):
        break
    gc.collect()
    assert recorder.events()[-1] == ("failed", {"bar": "rows", "message": "The task stopped before its end."})
    bar = make(board)
    for _ in bar.track(range(5)):
        bar.finish("found")
        break
    gc.collect()
    assert recorder.names()[-1] == "done"
    assert not bar.is_driven


def test_within_a_job_tracking_only_ticks(board: Board, recorder: Recorder) -> None:
    with make(board, max=6) as bar:
        for _ in bar.track(range(2)):
            pass
        for _ in bar.track(range(2)):
            break
        gc.collect()
        assert (bar.current, bar.status) == (2, "running")
    assert recorder.names()[-1] == "done"
