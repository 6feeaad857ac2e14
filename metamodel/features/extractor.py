"""MarketFeatureExtractor: fifty scale-free features of a market, one pass, one kernel; `columns` lists them."""

from typing import TypedDict, Unpack

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base import rows
from windvane.metamodel.features import memory as at
from windvane.metamodel.features.columns import NAMES
from windvane.metamodel.features.extract import Bounds, Ticks, extract
from windvane.metamodel.features.memory import Memory
from windvane.metamodel.features.rows import REASONS, WARMUP, FeatureRows

__all__ = ["NAMES", "REASONS", "WARMUP", "FeatureRows", "MarketFeatureExtractor"]

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


class MarketFeatureExtractor:
    """Steps through ticks and returns the features of each; O(1) a tick, and the same bits for any cut into calls.

    stale_after: ns between good rows above which a row is flagged as a gap; most_ahead: ns by which a row may be dated
    ahead of the time at which it was recorded.
    """

    def __init__(self, stale_after: int = 60_000_000_000, most_ahead: int = _MOST_AHEAD) -> None:
        self.stale_after = stale_after
        self.most_ahead = most_ahead
        self._memory = Memory.new(len(NAMES))

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
        extract(self._memory, Bounds(self.stale_after, self.most_ahead), ticks, out)
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
