"""How a mutation finds its place in the sources, and the sources with the mutation in them."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class AnchorError(ValueError):
    """A mutation's place is not in the sources; the message says which name or text to look for."""


class Mutation(NamedTuple):
    """One fault, and the tests of which at least one must fail with it.

    The place is looked up by name, so that it is found after a file was moved. With an empty `old` the whole body of
    the function becomes `new`, but for its docstring.
    """

    name: str  # what is wrong with the code then, in words
    room: str  # folder below which the place is looked up, or a single file
    place: str  # Class.method, function, or a name that the module assigns; "" means the whole file
    old: str  # regular expression within the place; every match is replaced
    new: str  # the text instead, which is Python and not a pattern
    tests: tuple[str, ...]  # arguments of pytest: files or ids


class Edit(NamedTuple):
    """A file of the checkout as a mutation has it."""

    path: Path  # from the root
    text: str


def edit(root: Path, mutation: Mutation) -> Edit:
    """The file of a mutation, mutated; nothing is written. Raises AnchorError where the place is not there."""
    path, first, last, body = _place(root, mutation)
    lines = (root / path).read_text(encoding="utf-8").splitlines(keepends=True)
    segment = "".join(lines[first:last])
    if mutation.old:
        new = mutation.new
        mutated, count = re.subn(mutation.old, lambda _: new, segment, flags=re.MULTILINE)
        if not count:
            raise AnchorError(f"{mutation.name}: nothing in {_words(mutation)} matches {mutation.old!r}")
    else:
        head = "".join(lines[first : body.lineno - 1])
        mutated = head + textwrap.indent(textwrap.dedent(mutation.new).strip(), " " * body.col_offset) + "\n"
    if mutated == segment:
        raise AnchorError(f"{mutation.name}: {_words(mutation)} is already as the mutation would have it")
    return Edit(path, "".join([*lines[:first], mutated, *lines[last:]]))


def _words(mutation: Mutation) -> str:
    return f"{mutation.place} in {mutation.room}" if mutation.place else mutation.room


class _Found(NamedTuple):
    path: Path
    first: int  # index of its first line
    last: int  # index after its last line
    body: ast.stmt  # the first statement after the docstring; of an assignment the assignment itself


def _place(root: Path, mutation: Mutation) -> _Found:
    start = root / mutation.room
    if not mutation.place:
        if not start.is_file():
            raise AnchorError(f"{mutation.name}: there is no file {mutation.room}")
        count = len(start.read_text(encoding="utf-8").splitlines())
        return _Found(Path(mutation.room), 0, count, ast.Pass())
    paths = [start] if start.is_file() else sorted(start.rglob("*.py"))
    places = [
        _Found(path.relative_to(root), _first(node) - 1, node.end_lineno or 0, _body(node))
        for path in paths
        for name, node in _names(ast.parse(path.read_text(encoding="utf-8")))
        if name == mutation.place
    ]
    if len(places) != 1:
        raise AnchorError(
            f"{mutation.name}: there are {len(places)} places with the name {_words(mutation)}, not one"
        )
    return places[0]


def _names(tree: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """Functions, methods and assigned names of a module with their statements."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _names(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (
                (prefix + n.id, node) for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)
            )


def _first(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _body(node: ast.stmt) -> ast.stmt:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node
    return node.body[1] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body[0]
