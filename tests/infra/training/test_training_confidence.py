"""Confidence is calibrated: what is fitted, on which rows, and whether it holds on markets that were not fitted on."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from windvane.agents.factory import RULES, create_agents
from windvane.agents.rules import calibrations
from windvane.infra.training import calibration, confidence
from windvane.infra.training.calibration import (
    PLAIN,
    SIDED,
    Judged,
    calibrated,
    calibration_source,
    gains,
    joined,
    judged,
)
from windvane.infra.training.samples import seen
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.features.scaler import FeatureScaler

needs_sklearn = pytest.mark.skipif(
    find_spec("sklearn") is None, reason="scikit-learn is not installed: pip install 'windvane[train]'"
)


def test_what_a_proposal_gains_by_hand() -> None:
    mid = 100.0 * np.exp(1e-3 * np.arange(40.0))
    target = np.where(np.arange(40) < 4, [0.0, 0.5, 0.5, -1.0] * 10, 0.0)
    found = gains(mid, target, np.full(40, 2e-4))
    assert len(found) == 8
    assert found[:5] == pytest.approx([0.0, 0.016 - 1e-4, 0.016, -0.032 - 3e-4, -2e-4])


def test_every_eighth_proposal_is_judged_with_features_by_its_side() -> None:
    rng = np.random.default_rng(2)
    n = 300
    x, mid, cost = (
        rng.standard_normal((n, 50)),
        100.0 * np.exp(0.01 * rng.standard_normal(n)),
        np.full(n, 1e-4),
    )
    target = rng.choice([-0.7, 0.0, 1.0], n)
    found = judged(x, mid, target, cost)
    rows = [t for t in range(0, n - 32, 8) if target[t]]
    spread = FeatureScaler().spread
    assert len(found.paid) == len(rows)
    for place, t in enumerate(rows):
        assert found.paid[place] == (gains(mid, target, cost)[t] > 0.0)
        assert found.z[place, 0] == pytest.approx(np.sign(target[t]) * x[t, SIDED[0]] / spread[SIDED[0]])
        assert found.z[place, -1] == pytest.approx(x[t, PLAIN[-1]] / spread[PLAIN[-1]])
    assert len(joined([found, found]).paid) == 2 * len(rows)
    assert len(judged(x[:20], mid[:20], target[:20], cost[:20]).paid) == 0


def drawn(n: int, slope: float, seed: int) -> Judged:
    """Proposals that pay by the first feature alone."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, len(SIDED) + len(PLAIN)))
    paid = rng.random(n) < 1.0 / (1.0 + np.exp(-0.2 - slope * z[:, 0]))
    return Judged(z, paid.astype(np.float64))


@needs_sklearn
def test_the_weights_are_fitted_on_one_part_and_scaled_on_the_other() -> None:
    found = calibrated(drawn(40_000, 1.0, 1), drawn(40_000, 0.5, 2), 2e-4)
    assert found is not None
    spread = FeatureScaler().spread
    weights = [w * spread[column] for column, w in (*found.sided, *found.plain)]
    assert weights[0] == pytest.approx(0.5, abs=0.05)
    assert np.abs(weights[1:]).max() < 0.05
    assert found.intercept == pytest.approx(0.2, abs=0.05)
    assert (found.base, found.cost) == (pytest.approx(drawn(40_000, 0.5, 2).paid.mean(), abs=1e-6), 2e-4)


@needs_sklearn
def test_what_foretold_the_opposite_on_the_other_part_foretells_nothing() -> None:
    found = calibrated(drawn(9_000, 1.0, 1), drawn(9_000, -0.5, 2), 2e-4)
    assert found is not None
    assert all(weight == 0.0 for _, weight in (*found.sided, *found.plain))
    assert 1.0 / (1.0 + np.exp(-found.intercept)) == pytest.approx(found.base, abs=1e-4)


def test_too_few_proposals_or_one_outcome_alone_are_not_fitted() -> None:
    many, few = drawn(900, 1.0, 1), drawn(100, 1.0, 1)
    same = many._replace(paid=np.ones(900))
    assert [calibrated(a, b, 0.0) for a, b in ((many, few), (few, many), (many, same), (same, many))] == [
        None
    ] * 4


def test_the_shipped_module_is_what_the_command_writes() -> None:
    assert Path(calibrations.__file__).read_text() == calibration_source(calibrations.CALIBRATIONS)


@needs_sklearn
def test_the_command_fits_every_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    found = confidence.fit_confidence(range(3), range(2000, 2002), 6_000, done.append)
    assert list(found) == list(RULES)
    assert done == [1, 2, 3, 4, 5]
    assert all(1e-4 < one.cost < 3e-4 and 0.4 < one.base < 0.6 for one in found.values())
    with pytest.raises(ValueError, match=r"jump_contrarian.* propose too little to be calibrated: give more"):
        confidence.fit_confidence(range(2), range(2000, 2001), 1_500)
    monkeypatch.setattr(calibration, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"install windvane\[train\]"):
        confidence.fit_confidence(range(1), range(2000, 2001), 1_500)


def forecasts(market: str, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """What every rule said of its proposals, and whether they paid."""
    rows = seen(market, 40_000, seed)
    out = []
    for agent in create_agents(tuple(RULES)):
        said = agent.propose(rows.x, rows.mid, np.ones(40_000, np.int64))
        gain = gains(rows.mid, said.target, rows.cost)[WARMUP:]
        used = said.target[WARMUP : WARMUP + len(gain)] != 0.0
        out.append((said.confidence[WARMUP:][: len(gain)][used], (gain > 0.0)[used]))
    return out


@pytest.mark.parametrize("seed", [1001, 1003])
def test_rules_foretell_on_markets_that_nothing_was_fitted_on(seed: int) -> None:
    p, paid = (np.concatenate(parts) for parts in zip(*forecasts("standard", seed), strict=True))
    base = paid.mean()
    assert ((p - paid) ** 2).mean() < base * (1.0 - base) - 1e-3
    likely, unlikely = paid[p > np.quantile(p, 0.8)].mean(), paid[p < np.quantile(p, 0.2)].mean()
    assert likely - unlikely > 0.05


def test_where_nothing_can_be_told_confidence_hardly_moves() -> None:
    for p, paid in forecasts("null", 1001):
        assert len(p) < 25_000 or p[20_000:].std() < 0.02
        assert p.mean() == pytest.approx(0.5, abs=0.03)
        assert ((p - paid) ** 2).mean() < paid.mean() * (1.0 - paid.mean()) + 1.5e-3
