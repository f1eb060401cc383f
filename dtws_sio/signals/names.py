"""What may name a signal where one is triggered; a page's own signals have names that the server does not know."""

from __future__ import annotations

from typing import Any

from dtws_sio.exceptions import SignalError


def check_name(name: Any) -> None:
    """Raise SignalError for what names no signal."""
    if not isinstance(name, str) or not name:
        raise SignalError(f"{name!r:.100} names no signal; give text such as 'shop.order'")
