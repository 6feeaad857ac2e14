"""Events of one kind as a Parquet file, a row a row: matrices become columns named after what their columns are."""

from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from windvane.streams.events import Batch

_ROWS = 20_000


class ColumnsFile:
    """Collects rows and writes them in groups; closed on leaving the context."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: list[dict[str, Any]] = []
        self._rows = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, event: msgspec.Struct) -> None:
        """The rows of a batch, or one row of a single event."""
        columns = _of_batch(event) if isinstance(event, Batch) else _of_single(event)
        if self._held and columns.keys() != self._held[-1].keys():
            self._flush()  # columns that come and go are null where they are not
        self._held.append(columns)
        self._rows += len(next(iter(columns.values())))
        if self._rows >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        joined = {name: np.concatenate([c[name] for c in self._held]) for name in self._held[0]}
        table = pa.table({name: pa.array(column.tolist()) for name, column in joined.items()})
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        schema = self._writer.schema
        there = [
            table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
            for f in schema
        ]
        self._writer.write_table(pa.Table.from_arrays(there, schema=schema))
        self._held, self._rows = [], 0

    def __enter__(self) -> "ColumnsFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()


def _of_batch(batch: Batch) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in batch.__struct_fields__:
        value = getattr(batch, name)
        if not isinstance(value, np.ndarray):
            continue
        if value.ndim == 1:
            found[name] = value
            continue
        named_by = batch.matrices.get(name)
        labels = getattr(batch, named_by) if named_by else range(value.shape[1])
        found |= {f"{name}_{label}": value[:, i] for i, label in enumerate(labels)}
    return found


def _of_single(event: msgspec.Struct) -> dict[str, Any]:
    """Plain fields as they are, all else as its JSON."""
    found: dict[str, Any] = {"event": np.array([type(event).__name__], object)}
    for name, value in msgspec.to_builtins(event).items():
        plain = isinstance(value, str | int | float | bool)
        found[name] = np.array([value if plain else msgspec.json.encode(value).decode()], object)
    return found
