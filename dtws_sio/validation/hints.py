"""Annotations as the objects that they name, on every version of Python that is supported."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
import sys
import typing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("dtws_sio.validation")

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

_QUALIFIERS: Final = frozenset({"ClassVar", "Final", "NotRequired", "ReadOnly", "Required"})
"""What may stand around a type and says nothing of the value; by name, as each also lives in typing_extensions."""


def parameters(function: Callable[..., Any], leading: int) -> list[tuple[int, inspect.Parameter]]:
    """
    Give the parameters of a function that take positional arguments, each with its place.

    Their annotations are resolved; one that cannot be is Any.

    Args:
        function: The function.
        leading: How many arguments at the beginning do not matter; `*name` may take others too.

    Raises:
        ValueError: If the function tells nothing of its parameters, as some written in C do.
    """

    def matters(place: int, each: inspect.Parameter) -> bool:
        return each.kind is each.VAR_POSITIONAL or (each.kind in _POSITIONAL and place >= leading)

    return _parameters(function, matters)


def named_parameters(function: Callable[..., Any], leading: int) -> list[inspect.Parameter]:
    """Give the parameters after the first ones, whatever their kind, as `parameters` does; raises what that raises."""
    return [each for _, each in _parameters(function, lambda place, _: place >= leading)]


def _parameters(
    function: Callable[..., Any], matters: Callable[[int, inspect.Parameter], bool]
) -> list[tuple[int, inspect.Parameter]]:
    if sys.version_info >= (3, 14):  # annotations are evaluated late there, and must not raise now
        import annotationlib

        signature = inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    else:
        signature = inspect.signature(function)
    source = _source(function)
    scope = getattr(source, "__globals__", {})
    where = str(getattr(source, "__qualname__", source))
    return [
        (place, each.replace(annotation=_resolved(each, scope, where)))
        for place, each in enumerate(signature.parameters.values())
        if matters(place, each)
    ]


def _resolved(parameter: inspect.Parameter, scope: dict[str, Any], where: str) -> Any:
    if parameter.annotation is parameter.empty:
        return Any
    return resolved(parameter.annotation, scope, f"{parameter.name!r} of {where}")


def _source(function: Any) -> Any:
    """Find the function that was written, below partials, decorators, bound methods and instances with `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__globals__") and not hasattr(function, "__func__"):
        function = type(function).__call__
    return getattr(function, "__func__", function)


def resolved(annotation: Any, scope: dict[str, Any], what: str) -> Any:
    """
    Give the object that an annotation names, or Any if it names none.

    A name that is imported for type checkers only is the usual cause; that must not stop a project that worked
    before, but whoever counts on the check is told.

    Args:
        annotation: The annotation: an object, or its source text.
        scope: The names that it may use.
        what: What is annotated, for the log.
    """
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, scope, include_extras=True)["it"]
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        logger.warning(
            "the argument or field %s is not validated, as its annotation cannot be read: %s; if that is imported "
            "below `if TYPE_CHECKING`, import it above",
            what,
            error,
        )
        return Any


def of_class(owner: type) -> dict[str, Any]:
    """Give the annotations of a dataclass or a TypedDict: all at once, or one by one where some cannot be resolved."""
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError):
        scope = {**vars(sys.modules[owner.__module__]), **vars(owner)}
        found = _annotations(owner).items()
        return {name: resolved(each, scope, f"{name!r} of {owner.__qualname__}") for name, each in found}


def _annotations(owner: type) -> dict[str, Any]:
    if dataclasses.is_dataclass(owner):
        return {each.name: each.type for each in dataclasses.fields(owner)}
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(owner, format=annotationlib.Format.FORWARDREF)
    return owner.__annotations__


def aliased(alias: Any) -> Any:
    """Give what `type Name = ...` stands for, or Any if that names nothing."""
    try:
        return alias.__value__
    except (NameError, AttributeError) as error:
        logger.warning("what is annotated with %s is not validated: %s", alias, error)
        return Any


def unqualified(annotation: Any) -> tuple[Any, frozenset[str]]:
    """Take `Required[...]` and the like off, and give what a NewType is for; tell what was taken off."""
    taken = set()
    while True:
        name = getattr(typing.get_origin(annotation), "_name", None)
        if name in _QUALIFIERS:
            taken.add(name)
            annotation = typing.get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        else:
            return annotation, frozenset(taken)
