"""An Engine.IO session, as what carries clients: one in each namespace that it joined."""

from __future__ import annotations

import sys
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from dtws_sio.exceptions import OversizedPacketError, ProtocolError
from dtws_sio.packet import Packet

if TYPE_CHECKING:
    from dtws_sio.client import Client
    from dtws_sio.limits import Bucket, Lease
    from dtws_sio.pool import Load, Mailbox

_NO_BODY: Final = BytesIO()

_NO_LEASES: Final[dict[str, Lease]] = {}
"""Shared by all strangers, who are most."""

_NONE_TRIED: Final[frozenset[str]] = frozenset()


class Carrier:
    """
    An Engine.IO session, and whom it carries.

    Attributes:
        environ: The WSGI environ of its handshake, without the request's buffers.
        load: What it has given us to do.
        bucket: Bounds its events, if they are bounded.
        lease: Its place among the connections of its address.
        leases: Its places among those of its session and user.
        clients: Its clients that have not left, by namespace.
        tried: Namespaces that it has asked to join.
        unsettled: By namespace, where those wait who come again before they were let in.
        beside: Where its events wait that are handled beside others.
    """

    __slots__ = (
        "_incomplete",
        "_is_released",
        "beside",
        "bucket",
        "clients",
        "environ",
        "lease",
        "leases",
        "load",
        "tried",
        "unsettled",
    )

    def __init__(self, environ: dict[str, Any], load: Load, bucket: Bucket | None, lease: Lease) -> None:
        self.environ = _kept(environ)
        self.load = load
        self.bucket = bucket
        self.lease = lease
        self.leases: dict[str, Lease] = _NO_LEASES
        self.clients: dict[str, Client] = {}
        self.tried = _NONE_TRIED
        self.unsettled: dict[str, Mailbox] = {}
        self.beside: Mailbox | None = None
        self._incomplete: Packet | None = None
        self._is_released = False

    @property
    def address(self) -> str:
        """Where it comes from, for the log."""
        return str(self.environ.get("REMOTE_ADDR") or "local")

    @property
    def awaits_attachments(self) -> bool:
        """Whether what comes next is a part of a packet."""
        return self._incomplete is not None

    def tries(self, namespace: str) -> bool:
        """Note that it asks to join a namespace; True for the first time."""
        is_new = namespace not in self.tried
        self.tried = _with(self.tried, namespace)
        return is_new

    def completed(self, data: Any, most_bytes: int) -> Packet | None:
        """
        Give the packet that is complete with what arrived, or None while attachments are due.

        Raises:
            ProtocolError: If it is not what was due; its child OversizedPacketError if a packet and its attachments
                have more bytes than that.
        """
        awaited = self._incomplete
        if awaited is None:
            if type(data) is not str:
                raise ProtocolError("a binary frame where none is due, or a message that is no packet")
            packet = Packet(encoded_packet=data)
            if not packet.attachment_count:
                return packet
            self._incomplete = packet
            return None
        if not isinstance(data, bytes):
            raise ProtocolError("text where a binary attachment is due")
        is_complete = awaited.add_attachment(data)
        if awaited.size > most_bytes:
            raise OversizedPacketError(f"a packet and its attachments of more than {most_bytes} bytes together")
        if not is_complete:
            return None
        self._incomplete = None
        return awaited

    def hold(self, name: str, lease: Lease) -> None:
        """Keep a place among the connections of a session or a user, unless it has ended meanwhile."""
        self.leases = {**self.leases, name: lease}
        if self._is_released:
            self.release()

    def release(self) -> None:
        """Give back the places that it took; it has ended."""
        self._is_released = True
        for lease in (self.lease, *self.leases.values()):
            lease.release()


def _kept(environ: dict[str, Any]) -> dict[str, Any]:
    """Give what handlers may want of a handshake; the rest would keep the request's buffers alive with the client."""
    kept = {name: value for name, value in environ.items() if isinstance(value, str)}
    return {**kept, "wsgi.input": _NO_BODY, "wsgi.errors": sys.stderr}


@lru_cache(maxsize=1000)
def _with(names: frozenset[str], name: str) -> frozenset[str]:
    """Add a name; sessions that joined the same namespaces share one set."""
    return names | {name}
