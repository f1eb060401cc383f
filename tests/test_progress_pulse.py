"""The pulse of a process, which looks after its bars."""

from __future__ import annotations

from tests.bars import Recorder, make
from tests.page import eventually


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
