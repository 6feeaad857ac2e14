"""LiveRows: the rows of a live book, made of what comes from its feed.

    rows = LiveRows(market, interval, "main", mark)     # mark: where an earlier session ended
    rows.put(await feed.take())
    for ticks in rows.close_until(await feed.settled()):
        ...                                             # send them, and `rows.mark` with the last of them

No clock, no disk and no sockets: the same items and times give the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from windvane.agents.base import Ints
from windvane.infra.feeds.feed import Gap, Item, Market, Note, Quote, Trade
from windvane.infra.live.quotes import Quotes
from windvane.infra.live.trade_rows import TRADED, TradeRows
from windvane.metamodel.base.rows import HEARTBEAT
from windvane.metamodel.data.cleaning import SECOND
from windvane.metamodel.data.columns import Columns
from windvane.streams.codec import MAX_ROWS, pack, unpack
from windvane.streams.events import DeadLetter, Ticks, cut

LAG = SECOND // 4
"""ns by which silence is counted behind the exchange's time: trades on their way still come into their bar."""
BEAT = SECOND
"""ns of silence after which a heartbeat row is due, and after each of which another is."""
REPAIR = 5 * SECOND
"""ns after a break for which silence closes no bar, unless a trade comes: what was missed is being fetched."""
_AT_ONCE = -1


class Mark(msgspec.Struct, frozen=True):
    """Where a restart goes on.

    seq: of the next row. trade: id of the last trade in a row that was handed out, for `Feed.open`. ts: ns, the end of
    the last row that was handed out; later trades dated before it count in the next one. columns: the optional columns
    of the book, None where its first row fixes them.
    """

    seq: int = 0
    trade: int | None = None
    ts: int = 0
    columns: tuple[str, ...] | None = None


