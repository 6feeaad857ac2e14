"""The kernel behind MarketFeatureExtractor; what each column means is said in `features`."""

import math

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import rows
from windvane.metamodel.base.times import DAY
from windvane.metamodel.features import memory as at
from windvane.metamodel.features.memory import RING, Memory
from windvane.metamodel.features.rows import AHEAD, BACK, OFF_LEVEL, UNSOUND, WARMUP, level, when

_LIMIT = 20.0
_LEVEL = math.log(25e-4)
_FLOOR = 1e-12  # of a variance: a hundredth of a basis point, squared
_WEEK_START = 4 * DAY  # 1970-01-05 was a Monday


@kernel
def _ewma(e: Floats, place: int, span: float, k: int, value: float) -> float:
    """Move e[place] towards value; k >= 1 counts the values so far, this one included."""
    e[place] += max(2.0 / (span + 1.0), 1.0 / k) * (value - e[place])
    return e[place]


@inlined
def _extreme(m: Memory, q: int, window: int, k: int, value: float, sign: float) -> float:
    """Highest (sign 1) or lowest (-1) of the last `window` values: Lemire 2006, amortised O(1)."""
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
    """log(a / b), 0 where either is empty."""
    return math.log((a + 1e-300) / (b + 1e-300)) if a > 0.0 and b > 0.0 else 0.0


@kernel
def _rsi(e: Floats, up: int, n: float, k: int, u: float) -> float:
    rise = _ewma(e, up, 2.0 * n - 1.0, k, max(u, 0.0))  # Wilder's alpha is 1 / n
    fall = _ewma(e, up + 1, 2.0 * n - 1.0, k, max(-u, 0.0))
    return (rise - fall) / (rise + fall) if rise + fall > 0.0 else 0.0


@inlined
def _trades(m: Memory, k: int, u: float, size: float, buy: float, known: bool, x: Floats) -> None:
    """Features of volume and flow; size is 1 where the source has none."""
    e = m.e
    n8 = _ewma(e, at.N8, 8.0, k, size)
    n16 = _ewma(e, at.N16, 16.0, k, size)
    n32 = _ewma(e, at.N32, 32.0, k, size)
    n96 = _ewma(e, at.N96, 96.0, k, size)
    slow = _ewma(e, at.NSLOW, 8000.0, k, size)
    x[12] = _log_ratio(n16, slow)
    x[13] = _log_ratio(n96, slow)
    x[37] = _log_ratio(n8, n32)
    relative = size / slow if slow > 0.0 else 1.0
    change = math.log(relative + 1e-3) - e[at.LN64]
    _ewma(e, at.LN64, 64.0, k, math.log(relative + 1e-3))
    nn = _ewma(e, at.NN64, 64.0, k, change * change)
    un = _ewma(e, at.UN64, 64.0, k, u * change)
    x[38] = un / math.sqrt(nn * e[at.UU64]) if nn > 1e-12 and e[at.UU64] > 1e-12 else 0.0
    flow = min(max((2.0 * buy - size) / size, -1.0), 1.0) if known and size > 0.0 else 0.0
    side = flow if known else (1.0 if u > 0.0 else (-1.0 if u < 0.0 else 0.0))
    q = side * min(relative, 20.0)
    uq = _ewma(e, at.UQ, 64.0, k, u * q)
    qq = _ewma(e, at.QQ, 64.0, k, q * q)
    x[39] = uq / qq if qq > 1e-12 else 0.0
    impact = abs(u) / (relative + 0.05)
    a32 = _ewma(e, at.A32, 32.0, k, impact)
    x[40] = _log_ratio(a32, _ewma(e, at.ASLOW, 8000.0, k, impact))
    x[41] = _ewma(e, at.F16, 16.0, k, flow)
    x[42] = _ewma(e, at.F64, 64.0, k, flow)


