"""Tables without names for their columns: what each column is, from its values alone."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.files.errors import InputError
from windvane.infra.files.layouts import NEEDED, Format, as_told
from windvane.infra.files.reading import Reading
from windvane.infra.files.tables import Table
from windvane.infra.files.timestamps import (
    FINE,
    SECOND,
    add_clock,
    are_clocks,
    are_times,
    parse_times,
    plain_column,
)
from windvane.infra.files.values import comma_of, numbers, words_of

_SAMPLE = 20_000
_NEARLY = 0.98
_CLEARLY = 0.8
"""Of two orders of the columns, the one whose error is below this share of the other's is the true one."""
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

CANDLES = {
    ("ts", "open", "high", "low", "close", "size"): "bars without a header",
    ("ts", "low", "high", "open", "close", "size"): "candles in the order of Coinbase's interface",
    (
        "ts",
        "open",
        "close",
        "high",
        "low",
        "size",
    ): "candles in the order of KuCoin's and Bitfinex's interfaces",
    (
        "ts",
        "open",
        "high",
        "low",
        "close",
        None,
        "size",
    ): "candles in the order of Kraken's and OKX's interfaces",
    ("ts", None, "close", "high", "low", "open", "size"): "candles in the order of Gate's interface",
}
"""Orders of the columns of candles, by whom they are known; any other order that the values prove is read as well."""


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
    sample = _Sample.of(table)
    times = [k for k, column in enumerate(sample.columns) if are_times(column)]
    clock = next((k + 1 for k in times if k + 1 < width and _has_clock(sample, k)), None)
    if not times:
        raise _unknown(file, table, "none of them holds times")
    fields = [k for k in range(width) if k not in times and k != clock and k in sample.values]
    sides = [k for k in range(width) if k not in times and _is_side(sample.columns[k])]
    time = _time(times, sample) if clock is None else clock - 1
    found = None
    if not sides and len(fields) >= 4:
        found = _candles(file, sample, (time, clock), fields)
    if found is None:
        found = _trades(file, table, sample, [time, *(k for k in times if k != time)], fields, sides)
    if clock is not None:
        found.roles["clock"] = clock
    return found


def told_by_position(file: str, table: Table, reading: Reading) -> Format:
    """As a person says by listing the columns, with a header or without."""
    parts, width = reading.columns or (), len(table.columns)
    if len(parts) > width:
        raise InputError(
            f"--columns names {len(parts)} columns, and {file} has {width}: name those, - for unread ones"
        )
    return as_told(file, {part: k for k, part in enumerate(parts) if part is not None}, reading)


class _Sample(NamedTuple):
    """The first rows: the columns, and those of numbers as such by their position, (n,) each."""

    columns: list[Any]
    values: dict[int, Floats]

    @classmethod
    def of(cls, table: Table) -> _Sample:
        columns = [plain_column(column.slice(0, _SAMPLE)) for column in table.columns]
        values = {}
        for k, column in enumerate(columns):
            found = numbers(column, comma_of(column))
            if 0 < len(found) <= 2 * np.count_nonzero(np.isfinite(found)):
                values[k] = found
        return cls(columns, values)


def _has_clock(sample: _Sample, k: int) -> bool:
    """Whether column k holds days alone, and the next one times of a day."""
    ts = parse_times(sample.columns[k])
    days = ts.ts[ts.fault == FINE] % (86_400 * SECOND) == 0
    return (
        bool(days.all()) and are_clocks(sample.columns[k + 1]) and len(np.unique(ts.ts)) < max(len(ts.ts), 2)
    )


def _time(times: list[int], sample: _Sample) -> int:
    """The column of times: ids may look like seconds, so a column of finer times goes before one of seconds."""
    if len(times) == 1:
        return times[0]
    fine = [k for k in times if parse_times(sample.columns[k]).note != "timestamps read as seconds"]
    return (fine or times)[0]


def _unknown(file: str, table: Table, why: str) -> InputError:
    width = len(table.columns)
    return InputError(
        f"{file} has no header and {width} columns, and {why}: needed are {NEEDED}; name the columns in their order "
        "with --columns, such as --columns ts,low,high,open,close,volume, - for one that is not to be read"
    )


def _doubt(file: str, readings: Iterable[str], what: str) -> InputError:
    said = " or ".join(f"--columns {one}" for one in readings)
    return InputError(f"{file} has no header, and {what}: say which columns it has with {said}")


# Candles


