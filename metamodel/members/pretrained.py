"""Contextual weights that were fitted before: least squares on randomised SIMULATED markets, then learned on.

The recursive least squares of the contextual member, with the regime's posterior among the regressors, and what it
says another thing in each regime: where price has come from, which agent's position goes with the drift that the
regime has, how large positions are in ranges and in trends.
It starts from a ridge fit on the training seeds that counts as much as 200,000 rows: `windvane train members` makes
that fit again. Of agents that the fit does not know it starts knowing nothing, as the contextual member does.
"""

from windvane.agents.base import Floats
from windvane.agents.kernel import kernel
from windvane.metamodel.features import NAMES
from windvane.metamodel.market import BEAR, BREAKOUT, BULL, CRISIS, HIGH, LOW, REGIMES
from windvane.metamodel.members.contextual import EVERY

FEATURES = 21
"""So many of the features are read, the first: those that are scale-free by their own past."""

CROSSED = tuple(
    NAMES.index(name)
    for name in ("trend_32", "trend_128", "trend_512", "range_position_96", "range_skew_480")
)
"""Features that mean another thing in each regime: these times the posterior are regressors."""

FORGET = 0.5 ** (EVERY / 2e5)
BLOCKS = 5
"""Regressors that each agent has one of."""

_POSTERIOR = 1 + FEATURES
_CROSSED = _POSTERIOR + len(REGIMES)
COMMON = _CROSSED + len(CROSSED) * len(REGIMES)
"""Regressors that are no agent's."""


def regressors(agents: int) -> int:
    """Length of the regressor vector."""
    return COMMON + BLOCKS * agents


@kernel
def regress(z: Floats, p: Floats, fast: Floats, slow: Floats, a: Floats, x: Floats) -> None:
    """Fill the regressors x (D,).

    z: (F,) scaled features; p: (7,) posterior of the regimes; fast, slow: (N,) EWMAs of the scores; a: (N,) targets.
    """
    n = a.shape[0]
    x[0] = 1.0
    for i in range(FEATURES):
        x[1 + i] = 0.5 * z[i]
    for k in range(p.shape[0]):
        x[_POSTERIOR + k] = p[k]
    at = _CROSSED
    for i in CROSSED:
        for k in range(p.shape[0]):
            x[at] = 0.5 * z[i] * p[k]
            at += 1
    drift = p[BULL] - p[BEAR] - p[CRISIS]
    ranging = p[HIGH] + p[LOW]
    trending = p[BULL] + p[BEAR] + p[BREAKOUT] + p[CRISIS]
    for i in range(n):
        x[COMMON + i] = 10.0 * fast[i]
        x[COMMON + n + i] = 25.0 * slow[i]
        x[COMMON + 2 * n + i] = a[i] * drift
        x[COMMON + 3 * n + i] = abs(a[i]) * ranging
        x[COMMON + 4 * n + i] = abs(a[i]) * trending
