"""`Bar`, without clients: what it tells, when, and who may drive it; rows P-01 to P-13 and W-D14."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtws_sio.exceptions import BarEndedError, ProgressError, ProgressRangeError
from dtws_sio.progress import bars
from tests.bars import Clock, Mirror, Recorder, board_for, make, set_clock

if TYPE_CHECKING:
    from dtws_sio.progress.board import Board

INIT = ["before_init", "init", "after_init"]
UPDATE = ["before_update", "update", "after_update"]


def told(recorder: Recorder) -> list[str]:
    """Give the names of everything that was sent since the last look."""
    names = [event for _, event, _ in recorder.sent]
    recorder.sent.clear()
    return names


# ---- what is told


def test_a_job_from_its_begin_to_its_end_rows_p_05_to_p_08(board: Board, recorder: Recorder) -> None:
    with make(board, max=2) as bar:
        assert told(recorder) == INIT
        bar.tick("one")
        assert recorder.sent[1] == (
            None,
            "update",
            {"bar": "rows", "current": 1, "label": "one", "rate": None, "remaining": None},
        )
        assert told(recorder) == UPDATE
        bar.tick("two")
        assert told(recorder) == [*UPDATE, "done"]
    assert told(recorder) == []


def test_before_and_after_carry_the_bar_and_init_the_whole_of_it(board: Board, recorder: Recorder) -> None:
    make(board, "x", min=1, max=4, label="hello").__enter__()
    assert recorder.sent == [
        (None, "before_init", {"bar": "x"}),
        (
            None,
            "init",
            {
                "bar": "x",
                "status": "running",
                "indeterminate": False,
                "min": 1,
                "max": 4,
                "current": 1,
                "label": "hello",
            },
        ),
        (None, "after_init", {"bar": "x"}),
    ]


@pytest.mark.parametrize(
    ("low", "high", "steps"), [(0, 2, 1), (0, 1000, 1), (-5, 5, 1), (0, 1.0, 0.1), (0, 10**30, 10**29), (3, 2000, 7)]
)
def test_done_is_sent_once_with_the_last_step_row_w_d14(
    board: Board, recorder: Recorder, low: float, high: float, steps: float
) -> None:
    """Rows P-06 and P-09: five ticks on a bar of two had sent four; a bar of 1000 none."""
    bar = make(board, min=low, max=high)
    while not bar.is_done():
        bar.tick(steps=steps)
    assert recorder.names().count("done") == 1
    with pytest.raises(BarEndedError):
        bar.tick()
    bar.emit_done()
    assert recorder.names() == []


def test_a_label_is_kept_cleared_and_changed_row_p_07(board: Board, recorder: Recorder, clock: Clock) -> None:
    bar = make(board, max=100)
    for label in (None, "a", None, "a", "", None, gettext_lazy("b")):
        clock.now += 1
        bar.tick(label)
    updates = [data for event, data in recorder.events() if event == "update"]
    assert [data.get("label", "absent") for data in updates] == ["absent", "a", "absent", "absent", "", "absent", "b"]
    assert [data["current"] for data in updates] == [1, 2, 3, 4, 5, 6, 7]
    assert bar.label == "b"


def test_no_steps_only_change_the_label(board: Board, recorder: Recorder, clock: Clock) -> None:
    bar = make(board, max=2)
    bar.tick(steps=2 - 1)
    clock.now += 1
    bar.tick("nearly", steps=0)
    assert recorder.events()[-1] == (
        "update",
        {"bar": "rows", "current": 1, "label": "nearly", "rate": 0.0 + 1.0, "remaining": 1.0},
    )


def test_set_and_current_move_it_row_p_02(board: Board, recorder: Recorder, clock: Clock) -> None:
    bar = make(board, max=10)
    bar.set(7, "seven")
    clock.now += 1
    bar.current = 3
    assert [data["current"] for event, data in recorder.events() if event == "update"] == [7, 3]
    with pytest.raises(ProgressRangeError):
        bar.current = 11
    assert bar.current == 3


def test_equal_bounds_and_indeterminate_bars_need_finish_rows_p_03_and_p_09(board: Board, recorder: Recorder) -> None:
    for bar in (make(board, "a", min=3, max=3), make(board, "b", indeterminate=True)):
        bar.tick(steps=500)
        assert (bar.indeterminate, bar.is_done()) == (True, False)
        bar.finish("over")
        assert recorder.events()[-1] == ("done", {"bar": bar.name, "current": bar.current, "label": "over"})


def test_failing_sends_the_message_row_p_08(board: Board, recorder: Recorder) -> None:
    bar = make(board, max=3)
    bar.tick()
    bar.fail("no paper")
    assert recorder.events()[-1] == ("failed", {"bar": "rows", "message": "no paper"})
    with pytest.raises(BarEndedError):
        bar.finish()


# ---- how often


def test_a_loop_lets_others_run_by_the_clock_and_not_at_each_tick(
    board: Board, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float] = []
    # The module's own name for it: the pulse of another test may still sleep.
    monkeypatch.setattr(bars, "runtime", SimpleNamespace(sleep=turns.append))
    bar = make(board, max=10_000)
    for _ in range(1000):
        clock.now += 0.001
        bar.tick()
    assert 70 <= len(turns) <= 101
    assert set(turns) == {0}


# ---- whatever happens


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.none() | st.sampled_from(["", "a", "b"]), st.integers(0, 5) | st.floats(0, 5)),
        st.tuples(st.just("set"), st.integers(-2, 12), st.none() | st.sampled_from(["", "c"])),
        st.tuples(st.just("range"), st.sampled_from(["min", "max"]), st.integers(-2, 20)),
        st.tuples(
            st.sampled_from(["reset", "finish", "check", "cancel", "enter", "exit", "beat", "join", "emit_done"])
        ),
        st.tuples(st.just("fail"), st.just("oh")),
        st.tuples(st.just("wait"), st.floats(0, 0.2)),
        st.tuples(st.sampled_from(["emit_init", "emit_update"])),
    ),
    max_size=40,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS, name=st.sampled_from([None, "rows"]), high=st.integers(0, 10))
def test_whatever_happens_all_pages_show_the_same_and_an_end_comes_once(
    operations: list[tuple[Any, ...]], name: str | None, high: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, recorder = Clock(), Recorder()
    set_clock(monkeypatch, clock)
    board = board_for(recorder)
    bar = make(board, name, max=high)
    pages: dict[str, Mirror] = {}

    def join() -> None:
        page = f"page {len(pages)}"
        record = board.load(bar.key) or (bar.declared if name is None else None)
        if record is not None:  # else it was never shown, and is unknown
            pages[page] = Mirror()
            board.show(record, page)

    def deliver() -> int:
        for to, event, data in recorder.sent:
            for page in pages.values() if to is None else [pages[to]]:
                page.take(event, data)
        found = sum(to is None and event in ("done", "failed", "cancelled") for to, event, _ in recorder.sent)
        recorder.sent.clear()
        return found

    inside = 0
    join()
    for operation, *arguments in operations:
        try:
            if operation == "tick":
                bar.tick(arguments[0], steps=arguments[1])
            elif operation == "range":
                setattr(bar, arguments[0], arguments[1])
            elif operation == "wait":
                clock.now += arguments[0]
            elif operation == "join":
                join()
            elif operation == "enter":
                bar.__enter__()
                inside += 1
            elif operation == "exit":
                if inside:
                    inside -= 1
                    bar.__exit__(None, None, None)
            elif operation == "beat":
                bar._course.beat()
            else:
                getattr(bar, operation)(*arguments)
        except ProgressError:
            pass
        assert deliver() <= 1
        assert bar.indeterminate or bar.min <= bar.current <= bar.max
        shown = [page.shown for page in pages.values()]
        assert all(one == other for one, other in pairwise(shown))
    clock.now += 1
    bar._course.beat()
    deliver()
    state = bar.state
    for page in pages.values():
        assert page.shown["current"] == state.current
        assert page.shown["label"] == state.label
        assert page.shown["max"] == state.max
        assert page.shown["status"] == (state.status if state.has_ended else "open")
    while inside:
        inside -= 1
        bar.__exit__(None, None, None)
