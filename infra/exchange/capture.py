"""Capture: what an exchange sent, as events that can be served again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.recording import Recording

TRADE, QUOTE, FRAME = 0, 1, 2
"""Kinds of events: the first two are written anew, a frame of a recording is sent as it came."""


@dataclass(frozen=True)
class Trades:
    """n trades, ids rising by one."""

    id: Ints  # (n,)
    ms: Ints  # (n,) the exchange's time
    price: Floats  # (n,) quote currency
    qty: Floats  # (n,) base currency
    buyer: Ints  # (n,) 1 where the buyer took
    fills: Ints  # (n, 2) ids of the first and last fill that the trade sums up


@dataclass(frozen=True)
class Quotes:
    """m best bids and asks."""

    update: Ints  # (m,) the exchange's number of the update
    ms: Ints  # (m,) the exchange's time
    values: Floats  # (m, 4) bid, its size, ask, its size


@dataclass(frozen=True)
class Capture:
    """k events in the order in which they were sent.

    exchange: binance or binanceusdm. native: the symbol as the exchange writes it, base and quote its currencies.
    """

    exchange: str
    native: str
    base: str
    quote: str
    trades: Trades
    quotes: Quotes
    at: Ints  # (k,) ns, the exchange's time when the event was sent; never falls
    kind: Ints  # (k,)
    row: Ints  # (k,) place in trades, quotes or frames
    frames: tuple[tuple[str, bytes], ...] = ()  # stream or path, and the bytes

    @property
    def span(self) -> int:
        """ns by which times are shifted where the capture is served again and again: its length, and a second."""
        return int(self.at[-1] - self.at[0]) + 1_000_000_000


def load(files: list[Path]) -> Capture:
    """Read a parquet of trades, one of trades and quotes, or the files of a recording; raises FeedError for others."""
    for file in files:
        if not file.is_file():
            raise FeedError(f"{file} is no file: give a capture in parquet, or a recording of --record-raw")
    if all(file.suffix == ".gz" for file in files):
        return _of_recording(files)
    if len(files) > 1:
        raise FeedError(
            "several files are served only where all are parts of one recording: give one parquet file"
        )
    return _of_parquet(files[0])


def _of_parquet(file: Path) -> Capture:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = set(pq.read_schema(file).names)
        if {"recv_ns", "exch_ms", "kind", "id"} <= names:
            return _of_book(pq.read_table(file, filters=[("kind", "in", ["trade", "quote"])]))
        if {"ts", "agg_id", "price", "qty", "side"} <= names:
            return _of_trades(pq.read_table(file))
    except (pa.ArrowException, OSError) as error:
        raise FeedError(
            f"{file} cannot be read as parquet ({str(error).splitlines()[0]}): give a capture"
        ) from error
    raise FeedError(
        f"{file} has columns {', '.join(sorted(names))}: a capture has ts, agg_id, price, qty, side, or "
        "recv_ns, exch_ms, kind, side, price, qty, id"
    )


def _numbers(table: Any, name: str) -> Any:
    return np.asarray(table.column(name).to_numpy())


def _texts(table: Any, name: str) -> Any:
    return np.asarray(table.column(name).to_pylist())


def _of_trades(table: Any) -> Capture:
    """Trades of a spot market, without quotes."""
    ms, ids = _numbers(table, "ts"), _numbers(table, "agg_id")
    n = len(ids)
    fills = np.stack([_numbers(table, "first_id"), _numbers(table, "last_id")], axis=1)
    buyer = (_texts(table, "side") == "B").astype(np.int64)
    trades = Trades(ids, ms, _numbers(table, "price"), _numbers(table, "qty"), buyer, fills)
    _check_ids(ids)
    at = np.maximum.accumulate(ms * 1_000_000)
    return Capture(
        "binance", "BTCUSDT", "BTC", "USDT", trades, _no_quotes(), at, np.zeros(n, np.int64), np.arange(n)
    )


def _of_book(table: Any) -> Capture:
    """Trades and quotes of USD-M futures, sent in the order in which a recorder received them.

    A recorder's clock may be off; the times of sending are moved by the median of what it was off.
    """
    received, ms, kind = _numbers(table, "recv_ns"), _numbers(table, "exch_ms"), _texts(table, "kind")
    side, price, qty, ids = (
        _texts(table, "side"),
        _numbers(table, "price"),
        _numbers(table, "qty"),
        _numbers(table, "id"),
    )
    trade = np.flatnonzero(kind == "trade")
    bid = np.flatnonzero((kind == "quote") & (side == "B"))
    ask = np.flatnonzero((kind == "quote") & (side == "S"))
    if len(bid) != len(ask) or not (ids[bid] == ids[ask]).all():
        raise FeedError("quotes of this capture have no pairs of bid and ask: give another file")
    _check_ids(ids[trade])
    trades = Trades(
        ids[trade],
        ms[trade],
        price[trade],
        qty[trade],
        (side[trade] == "B").astype(np.int64),
        np.stack([ids[trade]] * 2, axis=1),
    )
    quotes = Quotes(ids[bid], ms[bid], np.stack([price[bid], qty[bid], price[ask], qty[ask]], axis=1))
    where = np.concatenate([trade, bid])
    order = np.argsort(where, kind="stable")
    kinds = np.concatenate([np.zeros(len(trade), np.int64), np.ones(len(bid), np.int64)])[order]
    row = np.concatenate([np.arange(len(trade)), np.arange(len(bid))])[order]
    off = int(np.median(ms * 1_000_000 - received))
    at = np.maximum.accumulate(received[where[order]] + off)
    return Capture("binanceusdm", "BTCUSDT", "BTC", "USDT", trades, quotes, at, kinds, row)


def _of_recording(files: list[Path]) -> Capture:
    """A recording: its frames are sent as they came, and what can be read of them answers REST."""
    recording = Recording.read(files)
    seen = {trade.id: trade for trade in recording.trades()}
    found = [seen[key] for key in sorted(seen)]
    trades = Trades(
        np.array([t.id for t in found], np.int64),
        np.array([t.ts // 1_000_000 for t in found], np.int64),
        np.array([t.price for t in found]),
        np.array([t.qty for t in found]),
        np.array([t.buyer for t in found], np.int64),
        np.array([(t.id, t.id) for t in found], np.int64).reshape(-1, 2),
    )
    n = len(recording.frames)
    at = np.maximum.accumulate(
        np.array([frame.at + recording.head.offset for frame in recording.frames], np.int64)
    )
    frames = tuple((frame.stream, frame.frame.encode()) for frame in recording.frames)
    head = recording.head
    kind = np.full(n, FRAME, np.int64)
    return Capture(
        head.exchange,
        head.native,
        head.base,
        head.quote,
        trades,
        _no_quotes(),
        at,
        kind,
        np.arange(n),
        frames,
    )


def _no_quotes() -> Quotes:
    return Quotes(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 4)))


def _check_ids(ids: Ints) -> None:
    if not len(ids) or not (np.diff(ids) == 1).all():
        raise FeedError("ids of trades do not rise by one in this capture: give one without holes")
