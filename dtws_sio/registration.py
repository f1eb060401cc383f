"""How handlers and namespaces are registered with a server, before and while it serves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import socketio

from dtws_sio import dispatch, permissions
from dtws_sio.dispatch import ANY, LIFE_EVENTS, HandlerTable, namespace_path
from dtws_sio.exceptions import (
    DuplicateNamespaceError,
    EventNameError,
    InvalidInstanceError,
    NotCallableError,
)

F = TypeVar("F", bound=Callable[..., Any])


class Registration(socketio.Server):  # type: ignore[misc]
    """The part of a server that takes registrations, and keeps them in its `table`."""

    table: HandlerTable

    def _begin_registration(self) -> None:
        """Take registrations; as `socketio.Server` cannot be initialised before it is known what it runs on."""
        self.table = HandlerTable()
        self._namespaces: dict[str, socketio.Namespace] = {}

    def on(self, event: str, handler: F | None = None, namespace: str | None = None) -> Any:
        """
        Register a handler for an event, as a decorator or by its second argument.

        Args:
            event: Any name; "connect", "disconnect", or "*" for those that have no handler.
            handler: The function; without it, a decorator is returned.
            namespace: The path, "/" by default; "*" for namespaces that nobody registered.

        Raises:
            RegistrationError: A child of it, for each of: a second handler for the same event, a thing that cannot be
                called, a coroutine function, a signature that cannot take the event, a name that is reserved.

        Source: rows D-22, D-60 to D-64.
        """

        if not isinstance(event, str):
            raise EventNameError(f"an event name is a string, not {event!r}; write @sio.on('name') or @sio.event")

        def register(function: F) -> F:
            self.table.add(event, function, namespace_path(namespace))
            return function

        return register if handler is None else register(handler)

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """
        Register a function for the event of its own name: `@sio.event` or `@sio.event(namespace="/chat")`.

        Raises:
            RegistrationError: As `on` does; also if the function has no name, as partials have none.
        """
        if len(args) == 1 and not kwargs and not isinstance(args[0], str):
            return self._register_by_name(args[0], None)
        return partial(self._register_by_name, namespace=self._event_namespace(*args, **kwargs))

    @staticmethod
    def _event_namespace(namespace: str | None = None) -> str | None:
        return namespace

    def _register_by_name(self, function: F, namespace: str | None) -> F:
        if not callable(function):
            raise NotCallableError(f"@sio.event was used on a thing that is not callable: {function!r}")
        name = getattr(function, "__name__", None)
        if name is None:
            raise EventNameError(f"{function!r} has no name; register it with @sio.on('its event')")
        self.on(name, function, namespace)
        return function

    def register_namespace(self, namespace_handler: socketio.Namespace) -> None:
        """
        Register a class-based namespace: each of its methods `on_<event>` becomes a handler.

        A class that overrides `trigger_event` gets every event through it instead.

        Raises:
            InvalidInstanceError: If it is not an instance of `Namespace`; of its class itself, for one.
            DuplicateNamespaceError: If the path already has one.

        Source: rows D-62, D-70 to D-75.
        """
        if not isinstance(namespace_handler, socketio.Namespace):
            raise InvalidInstanceError(
                f"expected an instance of dtws_sio.Namespace, got {namespace_handler!r}"
                + ("; call it: register_namespace(Chat('/chat'))" if isinstance(namespace_handler, type) else "")
            )
        path = namespace_path(namespace_handler.namespace)
        if path in self._namespaces:
            raise DuplicateNamespaceError(
                f"the path {path!r} already has a namespace, {type(self._namespaces[path]).__qualname__}"
            )
        self.table.open(path)
        self.table.set_terms(path, **_terms(namespace_handler))
        for event, method in _methods(namespace_handler):
            self.table.add(event, method, path)
        self._namespaces[path] = namespace_handler
        namespace_handler._set_server(self)

    def room_rule(self, function: F | None = None, *, namespace: str | None = None) -> Any:
        """
        Register what decides who may be in which room of a namespace, as a decorator.

        It is called with a client's request and the room's name, which is a `dtws_sio.topics.Topic` for that of an
        object: whenever a client is to enter one, and again for each that it is in when its user's rights change. True
        lets it in. Clients must not name rooms unchecked: without a rule any handler that passes on a name from a page
        lets everybody listen anywhere.

        A `Namespace` has the method `may_enter_room` for it.
        """

        def register(rule: F) -> F:
            if not callable(rule):
                raise NotCallableError(f"@sio.room_rule was used on a thing that is not callable: {rule!r}")
            self.table.set_terms(namespace_path(namespace), may_enter_room=rule)
            return rule

        return register if function is None else register(function)


def _terms(namespace: socketio.Namespace) -> dict[str, Any]:
    """Give the terms that a namespace's class states; python-socketio's own class knows none."""
    terms: dict[str, Any] = {"guards": permissions.guards_of(type(namespace))}
    authenticators = getattr(namespace, "authenticators", None)
    if authenticators is not None:
        terms["authenticators"] = tuple(authenticators)
    for name in ("may_enter_room", "removed_from_room", "recheck", "after_connect"):
        method = getattr(namespace, name, None)
        if method is not None:
            terms[name] = method
    if getattr(namespace, "tracks_presence", False):
        terms["describe"] = namespace.describe
    return terms


def _methods(namespace: socketio.Namespace) -> list[tuple[str, Callable[..., Any]]]:
    if type(namespace).trigger_event is not socketio.Namespace.trigger_event:
        trigger = namespace.trigger_event
        life = [(event, partial(trigger, event)) for event in sorted(LIFE_EVENTS)]
        return [(ANY, trigger), *life]
    if hasattr(namespace, "event_handlers"):
        return list(namespace.event_handlers())
    return dispatch.methods_of(namespace)
