"""What decorators note on handlers and namespaces, for the moment at which they are registered."""

from __future__ import annotations

from types import FunctionType
from typing import Any, Final
from weakref import WeakSet

from dtws_sio.exceptions import DecoratorOrderError

_registered: Final[WeakSet[FunctionType]] = WeakSet()
"""Functions that were registered; nothing is written on themselves, as they are given back unchanged (row D-22)."""


def put(target: Any, name: str, value: object) -> None:
    """
    Note something on a handler or a namespace.

    Raises:
        DecoratorOrderError: If it was registered before, without what is to be noted.
    """
    if isinstance(target, FunctionType) and target in _registered:
        raise DecoratorOrderError(
            f"{target.__qualname__!r} was decorated after it had been registered, which would have no effect; write "
            "that decorator below @sio.event or @sio.on"
        )
    setattr(target, name, value)


def close(function: object) -> None:
    """Let no more be noted on a function, which is being registered; methods are read again for each instance."""
    if isinstance(function, FunctionType):
        _registered.add(function)
