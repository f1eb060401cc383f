"""What decorators note on handlers and namespaces, for the moment at which they are registered."""

from __future__ import annotations

import sys
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


def check_order() -> None:
    """
    Look whether a function that was registered stands in its module within a decorator of somebody else.

    Raises:
        DecoratorOrderError: If one does: what the decorator asks is never asked, as the function is called without it.
    """
    for function in tuple(_registered):
        present = getattr(sys.modules.get(function.__module__), function.__qualname__, None)
        while present is not None and present is not function:
            present = getattr(present, "__wrapped__", None)
            if present is function:
                raise DecoratorOrderError(
                    f"{function.__module__}.{function.__qualname__} has a decorator above the one that registers it, "
                    "which has no effect on events; write it below @sio.event, @sio.on or @signal"
                )


def close(function: object) -> None:
    """Let no more be noted on a function, which is being registered; methods are read again for each instance."""
    if isinstance(function, FunctionType):
        _registered.add(function)
