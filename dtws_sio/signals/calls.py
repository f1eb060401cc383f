"""
A queued call: one function connected to a signal, and what it will be called with.

It is made once where the signal was triggered, and from then on only travels: to a thread, to another process, through
a broker. Therefore it is plain data with a JSON form.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any, Final

from dtws_sio import json
from dtws_sio.exceptions import CallError

__all__ = ["Call", "CallError"]

BYTES: Final = "$bytes"
"""
The key of the object that stands for bytes in JSON, such as a file that a page sent; its value is base64.

An object that a page sent with this one key has another "$" before it meanwhile.
"""


@dataclass(frozen=True, slots=True)
class Call:
    """
    One call of one function.

    Attributes:
        signal: The name of the signal.
        function: Which of the functions connected to it, as `SignalConnection.name` says.
        kwargs: The arguments, as they were given: what converts them runs beside the function.
        window: `WindowInfo.to_dict()` of the window it is about; None without one.
        queue: The name of the queue it goes through, worked out once.
        eta: When to run it, as seconds since the epoch; None for as soon as possible.
        expires: From when on it must not run any more, as seconds since the epoch; None for never.
    """

    signal: str
    function: str
    kwargs: dict[str, Any]
    window: dict[str, Any] | None = None
    queue: str = "default"
    eta: float | None = None
    expires: float | None = None

    def __str__(self) -> str:
        """Name it for log lines, which never show arguments."""
        return f"{self.signal!r} ({self.function})"

    def is_expired(self, now: float) -> bool:
        """Tell whether it is too late to run it at a moment, in seconds since the epoch."""
        return self.expires is not None and now >= self.expires

    def to_json(self) -> str:
        """
        Write it as JSON; bytes stay bytes, and dates, decimals and UUIDs become text, as Django's encoder writes them.

        Raises:
            CallError: If an argument has no JSON form.
        """
        try:
            return dumps({name: getattr(self, name) for name in _RULES})
        except (TypeError, ValueError) as error:
            raise CallError(
                f"the arguments of the signal {self.signal!r} cannot be queued: {error}; give numbers, text, lists and "
                "dicts, and the primary key of a model's instance"
            ) from error

    @classmethod
    def from_json(cls, text: str) -> Call:
        """
        Read what `to_json` wrote.

        Raises:
            CallError: If it is something else; from another version of the project, for one.
        """
        try:
            values = loads(text)
        except ValueError as error:
            raise CallError(f"what came from a queue is not JSON: {error}") from error
        if not isinstance(values, dict) or values.keys() != _RULES.keys():
            named = sorted(values) if isinstance(values, dict) else type(values).__name__
            raise CallError(f"what came from a queue is no call: it has {named}, not {sorted(_RULES)}")
        for name, kinds in _RULES.items():
            if not isinstance(values[name], kinds) or isinstance(values[name], bool):
                raise CallError(f"what came from a queue is no call: {name} is {values[name]!r:.100}")
        return cls(**values)


def dumps(value: Any) -> str:
    """Write JSON in which bytes are bytes. Raises TypeError and ValueError as `dtws_sio.json.dumps` does."""
    text = json.dumps(value, _encode)
    return json.dumps(_escaped(value), _encode) if BYTES in text else text


def loads(text: str) -> Any:
    """Read what `dumps` wrote. Raises ValueError if it is not JSON."""
    value = json.loads(text)
    return _with_bytes(value) if BYTES in text else value


def _encode(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {BYTES: base64.b64encode(value).decode()}
    return json.encode_django_type(value)


def _with_bytes(value: Any) -> Any:
    """Put bytes where `_encode` wrote what stands for them."""
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {BYTES} and isinstance(value[BYTES], str):
        try:
            return base64.b64decode(value[BYTES], validate=True)
        except ValueError:
            return value
    is_escaped = _is_like_bytes(value)
    return {key[1:] if is_escaped else key: _with_bytes(item) for key, item in value.items()}


def _escaped(value: Any) -> Any:
    """Keep what looks like bytes from being read as such."""
    if isinstance(value, (list, tuple)):
        return [_escaped(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_like_bytes = _is_like_bytes(value)
    return {f"${key}" if is_like_bytes else key: _escaped(item) for key, item in value.items()}


def _is_like_bytes(value: dict[Any, Any]) -> bool:
    """Tell whether the only key is the one of bytes, escaped however often."""
    return len(value) == 1 and all(isinstance(key, str) and _LIKE_BYTES.fullmatch(key) for key in value)


_LIKE_BYTES: Final = re.compile(r"\$+bytes")

_TIME: Final = (int, float, type(None))

_RULES: Final[dict[str, Any]] = {
    "signal": str,
    "function": str,
    "kwargs": dict,
    "window": (dict, type(None)),
    "queue": str,
    "eta": _TIME,
    "expires": _TIME,
}
"""The fields, and what each may be in JSON."""
