"""The arguments of a handler, checked and converted by its annotations, which are looked at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dtws_sio.exceptions import ValidationError
from dtws_sio.validation import hints
from dtws_sio.validation.checks import check_for, or_none
from dtws_sio.validation.refusals import Findings, RefusedError

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Iterator

    from dtws_sio.validation.checks import Known
    from dtws_sio.validation.refusals import Check


def make_converter(function: Callable[..., Any], leading: int) -> Converter | None:
    """
    Look at the annotations of a handler, once.

    Args:
        function: The handler.
        leading: How many arguments at the beginning come from the server, such as the sid; they are left alone.

    Returns:
        What converts its arguments, or None if its annotations ask for nothing.

    Raises:
        SignatureError: If an annotation is one that no client could fit.

    Source: rows S-03 and S-22.
    """
    try:
        parameters = hints.parameters(function, leading)
    except ValueError:  # some functions written in C tell nothing
        return None
    known: Known = {}
    checks, rest = [], None
    for place, parameter in parameters:
        argument = _argument(parameter, place, known)
        if argument is None:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = argument
        else:
            checks.append(argument)
    return Converter(tuple(checks), rest, leading) if checks or rest else None


@dataclass(frozen=True, slots=True)
class _Argument:
    place: int
    name: str
    check: Check


def _argument(parameter: inspect.Parameter, place: int, known: Known) -> _Argument | None:
    check = check_for(parameter.annotation, known)
    if check is None:
        return None
    if parameter.default is None:
        check = or_none(check)  # JavaScript sends null for `undefined` too
    return _Argument(place, parameter.name, check)


@dataclass(frozen=True, slots=True)
class Converter:
    """
    Checks and converts the arguments of one handler. Made by `make_converter`.

    `checks` are those of single arguments, `rest` is that of all which `*name` takes, and the first `leading` arguments
    are left alone.
    """

    checks: tuple[_Argument, ...]
    rest: _Argument | None
    leading: int

    def __call__(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """
        Give new arguments for the handler; those that did not come keep their defaults.

        Args:
            arguments: All that the handler would be called with, those from the server among them.

        Raises:
            ValidationError: If any of them is not what its annotation asks for.
        """
        present = list(self._present(len(arguments)))
        findings = Findings()
        try:
            values = findings.convert(((name, check, arguments[place]) for place, name, check in present), {})
            findings.settle()
        except RefusedError as refused:
            raise ValidationError(refused.errors) from refused
        converted = list(arguments)
        for (place, _, _), value in zip(present, values, strict=True):
            converted[place] = value
        return tuple(converted)

    def _present(self, count: int) -> Iterator[tuple[int, str, Check]]:
        for each in self.checks:
            if each.place < count:
                yield each.place, each.name, each.check
        if self.rest is not None:
            first = max(self.rest.place, self.leading)
            for place in range(first, count):
                yield place, f"{self.rest.name}.{place - first}", self.rest.check
