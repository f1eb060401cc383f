"""Names of queues, and a way to spread calls over several."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from dtws_sio import conf
from dtws_sio.exceptions import QueueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT: Final = "default"
"""The queue of functions for which none is named. It is always there."""


@dataclass(frozen=True)
class RandomQueue:
    """
    One of several queues, each time another: `@signal(queue=RandomQueue("slow-", 3))`.

    Attributes:
        prefix: What the names begin with; a number from 0 follows.
        size: How many there are.

    Source: row S-05.
    """

    prefix: str
    size: int

    @property
    def names(self) -> list[str]:
        """All names that it may give, for the system check."""
        return [f"{self.prefix}{number}" for number in range(self.size)]

    def __call__(self, connection: Any, window: Any, kwargs: Mapping[str, Any]) -> str:
        """Choose a queue."""
        return random.choice(self.names)  # noqa: S311  nothing depends on it


def check_name(name: object) -> None:
    """Raise QueueError if there is no queue of this name."""
    known = conf.settings().queues
    if not isinstance(name, str) or name not in known:
        raise QueueError(
            f"there is no queue {name!r}; the queues in DTWS_SIO['QUEUES'] are {', '.join(map(repr, sorted(known)))}"
        )


def possible_names(queue: Any) -> list[str]:
    """Give the names that `@signal(queue=...)` may lead to; a function tells those by an attribute `names`, or none."""
    if queue is None:
        return [DEFAULT]
    return [queue] if isinstance(queue, str) else list(cast("Iterable[str]", getattr(queue, "names", ())))
