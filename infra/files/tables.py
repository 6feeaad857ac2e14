"""Files as tables of columns: packed or not, in text or binary."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from windvane.agents.base import Ints
from windvane.infra.files.errors import InputError

SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet", ".feather", ".json", ".json.gz")
SIMULATED = b"windvane.simulated"
"""Key in the metadata of a file that marks a simulated market."""


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a file, as they are written in it."""

    names: list[str] | None  # of the k columns as written, None without a header
    columns: list[Any]  # k pyarrow columns of n rows
    number: Ints  # (n,) row numbers in the file, from 1
    broken: Ints  # (b,) numbers of the rows with too many or too few fields, which are in no column
    notes: list[str]  # what was recognised, one sentence each
    simulated: bool = False  # whether the file says that its market is simulated

    def __len__(self) -> int:
        return len(self.number)


def read_table(path: Path) -> Table:
    """Read a file by its extension; raises InputError, which says in one sentence what is wrong with it."""
    name = path.name
    suffix = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if name.lower().endswith(s)), None)
    if not path.exists():
        raise InputError(f"{path} does not exist: check the path")
    if not path.is_file():
        raise InputError(f"{path} is not a file: name one file of it")
    if suffix is None:
        hint = "rename it to what is inside, such as .csv.gz, or " if name.lower().endswith(".gz") else ""
        raise InputError(
            f"{name} has an extension that is not known: {hint}give one of {', '.join(SUFFIXES)}"
        )
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{name} is empty (0 bytes): get the file again")
        if suffix in (".parquet", ".feather"):
            return _arrow(path, suffix)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror or error}): check the file") from error
    if suffix == ".zip":
        data, suffix = _unzip(name, data), ".csv"
    elif suffix.endswith(".gz"):
        data = _gunzip(name, data)
    if not data.strip():
        raise InputError(f"{name} is empty inside: get the file again")
    return _json(name, data) if suffix.startswith(".json") else _csv(name, data)


def _gunzip(name: str, data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except EOFError:
        raise InputError(f"{name} is only part of a gzip file (it breaks off): get the file again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name} is not a sound gzip file ({error}): get the file again") from None


def _unzip(name: str, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside = [f for f in archive.namelist() if not f.endswith("/") and not f.startswith("__MACOSX")]
            tables = [f for f in inside if f.lower().endswith(".csv")]
            if len(tables) != 1:
                raise InputError(
                    f"{name} holds {len(tables)} csv files among {len(inside)} files: "
                    "give a zip with exactly one csv file"
                )
            return archive.read(tables[0])
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{name} is not a sound zip file ({error}): get the file again") from None
    except (RuntimeError, NotImplementedError):  # what zipfile raises for a password or an unknown method
        raise InputError(f"{name} is encrypted or packed in an unknown way: unpack it to csv first") from None


def _arrow(path: Path, suffix: str) -> Table:
    import pyarrow as pa

    try:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.ParquetFile(path).read()
        else:
            import pyarrow.feather as feather

            table = feather.read_table(path)
    except (pa.ArrowException, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
        raise InputError(
            f"{path.name} is not a sound {suffix[1:]} file ({first}): get the file again"
        ) from None
    number = np.arange(1, table.num_rows + 1)
    simulated = SIMULATED in (table.schema.metadata or {})
    return Table(list(table.column_names), table.columns, number, np.empty(0, np.int64), [], simulated)


def _json(name: str, data: bytes) -> Table:
    import orjson
    import pyarrow as pa

    try:
        rows = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{name} is not sound JSON ({error}): get the file again") from None
    if isinstance(rows, list) and rows and all(isinstance(row, list) for row in rows):
        width = max(len(row) for row in rows)
        whole = np.array([len(row) == width for row in rows])
        names = None
        lists = list(zip(*(row for row in rows if len(row) == width), strict=True))
    elif isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        names = list(dict.fromkeys(key for row in rows for key in row))
        whole = np.ones(len(rows), bool)
        lists = [tuple(row.get(key) for row in rows) for key in names]
    else:
        raise InputError(f"{name} holds no list of rows: give a JSON list of lists or of objects")
    columns: list[Any] = []
    for values in lists:
        try:
            columns.append(pa.array(values))
        except (pa.ArrowException, OverflowError):  # numbers and text mixed
            columns.append(pa.array([None if value is None else str(value) for value in values]))
    number = np.arange(1, len(rows) + 1)
    return Table(names, [pa.chunked_array([c]) for c in columns], number[whole], number[~whole], [])


def _csv(name: str, data: bytes) -> Table:
    import pyarrow as pa
    import pyarrow.csv as csv

    head = data[:65_536]
    if b"\0" in head or sum(byte < 9 or 13 < byte < 32 for byte in head) * 50 > len(head):
        raise InputError(f"{name} is binary, not a csv file: check the extension")
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()][:3]
    if not lines:
        raise InputError(f"{name} is empty inside: get the file again")
    delimiter = max(",;\t|", key=lambda mark: lines[min(1, len(lines) - 1)].count(mark.encode()))
    notes: list[str] = []
    if len(lines) > 1 and delimiter.encode() not in lines[0] and delimiter.encode() in lines[1]:
        data = data[data.index(lines[0]) + len(lines[0]) :]
        lines = lines[1:]
        notes.append("first line skipped: it holds no columns")
    fields = [field.strip(b" \"'") for field in lines[0].split(delimiter.encode())]
    headed = not any(_is_number(field) for field in fields)
    broken: list[int] = []

    def leave_out(row: Any) -> str:
        broken.append(row.number - headed)
        return "skip"

    # No field of a market file needs its quotes, and to a parser a stray one swallows all that follows.
    if any(b'"' in line for line in lines) and all(line.count(b'"') % 2 == 0 for line in lines):
        data = data.replace(b'"', b"")
    for handler in (None, leave_out):
        try:
            table = csv.read_csv(
                io.BytesIO(data + b"\n"),  # one line without an end is no line to the parser
                # Row numbers of broken rows exist only where one thread reads.
                read_options=csv.ReadOptions(
                    use_threads=handler is None, autogenerate_column_names=not headed
                ),
                parse_options=csv.ParseOptions(
                    delimiter=delimiter, quote_char=False, invalid_row_handler=handler
                ),
            )
            names = [column.strip(" \"'") for column in table.column_names] if headed else None
            break
        except (pa.ArrowException, UnicodeDecodeError) as error:
            if handler is not None:
                first = str(error).splitlines()[0].rstrip(". ")
                raise InputError(f"{name} cannot be read as csv ({first}): check the file") from None
    if table.num_rows + len(broken) == 0:
        raise InputError(f"{name} has a header and no rows: get the file again")
    number = np.arange(1, table.num_rows + len(broken) + 1)
    out = np.array(broken, np.int64)
    return Table(names, table.columns, np.setdiff1d(number, out, assume_unique=True), out, notes)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
