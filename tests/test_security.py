"""The log of what was refused: one line a minute, whatever those who are refused do."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from dtws_sio.security import LONGEST_VALUE, MOST_LINES, OTHERS, SparingLog, shown
from tests.page import eventually

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "dtws_sio.security")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "dtws_sio.security"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://a.com", "'https://a.com'"),
        ("", "''"),
        ("a\r\nb\x1b[2J\x7f", r"'a\r\nb\x1b[2J\x7f'"),
        ("\u2028\u202e\x85", r"'\u2028\u202e\x85'"),
        ("a" * LONGEST_VALUE, repr("a" * LONGEST_VALUE)),
        ("a" * (LONGEST_VALUE + 1), repr("a" * LONGEST_VALUE) + "..."),
        ("\n" * 100_000, repr("\n" * LONGEST_VALUE) + "..."),
    ],
    ids=lambda value: value[:12],
)
def test_a_foreign_value_stays_one_piece_of_one_line(value: str, expected: str) -> None:
    assert shown(value) == expected
    assert expected.isprintable()


def test_a_line_is_written_at_once_and_again_only_as_a_count(lines: Callable[[], list[str]]) -> None:
    log = SparingLog(seconds=0.2)
    for _ in range(1000):
        log.write("refused 100% of a page")
    assert lines() == ["refused 100% of a page"]
    assert eventually(lambda: len(lines()) > 1)
    assert lines() == ["refused 100% of a page", "refused 100% of a page (999 more in the last 0.2 s)"]


def test_a_line_that_keeps_coming_is_told_once_a_minute_and_is_new_after_a_quiet_one(
    lines: Callable[[], list[str]],
) -> None:
    log = SparingLog(seconds=0.05)
    log.write("refused")
    log.write("refused")
    assert eventually(lambda: len(lines()) == 2)
    log.write("refused")  # in the minute that began with the count
    assert len(lines()) == 2
    assert eventually(lambda: len(lines()) == 3)
    assert lines()[2] == "refused (1 more in the last 0.05 s)"
    assert eventually(lambda: not log._untold)
    log.write("refused")
    assert lines()[3] == "refused"


def test_different_lines_are_bounded_too(lines: Callable[[], list[str]]) -> None:
    log = SparingLog(seconds=1)
    for number in range(10_000):
        log.write(f"refused {number}")
    assert lines() == [*(f"refused {number}" for number in range(MOST_LINES)), OTHERS]
    assert eventually(lambda: len(lines()) > MOST_LINES + 1)
    assert lines()[-1] == f"{OTHERS} ({10_000 - MOST_LINES - 1} more in the last 1 s)"


def test_no_refusal_is_lost_between_threads(lines: Callable[[], list[str]]) -> None:
    log = SparingLog(seconds=0.3)
    threads = [threading.Thread(target=lambda: [log.write("refused") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert eventually(lambda: lines()[1:] == ["refused (1999 more in the last 0.3 s)"])


def test_the_record_carries_what_is_given_besides(caplog: pytest.LogCaptureFixture) -> None:
    SparingLog(logging.getLogger("elsewhere"), logging.ERROR, seconds=0.01).write("refused", status_code=400)
    (record,) = (each for each in caplog.records if each.name == "elsewhere")
    found: Any = record
    assert (found.levelno, found.status_code) == (logging.ERROR, 400)
