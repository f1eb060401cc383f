"""
Pings: who does not answer in time is closed.

All pings, and all deadlines for their answers, are the same time away, so two queues and one timer serve all sessions,
whichever transport carries them. Source: Engine.IO protocol 4, "Heartbeat"; wire rules H1 to H3.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from dtws_sio.deadlines import Deadlines
from dtws_sio.engine.outgoing import PING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dtws_sio.engine.session import Session


class Heartbeat:
    """
    The pings of all sessions of a server.

    Args:
        sessions: Those that are open, by name.
        interval: Seconds from one answer to the next ping.
        timeout: Seconds that a client has to answer.
        reason: For which a session that does not is closed.
    """

    def __init__(self, sessions: Mapping[str, Session], *, interval: float, timeout: float, reason: str) -> None:
        self._sessions = sessions
        self._timeout = timeout
        self._reason = reason
        self._pings: Deadlines[str] = Deadlines(interval, self._ping)
        self._pongs: Deadlines[str] = Deadlines(timeout, self._look)

    def begin(self, session: Session) -> None:
        """Ping a session one interval from now."""
        self._pings.add(session.sid)

    def _ping(self, sid: str, when: float) -> None:
        session = self._sessions.get(sid)
        if session is not None:
            session.pong_due = when + self._timeout
            session.send(PING)
            self._pongs.add(sid, since=when)

    def answered(self, session: Session) -> None:
        """Note that a client lives; the next ping is sent one interval from now."""
        if session.pong_due is not None:
            session.pong_due = None
            self._pings.add(session.sid)

    def resumed(self, session: Session) -> None:
        """Give a client that was not read all its time again: its answer may have arrived meanwhile."""
        if session.pong_due is not None:
            session.pong_due = monotonic() + self._timeout
            self._pongs.add(session.sid)

    def check(self, session: Session) -> None:
        """Close a session whose time has run out; the timer may be late, and no client is to be told so."""
        if session.pong_due is not None and session.pong_due <= monotonic():
            self._look(session.sid, session.pong_due)

    def _look(self, sid: str, when: float) -> None:
        session = self._sessions.get(sid)
        if session is None or session.pong_due is None or session.pong_due > when:
            return
        if session.paused:  # we do not read, so the answer may be there
            session.pong_due = when + self._timeout
            self._pongs.add(sid, since=when)
        else:
            session.close(self._reason)
