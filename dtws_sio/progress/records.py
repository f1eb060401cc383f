"""What is kept of a progress bar, for those who come later or are served by another process."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from dtws_sio import json
from dtws_sio.client import WATCHERS
from dtws_sio.progress.state import UNKNOWN, Event, Speed, State, newcomer_events
from dtws_sio.topics import Topic, named

ORPHANED: Final = "The task ended without a word."
"""What is told of a bar whose process died."""


class Key(NamedTuple):
    """Names a bar: its namespace, its own name (None: the namespace's own bar), and whose it is (None: everybody's)."""

    namespace: str
    name: str | None
    room: str | None

    @property
    def watchers(self) -> Topic:
        """The room of those who watch it without being in its own."""
        return Topic(f"{watchers_of(self.name)}{quote(self.room or '', safe='')}")

    @classmethod
    def watched_in(cls, namespace: str, room: Any) -> Key | None:
        """Name the bar whose watchers are in a room; None if it is another kind of room."""
        if not isinstance(room, str) or not room.startswith(WATCHERS):
            return None
        name, _, of = room.removeprefix(WATCHERS).partition(":")
        return cls(namespace, unquote(name) or None, named(unquote(of)))

    @property
    def recipients(self) -> list[str] | None:
        """Whom its events are for; None is the whole namespace."""
        return None if self.room is None else [self.room, self.watchers]


def watchers_of(name: str | None) -> str:
    """Give what the rooms begin with in which clients watch bars of a name."""
    return f"{WATCHERS}{quote(name or '', safe='')}:"


@dataclass(frozen=True, slots=True)
class Record:
    """
    A bar as its pages see it.

    Attributes:
        key: Names it.
        state: Where it stands.
        speed: How fast it goes.
        owner: The primary key, as text, of the user whose it is, if it is a user's.
        driver: What names the one that drives it.
        has_job: Whether a job drives it, of which one hears until it ends.
        version: Another one each time that something was sent.
    """

    key: Key
    state: State
    speed: Speed = UNKNOWN
    owner: str | None = None
    driver: str = ""
    has_job: bool = False
    version: str = ""

    @property
    def name(self) -> str | None:
        """The bar's own name; None for the namespace's own bar."""
        return self.key.name

    @property
    def room(self) -> str | None:
        """Whose it is; None for everybody's."""
        return self.key.room

    @property
    def is_running(self) -> bool:
        """Whether there is something to cancel."""
        return not self.state.has_ended and (self.has_job or self.state.status == "running")

    def orphaned(self) -> Record:
        """Give it as it is told of when nobody drives it any more."""
        return replace(self, state=self.state.failed(ORPHANED), has_job=False, version=f"{self.version}!")

    def newcomer_events(self) -> list[Event]:
        """Give what shows it to whoever comes now."""
        return newcomer_events(self.name, self.state, self.speed)

    def summary(self) -> dict[str, Any]:
        """Give what a page is told of it."""
        state = self.state
        return {
            "bar": self.name,
            "status": state.status,
            "indeterminate": state.indeterminate,
            "min": state.min,
            "max": state.max,
            "current": state.current,
            "label": state.label,
            "message": state.message,
            "rate": self.speed.rate,
            "remaining": self.speed.remaining,
        }

    def dumps(self) -> str:
        """Give it as a store keeps it."""
        return json.dumps(
            {
                "key": list(self.key),
                "state": self.state.as_dict(),
                "speed": [self.speed.rate, self.speed.remaining],
                "owner": self.owner,
                "driver": self.driver,
                "has_job": self.has_job,
                "version": self.version,
            }
        )

    @classmethod
    def loads(cls, text: str | bytes) -> Record:
        """
        Give what `dumps` wrote, in this version or in one that keeps more.

        Raises:
            ValueError: If it was something else.
        """
        kept = json.loads(text)
        try:
            namespace, name, room = kept.pop("key")
            state, speed = State(**_known(State, kept.pop("state"))), Speed(*kept.pop("speed")[:2])
            return cls(Key(namespace, name, named(room)), state, speed, **_known(cls, kept))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"it is no record of a bar: {error!r}") from error


def _known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what this version does not know."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in values.items() if name in names}
