"""What happens when a client does not take what is sent to it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from eventlet import greenthread, hubs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dtws_sio.engine.outgoing import Outgoing
    from dtws_sio.engine.session import Session

logger = logging.getLogger("dtws_sio.engine")

POLICIES: Final = ("close", "drop-oldest", "keep-newest")
"""Close the client; drop its oldest messages; or drop older messages of the same key first, then the oldest."""


BACKLOG_FULL: Final = "backlog_full"
"""Name under which it is counted that a client is closed, as more waits for it than MAX_BACKLOG allows."""

SLACK: Final = 8
"""The part of the limit by which more than the excess is dropped."""


class Backlog:
    """
    The bound on what waits for one client, and the policy when it is reached.

    Only messages with a key may be dropped; acknowledgements and what opens and closes namespaces never are. A client
    for whom too much of that waits is closed, whatever the policy: it could have any amount kept by asking for it.

    Args:
        limit: Bytes that may wait for one client. A single message larger than it is allowed if nothing else waits.
        policy: One of `POLICIES`.
        refused: Called with BACKLOG_FULL for each client that is closed; it may be in the hub.
    """

    def __init__(self, limit: int, policy: str = "close", refused: Callable[[str], object] = lambda name: None) -> None:
        if policy not in POLICIES:
            raise ValueError(f"the backlog policy {policy!r} is none of {', '.join(POLICIES)}")
        self.limit = limit
        self.policy = policy
        self._refused = refused
        self.discarded = 0
        self._closing: set[str] = set()

    def admits(self, session: Session, outgoing: Outgoing, unsent: int) -> bool:
        """
        Decide about packets for a client that is behind; False if they are not to be sent.

        Args:
            session: The client.
            outgoing: What comes on top.
            unsent: Bytes that its connection could not take yet.
        """
        excess = unsent + session.waiting + outgoing.size - self.limit
        if excess <= 0 or not session.outbox:
            return True
        if self.policy == "close":
            self._close(session, excess + self.limit)
            return False
        if self.policy == "keep-newest" and outgoing.key is not None:
            excess -= self._discard(session, [old for old in session.outbox if old.key == outgoing.key])
        if excess > 0:
            # More than is needed: walking through a long outbox for each small message would hold everybody up.
            excess -= self._discard(session, _oldest(session.outbox, excess + self.limit // SLACK))
        if excess <= 0 or not session.outbox:
            return True
        if outgoing.key is None:
            self._close(session, excess + self.limit)
        else:
            self._tell(session, [outgoing])
        return False

    def _close(self, session: Session, size: int) -> None:
        if session.sid in self._closing:
            return
        self._closing.add(session.sid)
        self._refused(BACKLOG_FULL)
        _log("closed %s: %d bytes wait for it, and %d may (setting MAX_BACKLOG)", session.sid, size, self.limit)
        # Not now: whoever emits is walking through the clients of a room.
        hubs.get_hub().schedule_call_global(0, self._end, session)

    def _end(self, session: Session) -> None:
        self._closing.discard(session.sid)
        session.close("transport error")

    def _discard(self, session: Session, unwanted: list[Outgoing]) -> int:
        if not unwanted:
            return 0
        freed = sum(outgoing.size for outgoing in unwanted)
        gone = set(map(id, unwanted))
        session.outbox = [outgoing for outgoing in session.outbox if id(outgoing) not in gone]
        session.waiting -= freed
        self._tell(session, unwanted)
        return freed

    def _tell(self, session: Session, unwanted: list[Outgoing]) -> None:
        """Count what is discarded, and log it in one line for each kind of message."""
        self.discarded += len(unwanted)
        sizes: dict[Any, list[int]] = {}
        for outgoing in unwanted:
            sizes.setdefault(outgoing.key, []).append(outgoing.size)
        for key, each in sizes.items():
            _log("discarded %d of %s, %d bytes, for %s, which is behind", len(each), key, sum(each), session.sid)


def _oldest(outbox: Iterable[Outgoing], excess: int) -> list[Outgoing]:
    found = []
    for outgoing in outbox:
        if excess <= 0:
            break
        if outgoing.key is not None:
            found.append(outgoing)
            excess -= outgoing.size
    return found


def _log(message: str, *arguments: object) -> None:
    """Warn on a greenlet of its own: this may be the hub."""
    greenthread.spawn_n(logger.warning, message, *arguments)
