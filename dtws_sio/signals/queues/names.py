"""Which queue a call goes through: a name, or something that works one out for each call."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from dtws_sio import conf
from dtws_sio.exceptions import QueueError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT: Final = "default"
"""The queue of functions for which none is named. It is always there."""

QueueName = str | Callable[[Any, "Mapping[str, Any]"], str] | None
"""What `@signal(queue=...)` takes: a name, a function of the window and the arguments that gives one, or None."""


@dataclass(frozen=True)
class RandomQueue:
    """
    One of several queues, each time another, as `@signal(queue=RandomQueue("slow-", 3))`.

    Attributes:
        prefix: What the names begin with; a number from 0 follows.
        size: How many there are.
    """

    prefix: str
    size: int

    @property
    def names(self) -> list[str]:
        """All names that it may give, for the system check."""
        return [f"{self.prefix}{number}" for number in range(self.size)]

    def __call__(self, window: Any, kwargs: Mapping[str, Any]) -> str:
        """Choose a queue."""
        return random.choice(self.names)  # noqa: S311  nothing depends on it


def queue_name(queue: QueueName, window: Any, kwargs: Mapping[str, Any]) -> str:
    """
    Work out the name of the queue for one call; done once, where it is triggered.

    Args:
        queue: What `@signal(queue=...)` was given.
        window: The window that the call is about, as the function will get it.
        kwargs: The arguments.

    Raises:
        QueueError: If there is no such queue.

    Source: row S-05.
    """
    name = DEFAULT if queue is None else queue if isinstance(queue, str) else queue(window, kwargs)
    check_name(name)
    return name


def check_name(name: object) -> None:
    """Raise QueueError if there is no queue of this name."""
    known = conf.settings().queues
    if not isinstance(name, str) or name not in known:
        raise QueueError(
            f"there is no queue {name!r}; the queues in DTWS_SIO['QUEUES'] are {', '.join(map(repr, sorted(known)))}"
        )


def possible_names(queue: QueueName) -> list[str]:
    """Give the names that `queue_name` may give, as far as one can tell; a function may have an attribute `names`."""
    if queue is None:
        return [DEFAULT]
    return [queue] if isinstance(queue, str) else list(cast("Iterable[str]", getattr(queue, "names", ())))
