"""
Echo: the smallest thing that speaks both ways. The page is echo/static/echo/echo.js.

This file is imported at start-up because it is called sockets.py and "echo" is in INSTALLED_APPS.
"""

from __future__ import annotations

from typing import Any

from dtws_sio import EventError, Namespace, sio


class Echo(Namespace):
    def on_message(self, sid: str, data: Any) -> None:
        match data:
            case {"message": str(message)}:
                self.emit("new_message", {"message": message}, room=sid)
            case _:
                raise EventError('send {"message": "some text"}', code="invalid")

    def on_echo(self, sid: str, data: Any) -> Any:
        return data  # the return value is the acknowledgement: text, objects or bytes


sio.register_namespace(Echo("/echo"))