@inlined
def _returns(m: Memory, k: int, p: float, x: Floats) -> tuple[float, float]:
    """Features of price alone; gives u and s."""
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
    x[0] = _ewma(e, at.U8, 8.0, j, u) * math.sqrt(8.0)
    x[1] = _ewma(e, at.U32, 32.0, j, u) * math.sqrt(32.0)
    x[2] = _ewma(e, at.U128, 128.0, j, u) * math.sqrt(128.0)
    x[3] = _ewma(e, at.U512, 512.0, j, u) * math.sqrt(512.0)
    l16, l128, lslow = 0.5 * math.log(v16), 0.5 * math.log(v128), 0.5 * math.log(slow)
    x[4], x[5], x[6], x[7] = l16 - lslow, l128 - lslow, l16 - l128, lslow - _LEVEL
    uu = u * u
    uu64 = _ewma(e, at.UU64, 64.0, j, uu)
    uu128 = _ewma(e, at.UU128, 128.0, j, uu)
    uu256 = _ewma(e, at.UU256, 256.0, j, uu)
    ac64 = _ewma(e, at.AC64, 64.0, j, u * e[at.ULAST])
    ac256 = _ewma(e, at.AC256, 256.0, j, u * e[at.ULAST])
    x[8] = ac64 / uu64 if uu64 > 1e-9 else 0.0
    x[9] = ac256 / uu256 if uu256 > 1e-9 else 0.0
    e[at.ULAST] = u
    e[at.CU] += u
    m.cu[k & mask] = e[at.CU]
    sum8 = e[at.CU] - m.cu[(k - min(8, j)) & mask]
    sum32 = e[at.CU] - m.cu[(k - min(32, j)) & mask]
    x[10] = _log_ratio(_ewma(e, at.S8, 256.0, j, sum8 * sum8), 8.0 * uu256)
    x[11] = _log_ratio(_ewma(e, at.S32, 256.0, j, sum32 * sum32), 32.0 * uu256)
    jump = 1.0 if u > 3.0 else (-1.0 if u < -3.0 else 0.0)
    x[18] = 10.0 * _ewma(e, at.JUMP, 128.0, j, abs(jump))
    x[19] = 10.0 * _ewma(e, at.JSIGN, 128.0, j, jump)
    uuu = _ewma(e, at.UUU128, 128.0, j, uu * u)
    x[20] = uuu / (uu128 * math.sqrt(uu128)) if uu128 > 1e-9 else 0.0
    x[21] = u
    for i in range(4):
        n = 4 ** (i + 1)
        move = (p - m.p[(k - 1 - min(n, j)) & mask]) / (s * math.sqrt(n))
        x[22 + i] = min(max(move, -6.0), 6.0)
    x[26] = _rsi(e, at.UP14, 14.0, j, u)
    x[27] = _rsi(e, at.UP56, 56.0, j, u)
    x[33] = math.sqrt(_ewma(e, at.LVV, 128.0, j, (2.0 * l16 - e[at.LV]) ** 2 if j > 1 else 0.0))
    _ewma(e, at.LV, 128.0, j, 2.0 * l16)
    x[34] = l16 - _ewma(e, at.LV64, 64.0, j, l16)
    return u, s


@inlined
def _levels(m: Memory, k: int, p: float, s: float, x: Floats) -> None:
    """Features of where price stands against its own past."""
    e = m.e
    macd = (_ewma(e, at.P12, 12.0, k, p) - _ewma(e, at.P26, 26.0, k, p)) / s
    x[28] = macd
    x[29] = macd - _ewma(e, at.MACD, 9.0, k, macd)
    x[30] = (p - _ewma(e, at.P24, 24.0, k, p)) / (s * math.sqrt(24.0))
    x[31] = (p - _ewma(e, at.P96, 96.0, k, p)) / (s * math.sqrt(96.0))
    x[32] = (p - _ewma(e, at.P384, 384.0, k, p)) / (s * math.sqrt(384.0))
    high = _extreme(m, 0, 96, k, p, 1.0)
    low = _extreme(m, 1, 96, k, p, -1.0)
    x[15] = (2.0 * p - high - low) / (high - low) if high > low else 0.0
    x[35] = (p - high) / (s * math.sqrt(96.0))
    high = _extreme(m, 2, 480, k, p, 1.0)
    low = _extreme(m, 3, 480, k, p, -1.0)
    scale = s * math.sqrt(480.0)
    x[16] = (2.0 * p - high - low) / scale
    x[17] = math.log((high - low) / scale + 1e-6)
    x[36] = (p - high) / scale


@inlined
def _quotes(m: Memory, k: int, half: float, s: float, bid_size: float, ask_size: float, x: Floats) -> None:
    """Features of the book: half is half the spread over mid, NaN where there are no quotes."""
    e = m.e
    if half >= 0.0:
        slow = _ewma(e, at.HSLOW, 8000.0, k, half)
        x[14] = math.log((half + 1e-7) / (slow + 1e-7))
        x[43] = math.log((half + 1e-7) / s)
    else:
        x[14], x[43] = 0.0, 0.0
    depth = bid_size + ask_size
    x[44] = (bid_size - ask_size) / depth if depth > 0.0 else 0.0
    x[45] = _ewma(e, at.I16, 16.0, k, x[44])


