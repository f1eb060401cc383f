"""
Signals that elements of a page trigger, as the attribute `data-df-signal`; static/src/signals.js follows it.

Source: rows S-50, S-51 and H-10 to H-15.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils.html import format_html

from dtws_sio import json
from dtws_sio.exceptions import SignalError
from dtws_sio.signals.names import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.utils.safestring import SafeString

ATTRIBUTE: Final = "data-df-signal"


@dataclass(frozen=True, slots=True)
class JSCall:
    """
    One signal that an element triggers; its text is JSON.

    Args:
        name: The name of the signal.
        on: The event of the element, such as "click"; None for what is usual for it.
        opts: Arguments that are always the same.
        form: The argument that gets the fields of the form.
        value: The argument that gets the value of the element.
        prevent: Whether the browser leaves its own reaction to the event; None for what is usual.
        debounce: Milliseconds without another such event after which it is triggered.
        confirm: A question that the visitor has to say yes to.

    Raises:
        SignalError: If the name is none, or the time makes no sense.
    """

    name: str
    on: str | None = None
    opts: Mapping[str, Any] | None = None
    form: str | None = None
    value: str | None = None
    prevent: bool | None = None
    debounce: float | None = None
    confirm: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.debounce is not None and not _is_time(self.debounce):
            raise SignalError(f"debounce={self.debounce!r} is no time; give milliseconds as a number, 0 or more")

    def as_dict(self) -> dict[str, Any]:
        """Give it as it stands in the attribute; what is not said is left out."""
        said = {key: getattr(self, key) for key in self.__slots__}
        kept = {key: value for key, value in said.items() if value is not None and (value or key in _ALSO_FALSE)}
        return {key: str(value) if key == "confirm" else value for key, value in kept.items()}

    def __str__(self) -> str:
        return json.dumps(self.as_dict())


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


_ALSO_FALSE: Final = frozenset({"prevent", "debounce"})


def as_attribute(*calls: JSCall) -> SafeString:
    """Give the attribute for an element that triggers signals, with a space at both ends."""
    return format_html(' {}="{}" ', ATTRIBUTE, json.dumps([call.as_dict() for call in calls]))
