"""How a batch stands in JSON: lists of numbers, or base64 of their bytes, which become arrays here, and are checked."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import msgspec
import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.errors import WindvaneError
from windvane.metamodel.features.extractor import NAMES
from windvane.streams.events import Batch, Event, Ticks, Times

_REAL, _WHOLE = np.dtype(np.float64), np.dtype(np.int64)
LITTLE = np.dtype("<f8")
"""Of the bytes of a column in base64."""

WIDTHS = {"x": len(NAMES), "regime": 7}
"""Columns of the matrices that have a constant number of them."""


class WireError(WindvaneError):
    """Bytes are not an event; the message says why."""


class Field(NamedTuple):
    """A field of a kind of events."""

    name: str
    default: Any  # msgspec.NODEFAULT where it has none
    dtype: np.dtype[Any] | None  # of a column, None where it is no column
    named_by: str | None  # of a matrix: the field that names its columns, "" where that is a constant
    in_base64: bool


@cache
def types_of(kind: type[Event]) -> dict[str, Any]:
    """The type of every field, without its note: msgspec converts to such a type faster."""
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return {n: get_args(t)[0] if get_origin(t) is Annotated else t for n, t in types.items()}


@cache
def layout(kind: type[Event]) -> tuple[Field, ...]:
    """The fields of a kind, looked up once: a record of one row costs little else than such look-ups."""
    types = types_of(kind)
    matrices, packed = (kind.matrices, kind.in_base64) if issubclass(kind, Batch) else ({}, frozenset())
    return tuple(
        Field(f.name, f.default, _dtype(types[f.name]), matrices.get(f.name), f.name in packed)
        for f in msgspec.structs.fields(kind)
    )


@cache
def values_of(kind: type[Event]) -> Callable[[Any], tuple[Any, ...]]:
    """What looks up the values of all fields of an event, or of what was told of it, in the order of `layout`."""
    return attrgetter(*(field.name for field in layout(kind)))  # of two or more, so it returns a tuple


def _dtype(of: Any) -> np.dtype[Any] | None:
    known = {Floats: _REAL, Ints: _WHOLE, Times: _WHOLE}
    return next((known[t] for t in (of, *get_args(of)) if t in known), None)


class Base64(msgspec.Struct, gc=False):
    """A real column as its little-endian float64 bytes; JSON has them in base64."""

    shape: list[int]
    f8: bytearray  # which arrays may write to


_Digits = Annotated[str, msgspec.Meta(pattern="^-?[0-9]{1,19}$")]
_TOLD = {
    (_REAL, 1): list[float] | Base64,
    (_REAL, 2): list[list[float]] | Base64,
    (_WHOLE, 1): list[int],
    (_WHOLE, 2): list[list[int]],
}


def as_told(kind: type[Batch]) -> type[msgspec.Struct]:
    """A kind of batches as it stands in JSON, with lists of numbers for arrays: so msgspec looks at every number."""
    types, fields = types_of(kind), []
    for field, known in zip(layout(kind), msgspec.structs.fields(kind), strict=True):
        of = types[field.name]
        if field.dtype is not None:
            told: Any = _TOLD[field.dtype, 1 if field.named_by is None else 2]
            told = list[int | _Digits] if of is Times else told
            of = told if known.required else told | None
        fields.append((field.name, of) if known.required else (field.name, of, known.default))
    return msgspec.defstruct(kind.__name__, fields, tag=kind.__name__, kw_only=True, gc=False)


def batch_of(kind: type[Batch], told: Any, received: int | None) -> Batch:
    """The batch that was told of, after checking it. received: as `from_json` of `codec` has it.

    Raises WireError with the reason, or what numpy raises, where it is no batch.
    """
    n = len(told.seq)
    if n == 0:
        raise WireError("a batch needs one or more rows")
    fields: dict[str, Any] = {}
    for name, _, dtype, named_by, _ in layout(kind):
        value = getattr(told, name)
        if dtype is not None and value is not None:
            value = numbers_of(value, dtype) if type(value) is list else _unpacked(name, value)
            if named_by is None:
                expected: tuple[int, ...] = (n,)
            else:
                width = len(getattr(told, named_by)) if named_by else WIDTHS.get(name)
                expected = (n, *value.shape[1:2]) if width is None else (n, width)
            if value.shape != expected:
                raise _misshapen(name, value.shape, expected)
        fields[name] = value
    seq, most = fields["seq"], kind.most_a_row
    falls = n > 1 and ((seq[1:] < seq[:-1]).any() or (seq[most:] <= seq[:-most]).any())
    if told.seq[0] < 0 or falls:
        raise WireError("seq must grow from row to row, from 0 or more")
    if received is not None and kind is Ticks:
        fields["received"] = np.full(n, received)
    return kind(**fields)


def numbers_of(value: list[Any], dtype: np.dtype[Any]) -> np.ndarray:
    """A column that came as a list; JavaScript sends times as texts of digits, since its numbers end at 2^53."""
    if dtype is _WHOLE and str in map(type, value):
        value = [int(number) for number in value]
    return np.array(value, dtype)


def _misshapen(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> WireError:
    if shape[:1] != expected[:1]:
        return WireError(f"column {name} has {shape[0] if shape else 'no'} rows, seq has {expected[0]}")
    return WireError(f"column {name} has the shape {shape}, expected {expected}")


def _unpacked(name: str, column: Base64) -> Floats:
    array: Floats = np.ndarray(column.shape, LITTLE, column.f8)
    if array.nbytes != len(column.f8):
        raise WireError(
            f"column {name} has {len(column.f8)} bytes, its shape {column.shape} has {array.nbytes}"
        )
    if not all_finite(array):
        raise WireError(f"column {name} holds NaN or inf")
    return array


def all_finite(array: Floats) -> bool:
    """Whether no number of an array is NaN or inf."""
    return b"\0" not in np.isfinite(array).tobytes()  # `all` takes twice as long for one row
