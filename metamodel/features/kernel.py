"""The formulas behind MarketFeatureExtractor; `columns` says what each feature means."""

import math
from typing import NamedTuple

from windvane.agents.base import Floats
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base.times import DAY
from windvane.metamodel.features import memory as at
from windvane.metamodel.features.columns import Column
from windvane.metamodel.features.memory import RING, Memory

_LEVEL = math.log(25e-4)
_FLOOR = 1e-12  # of a variance: a hundredth of a basis point, squared
_WEEK_START = 4 * DAY  # 1970-01-05 was a Monday


class Tick(NamedTuple):
    """One row; where there are no quotes, bid and ask are the price."""

    ts: int
    flag: int
    price: float
    size: float  # 1 where the source has none
    bid: float
    ask: float
    bid_size: float  # 0 where the source has none
    ask_size: float
    buy_size: float  # 0 where the source has none
    mid: float


@kernel
def _ewma(e: Floats, place: int, span: float, k: int, value: float) -> float:
    """Move e[place] towards value and return it; k >= 1 counts the values so far, this one included."""
    e[place] += max(2.0 / (span + 1.0), 1.0 / k) * (value - e[place])
    return e[place]


@inlined
def _extreme(m: Memory, q: int, window: int, k: int, value: float, sign: float) -> float:
    """Highest (sign 1) or lowest (-1) of the last `window` values, in queue q: Lemire 2006, amortised O(1)."""
    head, tail = m.dq_ends[q, 0], m.dq_ends[q, 1]
    mask = RING - 1
    while tail > head and sign * m.dq_value[q, (tail - 1) & mask] <= sign * value:
        tail -= 1
    m.dq_value[q, tail & mask] = value
    m.dq_at[q, tail & mask] = k
    tail += 1
    while m.dq_at[q, head & mask] <= k - window:
        head += 1
    m.dq_ends[q, 0], m.dq_ends[q, 1] = head, tail
    return m.dq_value[q, head & mask]


@kernel
def _log_ratio(a: float, b: float) -> float:
    """log(a / b), and 0 where either is not above 0."""
    return math.log((a + 1e-300) / (b + 1e-300)) if a > 0.0 and b > 0.0 else 0.0


@kernel
def _rsi(e: Floats, up: int, n: float, k: int, u: float) -> float:
    """Wilder's index of n rows in [-1, 1]; the mean fall is kept in the place after `up`, that of the mean rise."""
    rise = _ewma(e, up, 2.0 * n - 1.0, k, max(u, 0.0))  # Wilder's alpha is 1 / n
    fall = _ewma(e, up + 1, 2.0 * n - 1.0, k, max(-u, 0.0))
    return (rise - fall) / (rise + fall) if rise + fall > 0.0 else 0.0


@inlined
def _trades(m: Memory, k: int, u: float, size: float, buy: float, known: bool, x: Floats) -> None:
    """Features of volume and flow from the k-th return's u; size is 1 where the source has none.

    buy: the part of size whose aggressor bought, where that is known.
    """
    e = m.e
    n8 = _ewma(e, at.N8, 8.0, k, size)
    n16 = _ewma(e, at.N16, 16.0, k, size)
    n32 = _ewma(e, at.N32, 32.0, k, size)
    n96 = _ewma(e, at.N96, 96.0, k, size)
    slow = _ewma(e, at.NSLOW, 8000.0, k, size)
    x[Column.VOLUME_16_SLOW] = _log_ratio(n16, slow)
    x[Column.VOLUME_96_SLOW] = _log_ratio(n96, slow)
    x[Column.VOLUME_TREND_32] = _log_ratio(n8, n32)
    relative = size / slow if slow > 0.0 else 1.0
    change = math.log(relative + 1e-3) - e[at.LN64]
    _ewma(e, at.LN64, 64.0, k, math.log(relative + 1e-3))
    nn = _ewma(e, at.NN64, 64.0, k, change * change)
    un = _ewma(e, at.UN64, 64.0, k, u * change)
    x[Column.VOLUME_PRICE_CORR_64] = (
        un / math.sqrt(nn * e[at.UU64]) if nn > 1e-12 and e[at.UU64] > 1e-12 else 0.0
    )
    flow = min(max((2.0 * buy - size) / size, -1.0), 1.0) if known and size > 0.0 else 0.0
    side = flow if known else (1.0 if u > 0.0 else (-1.0 if u < 0.0 else 0.0))
    q = side * min(relative, 20.0)
    uq = _ewma(e, at.UQ, 64.0, k, u * q)
    qq = _ewma(e, at.QQ, 64.0, k, q * q)
    x[Column.KYLE_LAMBDA_64] = uq / qq if qq > 1e-12 else 0.0
    impact = abs(u) / (relative + 0.05)
    a32 = _ewma(e, at.A32, 32.0, k, impact)
    x[Column.AMIHUD_32] = _log_ratio(a32, _ewma(e, at.ASLOW, 8000.0, k, impact))
    x[Column.FLOW_16] = _ewma(e, at.F16, 16.0, k, flow)
    x[Column.FLOW_64] = _ewma(e, at.F64, 64.0, k, flow)


