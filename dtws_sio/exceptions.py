"""
Every error that dtws_sio raises on purpose.

There is one base class and one child for each thing that a caller can do something about. A message always names the
value that was refused and the remedy. Configuration errors live in `dtws_sio.conf`, because they are Django's
`ImproperlyConfigured` as well and this module imports nothing but the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class DtwsSioError(Exception):
    """The base of all errors of this package."""


class MissingDependencyError(DtwsSioError, ImportError):
    """An optional package that the chosen settings need is not installed."""


class RegistrationError(DtwsSioError):
    """A handler or a namespace cannot be registered; raised while `sockets.py` is imported, it stops the start."""


class NotCallableError(RegistrationError, TypeError):
    """Something that cannot be called was given as a handler."""


class SignatureError(RegistrationError, TypeError):
    """A handler cannot be called with what its event brings, or is a coroutine function."""


class EventNameError(RegistrationError, ValueError):
    """An event name is not a string, is reserved by Socket.IO, or cannot be told from the handler."""


class DecoratorOrderError(RegistrationError, TypeError):
    """A handler was decorated after it had been registered, too late for the decorator to have an effect."""


class DuplicateHandlerError(RegistrationError, NameError):
    """An event of a namespace already has a handler."""


class NamespacePathError(RegistrationError, ValueError):
    """A namespace path is not a string, or holds characters that Socket.IO packets cannot carry."""


class DuplicateNamespaceError(RegistrationError, NameError):
    """A path already has a class-based namespace."""


class InvalidInstanceError(RegistrationError, TypeError):
    """What was registered is not an instance of the right class."""


class SignalNameError(RegistrationError, ValueError):
    """The name of a signal is not made of identifiers with dots between them."""


class RateError(RegistrationError, ValueError):
    """A rate is not written like "10/s"."""


class NotServingError(DtwsSioError, RuntimeError):
    """This process serves no clients, and no message queue leads to one that does."""


class EmitError(DtwsSioError):
    """An emit could not be handed over, to the message queue or to the encoder."""


class TopicError(DtwsSioError, ValueError):
    """Something has no topic: it is unsaved, anonymous, or no model instance."""


class SignalError(DtwsSioError, ValueError):
    """A signal cannot be triggered as asked: its name, its window or its times make no sense."""


class OversizedEmitError(EmitError):
    """An event is larger than the setting MAX_EMIT allows; nothing of it was sent."""


class PresenceError(DtwsSioError):
    """Who is present cannot be told, because the store that all processes share cannot be reached."""


class ProtocolError(DtwsSioError, ValueError):
    """A client sent something that Socket.IO does not allow; its connection is closed."""


class OversizedPacketError(ProtocolError):
    """A packet and its attachments together are larger than MAX_PAYLOAD allows."""


class EventError(DtwsSioError):
    """
    Raise it in a handler to answer an event with an error that the page may read.

    The acknowledgement becomes `{"error": {"code": code, "message": message, **details}}`; nothing is logged as a
    failure.

    Args:
        message: What the page may show. Never put internals into it.
        code: A short name that code in the page can compare.
        details: Further keys of the error; they cannot replace its code and message.
    """

    def __init__(self, message: str, *, code: str = "error", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = str(message)  # a lazy translation speaks the language of now
        self.code = code
        self.details = dict(details or {})

    @property
    def answer(self) -> dict[str, Any]:
        """What stands below "error" in the acknowledgement."""
        return {**self.details, "code": self.code, "message": self.message}


class ValidationError(EventError):
    """
    What a client sent does not fit the annotations of its handler; the answer says so field by field.

    Its code is "invalid", and its details are `{"fields": errors}`. A handler may raise it as well.

    Args:
        errors: What is wrong: the messages of each field, such as `{"order.items.0.name": ["is missing"]}`.
    """

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        self.errors = {
            name: [messages] if isinstance(messages, str) else list(messages) for name, messages in errors.items()
        }
        told = [f"{name}: {message}" for name, messages in self.errors.items() for message in messages]
        more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
        message = f"{told[0]}{more}" if told else "invalid data"
        super().__init__(message, code="invalid", details={"fields": self.errors})


class PermissionDeniedError(EventError):
    """A client may not do what it asked for; logged on `dtws_sio.security`."""

    def __init__(self, message: str = "You may not do this.", *, code: str = "permission_denied") -> None:
        super().__init__(message, code=code)


class AuthenticationFailedError(PermissionDeniedError):
    """What a client sent to prove who it is does not; it is refused rather than taken for a stranger."""

    def __init__(self, message: str, *, code: str = "authentication_failed") -> None:
        super().__init__(message, code=code)


class WindowTokenError(AuthenticationFailedError):
    """
    A page shows a window's token that does not hold; its code is "token_expired" or "token_invalid".

    Args:
        reason: What is wrong with it, for the log; a page learns only whether it is worth renewing.
        expired: Whether it would hold if it were younger.
    """

    def __init__(self, reason: str, *, expired: bool = False) -> None:
        code, message = _TOKEN_ANSWERS[expired]
        super().__init__(message, code=code)
        self.reason = reason


_TOKEN_ANSWERS = {
    True: ("token_expired", "The page's token has expired; renew it."),
    False: ("token_invalid", "The page's token is not valid any more; load the page again."),
}


class RoomNameError(PermissionDeniedError, ValueError):
    """A room was named as only topics, or another client's private room, are; a handler may have it from its client."""

    def __init__(self, message: str) -> None:
        super().__init__("There is no such room.", code="room_denied")
        self.reason = message

    def __str__(self) -> str:
        return self.reason


