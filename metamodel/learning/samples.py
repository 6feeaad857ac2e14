"""Training samples of the predictor: the regressors of every 32nd good row, and the mean scores of the next 32.

A sample is complete, and can be trained on, once those 32 rows are known.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.features import selection
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.features.scaler import FeatureScaler, scale_row
from windvane.metamodel.learning.members import predictor
from windvane.metamodel.learning.members.contextual import EVERY, HORIZON

_TREND = NAMES.index("trend_128")


class Samples(NamedTuple):
    """The newest L samples, and the one that waits for its scores; G features that are read, N agents."""

    taken: Ints  # (2,) complete samples so far, 1 where one waits
    common: np.ndarray  # (L, G + 7) float32, ring
    own: np.ndarray  # (L, N, 5) float32, ring
    y: np.ndarray  # (L, N) float32, ring: mean scores
    waits_common: np.ndarray  # (G + 7,) float32
    waits_own: np.ndarray  # (N, 5) float32
    sums: Floats  # (N,) of the scores since
    fast: Floats  # (N,) EWMAs of the scores, as the predictor has them
    slow: Floats  # (N,)
    calm: Floats  # (25,) slow averages of scaled features


class Reading(NamedTuple):
    """How samples are taken; F features, G of them read."""

    rates: Floats  # (2,) of the EWMAs of scores, as the predictor has them
    centre: Floats  # (F,)
    spread: Floats  # (F,)
    z: Floats  # (F,) scratch: scaled features
    chosen: Floats  # (G,) scratch: those that are read


def reading(weighing: WeighingConfig) -> Reading:
    """How samples are taken with these settings."""
    scaler = FeatureScaler()
    return Reading(
        predictor.rates(weighing.agent_history_features),
        scaler.centre,
        scaler.spread,
        np.zeros(len(scaler.centre)),
        np.zeros(weighing.features),
    )


def new(agents: int, weighing: WeighingConfig) -> Samples:
    """No samples yet, and no room for any where nothing is retrained."""
    lookback = weighing.meta_lookback if weighing.retraining else 0
    shared = weighing.features + predictor.REGIMES
    return Samples(
        np.zeros(2, np.int64),
        np.zeros((lookback, shared), np.float32),
        np.zeros((lookback, agents, predictor.OWN), np.float32),
        np.zeros((lookback, agents), np.float32),
        np.zeros(shared, np.float32),
        np.zeros((agents, predictor.OWN), np.float32),
        np.zeros(agents),
        np.zeros(agents),
        np.zeros(agents),
        np.zeros(selection.SLOW),
    )


@inlined
def take(m: Samples, by: Reading, good: int, gn: Floats, x: Floats, p: Floats, a: Floats) -> None:
    """Take in a good row after the warm-up, the `good`-th from 1.

    gn: (N,) its scores; x: (F,) features; p: (7,) posterior; a: (N,) targets. Where `good` is a multiple of 32, the
    open sample becomes complete and the next one begins.
    """
    n = gn.shape[0]
    for i in range(n):
        m.fast[i] += by.rates[0] * (gn[i] - m.fast[i])
        m.slow[i] += by.rates[1] * (gn[i] - m.slow[i])
        m.sums[i] += gn[i]
    if good % HORIZON == 0 or (good % EVERY == 0 and by.chosen.shape[0] > selection.ALL):
        scale_row(x, by.centre, by.spread, by.z)
        selection.select(by.z, m.calm, by.chosen)
    if good % HORIZON == 0:
        if m.taken[1] == 1:
            at = m.taken[0] % m.y.shape[0]
            for i in range(n):
                m.y[at, i] = m.sums[i] / HORIZON
            m.common[at, :] = m.waits_common
            m.own[at, :, :] = m.waits_own
            m.taken[0] += 1
        predictor.regress(by.chosen, p, by.z[_TREND], m.fast, m.slow, a, m.waits_common, m.waits_own)
        m.taken[1] = 1
        for i in range(n):
            m.sums[i] = 0.0


def newest(m: Samples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return copies of all complete samples, oldest first: regressors (n, G + 7) and (n, N, 5), scores (n, N)."""
    total, room = int(m.taken[0]), len(m.y)
    order = np.arange(max(0, total - room), total) % max(room, 1)
    return m.common[order], m.own[order], m.y[order]