@inlined
def _returns(m: Memory, k: int, p: float, x: Floats) -> tuple[float, float]:
    """Features of the k-th log mid p alone, k >= 2; returns u and s."""
    e, mask = m.e, RING - 1
    r = p - m.p[(k - 2) & mask]
    before = max(e[at.V128], _FLOOR)
    u = min(max(r / math.sqrt(before), -6.0), 6.0) if k > 2 else 0.0
    square = min(r * r, 36.0 * before) if k > 2 else r * r
    j = k - 1  # returns so far
    v16 = max(_ewma(e, at.V16, 16.0, j, square), _FLOOR)
    v128 = max(_ewma(e, at.V128, 128.0, j, square), _FLOOR)
    slow = max(_ewma(e, at.VSLOW, 8000.0, j, square), _FLOOR)
    s = math.sqrt(v128)
    x[Column.TREND_8] = _ewma(e, at.U8, 8.0, j, u) * math.sqrt(8.0)
    x[Column.TREND_32] = _ewma(e, at.U32, 32.0, j, u) * math.sqrt(32.0)
    x[Column.TREND_128] = _ewma(e, at.U128, 128.0, j, u) * math.sqrt(128.0)
    x[Column.TREND_512] = _ewma(e, at.U512, 512.0, j, u) * math.sqrt(512.0)
    l16, l128, lslow = 0.5 * math.log(v16), 0.5 * math.log(v128), 0.5 * math.log(slow)
    x[Column.VOL_16_SLOW], x[Column.VOL_128_SLOW] = l16 - lslow, l128 - lslow
    x[Column.VOL_16_128], x[Column.VOL_SLOW_LEVEL] = l16 - l128, lslow - _LEVEL
    uu = u * u
    uu64 = _ewma(e, at.UU64, 64.0, j, uu)
    uu128 = _ewma(e, at.UU128, 128.0, j, uu)
    uu256 = _ewma(e, at.UU256, 256.0, j, uu)
    ac64 = _ewma(e, at.AC64, 64.0, j, u * e[at.ULAST])
    ac256 = _ewma(e, at.AC256, 256.0, j, u * e[at.ULAST])
    x[Column.AUTOCORR_64] = ac64 / uu64 if uu64 > 1e-9 else 0.0
    x[Column.AUTOCORR_256] = ac256 / uu256 if uu256 > 1e-9 else 0.0
    e[at.ULAST] = u
    e[at.CU] += u
    m.cu[k & mask] = e[at.CU]
    sum8 = e[at.CU] - m.cu[(k - min(8, j)) & mask]
    sum32 = e[at.CU] - m.cu[(k - min(32, j)) & mask]
    x[Column.VARIANCE_RATIO_8] = _log_ratio(_ewma(e, at.S8, 256.0, j, sum8 * sum8), 8.0 * uu256)
    x[Column.VARIANCE_RATIO_32] = _log_ratio(_ewma(e, at.S32, 256.0, j, sum32 * sum32), 32.0 * uu256)
    jump = 1.0 if u > 3.0 else (-1.0 if u < -3.0 else 0.0)
    x[Column.JUMP_RATE_128] = 10.0 * _ewma(e, at.JUMP, 128.0, j, abs(jump))
    x[Column.JUMP_SIGN_128] = 10.0 * _ewma(e, at.JSIGN, 128.0, j, jump)
    uuu = _ewma(e, at.UUU128, 128.0, j, uu * u)
    x[Column.SKEW_128] = uuu / (uu128 * math.sqrt(uu128)) if uu128 > 1e-9 else 0.0
    x[Column.RETURN_1] = u
    for i in range(4):
        n = 4 ** (i + 1)
        move = (p - m.p[(k - 1 - min(n, j)) & mask]) / (s * math.sqrt(n))
        x[Column.MOMENTUM_4 + i] = min(max(move, -6.0), 6.0)
    x[Column.RSI_14] = _rsi(e, at.UP14, 14.0, j, u)
    x[Column.RSI_56] = _rsi(e, at.UP56, 56.0, j, u)
    deviation = 2.0 * l16 - e[at.LV] if j > 1 else 0.0
    x[Column.VOL_OF_VOL_128] = math.sqrt(_ewma(e, at.LVV, 128.0, j, deviation**2))
    _ewma(e, at.LV, 128.0, j, 2.0 * l16)
    x[Column.VOL_TREND_64] = l16 - _ewma(e, at.LV64, 64.0, j, l16)
    return u, s


