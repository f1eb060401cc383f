"""Arguments that are given by name, checked and converted by the annotations of the function that takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dtws_sio.exceptions import ValidationError
from dtws_sio.validation import hints
from dtws_sio.validation.checks import check_for, or_none
from dtws_sio.validation.refusals import Findings, RefusedError, short_name

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Mapping

    from dtws_sio.validation.checks import Known
    from dtws_sio.validation.refusals import Check, Seen


@dataclass(frozen=True, slots=True)
class NamedConverter:
    """
    Checks and converts what one function is called with by name. Made by `make_named_converter`.

    Attributes:
        annotations: What each argument is annotated with; Any where nothing is asked for.
        required: The names of those that have no default.
        accepts_any: Whether `**name` takes what has no name of its own.
    """

    annotations: Mapping[str, Any]
    required: tuple[str, ...]
    accepts_any: bool
    _checks: Mapping[str, Check] = field(default_factory=dict)
    _rest: Check | None = None

    def __call__(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """
        Give new arguments; no list or object in them is one of those that were given.

        Raises:
            ValidationError: If one is missing, unknown, or not what its annotation asks for.
        """
        findings = Findings()
        try:
            self._find_names(values, findings)
            names = [name for name in values if self._takes(name)]
            converted = findings.convert(((name, self._check_of(name), values[name]) for name in names), {})
            findings.settle()
        except RefusedError as refused:
            raise ValidationError(refused.errors) from refused
        return dict(zip(names, converted, strict=True))

    def _find_names(self, values: Mapping[str, Any], findings: Findings) -> None:
        for name in self.required:
            if name not in values:
                findings.add(name, "is missing")
        for name in values:
            if not self._takes(name):
                findings.add(short_name(name), "is unknown")

    def _takes(self, name: str) -> bool:
        return self.accepts_any or name in self.annotations

    def _check_of(self, name: str) -> Check:
        check = self._checks.get(name) if name in self.annotations else self._rest
        return _copy if check is None else lambda value, seen: check(copied(value), seen)


def make_named_converter(function: Callable[..., Any], leading: int) -> NamedConverter:
    """
    Look at the parameters of a function, once.

    Args:
        function: The function.
        leading: How many arguments at the beginning are not given by name; they are left alone.

    Raises:
        SignatureError: If an annotation is one that no client could fit.
        ValueError: If the function tells nothing of its parameters.

    Source: rows S-02 and S-03.
    """
    named = hints.named_parameters(function, leading)
    rest = next((each for each in named if each.kind is each.VAR_KEYWORD), None)
    single = [each for each in named if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    known: Known = {}
    checks = {each.name: _check(each, known) for each in single}
    return NamedConverter(
        {each.name: each.annotation for each in single},
        tuple(each.name for each in single if each.default is each.empty),
        rest is not None,
        {name: check for name, check in checks.items() if check is not None},
        None if rest is None else _check(rest, known),
    )


def _check(parameter: inspect.Parameter, known: Known) -> Check | None:
    check = check_for(parameter.annotation, known)
    return or_none(check) if check is not None and parameter.default is None else check


def _copy(value: Any, seen: Seen) -> Any:
    return copied(value)


def copied(value: Any) -> Any:
    """Copy lists and dicts, however nested; what else is in them stays the same object."""
    if type(value) is dict:
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple, set):
        return type(value)(map(copied, value))
    return value
