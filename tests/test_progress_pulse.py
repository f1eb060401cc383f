"""The pulse of a process, which looks after its bars."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dtws_sio.progress.counter import Counter
from dtws_sio.progress.pulse import Pulse
from tests.bars import Clock, Recorder, make
from tests.page import eventually

if TYPE_CHECKING:
    import pytest

    from dtws_sio.progress.board import Board


class Heart:
    """Counts its beats, and fails at one of them."""

    def __init__(self, fails_at: int = 0) -> None:
        self.beats = 0
        self.fails_at = fails_at

    def beat(self) -> None:
        self.beats += 1
        if self.beats == self.fails_at:
            raise ZeroDivisionError


def test_a_bar_that_fails_is_looked_after_no_more_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    pulse, good, bad = Pulse(), Heart(), Heart(fails_at=2)
    with caplog.at_level(logging.ERROR, "dtws_sio.progress"):
        pulse.add(bad)
        pulse.add(good)
        assert eventually(lambda: good.beats > 4)
    assert bad.beats == 2
    assert "could not be looked after" in caplog.text
    pulse.discard(good)
    assert eventually(lambda: pulse._process == 0), "its thread ends"
    pulse.add(good)
    seen = good.beats
    assert eventually(lambda: good.beats > seen)
    pulse.discard(good)


def test_what_was_held_back_is_told_by_itself(recorder: Recorder) -> None:
    """With the clock and the pulse that a server has."""
    from dtws_sio.progress.board import Board

    board = Board(recorder)  # type: ignore[arg-type]
    bar = make(board, max=100)
    bar.tick()
    bar.tick()
    assert eventually(lambda: [data["current"] for _, event, data in recorder.sent if event == "update"] == [1, 2])
    for _ in range(10):
        bar.tick()
    assert eventually(lambda: recorder.sent[-2][2].get("current") == 12)


def test_a_bar_that_does_not_move_is_looked_after_no_more(board: Board, clock: Clock) -> None:
    """But not before a second has passed, and not while something is to be told."""
    watched: list[object] = []

    class Watch:
        def add(self, bar: object) -> None:
            watched[:] = [bar]

        def discard(self, bar: object) -> None:
            watched.remove(bar)

    board.pulse = Watch()  # type: ignore[assignment]
    bar = make(board, max=9)
    beat = bar._course.beat
    bar.tick()
    clock.now += 0.9
    beat()
    assert watched, "it moved a moment ago"
    bar._course.display.due = clock.now + 60
    bar._course._arm()
    bar.tick("held back")
    clock.now += 1.1
    beat()
    assert watched, "its label is not told yet"
    bar._course.display.due = 0
    beat()
    assert not watched
    bar.tick("again")
    assert watched
    with make(board, "job"):
        clock.now += 100
        watched[0].beat()  # type: ignore[attr-defined]
        assert watched, "a job is heard of until it ends"


def test_a_tick_that_slips_in_while_a_bar_comes_to_rest_is_told(
    board: Board, recorder: Recorder, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: list[object] = []
    monkeypatch.setattr(board.pulse, "discard", dropped.append)
    bar = make(board, max=9)
    bar.tick()
    clock.now += 2
    forbid = Counter.forbid

    def forbid_late(counter: Counter) -> None:
        counter.steps += 1  # by another thread, just before
        forbid(counter)

    with monkeypatch.context() as patch:
        patch.setattr(Counter, "forbid", forbid_late)
        bar._course.beat()
    assert not dropped
    bar._course.beat()
    assert recorder.events()[-1][1]["current"] == 2
    assert dropped == [bar._course]
