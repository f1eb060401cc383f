"""
Text that can be written as UTF-8 and stored.

JSON can spell half of a surrogate pair, which no encoding has a form for, and the null character, which PostgreSQL does
not store and Django's forms refuse. Both raise far behind the handler's first line, wherever the text is used first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dtws_sio.validation.refusals import Findings, RefusedError, joined, mismatch, short_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dtws_sio.validation.refusals import Seen

Path = tuple["Path", object] | None
"""The place of a part: that of what holds it, and its name or index there; joined only if it has to be told."""


def text(value: Any, seen: Seen) -> str:
    """Check a value that should be text."""
    if not isinstance(value, str):
        raise mismatch("text", value)
    fault = fault_of(value)
    if fault is not None:
        raise RefusedError(fault)
    return value


def fault_of(value: str) -> str | None:
    """Say what a text holds that it should not, or None."""
    if "\0" in value:
        return "should not hold a null character"
    if value.isascii():
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return "should not hold one half of a surrogate pair"
    return None


def check_texts(value: Any) -> None:
    """
    Look at all text in a value, keys of objects among it, however deep.

    Raises:
        RefusedError: If some of it is none; it names the parts.
    """
    if _is_fit(value):
        return
    findings = Findings()
    for path, each in _texts(value):
        fault = fault_of(each)
        if fault is not None:
            findings.add(_dotted(path), fault)
    findings.settle()


def _is_fit(value: Any) -> bool:
    """Look at one level after the other, its text joined; for a megabyte, a sixth of the time that paths would take."""
    level = [value]
    while level:
        if fault_of("".join([each for each in level if isinstance(each, str)])) is not None:
            return False
        level = [
            item
            for each in level
            if isinstance(each, (dict, list, tuple))
            for item in ((*each, *each.values()) if isinstance(each, dict) else each)
        ]
    return True


def _texts(value: Any) -> Iterator[tuple[Path, str]]:
    waiting: list[tuple[Path, Any]] = [(None, value)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, str):
            yield path, each
        elif isinstance(each, dict):
            waiting.extend(((path, name), part) for name, item in each.items() for part in (name, item))
        elif isinstance(each, (list, tuple)):
            waiting.extend(((path, index), item) for index, item in enumerate(each))


def _dotted(path: Path) -> str:
    names: list[str] = []
    while path is not None:
        path, name = path
        names.append(short_name(name))
    dotted = ""
    for name in reversed(names):
        dotted = joined(dotted, name)
    return dotted