@inlined
def _levels(m: Memory, k: int, p: float, s: float, x: Floats) -> None:
    """Features of where the k-th log mid p stands against its own past; s: volatility a row."""
    e = m.e
    macd = (_ewma(e, at.P12, 12.0, k, p) - _ewma(e, at.P26, 26.0, k, p)) / s
    x[Column.MACD_12_26] = macd
    x[Column.MACD_SIGNAL_9] = macd - _ewma(e, at.MACD, 9.0, k, macd)
    x[Column.MA_DISTANCE_24] = (p - _ewma(e, at.P24, 24.0, k, p)) / (s * math.sqrt(24.0))
    x[Column.MA_DISTANCE_96] = (p - _ewma(e, at.P96, 96.0, k, p)) / (s * math.sqrt(96.0))
    x[Column.MA_DISTANCE_384] = (p - _ewma(e, at.P384, 384.0, k, p)) / (s * math.sqrt(384.0))
    high = _extreme(m, 0, 96, k, p, 1.0)
    low = _extreme(m, 1, 96, k, p, -1.0)
    x[Column.RANGE_POSITION_96] = (2.0 * p - high - low) / (high - low) if high > low else 0.0
    x[Column.DRAWDOWN_96] = (p - high) / (s * math.sqrt(96.0))
    high = _extreme(m, 2, 480, k, p, 1.0)
    low = _extreme(m, 3, 480, k, p, -1.0)
    scale = s * math.sqrt(480.0)
    x[Column.RANGE_SKEW_480] = (2.0 * p - high - low) / scale
    x[Column.RANGE_480] = math.log((high - low) / scale + 1e-6)
    x[Column.DRAWDOWN_480] = (p - high) / scale


@inlined
def _quotes(m: Memory, k: int, half: float, s: float, bid_size: float, ask_size: float, x: Floats) -> None:
    """Features of the book; half: half the spread over mid, NaN where there are no quotes; s: volatility a row."""
    e = m.e
    if half >= 0.0:
        slow = _ewma(e, at.HSLOW, 8000.0, k, half)
        x[Column.SPREAD_SLOW] = math.log((half + 1e-7) / (slow + 1e-7))
        x[Column.SPREAD_VOL] = math.log((half + 1e-7) / s)
    else:
        x[Column.SPREAD_SLOW], x[Column.SPREAD_VOL] = 0.0, 0.0
    depth = bid_size + ask_size
    x[Column.IMBALANCE] = (bid_size - ask_size) / depth if depth > 0.0 else 0.0
    x[Column.IMBALANCE_16] = _ewma(e, at.I16, 16.0, k, x[Column.IMBALANCE])


@kernel
def _time(ts: int, x: Floats) -> None:
    """Features of the time of the UTC day and week; ts in ns."""
    day = 2.0 * math.pi * (ts % DAY) / DAY
    week = 2.0 * math.pi * ((ts - _WEEK_START) % (7 * DAY)) / (7 * DAY)
    x[Column.DAY_SIN], x[Column.DAY_COS] = math.sin(day), math.cos(day)
    x[Column.WEEK_SIN], x[Column.WEEK_COS] = math.sin(week), math.cos(week)


@inlined
def update(m: Memory, tick: Tick, quoted: bool, sided: bool) -> None:
    """Add a good row, and compute its features; quoted, sided: whether the source has quotes, and aggressors' sides."""
    m.seen[at.GOOD] += 1
    m.seen[at.GOOD_TS], m.seen[at.HOLE_TS] = tick.ts, 0
    k = m.seen[at.GOOD]
    p = math.log(tick.mid)
    s = math.sqrt(_FLOOR)
    if k > 1:
        u, s = _returns(m, k, p, m.x)
        _trades(m, k - 1, u, tick.size, tick.buy_size, sided, m.x)
    _levels(m, k, p, s, m.x)
    half = (tick.ask - tick.bid) / (2.0 * tick.mid) if quoted else math.nan
    _quotes(m, k, half, s, tick.bid_size, tick.ask_size, m.x)
    _time(tick.ts, m.x)
    m.p[(k - 1) & (RING - 1)] = p
    m.last[at.PRICE], m.last[at.MID], m.last[at.SIZE] = tick.price, tick.mid, tick.size
    m.last[at.BID], m.last[at.ASK] = tick.bid, tick.ask
