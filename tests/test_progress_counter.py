"""Ticks that send nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.exceptions import ProgressRangeError
from dtws_sio.progress.counter import Counter
from dtws_sio.progress.state import LARGEST, State
from tests.bars import make

if TYPE_CHECKING:
    from dtws_sio.progress.board import Board

ROOT = Path(__file__).parents[1]


TICKING = """
import sys
if sys.argv[1] == "eventlet":
    from dtws_sio import runtime
    runtime.patch()
    from eventlet import patcher
    threading = patcher.original("threading")
else:
    import threading
from django.conf import settings
settings.configure()
from tests.bars import Recorder, board_for, course, make
course.TURN_SECONDS = 1000
recorder = Recorder()
recorder.is_here = lambda: False
bar = make(board_for(recorder), max=80_002)
bar.__enter__()
bar.tick()
bar._course.display.due += 1000
bar._course._arm()
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=lambda: [bar.tick() for _ in range(20_000)]) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(timeout=30)
print(bar.current)
"""


@pytest.mark.parametrize("runtime", ["eventlet", "threading"])
def test_ticks_of_many_threads_of_the_operating_system_all_count(runtime: str) -> None:
    """Threads take turns after each instruction there, so that one that is not kept together is found out."""
    command = [sys.executable, "-W", "ignore", "-c", TICKING, runtime]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "80001\n"), done.stderr


def test_what_was_counted_is_taken_once() -> None:
    counter, state = Counter(), State.of(0, 10).begun()
    assert counter.is_empty
    counter.steps, counter.label = 3, "three"
    assert not counter.is_empty
    assert counter.onto(state) == counter.onto(state) == state.advanced(3, "three")
    assert counter.taken_onto(state) == state.advanced(3, "three")
    assert counter.is_empty
    assert counter.taken_onto(state) is state
    counter.label = ""
    assert counter.taken_onto(state.advanced(0, "x")).label == ""
    counter.steps = 1
    assert counter.onto(state.finished()) == state.finished(), "what has ended moves no more"


@pytest.mark.parametrize(
    ("state", "most"),
    [(State.of(0, 10), 10), (State.of(0, 1.5), 0.5), (State.of(0, 0), LARGEST), (State.of(0, 10).advanced(4), 6)],
    ids=str,
)
def test_counting_stops_before_the_end(state: State, most: float) -> None:
    counter = Counter()
    counter.allow(state, 5.0)
    assert (counter.most, counter.until) == (most, 5.0)
    counter.forbid()
    assert counter.most < 0


@pytest.mark.parametrize("options", [{"max": 5}, {"max": 0}], ids=["determinate", "indeterminate"])
def test_more_steps_than_can_be_counted_are_refused_at_once(board: Board, options: dict[str, Any]) -> None:
    with make(board, **options) as bar:
        bar.tick()
        with pytest.raises(ProgressRangeError, match="beyond 1e90"):
            bar.tick(steps=10**91)
        assert bar.current == 1
    with make(board):
        pass
