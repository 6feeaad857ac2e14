"""MarketFeatureExtractor: fifty scale-free features of a market, one pass, one kernel; `columns` lists them.

Here is how it steps through rows: which are believed, what follows from them, and what is known after each. `kernel`
has the formulas.
"""

from typing import NamedTuple, TypedDict, Unpack

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.bound import Bound
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import rows
from windvane.metamodel.features import memory as at
from windvane.metamodel.features.columns import NAMES
from windvane.metamodel.features.kernel import Tick, update
from windvane.metamodel.features.memory import Memory
from windvane.metamodel.features.rows import (
    AHEAD,
    BACK,
    OFF_LEVEL,
    REASONS,
    UNSOUND,
    WARMUP,
    FeatureRows,
    level,
    rejoin,
    when,
)

__all__ = ["NAMES", "REASONS", "WARMUP", "FeatureRows", "MarketFeatureExtractor"]

LIMIT = 20.0
"""Features are clipped at it."""

_EMPTY = np.zeros(0)
_NONE = np.zeros(0, np.int64)
_MOST_AHEAD = 60_000_000_000


class OptionalColumns(TypedDict, total=False):
    """Columns (n,) that a source may lack; None is as good as absent. Quotes count in pairs, and so do their sizes."""

    size: Floats | None  # volume, base currency
    bid: Floats | None
    ask: Floats | None
    bid_size: Floats | None
    ask_size: Floats | None
    buy_size: Floats | None  # the part of size whose aggressor bought
    received: Ints | None  # when the rows were recorded, UNIX ns


_OPTIONAL = OptionalColumns.__annotations__.keys()


class Bounds(NamedTuple):
    """What time a row may have."""

    stale_after: int  # ns between good rows above which the later one ends a hole
    most_ahead: int  # ns by which a row may be dated ahead of the time at which it was recorded


class Ticks(NamedTuple):
    """n rows as the source has them; a column that it does not have is (0,)."""

    ts: Ints  # (n,) event time, UNIX ns
    flags: Ints  # (n,) bits of `windvane.metamodel.base.rows`
    received: Ints  # (n,) time of the record, UNIX ns
    price: Floats  # (n,)
    size: Floats  # (n,) base currency
    bid: Floats  # (n,)
    ask: Floats  # (n,)
    bid_size: Floats  # (n,) base currency
    ask_size: Floats  # (n,) base currency
    buy_size: Floats  # (n,) part of size whose aggressor bought


