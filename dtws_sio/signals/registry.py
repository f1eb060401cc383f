"""
The functions that are connected to signals on the server, and how each is called.

    @signal("shop.order", is_allowed_to=is_authenticated)
    def order(window_info, item: int, count: int = 1): ...

What a function takes is looked at once, when it is connected. It is called with arguments of its own, converted by its
annotations, in a context of its own.

Source: rows S-01 to S-05, S-12 to S-15, W-F8 and W-F10.
"""

from __future__ import annotations

import contextvars
import difflib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from django.core.exceptions import PermissionDenied

from dtws_sio import dispatch, marks, validation
from dtws_sio.dispatch import HandlerFailedError, Origin
from dtws_sio.exceptions import (
    EventError,
    NotCallableError,
    PermissionDeniedError,
    SignalError,
    SignalNameError,
    SignatureError,
)
from dtws_sio.limits import RateLimit, rate_limits
from dtws_sio.permissions import guards_of
from dtws_sio.signals.permissions import IsAllowed, server_side
from dtws_sio.signals.windows import WindowInfo, processors
from dtws_sio.surroundings import Surroundings

if TYPE_CHECKING:
    from dtws_sio.signals.calls import Call

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

NAMESPACE: Final = "/signals"
"""The path of the namespace; static/src/signals.js joins it."""

DEFAULT_QUEUE: Final = "default"
"""The queue of functions that name none."""

REGISTERED: Final[dict[str, list[SignalConnection]]] = {}
"""All connections of this process, by the name of the signal, in the order in which they were made."""

NEUTRAL: Final = Surroundings()
"""Those of windows for which the project's own are right."""

_NAME: Final = re.compile(r"[_a-zA-Z]\w*(\.[_a-zA-Z]\w*)*")

Queue = str | Callable[[Any, WindowInfo, dict[str, Any]], str]
"""The name of a queue, or what gives one for the connection, the window and the arguments of a call."""


