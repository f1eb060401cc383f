"""`Board`: what a process knows of its bars, and of those that others drive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.exceptions import BarBusyError
from dtws_sio.progress.board import Board
from dtws_sio.progress.records import Key, Record
from dtws_sio.progress.state import State
from tests.bars import Recorder, make

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = Key("/import", "rows", None)


class Elsewhere:
    """What a process hears of bars that others drive."""

    def __init__(self, *records: Record) -> None:
        self.records = list(records)
        self.has_claims = True

    def claim(self, key: Key, driver: str) -> bool:
        return self.has_claims

    def load(self, key: Key) -> tuple[Record, bool]:
        """Give the next record, and the last one again and again."""
        return (self.records.pop(0) if len(self.records) > 1 else self.records[0]), False

    def in_rooms(self, namespace: str, name: str | None) -> Iterator[tuple[Record, bool]]:
        return ((record, False) for record in self.records)


def at(current: int, *, max: int = 100) -> Record:
    return Record(KEY, State.of(0, max).begun().moved(current), driver="other", has_job=True, version=str(current))


@pytest.mark.parametrize(
    ("loaded", "shown"),
    [
        ([at(1)], [1]),
        ([at(2), at(2)], [1, 2]),
        ([at(2), at(3), at(4), at(5)], [1, 2]),
        ([at(2), at(100)], [1, 2, 100]),
    ],
    ids=["unchanged", "changed", "changing", "ended"],
)
def test_a_newcomer_is_shown_what_changed_meanwhile_and_every_end(
    board: Board, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, loaded: list[Record], shown: list[int]
) -> None:
    """A bar that changes with each look had been shown as long as it went on."""
    monkeypatch.setattr(Board, "shared", Elsewhere(*loaded))
    record = board.show(at(1), "newcomer")
    assert {to for to, _, _ in recorder.sent} == {"newcomer"}
    events = recorder.events()
    assert [data["current"] for event, data in events if event == "init"] == shown
    assert ("done" in [event for event, _ in events]) == (shown[-1] == 100)
    assert record.state.current >= shown[-1]


def test_a_bar_that_another_process_has_is_not_kept_from_it_here(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Elsewhere()
    monkeypatch.setattr(Board, "shared", elsewhere)
    elsewhere.has_claims = False
    with pytest.raises(BarBusyError):
        board.claim(KEY, "one", make(board), has_job=True)
    elsewhere.has_claims = True
    board.claim(KEY, "other", make(board), has_job=True)


def test_bars_of_other_rooms_are_each_found_once(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other processes, and those that only this one knows, as while Redis is away."""
    rooms: list[Any] = ["mine", "a", "b", "c"]
    here, there = ([Record(KEY._replace(room=room), State()) for room in some] for some in (rooms[:3], rooms[2:]))
    for record in here:
        board._known.save(record)
    assert {record.room for record in board.elsewhere("/import", "rows", ["mine"])} == {"a", "b"}
    monkeypatch.setattr(Board, "shared", Elsewhere(*there))
    assert [record.room for record in board.elsewhere("/import", "rows", ["mine"])] == ["b", "c", "a"]
