"""Who is told of an Engine.IO server's sessions: the Socket.IO layer, or the handlers of one used alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import engineio

    from dtws_sio.pool import Mailbox, Pool


class Receiver(Protocol):
    """Who is told of sessions. `received` and `closed` are called in the hub, where nothing may wait."""

    def opened(self, sid: str, environ: dict[str, Any]) -> object:
        """A session begins; False, or a `Refusal`, refuses it. Called in the request's greenlet, which may wait."""

    def received(self, sid: str, data: str | bytes) -> None:
        """A message came."""

    def closed(self, sid: str, reason: str) -> None:
        """A session has ended."""


class Handlers:
    """The handlers that `Server.on` registered: those of a session's messages run in order, on the pool."""

    def __init__(self, server: engineio.Server, pool: Pool) -> None:
        self._server = server
        self._pool = pool
        self._mailboxes: dict[str, Mailbox] = {}

    def opened(self, sid: str, environ: dict[str, Any]) -> bool:
        self._mailboxes[sid] = self._pool.mailbox()
        answer = self._server._trigger_event("connect", sid, environ, run_async=False)
        if answer is None or answer is True:
            return True
        self._mailboxes.pop(sid, None)
        return False

    def received(self, sid: str, data: str | bytes) -> None:
        self._run(self._mailboxes[sid], "message", sid, data)

    def closed(self, sid: str, reason: str) -> None:
        mailbox = self._mailboxes.pop(sid, None)
        if mailbox is not None:
            self._run(mailbox, "disconnect", sid, reason)

    def _run(self, mailbox: Mailbox, event: str, *arguments: Any) -> None:
        mailbox.put(partial(self._server._trigger_event, event, *arguments, run_async=False))
