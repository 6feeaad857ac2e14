"""What a file holds as it would be read: for a person, before anything is run on it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from windvane.infra.files.errors import HARMLESS, InputError
from windvane.infra.files.market_data import prepared, refuse_many_rejected
from windvane.infra.files.readers import read_market_file
from windvane.infra.files.reading import Reading
from windvane.metamodel.base.config import SECOND
from windvane.metamodel.data.columns import Columns

_LETTERS = 20


def facts_of(
    path: Path, *, bars: str | None, start: str | None, end: str | None, reading: Reading
) -> dict[str, Any]:
    """How a file is read, as plain values; raises InputError where it cannot be.

    layout, why: what it was recognised as, and by what. columns: the part and the name of each column that is read;
    unread: names of the others. rows: of the market; first, last: their times; volume and buy_volume: sums, null
    without; rejected: rows, with their reasons in rejected_by_reason and the first of them in letters. runs: false
    where too many are rejected for a run, with the sentence in refusal.
    """
    source = read_market_file(path, start=start, end=end, reading=reading)
    market = prepared(source, bars)
    columns = market.columns
    refusal = None
    try:
        refuse_many_rejected(market, reading.max_rejected)
    except InputError as error:
        refusal = str(error)
    return {
        "file": market.file,
        "layout": source.format,
        "why": source.why,
        "kind": market.kind,
        "bars": market.bars.removesuffix(" bars"),
        "interval_ns": market.interval,
        "rows": len(columns),
        "rows_in_file": source.rows_read,
        "first": moment(int(columns.ts[0])),
        "last": moment(int(columns.ts[-1])),
        "price_first": float(columns.price[0]),
        "price_last": float(columns.price[-1]),
        "volume": None if columns.size is None else float(columns.size.sum()),
        "buy_volume": None if columns.buy_size is None else float(columns.buy_size.sum()),
        "columns": source.parts,
        "unread": list(source.unread),
        "head": _rows(columns, slice(0, 3)),
        "tail": _rows(columns, slice(max(len(columns) - 3, 0), None)),
        "rejected": sum(market.rejected.values()),
        "rejected_by_reason": market.rejected,
        "harmless": sum(number for reason, number in market.rejected.items() if reason in HARMLESS),
        "letters": [{"row": row, "reason": reason} for row, reason in market.letters[:_LETTERS]],
        "notes": list(market.notes),
        "runs": refusal is None,
        "refusal": refusal,
    }


def moment(ns: int) -> str:
    """ISO 8601 of a time in ns, with nine decimals, UTC."""
    whole = datetime.fromtimestamp(ns // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ns % SECOND:09d}Z"


def _rows(columns: Columns, rows: slice) -> list[dict[str, Any]]:
    some = columns.take(rows)
    names = [name for name in ("price", *some.present) if name != "regime"]
    return [
        {"ts": moment(int(some.ts[k])), **{name: float(getattr(some, name)[k]) for name in names}}
        for k in range(len(some))
    ]


def told(facts: dict[str, Any]) -> str:
    """The facts as lines of text."""
    parts = ", ".join(f"{part} from {name or '(no name)'}" for part, name in facts["columns"].items())
    lines = [
        f"{facts['file']}: {facts['layout']}, recognised by {facts['why']}",
        f"  rows      {facts['rows']:,} {facts['bars']}, of {facts['rows_in_file']:,} in the file",
        f"  time      {facts['first']} to {facts['last']}",
        f"  price     {facts['price_first']:g} to {facts['price_last']:g}",
        f"  volume    {_number(facts['volume'])}, bought {_number(facts['buy_volume'])}",
        f"  columns   {parts}",
        f"  not read  {', '.join(name or '(no name)' for name in facts['unread']) or 'none'}",
    ]
    for name, rows in (("first", facts["head"]), ("last", facts["tail"])):
        for row in rows:
            lines.append(
                f"  {name:<9} {row['ts']}  " + "  ".join(f"{k} {v:g}" for k, v in row.items() if k != "ts")
            )
    lines.append(f"  rejected  {facts['rejected']:,} rows")
    lines += [f"            {number:,}: {reason}" for reason, number in facts["rejected_by_reason"].items()]
    lines += [f"            row {one['row']}: {one['reason']}" for one in facts["letters"][:5]]
    lines += [f"  note      {note}" for note in facts["notes"]]
    if facts["refusal"]:
        lines.append(f"  a run of it would be refused: {facts['refusal']}")
    return "\n".join(lines) + "\n"


def _number(total: float | None) -> str:
    return "none" if total is None else f"{total:,.8g}" if np.isfinite(total) else "none"