class CsrfError(PermissionDeniedError):
    """A client that joins a namespace brought no CSRF token, or one of another browser. Its code is "csrf_failed"."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="csrf_failed")


class UnknownSignalError(EventError):
    """Nothing is connected to a signal that its caller may call. Its code is "unknown_signal"."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Unknown signal: {name[:100]}", code="unknown_signal")


class RateLimitedError(EventError):
    """
    A client does something too often.

    Args:
        message: What the page is told.
        code: A short name that code in the page can compare.
        wait: Seconds after which it may try again.
    """

    def __init__(self, message: str, *, code: str = "rate_limited", wait: float) -> None:
        super().__init__(message, code=code)
        self.wait = wait


class TooManyConnectionsError(EventError):
    """
    An address, a session or a user has too many connections, or an address tries to connect too often.

    Args:
        message: What the page is told.
        code: "too_many_connections" or "too_many_connects".
        reason: What the log should say: who, how many, and the setting.
        wait: Seconds after which it may try again, if that is known; else 0.
    """

    def __init__(self, message: str, *, code: str = "too_many_connections", reason: str, wait: float = 0) -> None:
        super().__init__(message, code=code)
        self.reason = reason
        self.wait = wait


class CallError(DtwsSioError, ValueError):
    """Something cannot be a queued call: its arguments have no JSON form, or what came from a queue is no call."""


class QueueError(DtwsSioError):
    """A call could not be queued: no such queue, or what carries it cannot be reached."""


class QueueFullError(EventError, QueueError):
    """As many calls wait as may; this one was not queued. Its code is "busy"."""

    def __init__(self, message: str = "There is too much to do just now; try again later.", *, reason: str) -> None:
        super().__init__(message, code="busy")
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class CallExpiredError(EventError):
    """A call was not run, as its time was over. Its code is "expired"."""

    def __init__(self, message: str = "This came too late to be done.") -> None:
        super().__init__(message, code="expired")


class WorkerDiedError(DtwsSioError):
    """The process that ran a call ended before the call did."""


class ProgressError(DtwsSioError):
    """A progress bar cannot do what it was asked to."""


class ProgressTypeError(ProgressError, TypeError):
    """A bound, a value, a number of steps, a label or a name of a bar is of the wrong type."""


class ProgressRangeError(ProgressError, ValueError):
    """A number of a bar is out of its range, or its range makes no sense."""


class BarEndedError(ProgressError, RuntimeError):
    """A bar was moved that is done or failed already."""


class BarBusyError(ProgressError, EventError):
    """A job drives the bar already. Raised in a handler it is the answer to the page; its code is "busy"."""

    def __init__(self, message: str = "This is running already.") -> None:
        super().__init__(message, code="busy")


class NotRunningError(ProgressError, EventError):
    """A bar is to be cancelled of which no job runs. Its code is "not_running"."""

    def __init__(self, message: str = "There is nothing to cancel.") -> None:
        super().__init__(message, code="not_running")


class UnknownBarError(ProgressError, EventError):
    """A page asks for a bar that nobody has begun, or that was forgotten. Its code is "unknown_bar"."""

    def __init__(self, message: str = "There is no such progress bar.") -> None:
        super().__init__(message, code="unknown_bar")


class Cancelled(ProgressError, EventError):  # noqa: N818  it is the word that a task says
    """Somebody cancelled the bar: the task that drives it should stop. Its code is "cancelled"."""

    def __init__(self, message: str = "Cancelled.") -> None:
        super().__init__(message, code="cancelled")