class LiveRows:
    """Rows come from trades, and quotes ride along: a row has the last quote that came before its last trade.

    A bar closes at the first trade past its end, or where the exchange's time is `LAG` past it and nobody traded. A
    trade that comes later than that counts in the next bar, and in `late`. The first trades wait for the first quote.
    A trade that was fetched after a break has no quote of its time: the last spread around its price stands in.

    letters: one for each rejected trade, and for each run of rejected quotes; the caller empties the list.
    """

    def __init__(self, market: Market, interval: int | None, book: str, mark: Mark | None = None) -> None:
        """interval: ns of a bar, None for a row a trade. mark: where an earlier session of this book ended."""
        start = Mark() if mark is None else mark
        known = start.columns
        self.letters: list[DeadLetter] = []
        self._book = book
        self._seq = start.seq
        self._quotes = Quotes(market.quotes if known is None else "bid" in known, fixed=known is not None)
        self._rows = TradeRows(interval, known, start.trade, start.ts)
        self._held: list[Trade | Gap] = []  # before the first quote
        self._trades: list[Trade] = []  # not added yet, within a call of `put`
        self._beside: list[Quote | None] = []  # the quote of each
        self._beat_ts = 0  # ns, of the last heartbeat, or of the first call of `close_until`
        self._down = False  # the feed is dialling
        self._repaired = 0  # ns, when silence closes bars again; 0: not known yet

    def put(self, items: Sequence[Item]) -> None:
        """Take in what came from the feed, in its order; the rows do not depend on how it is cut into calls."""
        for item in items:
            if isinstance(item, Quote):
                self._put_quote(item)
            elif isinstance(item, Note):
                self._heed(item)
            elif self._waits(item):
                self._held.append(item)
            else:
                self._take(item)
        self._flush()

    def close_until(self, now: int) -> list[Ticks]:
        """Return the rows that are finished at exchange time `now` (ns), and a heartbeat row where one is due.

        Each event has at most 256 rows. Silence closes no bar while the feed is dialling, since it says nothing then.
        """
        time = now - LAG
        if self._held and self._quotes.gave_up(now):
            self._release()
            self._flush()
        if self._silence_counts(now):
            self._rows.silent_until(time)
        out = self._drained()
        self._beat_ts = self._beat_ts or time
        if time - max(self._rows.last_ts, self._beat_ts) >= BEAT:
            out.append(self._beat(time))
        return out

    def heartbeat(self, now: int) -> Ticks:
        """Return one heartbeat row at exchange time `now` (ns), since a control has come.

        Call `close_until` first: finished rows that are not handed out yet get their numbers after it.
        """
        return self._beat(now - LAG)

    @property
    def mark(self) -> Mark:
        """Where a session goes on that has sent all rows that were handed out.

        Read it between `close_until` or `heartbeat` and the next `put`.
        """
        return Mark(self._seq, self._rows.covered, self._rows.floor, self._rows.columns)

    @property
    def last_id(self) -> int | None:
        """Id of the newest accepted trade, in a row or in the open bar: for `Feed.open` after `restore`."""
        return self._rows.last_id

    @property
    def last_ts(self) -> int:
        """ns, the exchange's time of the newest accepted trade, 0 before the first."""
        return self._rows.last_ts

    @property
    def quote(self) -> Quote | None:
        """The last quote that was believed; its `received` tells how old it is."""
        return self._quotes.last

    @property
    def late(self) -> int:
        """Trades that came after silence had closed their bar."""
        return self._rows.late

    @property
    def counts(self) -> dict[str, int]:
        """Trades so far, by what became of them: accepted, or rejected for a reason."""
        return self._rows.counts

    def snapshot(self) -> bytes:
        """Everything that is remembered, the open bar too, between `close_until` and the next `put`.

        Trades that wait for the first quote are left out, and come again where the feed is opened after `last_id`.
        """
        plain = {name: getattr(self, name) for name in _PLAIN}
        return pack({**self._rows.save(), "quotes": self._quotes.save(), "rows": plain})

    def restore(self, snapshot: bytes) -> None:
        """Go on from what `snapshot` of rows with the same market, interval and book returned."""
        state = unpack(snapshot)
        self._rows.load(state)
        self._quotes.load(state["quotes"])
        for name in _PLAIN:
            setattr(self, name, state["rows"][name])
        self._held, self._trades, self._beside, self.letters = [], [], [], []

    # What comes in

    def _put_quote(self, quote: Quote) -> None:
        reason = self._quotes.put(quote)
        if reason:
            self._reject(f"quote at {quote.ts}", reason, f"bid {quote.bid}, ask {quote.ask}")
        elif self._held and not self._quotes.awaited:
            self._release()

    def _heed(self, note: Note) -> None:
        """Between a break and the first trade after it, silence says nothing."""
        if note.kind in ("silent", "dialling"):
            self._down, self._repaired = True, 0
        elif note.kind == "connected":
            self._down = False

    def _waits(self, item: Trade | Gap) -> bool:
        """Whether an item waits for the first quote; a trade may show that none comes, and ends the waiting."""
        if not self._quotes.awaited:
            return False
        if isinstance(item, Gap) or not self._quotes.gave_up(item.ts):
            return True
        self._release()
        return False

    def _release(self) -> None:
        held, self._held = self._held, []
        for item in held:
            self._take(item)

    def _take(self, item: Trade | Gap) -> None:
        self._down, self._repaired = False, _AT_ONCE
        if isinstance(item, Trade):
            self._trades.append(item)
            self._beside.append(self._quotes.beside(item))
        else:
            self._flush()
            self._rows.gap(item)

    def _flush(self) -> None:
        if not self._trades:
            return
        trades, self._trades = self._trades, []
        beside, self._beside = self._beside, []
        for trade, reason in self._rows.add(trades, beside):
            self._reject(f"trade {trade.id}", reason, f"ts {trade.ts}, price {trade.price}, qty {trade.qty}")

    def _silence_counts(self, now: int) -> bool:
        """Whether the time alone may close a bar; after a break it may once a trade has come, or `REPAIR` is over."""
        if self._down:
            return False
        self._repaired = self._repaired or now + REPAIR
        return now >= self._repaired

    # What goes out

    def _drained(self) -> list[Ticks]:
        done = self._rows.drain()
        if done is None:
            return []
        whole = self._ticks(*done)
        return [cut(whole, start, start + MAX_ROWS) for start in range(0, len(whole), MAX_ROWS)]

    def _beat(self, ts: int) -> Ticks:
        """A heartbeat row, which repeats the last row; before the first one it has a price that nobody reads."""
        last = self._rows.last
        self._beat_ts = max(ts, self._beat_ts, 0 if last is None else int(last.ts[0]))
        now, flags = np.array([self._beat_ts], np.int64), np.full(1, HEARTBEAT, np.int64)
        if last is None:
            return self._ticks(Columns(now, np.ones(1)), flags)
        columns: dict[str, Any] = {
            name: np.zeros(1) if name in TRADED else getattr(last, name) for name in last.present
        }
        return self._ticks(Columns(now, last.price, **columns), flags)

    def _ticks(self, rows: Columns, flags: Ints) -> Ticks:
        seq = np.arange(self._seq, self._seq + len(rows))
        self._seq += len(rows)
        columns = {name: getattr(rows, name) for name in rows.present}
        return Ticks(book=self._book, seq=seq, ts=rows.ts, flags=flags, price=rows.price, **columns)

    def _reject(self, source: str, reason: str, payload: str) -> None:
        self.letters.append(DeadLetter(book=self._book, source=source, reason=reason, payload=payload))


_PLAIN = ("_seq", "_beat_ts", "_down", "_repaired")
