"""Records of one row each, read together: their numbers become one array a column, of which every event gets its part.

Where many books share a partition nearly every record has one row, and to make its dozen arrays takes longer than all
else that is done with it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from windvane.streams.codec import KIND_OF, decoder
from windvane.streams.events import Batch, Ticks
from windvane.streams.wire import LITTLE, WIDTHS, Base64, Field, all_finite, layout, numbers_of, values_of

_LONGEST = 4096
"""Bytes of a record that may have one row only; longer ones are left alone, so none of them is read twice."""

_FEWEST = 4
"""Records that are worth reading together."""


class Delivered(NamedTuple):
    """What a stage needs of a record."""

    offset: int
    value: bytes | None
    received: int | None  # broker's time, UNIX ns
    signature: bytes = b""  # that stands beside it


def events_of(records: Sequence[Delivered]) -> list[Batch | None]:
    """The events of those records that have one row each; None for every other, and where anything is wrong with it.

    What is None is to be read by `from_json`, which says what is wrong.
    """
    events: list[Batch | None] = [None] * len(records)
    if len(records) < _FEWEST:
        return events
    groups: dict[type[Batch], list[_Told]] = {}
    for place, (_, raw, _, _) in enumerate(records):
        if raw is None or len(raw) > _LONGEST:
            continue
        try:
            told = decoder.decode(raw)
        except (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError):
            continue
        kind = KIND_OF.get(type(told))
        if kind is not None and len(told.seq) == 1:
            groups.setdefault(kind, []).append(_Told(place, values_of(kind)(told)))
    for kind, group in groups.items():
        for alike in _alike(group):
            received = [records[place].received for place, _ in alike]
            for (place, _), event in zip(alike, _made(kind, alike, received), strict=True):
                events[place] = event
    return events


class _Told(NamedTuple):
    """A record of one row as it was told."""

    place: int  # among the records
    values: tuple[Any, ...]  # of its fields, in the order of `layout`


def _alike(group: list[_Told]) -> Iterable[list[_Told]]:
    """The group in parts of which each has values of the same types: nearly always one, since all have each column."""
    if all(len(set(map(type, column))) == 1 for column in zip(*(one.values for one in group), strict=True)):
        return (group,)
    parts: dict[tuple[type, ...], list[_Told]] = {}
    for one in group:
        parts.setdefault(tuple(map(type, one.values)), []).append(one)
    return parts.values()


def _made(
    kind: type[Batch], group: Sequence[_Told], received: Sequence[int | None]
) -> Sequence[Batch | None]:
    """The events of one kind, from values of the same types; None for all where one of them cannot be."""
    names = [field.name for field in layout(kind)]
    told = zip(*(one.values for one in group), strict=True)
    columns: dict[str, Sequence[Any]] = dict(zip(names, told, strict=True))
    try:
        for field in layout(kind):
            if field.dtype is not None and columns[field.name][0] is not None:
                columns[field.name] = _rows(field, field.dtype, columns)
    # What numpy says of rows of different lengths, of a shape that cannot be, and of numbers beyond 64 bits.
    except (ValueError, TypeError, OverflowError):
        return [None] * len(group)
    if min(seq[0] for seq in columns["seq"]) < 0:
        return [None] * len(group)
    if kind is Ticks and None not in received:
        columns["received"] = list(np.array(received, np.int64)[:, None])
    return [kind(**dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _rows(field: Field, dtype: np.dtype[Any], columns: dict[str, Sequence[Any]]) -> list[np.ndarray]:
    """One column of every event, (1,) or (1, k), as parts of one array; raises ValueError where one is misshapen."""
    told = columns[field.name]
    if type(told[0]) is Base64:
        shape = told[0].shape
        raw = bytearray().join([column.f8 for column in told])
        if any(column.shape != shape or len(column.f8) != len(told[0].f8) for column in told):
            raise ValueError("their shapes differ")
        array = np.ndarray((len(told), *shape), LITTLE, raw)
        if array.nbytes != len(raw) or not all_finite(array):
            raise ValueError("there are other bytes than the shape says, or no numbers in them")
    else:
        array = numbers_of([row for (row,) in told], dtype)[:, None]
    if array.shape[1:] != _expected(field, columns, array.shape[2:]):
        raise ValueError("their shape is not that of one row")
    return list(array)


def _expected(field: Field, columns: dict[str, Sequence[Any]], width: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a column of one row. width: () or (k,) as it came, for a matrix of any number of columns."""
    if field.named_by is None:
        return (1,)
    if field.named_by:
        (count,) = set(map(len, columns[field.named_by]))
        return (1, count)
    known = WIDTHS.get(field.name)
    return (1, *width[:1]) if known is None else (1, known)