@kernel
def _clock(ts: int, x: Floats) -> None:
    day = 2.0 * math.pi * (ts % DAY) / DAY
    week = 2.0 * math.pi * ((ts - _WEEK_START) % (7 * DAY)) / (7 * DAY)
    x[46], x[47], x[48], x[49] = math.sin(day), math.cos(day), math.sin(week), math.cos(week)


@kernel
def extract(
    m: Memory,
    bounds: tuple[int, int],
    stamps: tuple[Ints, Ints, Ints],
    columns: tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats],
    x: Floats,
    stamps_out: tuple[Ints, Ints, Ints],
    out: tuple[Floats, Floats, Floats, Floats, Floats],
) -> None:
    """Step through the rows.

    bounds: ns of a hole, ns that a row may be dated ahead of its record; stamps: ts, flags and the records' times;
    columns: price, size, bid, ask, bid size, ask size, buy size, each (n,), or (0,) if the source has none;
    stamps_out: ts, which never goes back, flags, and places in REASONS; out: price, mid, bid, ask, size as they stand
    after the row.
    """
    stale_after, most_ahead = bounds
    ts, flags, received = stamps
    ts_out, flags_out, reason_out = stamps_out
    price, size, bid, ask, bid_size, ask_size, buy_size = columns
    has_size, quoted, deep, sided = size.size > 0, bid.size > 0, bid_size.size > 0, buy_size.size > 0
    recorded = received.size > 0
    for t in range(ts.shape[0]):
        b = bid[t] if quoted else price[t]
        a = ask[t] if quoted else price[t]
        n = size[t] if has_size else 1.0
        bs, sk = (bid_size[t], ask_size[t]) if deep else (0.0, 0.0)
        bought = buy_size[t] if sided else 0.0
        mid = 0.5 * b + 0.5 * a
        vouched = flags[t] & rows.LEVEL != 0
        flag = flags[t] & ~(rows.WARMUP | rows.LEVEL | rows.STRAY)
        reason = 0
        sizes = rows.sized(n) and rows.sized(bs) and rows.sized(sk) and rows.sized(bought)
        if flag & rows.REPEATED == 0 and not (sizes and rows.priced(price[t], b, a)):
            flag |= rows.BAD
            reason = UNSOUND
        if flag & rows.REPEATED == 0 and recorded and ts[t] - received[t] > most_ahead:
            flag |= rows.BAD
            reason = AHEAD
        if flag & rows.REPEATED == 0:
            flag |= when(m, ts[t], stale_after)
            reason = BACK if flag & rows.BAD else 0
        if flag & rows.REPEATED == 0:
            flag |= level(m, ts[t], mid, vouched)
            reason = OFF_LEVEL if flag & rows.BAD else 0
        elif vouched:
            m.refused.n[0] = (
                rows.VOUCHED
            )  # as where a hole ends: who cleaned the rows vouches for the next one, too
        if flag & rows.REPEATED == 0:
            m.seen[0] += 1
            m.seen[1], m.seen[3] = ts[t], 0
            k = m.seen[0]
            p = math.log(mid)
            if k > 1:
                u, s = _returns(m, k, p, m.x)
                _trades(m, k - 1, u, n, bought, sided, m.x)
            else:
                s = math.sqrt(_FLOOR)
            _levels(m, k, p, s, m.x)
            _quotes(m, k, (a - b) / (2.0 * mid) if quoted else math.nan, s, bs, sk, m.x)
            _clock(ts[t], m.x)
            m.p[(k - 1) & (RING - 1)] = p
            m.last[0], m.last[1], m.last[2], m.last[3], m.last[4] = price[t], mid, b, a, n
        if m.seen[0] <= WARMUP:
            flag |= rows.WARMUP
        m.seen[2] = max(m.seen[2], ts[t]) if flag & rows.BAD == 0 else m.seen[2]
        ts_out[t] = m.seen[2]
        flags_out[t] = flag
        reason_out[t] = reason
        for i in range(x.shape[1]):
            x[t, i] = min(max(m.x[i], -_LIMIT), _LIMIT)
        out[0][t] = m.last[0]
        out[1][t] = m.last[1]
        if quoted:
            out[2][t], out[3][t] = m.last[2], m.last[3]
        if has_size:
            out[4][t] = m.last[4]
