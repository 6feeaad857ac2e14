"""JSON to a table of columns: lists of rows, objects, one row a line, columns, and what interfaces wrap around them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from windvane.infra.files.errors import InputError
from windvane.infra.files.names import ROLE_OF, plain_name
from windvane.infra.files.tables import Table, is_binary

_DEEPEST = 5
_BOOKS = ({"bids", "asks"}, {"bs", "as"}, {"U", "u", "b", "a"})
"""Keys of an order book."""


def json_table(name: str, data: bytes, notes: list[str]) -> Table:
    """The rows of a JSON text; InputError where it is not sound or holds no table."""
    rows = _unwrapped(name, _parsed(name, data, notes), notes)
    if isinstance(rows, dict):
        return _of_columns(name, rows, notes)
    number = np.arange(1, len(rows) + 1)
    if all(isinstance(row, list) for row in rows):
        width = max(len(row) for row in rows)
        whole = np.array([len(row) == width for row in rows])
        lists = list(zip(*(row for row in rows if len(row) == width), strict=True))
        return Table(None, [_column(values) for values in lists], number[whole], number[~whole], notes)
    names = list(dict.fromkeys(key for row in rows for key in row))
    columns = [_column(tuple(row.get(key) for row in rows)) for key in names]
    return Table(names, columns, number, number[:0], notes)


def _parsed(name: str, data: bytes, notes: list[str]) -> Any:
    """The value of a text, of one value a line, or of either with NaN in it, which JSON does not know."""
    import orjson

    data = data.removeprefix(b"\xef\xbb\xbf").strip()
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        fault = error
    if not is_binary(data[:4096]):
        lines = [line for line in data.splitlines() if line.strip()]
        each_line = len(lines) > 1 and all(line.rstrip(b", \r")[-1:] in (b"}", b"]") for line in lines)
        each_line = each_line and all(line.lstrip()[:1] in (b"{", b"[") for line in lines)
        if each_line:
            data = b"[" + b",".join(line.strip().rstrip(b",") for line in lines) + b"]"
        for parse in (orjson.loads, json.loads):
            try:
                value = parse(data)
            except (ValueError, RecursionError):
                continue
            if each_line:
                notes.append("JSON lines: one row a line")
            return value
    raise InputError(f"{name} is not sound JSON ({fault}): get the file again")


def _is_rows(value: Any) -> bool:
    """Whether a value is a list of lists or of objects."""
    return (
        isinstance(value, list)
        and bool(value)
        and any(all(isinstance(row, kind) for row in value) for kind in (list, dict))
    )


def _is_columns(value: Any) -> bool:
    """Whether a value is an object of columns, each a list or an object of values by row."""
    if not isinstance(value, dict) or len(value) < 2:
        return False
    columns = list(value.values())
    if all(isinstance(column, dict) for column in columns):
        return (
            bool(columns[0])
            and all(column.keys() == columns[0].keys() for column in columns)
            and not any(isinstance(one, dict | list) for column in columns for one in column.values())
        )
    lists = [column for column in columns if isinstance(column, list)]
    return (
        len(lists) > 1
        and bool(lists[0])
        and all(len(column) == len(lists[0]) for column in lists)
        and not any(isinstance(one, dict | list) for column in lists for one in column)
    )


def _unwrapped(name: str, value: Any, notes: list[str]) -> Any:
    """The one table inside a value; interfaces put it below keys such as result or data."""
    if _is_rows(value):
        return value
    level: list[tuple[str, Any]] = [("", value)]
    for _ in range(_DEEPEST):
        for _, one in level:
            if isinstance(one, dict) and any(both <= one.keys() for both in _BOOKS):
                from windvane.infra.files.layouts import book_sentence

                raise InputError(book_sentence(name))
        split = [one for _, one in level if isinstance(one, dict) and {"columns", "data"} <= one.keys()]
        if split and _is_rows(split[0]["data"]) and isinstance(split[0]["columns"], list):
            rows = [dict(zip(map(str, split[0]["columns"]), row, strict=False)) for row in split[0]["data"]]
            if len(split[0].get("index", ())) == len(rows):
                rows = [{"": key, **row} for key, row in zip(split[0]["index"], rows, strict=True)]
            return rows
        tables = [(key, one) for key, one in level if _is_rows(one) or _is_columns(one)]
        if len(tables) > 1:
            keys = ", ".join(key for key, _ in tables[:10])
            raise InputError(f"{name} holds {len(tables)} tables ({keys}): give a file for each")
        if tables:
            if tables[0][0]:
                notes.append(f"rows read from {tables[0][0]}")
            return tables[0][1]
        level = [
            (f"{key}.{inner}" if key else str(inner), part)
            for key, one in level
            if isinstance(one, dict)
            for inner, part in one.items()
        ]
    raise InputError(f"{name} holds no list of rows: give a JSON list of lists or of objects")


def _of_columns(name: str, value: dict[str, Any], notes: list[str]) -> Table:
    """A table of columns; rows that are told by a key have it as a column without a name."""
    first = next(iter(value.values()))
    columns: dict[str, Any] = {}
    if isinstance(first, dict) and any(
        plain_name(key) in ROLE_OF for key in first
    ):  # one object a row, by its time
        columns[""] = tuple(value)
        columns |= {key: tuple(row[key] for row in value.values()) for key in first}
    elif isinstance(first, dict):
        columns[""] = tuple(first)
        columns |= {key: tuple(column.values()) for key, column in value.items()}
    else:
        columns |= {key: tuple(column) for key, column in value.items() if isinstance(column, list)}
    n = len(next(iter(columns.values())))
    number = np.arange(1, n + 1)
    return Table(list(columns), [_column(values) for values in columns.values()], number, number[:0], notes)


def _column(values: tuple[Any, ...]) -> Any:
    import pyarrow as pa

    try:
        return pa.chunked_array([pa.array(values)])
    except (pa.ArrowException, OverflowError):  # numbers and text mixed
        texts = [None if value is None else str(value) for value in values]
        return pa.chunked_array([pa.array(texts)])
