"""All fifty features, slow and plain: every column from whole arrays, nothing remembered between rows.

Written from what the columns are said to mean. Stated conventions: variances are at least 1e-12, the first return has
no u because nothing is known before it, what needs a return begins with the second row, and clips are at 20.
"""

from collections.abc import Sequence

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.rows import BAD, GAP, REPEATED, WARMUP

LEAST_VARIANCE = 1e-12
DAY = 86_400 * 10**9
MONDAY = 4 * DAY


def ewma(values: Sequence[float] | Floats, span: float) -> Floats:
    out, mean = [], 0.0
    for count, value in enumerate(values, start=1):
        mean += max(2.0 / (span + 1.0), 1.0 / count) * (value - mean)
        out.append(mean)
    return np.array(out)


def log_ratio(a: Floats, b: Floats) -> Floats:
    out = np.zeros(len(a))
    both = (a > 0.0) & (b > 0.0)
    out[both] = np.log((a[both] + 1e-300) / (b[both] + 1e-300))
    return out


def guarded(a: Floats, b: Floats, least: float = 0.0) -> Floats:
    out = np.zeros(len(a))
    out[b > least] = a[b > least] / b[b > least]
    return out


def shifted(values: Floats) -> Floats:
    return np.concatenate([[0.0], values[:-1]])


def windows(values: Floats, length: int) -> list[Floats]:
    return [values[max(0, i - length + 1) : i + 1] for i in range(len(values))]


def surprises(r: Floats) -> tuple[Floats, Floats]:
    """u, and the squared returns as the variances see them."""
    u, squares, variance = [], [], 0.0
    for count, move in enumerate(r, start=1):
        before = max(variance, LEAST_VARIANCE)
        u.append(0.0 if count == 1 else float(np.clip(move / np.sqrt(before), -6.0, 6.0)))
        squares.append(move**2 if count == 1 else min(move**2, 36.0 * before))
        variance += max(2.0 / 129.0, 1.0 / count) * (squares[-1] - variance)
    return np.array(u), np.array(squares)


def of_returns(u: Floats, squares: Floats) -> dict[str, Floats]:
    c: dict[str, Floats] = {f"trend_{n}": ewma(u, n) * np.sqrt(n) for n in (8, 32, 128, 512)}
    vol = {n: 0.5 * np.log(np.maximum(ewma(squares, n), LEAST_VARIANCE)) for n in (16, 128, 8000)}
    c["vol_16_slow"] = vol[16] - vol[8000]
    c["vol_128_slow"] = vol[128] - vol[8000]
    c["vol_16_128"] = vol[16] - vol[128]
    c["vol_slow_level"] = vol[8000] - np.log(0.0025)
    c["vol_trend_64"] = vol[16] - ewma(vol[16], 64)
    log_variance = 2.0 * vol[16]
    away = log_variance - shifted(ewma(log_variance, 128))
    away[0] = 0.0
    c["vol_of_vol_128"] = np.sqrt(ewma(away**2, 128))
    for n in (64, 256):
        c[f"autocorr_{n}"] = guarded(ewma(u * shifted(u), n), ewma(u**2, n), 1e-9)
    for n in (8, 32):
        sums = np.array([part.sum() for part in windows(u, n)])
        c[f"variance_ratio_{n}"] = log_ratio(ewma(sums**2, 256), n * ewma(u**2, 256))
    c["jump_rate_128"] = 10.0 * ewma((np.abs(u) > 3.0).astype(float), 128)
    c["jump_sign_128"] = 10.0 * ewma(np.sign(u) * (np.abs(u) > 3.0), 128)
    c["skew_128"] = guarded(ewma(u**3, 128), ewma(u**2, 128) ** 1.5, 1e-13)
    c["return_1"] = u
    for n in (14, 56):  # Wilder's smoothing moves by 1 / n
        up, down = ewma(np.maximum(u, 0.0), 2 * n - 1), ewma(np.maximum(-u, 0.0), 2 * n - 1)
        c[f"rsi_{n}"] = guarded(up - down, up + down)
    return c


def of_trades(u: Floats, size: Floats, flow: Floats | None) -> dict[str, Floats]:
    mean = {n: ewma(size, n) for n in (8, 16, 32, 96, 8000)}
    c = {f"volume_{n}_slow": log_ratio(mean[n], mean[8000]) for n in (16, 96)}
    c["volume_trend_32"] = log_ratio(mean[8], mean[32])
    relative = np.ones(len(size))
    relative[mean[8000] > 0.0] = guarded(size, mean[8000])[mean[8000] > 0.0]
    level = np.log(relative + 1e-3)
    away = level - shifted(ewma(level, 64))
    uu, nn = ewma(u**2, 64), ewma(away**2, 64)
    known = (uu > 1e-12) & (nn > 1e-12)
    c["volume_price_corr_64"] = np.where(known, guarded(ewma(u * away, 64), np.sqrt(uu * nn)), 0.0)
    q = (np.sign(u) if flow is None else flow) * np.minimum(relative, 20.0)
    c["kyle_lambda_64"] = guarded(ewma(u * q, 64), ewma(q**2, 64), 1e-12)
    impact = np.abs(u) / (relative + 0.05)
    c["amihud_32"] = log_ratio(ewma(impact, 32), ewma(impact, 8000))
    for n in (16, 64):
        c[f"flow_{n}"] = np.zeros(len(u)) if flow is None else ewma(flow, n)
    return c


