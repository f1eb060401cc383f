"""
From an annotation to the check of a value. Each kind of annotation has one function, and one line in a table below.

JSON's types are taken as they are: text is no number, true is not 1, and null is nothing but null.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Union

from django.db.models import Model

from dtws_sio.exceptions import SignatureError
from dtws_sio.validation import forms, hints
from dtws_sio.validation.plain import PLAIN, Plain, Read
from dtws_sio.validation.refusals import Findings, RefusedError, call, mismatch, short_name
from dtws_sio.validation.validators import is_same, one_of

if TYPE_CHECKING:
    from dtws_sio.validation.refusals import Check, Seen

Known = dict[Any, "Check"]
"""The checks of classes with fields and of aliases, by these; one that holds itself is made once."""


def check_for(annotation: Any, known: Known) -> Check | None:
    """
    Make the check of an annotation; None if it lets everything pass.

    Raises:
        SignatureError: If it is a Django model, which nothing that a client sends can be.
    """
    annotation, _ = hints.unqualified(annotation)
    origin = typing.get_origin(annotation) or annotation
    arguments = typing.get_args(annotation)
    for applies, make in _KINDS:
        if applies(origin):
            return make(origin, arguments, known)
    return None


def _anything(value: Any, seen: Seen) -> Any:
    return value


def _checks(annotations: Iterable[Any], known: Known) -> list[Check]:
    return [check_for(each, known) or _anything for each in annotations]


# Plain values


def _plain(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check:
    return PLAIN[origin]


def _literal(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check:
    values = [(_raw(each), each) for each in arguments]
    expected = one_of(raw for raw, _ in values)

    def check(value: Any, seen: Seen) -> Any:
        for raw, each in values:
            if is_same(raw, value):
                return each
        raise mismatch(expected, value)

    return check


def _raw(member: Any) -> Any:
    return member.value if isinstance(member, enum.Enum) else member


def _enum(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check:
    """Take a member by its value; the class's own `_missing_` is asked too."""
    expected = one_of(map(_raw, origin))

    def check(value: Any, seen: Seen) -> Any:
        if isinstance(value, origin):
            return value
        try:
            member = origin(value)
        except (ValueError, TypeError) as error:
            raise mismatch(expected, value) from error
        if isinstance(value, bool) != isinstance(member.value, bool):
            raise mismatch(expected, value)
        return member

    return check


# Several values


