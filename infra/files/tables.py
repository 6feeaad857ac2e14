"""Files as tables of columns: packed or not, in text or binary."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Ints
from windvane.infra.files.errors import InputError
from windvane.infra.files.paths import for_arrow

SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet", ".feather", ".json", ".json.gz", ".jsonl", ".jsonl.gz")
_ALSO = (".ndjson", ".ndjson.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
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

    def where(self, rows: NDArray[np.bool_]) -> Table:
        """The rows that a mask selects, under the numbers that they have in the file; no row is broken there."""
        import pyarrow as pa

        mask = pa.array(rows)
        columns = [column.filter(mask) for column in self.columns]
        return Table(self.names, columns, self.number[rows], self.broken[:0], self.notes, self.simulated)


def read_table(path: Path, *, encoding: str | None = None, decimal: str | None = None) -> Table:
    """Read a file by its extension; InputError says in one sentence what is wrong with it.

    encoding and decimal: of text files, None where they are to be recognised.
    """
    name = path.name
    known = (*SUFFIXES, *_ALSO)
    suffix = next((s for s in sorted(known, key=len, reverse=True) if name.lower().endswith(s)), None)
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
    data, notes = as_utf8(name, data, encoding)
    if "json" in suffix:
        from windvane.infra.files.json_tables import json_table

        return json_table(name, data, notes)
    return _csv(name, data, notes, decimal)


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


def as_utf8(name: str, data: bytes, encoding: str | None) -> tuple[bytes, list[str]]:
    """Text as UTF-8, and what was done to it; the encoding is recognised unless one is named."""
    if encoding is None:
        head = data[:4096]
        half = max(len(head) // 2, 1)
        if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
            encoding = "utf-32"
        elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
            encoding = "utf-16"
        elif head[1::2].count(0) > 0.9 * half and 0 not in head[::2]:
            encoding = "utf-16-le"
        elif head[::2].count(0) > 0.9 * half and 0 not in head[1::2]:
            encoding = "utf-16-be"
        elif data.isascii() or _is_utf8(data):
            return data, []
        elif not is_binary(head):
            return data.decode("cp1252", "replace").encode(), ["text is not UTF-8, and was read as cp1252"]
        else:
            return data, []
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is no text in {encoding} ({error.reason}): name another --encoding"
        ) from None
    return text.removeprefix("\ufeff").encode(), [f"text read as {encoding}"]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_binary(head: bytes) -> bool:
    """Whether these bytes are no text."""
    return b"\0" in head or sum(byte < 9 or 13 < byte < 32 for byte in head) * 50 > len(head)


def _arrow(path: Path, suffix: str) -> Table:
    import pyarrow as pa

    try:
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.ParquetFile(for_arrow(path)).read()
        else:
            import pyarrow.feather as feather

            table = feather.read_table(for_arrow(path))
    except (pa.ArrowException, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
        raise InputError(
            f"{path.name} is not a sound {suffix[1:]} file ({first}): get the file again"
        ) from None
    number = np.arange(1, table.num_rows + 1)
    simulated = SIMULATED in (table.schema.metadata or {})
    return Table(list(table.column_names), table.columns, number, np.empty(0, np.int64), [], simulated)


_HIDDEN = b"\x1f"
_QUOTED = re.compile(rb'"[^"\r\n]*"')
_VALUE = re.compile(rb"^[+-]?\.?\d[\d.,:/\\T Z+'eE-]*$")


def _csv(name: str, data: bytes, notes: list[str], decimal: str | None) -> Table:
    import pyarrow as pa
    import pyarrow.csv as csv

    head = data[:65_536]
    if is_binary(head):
        raise InputError(f"{name} is binary, not a csv file: check the extension")
    lines = [line for line in head.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{name} is empty inside: get the file again")
    if lines[0].lower().startswith(b"sep=") and len(lines) > 1:  # what Excel writes
        data = data[data.index(lines[0]) + len(lines[0]) :]
        lines = lines[1:]
    lines = lines[:10]
    delimiter = _delimiter(lines)
    if len(lines) > 1 and delimiter not in lines[0] and delimiter in lines[1]:
        data = data[data.index(lines[0]) + len(lines[0]) :]
        lines = lines[1:]
        notes.append("first line skipped: it holds no columns")
    fields = [field.strip(b" \"'") for field in _bare(lines[0], delimiter).split(delimiter)]
    headed = not any(_is_value(field) for field in fields)
    broken: list[int] = []

    def leave_out(row: Any) -> str:
        broken.append(row.number - headed)
        return "skip"

    # A delimiter inside quotes is hidden, and no parser sees a quote: to it, a stray one swallows all that follows.
    hidden = any(_needs_quotes(line, delimiter, len(fields)) for line in lines)
    if hidden:
        data = _bare(data, delimiter)
    if any(b'"' in line for line in lines[:3]) and all(line.count(b'"') % 2 == 0 for line in lines[:3]):
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
                    delimiter=delimiter.decode(), quote_char=False, invalid_row_handler=handler
                ),
                convert_options=csv.ConvertOptions(decimal_point=decimal or "."),
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
    columns = [_shown(column, delimiter) for column in table.columns] if hidden else table.columns
    return Table(names, columns, np.setdiff1d(number, out, assume_unique=True), out, notes)


def _shown(column: Any, delimiter: bytes) -> Any:
    """A column with the delimiters that were hidden in it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return column
    return pc.replace_substring(column, _HIDDEN.decode(), delimiter.decode())


def _delimiter(lines: list[bytes]) -> bytes:
    """The mark that parts the fields; beside another, a comma may belong to the numbers."""
    first = lines[: 1 + (len(lines) > 1)][-1]
    bare = [_QUOTED.sub(b"", line) for line in lines[:3]]
    for mark in (b";", b"\t", b"|"):
        counts = {line.count(mark) for line in bare[-2:]}
        if len(counts) == 1 and counts.pop() > 0:
            return mark
    first = _QUOTED.sub(b"", first)
    return max((b",", b";", b"\t", b"|"), key=first.count)


def _bare(text: bytes, delimiter: bytes) -> bytes:
    """A text whose quoted fields hold another mark for the delimiter."""
    return _QUOTED.sub(lambda field: field.group().replace(delimiter, _HIDDEN), text)


def _needs_quotes(line: bytes, delimiter: bytes, fields: int) -> bool:
    """Whether a line has the right number of fields only where quoted delimiters part none."""
    return line.count(delimiter) + 1 > fields == _bare(line, delimiter).count(delimiter) + 1


def _is_value(field: bytes) -> bool:
    """Whether a field is a number, a date or a time, and so no name of a column."""
    try:
        float(field)
    except ValueError:
        return _VALUE.match(field) is not None
    return True
