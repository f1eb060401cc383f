"""The Engine.IO server: python-engineio's, with what Socket.IO for Django needs besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import engineio
from engineio import packet

if TYPE_CHECKING:
    from collections.abc import Iterable


class Server(engineio.Server):  # type: ignore[misc]
    """
    An Engine.IO server.

    Args:
        compression: Whether a WebSocket may compress its messages; off, because it costs memory for each client and
            lets a small frame unpack to a large one (wire rule E13).
        options: As for `engineio.Server`.
    """

    class reason(engineio.Server.reason):  # type: ignore[misc]  # noqa: N801  upstream's name
        """Why a session ended."""

        CLIENT_DISCONNECT = "transport close"
        """The packet CLOSE is the end of the transport, not of a namespace (wire rule H3)."""

        PARSE_ERROR = "parse error"
        """The client broke a rule of the protocol."""

    _async: dict[str, Any]

    def __init__(self, *, compression: bool = False, **options: Any) -> None:
        super().__init__(**options)
        driver: dict[str, Any] = self._async
        if not compression and hasattr(driver["websocket"], "_negotiate_permessage_deflate"):
            self._async = {**driver, "websocket": _uncompressed(driver["websocket"])}

    def close(self, sid: str, reason: str) -> None:
        """End a session at once, whether or not the client still reads; nothing happens if it has ended."""
        socket = self.sockets.get(sid)
        if socket is not None:
            socket.close(wait=False, reason=reason)

    def send_packets(self, sid: str, packets: Iterable[packet.Packet]) -> None:
        """Send packets to a client; those for a session that has ended go nowhere."""
        socket = self.sockets.get(sid)
        if socket is None or socket.closed:
            return
        for each in packets:
            socket.send(each)


def _uncompressed(websocket: type) -> type:
    """Make a WebSocket class that offers no compression (eventlet/websocket.py:327 always does)."""
    return type("UncompressedWebSocket", (websocket,), {"_negotiate_permessage_deflate": lambda self, extensions: None})
