"""What members know is fitted on the training seeds only, as it is written, and the same twice."""

import inspect

import numpy as np

from windvane.agents.factory import AGENTS, create_agents
from windvane.infra.training.members import TICKS, train_members
from windvane.infra.training.samples import seen
from windvane.metamodel.base.rows import WARMUP
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.learning.members import pretrained, prior
from windvane.metamodel.regimes import classifier as regime
from windvane.metamodel.simulation.seeds import TRAINING

ROWS = 1_500


def test_what_ships_was_fitted_on_the_training_seeds() -> None:
    parameters = inspect.signature(train_members).parameters
    assert parameters["seeds"].default is TRAINING
    assert prior.shipped().about["seeds"] == str(TRAINING)
    assert prior.shipped().about["ticks"] == str(TICKS)


def test_the_same_seeds_give_the_same_bytes() -> None:
    told: list[int] = []
    raw = train_members(range(2), ROWS, told.append)
    assert told == [1, 2]
    assert train_members(range(2), ROWS) == raw
    assert train_members(range(1, 3), ROWS) != raw


def test_sums_against_whole_arrays() -> None:
    """One market: regressors stacked, targets as means of slices, moments as weighted averages."""
    found = prior.load_prior(train_members([7], ROWS))
    rows = seen("standard", ROWS, 7, randomised=True)
    q = regime.MarketRegimeClassifier().step(rows.x, rows.flags)
    good = np.ones(ROWS, np.int64)
    a = np.stack([g.propose(rows.x, rows.mid, good).target for g in create_agents(tuple(AGENTS))], axis=1)
    r = np.diff(np.log(rows.mid), prepend=np.log(rows.mid[0]))
    variance, s = 0.0, np.ones(ROWS)
    for t in range(1, ROWS):
        s[t] = max(variance, 1e-12) ** 0.5
        square = r[t] ** 2 if t == 1 else min(r[t] ** 2, 36.0 * s[t] ** 2)
        variance += max(2.0 / 129.0, 1.0 / t) * (square - variance)
    held, paid = np.roll(a, 1, axis=0), np.roll(rows.cost, 1)[:, None]
    g = held * r[:, None] - np.abs(held - np.roll(a, 2, axis=0)) * paid
    warm = rows.flags & WARMUP == 0
    gn = np.where(warm[:, None], np.clip(g / s[:, None], -4.0, 4.0), 0.0)
    before = np.roll(q, 1, axis=0) * warm[:, None]
    np.testing.assert_allclose(found.moments.first, before.T @ gn / before.sum(axis=0)[:, None], atol=1e-9)
    second = np.einsum("tk,ti,tj->kij", before, gn, gn) / before.sum(axis=0)[:, None, None]
    np.testing.assert_allclose(found.moments.second, second, atol=1e-9)

    fast, slow, z = np.zeros(len(AGENTS)), np.zeros(len(AGENTS)), FeatureScaler().scale(rows.x)
    xs, ys = [], []
    for t in range(ROWS):
        if warm[t]:
            fast = fast + (1.0 - 0.5 ** (1 / 96)) * (gn[t] - fast)
            slow = slow + (1.0 - 0.5 ** (1 / 768)) * (gn[t] - slow)
        if warm[t] and t % 4 == 0 and t + 32 < ROWS:
            x = np.empty(pretrained.regressors(len(AGENTS)))
            pretrained.regress(z[t], q[t], fast, slow, a[t], x)
            xs.append(x)
            ys.append(gn[t + 1 : t + 33].mean(axis=0))
    X, Y = np.array(xs), np.array(ys)
    np.testing.assert_allclose(found.normal, X.T @ X / len(X), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found.moment, X.T @ Y / len(X), rtol=1e-9, atol=1e-10)
