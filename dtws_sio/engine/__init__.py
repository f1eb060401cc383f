"""Engine.IO, the transport below Socket.IO: sessions over HTTP long-polling and WebSocket."""

from __future__ import annotations

from dtws_sio.engine.server import Server

__all__ = ["Server"]
