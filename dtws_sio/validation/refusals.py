"""What is wrong with a value: messages by field, bounded in number and in length, whatever the client sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfoNotFoundError

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as DjangoValidationError

MOST_MESSAGES: Final = 20
"""Messages of one answer; whoever mends these may learn of the next."""

LONGEST_MESSAGE: Final = 200
"""Characters of one message."""

LONGEST_NAME: Final = 50
"""Characters of one part of a field's path: names that the client chose are in there too."""

LONGEST_PATH: Final = 200
"""Characters of a field's path."""

LONGEST_SHOWN: Final = 30
"""Characters of a refused value that a message shows."""

INVALID: Final = (ValueError, TypeError, ArithmeticError, DjangoValidationError, ZoneInfoNotFoundError)
"""What a validator raises to refuse a value. ArithmeticError is what Decimal and float raise. Source: row S-22."""

NOT_A_FIELD: Final = frozenset({NON_FIELD_ERRORS, "non_field_errors"})
"""What Django's forms and REST framework's serializers call the errors of a whole."""

Errors = dict[str, list[str]]
"""Messages by the dotted path of the part that they are about; "" is the whole value."""

Seen = dict[tuple[int, int], Any]
"""What the alternatives of a union made of a value, during one call; `dtws_sio.validation.checks` says why."""

Check = Callable[[Any, Seen], Any]
"""Gives a value in the form that the handler wants, never changing it in place, or raises `RefusedError`."""


class RefusedError(ValueError):
    """
    A value is not what it should be.

    Args:
        errors: The messages by path, or the one message about the whole value.
        expected: What it should have been, such as "a list", where it is something else altogether.
    """

    def __init__(self, errors: Errors | str, expected: str | None = None) -> None:
        self.errors = {"": [cut(errors, LONGEST_MESSAGE)]} if isinstance(errors, str) else errors
        self.expected = expected
        super().__init__(next((message for messages in self.errors.values() for message in messages), "is not valid"))


class Findings:
    """The errors of a value's parts, no more than are worth telling."""

    __slots__ = ("_count", "_errors")

    def __init__(self) -> None:
        self._errors: Errors = {}
        self._count = 0

    def add(self, name: object, message: str) -> None:
        """
        Note what is wrong with a part.

        Raises:
            RefusedError: If there are as many messages now as are told.
        """
        path = cut(str(name), LONGEST_PATH)
        self._errors.setdefault(path, []).append(cut(message, LONGEST_MESSAGE))
        self._count += 1
        if self._count >= MOST_MESSAGES:
            self.settle()

    def add_all(self, name: object, refused: RefusedError) -> None:
        """Note all that is wrong with a part, under its name; raises as `add` does."""
        for path, messages in refused.errors.items():
            for message in messages:
                self.add(joined(short_name(name), path), message)

    def convert(self, parts: Iterable[tuple[object, Check, Any]], seen: Seen) -> list[Any]:
        """Run each check on its value, and note what they refuse under the names of the parts."""
        converted = []
        for name, check, value in parts:
            try:
                converted.append(check(value, seen))
            except RefusedError as refused:
                self.add_all(name, refused)
            except RecursionError:
                self.add(short_name(name), "nests too deeply")
        return converted

    def settle(self) -> None:
        """Raise `RefusedError` if anything was found."""
        if self._errors:
            raise RefusedError(self._errors)


def mismatch(expected: str, value: Any) -> RefusedError:
    """Make the error for a value that is something else altogether."""
    return RefusedError(f"should be {expected}, not {shown(value)}", expected)


def call(function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Any:
    """
    Call a validator or a constructor of the project's.

    Raises:
        RefusedError: If it refuses what it is given; other errors are faults of the project and pass.
    """
    try:
        return function(*arguments, **named)
    except RefusedError:
        raise
    except INVALID as error:
        raise _refusal(error) from error


def _refusal(error: Exception) -> RefusedError:
    if isinstance(error, DjangoValidationError):
        return refused_by(error.message_dict if hasattr(error, "error_dict") else error.messages)
    if type(error).__module__.startswith("pydantic"):
        found = error.errors(include_url=False, include_context=False, include_input=False)  # type: ignore[attr-defined]
        return refused_by({".".join(map(short_name, each["loc"])): [each["msg"]] for each in found[:MOST_MESSAGES]})
    return RefusedError(str(error) if isinstance(error, ValueError) and str(error) else "is not valid")


def refused_by(errors: Any) -> RefusedError:
    """Make the error from what forms and serializers say: messages in lists and dicts, however nested."""
    gathered: Errors = {}
    for path, message in islice(_flattened(errors, ""), MOST_MESSAGES):
        gathered.setdefault(path, []).append(cut(message, LONGEST_MESSAGE))
    return RefusedError(gathered or "is not valid")


def _flattened(errors: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            yield from _flattened(inner, path if name in NOT_A_FIELD else joined(path, short_name(name)))
    elif isinstance(errors, (list, tuple)):
        for index, inner in enumerate(errors):
            yield from _flattened(inner, joined(path, str(index)) if isinstance(inner, (dict, list)) else path)
    else:
        yield path, str(errors)


def joined(path: str, rest: str) -> str:
    """Give the dotted path of a part's part."""
    return cut(f"{path}.{rest}", LONGEST_PATH) if path and rest else path or rest


def short_name(name: object) -> str:
    """Give one part of a path, no longer than names are."""
    return cut(str(name), LONGEST_NAME)


def cut(text: str, longest: int) -> str:
    """Give the beginning of a text that is too long."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def shown(value: Any) -> str:
    """Name a value in a page's terms, without showing much of it."""
    if isinstance(value, str):
        return repr(cut(value, LONGEST_SHOWN))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return repr(value) if isinstance(value, float) or value.bit_length() <= 64 else "a huge number"
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return f"a {short_name(type(value).__name__)}"


_KINDS: Final = (((list, tuple), "a list"), (dict, "an object"), ((bytes, bytearray, memoryview), "binary data"))
