"""One client in one namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dtws_sio import identity, runtime
from dtws_sio.dispatch import Origin
from dtws_sio.topics import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dtws_sio.engine import Outgoing
    from dtws_sio.identity import HandshakeRequest, Identity
    from dtws_sio.pool import Load, Mailbox
    from dtws_sio.surroundings import Surroundings
    from dtws_sio.topics import Topic

WATCHERS: Final = f"{PREFIX}bar:"
"""What the rooms begin with about which `ProgressBarMixin.may_watch` decides, and no rule of the project."""


class Client:
    """
    One client in one namespace.

    Attributes:
        sid: Its name.
        eio_sid: The session that carries it.
        namespace: The path.
        environ: The WSGI environ of the handshake.
        accepted: Whether its connect handler let it in.
        left: The reason for which it went, or None while it is here.
        left_early: Whether it went before it was accepted; whoever lets it in then sees to the rest.
        is_gone: Whether its disconnect handler has begun; it is the last one that runs.
        is_revoked: Whether it is being closed, as it may not be here any more.
        mailbox: Its events that wait for their turn.
        load: What its connection has given us to do.
        rooms: Those it entered, besides its private one.
        topics: Those of them that it is in for who it is.
        looks: How often its rights were looked at again.
        session: What handlers keep for it.
        identity: How it was recognised; None for a stranger.
        surroundings: Its language and time zone, where they are not the project's.
    """

    __slots__ = (
        "_deliver",
        "_held",
        "_lock",
        "accepted",
        "eio_sid",
        "environ",
        "identity",
        "is_gone",
        "is_revoked",
        "left",
        "left_early",
        "load",
        "looks",
        "mailbox",
        "namespace",
        "rooms",
        "send",
        "session",
        "sid",
        "surroundings",
        "topics",
    )

    send: Callable[[Outgoing, bool], None]
    """
    Send it packets; the flag says whether they may be dropped if it is behind.

    What its own connect handler emits is held until it was told that it is connected (wire rule C1); one that has left
    gets nothing.
    """

    def __init__(
        self,
        sid: str,
        eio_sid: str,
        namespace: str,
        environ: dict[str, Any],
        mailbox: Mailbox,
        load: Load,
        deliver: Callable[[Outgoing, bool], None],
    ) -> None:
        self.sid = sid
        self.eio_sid = eio_sid
        self.namespace = namespace
        self.environ = environ
        self.mailbox = mailbox
        self.load = load
        self.accepted = False
        self.left: str | None = None
        self.left_early = False
        self.is_gone = False
        self.is_revoked = False
        self.rooms: set[Any] = set()
        self.topics: frozenset[Topic] = frozenset()
        self.looks = 0
        self.session: dict[str, Any] = {}
        self.identity: Identity | None = None
        self.surroundings: Surroundings | None = None
        self.send = self._hold
        self._deliver = deliver
        self._held: list[tuple[Outgoing, bool]] = []
        self._lock = runtime.lock()

    @property
    def is_here(self) -> bool:
        """Whether it was accepted and has not left."""
        return self.accepted and self.left is None

    @property
    def is_stranger(self) -> bool:
        """Whether it was not recognised as a user."""
        return self.identity is None or self.identity.user_key is None

    @property
    def ruled_rooms(self) -> set[Any]:
        """Those of its rooms about which the namespace's `may_enter_room` decides."""
        return {room for room in self.rooms - self.topics if not (isinstance(room, str) and room.startswith(WATCHERS))}

    def is_joining(self, namespace: str, rooms: Collection[Any]) -> bool:
        """Whether its connect handler still runs, and it will be in one of these rooms of the namespace."""
        if self.accepted or self.namespace != namespace:
            return False
        return None in rooms or not self.rooms.isdisjoint(rooms)

    def _hold(self, packets: Outgoing, volatile: bool) -> None:
        with self._lock:
            if not self.accepted:
                self._held.append((packets, volatile))
                return
        self.send(packets, volatile)

    def accept(self, welcome: Outgoing, flush: Callable[[], None]) -> None:
        """
        Tell it that it is connected, and then what was held; also if it is to be sent away at once.

        The welcome leaves by itself, as in the reference server: there are clients that wait for it, and only then
        begin to listen for what comes next.
        """
        with self._lock:
            self.accepted = True
            self._deliver(welcome, False)
            flush()
            for packets, volatile in self._held:
                self._deliver(packets, volatile)
            self._held.clear()
            if self.left is None:
                self.send = self._deliver

    def leave(self, reason: str) -> bool:
        """Note that it goes; False if it had gone before."""
        with self._lock:
            if self.left is not None:
                return False
            self.left = reason
            self.left_early = not self.accepted
            self.send = _nowhere
            return True

    def request(self) -> HandshakeRequest:
        """Give the request of its handshake, with session and user as they are now."""
        request = identity.request_of(self.sid, self.environ, self.identity)
        if request.looks is None:
            request.looks = self.looks
        return request

    def current_request(self) -> HandshakeRequest:
        """Give its request as `request` does, but none that an event has had since before its rights changed."""
        request = self.request()
        return request if request.looks == self.looks else identity.HandshakeRequest(self.environ, self.identity)

    def origin(self, event: str) -> Origin:
        """Say where an event of this client came from."""
        return Origin(event, self.namespace, self.sid, self.environ)

    def __str__(self) -> str:
        return f"{self.namespace} {self.sid} ({self.environ.get('REMOTE_ADDR') or 'local'})"


def _nowhere(packets: Outgoing, volatile: bool) -> None:
    """Drop what is sent to a client that has left."""
