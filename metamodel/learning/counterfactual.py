"""Scores what every agent's own proposals would have earned, as means and as training samples for the predictor."""

from typing import NamedTuple, Protocol

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.bound import Bound
from windvane.agents.kernel import kernel
from windvane.metamodel.base import account
from windvane.metamodel.base import rows as flagged
from windvane.metamodel.base.arrays import arrays, write
from windvane.metamodel.base.config import Costs, WeighingConfig
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.learning import samples, scores

_NONE = np.zeros(0)
_ALL = np.zeros(0, np.int64)


class Batch(Protocol):
    """Rows of a market as features have them; quotes are None or (0,) where the source has none."""

    @property
    def flags(self) -> Ints: ...  # (n,)
    @property
    def x(self) -> Floats: ...  # (n, F) raw features
    @property
    def mid(self) -> Floats: ...  # (n,)
    @property
    def bid(self) -> Floats | None: ...  # (n,)
    @property
    def ask(self) -> Floats | None: ...  # (n,)


class Rows(NamedTuple):
    """n rows that agents are scored on."""

    flags: Ints  # (n,)
    x: Floats  # (n, F) raw features
    regime: Floats  # (n, 7) posterior of the regimes
    mid: Floats  # (n,)
    bid: Floats  # (n,), or (0,) where there are no quotes
    ask: Floats  # (n,) or (0,)
    target: Floats  # (n, N) of the agents
    awake: Ints = _ALL  # (N,) 0 for an agent that takes no part in these rows: its score is 0; (0,): all do

    @classmethod
    def of(cls, batch: Batch, regime: Floats | None, target: Floats, awake: Ints | None = None) -> "Rows":
        """A batch, the posterior (n, 7) of a classifier (None: no classifier runs) and the agents' targets (n, N).

        awake: (N,) as the field, None: all.
        """
        bid, ask = batch.bid, batch.ask
        if bid is None or ask is None:
            bid = ask = _NONE
        posterior = np.zeros((len(target), len(REGIMES))) if regime is None else regime
        return cls(
            batch.flags, batch.x, posterior, batch.mid, bid, ask, target, _ALL if awake is None else awake
        )


class Memory(NamedTuple):
    """What scoring remembers; R = delay + 3, N agents."""

    market: scores.Moments
    targets: Floats  # (R, N) ring of the agents' targets
    sums: Floats  # (N + 1,) of the scores since the last harvest, and of the rows
    samples: samples.Samples


class Counterfactual:
    """Mean normalised scores of N agents since the last harvest; see `scores` for the formula.

    weighing: says which training samples are kept; None keeps none.
    """

    def __init__(
        self, agents: int, costs: Costs, capital: float, lot: float, weighing: WeighingConfig | None = None
    ) -> None:
        weighing = weighing or WeighingConfig()
        self._terms = account.new_terms(costs, capital, lot)
        self._memory = Memory(
            scores.new_moments(),
            np.zeros((costs.delay + 3, agents)),
            np.zeros(agents + 1),
            samples.new(agents, weighing),
        )
        self._reading = samples.reading(weighing)
        self._gn = np.zeros(agents)
        self._score = Bound(_score_rows)

    def step(self, rows: Rows, start: int, stop: int) -> int:
        """Score the agents on rows start <= t < stop, and return how many of these are good.

        Every row of a market is scored once, in order.
        """
        return int(self._score((self._memory, self._terms, self._reading), rows, start, stop, self._gn))

    def harvest(self) -> tuple[int, Floats]:
        """Return how many rows were scored since the last harvest, and the mean score (N,) over them."""
        sums = self._memory.sums
        scored = int(sums[-1])
        means = sums[:-1] / max(scored, 1)
        sums[:] = 0.0
        return scored, means

    @property
    def complete(self) -> int:
        """Samples of this market that have become complete so far, those that were dropped since among them."""
        return int(self._memory.samples.taken[0])

    def samples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Copies of the newest samples, the oldest first: regressors (n, G + 7) and (n, N, 5), mean scores (n, N)."""
        return samples.newest(self._memory.samples)

    def _arrays(self) -> dict[str, np.ndarray]:
        return {name.removeprefix("market."): value for name, value in arrays(self._memory).items()}

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that `step` remembers, by name."""
        return {name: value.copy() for name, value in self._arrays().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned; raises ValueError where a shape differs."""
        write(self._arrays(), state)


@kernel
def _score_rows(
    m: Memory,
    terms: account.Terms,
    reading: samples.Reading,
    rows: Rows,
    start: int,
    stop: int,
    gn: Floats,
) -> int:
    """Score rows start <= t < stop, and return how many of these are good; gn: (N,) scratch."""
    quoted, n, ring = rows.bid.size > 0, gn.shape[0], m.targets.shape[0]
    before = m.market.seen[0]
    for t in range(start, stop):
        flag, mid = rows.flags[t], rows.mid[t]
        if flag & flagged.REPEATED != 0:
            continue
        if flag & flagged.STRAY != 0:
            scores.rejoin(m.market, mid)
        warm = flag & flagged.WARMUP == 0
        good = m.market.seen[0]
        bid, ask = rows.bid[t] if quoted else np.nan, rows.ask[t] if quoted else np.nan
        r, s, past = scores.observe(m.market, mid, account.cost_per_unit(terms, mid, bid, ask), warm)
        if warm:
            scores.score(m.targets, good, terms.delay, r, s, past, gn)
            for i in range(n):
                if rows.awake.size > 0 and rows.awake[i] == 0:
                    gn[i] = 0.0
                m.sums[i] += gn[i]
            m.sums[n] += 1.0
            if m.samples.y.shape[0] > 0:
                samples.take(m.samples, reading, good + 1, gn, rows.x[t], rows.regime[t], rows.target[t])
        for i in range(n):
            m.targets[good % ring, i] = rows.target[t, i]
    return m.market.seen[0] - before
