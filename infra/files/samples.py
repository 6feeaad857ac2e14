"""The first rows of a table without names for its columns, and what is choices where they leave a doubt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.files.errors import InputError
from windvane.infra.files.layouts import NEEDED
from windvane.infra.files.tables import Table
from windvane.infra.files.timestamps import plain_column
from windvane.infra.files.values import comma_of, numbers

_SAMPLE = 20_000

WORDS = {"size": "volume"}
"""What a person calls a part that has another name here."""


class Sample(NamedTuple):
    """The first rows: the columns, and those of numbers as such by their position, (n,) each."""

    columns: list[Any]
    values: dict[int, Floats]

    @classmethod
    def of(cls, table: Table) -> Sample:
        columns = [plain_column(column.slice(0, _SAMPLE)) for column in table.columns]
        values = {}
        for k, column in enumerate(columns):
            column_values = numbers(column, comma_of(column))
            if 0 < len(column_values) <= 2 * np.count_nonzero(np.isfinite(column_values)):
                values[k] = column_values
        return cls(columns, values)


def unknown(file: str, table: Table, why: str) -> InputError:
    width = len(table.columns)
    return InputError(
        f"{file} has no header and {width} columns, and {why}: needed are {NEEDED}; name the columns in their order "
        "with --columns, such as --columns ts,low,high,open,close,volume, - for one that is not to be read"
    )


def doubt(file: str, readings: Iterable[str], what: str) -> InputError:
    choices = " or ".join(f"--columns {one}" for one in readings)
    return InputError(f"{file} has no header, and {what}: say which columns it has with {choices}")
