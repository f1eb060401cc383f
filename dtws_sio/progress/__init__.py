"""
Progress bars: work shows how far it has come in every page that watches it.

Subclass a namespace with `ProgressBarMixin`, or open a bar from any code with `bar`. The page's side is
static/src/progress.js.
"""

from __future__ import annotations

from dtws_sio.exceptions import (
    BarBusyError,
    BarEndedError,
    Cancelled,
    NotRunningError,
    ProgressError,
    ProgressRangeError,
    ProgressTypeError,
    UnknownBarError,
)
from dtws_sio.progress.bars import Bar
from dtws_sio.progress.mixin import ProgressBarMixin, bar
from dtws_sio.progress.records import Record

__all__ = [
    "Bar",
    "BarBusyError",
    "BarEndedError",
    "Cancelled",
    "NotRunningError",
    "ProgressBarMixin",
    "ProgressError",
    "ProgressRangeError",
    "ProgressTypeError",
    "Record",
    "UnknownBarError",
    "bar",
]
