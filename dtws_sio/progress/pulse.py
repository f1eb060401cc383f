"""The pulse of a process: looks after the bars that move."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from dtws_sio import runtime

if TYPE_CHECKING:
    from typing import Protocol

    class Beating(Protocol):
        """What is looked after; `dtws_sio.progress.course.Course`."""

        def beat(self) -> None: ...


logger = logging.getLogger("dtws_sio.progress")

BEAT_SECONDS: Final = 0.05
"""Seconds between two looks at what the bars of this process have not told yet."""


class Pulse:
    """Calls bars many times a second, so that what was held back is told also if their work stands still."""

    def __init__(self) -> None:
        self._bars: set[Beating] = set()
        self._lock = runtime.lock()
        self._process = 0

    def add(self, bar: Beating) -> None:
        """Look after a bar: call its `beat`. A forked process begins anew: the bars of its parent are driven there."""
        with self._lock:
            if self._process == os.getpid():
                self._bars.add(bar)
                return
            self._process, self._bars = os.getpid(), {bar}
        runtime.spawn(self._loop)

    def discard(self, bar: Beating) -> None:
        """Look after a bar no more."""
        with self._lock:
            self._bars.discard(bar)

    def _loop(self) -> None:
        while True:
            runtime.sleep(BEAT_SECONDS)
            with self._lock:
                if not self._bars:
                    self._process = 0
                    return
                bars = list(self._bars)
            for bar in bars:
                self._beat(bar)

    def _beat(self, bar: Beating) -> None:
        try:
            bar.beat()
        except Exception:
            logger.exception("%r could not be looked after", bar)
            self.discard(bar)
