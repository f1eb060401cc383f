"""What tests of progress bars share: a server that only notes what is sent, and a page that does as it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtws_sio.progress import bars, course, display
from dtws_sio.progress.bars import Bar
from dtws_sio.progress.board import Board, board_of
from dtws_sio.progress.records import Key
from dtws_sio.progress.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.page import Page


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def set_clock(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Let all of a bar go by this clock."""
    for module in (bars, course, display):
        monkeypatch.setattr(module, "monotonic", clock)


class Recorder:
    """What a board needs of a server; what it emits is in `sent`."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, str, dict[str, Any]]] = []
        self.error: Exception | None = None

    def emit(self, event: str, data: dict[str, Any], *, to: Any, namespace: str) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((to, event, data))

    def is_here(self) -> bool:
        return True

    def run_here(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def names(self) -> list[str]:
        """Give the names of what was sent since the last look, without those that stand around others."""
        return [event for event, _ in self.events()]

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Give what was sent since the last look, likewise."""
        found = [(event, data) for _, event, data in self.sent if not event.startswith(("before_", "after_"))]
        self.sent.clear()
        return found


class NoPulse:
    """Nobody looks after bars, but the test itself."""

    def add(self, bar: Any) -> None: ...
    def discard(self, bar: Any) -> None: ...


def board_for(server: Any) -> Board:
    """Give the board of a recorder, whose bars beat only when the test says so."""
    board = board_of(server)
    board.pulse = NoPulse()  # type: ignore[assignment]
    return board


def make(board: Board, name: str | None = "rows", *, room: str | None = None, **state: Any) -> Bar:
    """Make a bar of a board."""
    return Bar(lambda: board, Key("/import", name, room), State.of(**state))


class Mirror:
    """What a page shows of a bar that does as it is told, as static/src/progress.js does."""

    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def take(self, event: str, data: dict[str, Any]) -> None:
        """Do as an event tells."""
        if event != "init" and not self.shown:
            return  # it came just now, and is shown the bar next
        if event == "init":
            self.shown = {**data, "status": "open", "message": ""}
        elif event == "update":
            self.shown |= {"current": data["current"], "label": data.get("label", self.shown["label"])}
        elif event == "done":
            assert self.shown["status"] == "open", "it was done twice"
            self.shown |= {"status": "done", "current": data["current"], "label": data["label"]}
        elif event == "failed":
            assert self.shown["status"] == "open"
            self.shown |= {"status": "failed", "message": data["message"]}
        elif event == "cancelled":
            assert self.shown["status"] == "open"
            self.shown |= {"status": "cancelled"}


def events_of(page: Page, until: str) -> list[tuple[str, dict[str, Any]]]:
    """Give the events that a page gets, up to the first of a name."""
    found: list[tuple[str, dict[str, Any]]] = []
    while not found or found[-1][0] != until:
        packet = page.next()
        assert packet.id is None, packet
        found.append((packet.data[0], packet.data[1]))
    return found


def names_of(page: Page, until: str) -> list[str]:
    """Give the names of the events that a page gets, up to the first of a name."""
    return [event for event, _ in events_of(page, until)]
