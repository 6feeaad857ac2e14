"""Reads a file of bars, trades or ticks into checked columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.infra.files.checks import Checks
from windvane.infra.files.errors import DUPLICATE, DeadLetters, InputError
from windvane.infra.files.layouts import Format, Kind, recognise
from windvane.infra.files.ordering import in_order, repeated_bars, repeated_trades
from windvane.infra.files.paths import printable
from windvane.infra.files.reading import AS_RECOGNISED, Reading
from windvane.infra.files.shapes import recognise_headless, told_by_position
from windvane.infra.files.stamps import bar_ends
from windvane.infra.files.symbols import of_one_symbol, refuse_apart, refuse_mixture
from windvane.infra.files.tables import Table, read_table
from windvane.infra.files.timestamps import parse_moment
from windvane.infra.files.volumes import coin_volume
from windvane.metamodel.base.config import SECOND
from windvane.metamodel.data.cleaning import AHEAD, BACK, REASONS
from windvane.metamodel.data.columns import OPTIONAL_FLOATS, Columns
from windvane.metamodel.data.sampler import format_interval


@dataclass(frozen=True, slots=True)
class MarketFile:
    """A file that was read: n sound rows inside the period asked for, oldest first, and what was rejected.

    A row outside the period is in neither; a row whose time cannot be read counts as rejected.
    """

    path: Path
    columns: Columns
    numbers: Ints  # (n,) which row of the file each is, from 1 for the first row of data
    ids: Ints | None  # (n,) trade ids, None where the file has none
    kind: Kind
    interval: int  # ns of a bar, 0 for trades and ticks
    format: str  # what people call it
    notes: tuple[str, ...]  # what was recognised, one sentence each
    rows_read: int  # in the file
    rejected: DeadLetters
    simulated: bool  # whether the market was simulated
    why: str  # what the format was recognised by
    parts: dict[str, str]  # part -> name of the column that plays it
    unread: tuple[str, ...]  # names of the columns that play no part


def read_market_file(
    path: str | Path,
    *,
    start: int | str | datetime | None = None,
    end: int | str | datetime | None = None,
    reading: Reading = AS_RECOGNISED,
) -> MarketFile:
    """Read csv, csv.gz, zip (of one csv), parquet, feather, json or json.gz; raises InputError for what is none.

    reading: what a person says of the file.

    Of bars, ts is the end (open time + interval). start and end: ns, ISO 8601 text or a datetime, UTC; kept
    are trades and ticks with start <= ts < end, and bars that lie inside (start < ts <= end).
    """
    import pyarrow as pa

    path = Path(path)
    first, last = parse_moment(start, "--from"), parse_moment(end, "--to")
    if first is not None and last is not None and first >= last:
        raise InputError(f"--from {start} is not before --to {end}: swap or widen them")
    try:
        return _read(path, first, last, reading)
    except InputError:
        raise
    except (pa.ArrowException, OSError, UnicodeError, OverflowError) as error:
        # Some damage shows only when a column is used; types that nobody foresaw end here, too.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
        raise InputError(f"{path.name} cannot be read ({reason}): check the file") from error


def _read(path: Path, first: int | None, last: int | None, reading: Reading) -> MarketFile:
    file = printable(path.name)
    table = read_table(path, encoding=reading.encoding, decimal=reading.decimal)
    rows_read = len(table) + len(table.broken)
    if not len(table):
        if len(table.broken):
            raise InputError(f"{file} has no sound row: check its columns")
        raise InputError(f"{file} has no rows: get the file again")
    layout = _layout(file, table, reading)
    names = table.names or [f"number {k + 1}" for k in range(len(table.columns))]
    table = of_one_symbol(file, table, layout, reading)
    if not layout.named and (coin := coin_volume(table, layout.roles)) is not None:
        turnover, layout.roles["size"] = layout.roles["size"], coin
        table.notes.append(f"column {names[turnover]} is turnover: the volume is read from {names[coin]}")
    checks = Checks(file, table, layout, reading)
    values = checks.values()
    ts, closes = checks.times()
    regime, ids = checks.regime(), checks.ids()
    bars = layout.kind == "bars"
    rows, wrong = in_order(ts, ids, _sound(file, checks), checks.notes)
    early = ts[wrong] < ts[rows[:1]]
    checks.refuse_at(wrong[early], REASONS[BACK])
    checks.refuse_at(wrong[~early], REASONS[AHEAD])
    if not reading.symbol_column:
        if bars:
            refuse_mixture(file, table, layout, ts, rows)
        elif "price" in values:
            refuse_apart(file, table, layout, values["price"], rows)
    interval = 0
    if bars:
        ts, interval = bar_ends(file, ts, closes, rows, layout, reading, checks.notes)
        checks.notes.append(f"bars of {format_interval(interval)}, stamped with their end")
    rows = _once(checks, bars, ts, ids, rows, values)
    if "close" not in values and "price" not in values:
        checks.notes.append("price is the middle of bid and ask")
    inside = _inside(ts, first, last, bars=bars)
    if not inside.all():
        if not inside[rows].any():
            raise InputError(
                f"{file} has no rows from {_moment(first)} to {_moment(last)}: it covers "
                f"{_moment(int(ts[rows].min()))} to {_moment(int(ts[rows].max()))}"
            )
        rows = rows[inside[rows]]
    if regime is not None and (unknown := int(np.count_nonzero(regime[rows] == -1))):
        checks.notes.append(f"{unknown} rows hold no known regime: kept, their label is unknown")
    if ids is not None and (falls := int(np.count_nonzero(np.diff(ids[rows]) <= 0))):
        if falls * 20 > len(rows):
            checks.notes.append("trade ids do not rise: not used")
        ids = None
    used = {*values, "ts", "close_ts", "clock", "high", "low", "side", "maker", "id", "symbol", "regime"}
    parts = {role: names[k] for role, k in layout.roles.items() if role in used}
    return MarketFile(
        path=path,
        columns=_columns(ts, values, regime).take(rows),
        numbers=table.number[rows],
        ids=None if ids is None else ids[rows],
        kind=layout.kind,
        interval=interval,
        format=layout.name,
        notes=tuple(checks.notes),
        rows_read=rows_read,
        rejected=checks.dead_letters(inside),
        simulated=table.simulated or regime is not None,
        why=layout.why,
        parts=parts,
        unread=tuple(
            name
            for k, name in enumerate(names)
            if k not in {place for role, place in layout.roles.items() if role in parts}
        ),
    )


def _layout(file: str, table: Table, reading: Reading) -> Format:
    if reading.columns is not None:
        return told_by_position(file, table, reading)
    if table.names is None:
        return recognise_headless(file, table, reading)
    return recognise(file, table, reading)


def _sound(file: str, checks: Checks) -> Ints:
    """The rows that nothing speaks against; raises InputError for none."""
    rows = np.flatnonzero(checks.code == 0)
    if not len(rows):
        rejected = checks.dead_letters(np.ones(len(checks.table), bool))
        raise InputError(
            f"{file} has no row that can be used (row {rejected[0].row}: {rejected[0].reason}): "
            "check the file, or say how it is to be read with --columns"
        )
    return rows


def _once(
    checks: Checks, bars: bool, ts: Ints, ids: Ints | None, rows: Ints, values: dict[str, Floats]
) -> Ints:
    """The rows, without those that stand in the file twice."""
    again = None
    if bars:
        again = repeated_bars(ts, rows)
    elif ids is not None:
        common: list[NDArray[Any]] = [ts, *(values[role] for role in ("price", "size") if role in values)]
        again = repeated_trades(ids, rows, common)
    if again is None or not again.any():
        return rows
    if bars:
        number = np.count_nonzero(again)
        checks.notes.append(f"{number} bars have a later one of the same time, which counts")
    checks.refuse_at(rows[again], DUPLICATE)
    return rows[~again]


def _columns(ts: Ints, values: dict[str, Floats], regime: Ints | None) -> Columns:
    """Columns of all n rows, the rejected ones, too."""
    price = values.get("close", values.get("price"))
    if price is None:
        with np.errstate(invalid="ignore"):  # of rows that are rejected already
            price = 0.5 * values["bid"] + 0.5 * values["ask"]
    optional = {name: values[name] for name in OPTIONAL_FLOATS if name in values}
    return Columns(ts, price, **optional, regime=regime)


def _inside(ts: Ints, first: int | None, last: int | None, *, bars: bool) -> NDArray[np.bool_]:
    """(n,) whether a row lies in the period asked for; a bar belongs to the time before its end."""
    when = ts - int(bars)
    inside = np.ones(len(ts), bool)
    if first is not None:
        inside &= when >= first
    if last is not None:
        inside &= when < last
    return inside


def _moment(ts: int | None) -> str:
    if ts is None:
        return "any time"
    # In Python's integers, since a person may name a year that ns in int64 do not reach.
    return datetime.fromtimestamp(ts // SECOND, UTC).replace(tzinfo=None).isoformat()
