"""The state of a bar as a value; rows P-01 to P-03, P-06 to P-09 and W-D14."""

from __future__ import annotations

import enum
import math
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtws_sio.exceptions import BarEndedError, Cancelled, ProgressRangeError, ProgressTypeError
from dtws_sio.progress.state import UNKNOWN, Pace, Speed, State, end_events, init_events, newcomer_events, update_events


class Level(enum.IntEnum):
    HIGH = 9


RUNNING = State.of(0, 4).begun()
ENDED = [RUNNING.finished(), RUNNING.failed("no"), RUNNING.cancelled()]


def test_a_bar_has_the_defaults_of_row_p_01() -> None:
    state = State.of()
    assert (state.min, state.max, state.current, state.indeterminate, state.label) == (0, 100, 0, False, "")
    assert State.of(5, 9).current == 5
    assert State.of(0, 0.5, label="x").label == "x"


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"min": "a"}, ProgressTypeError, "min is 'a'"),
        ({"max": None}, ProgressTypeError, "max is None"),
        ({"max": True}, ProgressTypeError, "max is True"),
        ({"max": Decimal(3)}, ProgressTypeError, "max is Decimal"),
        ({"max": [1]}, ProgressTypeError, r"max is \[1\]"),
        ({"max": math.nan}, ProgressRangeError, "max is nan"),
        ({"min": -math.inf}, ProgressRangeError, "min is -inf"),
        ({"max": 10**91}, ProgressRangeError, "max is beyond"),
        ({"max": 1e91}, ProgressRangeError, "max is beyond"),
        ({"min": 2, "max": 1}, ProgressRangeError, "max is 1, less than min, 2"),
        ({"indeterminate": 1}, ProgressTypeError, "indeterminate is 1"),
        ({"label": b"x"}, ProgressTypeError, "label is b'x'"),
    ],
)
def test_what_cannot_be_a_bar_is_refused_by_name_rows_p_01_and_p_02(
    given: dict[str, Any], error: type[Exception], told: str
) -> None:
    """Row W-D14: the old one took anything."""
    with pytest.raises(error, match=told):
        State.of(**given)


def test_numbers_become_plain_ones() -> None:
    state = State.of(0, Level.HIGH)
    assert type(state.max) is int


@pytest.mark.parametrize(("low", "high"), [(0, 0), (7, 7), (1.5, 1.5), (10**40, 10**40), (0, 0.0)])
def test_equal_bounds_are_indeterminate_row_p_03(low: float, high: float) -> None:
    state = State.of(low, high)
    assert state.indeterminate
    assert state.status == "idle"
    assert not state.advanced().has_ended
    assert state.advanced().finished().status == "done"


def test_an_indeterminate_bar_counts_what_was_done_and_ends_only_when_told_row_p_09() -> None:
    state = State.of(0, 2, indeterminate=True)
    for _ in range(5):
        state = state.advanced()
    assert (state.current, state.status) == (5, "running")
    assert state.moved(50).current == 50
    assert state.finished().current == 5


@pytest.mark.parametrize(
    ("low", "high", "steps", "count"),
    [
        (0, 2, 1, 2),
        (0, 257, 1, 257),
        (0, 1000, 1, 1000),
        (-3, 3, 1, 6),
        (0, 1.0, 0.1, 10),
        (0, 1, 0.1, 10),
        (0.3, 3.3, 1, 3),
        (0, 1e-6, 1e-9, 1000),
        (0, 10**40, 10**38, 100),
        (10**40, 10**40 + 3, 1, 3),
        (0, 1e12, 1e11, 10),
        (0, 10, 3, 4),
        (0, 2.5, 1, 3),
        (0, 5, 10**80, 1),
    ],
)
def test_it_is_done_with_the_last_step_and_not_before_rows_p_06_and_p_09(
    low: float, high: float, steps: float, count: int
) -> None:
    """Row W-D14: whatever the numbers; the old one compared by identity, so one of 1000 was never done."""
    state = State.of(low, high)
    for _ in range(count - 1):
        state = state.advanced(steps)
        assert state.status == "running", state
        assert state.current < high
    state = state.advanced(steps)
    assert (state.status, state.current) == ("done", high)


def test_a_large_range_is_not_done_a_step_early() -> None:
    state = State.of(0, 10**15).moved(10**15 - 2)
    assert state.advanced().status == "running"
    assert State.of(0, 1e12).moved(1e12 - 2).advanced().status == "running"
    assert State.of(0, 0.0005).begun().advanced(0, "x").status == "running"


