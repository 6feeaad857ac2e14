"""AlgorithmPerformancePredictor says what the ensemble's member says, and refuses what it cannot read."""

from typing import Any

import numpy as np
import pytest

from windvane.metamodel.base import weights
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import predictor
from windvane.metamodel.learning.performance import AlgorithmPerformancePredictor

NAMES = ("vol_trend", "ema_momentum", "buy_and_hold")


def raw(features: int = 50, seed: int = 0) -> bytes:
    draw = np.random.default_rng(seed)
    shapes = predictor.shapes(features, len(NAMES))
    return weights.to_bytes(
        {name: (0.2 * draw.standard_normal(shape)).astype(np.float16) for name, shape in shapes.items()}, {}
    )


def manager(features: int, history: int = 20) -> MetaLearningEnsembleManager:
    settings = WeighingConfig(retraining=True, features=features, agent_history_features=history)
    return MetaLearningEnsembleManager(NAMES, settings)


@pytest.mark.parametrize(("features", "history"), [(50, 20), (21, 5)])
def test_it_predicts_what_the_member_predicts_to_the_last_bit(features: int, history: int) -> None:
    draw, whole = np.random.default_rng(1), manager(features, history)
    whole.swap_predictor(raw(features))
    scores, found = [], 0
    for t in range(200):
        x, p, a = draw.normal(size=(1, 50)), draw.dirichlet(np.ones(7), 1), draw.uniform(-1, 1, (1, 3))
        whole.step(x, 100.0 * np.exp(draw.normal(0, 0.003, 1)), a, np.full(1, 1e-4), np.ones(1, np.int64), p)
        scores.append(whole.learner.memory.gn.copy())
        if t % predictor.EVERY == 0 and t > 0:
            said = AlgorithmPerformancePredictor.of(whole).predict(x[0], p[0], scores, a[0])
            assert list(said) == list(NAMES)
            assert list(said.values()) == whole.learner.learned.predictor.mu.tolist(), t
            found += 1
    assert found == 24
    alone = AlgorithmPerformancePredictor(NAMES, raw(features), features=features, history=history)
    assert alone.predict(x[0], p[0], scores, a[0]) == AlgorithmPerformancePredictor.of(whole).predict(
        x[0], p[0], scores, a[0]
    )


def test_it_says_what_plain_arithmetic_says_where_there_are_no_scores_yet() -> None:
    one = AlgorithmPerformancePredictor(NAMES, raw())
    draw = np.random.default_rng(2)
    x, p, a = draw.normal(size=50), np.full(7, 1 / 7), np.array([0.5, -1.0, 0.0])
    z = FeatureScaler().scale(x)
    layers = {name: value.astype(np.float64) for name, value in weights.from_bytes(raw()).tensors.items()}
    for i, said in enumerate(one.predict(x, p, [], a).values()):
        own = [0.0, 0.0, a[i], abs(a[i]), predictor.FEATURE_SCALE * a[i] * z[2]]
        h = np.concatenate([predictor.FEATURE_SCALE * z, p, own])
        for k in "12":
            h = np.maximum(h @ layers[f"w{k}"][i] + layers[f"b{k}"][i], 0.0)
        assert said == pytest.approx((h @ layers["w3"][i] + layers["b3"][i]) / predictor.SCALE, abs=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    one, x, p = AlgorithmPerformancePredictor(NAMES, raw()), np.zeros(50), np.full(7, 1 / 7)
    calls: list[tuple[Any, str]] = [
        (lambda: AlgorithmPerformancePredictor(NAMES[:2], raw()), "needs a tensor w1 of shape"),
        (lambda: AlgorithmPerformancePredictor(NAMES, b"no"), "not safetensors"),
        (lambda: AlgorithmPerformancePredictor(NAMES, raw(), features=75), "give 1 to 50"),
        (lambda: AlgorithmPerformancePredictor.of(manager(50)), "no trained predictor yet"),
        (lambda: one.predict(x[:49], p, [], np.zeros(3)), "50 features"),
        (lambda: one.predict(x, p[:6], [], np.zeros(3)), r"regime has shape \(6,\)"),
        (lambda: one.predict(x, p, [[0.0]], np.zeros(3)), r"scores has shape \(1, 1\)"),
        (lambda: one.predict(x, p, [], [np.nan] * 3), "give finite numbers"),
    ]
    for call, said in calls:
        with pytest.raises(ValueError, match=said):
            call()
    with pytest.raises(WeightsError):
        AlgorithmPerformancePredictor(NAMES, raw(), features=75)