def _list(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check:
    make = _LISTS[origin]
    [item] = _checks(arguments[:1], known) or [_anything]

    def check(value: Any, seen: Seen) -> Any:
        if not isinstance(value, (list, tuple)):
            raise mismatch("a list", value)
        return make(_items(value, item, seen))

    return check


def _items(value: Any, item: Check, seen: Seen) -> list[Any]:
    if item is _anything:
        return list(value)
    findings = Findings()
    converted = findings.convert(((index, item, each) for index, each in enumerate(value)), seen)
    findings.settle()
    return converted


def _set_of(make: Callable[[Any], Any]) -> Callable[[list[Any]], Any]:
    def made(items: list[Any]) -> Any:
        try:
            return make(items)
        except TypeError as error:
            raise RefusedError("should be a list of plain values") from error

    return made


_LISTS: Final[Mapping[Any, Callable[[list[Any]], Any]]] = {
    **dict.fromkeys(
        (
            list,
            collections.abc.Collection,
            collections.abc.Iterable,
            collections.abc.MutableSequence,
            collections.abc.Sequence,
        ),
        list,
    ),
    **dict.fromkeys((set, collections.abc.Set, collections.abc.MutableSet), _set_of(set)),
    frozenset: _set_of(frozenset),
}


def _tuple(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check:
    if not arguments or arguments[-1] is ...:
        several = _list(list, arguments, known)
        return lambda value, seen: tuple(several(value, seen))
    checks = _checks(arguments, known)
    expected = f"a list of {len(checks)}"

    def check(value: Any, seen: Seen) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(checks):
            raise mismatch(expected, value)
        findings = Findings()
        converted = findings.convert(zip(range(len(checks)), checks, value, strict=True), seen)
        findings.settle()
        return tuple(converted)

    return check


def _dict(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check:
    key, item = _checks(arguments, known) or [_anything, _anything]
    if arguments and arguments[0] is int:
        key = Read(int, "a whole number", _whole)  # JSON's keys are text

    def check(value: Any, seen: Seen) -> Any:
        if not isinstance(value, dict):
            raise mismatch("an object", value)
        if item is key is _anything:
            return value
        findings = Findings()
        keys = findings.convert(((name, key, name) for name in value), seen)
        items = findings.convert(((name, item, each) for name, each in value.items()), seen)
        findings.settle()
        return dict(zip(keys, items, strict=True))

    return check


def _whole(text: str) -> int | None:
    """Read a number that has one form only, so that two keys are never the same number."""
    number = int(text)
    return number if str(number) == text else None


_DICTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


# Classes with fields


@dataclass(slots=True)
class _Fields:
    """An object with the fields of a class, and no others; they are filled in when its check is there already."""

    build: Callable[..., Any]
    checks: dict[str, Check] = dataclasses.field(default_factory=dict)
    required: tuple[str, ...] = ()

    def __call__(self, value: Any, seen: Seen) -> Any:
        if not isinstance(value, dict):
            raise mismatch("an object", value)
        findings = Findings()
        for name in self.required:
            if name not in value:
                findings.add(name, "is missing")
        for name in value:
            if name not in self.checks:
                findings.add(short_name(name), "is unknown")
        present = [name for name in self.checks if name in value]
        converted = findings.convert(((name, self.checks[name], value[name]) for name in present), seen)
        findings.settle()
        return call(self.build, **dict(zip(present, converted, strict=True)))


def _dataclass(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check:
    if origin not in known:
        known[origin] = check = _Fields(origin)
        fields = [each for each in dataclasses.fields(origin) if each.init]
        found = hints.of_class(origin)
        check.checks.update((each.name, check_for(found.get(each.name, Any), known) or _anything) for each in fields)
        missing = dataclasses.MISSING
        check.required = tuple(
            each.name for each in fields if each.default is missing and each.default_factory is missing
        )
    return known[origin]


def _typed_dict(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check:
    if origin not in known:
        known[origin] = check = _Fields(dict)
        required = set(origin.__required_keys__)
        for name, annotation in hints.of_class(origin).items():
            check.checks[name] = check_for(annotation, known) or _anything
            # Python below 3.11 does not see these in annotations that are text.
            _, said = hints.unqualified(annotation)
            if "NotRequired" in said:
                required.discard(name)
            elif "Required" in said:
                required.add(name)
        check.required = tuple(name for name in check.checks if name in required)
    return known[origin]


# One of several


def _union(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check | None:
    # A float takes whole numbers as well, so it comes last.
    members = sorted((each for each in arguments if each is not types.NoneType), key=lambda each: each is float)
    made = [check_for(each, known) for each in members]
    checks = [each for each in made if each is not None]
    if len(checks) < len(made):
        return None  # one of them lets everything pass
    if types.NoneType not in arguments:
        return _Either(tuple(checks))
    return or_none(checks[0] if len(checks) == 1 else _Either((*checks, PLAIN[types.NoneType])))


def or_none(check: Check) -> Check:
    """Let null pass a check as well."""
    return lambda value, seen: None if value is None else check(value, seen)


@dataclass(frozen=True, slots=True)
class _Either:
    """
    The first that a value fits, in the order in which they are written.

    What a list or an object came to is kept during the call. Otherwise a union of classes that hold the same union
    would look at what is nested `n` deep 2**n times, and a client chooses `n`.
    """

    checks: tuple[Check, ...]

    def __call__(self, value: Any, seen: Seen) -> Any:
        if not isinstance(value, (dict, list)):
            return self._first(value, seen)
        key = id(self), id(value)
        if key not in seen:
            try:
                seen[key] = self._first(value, seen)
            except RefusedError as refused:
                seen[key] = refused
        found = seen[key]
        if isinstance(found, RefusedError):
            raise RefusedError(found.errors, found.expected)
        return found

    def _first(self, value: Any, seen: Seen) -> Any:
        refusals = []
        for check in self.checks:
            try:
                return check(value, seen)
            except RefusedError as refused:
                refusals.append(refused)
        raise _summary(refusals, value)


def _summary(refusals: list[RefusedError], value: Any) -> RefusedError:
    """Say what a value could have been; or, if it was of the right kind for some, what the nearest one misses."""
    near = [refused for refused in refusals if refused.expected is None]
    if near:
        return min(near, key=_distance)
    return mismatch(" or ".join(dict.fromkeys(str(refused.expected) for refused in refusals)), value)


def _distance(refused: RefusedError) -> tuple[int, int]:
    """Count first what is wrong on the level of the value itself: there stands what tells the alternatives apart."""
    return sum("." not in path for path in refused.errors), len(refused.errors)


def _alias(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check:
    """Check what `type Name = ...` stands for, which may hold the name itself."""
    if origin not in known:
        known[origin] = later = _Later()
        later.check = check_for(hints.aliased(origin), known) or _anything
    return known[origin]


@dataclass(slots=True)
class _Later:
    check: Check = _anything

    def __call__(self, value: Any, seen: Seen) -> Any:
        return self.check(value, seen)


def _unread(origin: Any, arguments: tuple[Any, ...], known: Known) -> None:
    """Let pass what is named by text inside of an annotation, where Python 3.10 does not look: `list["Item"]`."""
    hints.logger.warning("an item or a field is not validated, as its annotation is still text: %r", origin)


# What is called


def _annotated(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check | None:
    check = check_for(arguments[0], known)
    validators = [each for each in arguments[1:] if callable(each)]
    if not validators:
        return check

    def checked(value: Any, seen: Seen) -> Any:
        if check is not None:
            value = check(value, seen)
        for validator in validators:
            value = _validated(validator, value, seen)
        return value

    return checked


def _validated(validator: Callable[[Any], Any], value: Any, seen: Seen) -> Any:
    """Call a validator; one that returns None has only looked at the value, as Django's do."""
    answer = call(validator, value)
    return value if answer is None else answer


def _callable(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check | None:
    return partial(_validated, origin)


def _class(origin: Any, arguments: tuple[Any, ...], known: Known) -> Check | None:
    """Check what a class of the project's is made from, and make one. Source: row S-22."""
    if issubclass(origin, Model):
        raise SignatureError(
            f"a handler's argument is annotated with the model {origin.__qualname__}, which no client can send; "
            "annotate it with the type of its key, or with a form"
        )
    made = forms.check_for(origin)
    if made is not None:
        return made
    if inspect.isabstract(origin) or origin.__module__ == "numbers":
        return Plain(origin, short_name(origin.__name__))
    base = next((each for each in origin.__mro__ if each in _BUILT_IN), None)
    check_base = None if base is None else check_for(base, known)

    def check(value: Any, seen: Seen) -> Any:
        if isinstance(value, origin):
            return value
        return call(origin, value if check_base is None else check_base(value, seen))

    return check


_BUILT_IN: Final = frozenset({*PLAIN, *_LISTS, *_DICTS, tuple})


def _is_class(origin: Any) -> bool:
    return isinstance(origin, type)


_TYPING: Final = frozenset({"annotationlib", "typing", "typing_extensions"})


def _is_unchecked(origin: Any) -> bool:
    """Tell what says nothing of a value, or nothing that can be checked: Any, protocols, and the rest of typing."""
    if any(origin is each for each in (Any, object, type)) or getattr(origin, "_is_protocol", False) is True:
        return True
    return (origin if _is_class(origin) else type(origin)).__module__ in _TYPING


def _is_among(those: Iterable[Any]) -> Callable[[Any], bool]:
    return lambda origin: any(origin is each for each in those)


Maker = Callable[[Any, tuple[Any, ...], Known], "Check | None"]

_KINDS: Final[tuple[tuple[Callable[[Any], bool], Maker], ...]] = (
    (_is_among([typing.Annotated]), _annotated),
    (_is_among([Union, types.UnionType]), _union),
    (_is_among([Literal]), _literal),
    (lambda origin: type(origin).__name__ == "TypeAliasType", _alias),
    (lambda origin: isinstance(origin, (str, typing.ForwardRef)), _unread),
    (_is_unchecked, lambda origin, arguments, known: None),
    (_is_among(PLAIN), _plain),
    (_is_among(_LISTS), _list),
    (_is_among([tuple]), _tuple),
    (_is_among(_DICTS), _dict),
    (lambda origin: _is_class(origin) and hasattr(origin, "__required_keys__"), _typed_dict),
    (lambda origin: _is_class(origin) and dataclasses.is_dataclass(origin), _dataclass),
    (lambda origin: _is_class(origin) and issubclass(origin, enum.Enum), _enum),
    (_is_class, _class),
    (callable, _callable),
)
"""Which annotations are meant, and what makes their check; the first that applies."""
