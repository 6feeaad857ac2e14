"""Tables without names for their columns: what each column is, from its values alone."""

from __future__ import annotations

from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.files.candles import candles
from windvane.infra.files.errors import InputError
from windvane.infra.files.layouts import Format, as_told
from windvane.infra.files.reading import Reading
from windvane.infra.files.samples import WORDS, Sample, doubt, unknown
from windvane.infra.files.tables import Table
from windvane.infra.files.timestamps import FINE, are_clocks, are_times, parse_times
from windvane.infra.files.values import words_of
from windvane.metamodel.base.times import DAY

_NEARLY = 0.98
_SMOOTH = 0.01
"""Median step between rows, as a share of the price, that prices stay below."""
_SIDES = {"buy", "sell", "b", "s", "bid", "ask"}


class HeadlessLayout(NamedTuple):
    """A known table without a header. flag, text: the position of the first column of such words, None: any."""

    name: str
    kind: Any
    widths: tuple[int, ...]
    flag: int | None
    roles: dict[str, int]


HEADLESS = (
    HeadlessLayout(
        "Binance klines",
        "bars",
        (11, 12),
        None,
        {"ts": 0, "open": 1, "high": 2, "low": 3, "close": 4, "size": 5, "close_ts": 6, "buy_size": 9},
    ),
    HeadlessLayout(
        "Binance aggTrades", "trades", (7, 8), 6, {"id": 0, "price": 1, "size": 2, "ts": 5, "maker": 6}
    ),
    HeadlessLayout(
        "Binance trades", "trades", (6, 7), 5, {"id": 0, "price": 1, "size": 2, "ts": 4, "maker": 5}
    ),
)
"""Dumps that are known by their width and the place of their flags."""


def recognise_headless(file: str, table: Table, reading: Reading) -> Format:
    """The format of a table without a header; InputError with the readings that fit where it is in doubt."""
    if reading.columns is not None:
        return told_by_position(file, table, reading)
    width = len(table.columns)
    flags = [k for k, column in enumerate(table.columns) if _is_flag(column)]
    for known in HEADLESS:
        first = flags[0] if flags else None
        if width in known.widths and first == known.flag:
            return Format(known.name, known.kind, dict(known.roles), why=f"its {width} columns")
    sample = Sample.of(table)
    times = [k for k, column in enumerate(sample.columns) if are_times(column)]
    clock = next((k + 1 for k in times if k + 1 < width and _has_clock(sample, k)), None)
    if not times:
        raise unknown(file, table, "none of them holds times")
    fields = [k for k in range(width) if k not in times and k != clock and k in sample.values]
    sides = [k for k in range(width) if k not in times and _is_side(sample.columns[k])]
    time = _time(times, sample) if clock is None else clock - 1
    layout = None
    if not sides and len(fields) >= 4:
        layout = candles(file, sample, (time, clock), fields)
    if layout is None:
        layout = _trades(file, table, sample, [time, *(k for k in times if k != time)], fields, sides)
    if clock is not None:
        layout.roles["clock"] = clock
    return layout


def told_by_position(file: str, table: Table, reading: Reading) -> Format:
    """As a person says by listing the columns, with a header or without."""
    parts, width = reading.columns or (), len(table.columns)
    if len(parts) > width:
        raise InputError(
            f"--columns names {len(parts)} columns, and {file} has {width}: name those, - for unread ones"
        )
    return as_told(file, {part: k for k, part in enumerate(parts) if part is not None}, reading)


def _has_clock(sample: Sample, k: int) -> bool:
    """Whether column k holds days alone, and the next one times of a day."""
    ts = parse_times(sample.columns[k])
    days = ts.ts[ts.fault == FINE] % DAY == 0
    return (
        bool(days.all()) and are_clocks(sample.columns[k + 1]) and len(np.unique(ts.ts)) < max(len(ts.ts), 2)
    )


def _time(times: list[int], sample: Sample) -> int:
    """The column of times: ids may look like seconds, so a column of finer times goes before one of seconds."""
    if len(times) == 1:
        return times[0]
    fine = [k for k in times if parse_times(sample.columns[k]).note != "timestamps read as seconds"]
    return (fine or times)[0]


def _trades(
    file: str, table: Table, sample: Sample, times: list[int], fields: list[int], sides: list[int]
) -> Format:
    """Prices go on from row to row, sizes do not; what is price times size is the cost."""
    time = times[0]
    fields = [k for k in (*fields, *times[1:]) if k in sample.values]
    values = {k: sample.values[k] for k in fields}
    ids = [k for k in fields if _is_id(values[k])]
    rest = [k for k in fields if k not in ids]
    for a, b, c in permutations(rest, 3):
        with np.errstate(invalid="ignore"):
            if a < b and np.isclose(values[a] * values[b], values[c], rtol=0.01).mean() > _NEARLY:
                rest = [k for k in rest if k != c]
                break
    prices = [k for k in rest if _is_smooth(values[k])]
    sizes = [k for k in rest if k not in prices]
    if (
        len(rest) == 2 and len(values[rest[0]]) < 3
    ):  # too few rows to tell, so by the order that all dumps have
        prices, sizes = rest[:1], rest[1:]
    if len(rest) == 2 and len(prices) == 2 and not ids and not sides and len(table.columns) == 3:
        prices, sizes = rest[:1], rest[1:]
    if len(rest) < 2 or len(sides) > 1:
        raise unknown(file, table, "what they are is not known")
    if len(prices) != 1 or len(sizes) != 1:
        orders = [(a, b) for a, b in permutations(rest[:3], 2)]
        words = ({time: "ts", a: "price", b: "volume"} for a, b in orders)
        readings = (",".join(word.get(k, "-") for k in range(len(table.columns))) for word in words)
        raise doubt(file, list(readings)[:4], "which column is the price and which the size is in doubt")
    roles = {"ts": time, "price": prices[0], "size": sizes[0]}
    if sides:
        roles["side"] = sides[0]
    if ids:
        roles["id"] = ids[0]
    name = "trades without a header"
    if sides and tuple(roles[k] for k in ("ts", "side", "price", "size")) == (0, 3, 4, 5):
        name = "freqtrade trades"
        roles["id"] = 1
    places = ", ".join(
        f"{WORDS.get(role, role)} is column {k + 1}"
        for role, k in sorted(roles.items(), key=lambda item: item[1])
    )
    return Format(
        name, "trades", roles, why=f"prices that go on from row to row, and sizes that do not: {places}"
    )


def _is_id(values: Floats) -> bool:
    """Whether numbers are whole and count up, or down, from row to row."""
    steps = np.diff(values)
    whole = bool((values[np.isfinite(values)] % 1 == 0).all())
    return whole and len(steps) > 1 and max((steps > 0).mean(), (steps < 0).mean()) > 0.9


def _is_smooth(values: Floats) -> bool:
    """Whether values change little from row to row, as prices do."""
    good = values[np.isfinite(values)]
    if not len(good) or (good <= 0).any():
        return False
    return bool(np.median(np.abs(np.diff(good))) <= _SMOOTH * np.median(good)) if len(good) > 1 else True


def _is_side(column: Any) -> bool:
    words = set(words_of(column)[0]) - {"none", ""}
    return bool(words) and words <= _SIDES


def _is_flag(column: Any) -> bool:
    """Whether a column mostly holds true and false."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        return True
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    sample = [str(value).strip().lower() in ("true", "false") for value in column.slice(0, 1000).to_pylist()]
    return sum(sample) * 2 > len(sample)
