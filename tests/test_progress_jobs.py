"""One job has a bar from its begin to its end; row P-13."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.exceptions import BarBusyError, EmitError, EventError
from dtws_sio.progress import jobs
from tests.bars import Recorder, make
from tests.page import eventually

if TYPE_CHECKING:
    from dtws_sio.progress.bars import Bar
    from dtws_sio.progress.board import Board


def test_leaving_the_block_finishes_it(board: Board, recorder: Recorder) -> None:
    with make(board, indeterminate=True) as bar:
        pass
    assert (bar.status, recorder.names()) == ("done", ["init", "done"])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EventError("no paper", code="paper"), "no paper"),
        (ValueError("SELECT secret"), "The task failed."),
        (KeyboardInterrupt(), "The task failed."),
    ],
)
def test_what_the_block_raises_fails_it_and_internals_stay_inside(
    board: Board, recorder: Recorder, error: BaseException, message: str
) -> None:
    with pytest.raises(type(error)), make(board):
        raise error
    assert recorder.events()[-1] == ("failed", {"bar": "rows", "message": message})


def test_blocks_and_bars_nest(board: Board, recorder: Recorder) -> None:
    files, rows = make(board, "files", max=2), make(board, "rows", max=3)
    for _ in files.track(range(2)):
        with rows, rows:
            for _ in rows.track(range(3)):
                pass
        assert rows.is_done()
    assert [event for event in recorder.events() if event[0] == "done"] == [
        ("done", {"bar": "rows", "current": 3, "label": ""}),
        ("done", {"bar": "rows", "current": 3, "label": ""}),
        ("done", {"bar": "files", "current": 2, "label": ""}),
    ]


@pytest.mark.parametrize("begin", ["with", "track", "start", "tick"])
def test_one_job_drives_a_bar_row_p_13(board: Board, recorder: Recorder, begin: str) -> None:
    """Another handle on the same bar is told at once; and may have it afterwards."""
    begins: dict[str, Any] = {
        "with": lambda bar: bar.__enter__(),
        "track": lambda bar: list(bar.track([1, 2])),
        "start": lambda bar: bar.start(lambda: None),
        "tick": lambda bar: bar.tick(),
    }
    with make(board):
        before = len(recorder.sent)
        with pytest.raises(BarBusyError) as refused:
            begins[begin](make(board))
        assert refused.value.code == "busy"
        assert len(recorder.sent) == before
        with make(board, room="another"):
            pass
    second = make(board)
    begins[begin](second)
    assert eventually(lambda: second.status in ("running", "done"))


def test_the_same_handle_in_another_thread_is_another_job_row_p_13(board: Board) -> None:
    raised: list[type[Exception]] = []

    def work(bar: Bar) -> None:
        for call in (bar.__enter__, bar.reset, lambda: list(bar.track([1]))):
            try:
                call()
            except BarBusyError as error:
                raised.append(type(error))

    with make(board) as bar:
        thread = threading.Thread(target=work, args=[bar])
        thread.start()
        thread.join(timeout=10)
        assert raised == [BarBusyError] * 3
        bar.reset()
        bar.tick()
    assert bar.is_done()


def test_a_job_beside_the_caller(board: Board, recorder: Recorder) -> None:
    bar, gate = make(board, max=3), threading.Event()

    def work(text: str, *, steps: int) -> None:
        gate.wait(10)
        bar.tick(text, steps=steps)

    bar.start(work, "some", steps=2)
    assert bar.status == "running"
    with pytest.raises(BarBusyError):
        bar.start(work, "x", steps=1)
    with pytest.raises(BarBusyError), bar:
        pass
    gate.set()
    assert eventually(lambda: not bar.is_driven)
    assert recorder.events()[-1] == ("done", {"bar": "rows", "current": 3, "label": "some"})


def test_what_a_job_beside_the_caller_raises_is_logged_and_fails_it(
    board: Board, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    bar = make(board)
    with caplog.at_level(logging.ERROR, "dtws_sio.progress"):
        bar.start(lambda: 1 / 0)
        assert eventually(lambda: not bar.is_driven)
    assert recorder.events()[-1] == ("failed", {"bar": "rows", "message": "The task failed."})
    assert "ZeroDivisionError" in caplog.text


def test_a_job_that_cannot_be_started_leaves_its_bar_to_others(
    board: Board, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawn(*arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    bar = make(board)
    with monkeypatch.context() as patch:
        patch.setattr(jobs.runtime, "spawn", spawn)
        with pytest.raises(RuntimeError):
            bar.start(lambda: None)
    assert recorder.names() == ["init", "failed"]
    assert not bar.is_driven
    with make(board), pytest.raises(BarBusyError):
        bar.start(lambda: None)
    bar.start(lambda: None)
    assert eventually(bar.is_done)


def test_a_job_beside_the_caller_gives_its_database_connections_back(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(jobs.dispatch, "give_back_connections", lambda: given_back.append(threading.get_ident()))
    bar, worked = make(board), []
    bar.start(lambda: worked.append(threading.get_ident()))
    assert eventually(lambda: given_back)
    assert given_back == worked


def test_a_job_that_could_not_begin_is_forgotten_by_its_context(board: Board, recorder: Recorder) -> None:
    before = jobs._mine.get()
    recorder.error = EmitError("nobody")
    with pytest.raises(EmitError):
        make(board).__enter__()
    assert jobs._mine.get() == before
