"""Which rows of a table belong to the instrument that is wanted."""

from __future__ import annotations

import re

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.infra.files.errors import InputError
from windvane.infra.files.layouts import Format
from windvane.infra.files.names import plain_name
from windvane.infra.files.reading import Reading
from windvane.infra.files.tables import Table
from windvane.infra.files.timestamps import plain_column
from windvane.infra.files.values import is_text, words_of

_SHOWN = 8
_MOST = 1000
_OFTEN = 0.2
_FEW = 20
_SAMPLE = 5_000
_APART = 0.2
_LEAP = 0.005
"""Share of the price that two rows of several instruments differ by; a bid and an ask are nearer."""


def of_one_symbol(file: str, table: Table, layout: Format, reading: Reading) -> Table:
    """The rows of one instrument; InputError with the names where there are several and none of them is wanted."""
    place = layout.roles.get("symbol")
    if reading.symbol_column is not None:
        place = _place(file, table, reading.symbol_column)
    if place is None:
        return table
    words, index = words_of(plain_column(table.columns[place]))
    header = plain_name(table.names[place]) if table.names else ""
    counts = np.bincount(index, minlength=len(words))
    real = [k for k, word in enumerate(words) if counts[k] and word not in ("none", "nan", "", header)]
    wanted = [k for k in real if _same(words[k], reading.symbol)]
    if len(real) < 2 and not (reading.symbol_column and reading.symbol):
        return table
    if not wanted:
        names = ", ".join(sorted(words[k].upper() for k in real)[:_SHOWN]) + (
            " ..." if len(real) > _SHOWN else ""
        )
        called = table.names[place] if table.names else f"number {place + 1}"
        raise InputError(
            f"{file} holds {len(real)} symbols in column {called} ({names}), and none is {reading.symbol}: name one "
            f"with --symbol NAME, and the column with --symbol-column {called}"
        )
    mine = np.isin(index, wanted)
    others = int(len(index) - np.count_nonzero(mine))
    if not others:
        return table
    table.notes.append(f"rows of {words[wanted[0]].upper()} alone are read; {others} rows are of others")
    return table.where(mine)


def refuse_mixture(file: str, table: Table, layout: Format, ts: Ints, rows: Ints) -> None:
    """Raises InputError where bars of one time are told apart by a column of words: they are of several instruments.

    rows: the sound ones in the order of time.
    """
    twice = np.diff(ts[rows]) == 0
    if np.count_nonzero(twice) <= _OFTEN * len(rows):
        return
    for k, column in enumerate(table.columns):
        plain = plain_column(column)
        if k in layout.roles.values() or not is_text(plain.type):
            continue
        words, index = words_of(plain)
        mine = index[rows]
        if 2 <= len(np.unique(mine)) <= _MOST and (mine[1:][twice] != mine[:-1][twice]).mean() > 0.9:
            names = ", ".join(sorted({words[j] for j in np.unique(mine).tolist()})[:_SHOWN])
            called = table.names[k] if table.names else f"{k + 1}"
            raise InputError(
                f"{file} holds several bars of one time, which column {called} tells apart ({names}): "
                f"name one of these symbols with --symbol NAME --symbol-column {called}"
            )


def _place(file: str, table: Table, name: str) -> int:
    """The position of a column, by its name or by its number from 1."""
    if table.names is not None:
        plain = [plain_name(one) for one in table.names]
        for names, key in ((table.names, name), (plain, plain_name(name))):
            if key in names:
                return names.index(key)
    if name.isdigit() and 1 <= int(name) <= len(table.columns):
        return int(name) - 1
    known = ", ".join(table.names) if table.names else f"1 to {len(table.columns)}"
    raise InputError(f"--symbol-column is {name!r}, and {file} has the columns {known}: name one of them")


def _same(word: str, symbol: str | None) -> bool:
    """Whether two names are one instrument: BTC/USD, btc-usd and BTCUSD are."""
    return symbol is not None and re.sub(r"[^a-z0-9]", "", word) == re.sub(r"[^a-z0-9]", "", symbol.lower())


def refuse_apart(file: str, table: Table, layout: Format, price: Floats, rows: Ints) -> None:
    """Raises InputError where a column of few words parts prices that go on within a word and leap between words.

    price: (n,); rows: the sound ones in the order of time.
    """
    some = rows[:_SAMPLE]
    leaps = np.abs(np.diff(price[some]))
    if len(some) < _FEW or np.mean(leaps) < _LEAP * np.median(price[some]):
        return
    for k, column in enumerate(table.columns):
        if k in layout.roles.values() or not is_text(plain_column(column.slice(0, 0)).type):
            continue
        words, index = words_of(plain_column(column.take(some)))
        if not 2 <= len(np.unique(index)) <= _FEW:
            continue
        order = np.argsort(index, kind="stable")
        within = np.abs(np.diff(price[some][order]))[np.diff(index[order]) == 0]
        if len(within) and np.mean(within) < _APART * np.mean(leaps):
            names = ", ".join(sorted({words[j] for j in np.unique(index).tolist()})[:_SHOWN])
            called = table.names[k] if table.names else f"{k + 1}"
            raise InputError(
                f"{file} holds prices that leap between the words of column {called} ({names}) as those of several "
                f"symbols do: name one of them with --symbol NAME --symbol-column {called}"
            )
