"""TradeRows: trades of a feed made into finished rows by the backtest's own cleaner and sampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from windvane.agents.base import Ints
from windvane.infra.feeds.feed import Gap, Quote, Trade
from windvane.metamodel.base.config import default_stale_after
from windvane.metamodel.base.rows import GAP
from windvane.metamodel.base.times import DAY
from windvane.metamodel.data.cleaning import REASONS, Cleaner
from windvane.metamodel.data.columns import OPTIONAL_FLOATS, Columns, concat
from windvane.metamodel.data.sampler import BarSampler

QUOTED = ("bid", "ask", "bid_size", "ask_size")
TRADED = ("size", "buy_size")

Rejected = tuple[Trade, str]
"""A trade, and why it is in no row."""


class TradeRows:
    """Rows and their flags, in the order in which they finish; it has no clock.

    A bar, or of ticks a trade, beside a gap is flagged GAP, unless it ends a hole that the features flag themselves.

    last: the last finished row, None before the first. last_id, last_ts: of the newest trade that was accepted.
    covered: id of the last trade in a finished row. floor: ns, the end of the last finished row.
    """

    def __init__(
        self, interval: int | None, columns: tuple[str, ...] | None, covered: int | None, floor: int
    ) -> None:
        """interval: ns of a bar, None for a row a trade. columns: the optional ones, None where the first trades fix
        them. covered, floor: of an earlier session, None and 0 without one; trades dated before its last row count in
        the first row of this one.
        """
        self.columns = columns
        self.last: Columns | None = None
        self.last_id, self.last_ts = covered, 0
        self.covered, self.floor = covered, floor
        self._earliest = floor
        self._stale_after = default_stale_after(interval or 0)
        self._cleaner = Cleaner(max_jump=DAY)
        self._sampler = BarSampler(interval) if interval else None
        self._done: list[tuple[Columns, Ints]] = []
        self._lacking = False  # the row that finishes next lacks trades
        self._after_gap = False  # the next trade comes after a gap
        self._renumbered = False  # the next trade may have a lower id than the ones before the gap
        self._shift = 0  # what is added to ids, so that they rise where the exchange begins anew
        self._good_ts = 0  # ns, of the last row without a flag

    @property
    def late(self) -> int:
        """Trades that came after silence had closed their bar."""
        return 0 if self._sampler is None else self._sampler.late

    @property
    def counts(self) -> dict[str, int]:
        """Trades so far, by what became of them: accepted, or rejected for a reason."""
        return self._cleaner.counts

    def add(self, trades: Sequence[Trade], quotes: Sequence[Quote | None]) -> list[Rejected]:
        """Add n >= 1 trades with the quote of each; returns those that are rejected."""
        if self.columns is None:
            found = TRADED if quotes[0] is None else (*TRADED, *QUOTED)
            self.columns = tuple(name for name in OPTIONAL_FLOATS if name in found)
        ts = np.maximum(np.array([trade.ts for trade in trades], np.int64), self._earliest)
        ids = np.array([trade.id for trade in trades], np.int64)
        values = {
            "price": np.array([trade.price for trade in trades]),
            "size": np.array([trade.qty for trade in trades]),
            "buy_size": np.array([trade.qty if trade.buyer else 0.0 for trade in trades]),
        }
        if "bid" in self.columns:
            values |= {name: np.array([getattr(quote, name) for quote in quotes]) for name in QUOTED}
        first = self._cleaner.seen
        cleaned = self._cleaner.clean(self._made(ts, values), self._rising(ids))
        if len(cleaned.kept):
            self._sample(cleaned.columns, ids[cleaned.kept - first])
        wrong = zip((cleaned.index - first).tolist(), cleaned.code.tolist(), strict=True)
        return [(trades[place], REASONS[code]) for place, code in wrong]

    def gap(self, gap: Gap) -> None:
        """Trades are missing here: the open bar lacks some, and so does the bar of the next trade."""
        self._lacking = self._sampler is not None
        self._after_gap = True
        self._renumbered = gap.first == 0

    def silent_until(self, ts: int) -> None:
        """Nobody traded up to `ts` (ns): the bar that is over by then is finished."""
        if self._sampler is not None and ts >= self._end_of_open_bar(self._sampler.interval):
            self._finish(self._sampler.heartbeat(ts), self.last_id)

    def _end_of_open_bar(self, interval: int) -> int:
        """ns before which no time closes a bar; asked with every turn, so that the sampler need not be."""
        return (self.last_ts // interval + 1) * interval

    def drain(self) -> tuple[Columns, Ints] | None:
        """Return the finished rows and their flags (n,), None where there are none."""
        if not self._done:
            return None
        done, self._done = self._done, []
        return concat([rows for rows, _ in done]), np.concatenate([flags for _, flags in done])

    def _rising(self, ids: Ints) -> Ints:
        """Ids as the cleaner may compare them; an exchange that numbers anew has said so by a gap without ids."""
        if self._renumbered:
            self._renumbered = False
            if self.last_id is not None and int(ids[0]) <= self.last_id:
                self._shift += self.last_id - int(ids[0]) + 1
        return ids + self._shift

    def _sample(self, columns: Columns, ids: Ints) -> None:
        """Add n >= 1 accepted trades; the first after a gap goes alone, which tells the bars on both sides of it."""
        if self._after_gap:
            self._after_gap = False
            if self._sampler is not None:
                self._push(columns.take(slice(0, 1)), ids[:1])
                columns, ids = columns.take(slice(1, None)), ids[1:]
            self._lacking = True
        if len(ids):
            self._push(columns, ids)

    def _push(self, columns: Columns, ids: Ints) -> None:
        if self._sampler is None:
            self._finish(columns, int(ids[-1]))
        else:
            bars = self._sampler.push(columns)
            inside = int(np.searchsorted(columns.ts, bars.ts[-1])) if len(bars) else 0
            self._finish(bars, int(ids[inside - 1]) if inside else self.last_id)
        self.last_id, self.last_ts = int(ids[-1]), int(columns.ts[-1])

    def _finish(self, rows: Columns, covered: int | None) -> None:
        """Keep n >= 0 rows; covered: id of the last trade in them."""
        if not len(rows):
            return
        flags = np.zeros(len(rows), np.int64)
        if self._lacking and int(rows.ts[0]) - self._good_ts <= self._stale_after:
            flags[0] = GAP
        self._lacking = False
        if not flags[-1]:
            self._good_ts = int(rows.ts[-1])
        self.covered, self.floor = covered, int(rows.ts[-1])
        self.last = rows.take(slice(-1, None))
        self._done.append((rows, flags))

    def _made(self, ts: Ints, values: dict[str, np.ndarray]) -> Columns:
        return Columns(ts, values["price"], **{name: values[name] for name in self.columns or ()})

    def save(self) -> dict[str, Any]:
        """Everything that is remembered, the open bar too, by name; call it with no finished row left."""
        state: dict[str, Any] = {f"cleaner.{name}": value for name, value in self._cleaner.state().items()}
        if self._sampler is not None:
            state |= {f"sampler.{name}": value for name, value in self._sampler.state().items()}
        if self.last is not None:
            state |= {"last.ts": self.last.ts, "last.values": self.last.matrix()[1]}
        columns = None if self.columns is None else list(self.columns)
        return state | {"columns": columns, "trades": {name: getattr(self, name) for name in _PLAIN}}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `save` of rows with the same interval returned."""
        self._cleaner.restore(_part(state, "cleaner."))
        if self._sampler is not None:
            self._sampler.restore(_part(state, "sampler."))
        self.columns = None if state["columns"] is None else tuple(state["columns"])
        for name in _PLAIN:
            setattr(self, name, state["trades"][name])
        self.last, self._done = None, []
        if "last.ts" in state:
            values = zip(("price", *OPTIONAL_FLOATS), state["last.values"], strict=True)
            self.last = self._made(state["last.ts"], dict(values))


_PLAIN = (
    *("last_id", "last_ts", "covered", "floor"),
    *("_earliest", "_lacking", "_after_gap", "_renumbered", "_shift", "_good_ts"),
)


def _part(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
