"""Pieces of this project's own source files, for the pages to show: read from the files, so that they stay true."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent
from typing import TypeAlias

Definition: TypeAlias = ast.ClassDef | ast.FunctionDef

PROJECT = Path(__file__).resolve().parent.parent


def definition(file: str, name: str) -> str:
    """
    Return the source of one class, function or method, without indentation.

    Args:
        file: Path of a Python file inside the project.
        name: What is wanted, with the class before a method: "Chat.on_message".

    Raises:
        LookupError: If the file holds no such definition.
    """
    source = (PROJECT / file).read_text(encoding="utf-8")
    node: ast.Module | Definition = ast.parse(source)
    for part in name.split("."):
        node = _child(node, part, file)
    return dedent("\n".join(source.splitlines()[node.lineno - 1 : node.end_lineno]))


def _child(node: ast.AST, name: str, file: str) -> Definition:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition) and child.name == name:
            return child
    raise LookupError(f"no definition of {name!r} in {file}; mend the name in home/views.py")


def paragraph(file: str, holding: str) -> str:
    """
    Return the lines around a piece of text, from one blank line to the next.

    Args:
        file: Path of a file inside the project.
        holding: Text that stands in the wanted lines.

    Raises:
        LookupError: If the text is nowhere in the file.
    """
    for lines in (PROJECT / file).read_text(encoding="utf-8").split("\n\n"):
        if holding in lines:
            return dedent(lines).strip("\n")
    raise LookupError(f"no {holding!r} in {file}; mend the text in home/views.py")
