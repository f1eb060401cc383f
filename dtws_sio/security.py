"""
The log of what was refused: who, and why, in one line on `dtws_sio.security`.

Whoever is refused chooses what there is to tell, and how often. So foreign values are shown as `shown` gives them, and
no line is written more than once a minute.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Final

from dtws_sio import runtime

logger = logging.getLogger("dtws_sio.security")

LONGEST_VALUE: Final = 200
"""Characters of a foreign value that are shown."""

MOST_LINES: Final = 100
"""Different lines of one log in a minute; those beyond are counted together."""

OTHERS: Final = f"refused others too, for more reasons than the {MOST_LINES} that are told one by one"


def shown(value: str) -> str:
    """Show a value that came from outside: quoted, control characters escaped, and cut to LONGEST_VALUE."""
    return repr(value) if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]!r}..."


class SparingLog:
    """
    Writes a line when it is new, and how often it came again once a minute, for as long as it comes.

    Args:
        log: Where lines go.
        level: Their level.
        seconds: What counts as a minute.
    """

    def __init__(self, log: logging.Logger = logger, level: int = logging.WARNING, *, seconds: float = 60) -> None:
        self._log = log
        self._level = level
        self._seconds = seconds
        self._untold: dict[str, int] = {}
        self._lock = runtime.lock()

    def write(self, line: str, **extra: Any) -> None:
        """
        Write a line, or count it.

        Args:
            line: What happened, as it stands in the log.
            extra: Attributes of the record.
        """
        with self._lock:
            is_idle = not self._untold
            if line not in self._untold and len(self._untold) >= MOST_LINES:
                line, extra = OTHERS, {}
            is_new = line not in self._untold
            self._untold[line] = 0 if is_new else self._untold[line] + 1
        if is_idle:
            self._tell_later()
        if is_new:
            self._log.log(self._level, "%s", line, extra=extra)

    def _tell_later(self) -> None:
        runtime.call_later(self._seconds, partial(runtime.spawn, self._tell))  # a handler of the log may wait

    def _tell(self) -> None:
        with self._lock:
            repeated = {line: count for line, count in self._untold.items() if count}
            self._untold = dict.fromkeys(repeated, 0)
        if repeated:
            self._tell_later()
        for line, count in repeated.items():
            self._log.log(self._level, "%s (%d more in the last %g s)", line, count, self._seconds)
