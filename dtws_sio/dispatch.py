"""
From an event to the function that handles it: the one seam through which every handler runs.

`HandlerTable` is filled while `sockets.py` is imported; signatures are looked at there and then, never guessed from a
TypeError later. `run` calls a handler, once, and leaves nothing behind.
"""

from __future__ import annotations

import functools
import inspect
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NewType, TypeVar

from django.core import signals
from django.core.exceptions import PermissionDenied
from django.core.handlers.wsgi import WSGIRequest
from django.db import connections
from django.db.backends.signals import connection_created
from django.utils.functional import Promise

from dtws_sio import identity, marks
from dtws_sio.exceptions import (
    DuplicateHandlerError,
    EventError,
    EventNameError,
    NamespacePathError,
    NotCallableError,
    PermissionDeniedError,
    SignatureError,
)
from dtws_sio.limits import RateLimit, rate_limits
from dtws_sio.packet import RESERVED_EVENTS
from dtws_sio.permissions import Guard, guards_of
from dtws_sio.validation import Converter, make_converter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dtws_sio.surroundings import Surroundings


logger = logging.getLogger("dtws_sio.events")

Sid = NewType("Sid", str)
"""Names one client in one namespace."""

F = TypeVar("F", bound="Callable[..., Any]")

ANY: Final = "*"
"""As an event it catches those that have no handler; as a namespace, those that nobody registered."""

LIFE_EVENTS: Final = frozenset({"connect", "disconnect"})
"""What the server itself triggers; catch-all handlers do not see them."""


ANSWERS: Final = (EventError, PermissionDenied)
"""What a handler raises to answer an event with an error: ours, or Django's."""


def as_event_error(error: Exception) -> EventError:
    """Give Django's PermissionDenied the form of ours."""
    if isinstance(error, EventError):
        return error
    return PermissionDeniedError(str(error)) if str(error) else PermissionDeniedError()


class _NoAck:
    def __repr__(self) -> str:
        return "NO_ACK"


