"""
Signals: names to which functions are connected, here and in pages, and which either side triggers.

    from dtws_sio.signals import WINDOW, everyone, set_topics, signal, trigger

    @signal("shop.order", is_allowed_to=everyone)
    def order(window_info, item: int, count: int = 1):
        trigger(window_info, "html.text", to=WINDOW, selector="#basket", content=f"{count} of {item}")
        return {"ordered": count}

Such functions live in `signals.py` of an app. The names below are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dtws_sio.signals.forms import validate_form
    from dtws_sio.signals.markup import JSCall
    from dtws_sio.signals.permissions import (
        all_of,
        any_of,
        everyone,
        has_perm,
        is_anonymous,
        is_authenticated,
        is_staff,
        is_superuser,
        server_side,
    )
    from dtws_sio.signals.registry import SignalConnection, signal
    from dtws_sio.signals.targets import BROADCAST, SERVER, SESSION, SYNC, USER, WINDOW, serialize_topic
    from dtws_sio.signals.tokens import set_topics, topic_rule, window_token
    from dtws_sio.signals.triggers import trigger, trigger_signal
    from dtws_sio.signals.windows import WindowInfo, WindowProcessor, render_to_string
    from dtws_sio.validation import RE, Choice, SerializedForm

__all__ = [
    "BROADCAST",
    "RE",
    "SERVER",
    "SESSION",
    "SYNC",
    "USER",
    "WINDOW",
    "Choice",
    "JSCall",
    "SerializedForm",
    "SignalConnection",
    "WindowInfo",
    "WindowProcessor",
    "all_of",
    "any_of",
    "everyone",
    "has_perm",
    "is_anonymous",
    "is_authenticated",
    "is_staff",
    "is_superuser",
    "render_to_string",
    "serialize_topic",
    "server_side",
    "set_topics",
    "signal",
    "topic_rule",
    "trigger",
    "trigger_signal",
    "validate_form",
    "window_token",
]

_HOMES: Final = {
    **dict.fromkeys(("BROADCAST", "SERVER", "SESSION", "SYNC", "USER", "WINDOW", "serialize_topic"), "signals.targets"),
    **dict.fromkeys(("RE", "Choice", "SerializedForm"), "validation"),
    **dict.fromkeys(
        (
            "all_of",
            "any_of",
            "everyone",
            "has_perm",
            "is_anonymous",
            "is_authenticated",
            "is_staff",
            "is_superuser",
            "server_side",
        ),
        "signals.permissions",
    ),
    **dict.fromkeys(("SignalConnection", "signal"), "signals.registry"),
    **dict.fromkeys(("WindowInfo", "WindowProcessor", "render_to_string"), "signals.windows"),
    **dict.fromkeys(("set_topics", "topic_rule", "window_token"), "signals.tokens"),
    **dict.fromkeys(("trigger", "trigger_signal"), "signals.triggers"),
    "JSCall": "signals.markup",
    "validate_form": "signals.forms",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"dtws_sio.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
