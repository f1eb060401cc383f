"""What keeps the rolls up to date while the process serves, and tells the rooms who comes and goes."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from dtws_sio import runtime
from dtws_sio.exceptions import EmitError
from dtws_sio.presence.redis import RedisRolls
from dtws_sio.presence.rolls import Change, LocalRolls, Member, Rolls, Seat

if TYPE_CHECKING:
    from collections.abc import Callable

    from dtws_sio.conf import Settings

logger = logging.getLogger("dtws_sio.presence")


class Emit(Protocol):
    """As `sio.emit`."""

    def __call__(self, event: str, data: Any, *, namespace: str, room: str | None, skip_sid: str) -> object:
        """Send an event to a room, except for one client."""
        ...


def rolls_for(settings: Settings) -> Rolls:
    """
    Make the store of a process; one without a message queue knows its own clients only.

    Raises:
        MissingDependencyError: If there is a message queue and the package redis is not installed.
    """
    if settings.message_queue is None:
        return LocalRolls()
    return RedisRolls(settings.message_queue, channel=settings.message_channel)


class Presence:
    """
    Who is present where, told to those who are.

    `entered` and `left` are called when a client has entered or left a room, by its disconnect too. They may wait for
    Redis, so never in the hub; they do not fail because of it. When a member joins or leaves a room, the room is sent
    `presence_joined` or `presence_left` with `{"room": room, "who": info}`, except for the client that caused it.

    Args:
        rolls: Where it is kept.
        emit: Tells a room, as `sio.emit`.
        tells: Which rooms are told, by namespace and room. The others are kept all the same, such as those in which
            all clients of a user are found.
    """

    def __init__(self, rolls: Rolls, emit: Emit, tells: Callable[[str, str | None], bool]) -> None:
        self.rolls = rolls
        self._emit = emit
        self._tells = tells
        self._untold: deque[Change] = deque()
        self._run: object = None
        self._is_failing = False

    # Life of the process

    def start(self) -> None:
        """Keep up with the other processes from now on."""
        if self.rolls.interval is not None and self._run is None:
            self._run = object()
            runtime.spawn(self._loop, self._run, self.rolls.interval)

    def stop(self) -> None:
        """Keep up no more: whoever is still here leaves. It is over for good; `rolls` take nobody any more."""
        self._run = None
        for change in self.rolls.end():
            self._tell(change)

    def _loop(self, run: object, interval: float) -> None:
        while self._run is run:
            self.tick()
            runtime.sleep(interval)

    def tick(self) -> None:
        """Catch up once; whatever goes wrong is logged, once until it goes well again."""
        try:
            self._untold.extend(self.rolls.catch_up())
            while self._untold:
                self._tell(self._untold.popleft())
        except Exception:
            if not self._is_failing:
                logger.exception("presence could not be kept up; trying on")
            self._is_failing = True
        else:
            self._is_failing = False

    # Clients

    def entered(self, namespace: str, room: str | None, sid: str, member: Member) -> None:
        """Note that a client is in a room; the namespace itself if that is None."""
        for change in self.rolls.enter(Seat(namespace, room, sid), member):
            self._tell(change)

    def left(self, namespace: str, room: str | None, sid: str) -> None:
        """Note that a client has left a room; one that was not in it is no error."""
        for change in self.rolls.leave(Seat(namespace, room, sid)):
            self._tell(change)

    def present(self, namespace: str, room: str | None) -> list[dict[str, Any]]:
        """
        Give who is in a room, as others see them, in the order of their arrival.

        Raises:
            PresenceError: If Redis cannot be reached.
        """
        return [member.info for member in self.rolls.members(namespace, room)]

    def _tell(self, change: Change) -> None:
        namespace, room, sid = change.seat
        if not self._tells(namespace, room):
            return
        try:
            data = {"room": room, "who": change.member.info}
            self._emit(change.event, data, namespace=namespace, room=room, skip_sid=sid)
        except EmitError as error:
            logger.warning("%s of the room %r in %s was not told: %s", change.event, room, namespace, error)