@pytest.mark.parametrize("state", ENDED, ids=lambda state: state.status)
@pytest.mark.parametrize(
    "change",
    [
        State.advanced,
        State.finished,
        State.cancelled,
        lambda state: state.moved(1),
        lambda state: state.resized(max=9),
        lambda state: state.failed("again"),
    ],
)
def test_what_has_ended_stays_so_row_p_06(state: State, change: Any) -> None:
    with pytest.raises(Cancelled if state.status == "cancelled" else BarEndedError):
        change(state)


@pytest.mark.parametrize(
    ("label", "after"), [(None, "before"), ("", ""), ("new", "new")], ids=["absent", "empty", "another"]
)
@pytest.mark.parametrize("change", ["advanced", "moved", "finished"])
def test_a_label_is_kept_where_there_is_none_and_cleared_by_an_empty_one_row_p_07(
    change: str, label: str | None, after: str
) -> None:
    state = State.of(0, 4, label="before").begun()
    arguments: tuple[Any, ...] = {"advanced": (1, label), "moved": (2, label), "finished": (label,)}[change]
    assert getattr(state, change)(*arguments).label == after


@pytest.mark.parametrize("value", [-1, 4.5, 5])
def test_a_value_out_of_range_is_refused_row_p_02(value: float) -> None:
    with pytest.raises(ProgressRangeError, match="within 0 and 4"):
        RUNNING.moved(value)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda state: state.advanced(-1), ProgressRangeError),
        (lambda state: state.advanced("1"), ProgressTypeError),
        (lambda state: state.advanced(True), ProgressTypeError),
        (lambda state: state.advanced(math.nan), ProgressRangeError),
        (lambda state: state.advanced(1, 5), ProgressTypeError),
        (lambda state: state.moved(None), ProgressTypeError),
        (lambda state: state.failed(ValueError("x")), ProgressTypeError),
        (lambda state: state.resized(max=-1), ProgressRangeError),
    ],
)
def test_what_cannot_be_a_move_is_refused_row_w_d14(change: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        change(RUNNING)


def test_it_moves_back_and_to_its_end_row_p_02() -> None:
    assert RUNNING.moved(3).moved(1).current == 1
    assert RUNNING.moved(4).status == "done"


def test_a_range_that_shrinks_below_what_is_done_ends_it() -> None:
    state = RUNNING.moved(3)
    assert state.resized(max=10).left == 7
    assert (state.resized(max=3).status, state.resized(max=2).current) == ("done", 2)
    assert (state.resized(max=2).status, state.resized(min=3.5).current) == ("done", 3.5)
    assert State.of(0, 4).resized(min=2).current == 2


@pytest.mark.parametrize(
    ("state", "count", "shown"),
    [
        (State.of(5, 10), 3, (5, 10, False)),
        (State.of(5, 10), None, (5, 10, False)),
        (State.of(indeterminate=True), 3, (0, 100, True)),
        (State.of(has_range=False), 3, (0, 3, False)),
        (State.of(has_range=False), None, (0, 100, True)),
        (State.of(2, 100, has_range=False).advanced(3), 4, (2, 9, False)),
        (State.of(has_range=False, indeterminate=True), 2.5, (0, 2.5, False)),
        (State.of(has_range=False).resized(max=7), 3, (0, 7, False)),
    ],
    ids=str,
)
def test_a_loop_gives_a_range_to_what_was_given_none(
    state: State, count: Any, shown: tuple[float, float, bool]
) -> None:
    sized = state.sized(count)
    assert (sized.min, sized.max, sized.indeterminate) == shown
    again = sized.sized(count)
    assert again == sized, "a second loop begins where the first did"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("advanced"), st.integers(0, 50) | st.floats(0, 50)),
            st.tuples(st.just("moved"), st.integers(-5, 60) | st.floats(-5, 60)),
            st.tuples(st.just("max"), st.integers(-5, 60)),
            st.tuples(st.just("min"), st.integers(-5, 60)),
        ),
        max_size=30,
    ),
    st.integers(0, 50),
)
def test_no_sequence_of_moves_leaves_the_range_or_ends_it_twice(moves: list[tuple[str, float]], high: int) -> None:
    state = State.of(0, high)
    for name, value in moves:
        had_ended = state.has_ended
        try:
            state = state.resized(**{name: value}) if name in ("min", "max") else getattr(state, name)(value)
        except BarEndedError:
            assert had_ended
        except ProgressRangeError:
            continue
        assert not had_ended or state.status == "done"
        assert state.indeterminate or state.min <= state.current <= state.max
        assert (state.status == "done") == (not state.indeterminate and state.current == state.max) or had_ended


