"""
`ProgressBarMixin`: a namespace with progress bars, and `bar`, which opens one from any code.

Source: rows P-01 to P-13 and D-70 to D-75; the other end is static/src/progress.js.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

import socketio

from dtws_sio import topics
from dtws_sio.client import WATCHERS
from dtws_sio.dispatch import concurrent, namespace_path
from dtws_sio.exceptions import (
    InvalidInstanceError,
    PermissionDeniedError,
    ProgressError,
    ProgressTypeError,
    UnknownBarError,
    ValidationError,
)
from dtws_sio.identity import user_key_of
from dtws_sio.progress.bars import Bar
from dtws_sio.progress.board import Board, board_of
from dtws_sio.progress.records import Key, Record, watchers_of
from dtws_sio.progress.state import Number, State, refused_events
from dtws_sio.server import Server, sio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self

    from dtws_sio.identity import HandshakeRequest
    from dtws_sio.namespaces import Namespace as _Namespace
else:
    _Namespace = object

T = TypeVar("T")

NOT_YOURS: Final = "You may not see this."
"""What a page is told of a bar that it may not watch."""

LONGEST_NAME: Final = 200
"""Characters of a bar's name."""

DEFAULT_MAX: Final = 100
"""Where a namespace's own bar is done that was given no `max`, and is ticked by hand. Source: row P-01."""


def bar(
    name: str | None = None,
    namespace: str = "/",
    *,
    room: Any = None,
    owner: Any = None,
    min: Number = 0,
    max: Number | None = None,
    indeterminate: bool = False,
    label: str = "",
) -> Bar:
    """
    Open a progress bar from a view, a command, a thread or a task; nothing is shown before it begins.

    Args:
        name: The bar's name; None is the namespace's own bar, which everybody there sees.
        namespace: The path of the namespace whose pages show it.
        room: Who sees it: a sid, a user or any other model instance that is watched, or a room. None is everybody in
            the namespace. Each room has bars of its own, also of the same name.
        owner: The user who alone may cancel it; that of `room` if it is a user.
        min: Where it begins.
        max: Where it is done. None: `track` finds it out, and until then it is indeterminate.
        indeterminate: Whether nobody knows where it ends.
        label: The text beside it.

    Raises:
        ProgressTypeError, ProgressRangeError: If a name, a room or a bound cannot be one.
        RoomNameError: If the room has a name that only topics have.
        TopicError: If the room or the owner is an anonymous user or an unsaved object.
    """
    return make_bar(
        sio, name, namespace, room=room, owner=owner, min=min, max=max, indeterminate=indeterminate, label=label
    )


def make_bar(
    server: Server,
    name: str | None,
    namespace: str,
    *,
    room: Any,
    owner: Any,
    min: Number,
    max: Number | None,
    indeterminate: bool,
    label: str,
) -> Bar:
    """Open a bar of a server; as `bar`."""
    key = Key(namespace_path(namespace), _check_name(name), _check_room(room))
    is_given = max is not None
    state = State.of(
        min,
        max if is_given else min,
        indeterminate=indeterminate or not is_given,
        label=str(label),
        has_range=is_given,
    )
    user = topics.topic(owner) if owner is not None else key.room
    return Bar(lambda: board_of(server), key, state, owner=_user_key(user))


def _check_name(name: object) -> str | None:
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= LONGEST_NAME):
        raise ProgressTypeError(
            f"a bar's name is a string of 1 to {LONGEST_NAME} characters, or None for the namespace's own, not {name!r}"
        )
    return name


def _check_room(room: Any) -> str | None:
    if room is None:
        return None
    name = topics.room(room)
    if not isinstance(name, str):
        raise ProgressTypeError(f"a bar's room is a string or a model instance, not {room!r}")
    topics.check_room(name)
    return name


def _user_key(topic: str | None) -> str | None:
    return topic.key if isinstance(topic, topics.Topic) and topics.is_user_topic(topic) else None


