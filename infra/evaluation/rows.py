"""The input of every method of an evaluation: the good rows of one market, with the agents' targets at each."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.factory import AGENTS, create_agents
from windvane.agents.naming import each_named
from windvane.infra.files.market_data import load_market
from windvane.infra.files.reading import AS_RECOGNISED, Reading
from windvane.infra.training.samples import seen
from windvane.metamodel.base.config import ConfigError, Costs
from windvane.metamodel.base.proposals import Joined
from windvane.metamodel.base.rows import REPEATED
from windvane.metamodel.base.rows import WARMUP as WARMING
from windvane.metamodel.features.extractor import WARMUP, MarketFeatureExtractor
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier
from windvane.metamodel.simulation.market import MARKETS

WARM = 5_000
"""Number of rows of a simulated market before the first one that is scored."""


class Rows(NamedTuple):
    """The n good rows (rows with a valid price) of one market, and the targets of N agents at them."""

    ts: Ints  # (n,) UNIX ns
    x: Floats  # (n, 50) raw features
    posterior: Floats  # (n, 7) of the regimes
    mid: Floats  # (n,)
    bid: Floats  # (n,) NaN where there are no quotes
    ask: Floats  # (n,)
    target: Floats  # (n, N) positions that the agents want
    warm: Ints  # (n,) 0 in rows that only warm up
    regime: Ints | None  # (n,) true regime of a simulated market
    agents: tuple[str, ...]
    costs: Costs
    first: int  # index of the first row that is scored

    @property
    def cost(self) -> Floats:
        """(n,) cost of a unit traded as a share of price: half the spread, fee and slippage."""
        half = (self.ask - self.bid) / (2.0 * self.mid)
        quoted = np.where(np.isnan(half), self.costs.half_spread_bp * 1e-4, half)
        return quoted + (self.costs.fee_bp + self.costs.slippage_bp) * 1e-4


def simulated(market: str, seed: int, ticks: int, delay: int, agents: Sequence[str] = tuple(AGENTS)) -> Rows:
    """Simulate a market and return its rows: `ticks` that are scored, after 5,000 that are not.

    market: a name in `MARKETS`, which has its own fee and spread; delay: good rows from decision to fill; agents: as
    `--agents` takes them.
    """
    rows = seen(market, WARM + ticks, seed)
    posterior = MarketRegimeClassifier().step(rows.x, rows.flags)
    costs = Costs(fee_bp=MARKETS[market].fee_bp, delay=delay)
    warm = (rows.flags & WARMING == 0).astype(np.int64)
    targets = _targets(agents, rows.x, rows.mid)
    return Rows(
        rows.ts,
        rows.x,
        posterior,
        rows.mid,
        rows.bid,
        rows.ask,
        targets,
        warm,
        rows.regime,
        _ids(agents),
        costs,
        WARM,
    )


def from_file(
    path: Path,
    bars: str | None,
    costs: Costs,
    reading: Reading = AS_RECOGNISED,
    agents: Sequence[str] = tuple(AGENTS),
) -> Rows:
    """Read a file of market data and return its good rows, which are scored after the warm-up of the features.

    bars: length of a bar where the file holds bars, None for ticks; costs: of trading; reading: what a person says of
    the file; agents: as `--agents` takes them. Raises ConfigError where the file has too few good rows to score any.
    """
    market = load_market(path, bars=bars, reading=reading)
    c, n = market.columns, len(market.columns)
    optional = {
        name: getattr(c, name)
        for name in ("size", "bid", "ask", "bid_size", "ask_size", "buy_size")
        if getattr(c, name) is not None
    }
    features = MarketFeatureExtractor(market.stale_after).step(c.ts, market.flags(0, n), c.price, **optional)
    posterior = MarketRegimeClassifier().step(features.x, features.flags)
    good = features.flags & REPEATED == 0
    if np.count_nonzero(good) <= WARMUP + 1:
        raise ConfigError(f"{path} has {np.count_nonzero(good)} good rows: give more than {WARMUP + 1}")
    x, mid = features.x[good], features.mid[good]
    none = np.full(len(mid), np.nan)
    quoted = len(features.bid) > 0
    return Rows(
        features.ts[good],
        x,
        posterior[good],
        mid,
        features.bid[good] if quoted else none,
        features.ask[good] if quoted else none,
        _targets(agents, x, Joined().step(features.flags[good], mid)),
        (features.flags[good] & WARMING == 0).astype(np.int64),
        c.regime[good] if c.regime is not None else None,
        _ids(agents),
        costs,
        WARMUP,
    )


def _ids(agents: Sequence[str]) -> tuple[str, ...]:
    return tuple(named.id for named in each_named(agents))


def _targets(agents: Sequence[str], x: Floats, mid: Floats) -> Floats:
    """The targets (n, N) of all agents, at good rows with features x (n, 50) and prices mid (n,)."""
    good = np.ones(len(mid), np.int64)
    return np.stack([agent.propose(x, mid, good).target for agent in create_agents(agents)], axis=1)
