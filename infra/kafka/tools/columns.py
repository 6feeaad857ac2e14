"""Events of one kind as a Parquet file, one row for each of their rows; a matrix becomes several named columns."""

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
    """Collects rows and writes them in groups; leaving the context writes the rest and closes the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unwritten: list[dict[str, Any]] = []
        self._rows = 0
        self._writer: pq.ParquetWriter | None = None

    def add(self, event: msgspec.Struct) -> None:
        """Add the rows of a batch, or one row for an event that has none."""
        columns = _of_batch(event) if isinstance(event, Batch) else _of_single(event)
        if self._unwritten and columns.keys() != self._unwritten[-1].keys():
            self._flush()  # a column that appears or goes is null in the other rows
        self._unwritten.append(columns)
        self._rows += len(next(iter(columns.values())))
        if self._rows >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._unwritten:
            return
        joined = {name: np.concatenate([c[name] for c in self._unwritten]) for name in self._unwritten[0]}
        table = pa.table({name: pa.array(column.tolist()) for name, column in joined.items()})
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        schema = self._writer.schema
        columns = [
            table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(len(table), f.type)
            for f in schema
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=schema))
        self._unwritten, self._rows = [], 0

    def __enter__(self) -> "ColumnsFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()


def _of_batch(batch: Batch) -> dict[str, Any]:
    """The columns of a batch; those of a matrix are named after what the batch says that they are."""
    columns: dict[str, Any] = {}
    for name in batch.__struct_fields__:
        value = getattr(batch, name)
        if not isinstance(value, np.ndarray):
            continue
        if value.ndim == 1:
            columns[name] = value
            continue
        named_by = batch.matrices.get(name)
        labels = getattr(batch, named_by) if named_by else range(value.shape[1])
        columns |= {f"{name}_{label}": value[:, i] for i, label in enumerate(labels)}
    return columns


def _of_single(event: msgspec.Struct) -> dict[str, Any]:
    """The fields of an event as columns of one row: plain ones as they are, all others as JSON."""
    columns: dict[str, Any] = {"event": np.array([type(event).__name__], object)}
    for name, value in msgspec.to_builtins(event).items():
        plain = isinstance(value, str | int | float | bool)
        columns[name] = np.array([value if plain else msgspec.json.encode(value).decode()], object)
    return columns
