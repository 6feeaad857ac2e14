"""What every agent's own proposals would have earned, summed up and sampled for slow learning."""

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.metamodel.base import account, rows
from windvane.metamodel.base.config import Costs, WeighingConfig
from windvane.metamodel.learning import samples, scores
from windvane.metamodel.learning.members.predictor import REGIMES

_NONE = np.zeros(0)

_SAVED = ("taken", "common", "own", "y", "waits_common", "waits_own", "sums", "fast", "slow", "calm")


class Counterfactual:
    """Mean normalised score of N agents since the last harvest; `scores` says how a score is made.

    weighing: says which samples are kept for training; None: none.
    """

    def __init__(
        self, agents: int, costs: Costs, capital: float, lot: float, weighing: WeighingConfig | None = None
    ) -> None:
        self._terms = account.new_terms(costs, capital, lot)
        self._market = scores.new_market()
        self._targets = np.zeros((costs.delay + 3, agents))
        self._sums = np.zeros(agents + 1)
        self._gn = np.zeros(agents)
        self._samples = samples.new(agents, weighing or WeighingConfig())

    def step(
        self,
        flags: Ints,
        x: Floats,
        regime: Floats | None,
        mid: Floats,
        bid: Floats | None,
        ask: Floats | None,
        target: Floats,
        start: int,
        stop: int,
    ) -> None:
        """Score rows start <= t < stop of columns (n,), x (n, F), regime (n, 7) and target (n, N)."""
        quoted = bid is not None and ask is not None
        _score_rows(
            self._market,
            self._terms,
            self._targets,
            self._gn,
            self._sums,
            self._samples,
            (flags[start:stop], mid[start:stop], target[start:stop]),
            x[start:stop],
            np.zeros((stop - start, REGIMES)) if regime is None else regime[start:stop],
            bid[start:stop] if bid is not None and quoted else _NONE,
            ask[start:stop] if ask is not None and quoted else _NONE,
        )

    def harvest(self) -> tuple[int, Floats]:
        """Rows scored since the last harvest, and the mean score (N,) over them."""
        scored = int(self._sums[-1])
        means = self._sums[:-1] / max(scored, 1)
        self._sums[:] = 0.0
        return scored, means

    def samples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The newest samples, the oldest first; as `samples.newest` gives them."""
        return samples.newest(self._samples)

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that `step` remembers."""
        return {
            "seen": self._market.seen.copy(),
            "value": self._market.value.copy(),
            "targets": self._targets.copy(),
            "sums": self._sums.copy(),
            **{f"samples.{name}": getattr(self._samples, name).copy() for name in _SAVED},
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self._market = scores.Market(state["seen"].copy(), state["value"].copy())
        self._targets, self._sums = state["targets"].copy(), state["sums"].copy()
        for name in _SAVED:
            getattr(self._samples, name)[...] = state[f"samples.{name}"]


@kernel
def _score_rows(
    market: scores.Market,
    terms: account.Terms,
    targets: Floats,
    gn: Floats,
    sums: Floats,
    sampled: samples.Samples,
    columns: tuple[Ints, Floats, Floats],
    x: Floats,
    p: Floats,
    bid: Floats,
    ask: Floats,
) -> None:
    flags, mid, target = columns
    quoted, n = bid.size > 0, target.shape[1]
    for t in range(flags.shape[0]):
        if flags[t] & rows.REPEATED != 0:
            continue
        if flags[t] & rows.STRAY != 0:
            scores.rejoin(market, mid[t])
        warm = flags[t] & rows.WARMUP == 0
        good = market.seen[0]
        cost = account.cost_per_unit(
            terms, mid[t], bid[t] if quoted else np.nan, ask[t] if quoted else np.nan
        )
        r, s, past = scores.observe(market, mid[t], cost, warm)
        if warm:
            scores.score(targets, good, terms.delay, r, s, past, gn)
            for i in range(n):
                sums[i] += gn[i]
            sums[n] += 1.0
            if sampled.y.shape[0] > 0:
                samples.take(sampled, good + 1, gn, x[t], p[t], target[t])
        for i in range(n):
            targets[good % targets.shape[0], i] = target[t, i]
