"""Checks of values without parts: JSON's own types, and those that are written as text in it."""

from __future__ import annotations

import datetime
import decimal
import math
import types
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.forms.utils import from_current_timezone
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_duration, parse_time

from dtws_sio.json import LONGEST_NUMBER
from dtws_sio.validation.refusals import call, mismatch
from dtws_sio.validation.text import text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dtws_sio.validation.refusals import Check, Seen

LONGEST_TEXT: Final = 100
"""Characters of text that is read as a date, a UUID or the like."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A value of a type, or of one of several; a bool is no int."""

    kind: type | tuple[type, ...]
    expected: str

    def __call__(self, value: Any, seen: Seen) -> Any:
        if isinstance(value, self.kind) and (self.kind is bool or not isinstance(value, bool)):
            return value
        raise mismatch(self.expected, value)


@dataclass(frozen=True, slots=True)
class Read:
    """Text of a form that stands for another type; a value of that type passes as well."""

    kind: type
    expected: str
    read: Callable[[str], Any]

    def __call__(self, value: Any, seen: Seen) -> Any:
        if isinstance(value, self.kind):
            return value
        if isinstance(value, str) and len(value) <= LONGEST_TEXT:
            try:
                found = self.read(value)
            except (ValueError, ArithmeticError) as error:
                raise mismatch(self.expected, value) from error
            if found is not None:
                return found
        raise mismatch(self.expected, value)


def _float(value: Any, seen: Seen) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise mismatch("a finite number", value)


def _datetime(text: str) -> datetime.datetime | None:
    """Read a moment as Django's forms do: without an offset it is in the current time zone, if USE_TZ is set."""
    moment = parse_datetime(text)
    if moment is None:
        return None
    if settings.USE_TZ:
        return call(from_current_timezone, moment)  # type: ignore[no-any-return]
    return timezone.make_naive(moment) if timezone.is_aware(moment) else moment


def _decimal(value: Any, seen: Seen) -> decimal.Decimal:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = repr(value) if isinstance(value, float) or value.bit_length() < 4 * LONGEST_NUMBER else ""
    return _DECIMAL(value, seen)  # type: ignore[no-any-return]


def _read_decimal(text: str) -> decimal.Decimal | None:
    """Refuse what is no number, and 1E+999999: its digits, once written out, would fill the memory."""
    number = decimal.Decimal(text)
    return number if number.is_finite() and abs(number.adjusted()) <= LONGEST_NUMBER else None


def _zone(name: str) -> ZoneInfo | None:
    """Look a time zone up; names become paths of files, so that what is raised for a wrong one has many kinds."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return None


_DECIMAL: Final = Read(decimal.Decimal, "a decimal number", _read_decimal)
_BYTES: Final = Plain((bytes, bytearray, memoryview), "binary data")


def _bytes_as(kind: Callable[[Any], Any]) -> Check:
    return lambda value, seen: kind(_BYTES(value, seen))


PLAIN: Final[Mapping[Any, Check]] = {
    str: text,
    int: Plain(int, "a whole number"),
    float: _float,
    bool: Plain(bool, "true or false"),
    types.NoneType: Plain(types.NoneType, "null"),
    None: Plain(types.NoneType, "null"),  # as in list[None]
    bytes: _bytes_as(bytes),
    bytearray: _bytes_as(bytearray),
    memoryview: _bytes_as(memoryview),
    datetime.datetime: Read(datetime.datetime, "a date and time such as '2030-01-31T12:00:00Z'", _datetime),
    datetime.date: Read(datetime.date, "a date such as '2030-01-31'", parse_date),
    datetime.time: Read(datetime.time, "a time such as '12:00:00'", parse_time),
    datetime.timedelta: Read(datetime.timedelta, "a duration such as 'P1DT2H'", parse_duration),
    decimal.Decimal: _decimal,
    uuid.UUID: Read(uuid.UUID, "a UUID", uuid.UUID),
    ZoneInfo: Read(ZoneInfo, "a time zone such as 'Europe/Paris'", _zone),
}