def of_levels(p: Floats, s: Floats) -> dict[str, Floats]:
    c = {}
    macd = (ewma(p, 12) - ewma(p, 26)) / s
    c["macd_12_26"], c["macd_signal_9"] = macd, macd - ewma(macd, 9)
    for n in (24, 96, 384):
        c[f"ma_distance_{n}"] = (p - ewma(p, n)) / (s * np.sqrt(n))
    high = {n: np.array([part.max() for part in windows(p, n)]) for n in (96, 480)}
    low = {n: np.array([part.min() for part in windows(p, n)]) for n in (96, 480)}
    c["range_position_96"] = guarded(2.0 * p - high[96] - low[96], high[96] - low[96])
    c["range_skew_480"] = (2.0 * p - high[480] - low[480]) / (s * np.sqrt(480.0))
    c["range_480"] = np.log((high[480] - low[480]) / (s * np.sqrt(480.0)) + 1e-6)
    for n in (96, 480):
        c[f"drawdown_{n}"] = (p - high[n]) / (s * np.sqrt(n))
    return c


def features(
    names: Sequence[str],
    ts: Ints,
    price: Floats,
    *,
    size: Floats | None = None,
    bid: Floats | None = None,
    ask: Floats | None = None,
    bid_size: Floats | None = None,
    ask_size: Floats | None = None,
    buy_size: Floats | None = None,
) -> Floats:
    """Features (n, len(names)) of n good rows."""
    n = len(ts)
    quoted = bid is not None and ask is not None
    mid = (bid + ask) / 2.0 if bid is not None and ask is not None else price
    p = np.log(mid)
    u, squares = surprises(np.diff(p))
    s = np.sqrt(np.maximum(np.concatenate([[0.0], ewma(squares, 128)]), LEAST_VARIANCE))
    size = np.ones(n) if size is None else size
    flow = None if buy_size is None else guarded(2.0 * buy_size - size, size)[1:]
    late = of_returns(u, squares) | of_trades(u, size[1:], flow)
    c = {name: np.concatenate([[0.0], column]) for name, column in late.items()} | of_levels(p, s)
    for k in (4, 16, 64, 256):
        move = np.array([p[i] - p[max(0, i - k)] for i in range(n)])
        c[f"momentum_{k}"] = np.clip(move / (s * np.sqrt(k)), -6.0, 6.0)
    c["spread_slow"] = c["spread_vol"] = np.zeros(n)
    if quoted:
        half = (ask - bid) / (2.0 * mid)
        c["spread_slow"] = np.log((half + 1e-7) / (ewma(half, 8000) + 1e-7))
        c["spread_vol"] = np.log((half + 1e-7) / s)
    c["imbalance"] = np.zeros(n)
    if bid_size is not None and ask_size is not None:
        c["imbalance"] = guarded(bid_size - ask_size, bid_size + ask_size)
    c["imbalance_16"] = ewma(c["imbalance"], 16)
    day, week = (ts % DAY) / DAY, ((ts - MONDAY) % (7 * DAY)) / (7 * DAY)
    c["day_sin"], c["day_cos"] = np.sin(2 * np.pi * day), np.cos(2 * np.pi * day)
    c["week_sin"], c["week_cos"] = np.sin(2 * np.pi * week), np.cos(2 * np.pi * week)
    return np.clip(np.column_stack([c[name] for name in names]), -20.0, 20.0)


def flagged(ts: Ints, flags: Ints, valid: Sequence[bool], stale_after: int) -> tuple[Ints, Ints, Ints]:
    """Flags, output ts, and for every row which row (-1: none) was the last good one."""
    out, stamps, last = [], [], []
    good: list[int] = []
    latest = 0
    clock: int | None = None  # of the last good row
    told: int | None = None  # of the row that told a hole, until a good row comes
    for t in range(len(ts)):
        flag = int(flags[t]) & ~WARMUP
        back = clock is not None and ts[t] < clock
        if not flag & REPEATED and (not valid[t] or back):
            flag |= BAD
        elif not flag & REPEATED:
            late = clock is not None and ts[t] - clock > stale_after
            agrees = told is not None and 0 <= ts[t] - told <= stale_after
            if late and not agrees:
                flag |= GAP
                told = int(ts[t])
            else:
                good.append(t)
                clock, told = int(ts[t]), None
        if not flag & BAD:
            latest = max(latest, int(ts[t]))
        out.append(flag | (WARMUP if len(good) <= 512 else 0))
        stamps.append(latest)
        last.append(good[-1] if good else -1)
    return np.array(out), np.array(stamps), np.array(last)
