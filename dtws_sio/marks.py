"""What decorators note on handlers and namespaces, for the moment at which they are registered."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from dtws_sio.exceptions import DecoratorOrderError

REGISTERED: Final = "__dtws_sio_registered__"


def put(target: Any, name: str, value: object) -> None:
    """
    Note something on a handler or a namespace.

    Raises:
        DecoratorOrderError: If it was registered before, without what is to be noted.
    """
    if REGISTERED in getattr(target, "__dict__", ()):
        raise DecoratorOrderError(
            f"{getattr(target, '__qualname__', target)!r} was decorated after it had been registered, which would have "
            "no effect; write that decorator below @sio.event or @sio.on"
        )
    setattr(target, name, value)


def close(function: object) -> None:
    """Let no more be noted on a function, which is being registered; methods are read again for each instance."""
    with suppress(AttributeError, TypeError):  # methods and what is written in C keep no attributes
        setattr(function, REGISTERED, True)
