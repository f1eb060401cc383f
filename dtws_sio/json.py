"""
JSON as Socket.IO packets carry it: orjson, with the types that Django's JSON encoder knows.

What orjson refuses and JavaScript may send or show, a lone surrogate or a number beyond 64 bits, goes through the
standard library instead, so that one odd character does not close a connection.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
from django.core.serializers.json import DjangoJSONEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME
"""Dates go to Django's encoder, whose form (milliseconds, "Z") differs from orjson's."""

LONGEST_NUMBER = 100
"""Digits of the longest number that is read; int() of many more costs quadratic time."""

DEEPEST = 400
"""How deep what is read may nest; whatever walks through it takes up to two of Python's 1,000 frames for each level."""

encode_django_type: Callable[[Any], Any] = DjangoJSONEncoder().default


def dumps(value: Any, default: Callable[[Any], Any] = encode_django_type, **_: Any) -> str:
    """
    Write a value as JSON text without spaces.

    Further keyword arguments of the standard library's `dumps` are accepted and have no effect, as python-socketio's
    managers pass some.

    Args:
        value: What to write.
        default: Called with each object that JSON has no form for; returns one that it has.

    Raises:
        TypeError: If an object is of a type that has no JSON form.
        ValueError: If it nests too deeply or is circular, or a number is not finite and orjson could not write the
            rest either.
    """
    try:
        return orjson.dumps(value, default, _OPTIONS).decode()
    except TypeError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        try:
            return json.dumps(value, default=default, separators=(",", ":"), allow_nan=False)
        except RecursionError as too_deep:
            raise ValueError("the data nests too deeply") from too_deep


def loads(text: str | bytes, **_: Any) -> Any:
    """
    Read JSON text; whole numbers beyond 64 bits become floats, as in JavaScript.

    Raises:
        ValueError: If it is not JSON, nests deeper than `DEEPEST`, or holds a number of more than `LONGEST_NUMBER`
            digits.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(text, parse_int=_short_int, parse_constant=_refuse)
        except RecursionError as error:
            raise ValueError("JSON nests too deeply") from error
    if len(text) > 2 * DEEPEST and _openings(text) > DEEPEST and _nests_deeper(value, DEEPEST):
        raise ValueError("JSON nests too deeply")
    return value


def _openings(text: str | bytes) -> int:
    """Count the brackets that begin lists and objects, and those in strings; nothing nests deeper."""
    if isinstance(text, str):
        return text.count("[") + text.count("{")
    return text.count(b"[") + text.count(b"{")


def _nests_deeper(value: Any, levels: int) -> bool:
    """Tell whether lists and objects nest deeper than so many levels, looking at one level after the other."""
    level = [value]
    for _ in range(levels + 1):
        level = [
            item
            for each in level
            if (kind := type(each)) is list or kind is dict
            for item in (each if kind is list else each.values())
        ]
        if not level:
            return False
    return True


def _short_int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits is too long, {LONGEST_NUMBER} are read")
    return int(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
