"""Events to bytes and back: JSON for topics, packed columns for journals and snapshots.

JSON is what other people read: an object of arrays, the feature matrix as base64 of its little-endian float64 bytes.
Packed is what this program reads again: a JSON head that names the arrays, then the bytes of the arrays.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Union

import msgspec
import numpy as np
import orjson

from windvane.streams import events as ev
from windvane.streams.opening import SentOpening, completed
from windvane.streams.wire import WireError, all_finite, as_told, batch_of, layout, types_of, values_of

__all__ = [
    "BY_NAME",
    "KIND_OF",
    "MAX_ROWS",
    "Packed",
    "WireError",
    "cuts",
    "decoder",
    "from_json",
    "from_packed",
    "pack",
    "packed",
    "parts_of",
    "to_json",
    "to_packed",
    "unpack",
]

MAX_ROWS = 256
"""Largest number of rows in one record of a topic."""

_MOST_BYTES = 500_000
_LONG = 16_384
_FEW = 16

_TYPES = (
    ev.BookOpened,
    ev.BookClosed,
    ev.Ticks,
    ev.Features,
    ev.Proposals,
    ev.Decisions,
    ev.Orders,
    ev.Fills,
    ev.Statements,
    ev.Shadows,
    ev.LearnerUpdate,
    ev.Control,
    ev.Model,
    ev.DeadLetter,
)
BY_NAME: dict[str, type[ev.Event]] = {t.__name__: t for t in _TYPES}

KIND_OF: dict[type[msgspec.Struct], type[ev.Batch]] = {
    as_told(kind): kind for kind in BY_NAME.values() if issubclass(kind, ev.Batch)
}
_SINGLE = (
    SentOpening,
    *(t for t in BY_NAME.values() if not issubclass(t, ev.Batch) and t is not ev.BookOpened),
)
decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Union[*KIND_OF, *_SINGLE])
"""What reads a record as it was told; of a batch that is a type of `KIND_OF`, whose columns are no arrays yet."""

_encoder = msgspec.json.Encoder()


def _fields(event: ev.Event) -> Iterator[tuple[str, Any]]:
    """Names and values of the fields that are written: not those that are absent or at their default."""
    for name, default, dtype, _, _ in layout(type(event)):
        value = getattr(event, name)
        if value is not None and (dtype is not None or default is msgspec.NODEFAULT or value != default):
            yield name, value


def to_json(event: ev.Event) -> bytes:
    """Return an event as JSON, one record of a topic; raises WireError where a column holds NaN or inf."""
    kind = type(event)
    out: dict[str, Any] = {"type": kind.__name__}
    for (name, default, dtype, _, in_base64), value in zip(layout(kind), values_of(kind)(event), strict=True):
        if value is None:
            continue
        if in_base64:
            if not all_finite(value):
                raise _no_number(event, name)
            raw = _encoder.encode(value.astype("<f8", copy=False).tobytes())
            out[name] = {"shape": value.shape, "f8": orjson.Fragment(raw)}
        elif dtype is not None:
            # Of few numbers a list is written faster, to the same bytes.
            few = value.size <= _FEW
            out[name] = value.tolist() if few else np.ascontiguousarray(value)
        elif isinstance(value, msgspec.Struct):
            out[name] = msgspec.to_builtins(value)
        elif default is msgspec.NODEFAULT or value != default:
            out[name] = value
    told = orjson.dumps(out, option=orjson.OPT_SERIALIZE_NUMPY)
    if _may_hold_null(event, told):
        _check_numbers(event)
    return told


def _may_hold_null(event: ev.Event, told: bytes) -> bool:
    """Whether a number may have become null, as NaN and inf do: of many rows, to look at columns is faster."""
    if len(told) < _LONG or not isinstance(event, ev.Batch):
        return b"null" in told
    columns = (
        getattr(event, name)
        for name, _, dtype, _, in_base64 in layout(type(event))
        if dtype and not in_base64
    )
    return not all(column is None or all_finite(column) for column in columns)


def _check_numbers(event: ev.Event) -> None:
    for name, value in _fields(event):
        numbers = value if isinstance(value, np.ndarray | tuple) else ()
        if not all(math.isfinite(v) for v in np.ravel(numbers).tolist() if isinstance(v, float)):
            raise _no_number(event, name)


def _no_number(event: ev.Event, name: str) -> WireError:
    return WireError(f"{name} of {type(event).__name__} holds NaN or inf: it must not be sent")


def from_json(raw: bytes, received: int | None = None) -> ev.Event:
    """Return the event in a record, after checking it; raises WireError with the reason where it is none.

    An opening that leaves out settings or digest is completed. received: the broker's time of the record, UNIX ns,
    which ticks get instead of what their sender says.
    """
    try:
        told = decoder.decode(raw)
        if isinstance(told, SentOpening):
            told = completed(told)
        kind = KIND_OF.get(type(told))
        if kind is not None:
            return batch_of(kind, told, received)
    except WireError:
        raise
    except (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise WireError(f"not an event: {error}") from error
    _check_single(told)
    return told


def _check_single(event: ev.Event) -> None:
    """Refuse what cannot be written again, as it may be passed on or stored: JSON has integers of any size."""
    try:
        to_json(event)
    except TypeError as error:
        raise WireError(f"{type(event).__name__} cannot be written again: {error}") from error


def _row_bytes(batch: ev.Batch) -> int:
    """The most bytes that a row of a batch takes in JSON."""
    total = 0
    for name, _, dtype, _, in_base64 in layout(type(batch)):
        value = getattr(batch, name)
        if dtype is not None and value is not None:
            total += (11 if in_base64 else 25) * (value.size // len(batch))
    return total


def cuts(event: ev.Event, rows: int = MAX_ROWS) -> Iterator[ev.Event]:
    """Yield an event in pieces of at most `rows` rows and half a megabyte."""
    if not isinstance(event, ev.Batch) or len(event) == 1:
        yield event
        return
    rows = max(1, min(rows, _MOST_BYTES // _row_bytes(event)))
    for start in range(0, len(event), rows):
        yield ev.cut(event, start, start + rows)


_PLAIN = re.compile(r"[<>|][biuf][1248]")
"""Types of arrays that are read: numbers, and truth values."""


class Packed(NamedTuple):
    """A mapping of arrays and JSON values: a head that names them, and the bytes of the arrays."""

    head: dict[str, Any]
    raw: bytes


def packed(values: Mapping[str, Any]) -> Packed:
    """A copy of a mapping of arrays and JSON values, in the order of its names."""
    head: dict[str, Any] = {}
    parts: list[bytes] = []
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            head[name] = {"$": [value.dtype.str, list(value.shape)]}
            parts.append(value.tobytes())
        else:
            head[name] = msgspec.to_builtins(value)
    return Packed(head, b"".join(parts))


def parts_of(several: Iterable[Packed]) -> list[bytes]:
    """Several mappings as one, in parts that joined are what `unpack` reads; their names must differ."""
    several = list(several)
    text = orjson.dumps({name: value for one in several for name, value in one.head.items()})
    return [len(text).to_bytes(4, "little") + text, *(one.raw for one in several)]


def pack(values: Mapping[str, Any]) -> bytes:
    """Return a mapping of arrays and JSON values as bytes, in the order of its names."""
    return b"".join(parts_of([packed(values)]))


def unpack(raw: bytes) -> dict[str, Any]:
    """The mapping that `pack` wrote; its arrays are writable copies. Raises WireError on anything else."""
    try:
        size = int.from_bytes(raw[:4], "little")
        head = orjson.loads(raw[4 : 4 + size])
        if not isinstance(head, dict):
            raise ValueError("the head is not an object")
        at = 4 + size
        out: dict[str, Any] = {}
        for name, value in head.items():
            if isinstance(value, dict) and "$" in value:
                kind, shape = value["$"][0], value["$"][1]
                if not _PLAIN.fullmatch(kind):  # numpy would read objects, and parse texts as Python
                    raise ValueError(f"arrays of {kind} are not read")
                dtype, count = np.dtype(kind), math.prod(shape)
                out[name] = np.frombuffer(raw, dtype, count, at).reshape(shape).copy()
                at += count * dtype.itemsize
            else:
                out[name] = value
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise WireError(f"not packed columns: {error}") from error
    if at != len(raw):
        raise WireError(f"not packed columns: {len(raw) - at} bytes are left over")
    return out


def to_packed(event: ev.Event) -> bytes:
    """Return an event as the bytes of one record of a journal."""
    return pack({"type": type(event).__name__, **dict(_fields(event))})


def from_packed(raw: bytes) -> ev.Event:
    """Return the event in a record of a journal; raises WireError with the reason where it is none."""
    values = unpack(raw)
    name = values.pop("type", "")
    if not isinstance(name, str) or name not in BY_NAME:
        raise WireError(f"not an event: unknown type {name!r}")
    arrays = {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
    rest = {k: v for k, v in values.items() if k not in arrays}
    kind = BY_NAME[name]
    try:
        plain = {
            name: msgspec.convert(rest[name], of_field)
            for name, of_field in types_of(kind).items()
            if name in rest
        }
        whole: dict[str, Any] = {**plain, **arrays}
        return kind(**whole)
    except (msgspec.ValidationError, TypeError) as error:
        raise WireError(f"not an event: {error}") from error
