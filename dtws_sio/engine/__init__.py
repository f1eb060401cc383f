"""
Engine.IO, the transport below Socket.IO: sessions over HTTP long-polling and WebSocket.

`Server` is this project's, on eventlet's hub; `StockServer` is python-engineio's, for gevent and threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtws_sio.engine.outgoing import Outgoing
from dtws_sio.engine.stock import StockServer

if TYPE_CHECKING:
    from dtws_sio.engine.server import Server

__all__ = ["Outgoing", "Server", "StockServer"]


def __getattr__(name: str) -> Any:
    if name == "Server":  # it needs eventlet, which is an extra
        from dtws_sio.engine.server import Server

        return Server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
