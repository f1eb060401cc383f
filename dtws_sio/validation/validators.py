"""Validators to annotate arguments with: text by its pattern, and values of a list. Both raise ValueError."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from dtws_sio.validation.refusals import RefusedError, cut, mismatch, shown
from dtws_sio.validation.text import text as check_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LONGEST_TEXT: Final = 1000
"""Characters that a pattern is tried on by default; one that backtracks takes far longer for longer text."""


LONGEST_CHOICES: Final = 120
"""Characters of the choices that a message names."""


class RE:
    r"""
    Text, or a number, that a regular expression matches from its beginning to its end.

    The handler gets what the first group matched, or the whole text where there is no group, as text also for a number.

        def on_order(self, sid, number: RE(r"A-(\d+)", caster=int)): ...

    Args:
        pattern: The regular expression. Let it be one without nested repetitions such as `(a+)+`: the time these take
            doubles with each character, and clients choose the text.
        caster: Called with the text; ValueError and TypeError mean that it is invalid.
        flags: Those of the `re` module.
        longest: Longer text is refused without a try.

    Source: row S-20.
    """

    def __init__(
        self,
        pattern: str,
        caster: Callable[[str], Any] | None = None,
        flags: int = 0,
        *,
        longest: int = LONGEST_TEXT,
    ) -> None:
        self.pattern = re.compile(pattern, flags)
        self.caster = caster
        self.longest = longest

    def __call__(self, value: Any) -> Any:
        """Give the text, or what the caster makes of it."""
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise mismatch("text", value)
        text = str(check_text(value, {}) if isinstance(value, str) else value)
        if len(text) > self.longest:
            raise RefusedError(f"is longer than {self.longest} characters")
        match = self.pattern.fullmatch(text)
        if match is None:
            raise RefusedError(f"does not have the right form: {shown(text)}")
        found = match[1] if self.pattern.groups else text
        return found if self.caster is None else self.caster(found)

    def __repr__(self) -> str:
        return f"RE({self.pattern.pattern!r})"


class Choice:
    """
    One of some values; JSON's true and false are not among the numbers 1 and 0.

    Args:
        values: What may be chosen.
        caster: Called with what the client sent, before it is compared; ValueError and TypeError mean that it is
            invalid.

    Source: row S-21.
    """

    def __init__(self, values: Iterable[Any], caster: Callable[[Any], Any] | None = None) -> None:
        self.values = tuple(values)
        self.caster = caster

    def __call__(self, value: Any) -> Any:
        """Give the value, or what the caster makes of it."""
        chosen = value if self.caster is None else self.caster(value)
        if any(is_same(chosen, each) for each in self.values):
            return chosen
        raise mismatch(one_of(self.values), value)

    def __repr__(self) -> str:
        return f"Choice({list(self.values)!r})"


def one_of(values: Iterable[Any]) -> str:
    """Name choices, as many of them as a message has room for."""
    return f"one of {cut(', '.join(map(repr, values)), LONGEST_CHOICES)}"


def is_same(one: Any, other: Any) -> bool:
    """Compare as JSON does, where true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
