"""Events to bytes and back: JSON for topics, packed columns for journals and snapshots.

JSON is what other people read: an object of arrays, the feature matrix as base64 of its little-endian float64 bytes.
Packed is what this program reads again: a JSON head that names the arrays, then the bytes of the arrays.
"""

import base64
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import msgspec
import numpy as np
import orjson

from windvane.agents.base import Floats, Ints
from windvane.agents.errors import WindvaneError
from windvane.metamodel.features.extractor import NAMES
from windvane.streams import events as ev

MAX_ROWS = 256
"""Largest number of rows in one record of a topic."""

_MOST_BYTES = 500_000
_WIDTHS = {"x": len(NAMES), "regime": 7}

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
    ev.LearnerUpdate,
    ev.Control,
    ev.Model,
    ev.DeadLetter,
)
BY_NAME: dict[str, type[ev.Event]] = {t.__name__: t for t in _TYPES}
_BASE64 = {"x"}


class WireError(WindvaneError):
    """Bytes are not an event; the message says why."""


_REAL, _WHOLE = np.dtype(np.float64), np.dtype(np.int64)
_NUMBERS = {_REAL: frozenset((int, float)), _WHOLE: frozenset((int,))}


def _array(kind: Any, value: Any) -> Any:
    dtype = _REAL if kind is Floats else _WHOLE if kind is Ints else None
    if dtype is None:
        raise NotImplementedError(f"no decoding of {kind}")
    if isinstance(value, dict):
        if dtype is not _REAL:
            raise ValueError("only real columns may travel as base64")
        raw = base64.b64decode(value["f8"], validate=True)
        return np.frombuffer(raw, dtype="<f8").reshape(value["shape"]).astype(np.float64)
    if not isinstance(value, list):
        raise ValueError("a column must be an array")
    rows = value if value and isinstance(value[0], list) else (value,)
    allowed = _NUMBERS[dtype]
    for row in rows:
        if not allowed.issuperset(map(type, row)):
            raise ValueError("a column holds something that is not a number of its kind")
    return np.array(value, dtype=dtype)


_decoder = msgspec.json.Decoder(
    ev.BookOpened
    | ev.BookClosed
    | ev.Ticks
    | ev.Features
    | ev.Proposals
    | ev.Decisions
    | ev.Orders
    | ev.Fills
    | ev.Statements
    | ev.LearnerUpdate
    | ev.Control
    | ev.Model
    | ev.DeadLetter,
    dec_hook=_array,
)


class _Field(NamedTuple):
    """A field of a kind of events."""

    name: str
    default: Any  # msgspec.NODEFAULT where it has none
    is_column: bool
    named_by: str | None  # of a matrix: the field that names its columns, "" where that is a constant


@cache
def _layout(kind: type[ev.Event]) -> tuple[_Field, ...]:
    """The fields of a kind, looked up once: a record of one row costs little else than such look-ups."""
    matrices = kind.matrices if issubclass(kind, ev.Batch) else {}
    return tuple(
        _Field(f.name, f.default, "ndarray" in str(f.type), matrices.get(f.name))
        for f in msgspec.structs.fields(kind)
    )


def _fields(event: ev.Event) -> Iterator[tuple[str, Any]]:
    """Names and values of the fields that are written: not those that are absent or at their default."""
    for name, default, is_column, _ in _layout(type(event)):
        value = getattr(event, name)
        if value is not None and (is_column or default is msgspec.NODEFAULT or value != default):
            yield name, value


def _not_finite(columns: Sequence[tuple[str, Floats]]) -> str:
    """The name of the first real column that holds NaN or inf, "" where none does."""
    if not columns or np.isfinite(np.concatenate([value.ravel() for _, value in columns])).all():
        return ""  # one look at all columns, since of few rows a look costs more than the numbers
    return next(name for name, value in columns if not np.isfinite(value).all())


