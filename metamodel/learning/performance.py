"""AlgorithmPerformancePredictor: how well each agent will do next, asked by a person for one row at a time.

It computes what the ensemble's member `predictor` does, with the same kernels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.state import row_of
from windvane.metamodel.base.weights import WeightsError, to_bytes
from windvane.metamodel.features import selection
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.features.scaler import FeatureScaler, scale_row
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import predictor

_TREND = NAMES.index("trend_128")


class AlgorithmPerformancePredictor:
    """Predicts the mean normalised score of every agent over the next 32 good rows.

    A score is what an agent's own proposals earn in a row after costs, in units of the volatility of a row. One
    network an agent, of float32; no torch is needed. They are trained with torch by a training session
    (`MetaLearningEnsembleTrainer`) or while a book runs; `of` takes them from there.

    agents: N names; weights: safetensors of the predictor alone, such as a version of a book's learner holds;
    features: so many of the fifty features are read, 1 to 50 (`regime_features_dim`); history: how long scores are
    remembered (`agent_history_features`). Raises WeightsError where the weights are not N such networks, or not finite.
    """

    def __init__(
        self, agents: Sequence[str], weights: bytes, *, features: int = 50, history: int = 20
    ) -> None:
        if not 1 <= features <= selection.ALL:
            raise WeightsError(
                f"features is {features}: give 1 to {selection.ALL}, since slow averages are known to the learner only"
            )
        self.agents, self.features = tuple(agents), features
        self._layers = predictor.load(weights, features, len(self.agents))
        self._rates = predictor.rates(history)

    @classmethod
    def of(cls, manager: MetaLearningEnsembleManager) -> "AlgorithmPerformancePredictor":
        """The predictor that an ensemble's manager uses now, with copies of its weights.

        Raises WeightsError where it has not been trained yet, or reads more than 50 features.
        """
        learned = manager.learner.learned.predictor
        if learned.use[0] != 1:
            raise WeightsError(
                "this ensemble has no trained predictor yet: train it longer, or load a checkpoint"
            )
        same = cls(manager.agents, to_bytes(learned.layers._asdict(), {}), features=manager.rules.features)
        same._rates = manager.rules.rates
        return same

    def predict(self, state: Any, regime: Any, scores: Any, targets: Any) -> dict[str, float]:
        """The predicted mean score of every agent, by name; above 0 it earns more than it costs.

        state: (50,) raw features of a row; regime: (7,) probabilities of the regimes, in the order of `REGIMES`;
        scores: (n, N) normalised scores of the agents in the good rows so far, the newest last, n = 0 where there are
        none; targets: (N,) what they propose at this row, -1 to 1. Raises ValueError for other shapes or NaN.
        """
        x, count = row_of(state), len(self.agents)
        p = _shaped("regime", regime, (predictor.REGIMES,))
        a = _shaped("targets", targets, (count,))
        past = _shaped("scores", scores, (len(scores), count)) if len(scores) else np.zeros((0, count))
        fast, slow = np.zeros(count), np.zeros(count)
        for row in past:
            fast += self._rates[0] * (row - fast)
            slow += self._rates[1] * (row - slow)
        scaler, z, mu = FeatureScaler(), np.empty(len(NAMES)), np.empty(count)
        scale_row(x, scaler.centre, scaler.spread, z)
        scratch = predictor.Scratch.new(self.features, count)
        predictor.regress(z[: self.features], p, z[_TREND], fast, slow, a, scratch.common, scratch.own)
        predictor.forward(self._layers, scratch, mu)
        return dict(zip(self.agents, mu.tolist(), strict=True))


def _shaped(name: str, value: Any, shape: tuple[int, ...]) -> Floats:
    """A finite array of float64 in the shape that it must have; raises ValueError."""
    found = np.array(value, np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        raise ValueError(f"{name} has shape {found.shape}: give finite numbers of shape {shape}")
    return found
