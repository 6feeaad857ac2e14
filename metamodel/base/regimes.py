"""The names of the seven market regimes, in the order of the columns of every regime array (n, 7)."""

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
