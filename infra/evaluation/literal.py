"""A common recipe for weighing agents by neural networks, taken literally: a baseline that only the evaluation uses.

Its regime classifier is never trained. For each agent a network predicts a performance from features and regimes; it
is trained online with Adam (Kingma and Ba 2015), and every agent is credited with what the ensemble earned. The weights
are a softmax of the predictions over a temperature, clipped at the largest weight.
"""

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.evaluation.rows import Rows
from windvane.metamodel.features.scaler import FeatureScaler

_HORIZON, _EVERY, _LOOKBACK, _BATCH, _EPOCHS = 32, 50, 1000, 32, 10
_HIDDEN, _REGIMES, _RATE = 64, 7, 1e-3
_TEMPERATURE, _CAP = 0.5, 0.6


def literal(rows: Rows, seed: int = 0) -> Floats:
    """Return the weights (n, N) of the recipe on one market.

    It takes a sample every 32 rows, and trains for ten epochs on the last 1,000 samples after every 50. seed: of the
    networks' initial weights and the order of samples.
    """
    rng = np.random.default_rng(seed)
    n, agents = rows.target.shape
    z = FeatureScaler().scale(rows.x)
    z = np.concatenate([z, _untrained(z, rng)], axis=1)
    net = _Networks(z.shape[1], agents, rng)
    earned, change = np.zeros(n), np.diff(np.log(rows.mid), prepend=np.log(rows.mid[0]))
    cost, weights, block = rows.cost, np.empty((n, agents)), _HORIZON * _EVERY
    lag = rows.costs.delay
    net_target = np.zeros(n)
    for start in range(0, n, block):
        stop = min(n, start + block)
        weights[start:stop] = _clipped(net.predict(z[start:stop]))
        net_target[start:stop] = (weights[start:stop] * rows.target[start:stop]).sum(axis=1)
        before = np.concatenate([np.zeros(2 + lag), net_target])[
            start : stop + 1
        ]  # before[1 + i] is the position with which row i begins
        moved = np.abs(np.diff(before))
        paid = np.concatenate([[0.0], cost])[start:stop]
        earned[start:stop] = before[1:] * change[start:stop] - moved * paid
        ends = np.arange(_HORIZON, stop, _HORIZON)[-_LOOKBACK:]
        if len(ends) < _BATCH:
            continue
        sums = np.add.reduceat(earned[:stop], np.arange(0, stop, _HORIZON))
        scale = earned[:stop].std() * _HORIZON + 1e-12
        credit = (sums[ends // _HORIZON - 1] / scale)[:, None].repeat(agents, axis=1)
        net.train(z[ends - _HORIZON], credit, rng)
    return weights


def _untrained(z: Floats, rng: np.random.Generator) -> Floats:
    """The outputs (n, 7) of a regime network with random weights, which sum to 1 in each row."""
    first = rng.uniform(-1.0, 1.0, (z.shape[1], _HIDDEN)) / z.shape[1] ** 0.5
    second = rng.uniform(-1.0, 1.0, (_HIDDEN, _REGIMES)) / _HIDDEN**0.5
    return _softmax(np.maximum(z @ first, 0.0) @ second)


def _softmax(v: Floats) -> Floats:
    """The softmax of each row of (n, C)."""
    w = np.exp(v - v.max(axis=1, keepdims=True))
    return w / w.sum(axis=1, keepdims=True)


def _clipped(prediction: Floats) -> Floats:
    """Weights (n, N) from predictions (n, N): a softmax over the temperature, clipped, and scaled to sum to 1 again."""
    w = np.minimum(_softmax(prediction / _TEMPERATURE), _CAP)
    return w / w.sum(axis=1, keepdims=True)


class _Networks:
    """One network for each agent, with 64 hidden units, that maps the inputs (n, F) which all share to a number."""

    def __init__(self, inputs: int, agents: int, rng: np.random.Generator) -> None:
        self._w = [
            rng.uniform(-1.0, 1.0, (agents, inputs, _HIDDEN)) / inputs**0.5,
            np.zeros((agents, 1, _HIDDEN)),
            rng.uniform(-1.0, 1.0, (agents, _HIDDEN, 1)) / _HIDDEN**0.5,
            np.zeros((agents, 1, 1)),
        ]
        self._mean = [np.zeros_like(w) for w in self._w]
        self._square = [np.zeros_like(w) for w in self._w]
        self._steps = 0

    def predict(self, z: Floats) -> Floats:
        """Return the predicted performance (n, N) of every agent for inputs z (n, F)."""
        hidden = np.maximum(z[None] @ self._w[0] + self._w[1], 0.0)
        return (hidden @ self._w[2] + self._w[3])[:, :, 0].T

    def train(self, z: Floats, y: Floats, rng: np.random.Generator) -> None:
        """Train for ten epochs on the squared error of predictions for z (n, F) against y (n, N)."""
        for _ in range(_EPOCHS):
            order = rng.permutation(len(z))
            for at in range(0, len(z) - _BATCH + 1, _BATCH):
                pick = order[at : at + _BATCH]
                self._step(z[pick], y[pick].T[:, :, None])

    def _step(self, z: Floats, y: Floats) -> None:
        """One step of Adam on a batch z (B, F), y (N, B, 1)."""
        hidden = np.maximum(z[None] @ self._w[0] + self._w[1], 0.0)
        error = 2.0 * (hidden @ self._w[2] + self._w[3] - y) / z.shape[0]
        back = (error @ self._w[2].transpose(0, 2, 1)) * (hidden > 0.0)
        slopes = [
            z.T[None] @ back,
            back.sum(axis=1, keepdims=True),
            hidden.transpose(0, 2, 1) @ error,
            error.sum(axis=1, keepdims=True),
        ]
        self._steps += 1
        for w, mean, square, slope in zip(self._w, self._mean, self._square, slopes, strict=True):
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope * slope - square)
            upper = mean / (1.0 - 0.9**self._steps)
            w -= _RATE * upper / (np.sqrt(square / (1.0 - 0.999**self._steps)) + 1e-8)
