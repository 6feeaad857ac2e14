"""Counterfactual scores: what each agent's own proposal would have earned, net of its own costs.

g[t, i] = a[t-1-d, i] r[t] - |a[t-1-d, i] - a[t-2-d, i]| c[t-1], with a the targets, r the log return of the mid, c the
cost per unit traded and d the execution delay in good rows; normalised gn = clip(g / s, -4, 4) with s the volatility
known before the tick. Every agent is scored at every good row, whoever was believed.
"""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined

CLIP = 4.0
_SPAN = 128.0
_FLOOR = 1e-12


class Moments(NamedTuple):
    """What scoring remembers of the market: its last price, and the volatility of its returns."""

    seen: Ints  # (2,) good rows so far, and of them warm
    value: Floats  # (4,) log mid, variance of its change, cost per unit traded, return of this row in volatilities


def new_moments() -> Moments:
    """Nothing seen yet."""
    return Moments(np.zeros(2, np.int64), np.zeros(4))


@inlined
def observe(m: Moments, mid: float, cost: float, warm: bool) -> tuple[float, float, float]:
    """Take in a good row; returns its return r, the s known before it, and the cost of trades at the row before."""
    k = m.seen[0]
    p = math.log(mid)
    r = p - m.value[0] if k > 0 else 0.0
    before = max(m.value[1], _FLOOR)
    s = math.sqrt(before)
    if k > 0:
        square = min(r * r, 36.0 * before) if k > 1 else r * r
        m.value[1] += max(2.0 / (_SPAN + 1.0), 1.0 / k) * (square - m.value[1])
    past_cost = m.value[2]
    m.value[0], m.value[2], m.value[3] = p, cost, r / s
    m.seen[0] += 1
    m.seen[1] += 1 if warm else 0
    return r, s, past_cost


@inlined
def rejoin(m: Moments, mid: float) -> None:
    """Continue from another level of price: the return of the next good row is computed from `mid`."""
    if m.seen[0] > 0:
        m.value[0] = math.log(mid)


@inlined
def score(past: Floats, good: int, delay: int, r: float, s: float, cost: float, out: Floats) -> None:
    """Write the normalised scores (N,) of a good row into `out`.

    past: (R, N) ring of the agents' targets by good row, R >= delay + 3; good: number of this row; r: its return; s:
    the volatility before it; cost: of a unit traded at the row before.
    """
    ring = past.shape[0]
    now, before = (good - 1 - delay) % ring, (good - 2 - delay) % ring
    for i in range(past.shape[1]):
        a = past[now, i]
        g = (a * r - abs(a - past[before, i]) * cost) / s
        out[i] = min(max(g, -CLIP), CLIP)
