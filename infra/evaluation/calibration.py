"""Measures what simulated markets offer to equal weights, to the best agent in hindsight and to an oracle."""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from windvane.agents.base import Floats, Ints
from windvane.agents.factory import RULES, create_agents
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.times import DAY
from windvane.metamodel.learning.simplex import Simplex, allocate
from windvane.metamodel.simulation.market import BAR, MARKETS, SimulatedMarket, simulate
from windvane.metamodel.simulation.seeds import CALIBRATION

WARM = 5_000  # ticks before the first that is scored
CAP, MINIMUM, GAMMA, STEPS = 0.6, 3, 0.05, 400


class Reach(NamedTuple):
    """Annualised Sharpe ratios of one seed, of daily UTC returns after costs; orders are filled without delay."""

    equal: float
    agents: tuple[float, ...]  # in the order of RULES
    oracle: float

    @property
    def best(self) -> float:
        """The highest Sharpe ratio of any agent, which is known only in hindsight."""
        return max(self.agents)


def earnings(target: Floats, r: Floats, cost: Floats) -> Floats:
    """Return what each row earns after costs: g[t] = a[t-1] r[t] - |a[t-1] - a[t-2]| c[t-1], in shares of capital.

    target: a, (n,) or (n, N) positions, which are 0 before the first row; r: (n,) log returns; cost: c, (n,) of a unit
    traded, as a share of price. The result has the shape of `target`.
    """
    position = np.zeros_like(target)
    position[1:] = target[:-1]
    change = np.abs(np.diff(position, axis=0, prepend=0.0))
    paid = np.concatenate([[0.0], cost[:-1]])
    if target.ndim == 2:
        return position * r[:, None] - change * paid[:, None]
    return position * r - change * paid


def sharpe(g: Floats, ts: Ints) -> float:
    """Return the annualised Sharpe ratio of earnings g (n,), summed over UTC days.

    ts: (n,) UNIX ns; a row belongs to the day of ts - 1 ns.
    """
    day = (ts - 1) // DAY
    days = np.bincount(day - day[0], weights=g)
    return float(days.mean() / days.std(ddof=1) * np.sqrt(365.0))


def volatility(r: Floats) -> Floats:
    """Return the volatility a row (n,): the root of the EWMA of r² with a span of 128 rows.

    r: (n,) log returns; a square above 36 times the average so far counts as that, so that no single jump dominates.
    """
    s2 = np.empty_like(r)
    variance = 0.0
    for t, square in enumerate(r * r):
        clipped = min(square, 36.0 * variance) if variance > 0.0 else square
        variance += max(2.0 / 129.0, 1.0 / (t + 1)) * (clipped - variance)
        s2[t] = variance
    return np.sqrt(s2)


def oracle_weights(gn: Floats, regime: Ints) -> Floats:
    """Return mean-variance weights (7, N) for each true regime, from the moments of the scores in that regime.

    gn: (n, N) normalised scores; regime: (n,) true regimes. A regime with fewer than two rows has equal
    weights.
    """
    agents = gn.shape[1]
    weights = np.full((len(REGIMES), agents), 1.0 / agents)
    awake = np.ones(agents, np.int64)
    for k in range(len(REGIMES)):
        rows = gn[regime == k]
        if len(rows) > 1:
            covariance = np.ascontiguousarray(np.cov(rows.T))
            simplex = Simplex(awake, CAP, MINIMUM, np.empty((3, agents)))
            allocate(rows.mean(axis=0), covariance, GAMMA, STEPS, simplex, weights[k])
    return weights


def reach(market: SimulatedMarket) -> Reach:
    """Return the Sharpe ratios that one simulated market offers to equal weights, each agent, and an oracle.

    The oracle knows the true regime of every row and the true moments of the scores in each regime.
    """
    n = len(market.price)
    x, good = np.zeros((n, 1)), np.ones(n, np.int64)
    a = np.stack(
        [agent.propose(x, market.price, good).target for agent in create_agents(list(RULES))], axis=1
    )
    r = np.diff(np.log(market.price), prepend=np.log(market.price[0]))
    half = (market.ask - market.bid) / (market.ask + market.bid)
    cost = market.fee_bp * 1e-4 + half

    g = earnings(a, r, cost)
    scored = slice(WARM, None)
    s = volatility(r[1:])  # known before return t + 2
    gn = np.clip(g[2:] / s[:-1, None], -4.0, 4.0)[WARM - 2 :]
    decided = market.regime[WARM - 1 : -1]
    weights = oracle_weights(gn, decided)
    wise = (weights[market.regime] * a).sum(axis=1)
    ts = market.ts[scored]
    return Reach(
        sharpe(earnings(a.mean(axis=1), r, cost)[scored], ts),
        tuple(sharpe(g[scored, i], ts) for i in range(a.shape[1])),
        sharpe(earnings(wise, r, cost)[scored], ts),
    )


def calibrate(market: str, seeds: Sequence[int], ticks: int) -> list[Reach]:
    """Return the `reach` of a market, by its name, for each seed.

    ticks: rows of a market, of which the first 5,000 are not scored. Raises ValueError where fewer than two days of
    rows would be scored.
    """
    if ticks < WARM + 2 * DAY // BAR:
        raise ValueError(
            f"ticks is {ticks}: give more than {WARM} and two days, 110000 for the published figures"
        )
    return [reach(simulate(market, ticks, seed)) for seed in seeds]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of one market, as the command line asks for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--market", choices=list(MARKETS), default="standard")
    parser.add_argument("--seeds", type=int, default=len(CALIBRATION), help="how many, from --first on")
    parser.add_argument("--first", type=int, default=CALIBRATION.start)
    parser.add_argument("--ticks", type=int, default=110_000)
    options = parser.parse_args(arguments)
    reaches = calibrate(options.market, range(options.first, options.first + options.seeds), options.ticks)
    table = Table(title=f"simulated market {options.market!r}: Sharpe after costs, {options.seeds} seeds")
    for heading in ("", "mean", "least", "most"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    rows = {"equal weights": [f.equal for f in reaches], "best in hindsight": [f.best for f in reaches]}
    rows["oracle"] = [f.oracle for f in reaches]
    for i, name in enumerate(RULES):
        rows[name] = [f.agents[i] for f in reaches]
    for name, values in rows.items():
        table.add_row(name, *(f"{v:.2f}" for v in (np.mean(values), min(values), max(values))))
    Console().print(table)


if __name__ == "__main__":
    main()
