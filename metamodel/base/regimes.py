"""The seven regimes of a market, in the order of every regime column."""

REGIMES = (
    "trending_bull",
    "trending_bear",
    "high_vol_range",
    "low_vol_range",
    "breakout",
    "reversal",
    "crisis",
)
BULL, BEAR, HIGH, LOW, BREAKOUT, REVERSAL, CRISIS = range(7)