class MarketFeatureExtractor:
    """Steps through ticks and returns the features of each; O(1) a tick, and the same bits for any cut into calls.

    stale_after: ns between good rows above which a row is flagged as a gap; most_ahead: ns by which a row may be dated
    ahead of the time at which it was recorded.
    """

    def __init__(self, stale_after: int = 60_000_000_000, most_ahead: int = _MOST_AHEAD) -> None:
        self.stale_after = stale_after
        self.most_ahead = most_ahead
        self._memory = Memory.new(len(NAMES))
        self._extract = Bound(_extract)

    def step(self, ts: Ints, flags: Ints, price: Floats, **columns: Unpack[OptionalColumns]) -> FeatureRows:
        """Features of n ticks; every column (n,), ts and received in UNIX ns, sizes in base currency.

        flags: bits of `windvane.metamodel.base.rows`; columns: what else the source has, as `OptionalColumns` names it
        (size, bid, ask, bid_size, ask_size, buy_size, received). A row that cannot be, such as one whose price is not
        above 0, raises nothing: it is flagged BAD, with a reason. Raises TypeError for a column of another name.
        """
        odd = columns.keys() - _OPTIONAL
        if odd:
            raise TypeError(f"there is no column {min(odd)!r}: give some of {', '.join(sorted(_OPTIONAL))}")
        n, size, buy_size = len(ts), columns.get("size"), columns.get("buy_size")
        bid, ask, received = columns.get("bid"), columns.get("ask"), columns.get("received")
        bid_size, ask_size = columns.get("bid_size"), columns.get("ask_size")
        quoted = bid is not None and ask is not None
        deep = bid_size is not None and ask_size is not None
        out = FeatureRows(
            np.empty((n, len(NAMES))),
            np.empty(n, np.int64),
            np.empty(n, np.int64),
            np.empty(n),
            np.empty(n),
            np.empty(n) if quoted else _EMPTY,
            np.empty(n) if quoted else _EMPTY,
            np.empty(n) if size is not None else _EMPTY,
            np.empty(n, np.int64),
        )
        ticks = Ticks(
            ts,
            flags,
            _NONE if received is None else received,
            price,
            _EMPTY if size is None else size,
            _EMPTY if bid is None or not quoted else bid,
            _EMPTY if ask is None or not quoted else ask,
            _EMPTY if bid_size is None or not deep else bid_size,
            _EMPTY if ask_size is None or not deep else ask_size,
            _EMPTY if buy_size is None or size is None else buy_size,
        )
        self._extract((self._memory,), ticks, Bounds(self.stale_after, self.most_ahead), out)
        return out

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over, so that the windows of all features are filled."""
        return int(self._memory.seen[at.GOOD]) > WARMUP

    @property
    def last_ts(self) -> int:
        """Time of the last row, UNIX ns, 0 before the first."""
        return int(self._memory.seen[at.TIME])

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of everything that `step` remembers between calls, by name."""
        whole = self._memory._asdict()
        refused: rows.Refused = whole.pop("refused")
        whole |= {f"refused.{name}": value for name, value in refused._asdict().items()}
        return {name: value.copy() for name, value in whole.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Replace what is remembered by what `state` of another extractor with the same settings returned."""
        refused = rows.Refused(*(state[f"refused.{name}"].copy() for name in rows.Refused._fields))
        plain = {name: state[name].copy() for name in Memory._fields if name != "refused"}
        self._memory = Memory(**plain, refused=refused)


@kernel
def _extract(m: Memory, ticks: Ticks, bounds: Bounds, out: FeatureRows) -> None:
    """Step through the rows: change the memory, and write what is known of the market after each.

    Columns are read and written here and in no function of their own, since every array of a tuple that is handed on
    counts a reference, for each row.
    """
    sized, quoted = ticks.size.size > 0, ticks.bid.size > 0
    deep, sided = ticks.bid_size.size > 0, ticks.buy_size.size > 0
    for t in range(ticks.ts.shape[0]):
        bid = ticks.bid[t] if quoted else ticks.price[t]
        ask = ticks.ask[t] if quoted else ticks.price[t]
        tick = Tick(
            ts=ticks.ts[t],
            flag=ticks.flags[t],
            price=ticks.price[t],
            size=ticks.size[t] if sized else 1.0,
            bid=bid,
            ask=ask,
            bid_size=ticks.bid_size[t] if deep else 0.0,
            ask_size=ticks.ask_size[t] if deep else 0.0,
            buy_size=ticks.buy_size[t] if sided else 0.0,
            mid=0.5 * bid + 0.5 * ask,
        )
        ahead = tick.ts - ticks.received[t] if ticks.received.size > 0 else 0
        flag, reason = _judge(m.seen, m.refused, m.last[at.MID], bounds, tick, ahead)
        if flag & rows.STRAY != 0:
            rejoin(m, tick.mid)
        if flag & rows.REPEATED == 0:
            update(m, tick, quoted, sided)
        if m.seen[at.GOOD] <= WARMUP:
            flag |= rows.WARMUP
        if flag & rows.BAD == 0:
            m.seen[at.TIME] = max(m.seen[at.TIME], tick.ts)
        out.ts[t], out.flags[t], out.reason[t] = m.seen[at.TIME], flag, reason
        for i in range(out.x.shape[1]):  # of a row that is not good: what was known before it
            out.x[t, i] = min(max(m.x[i], -LIMIT), LIMIT)
        out.price[t], out.mid[t] = m.last[at.PRICE], m.last[at.MID]
        if quoted:
            out.bid[t], out.ask[t] = m.last[at.BID], m.last[at.ASK]
        if sized:
            out.size[t] = m.last[at.SIZE]


@inlined
def _sound(tick: Tick) -> bool:
    """Whether a row's numbers can be, whatever came before it."""
    sizes = rows.sized(tick.bid_size) and rows.sized(tick.ask_size) and rows.sized(tick.buy_size)
    return sizes and rows.sound(tick.price, tick.bid, tick.ask, tick.size)


@inlined
def _judge(
    seen: Ints, refused: rows.Refused, last: float, bounds: Bounds, tick: Tick, ahead: int
) -> tuple[int, int]:
    """Flags and place in REASONS that a row earns.

    seen, refused: as in Memory; last: the last mid believed; ahead: ns by which the row is dated ahead of its record.
    """
    vouched = tick.flag & rows.LEVEL != 0
    flag, reason = tick.flag & ~(rows.WARMUP | rows.LEVEL | rows.STRAY), 0
    if flag & rows.REPEATED == 0:
        if not _sound(tick):
            flag, reason = flag | rows.BAD, UNSOUND
        elif ahead > bounds.most_ahead:
            flag, reason = flag | rows.BAD, AHEAD
        else:
            flag |= when(seen, tick.ts, bounds.stale_after)
            reason = BACK if flag & rows.BAD else 0
    if flag & rows.REPEATED == 0:
        if seen[at.GOOD] > 0:
            flag |= level(refused, tick.ts, tick.mid, last, vouched)
        reason = OFF_LEVEL if flag & rows.BAD else 0
    elif vouched:  # who cleaned the rows vouches for the next good one, too, which is on the same level
        refused.n[0] = rows.VOUCHED
    return flag, reason
