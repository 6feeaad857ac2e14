"""Collects the sums from which the members' prior is computed, over many markets, row by row as members see them."""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.features.scaler import scale_row
from windvane.metamodel.learning import scores
from windvane.metamodel.learning.members import pretrained
from windvane.metamodel.learning.members.contextual import EVERY, FAST, HORIZON, SLOW


class Sums(NamedTuple):
    """Sums over all markets so far; A agents, D regressors, K regimes."""

    rows: Floats  # (1,) of the two that follow
    normal: Floats  # (D, D) products of regressors
    moment: Floats  # (D, A) of a regressor and an agent's mean score of the next 32 rows
    mass: Floats  # (K,) rows, weighed by the posterior under which their scores were decided
    first: Floats  # (K, A) scores
    second: Floats  # (K, A, A) products of scores

    @classmethod
    def new(cls, agents: int) -> "Sums":
        """Return sums over no market."""
        d, k = pretrained.regressors(agents), len(REGIMES)
        shapes = ((1,), (d, d), (d, agents), (k,), (k, agents), (k, agents, agents))
        return cls(*(np.zeros(shape) for shape in shapes))


class Scaling(NamedTuple):
    """Centre and spread by which features are scaled."""

    centre: Floats  # (F,)
    spread: Floats  # (F,)


@kernel
def collect(
    sums: Sums, by: Scaling, x: Floats, p: Floats, mid: Floats, a: Floats, cost: Floats, warm: Ints
) -> None:
    """Add a market of n good rows to the sums.

    by: how features are scaled; x: (n, F) features; p: (n, K) posteriors; mid: (n,) prices; a: (n, A) the agents'
    targets, which are filled without delay; cost: (n,) of a unit traded, a share of price; warm: (n,) 0 in the warm-
    up.
    """
    n, agents = a.shape
    d = sums.normal.shape[0]
    market = scores.Moments(np.zeros(2, np.int64), np.zeros(4))
    gn, z, row = np.zeros((n, agents)), np.zeros(x.shape[1]), np.zeros((n // EVERY + 1, d))
    fast, slow, y = np.zeros(agents), np.zeros(agents), np.zeros(agents)
    for t in range(n):
        r, s, paid = scores.observe(market, mid[t], cost[t], warm[t] != 0)
        if warm[t] == 0 or t < 2:
            continue
        scores.score(a, t, 0, r, s, paid, gn[t])
        for k in range(p.shape[1]):
            q = p[t - 1, k]
            sums.mass[k] += q
            for i in range(agents):
                sums.first[k, i] += q * gn[t, i]
                for j in range(agents):
                    sums.second[k, i, j] += q * (gn[t, i] * gn[t, j])
        for i in range(agents):
            fast[i] += FAST * (gn[t, i] - fast[i])
            slow[i] += SLOW * (gn[t, i] - slow[i])
        if t % EVERY == 0:
            scale_row(x[t], by.centre, by.spread, z)
            pretrained.regress(z, p[t], fast, slow, a[t], row[t // EVERY])
            if warm[t - HORIZON] != 0:
                for i in range(agents):
                    y[i] = gn[t - HORIZON + 1 : t + 1, i].mean()
                _add(sums, row[(t - HORIZON) // EVERY], y)


@kernel
def _add(sums: Sums, x: Floats, y: Floats) -> None:
    """One prediction's regressors x (D,), and what came of it, y (A,)."""
    sums.rows[0] += 1.0
    for i in range(x.shape[0]):
        for j in range(x.shape[0]):
            sums.normal[i, j] += x[i] * x[j]
        for c in range(y.shape[0]):
            sums.moment[i, c] += x[i] * y[c]
