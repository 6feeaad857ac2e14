"""Rows that a learner is stepped through in tests, and a learner to step."""

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.factory import RULES
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager

Rows = tuple[Floats, Floats, Floats, Floats, Ints, Floats]  # x, mid, target, cost, warm, posterior
STRANGERS = tuple(f"agent_{i}" for i in range(12))
KNOWN = tuple(RULES)


def scaler(seed: int) -> FeatureScaler:
    rng = np.random.default_rng(seed)
    return FeatureScaler(rng.standard_normal(50), np.exp(rng.standard_normal(50)))


def rows(seed: int, n: int, agents: int, cold: int = 0) -> Rows:
    """Agents that are right or wrong for a while, some of them still, in a market with jumps."""
    rng = np.random.default_rng(seed)
    vol = 2e-3 * np.exp(np.cumsum(rng.normal(0.0, 0.05, n)))
    r = np.clip(vol * rng.standard_t(3, n), -1.0, 1.0)
    skill = np.repeat(rng.standard_normal((n // 100 + 1, agents)), 100, axis=0)[:n]
    target = np.tanh(0.5 * skill * np.sign(np.roll(r, -1))[:, None] + rng.standard_normal((n, agents)))
    target[rng.random((n, agents)) < 0.3] = 0.0
    x = np.clip(3.0 * rng.standard_normal((n, 50)).cumsum(axis=0) / 10.0, -20.0, 20.0)
    cost = 1e-4 * (1.0 + rng.exponential(1.0, n))
    warm = (np.arange(n) >= cold).astype(np.int64)
    posterior = np.repeat(rng.dirichlet(np.full(7, 0.3), n // 40 + 1), 40, axis=0)[:n]
    return x, 9e3 * np.exp(np.cumsum(r)), target, cost, warm, posterior


def manager(
    agents: int | tuple[str, ...], config: WeighingConfig | None = None, delay: int = 1, seed: int = 0
) -> MetaLearningEnsembleManager:
    names = STRANGERS[:agents] if isinstance(agents, int) else agents
    return MetaLearningEnsembleManager(names, config, delay=delay, scaler=scaler(seed))


def part(given_rows: Rows, start: int, stop: int) -> Rows:
    x, mid, target, cost, warm, posterior = (column[start:stop] for column in given_rows)
    return x, mid, target, cost, warm, posterior
