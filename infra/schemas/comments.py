"""What the comment beside a field says: the one place where shapes and units are written down."""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from typing import Any, NamedTuple

import msgspec

_SHAPE = re.compile(r"^\((n(?:,\s*\w*)*)\)\s*(.*)$")


class Note(NamedTuple):
    """A field in words; shape: names of its dimensions, () where it is no column."""

    shape: tuple[str, ...]
    text: str


def notes_of(kind: type[Any]) -> dict[str, Note]:
    """Field name -> what its comment says, those of base classes included."""
    found: dict[str, Note] = {}
    for base in reversed(kind.__mro__):
        if base is not msgspec.Struct and issubclass(base, msgspec.Struct):
            found |= _own(base)
    return found


def _own(kind: type[Any]) -> dict[str, Note]:
    source = textwrap.dedent(inspect.getsource(kind))
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found: dict[str, Note] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            for comment in (comments[line] for line in lines if line in comments):
                found[node.target.id] = _note(comment)
    return found


def _note(comment: str) -> Note:
    match = _SHAPE.match(comment)
    if match is None:
        return Note((), comment)
    shape = tuple(part.strip() for part in match[1].split(",") if part.strip())
    return Note(shape, match[2])
