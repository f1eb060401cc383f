"""
Every error that dtws_sio raises on purpose.

There is one base class and one child for each thing that a caller can do something about. A message always names the
value that was refused and the remedy. Configuration errors live in `dtws_sio.conf`, because they are Django's
`ImproperlyConfigured` as well and this module imports nothing but the standard library.
"""

from __future__ import annotations


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


class PresenceError(DtwsSioError):
    """Who is present cannot be told, because the store that all processes share cannot be reached."""


class ProtocolError(DtwsSioError, ValueError):
    """A client sent something that Socket.IO does not allow; its connection is closed."""


class EventError(DtwsSioError):
    """
    Raise it in a handler to answer an event with an error that the page may read.

    The acknowledgement becomes `{"error": {"code": code, "message": message}}`; nothing is logged as a failure.

    Args:
        message: What the page may show. Never put internals into it.
        code: A short name that code in the page can compare.
    """

    def __init__(self, message: str, *, code: str = "error") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
