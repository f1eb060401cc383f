"""Ticks that send nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.exceptions import ProgressRangeError
from tests.bars import make

if TYPE_CHECKING:
    from dtws_sio.progress.board import Board


def test_ticks_of_many_threads_all_count(board: Board) -> None:
    bar = make(board, max=40_000)
    bar.tick(steps=0)
    threads = [threading.Thread(target=lambda: [bar.tick() for _ in range(10_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert (bar.current, bar.is_done()) == (40_000, True)


@pytest.mark.parametrize("options", [{"max": 5}, {"max": 0}], ids=["determinate", "indeterminate"])
def test_more_steps_than_can_be_counted_are_refused_at_once(board: Board, options: dict[str, Any]) -> None:
    with make(board, **options) as bar:
        bar.tick()
        with pytest.raises(ProgressRangeError, match="beyond 1e90"):
            bar.tick(steps=10**91)
        assert bar.current == 1
    with make(board):
        pass