NO_ACK: Final = _NoAck()
"""Returned by a handler: send no acknowledgement, although the client asked for one."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """
    Returned by a handler: the acknowledgement is what a function gives, and other events of the client go on meanwhile.

    Args:
        wait: Gives it, or raises what a handler may raise; not called if the client asked for no acknowledgement.
    """

    wait: Callable[[], Any]


def concurrent(handler: F) -> F:
    """
    Let a handler run at once, beside other events of its client, instead of in their order.

    For what must not wait behind a long job, such as the event that cancels it. Those of one connection take a quarter
    of the setting HANDLER_POOL at most; what is beyond waits in its order. Goes next to the function, below
    `@sio.event`, or on a method of a `Namespace`.
    """
    marks.put(handler, "__dtws_sio_concurrent__", True)
    return handler


def namespace_path(path: object) -> str:
    """
    Give a namespace's path its one form: no spaces around it and a slash in front; nothing at all is "/".

    Raises:
        NamespacePathError: If it is not a string, or holds a comma or a question mark, which end it in a packet.

    Source: row D-20.
    """
    if path is None:
        return "/"
    if not isinstance(path, str):
        raise NamespacePathError(f"a namespace path is a string such as '/chat', not {path!r}")
    stripped = path.strip()
    if stripped == ANY:
        return ANY
    if set(stripped) & {",", "?"}:
        raise NamespacePathError(f"the namespace path {path!r} must not hold ',' or '?'")
    return stripped if stripped.startswith("/") else f"/{stripped}"


@dataclass(frozen=True, slots=True)
class Handler:
    """
    A function and what was learnt about it at registration.

    `place` is the event and the namespace that it was registered for. `fewest` and `most` bound the positional
    arguments that it takes; a `most` of None means any number. The first `leading` of them are ours; what the event
    brought follows: the guards look at it, the converter checks and converts it. `limits` bound how often it is called.
    """

    function: Callable[..., Any]
    fewest: int
    most: int | None
    concurrent: bool
    leading: int = 1
    guards: tuple[Guard, ...] = ()
    limits: tuple[RateLimit, ...] = ()
    converter: Converter | None = None
    place: tuple[str, str] = ("", "")
    is_plain: bool = True
    """Whether there is nothing to ask before it is called."""

    names: tuple[str, ...] = ()
    """Those of its parameters, where they are annotated."""

    def missing(self, count: int) -> tuple[str, ...]:
        """Name the annotated arguments that so many positional ones leave out, although they have to be there."""
        return self.names[count : self.fewest]

    def takes(self, count: int) -> bool:
        """Tell whether the function can be called with so many positional arguments."""
        return self.fewest <= count and (self.most is None or count <= self.most)


def make_handler(function: object, event: str, leading: int = 0) -> Handler:
    """
    Look at a function once.

    Args:
        function: What was given as the handler.
        event: The event's name; "connect" and "disconnect" have signatures of their own.
        leading: How many arguments (event and namespace of a catch-all) come before the sid.

    Raises:
        NotCallableError: If it cannot be called.
        SignatureError: If it is a coroutine function, or cannot take what the event brings.
    """
    if not callable(function):
        raise NotCallableError(f"the handler of {event!r} cannot be called: {function!r}; decorate a function")
    if is_async(function):
        raise SignatureError(
            f"the handler of {event!r}, {_name(function)}, is async; handlers are plain functions here: write `def`, "
            "and let blocking calls block, they only hold up their own client"
        )
    if is_for_views(function):
        raise SignatureError(
            f"the handler of {event!r}, {_name(function)}, has a decorator that Django made for views, which takes the "
            "sid for a request; use the one of dtws_sio.permissions, or request_passes_test"
        )
    fewest, most = _arity(function, event)
    own = leading + (2 if event == "connect" else 1)
    guards, limits = guards_of(function), rate_limits(function)
    converter = None if event == "disconnect" else make_converter(function, own)
    handler = Handler(
        function,
        fewest,
        most,
        concurrent=getattr(function, "__dtws_sio_concurrent__", False),
        leading=own,
        guards=guards,
        limits=limits,
        converter=converter,
        is_plain=not guards and not limits and converter is None,
        names=() if converter is None else tuple(inspect.signature(function).parameters),
    )
    wanted = _SIGNATURES.get(event, _EVENT_SIGNATURE)
    counts = [leading + count for count in wanted.counts]
    if not (any(map(handler.takes, counts)) if event in _SIGNATURES else most is None or most >= counts[0]):
        raise SignatureError(
            f"the handler of {event!r}, {_name(function)}, takes {_range(fewest, most)}; it is called with "
            f"{wanted.text}" + (", after the event or namespace of a catch-all" if leading else "")
        )
    return handler


def methods_of(namespace: object) -> list[tuple[str, Callable[..., Any]]]:
    """Give the handlers of a class-based namespace: its methods `on_<event>`, by event."""
    return [(name[3:], getattr(namespace, name)) for name in dir(type(namespace)) if name.startswith("on_")]


@dataclass(frozen=True, slots=True)
class _Signature:
    counts: tuple[int, ...]
    text: str


_SIGNATURES: Final = {
    "connect": _Signature((3, 2), "(sid, environ) or (sid, environ, auth)"),
    "disconnect": _Signature((2, 1), "(sid) or (sid, reason)"),
}
_EVENT_SIGNATURE: Final = _Signature((1,), "(sid, *data)")


def _arity(function: Callable[..., Any], event: str) -> tuple[int, int | None]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some functions written in C tell nothing
        return 0, None
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        raise SignatureError(
            f"the handler of {event!r}, {_name(function)}, has keyword-only arguments without a default; "
            "handlers are called with positional arguments"
        )
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    fewest = sum(p.default is p.empty for p in positional)
    return fewest, None if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(positional)


def is_async(function: Any) -> bool:
    """Tell whether calling a function gives a coroutine or the like, which nobody would wait for here."""
    while isinstance(function, functools.partial):
        function = function.func
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    return any(is_kind(each) for is_kind in kinds for each in (function, type(function).__call__))


def is_for_views(function: Any) -> bool:
    """Tell whether what is called first is code of Django, as with its decorators for views."""
    module = getattr(getattr(function, "__func__", function), "__globals__", {}).get("__name__", "")
    return str(module).startswith("django.")


def _name(function: object) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def _range(fewest: int, most: int | None) -> str:
    if most is None:
        return f"at least {fewest} arguments"
    return f"{most} arguments" if fewest == most else f"{fewest} to {most} arguments"


@dataclass(frozen=True, slots=True)
class Terms:
    """
    What a namespace asks of its clients.

    Attributes:
        guards: Asked when a client connects, at each event, and when its rights change.
        authenticators: What recognises its clients; None for those of the setting AUTHENTICATORS.
        may_enter_room: Called with a client's request and a room; whether it may be there. None allows any.
        removed_from_room: Called with a sid and a room after a client was taken out of it, as it may not be there any
            more; None for nothing.
        describe: Called with a sid, gives what others see of that client; None where presence is not tracked.
        recheck: Called with a sid and a request when the rights of its user may have changed; it raises
            PermissionDeniedError for a client that may not stay.
        after_connect: Called with the sid of a client that was let in, before its first event.
    """

    guards: tuple[Guard, ...] = ()
    authenticators: tuple[identity.Authenticator, ...] | None = None
    may_enter_room: Callable[[identity.HandshakeRequest, Any], bool] | None = None
    removed_from_room: Callable[[str, Any], object] | None = None
    describe: Callable[[str], dict[str, Any]] | None = None
    recheck: Callable[[str, identity.HandshakeRequest], object] = lambda sid, request: None
    after_connect: Callable[[str], None] | None = None


NO_TERMS: Final = Terms()


class HandlerTable:
    """Every handler of this process, by namespace and event, and the terms of each namespace."""

    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, Handler]] = {}
        self._terms: dict[str, Terms] = {}
        self._guarded: set[str] = set()

    def set_terms(self, namespace: str, **terms: Any) -> None:
        """Set some terms of a namespace, or of those that nobody registered; clients are held to them from now on."""
        self._terms[namespace] = replace(self._terms.get(namespace, NO_TERMS), **terms)
        if self._terms[namespace].guards:
            self._guarded.add(namespace)

    def terms(self, namespace: str) -> Terms:
        """Give the terms of a namespace; one that nobody registered has those of "*"."""
        found = self._terms.get(namespace)
        if found is None and namespace not in self._handlers:
            found = self._terms.get(ANY)
        return NO_TERMS if found is None else found

    def guards_of_connect(self, namespace: str) -> tuple[Guard, ...]:
        """Give what a client has to pass to be in a namespace: its guards, and those of its connect handler."""
        found = self.find("connect", namespace, ())
        return self.terms(namespace).guards if found is None else self.guards(namespace, found[0])

    def guards(self, namespace: str, handler: Handler) -> tuple[Guard, ...]:
        """Give what a client of a namespace has to pass before a handler is called, which may be one of "*"."""
        terms, own = self.terms(namespace), self.terms(handler.place[1])
        return (*terms.guards, *(() if own is terms else own.guards), *handler.guards)

    def asks_first(self, namespace: str, handler: Handler) -> bool:
        """Tell whether there is anything to ask before a handler is called."""
        return not handler.is_plain or namespace in self._guarded or ANY in self._guarded

    def add(self, event: object, function: object, namespace: str) -> None:
        """
        Register a function for an event of a namespace.

        Raises:
            EventNameError: If the name is not a string, or belongs to Socket.IO itself.
            DuplicateHandlerError: If the event already has a handler there.
            NotCallableError, SignatureError: As `make_handler` does.
        """
        if not isinstance(event, str) or not event:
            raise EventNameError(f"an event name is a string, not {event!r}")
        if event in RESERVED_EVENTS - LIFE_EVENTS:
            raise EventNameError(f"the event name {event!r} is reserved by Socket.IO and never arrives; choose another")
        handler = make_handler(function, event, (event == ANY) + (namespace == ANY))
        handler = replace(handler, place=(event, namespace))
        events = self._handlers.setdefault(namespace, {})
        if event in events:
            raise DuplicateHandlerError(
                f"the event {event!r} of the namespace {namespace!r} already has a handler, "
                f"{_name(events[event].function)}; {_name(function)} would replace it"
            )
        events[event] = handler
        marks.close(function)

    def open(self, namespace: str) -> None:
        """Let clients join a namespace that has no handlers."""
        self._handlers.setdefault(namespace, {})

    def find(self, event: str, namespace: str, arguments: tuple[Any, ...]) -> tuple[Handler, tuple[Any, ...]] | None:
        """Look the handler of an event up, with the arguments to call it with; the most exact registration wins."""
        exact = self._handlers.get(namespace)
        if exact is not None and event != ANY and event in exact:
            return exact[event], arguments
        for place, before_namespace in ((namespace, ()), (ANY, (namespace,))):
            events = self._handlers.get(place)
            if events is None:
                continue
            if event != ANY and event in events:  # "*" from a client is a name like any other
                return events[event], (*before_namespace, *arguments)
            if ANY in events and event not in LIFE_EVENTS:
                return events[ANY], (event, *before_namespace, *arguments)
        return None

    def is_registered(self, namespace: str) -> bool:
        """Tell whether a namespace is registered by its own name."""
        return namespace in self._handlers

    def __contains__(self, namespace: str) -> bool:
        return namespace in self._handlers or ANY in self._handlers

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        """Give each namespace with the names of its events, sorted."""
        for namespace in sorted(self._handlers):
            yield namespace, sorted(self._handlers[namespace])


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event came from: what the log line names, and the handshake's environ for those who want a request."""

    event: str
    namespace: str
    sid: str
    environ: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.event[:100]!r} of {self.namespace} from {self.sid}"