def to_json(event: ev.Event) -> bytes:
    """Return an event as JSON, one record of a topic; raises WireError where a column holds NaN or inf."""
    out: dict[str, Any] = {"type": type(event).__name__}
    real: list[tuple[str, Floats]] = []
    for name, value in _fields(event):
        if isinstance(value, np.ndarray):
            if value.dtype == _REAL:
                real.append((name, value))
            if name in _BASE64:
                raw = np.ascontiguousarray(value, dtype="<f8").tobytes()
                out[name] = {"shape": list(value.shape), "f8": base64.b64encode(raw).decode()}
            else:
                out[name] = np.ascontiguousarray(value)
        elif isinstance(value, tuple) and not all(math.isfinite(v) for v in value if isinstance(v, float)):
            raise WireError(f"{name} of {type(event).__name__} holds NaN or inf: it must not be sent")
        elif isinstance(value, msgspec.Struct):
            out[name] = msgspec.to_builtins(value)
        else:
            out[name] = value
    wrong = _not_finite(real)
    if wrong:
        raise WireError(f"column {wrong} of {type(event).__name__} holds NaN or inf: it must not be sent")
    return orjson.dumps(out, option=orjson.OPT_SERIALIZE_NUMPY)


def from_json(raw: bytes, received: int | None = None) -> ev.Event:
    """Return the event in a record, after checking it; raises WireError with the reason where it is none.

    received: the broker's time of the record, UNIX ns, which ticks get instead of what their sender says.
    """
    try:
        event = _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise WireError(f"not an event: {error}") from error
    if isinstance(event, ev.Batch):
        _check(event)
    else:
        _check_single(event)
    if isinstance(event, ev.Ticks) and received is not None:
        return msgspec.structs.replace(event, received=np.full(len(event), received))
    return event


def _check_single(event: ev.Event) -> None:
    """Refuse what cannot be written again, as it may be passed on or stored: JSON has integers of any size."""
    try:
        to_json(event)
    except TypeError as error:
        raise WireError(f"{type(event).__name__} cannot be written again: {error}") from error


def _check(batch: ev.Batch) -> None:
    seq = batch.seq
    n = len(seq)
    if seq.ndim != 1 or n == 0:
        raise WireError("a batch needs one or more rows")
    real: list[tuple[str, Floats]] = []
    for name, _, is_column, named_by in _layout(type(batch)):
        value = getattr(batch, name) if is_column else None
        if value is None:
            continue
        if named_by is not None or value.shape != (n,):
            _check_shape(batch, name, value, n)
        if value.dtype == _REAL:
            real.append((name, value))
    wrong = _not_finite(real)
    if wrong:
        raise WireError(f"column {wrong} holds NaN or inf")
    if (n > 1 and (seq[1:] <= seq[:-1]).any()) or seq[0] < 0:
        raise WireError("seq must grow from row to row, from 0 or more")


def _check_shape(batch: ev.Batch, name: str, value: np.ndarray, rows: int) -> None:
    if value.ndim == 0 or value.shape[0] != rows:
        raise WireError(f"column {name} has {value.shape[:1]} rows, seq has {rows}")
    named_by = batch.matrices.get(name)
    if value.ndim != (1 if named_by is None else 2):
        raise WireError(f"column {name} has {value.ndim} dimensions")
    if named_by is None:
        return
    width = len(getattr(batch, named_by)) if named_by else _WIDTHS.get(name, value.shape[1])
    if value.shape[1] != width:
        raise WireError(f"column {name} is {value.shape[1]} wide, expected {width}")


def _row_bytes(batch: ev.Batch) -> int:
    """The most bytes that a row of a batch takes in JSON."""
    total = 0
    for name, value in _fields(batch):
        if isinstance(value, np.ndarray):
            total += (11 if name in _BASE64 else 25) * (value.size // len(batch))
    return total


def cuts(event: ev.Event, rows: int = MAX_ROWS) -> Iterator[ev.Event]:
    """Yield an event in pieces of at most `rows` rows and half a megabyte."""
    if not isinstance(event, ev.Batch):
        yield event
        return
    if len(event) == 1:
        yield event
        return
    rows = max(1, min(rows, _MOST_BYTES // _row_bytes(event)))
    for start in range(0, len(event), rows):
        yield ev.cut(event, start, start + rows)


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
                dtype, shape = np.dtype(value["$"][0]), value["$"][1]
                count = math.prod(shape)
                if dtype.hasobject:
                    raise ValueError("arrays of objects are not read")
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


@cache
def _fields_of(kind: type[ev.Event]) -> dict[str, Any]:
    """The type of every field, without its note: msgspec converts to such a type faster."""
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return {n: get_args(t)[0] if get_origin(t) is Annotated else t for n, t in types.items()}


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
            for name, of_field in _fields_of(kind).items()
            if name in rest
        }
        whole: dict[str, Any] = {**plain, **arrays}
        return kind(**whole)
    except (msgspec.ValidationError, TypeError) as error:
        raise WireError(f"not an event: {error}") from error
