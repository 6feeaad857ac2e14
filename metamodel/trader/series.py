"""One series of prices as a caller hands it over, row by row: which rows can be, and what features would make of them.

The rules are those of the features of a topic or file; here nobody vouches for a level of price, so one that is far
from the last is refused however often it comes.
"""

import numpy as np

from windvane.agents.base import Floats
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.base.rows import GAP, REPEATED, priced, same_level, sized
from windvane.metamodel.base.rows import WARMUP as WARMING
from windvane.metamodel.features.extractor import WARMUP, FeatureRows
from windvane.metamodel.simulation.market import BAR, FIRST

HOLE = "it ends a hole in time: its values are used once the next row agrees"
ANEW = "the price is on another level than before: the series starts anew, and warms up again"
OFF_LEVEL = (
    "price {price:g} is more than a factor of 2 from the last, {last:g}: if this is another market, call new_market(); "
    "to ask without trading, use preview() at the market's price"
)
_NONE = np.zeros(0)


class Series:
    """The rows of one market so far, and of the history before them."""

    def __init__(self) -> None:
        self.last: FeatureRows | None = None
        self._good = 0  # rows that brought something new
        self._good_ts = 0  # time of the last of them, ns
        self._hole = 0  # time of the row that ended a hole, until the next row agrees with it, ns

    @property
    def warming(self) -> bool:
        """Whether the windows of the features are not filled yet, so that nothing was traded."""
        return self._good <= WARMUP

    def next_ts(self, config: TradingConfig) -> int:
        """Time (ns) of a row that names none: one bar after the last row."""
        return FIRST if self.last is None else int(self.last.ts[0]) + (config.interval or BAR)

    def late(self, ts: int) -> str:
        """Why a row at time `ts` (ns) cannot follow; empty where it can."""
        if self.last is None or ts >= self._good_ts:
            return ""
        return f"time goes back: ts {ts} is before {self._good_ts}, that of the last row"

    @property
    def last_mid(self) -> float:
        """Mid of the last row, 0 before the first."""
        return 0.0 if self.last is None else float(self.last.mid[0])

    def off_level(self, mid: float) -> bool:
        """Whether a mid is on another level of price than the last row."""
        return self.last is not None and not same_level(mid, self.last_mid)

    def follow(self, rows: FeatureRows) -> None:
        """Go on after n rows of a history, which features have judged already."""
        good = np.flatnonzero((rows.flags & REPEATED) == 0)
        self._good += len(good)
        self._good_ts = int(rows.ts[good[-1]])
        self.last = FeatureRows._make(column[-1:].copy() for column in rows)

    def row(
        self,
        config: TradingConfig,
        x: Floats,
        ts: int,
        price: float,
        volume: float,
        quotes: tuple[float, float] | None,
    ) -> FeatureRows:
        """Take in a sound row, as the extractor would return it: features x (50,), ts in ns, quotes (bid, ask).

        A row that ends a hole in time repeats the last one, flagged GAP, until the next row agrees with its time.
        """
        bid, ask = quotes or (price, price)
        flag, mid = self._gap(ts, config.stale_after), 0.5 * bid + 0.5 * ask
        if flag and self.last is not None:
            x, ts = self.last.x[0], int(self.last.ts[0])
            price = float(self.last.price[0])
            bid = ask = mid = float(self.last.mid[0])
            volume = float(self.last.size[0])
        else:
            self._good += 1
            self._hole, self._good_ts = 0, ts
        flag |= WARMING if self.warming else 0
        self.last = FeatureRows(
            np.clip(x, -20.0, 20.0).reshape(1, -1),
            np.array([ts]),
            np.array([flag]),
            np.array([price]),
            np.array([mid]),
            np.array([bid]) if quotes else _NONE,
            np.array([ask]) if quotes else _NONE,
            np.array([volume]),
        )
        return self.last

    def _gap(self, ts: int, stale_after: int) -> int:
        """GAP for a row that ends a hole, 0 for one in time, as features have it."""
        last = self._good_ts
        if (
            self._good == 0
            or ts - last <= stale_after
            or (self._hole > 0 and 0 <= ts - self._hole <= stale_after)
        ):
            return 0
        self._hole = ts
        return GAP


def unsound(x: Floats, price: float, volume: float, quotes: tuple[float, float] | None) -> str:
    """Why a row cannot be, whatever came before it; empty where it can."""
    bid, ask = quotes or (price, price)
    if not np.isfinite(x).all():
        return "the state holds a value that is no number"
    if not sized(volume):
        return f"volume {volume:g} is no size: give 0 or more"
    if not priced(price, bid, ask):
        return (
            f"price {price:g}, bid {bid:g}, ask {ask:g} cannot be: give a price above 0, and quotes near it, the "
            "bid not above the ask"
        )
    return ""