class HandlerFailedError(Exception):
    """A handler raised something; it is logged already. For this package only."""


Answers = tuple[type[Exception], ...]


def run(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    origin: Callable[[], Origin],
    answers: Answers = (EventError,),
    surroundings: Surroundings | None = None,
) -> Any:
    """
    Call a handler, once, and leave nothing of it behind.

    It runs in a fresh context, so that nothing of the client before it shows; afterwards sessions that it changed are
    saved, and the database connections that it opened are given back, which no `request_finished` would do here.

    Args:
        function: The handler.
        arguments: Its positional arguments.
        origin: Tells where the event came from, if it has to be told.
        answers: Errors that are an answer to the client and not a failure; they are raised to the caller.
        surroundings: The client's language and time zone, where they differ from the project's.

    Raises:
        HandlerFailedError: If the handler raised anything else, which has been logged once on `dtws_sio.events` and
            sent as Django's `got_request_exception`.

    Source: pitfalls 6, 8 and 12.
    """
    opened = _opened
    context = _EVENT.copy()
    try:
        try:
            if surroundings is None:
                result = context.run(function, *arguments)
            else:
                result = context.run(surroundings.run, function, *arguments)
        except answers as error:
            context.run(_spell_out, error)
            identity.finish_requests(context)
            raise
        if identity.requests in context:
            identity.finish_requests(context)
        return result
    except answers:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        report(origin(), error)
        raise HandlerFailedError from error
    finally:
        if _opened != opened:
            give_back_connections()


def _spell_out(error: Exception) -> None:
    """Let lazy translations in what an error says speak the client's language, while that is active."""
    error.args = tuple(str(each) if isinstance(each, Promise) else each for each in error.args)


_EVENT: Final = identity.event_context()
"""Copied for each event; as fast as making an empty one."""

_opened = 0
"""How often a database connection was opened in this process; where it did not change, there is none to give back."""


def _count(**kwargs: Any) -> None:
    global _opened
    _opened += 1


connection_created.connect(_count, dispatch_uid="dtws_sio.dispatch")


def report(origin: Origin, error: BaseException) -> None:
    """Log what a handler raised, and tell Django's tooling of it, which looks for the exception being handled."""
    details = {"event": origin.event, "namespace": origin.namespace, "sid": origin.sid}
    logger.error("the handler of %s failed", origin, exc_info=error, extra=details)
    request = WSGIRequest(origin.environ) if origin.environ is not None else None
    signals.got_request_exception.send_robust(sender=run, request=request)


def give_back_connections() -> None:
    """Close the database connections of this greenlet or thread; one with `OPTIONS["pool"]` goes back to its pool."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