def test_the_pure_state_needs_the_standard_library_only() -> None:
    code = (
        "import sys, importlib.util as u, types\n"
        "sys.modules['dtws_sio.progress'] = types.ModuleType('dtws_sio.progress')\n"
        "s = u.spec_from_file_location('dtws_sio.progress.state', 'dtws_sio/progress/state.py')\n"
        "m = u.module_from_spec(s); sys.modules[s.name] = m; s.loader.exec_module(m)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"django", "socketio", "redis", "eventlet"} == set()


# ---- speed


def test_a_speed_is_told_when_it_is_known_in_steps_and_seconds() -> None:
    pace, state = Pace(), State.of(0, 100).begun()
    assert pace.speed(state, 50.0) == UNKNOWN
    assert pace.speed(state.advanced(1), 50.1) == UNKNOWN
    assert pace.speed(state.advanced(5), 50.5) == Speed(10.0, 9.5)
    assert pace.speed(state.advanced(20), 52.0) == Speed(10.0, 8.0)


def test_only_the_last_seconds_count() -> None:
    pace, state = Pace(), State.of(0, 1000).begun()
    for second in range(20):
        pace.speed(state, float(second))
    for second in range(20, 31):
        state = state.advanced(10)
        speed = pace.speed(state, float(second))
    assert speed == Speed(10.0, 89.0)


def test_a_speed_is_told_anew_after_a_step_back_and_has_no_end_where_none_is_known() -> None:
    pace, state = Pace(), State.of(0, 100).begun()
    pace.speed(state.moved(50), 0.0)
    assert pace.speed(state.moved(20), 1.0) == UNKNOWN
    assert pace.speed(state.moved(20), 2.0) == Speed(0.0, None)
    endless = State.of(indeterminate=True).begun()
    pace = Pace()
    pace.speed(endless, 0.0)
    assert pace.speed(endless.advanced(30), 10.0) == Speed(3.0, None)


def test_no_number_is_too_large_for_a_speed() -> None:
    pace, state = Pace(), State.of(-(10**90), 10**90).begun()
    pace.speed(state, 0.0)
    speed = pace.speed(state.moved(10**90 - 1), 0.25)
    assert speed.rate == 8e90


# ---- on the wire


def test_the_events_are_those_of_rows_p_05_p_07_and_p_08() -> None:
    state = State.of(1, 4, label="x").begun().advanced()
    shown = {"indeterminate": False, "min": 1, "max": 4, "current": 2, "label": "x"}
    everything = {"bar": "b", "status": "running", **shown}
    assert init_events("b", state) == [
        ("before_init", {"bar": "b"}),
        ("init", everything),
        ("after_init", {"bar": "b"}),
    ]
    assert update_events(None, state, Speed(2.0, 1.0), with_label=False) == [
        ("before_update", {}),
        ("update", {"current": 2, "rate": 2.0, "remaining": 1.0}),
        ("after_update", {}),
    ]
    assert update_events(None, state, UNKNOWN, with_label=True)[1][1] == {
        "current": 2,
        "label": "x",
        "rate": None,
        "remaining": None,
    }
    assert end_events("b", state) == []
    assert end_events("b", state.finished("y")) == [("done", {"bar": "b", "current": 4, "label": "y"})]
    assert end_events("b", state.failed("oh")) == [("failed", {"bar": "b", "message": "oh"})]
    assert end_events("b", state.cancelled()) == [("cancelled", {"bar": "b"})]


def test_a_newcomer_is_told_the_speed_and_the_end_too_row_p_04() -> None:
    state = State.of()
    assert newcomer_events(None, state, UNKNOWN) == init_events(None, state), "it has not begun"
    state = state.begun()
    for speed in (UNKNOWN, Speed(1.0, 2.0)):
        events = newcomer_events(None, state, speed)
        assert events[:3] == init_events(None, state)
        assert events[3:] == update_events(None, state, speed, with_label=False)
    assert newcomer_events(None, state.finished(), Speed(1.0, 2.0))[3:] == end_events(None, state.finished())
