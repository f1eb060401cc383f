"""
What the tests of the wire rules ask of the server.

A client that joins brings `{"tag": ..., "do": ...}`: what happens to it is kept under the tag, and `do` says what its
connect handler does besides. `lives` tells another client what happened.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import socketio.exceptions

from dtws_sio import NO_ACK, EventError, Namespace, concurrent, sio

LIVES: defaultdict[str, list[str]] = defaultdict(list)
"""What happened to the clients of a tag, in order."""


class OnPurposeError(Exception):
    """The only error that these handlers raise."""


class Wired(Namespace):
    """The same for each namespace."""

    # Life

    def on_connect(self, sid: str, environ: dict[str, Any], auth: Any) -> Any:
        """Let the client in, or do what it asked for."""
        auth = auth or {}
        tag, do = auth.get("tag", ""), auth.get("do", "")
        self.save_session(sid, {"tag": tag})
        LIVES[tag].append("connecting")
        self.enter_room(sid, f"room {tag}")
        if "emit" in do:
            self.emit("hello", 1, to=sid)
            self.emit("hello", 2, to=sid)
        if "wait" in do:
            sio.sleep(auth["seconds"])
        if "raise" in do:
            raise OnPurposeError(tag)
        if "false" in do:
            return False
        if "refuse" in do:
            raise socketio.exceptions.ConnectionRefusedError("not you", {"why": "wire"})
        LIVES[tag].append("accepted")
        return None

    def on_disconnect(self, sid: str, reason: str) -> None:
        """Remember why the client went."""
        self._note(sid, f"disconnect: {reason}")

    def _note(self, sid: str, what: Any) -> None:
        LIVES[self.get_session(sid)["tag"]].append(str(what))

    # For witnesses

    def on_lives(self, sid: str, tag: str) -> list[str]:
        """Tell what happened to the clients of a tag."""
        return list(LIVES[tag])

    def on_members(self, sid: str, room: str) -> int:
        """Count the clients in a room."""
        return sum(1 for _ in sio.manager.get_participants(self.namespace, room))

    def on_broadcast(self, sid: str, event: str, room: str | None) -> str:
        """Emit to a room, or to everybody in the namespace."""
        self.emit(event, room=room)
        return "sent"

    # Acknowledgements

    def on_ask(self, sid: str, data: Any) -> Any:
        """Acknowledge with what came."""
        return data

    def on_several(self, sid: str) -> tuple[int, int]:
        """Acknowledge with two values."""
        return 1, 2

    def on_nothing(self, sid: str, *data: Any) -> None:
        """Acknowledge with no value, whatever came."""

    def on_silence(self, sid: str) -> Any:
        """Acknowledge nothing."""
        return NO_ACK

    def on_fail(self, sid: str) -> None:
        """Raise."""
        raise OnPurposeError("secret")

    def on_complain(self, sid: str) -> None:
        """Answer with an error of the handler's choice."""
        raise EventError("Too late", code="too_late")

    # Events

    def on_echo(self, sid: str, *data: Any) -> None:
        """Send the arguments back in an event."""
        self.emit("echo", data, to=sid)

    def on_mark(self, sid: str, what: Any, seconds: float = 0) -> Any:
        """Remember a mark, after a while, and acknowledge with it."""
        tag = self.get_session(sid)["tag"]
        sio.sleep(seconds)
        LIVES[tag].append(f"mark {what if not isinstance(what, bytes) else what.decode()}")
        return what

    @concurrent
    def on_overtake(self, sid: str, what: Any) -> Any:
        """Remember a mark at once, whatever else of the client is being handled."""
        self._note(sid, f"mark {what}")
        return what

    def on_question(self, sid: str) -> Any:
        """Ask the client itself, and acknowledge with what it answers."""
        return self.call("question", "how are you", to=sid, timeout=3)

    def on_flood(self, sid: str, count: int, seconds: float) -> None:
        """Send numbers, with a rest after each."""
        for number in range(count):
            self.emit("n", number, to=sid)
            sio.sleep(seconds)


for _path in ("/", "/chat"):
    sio.register_namespace(Wired(_path))
