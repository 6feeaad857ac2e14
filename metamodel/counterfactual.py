"""What every agent's own proposals would have earned, summed up for slow learning."""

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.metamodel import account, scores
from windvane.metamodel.config import Costs

_NONE = np.zeros(0)


class Counterfactual:
    """Mean normalised score of N agents since the last harvest; `scores` says how a score is made."""

    def __init__(self, agents: int, costs: Costs, capital: float, lot: float) -> None:
        self._terms = account.new_terms(costs, capital, lot)
        self._market = scores.new_market()
        self._targets = np.zeros((costs.delay + 3, agents))
        self._sums = np.zeros(agents + 1)
        self._gn = np.zeros(agents)

    def step(
        self,
        flags: Ints,
        mid: Floats,
        bid: Floats | None,
        ask: Floats | None,
        target: Floats,
        start: int,
        stop: int,
    ) -> None:
        """Score rows start <= t < stop of columns (n,) and target (n, N)."""
        quoted = bid is not None and ask is not None
        _score_rows(
            self._market,
            self._terms,
            self._targets,
            self._gn,
            self._sums,
            (flags[start:stop], mid[start:stop], target[start:stop]),
            bid[start:stop] if bid is not None and quoted else _NONE,
            ask[start:stop] if ask is not None and quoted else _NONE,
        )

    def harvest(self) -> tuple[int, Floats]:
        """Rows scored since the last harvest, and the mean score (N,) over them."""
        rows = int(self._sums[-1])
        means = self._sums[:-1] / max(rows, 1)
        self._sums[:] = 0.0
        return rows, means

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that `step` remembers."""
        return {
            "seen": self._market.seen.copy(),
            "value": self._market.value.copy(),
            "targets": self._targets.copy(),
            "sums": self._sums.copy(),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self._market = scores.Market(state["seen"].copy(), state["value"].copy())
        self._targets, self._sums = state["targets"].copy(), state["sums"].copy()


@kernel
def _score_rows(
    market: scores.Market,
    terms: account.Terms,
    targets: Floats,
    gn: Floats,
    sums: Floats,
    rows: tuple[Ints, Floats, Floats],
    bid: Floats,
    ask: Floats,
) -> None:
    flags, mid, target = rows
    quoted, n = bid.size > 0, target.shape[1]
    for t in range(flags.shape[0]):
        if flags[t] & 7 != 0:
            continue
        warm = flags[t] & 8 == 0
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
        for i in range(n):
            targets[good % targets.shape[0], i] = target[t, i]
