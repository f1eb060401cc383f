"""Handlers as careless as a project may have them."""

from __future__ import annotations

from typing import Any

from dtws_sio import EventError, Namespace, sio

LIVES: list[str] = []
"""What the life events were, in order, of clients that brought a tag."""


class Target(Namespace):
    """The same for each namespace."""

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> None:
        """Let everybody in."""
        tag = (auth or {}).get("tag")
        if tag:
            self.save_session(sid, {"tag": tag})
            LIVES.append(f"connect {tag}")

    def on_disconnect(self, sid: str, reason: str) -> None:
        """Note who goes."""
        tag = self.get_session(sid).get("tag")
        if tag:
            LIVES.append(f"disconnect {tag}")

    def on_lives(self, sid: str, tag: str) -> list[str]:
        """Tell the life of the clients of a tag."""
        return [each for each in LIVES if each.endswith(tag)]

    def on_echo(self, sid: str, value: Any) -> Any:
        """Acknowledge with what came."""
        return value

    def on_join(self, sid: str, room: str) -> str:
        """Enter whichever room the client names, if that is possible."""
        try:
            self.enter_room(sid, room)
        except (TypeError, ValueError) as error:
            raise EventError("No such room", code="no_room") from error
        return "joined"

    def on_whisper(self, sid: str, text: str) -> None:
        """Say something that only the client itself is to hear."""
        self.emit("whisper", text, to=sid)

    def on_ask(self, sid: str) -> None:
        """Ask the client something that it has to acknowledge."""
        self.emit("question", to=sid, callback=lambda *answer: self.emit("answered", answer, to=sid))

    def on_swell(self, sid: str, kilobytes: int) -> None:
        """Send the client much."""
        for _ in range(kilobytes):
            self.emit("swell", "x" * 1000, to=sid)


for _path in ("/", "/chat", *(f"/room{number}" for number in range(10))):
    sio.register_namespace(Target(_path))