def _candles(file: str, sample: _Sample, when: tuple[int, int | None], fields: list[int]) -> Format | None:
    """Bars, by what holds in every row: the high is the most, the low the least, and opens go on from closes."""
    time, clock = when
    ts = parse_times(sample.columns[time])
    if clock is not None:
        ts = add_clock(ts, sample.columns[clock])
    order = np.flatnonzero(ts.fault == FINE)
    order = order[np.argsort(ts.ts[order], kind="stable")]
    values = {k: sample.values[k][order] for k in fields}
    fits = list(_extremes(values, fields))
    if not fits:
        return None
    errors = {}
    for high, low, inner in fits:
        for first, last in permutations(inner, 2):
            gaps = np.abs(values[first][1:] - values[last][:-1])
            errors[first, high, low, last] = float(np.nanmean(gaps)) if np.isfinite(gaps).any() else 0.0
    usual = tuple((time if clock is None else clock) + k for k in (1, 2, 3, 4))
    best = min(errors, key=lambda one: (errors[one], one != usual))
    if usual in errors and errors[best] >= _CLEARLY * errors[usual]:
        best = usual
    rivals = [one for one in errors if one != best and _CLEARLY * errors[one] <= errors[best]]
    if best != usual and rivals:
        some = sorted({best, *rivals}, key=lambda one: errors[one])[:3]
        raise _doubt(
            file, (_said(time, one, sample) for one in some), "more than one order of its columns fits"
        )
    roles = {"ts": time, **dict(zip(("open", "high", "low", "close"), best, strict=True))}
    size = _volume(values, [k for k in fields if k not in best], values[best[1]], values[best[2]])
    if size is not None:
        roles["size"] = size
    return _named_candles(roles, len(sample.columns))


def _extremes(values: dict[int, Floats], fields: list[int]) -> Iterable[tuple[int, int, list[int]]]:
    """High, low, and the columns that lie between them in nearly every row."""
    fields = fields[:12]
    for low, high in permutations(fields, 2):
        with np.errstate(invalid="ignore", divide="ignore"):
            sound = np.isfinite(values[low]) & np.isfinite(values[high]) & (values[low] > 0)
            if not sound.any() or np.median(values[high][sound] / values[low][sound]) > 2:
                continue
            if (values[low][sound] <= values[high][sound]).mean() < _NEARLY:
                continue
            others = (k for k in fields if k not in (low, high))
            inner = [k for k in others if _between(values[k], values[low], values[high])]
        if len(inner) >= 2:
            yield high, low, inner


def _between(inner: Floats, low: Floats, high: Floats) -> bool:
    """Whether a column lies from low to high in nearly all rows that it has a number in."""
    sound = np.isfinite(inner) & np.isfinite(low) & np.isfinite(high)
    slack = 1e-6 * high[sound]
    return bool(
        sound.any()
        and ((inner[sound] >= low[sound] - slack) & (inner[sound] <= high[sound] + slack)).mean() >= _NEARLY
    )


def _volume(values: dict[int, Floats], rest: list[int], high: Floats, low: Floats) -> int | None:
    """The volume in the coin: turnover is it times a price, and a count of trades has no decimals."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = [k for k in rest if not _between(values[k], low, high)]  # an average price is no volume
        for base, quote in permutations(rest, 2):
            traded = np.isfinite(values[base]) & (values[base] > 0)
            ratio = values[quote][traded] / values[base][traded]
            if (
                traded.any()
                and ((ratio >= 0.999 * low[traded]) & (ratio <= 1.001 * high[traded])).mean() > 0.9
            ):
                return base
    broken = [k for k in rest if (values[k][np.isfinite(values[k])] % 1 != 0).any()]
    return next(iter(broken or rest), None)


def _named_candles(roles: dict[str, int], width: int) -> Format:
    parts: list[str | None] = [None] * width
    for role, k in roles.items():
        parts[k] = role
    name = next((name for order, name in CANDLES.items() if tuple(parts[: len(order)]) == order), None)
    said = ", ".join("-" if part is None else _WORD.get(part, part) for part in parts)
    if name is None and [roles[part] - roles["open"] for part in ("high", "low", "close")] == [1, 2, 3]:
        name = "bars without a header"
    name = name or f"candles in the order {said}"
    why = f"the greatest and the least of each row, and opens that go on from closes: {said}"
    return Format(name, "bars", roles, why=why)


_WORD = {"size": "volume"}


def _said(time: int, order: tuple[int, ...], sample: _Sample) -> str:
    parts = ["-"] * len(sample.columns)
    for word, k in zip(("ts", "open", "high", "low", "close"), (time, *order), strict=True):
        parts[k] = word
    return ",".join(parts)


# Trades


def _trades(
    file: str, table: Table, sample: _Sample, times: list[int], fields: list[int], sides: list[int]
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
        raise _unknown(file, table, "what they are is not known")
    if len(prices) != 1 or len(sizes) != 1:
        orders = [(a, b) for a, b in permutations(rest[:3], 2)]
        words = ({time: "ts", a: "price", b: "volume"} for a, b in orders)
        readings = (",".join(word.get(k, "-") for k in range(len(table.columns))) for word in words)
        raise _doubt(file, list(readings)[:4], "which column is the price and which the size is in doubt")
    roles = {"ts": time, "price": prices[0], "size": sizes[0]}
    if sides:
        roles["side"] = sides[0]
    if ids:
        roles["id"] = ids[0]
    name = "trades without a header"
    if sides and tuple(roles[k] for k in ("ts", "side", "price", "size")) == (0, 3, 4, 5):
        name = "freqtrade trades"
        roles["id"] = 1
    said = ", ".join(
        f"{_WORD.get(role, role)} is column {k + 1}"
        for role, k in sorted(roles.items(), key=lambda item: item[1])
    )
    return Format(
        name, "trades", roles, why=f"prices that go on from row to row, and sizes that do not: {said}"
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