@dataclass(frozen=True, eq=False)
class SignalConnection:
    """
    A function that is connected to a signal; subclass it, for `signal(cls=...)`, to call functions differently.

    Attributes:
        function: The function.
        path: The name of the signal.
        name: Module and name of the function, the same in each process: by it queued calls find it there.
        is_allowed_to: Who may call it from a page.
        queue: Where it runs; None is the default queue.
        arguments: What it takes besides the window.
        limits: How often pages may call it.
    """

    function: Callable[..., Any]
    path: str
    name: str
    is_allowed_to: IsAllowed
    queue: Queue | None
    arguments: validation.NamedConverter
    limits: tuple[RateLimit, ...] = ()

    @property
    def accept_kwargs(self) -> bool:
        """Whether it takes arguments that it does not name."""
        return self.arguments.accepts_any

    @property
    def argument_types(self) -> dict[str, Any]:
        """The annotations of its arguments."""
        return dict(self.arguments.annotations)

    @property
    def accepted_argument_names(self) -> set[str]:
        """The names of its arguments."""
        return set(self.arguments.annotations)

    @property
    def required_arguments_names(self) -> set[str]:
        """Those without a default."""
        return set(self.arguments.required)

    @property
    def optional_arguments_names(self) -> set[str]:
        """Those with one."""
        return self.accepted_argument_names - self.required_arguments_names

    def check(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """
        Give the arguments as the function takes them, and leave those that were given as they are.

        Raises:
            ValidationError: If one is missing, unknown or invalid.
        """
        return self.arguments(kwargs)

    def get_queue(self, window_info: WindowInfo, kwargs: dict[str, Any]) -> str:
        """Work out the name of the queue for a call, which is done once for each. Raises SignalError if it is none."""
        queue = self.queue(self, window_info, validation.copied(kwargs)) if callable(self.queue) else self.queue
        if queue is None:
            return DEFAULT_QUEUE
        if not isinstance(queue, str):
            raise SignalError(f"the queue of {self} is {queue!r:.100}; its function has to give a name")
        return queue

    def call(self, window_info: WindowInfo, /, **kwargs: Any) -> Any:
        """
        Call the function here and now, with its arguments checked and converted.

        Raises:
            ValidationError: As `check` does.
            Exception: What the function raises.
        """
        return self.function(window_info, **self.check(kwargs))

    def __str__(self) -> str:
        return f"{self.path!r} ({self.name})"


@overload
def signal(
    function: F,
    /,
    is_allowed_to: IsAllowed = ...,
    queue: Queue | None = ...,
    *,
    path: str | None = ...,
    cls: type[SignalConnection] = ...,
) -> F: ...


@overload
def signal(
    name: str | None = ...,
    /,
    is_allowed_to: IsAllowed = ...,
    queue: Queue | None = ...,
    *,
    path: str | None = ...,
    cls: type[SignalConnection] = ...,
) -> Callable[[F], F]: ...


def signal(
    function_or_path: F | str | None = None,
    /,
    is_allowed_to: IsAllowed = server_side,
    queue: Queue | None = None,
    *,
    path: str | None = None,
    cls: type[SignalConnection] = SignalConnection,
) -> Any:
    """
    Connect a function to a signal; a decorator, with or without arguments, that gives the function back as it is.

        @signal
        @signal("shop.order", is_allowed_to=is_authenticated, queue="slow")

    Several functions may be connected to one name; all of them are called. The function takes `window_info` first, and
    what the signal is triggered with by name; annotations are checked (`dtws_sio.validation`).

    Args:
        function_or_path: The function, or the name of the signal.
        is_allowed_to: Who may trigger it from a page; nobody by default.
        queue: The name of the queue that it runs in, or a function that gives it.
        path: The name of the signal; module and name of the function by default.
        cls: The class of the connection.

    Raises:
        SignalNameError: If the name is none.
        SignatureError: If the function cannot be called so.
        NotCallableError: If the function or the permission cannot be called.

    Source: rows S-01, S-02 and S-14.
    """
    if isinstance(function_or_path, str):
        path = function_or_path
    elif function_or_path is not None:
        return _connect(function_or_path, path, is_allowed_to, queue, cls)
    return partial(_connect, path=path, is_allowed_to=is_allowed_to, queue=queue, cls=cls)


def _connect(function: F, path: Any, is_allowed_to: IsAllowed, queue: Queue | None, cls: type[SignalConnection]) -> F:
    if not callable(function):
        raise NotCallableError(f"@signal was used on a thing that is not callable: {function!r}")
    name = f"{function.__module__}.{_name_of(function)}" if path is None else path
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SignalNameError(f"{name!r} cannot name a signal; use identifiers with dots between them, as 'shop.order'")
    if not callable(is_allowed_to):
        raise NotCallableError(
            f"is_allowed_to={is_allowed_to!r} of the signal {name!r} cannot be asked; give one such as everyone"
        )
    if queue is not None and not isinstance(queue, str) and not callable(queue):
        raise SignalError(f"queue={queue!r} of the signal {name!r} is no queue; give its name, or a function")
    if guards_of(function) or dispatch.is_for_views(function):
        raise SignatureError(
            f"the function connected to {name!r} has a decorator for event handlers or views, which nobody asks here; "
            "write @signal(..., is_allowed_to=is_authenticated), or another of dtws_sio.signals.permissions"
        )
    arguments = _arguments(function, name)
    connected = REGISTERED.setdefault(name, [])
    full_name = _full_name(function, connected)
    connected.append(cls(function, name, full_name, is_allowed_to, queue, arguments, rate_limits(function)))
    marks.close(function)
    return function


def _full_name(function: Any, connected: list[SignalConnection]) -> str:
    """Name a function among those of a signal; what has the name of another one, as lambdas have, gets a number."""
    owner = function if hasattr(function, "__qualname__") else type(function)
    name = f"{owner.__module__}.{owner.__qualname__}"
    same = sum(each.name.partition("#")[0] == name for each in connected)
    return f"{name}#{same + 1}" if same else name


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", None)
    if name is None:
        raise SignalNameError(f"{function!r} has no name; write @signal('its name')")
    return str(name)


def _arguments(function: Callable[..., Any], name: str) -> validation.NamedConverter:
    """Look at what a function takes. Raises SignatureError if it cannot be called with a window and named arguments."""
    if dispatch.is_async(function):
        raise SignatureError(f"the function connected to {name!r} is async; write `def`, as for all handlers here")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError as error:
        raise SignatureError(f"{function!r} tells nothing of its arguments; wrap it in a function") from error
    first = parameters[0] if parameters else None
    if (
        first is None
        or first.name != "window_info"
        or first.kind
        not in (
            first.POSITIONAL_ONLY,
            first.POSITIONAL_OR_KEYWORD,
        )
    ):
        raise SignatureError(f'the function connected to {name!r} must take "window_info" as its first argument')
    for each in parameters[1:]:
        if each.kind in (each.VAR_POSITIONAL, each.POSITIONAL_ONLY):
            raise SignatureError(
                f"the function connected to {name!r} is called with arguments by name, and {each} takes them by place "
                "only"
            )
    return validation.make_named_converter(function, 1)


def connections(name: str) -> tuple[SignalConnection, ...]:
    """Give the functions that are connected to a signal, in their order."""
    return tuple(REGISTERED.get(name, ()))


def nearest(name: str) -> str | None:
    """Give the name of a signal that somebody may have meant."""
    return next(iter(difflib.get_close_matches(name, REGISTERED, n=1)), None)


# Calling


def call_here(connection: SignalConnection, window_info: WindowInfo, kwargs: dict[str, Any]) -> Any:
    """
    Call a function in the calling thread, in a copy of its context; its transaction and its connections go on.

    Raises:
        EventError: What the function raised for its caller to know, and ValidationError if the arguments do not fit.
        HandlerFailedError: If it raised anything else, which has been logged.
    """
    process = partial(_process, connection, window_info, kwargs)
    return isolated(connection, window_info, partial(contextvars.copy_context().run, process))


def isolated(connection: SignalConnection, window_info: WindowInfo, function: Callable[[], T]) -> T:
    """
    Do something for one connection, so that what it raises harms no other.

    Raises:
        EventError: As it does; Django's PermissionDenied as one.
        HandlerFailedError: If it raised anything else, which has been logged.
    """
    try:
        return function()
    except (EventError, HandlerFailedError):
        raise
    except PermissionDenied as error:
        raise PermissionDeniedError(*map(str, error.args[:1])) from error
    except Exception as error:
        dispatch.report(origin_of(connection.path, window_info), error)
        raise HandlerFailedError from error


def _process(connection: SignalConnection, window_info: WindowInfo, kwargs: dict[str, Any]) -> Any:
    for processor in processors():
        processor.before_process(window_info)
    return connection.call(window_info, **kwargs)


def run(call: Call, *, celery_request: Any = None) -> Any:
    """
    Call the function of a queued call, once, in the language and the time zone of its window.

    They are set in a context that ends with the call. Whoever works off the queue gives database connections back, and
    logs what is raised.

    Args:
        call: What was queued.
        celery_request: Celery's request of the task that runs it.

    Raises:
        SignalError: If this process knows no such function, as one of another version of the project may.
        Exception: What the function raises; ValidationError if the arguments do not fit.

    Source: rows S-12, S-43 and W-F12.
    """
    connection = next((each for each in connections(call.signal) if each.name == call.function), None)
    if connection is None:
        raise SignalError(
            f"the function of call {call} is not connected here; is this process of the same version of the project, "
            "and the function in a module that is imported at the start, as an app's signals.py is?"
        )
    window_info = WindowInfo.from_dict(call.window) or WindowInfo.from_request(None)
    window_info.celery_request = celery_request
    around = window_info.surroundings or NEUTRAL
    return contextvars.Context().run(around.run, _process, connection, window_info, call.kwargs)


def origin_of(name: str, window_info: WindowInfo) -> Origin:
    """Say where a signal came from, for the log."""
    environ = None if window_info.request is None else getattr(window_info.request, "environ", None)
    return Origin(name, NAMESPACE, f"window {window_info.window_key}", environ)
