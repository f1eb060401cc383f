"""`Bar`, without clients: what it tells, when, and who may drive it; rows P-01 to P-13 and W-D14."""

from __future__ import annotations

import gc
import logging
import threading
from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtws_sio import runtime
from dtws_sio.exceptions import (
    BarBusyError,
    BarEndedError,
    Cancelled,
    EmitError,
    EventError,
    NotRunningError,
    NotServingError,
    ProgressError,
    ProgressRangeError,
    ProgressTypeError,
)
from dtws_sio.progress import bars
from dtws_sio.progress.records import Key
from tests.bars import Clock, Mirror, Recorder, board_for, make
from tests.page import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dtws_sio.progress.bars import Bar
    from dtws_sio.progress.board import Board

INIT = ["before_init", "init", "after_init"]
UPDATE = ["before_update", "update", "after_update"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(bars, "monotonic", clock)
    return clock


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def board(recorder: Recorder, clock: Clock) -> Board:
    return board_for(recorder)


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


def test_events_of_a_bar_with_a_room_go_to_the_room(board: Board, recorder: Recorder) -> None:
    bar = make(board, room="sid-1", max=3)
    bar.tick()
    assert {tuple(to) for to, _, _ in recorder.sent} == {("sid-1", "dtws_sio:bar:rows:sid-1")}


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


@pytest.mark.parametrize("options", [{"max": 5}, {"max": 0}], ids=["determinate", "indeterminate"])
def test_more_steps_than_can_be_counted_are_refused_at_once(board: Board, options: dict[str, Any]) -> None:
    with make(board, **options) as bar:
        bar.tick()
        with pytest.raises(ProgressRangeError, match="beyond 1e90"):
            bar.tick(steps=10**91)
        assert bar.current == 1
    with make(board):
        pass


# ---- how often


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
    bar.beat()
    assert recorder.names() == [], "it is too early"
    clock.now += 0.05
    bar.beat()
    assert recorder.events()[0][1]["label"] == "two"
    bar.beat()
    assert recorder.names() == []


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


def test_a_loop_lets_others_run_by_the_clock_and_not_at_each_tick(
    board: Board, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float] = []
    # The module's own name for it: the pulse of another test may still sleep.
    monkeypatch.setattr(bars, "runtime", SimpleNamespace(sleep=turns.append, lock=runtime.lock))
    bar = make(board, max=10_000)
    for _ in range(1000):
        clock.now += 0.001
        bar.tick()
    assert 70 <= len(turns) <= 101
    assert set(turns) == {0}


def test_ticks_of_many_threads_all_count(board: Board) -> None:
    bar = make(board, max=40_000)
    bar.tick(steps=0)
    threads = [threading.Thread(target=lambda: [bar.tick() for _ in range(10_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert (bar.current, bar.is_done()) == (40_000, True)


# ---- jobs


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
        patch.setattr(bars.runtime, "spawn", spawn)
        with pytest.raises(RuntimeError):
            bar.start(lambda: None)
    assert recorder.names() == ["init", "failed"]
    assert not bar.is_driven
    with make(board), pytest.raises(BarBusyError):
        bar.start(lambda: None)
    bar.start(lambda: None)
    assert eventually(bar.is_done)


# ---- cancelling


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


# ---- where it cannot be told


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


# ---- whoever comes later


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
    bar.beat()
    assert "label" not in recorder.events()[0][1]


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
    monkeypatch.setattr(bars, "monotonic", clock)
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
            else:
                getattr(bar, operation)(*arguments)
        except ProgressError:
            pass
        assert deliver() <= 1
        assert bar.indeterminate or bar.min <= bar.current <= bar.max
        shown = [page.shown for page in pages.values()]
        assert all(one == other for one, other in pairwise(shown))
    clock.now += 1
    bar.beat()
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
        bar.beat()
        bar.tick("unseen")
        assert bar.cancelled
        with pytest.raises(Cancelled):
            bar.check()
    assert recorder.events() == []