class ProgressBarMixin(_Namespace):
    """
    A namespace that shows how far work has come.

        class Import(ProgressBarMixin, Namespace):
            def on_start(self, sid, path):
                self.start(self.read, path)

            def read(self, path):
                for row in self.track(rows_of(path), label="Reading"):
                    ...

        sio.register_namespace(Import("/import"))

    It is itself a bar, which everybody in the namespace sees; `bar` opens others. A client that joins is shown where
    the namespace's own bar stands, alone. Besides the `on_<event>` of the subclass, clients may send `watch`,
    `unwatch` and `cancel`. A handler `on_start` does not wait behind its client's other events, and nobody can start
    the bar again while it, or what it started, runs: that is answered with the code "busy".

    Args:
        namespace: The path.
        min: Where the bar begins.
        max: Where it is done; equal bounds make it indeterminate. None: `track` finds it out, or makes the bar
            indeterminate; for whoever ticks by hand it is `DEFAULT_MAX`.
        indeterminate: Whether nobody knows where it ends.
        label: The text beside it.

    Raises:
        ProgressTypeError, ProgressRangeError: If a bound is no number, or `max` is less than `min`.
        InvalidInstanceError: If the class is no `Namespace`.

    Source: rows P-01 to P-13 and D-70 to D-75.
    """

    def __init__(
        self,
        namespace: str | None = None,
        *,
        min: Number = 0,
        max: Number | None = None,
        indeterminate: bool = False,
        label: str = "",
    ) -> None:
        if not isinstance(self, socketio.Namespace):
            name = type(self).__name__
            raise InvalidInstanceError(f"{name} is no namespace; write class {name}(ProgressBarMixin, Namespace)")
        super().__init__(namespace)
        state = State.of(
            min,
            DEFAULT_MAX if max is None else max,
            indeterminate=indeterminate,
            label=str(label),
            has_range=max is not None,
        )
        self._bar = Bar(self._board, Key(self.namespace, None, None), state)

    def _board(self) -> Board:
        if self.server is None:
            raise ProgressError(
                f"{type(self).__name__} is not registered yet; call sio.register_namespace with it first"
            )
        return board_of(self.server)

    # Other bars

    def bar(
        self,
        name: str,
        *,
        room: Any = None,
        owner: Any = None,
        min: Number = 0,
        max: Number | None = None,
        indeterminate: bool = False,
        label: str = "",
    ) -> Bar:
        """Open another bar of this namespace; as `dtws_sio.progress.bar`."""
        return make_bar(
            self._board().server,
            name,
            self.namespace,
            room=room,
            owner=owner,
            min=min,
            max=max,
            indeterminate=indeterminate,
            label=label,
        )

    # Who may do what

    def may_watch(self, sid: str, bar: Record) -> bool:
        """
        Tell whether a client may see a bar; override it to let others in.

        By default that is whoever is in the bar's room, and everybody if it has none.

        Args:
            sid: The client.
            bar: What it asks for; has `name`, `room`, `owner` and `state`.
        """
        return bar.room is None or bar.room in self.rooms(sid)

    def may_cancel(self, sid: str, bar: Record) -> bool:
        """
        Tell whether a client may cancel a bar that it may see; override it to let others.

        By default that is the bar's owner; if it has none, whoever is in its room. A bar that everybody sees, such as
        the namespace's own, nobody may cancel.

        Args:
            sid: The client.
            bar: What it wants to cancel; has `name`, `room`, `owner` and `state`.
        """
        if bar.owner is None:
            return bar.room is not None and bar.room in self.rooms(sid)
        user = self.user(sid)
        return bool(user.is_authenticated) and user_key_of(user) == bar.owner

    # What clients may send

    def event_handlers(self) -> list[tuple[str, Callable[..., Any]]]:
        """Give the subclass's handlers, of which `start` holds the bar, and those of the bars."""
        handlers = [
            (event, self._starter(function) if event == "start" else function)
            for event, function in super().event_handlers()
        ]
        return [*handlers, ("watch", self._watch), ("unwatch", self._unwatch), ("cancel", self._cancel)]

    def _starter(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def start(*arguments: Any) -> Any:
            with self._bar.held():
                return function(*arguments)

        return concurrent(start)

    def after_connect(self, sid: str) -> None:
        """Show a newcomer where the namespace's own bar stands. Source: row P-04."""
        self._show(self._own_record(), sid)

    def recheck(self, sid: str, request: HandshakeRequest) -> None:
        """
        Ask `may_watch` again about the bars that a client watches in rooms that it is not in, as its rights changed.

        A `recheck` of your own has to call this one.
        """
        others = super().recheck
        if others is not None:
            others(sid, request)
        for room in self.rooms(sid):
            key = Key.watched_in(self.namespace, room)
            if key is not None and not self.may_watch(sid, self._board().load(key) or Record(key, State())):
                self._leave(sid, room)
                self._board().tell(key, refused_events(key.name, NOT_YOURS), to=sid)

    def _leave(self, sid: str, room: str) -> None:
        self.server.run_here(self.server.manager.leave_room, sid, self.namespace, room)

    def _own_record(self) -> Record:
        return self._board().load(self._bar.key) or self._bar.declared

    def _show(self, record: Record, sid: str) -> Record:
        return self._board().show(record, sid)

    @concurrent
    def _watch(self, sid: str, data: Any = None) -> dict[str, Any]:
        """Answer `watch {bar}`: show a bar to a client from now on."""
        record = self._find(sid, _named(data))
        if record.room is not None and record.room not in self.rooms(sid):
            # Not by `Server.enter_room`: it is `may_watch` that decides, not the rule for rooms that clients know of.
            self.server.run_here(self.server.manager.enter_room, sid, self.namespace, record.key.watchers)
        return {"ok": True, "state": self._show(record, sid).summary()}

    @concurrent
    def _unwatch(self, sid: str, data: Any = None) -> dict[str, Any]:
        """Answer `unwatch {bar}`: end what `watch` began; a client sees the bars of its own rooms still."""
        prefix = watchers_of(_named(data))
        for room in self.rooms(sid):
            if isinstance(room, str) and room.startswith(prefix):
                self._leave(sid, room)
        return {"ok": True}

    @concurrent
    def _cancel(self, sid: str, data: Any = None) -> dict[str, Any]:
        """Answer `cancel {bar}`: have the job stop that drives a bar."""
        record = self._find(sid, _named(data))
        if not self.may_cancel(sid, record):
            raise PermissionDeniedError("You may not cancel this.")
        self._board().cancel(record)
        return {"ok": True}

    def _find(self, sid: str, name: str | None) -> Record:
        """
        Give the bar that a client means: everybody's, or one of its rooms.

        Raises:
            UnknownBarError: If there is none.
            PermissionDeniedError: If there is one, and the client may not see it.
        """
        board = self._board()
        rooms = [room for room in self.rooms(sid) if isinstance(room, str) and not room.startswith(WATCHERS)]
        records = board.find(self.namespace, name, rooms) if name is not None else [self._own_record()]
        is_denied = False
        for record in records:
            if self.may_watch(sid, record):
                return record
            is_denied = True
        for record in board.elsewhere(self.namespace, name, rooms):
            is_denied = True
            if type(self).may_watch is ProgressBarMixin.may_watch:
                break  # it lets nobody in there
            if self.may_watch(sid, record):
                return board.load(record.key) or record
        raise PermissionDeniedError(NOT_YOURS) if is_denied else UnknownBarError

    # The namespace's own bar, which another process may drive

    def _state(self) -> State:
        is_here = self._bar.is_driven or getattr(self, "server", None) is None
        return self._bar.state if is_here else self._own_record().state

    @property
    def min(self) -> Number:
        """Where the bar begins."""
        return self._state().min

    @min.setter
    def min(self, value: Number) -> None:
        self._bar.min = value

    @property
    def max(self) -> Number:
        """Where the bar is done."""
        return self._state().max

    @max.setter
    def max(self, value: Number) -> None:
        self._bar.max = value

    @property
    def current(self) -> Number:
        """Where the bar is; assigning is `set`."""
        return self._state().current

    @current.setter
    def current(self, value: Number) -> None:
        self._bar.current = value

    @property
    def label(self) -> str:
        """The text beside the bar."""
        return self._state().label

    @property
    def indeterminate(self) -> bool:
        """Whether nobody knows where the bar ends."""
        return self._state().indeterminate

    @property
    def status(self) -> str:
        """Whether the bar is "idle", "running", "done", "failed" or "cancelled"."""
        return self._state().status

    @property
    def cancelled(self) -> bool:
        """Whether somebody wants the job to stop."""
        return self._bar.cancelled

    def is_done(self) -> bool:
        """Tell whether the bar has come to its end."""
        return self.status == "done"

    def tick(self, label: str | None = None, *, steps: Number = 1) -> None:
        """Move the bar forward; as `Bar.tick`."""
        self._bar.tick(label, steps=steps)

    def set(self, value: Number, label: str | None = None) -> None:
        """Put the bar somewhere; as `Bar.set`."""
        self._bar.set(value, label)

    def reset(self) -> None:
        """Put the bar back to how it was declared; as `Bar.reset`."""
        self._bar.reset()

    def finish(self, label: str | None = None) -> None:
        """Say that the work is done; as `Bar.finish`."""
        self._bar.finish(label)

    def fail(self, message: str) -> None:
        """Say that the work failed; as `Bar.fail`."""
        self._bar.fail(message)

    def check(self) -> None:
        """Raise `Cancelled` if somebody cancelled the bar; as `Bar.check`."""
        self._bar.check()

    def cancel(self) -> None:
        """Ask whoever drives the bar to stop; as `Bar.cancel`."""
        self._bar.cancel()

    def emit_init(self, to: str | None = None) -> None:
        """Show the bar anew; as `Bar.emit_init`."""
        self._bar.emit_init(to)

    def emit_update(self, label: str | None = None) -> None:
        """Tell where the bar is; as `Bar.emit_update`."""
        self._bar.emit_update(label)

    def emit_done(self) -> None:
        """Say that the work is done; as `Bar.emit_done`."""
        self._bar.emit_done()

    def track(
        self, things: Iterable[T], label: str | Callable[[T], str] | None = None, *, total: Number | None = None
    ) -> Iterator[T]:
        """Give things one by one and tick after each; as `Bar.track`."""
        return self._bar.track(things, label, total=total)

    def start(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run a function beside the caller as the bar's job; as `Bar.start`."""
        self._bar.start(target, *args, **kwargs)

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, traceback)


def _named(data: Any) -> str | None:
    """Give the name of the bar that a page means. Raises ValidationError if it sent something else."""
    name = data.get("bar") if isinstance(data, dict) else data
    if name is None or (isinstance(name, str) and 0 < len(name) <= LONGEST_NAME):
        return name
    raise ValidationError({"bar": [f"should be null, or a string of 1 to {LONGEST_NAME} characters"]})
