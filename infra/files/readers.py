"""A file of bars, trades or ticks to checked columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.infra.files.checks import Checks
from windvane.infra.files.errors import DeadLetters, InputError
from windvane.infra.files.formats import Kind, recognise
from windvane.infra.files.tables import read_table
from windvane.infra.files.timestamps import common_step, parse_moment
from windvane.metamodel.base.config import SECOND
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


def read_market_file(
    path: str | Path,
    *,
    start: int | str | datetime | None = None,
    end: int | str | datetime | None = None,
) -> MarketFile:
    """Read csv, csv.gz, zip (of one csv), parquet, feather, json or json.gz; raises InputError for what is none.

    Of bars, ts is the end (open time + interval). start and end: ns, ISO 8601 text or a datetime, UTC; kept
    are trades and ticks with start <= ts < end, and bars that lie inside (start < ts <= end).
    """
    import pyarrow as pa

    path = Path(path)
    first, last = parse_moment(start, "--from"), parse_moment(end, "--to")
    if first is not None and last is not None and first >= last:
        raise InputError(f"--from {start} is not before --to {end}: swap or widen them")
    try:
        return _read(path, first, last)
    except InputError:
        raise
    except (pa.ArrowException, OSError, UnicodeError, OverflowError) as error:
        # Some damage shows only when a column is used; types that nobody foresaw end here, too.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")
        raise InputError(f"{path.name} cannot be read ({reason}): check the file") from error


def _read(path: Path, first: int | None, last: int | None) -> MarketFile:
    table = read_table(path)
    if not len(table):
        if len(table.broken):
            raise InputError(f"{path.name} has no sound row: check its columns")
        raise InputError(f"{path.name} has no rows: get the file again")
    layout = recognise(path.name, table)
    checks = Checks(path.name, table, layout)
    values = checks.values()
    ts, interval = checks.times()
    regime, ids = checks.regime(), checks.ids()
    rows = np.flatnonzero(checks.code == 0)
    if not len(rows):
        rejected = checks.dead_letters(np.ones(len(table), bool))
        raise InputError(
            f"{path.name} has no row that can be used (row {rejected[0].row}: {rejected[0].reason}): "
            "check the file"
        )
    if np.count_nonzero(np.diff(ts[rows]) < 0) * 2 >= max(len(rows), 2):
        rows = rows[::-1]
        checks.notes.append("newest rows come first: order reversed")
    if layout.kind == "bars":
        interval = interval or common_step(ts[rows])
        if not interval:
            raise InputError(
                f"{path.name} has one bar, so nothing says how long it lasts: give two bars or more"
            )
        checks.notes.append(f"bars of {format_interval(interval)}, stamped with their end")
        if "ts" in layout.roles:
            ts = ts + interval
    if "close" not in values and "price" not in values:
        checks.notes.append("price is the middle of bid and ask")
    inside = _inside(ts, first, last, bars=layout.kind == "bars")
    if not inside[rows].any():
        raise InputError(
            f"{path.name} has no rows from {_moment(first)} to {_moment(last)}: it covers "
            f"{_moment(int(ts[rows].min()))} to {_moment(int(ts[rows].max()))}"
        )
    rows = rows[inside[rows]]
    if regime is not None and (unknown := int(np.count_nonzero(regime[rows] == -1))):
        checks.notes.append(f"{unknown} rows hold no known regime: kept, their label is unknown")
    if ids is not None and np.count_nonzero(np.diff(ids[rows]) <= 0) * 20 > len(rows):
        ids = None
        checks.notes.append("trade ids do not rise: not used")
    return MarketFile(
        path=path,
        columns=_columns(ts, values, regime).take(rows),
        numbers=table.number[rows],
        ids=None if ids is None else ids[rows],
        kind=layout.kind,
        interval=interval,
        format=layout.name,
        notes=tuple(checks.notes),
        rows_read=len(table) + len(table.broken),
        rejected=checks.dead_letters(inside),
        simulated=table.simulated or regime is not None,
    )


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
