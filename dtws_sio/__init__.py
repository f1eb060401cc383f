"""
Real time for Django over Socket.IO.

The names below are loaded when they are first used, so that `import dtws_sio` brings in neither Django nor socketio:
what patches the standard library must be able to import this package first.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dtws_sio.dispatch import NO_ACK, concurrent
    from dtws_sio.exceptions import DtwsSioError, EventError
    from dtws_sio.limits import rate_limit
    from dtws_sio.namespaces import Namespace
    from dtws_sio.server import sio

__all__ = ["NO_ACK", "DtwsSioError", "EventError", "Namespace", "__version__", "concurrent", "rate_limit", "sio"]

__version__ = "0.1.0"

_HOMES: Final = {
    "NO_ACK": "dtws_sio.dispatch",
    "concurrent": "dtws_sio.dispatch",
    "DtwsSioError": "dtws_sio.exceptions",
    "EventError": "dtws_sio.exceptions",
    "Namespace": "dtws_sio.namespaces",
    "rate_limit": "dtws_sio.limits",
    "sio": "dtws_sio.server",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
