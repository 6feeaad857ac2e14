"""A small market, and the tables that vendors would write of it."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from windvane.infra.files.readers import MarketFile, read_market_file
from windvane.infra.files.reading import reading_of

T0 = 1_709_251_200  # s, a full day
S = 1_000_000_000
BARS, TRADES = 120, 300


class Bar(NamedTuple):
    """One minute; t: s of its start."""

    t: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    turnover: float
    average: float
    count: int


class Trade(NamedTuple):
    """t: ms; bought: by the aggressor."""

    t: int
    price: float
    size: float
    bought: bool
    id: int


def _bars() -> list[Bar]:
    rng = np.random.default_rng(11)
    close = 62_000 + np.cumsum(rng.normal(0, 20, BARS)).round(2)
    open_ = np.concatenate([[62_000.0], close[:-1]])
    high = (np.maximum(open_, close) + rng.gamma(2, 5, BARS)).round(2)
    low = (np.minimum(open_, close) - rng.gamma(2, 5, BARS)).round(2)
    volume, count = rng.gamma(2, 1.5, BARS).round(6), rng.integers(3, 90, BARS)
    average = ((high + low + close) / 3).round(2)
    fields = (open_, high, low, close.round(2), volume, (volume * average).round(4), average, count)
    return [Bar(T0 + 60 * k, *row) for k, row in enumerate(zip(*(f.tolist() for f in fields), strict=True))]


def _trades() -> list[Trade]:
    rng = np.random.default_rng(12)
    price = (62_000 + np.cumsum(rng.normal(0, 3, TRADES))).round(1)
    size = rng.gamma(0.5, 0.2, TRADES).round(5) + 1e-5
    t = T0 * 1000 + np.cumsum(rng.integers(1, 4000, TRADES))
    bought = rng.integers(0, 2, TRADES) == 1
    rows = zip(t.tolist(), price.tolist(), size.tolist(), bought.tolist(), strict=True)
    return [Trade(*row, 5_000 + k) for k, row in enumerate(rows)]


MARKET = _bars()
PRINTS = _trades()
ENDS = [(bar.t + 60) * S for bar in MARKET]
CLOSES = [bar.close for bar in MARKET]
VOLUMES = [bar.volume for bar in MARKET]


def lines(head: str | None, rows: Iterable[Any], form: Callable[[Any], str], end: str = "\n") -> str:
    """A text of one line a row, below a header."""
    return end.join(([] if head is None else [head]) + [form(row) for row in rows]) + end


def day(bar: Bar, form: str) -> str:
    """The start of a bar as strftime writes it."""
    return f"{pd.Timestamp(bar.t, unit='s'):{form}}"


def read(folder: Path, name: str, content: str | bytes, symbol: str = "BTCUSD", **options: Any) -> MarketFile:
    """Write a file, and read it with the options of the command line."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_market_file(path, reading=reading_of(symbol, options.pop("layout", None), **options))


def is_the_market(found: MarketFile, volume: bool = True) -> None:
    """Whether a file was read as the bars that all tables here hold."""
    assert found.columns.ts.tolist() == ENDS
    assert found.columns.price.tolist() == CLOSES
    assert found.interval == 60 * S
    if volume:
        assert found.columns.size is not None
        assert found.columns.size.tolist() == VOLUMES
    else:
        assert found.columns.size is None


def are_the_prints(found: MarketFile, sides: bool = True) -> None:
    """Whether a file was read as the trades that all tables here hold."""
    assert found.kind == "trades"
    assert found.columns.ts.tolist() == [one.t * 1_000_000 for one in PRINTS]
    assert found.columns.price.tolist() == [one.price for one in PRINTS]
    assert found.columns.size is not None
    assert found.columns.size.tolist() == [one.size for one in PRINTS]
    assert len(found.rejected) == 0
    if sides:
        assert found.columns.buy_size is not None
        assert found.columns.buy_size.tolist() == [one.size * one.bought for one in PRINTS]
    else:
        assert found.columns.buy_size is None
