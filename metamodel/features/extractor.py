"""MarketFeatureExtractor: fifty scale-free features of a market, one pass, one kernel.

Notation: p = log mid; r = its change; s = root of an EWMA (span 128) of r², inputs clipped at 36 s²; u = r / s with
the s known before the tick, clipped at 6. EWMA(span) has alpha = 2 / (span + 1), or 1 / count until that is larger,
so that it is a plain mean at first. "slow" is span 8000. Every feature is finite, and clipped at 20.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base import rows
from windvane.metamodel.features.kernel import extract
from windvane.metamodel.features.memory import Memory
from windvane.metamodel.features.rows import REASONS, WARMUP

NAMES: tuple[str, ...] = (
    "trend_8",  # EWMA of u, times the root of its span
    "trend_32",
    "trend_128",
    "trend_512",
    "vol_16_slow",  # log of volatility of span 16 over slow
    "vol_128_slow",
    "vol_16_128",
    "vol_slow_level",  # log of slow volatility over 25 bp
    "autocorr_64",  # EWMA of u[t] u[t-1] over EWMA of u²
    "autocorr_256",
    "variance_ratio_8",  # log of EWMA(256) of squared 8-tick sums of u over 8 times that of u²
    "variance_ratio_32",
    "volume_16_slow",  # log of EWMA of size over slow; 0 without sizes
    "volume_96_slow",
    "spread_slow",  # log of half spread over slow; 0 without quotes
    "range_position_96",  # of p between the 96-tick low (-1) and high (1)
    "range_skew_480",  # (2 p - high - low) over 480 ticks, in s x root 480
    "range_480",  # log of (high - low) over 480 ticks, in s x root 480
    "jump_rate_128",  # EWMA of |u| > 3, times 10
    "jump_sign_128",  # EWMA of sign(u) where |u| > 3, times 10
    "skew_128",  # EWMA of u³ over EWMA of u² to the 1.5
    "return_1",  # u
    "momentum_4",  # p[t] - p[t-4], in s x root 4, clipped at 6
    "momentum_16",
    "momentum_64",
    "momentum_256",
    "rsi_14",  # Wilder 1978, scaled to [-1, 1]
    "rsi_56",
    "macd_12_26",  # EWMA(12) - EWMA(26) of p, in s
    "macd_signal_9",  # macd less its EWMA(9)
    "ma_distance_24",  # p - EWMA(24), in s x root 24
    "ma_distance_96",
    "ma_distance_384",
    "vol_of_vol_128",  # standard deviation (EWMA) of log variance of span 16
    "vol_trend_64",  # log volatility of span 16 less its EWMA(64)
    "drawdown_96",  # p - 96-tick high, in s x root 96
    "drawdown_480",
    "volume_trend_32",  # log of EWMA(8) over EWMA(32) of size
    "volume_price_corr_64",  # correlation (EWMA) of u and log size
    "kyle_lambda_64",  # Kyle 1985: EWMA of u q over EWMA of q², q signed size over slow size
    "amihud_32",  # Amihud 2002: log of EWMA(32) of |u| over relative size, over slow
    "flow_16",  # EWMA of (bought - sold) / size; 0 where the aggressor is not known
    "flow_64",
    "spread_vol",  # log of half spread over s; 0 without quotes
    "imbalance",  # (bid size - ask size) / sum; 0 without book sizes
    "imbalance_16",
    "day_sin",  # time of the UTC day
    "day_cos",
    "week_sin",  # time of the UTC week
    "week_cos",
)
"""Column names of the feature matrix, in order."""

__all__ = ["NAMES", "REASONS", "WARMUP", "FeatureRows", "MarketFeatureExtractor"]

_EMPTY = np.zeros(0)
_NONE = np.zeros(0, np.int64)
_MOST_AHEAD = 60_000_000_000


class FeatureRows(NamedTuple):
    """Features of n rows; a row that brings nothing new repeats the last good values."""

    x: Floats  # (n, 50)
    ts: Ints  # (n,) ns, never going back
    flags: Ints  # (n,) as given, with BAD, GAP, WARMUP, LEVEL and STRAY of `rows` as found
    price: Floats  # (n,)
    mid: Floats  # (n,)
    bid: Floats  # (n,) or (0,)
    ask: Floats  # (n,) or (0,)
    size: Floats  # (n,) or (0,)
    reason: Ints = _NONE  # (n,) why it was refused, places in REASONS; (0,) where nobody asked


class MarketFeatureExtractor:
    """Steps through ticks and gives the features of each; O(1) a tick, and the same bits for any cut.

    stale_after: ns between good rows above which a row is flagged as a gap; most_ahead: ns by which a row may be dated
    ahead of the time at which it was recorded.
    """

    def __init__(self, stale_after: int = 60_000_000_000, most_ahead: int = _MOST_AHEAD) -> None:
        self.stale_after = stale_after
        self.most_ahead = most_ahead
        self._memory = Memory.new(len(NAMES))

    def step(
        self,
        ts: Ints,
        flags: Ints,
        price: Floats,
        *,
        size: Floats | None = None,
        bid: Floats | None = None,
        ask: Floats | None = None,
        bid_size: Floats | None = None,
        ask_size: Floats | None = None,
        buy_size: Floats | None = None,
        received: Ints | None = None,
    ) -> FeatureRows:
        """Features of n ticks; every column (n,), ts and received in ns, prices > 0, sizes in base currency.

        received: when the rows were recorded, None where nothing is said about it.
        """
        n = len(ts)
        quoted = bid is not None and ask is not None
        found = FeatureRows(
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
        extract(
            self._memory,
            (self.stale_after, self.most_ahead),
            (ts, flags, _NONE if received is None else received),
            (
                price,
                _EMPTY if size is None else size,
                _EMPTY if bid is None or not quoted else bid,
                _EMPTY if ask is None or not quoted else ask,
                _EMPTY if bid_size is None or ask_size is None else bid_size,
                _EMPTY if bid_size is None or ask_size is None else ask_size,
                _EMPTY if buy_size is None or size is None else buy_size,
            ),
            found.x,
            (found.ts, found.flags, found.reason),
            (found.price, found.mid, found.bid, found.ask, found.size),
        )
        return found

    @property
    def warm(self) -> bool:
        """Whether all windows have been filled."""
        return int(self._memory.seen[0]) > WARMUP

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that `step` remembers, by name."""
        whole = self._memory._asdict()
        refused: rows.Refused = whole.pop("refused")
        whole |= {f"refused.{name}": value for name, value in refused._asdict().items()}
        return {name: value.copy() for name, value in whole.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        refused = rows.Refused(*(state[f"refused.{name}"].copy() for name in rows.Refused._fields))
        plain = {name: state[name].copy() for name in Memory._fields if name != "refused"}
        self._memory = Memory(**plain, refused=refused)
