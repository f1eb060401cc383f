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


class DuplicateHandlerError(RegistrationError, NameError):
    """An event of a namespace already has a handler."""


class NamespacePathError(RegistrationError, ValueError):
    """A namespace path is not a string, or holds characters that Socket.IO packets cannot carry."""


class DuplicateNamespaceError(RegistrationError, NameError):
    """A path already has a class-based namespace."""


class InvalidInstanceError(RegistrationError, TypeError):
    """What was registered is not an instance of the right class."""


class NotServingError(DtwsSioError, RuntimeError):
    """This process serves no clients, and no message queue leads to one that does."""


class EmitError(DtwsSioError):
    """An emit could not be handed over, to the message queue or to the encoder."""


class ProtocolError(DtwsSioError, ValueError):
    """A client sent something that Socket.IO does not allow; its connection is closed."""


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
        self.message = message
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
