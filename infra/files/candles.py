"""Candles without names for their columns: the values prove which is which."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.files.layouts import Format
from windvane.infra.files.samples import WORDS, Sample, doubt
from windvane.infra.files.timestamps import FINE, add_clock, parse_times

_NEARLY = 0.98
_CLEARLY = 0.8
"""Of two orders of the columns, the one whose error is below this share of the other's is the true one."""

CANDLES: dict[str, tuple[str | None, ...]] = {
    "bars without a header": ("ts", "open", "high", "low", "close", "size"),
    "candles in the order of Coinbase's interface": ("ts", "low", "high", "open", "close", "size"),
    "candles in the order of KuCoin's and Bitfinex's interfaces": (
        "ts",
        "open",
        "close",
        "high",
        "low",
        "size",
    ),
    "candles in the order of Kraken's and OKX's interfaces": (
        "ts",
        "open",
        "high",
        "low",
        "close",
        None,
        "size",
    ),
    "candles in the order of Gate's interface": ("ts", None, "close", "high", "low", "open", "size"),
}
"""Orders of the columns of candles, by whom they are known; any other order that the values prove is read as well."""


def candles(file: str, sample: Sample, when: tuple[int, int | None], fields: list[int]) -> Format | None:
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
        raise doubt(
            file, (_said(time, one, sample) for one in some), "more than one order of its columns fits"
        )
    roles = {"ts": time, **dict(zip(("open", "high", "low", "close"), best, strict=True))}
    size = _volume(values, [k for k in fields if k not in best], values[best[1]], values[best[2]])
    if size is not None:
        roles["size"] = size
    return _named(roles, len(sample.columns))


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


def _named(roles: dict[str, int], width: int) -> Format:
    parts: list[str | None] = [None] * width
    for role, k in roles.items():
        parts[k] = role
    name = next((name for name, order in CANDLES.items() if tuple(parts[: len(order)]) == order), None)
    order_words = ", ".join("-" if part is None else WORDS.get(part, part) for part in parts)
    if name is None and [roles[part] - roles["open"] for part in ("high", "low", "close")] == [1, 2, 3]:
        name = "bars without a header"
    name = name or f"candles in the order {order_words}"
    why = f"the greatest and the least of each row, and opens that go on from closes: {order_words}"
    return Format(name, "bars", roles, why=why)


def _said(time: int, order: tuple[int, ...], sample: Sample) -> str:
    parts = ["-"] * len(sample.columns)
    for word, k in zip(("ts", "open", "high", "low", "close"), (time, *order), strict=True):
        parts[k] = word
    return ",".join(parts)
