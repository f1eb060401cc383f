"""Class-based namespaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import socketio

from dtws_sio.dispatch import methods_of, namespace_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dtws_sio.identity import Authenticator, HandshakeRequest
    from dtws_sio.server import Server


class Namespace(socketio.Namespace):  # type: ignore[misc]
    """
    All the handlers of one namespace in one class: a method `on_<event>` for each event.

        class Chat(Namespace):
            def on_connect(self, sid, environ, auth): ...
            def on_message(self, sid, text):
                self.emit("message", text, room="readers")

        sio.register_namespace(Chat("/chat"))

    One instance serves every client, so what belongs to a client is kept in its `session`, never on `self`. The methods
    `emit`, `enter_room`, `session` and the others are those of `sio` with this namespace filled in.

    Args:
        namespace: The path; spaces around it are taken away and a slash is put in front. None is "/".

    Raises:
        NamespacePathError: If the path is not a string or cannot stand in a packet.

    Source: rows D-20, D-24 and D-70 to D-75.
    """

    server: Server

    authenticators: ClassVar[Sequence[Authenticator] | None] = None
    """What recognises this namespace's clients, asked in turn; None for those of DTWS_SIO["AUTHENTICATORS"]."""

    may_enter_room: Callable[[HandshakeRequest, Any], bool] | None = None
    """
    Define it as a method `may_enter_room(self, request, room)` to decide who may be in which room.

    It is asked by `enter_room`, and again for each room of a client when its user's rights change, or when
    `sio.recheck` asks for it.
    """

    removed_from_room: Callable[[str, Any], object] | None = None
    """
    Define it as a method `removed_from_room(self, sid, room)` to tell a page that it was taken out of a room, as
    `may_enter_room` does not let it be there any more.
    """

    recheck: Callable[[str, HandshakeRequest], object] | None = None
    """
    Define it as a method `recheck(self, sid, request)` to look at a client whose user's rights may have changed.

    It raises `PermissionDeniedError` if the client may not stay.
    """

    after_connect: Callable[[str], None] | None = None
    """
    Define it as a method `after_connect(self, sid)` to be called for each client that `on_connect` let in.

    By then the client has been told that it is connected, and broadcasts reach it; its first event waits meanwhile.
    """

    tracks_presence: ClassVar[bool] = False
    """Whether it is kept track of who is in each room, and the rooms are told."""

    def __init__(self, namespace: str | None = None) -> None:
        super().__init__(namespace_path(namespace))

    def event_handlers(self) -> list[tuple[str, Callable[..., Any]]]:
        """
        Give what a client may call, by event; `register_namespace` asks once.

        A mixin that brings handlers of its own overrides it, rather than have methods `on_<event>` that a subclass
        would hide without a word.
        """
        return methods_of(self)

    def warn(self, sid: str, message: str) -> None:
        """Send one client the event `warning` with `{"message": message}`. Source: row D-47."""
        self.server.warn(sid, message, namespace=self.namespace)

    def request(self, sid: str) -> HandshakeRequest:
        """Give the request with which a client connected, with session and user as they are now; as `sio.request`."""
        return self.server.request(sid, namespace=self.namespace)

    def user(self, sid: str) -> Any:
        """Give a client's Django user as it is now; as `sio.user`."""
        return self.server.user(sid, namespace=self.namespace)

    def describe(self, sid: str) -> dict[str, Any]:
        """Give what others see of a client where presence is tracked; override it to show something else."""
        return self.server.describe(sid, namespace=self.namespace)

    def present(self, room: Any = None) -> list[dict[str, Any]]:
        """Give who is in a room, or in the whole namespace; as `sio.present`."""
        return self.server.present(room, namespace=self.namespace)

    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Any = None,
        ignore_queue: bool = False,
        *,
        on_commit: bool = False,
        volatile: bool = False,
    ) -> None:
        """Emit to clients of this namespace; as `Server.emit`."""
        self.server.emit(
            event,
            data,
            to=to,
            room=room,
            skip_sid=skip_sid,
            namespace=namespace or self.namespace,
            callback=callback,
            ignore_queue=ignore_queue,
            on_commit=on_commit,
            volatile=volatile,
        )
