"""What this process knows of bars: where each stands, and who drives it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dtws_sio import runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.progress.records import Key, Record

CLAIM_SECONDS: Final = 30.0
"""Seconds after which a driver that was not heard of counts as gone."""

MOST: Final = 10_000
"""Bars that are kept when nobody drives them; the oldest are forgotten first."""


@dataclass(slots=True)
class _Claim:
    driver: str
    expires: float | None


class ProcessStore:
    """
    The bars of one process.

    Args:
        expiry: Gives the seconds for which a bar is kept that no job drives.
        clock: Gives the time in seconds.
    """

    def __init__(self, expiry: Callable[[], float], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._expiry = expiry
        self._clock = clock
        self._lock = runtime.lock()
        self._claims: dict[Key, _Claim] = {}
        self._records: dict[Key, tuple[Record, float]] = {}

    def __len__(self) -> int:
        """How many bars are known."""
        return len(self._records)

    def claim(self, key: Key, driver: str, *, has_job: bool) -> bool:
        """Let a driver have a bar, unless another one has it; with a job for as long as it lasts."""
        with self._lock:
            now = self._clock()
            claim = self._claims.get(key)
            if claim is not None and claim.driver != driver and (claim.expires is None or claim.expires > now):
                return False
            self._claims[key] = _Claim(driver, None if has_job else now + CLAIM_SECONDS)
            return True

    def release(self, key: Key, driver: str) -> None:
        """Let others have a bar; one that this driver does not have is left alone."""
        with self._lock:
            claim = self._claims.get(key)
            if claim is not None and claim.driver == driver:
                del self._claims[key]

    def save(self, record: Record) -> None:
        """Keep where a bar stands; the others' time runs on."""
        with self._lock:
            now = self._clock()
            self._records.pop(record.key, None)
            self._records[record.key] = record, now + self._expiry()
            self._tidy(now)

    def forget(self, key: Key) -> None:
        """Forget where a bar stands."""
        with self._lock:
            self._records.pop(key, None)

    def _tidy(self, now: float) -> None:
        """Forget what has expired, which is among the oldest, and what is too much."""
        gone: list[Key] = []
        for key, (_, until) in self._records.items():
            if until > now and len(self._records) - len(gone) <= MOST:
                break
            if not self._is_driven(key):
                gone.append(key)
        for key in gone:
            del self._records[key]
        if len(self._claims) > MOST:
            self._claims = {key: claim for key, claim in self._claims.items() if (claim.expires or now) >= now}

    def _is_driven(self, key: Key) -> bool:
        claim = self._claims.get(key)
        return claim is not None and claim.expires is None

    def load(self, key: Key) -> Record | None:
        """Give where a bar stands, if that is known still."""
        with self._lock:
            found = self._records.get(key)
            if found is None or (found[1] <= self._clock() and not self._is_driven(key)):
                return None
            return found[0]

    def rooms(self, namespace: str, name: str | None) -> list[Key]:
        """Name all bars of a name, in whichever room."""
        with self._lock:
            return [key for key in self._records if key[:2] == (namespace, name)]
