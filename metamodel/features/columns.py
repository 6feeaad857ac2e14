"""The fifty features: the columns of the feature matrix, in the order in which models make use of them.

Notation: p = log mid; r = its change; s = root of an EWMA (span 128) of r², inputs clipped at 36 s²; u = r / s with
the s known before the tick, clipped at 6. EWMA(span) has alpha = 2 / (span + 1), or 1 / count until that is larger,
so that it is a plain mean at first. "slow" is span 8000. Every feature is finite, and clipped at 20.
"""

from enum import IntEnum


class Column(IntEnum):
    """The column of every feature; a comment holds for the features after it, too, up to the next comment."""

    TREND_8 = 0  # EWMA of u, times the root of its span
    TREND_32 = 1
    TREND_128 = 2
    TREND_512 = 3
    VOL_16_SLOW = 4  # log of volatility of span 16 over slow
    VOL_128_SLOW = 5
    VOL_16_128 = 6
    VOL_SLOW_LEVEL = 7  # log of slow volatility over 25 bp
    AUTOCORR_64 = 8  # EWMA of u[t] u[t-1] over EWMA of u²
    AUTOCORR_256 = 9
    VARIANCE_RATIO_8 = 10  # log of EWMA(256) of squared 8-tick sums of u over 8 times that of u²
    VARIANCE_RATIO_32 = 11
    VOLUME_16_SLOW = 12  # log of EWMA of size over slow; 0 without sizes
    VOLUME_96_SLOW = 13
    SPREAD_SLOW = 14  # log of half spread over slow; 0 without quotes
    RANGE_POSITION_96 = 15  # of p between the 96-tick low (-1) and high (1)
    RANGE_SKEW_480 = 16  # (2 p - high - low) over 480 ticks, in s x root 480
    RANGE_480 = 17  # log of (high - low) over 480 ticks, in s x root 480
    JUMP_RATE_128 = 18  # EWMA of |u| > 3, times 10
    JUMP_SIGN_128 = 19  # EWMA of sign(u) where |u| > 3, times 10
    SKEW_128 = 20  # EWMA of u³ over EWMA of u² to the 1.5
    RETURN_1 = 21  # u
    MOMENTUM_4 = 22  # p[t] - p[t-4], in s x root 4, clipped at 6
    MOMENTUM_16 = 23
    MOMENTUM_64 = 24
    MOMENTUM_256 = 25
    RSI_14 = 26  # Wilder 1978, scaled to [-1, 1]
    RSI_56 = 27
    MACD_12_26 = 28  # EWMA(12) - EWMA(26) of p, in s
    MACD_SIGNAL_9 = 29  # macd less its EWMA(9)
    MA_DISTANCE_24 = 30  # p - EWMA(24), in s x root 24
    MA_DISTANCE_96 = 31
    MA_DISTANCE_384 = 32
    VOL_OF_VOL_128 = 33  # standard deviation (EWMA) of log variance of span 16
    VOL_TREND_64 = 34  # log volatility of span 16 less its EWMA(64)
    DRAWDOWN_96 = 35  # p - 96-tick high, in s x root 96
    DRAWDOWN_480 = 36
    VOLUME_TREND_32 = 37  # log of EWMA(8) over EWMA(32) of size
    VOLUME_PRICE_CORR_64 = 38  # correlation (EWMA) of u and log size
    KYLE_LAMBDA_64 = 39  # Kyle 1985: EWMA of u q over EWMA of q², q signed size over slow size
    AMIHUD_32 = 40  # Amihud 2002: log of EWMA(32) of |u| over relative size, over slow
    FLOW_16 = 41  # EWMA of (bought - sold) / size; 0 where the aggressor is not known
    FLOW_64 = 42
    SPREAD_VOL = 43  # log of half spread over s; 0 without quotes
    IMBALANCE = 44  # (bid size - ask size) / sum; 0 without book sizes
    IMBALANCE_16 = 45
    DAY_SIN = 46  # time of the UTC day
    DAY_COS = 47
    WEEK_SIN = 48  # time of the UTC week
    WEEK_COS = 49


NAMES: tuple[str, ...] = tuple(column.name.lower() for column in Column)
"""Names of the columns of the feature matrix, in order."""
