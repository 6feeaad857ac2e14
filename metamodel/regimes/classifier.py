"""MarketRegimeClassifier: which of seven regimes the market is in, as a posterior.

A gated recurrent unit (Cho et al. 2014) over scaled features, updated every 4 good rows, with a softmax over the
regimes. It was trained on randomised SIMULATED markets, whose true regimes are known: `windvane train regime` makes its
weights again. Nothing is known of the true regimes of a real market.
"""

import math
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base import weights
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.regimes import kernel as rk

SHIPPED = "regime.safetensors"
TILT = 0.1
"""Power of the prior that posteriors are divided by before the largest is shown: rare regimes show sooner.

Chosen on the validation seeds: with .25 macro-F1 is .005 higher, but changes show 2 ticks later at as many switches.
"""

WINDOW = 100


class RegimeModel(NamedTuple):
    """A trained classifier: its network, the features that it reads, and its version.

    prior: (7,) share of every regime in training; version: names the bytes that it was read from.
    """

    version: str
    network: rk.Network
    features: tuple[str, ...]
    prior: Floats
    about: dict[str, str]


def load_model(raw: bytes) -> RegimeModel:
    """Read a model from safetensors; raises WeightsError where it is not one of seven regimes and known features."""
    tensors, about = weights.from_bytes(raw)
    features = tuple(about.get("features", "").split(","))
    absent = about.get("absent", "").split(",")
    unknown = [name for name in features if name not in NAMES]
    if unknown:
        raise WeightsError(
            f"the regime model reads features that are not there: {', '.join(unknown) or 'none'}"
        )
    if about.get("regimes") != ",".join(REGIMES):
        raise WeightsError(f"the regime model tells other regimes than {', '.join(REGIMES)}")
    if "gru.weight_hh_l0" not in tensors or tensors["gru.weight_hh_l0"].ndim != 2:
        raise WeightsError("the regime model has no recurrent weights")
    units, inputs, regimes = tensors["gru.weight_hh_l0"].shape[1], len(features), len(REGIMES)
    wanted = {
        "centre": (inputs,),
        "spread": (inputs,),
        "prior": (regimes,),
        "gru.weight_ih_l0": (3 * units, inputs),
        "gru.weight_hh_l0": (3 * units, units),
        "gru.bias_ih_l0": (3 * units,),
        "gru.bias_hh_l0": (3 * units,),
        "out.weight": (regimes, units),
        "out.bias": (regimes,),
    }
    for name, shape in wanted.items():
        if name not in tensors or tensors[name].shape != shape:
            raise WeightsError(f"the regime model needs a tensor {name} of shape {shape}")
        if not np.isfinite(tensors[name]).all():
            raise WeightsError(f"tensor {name} of the regime model holds NaN or inf")
    parts = {name: np.ascontiguousarray(tensors[name].T, np.float64) for name in wanted}
    if not (parts["prior"].min() > 0.0 and parts["spread"].min() > 0.0):
        raise WeightsError("prior and spread of the regime model must be above 0")
    network = rk.Network(
        np.array([NAMES.index(name) for name in features]),
        parts["centre"],
        parts["spread"],
        np.array([int(name in absent) for name in features]),
        parts["gru.weight_ih_l0"],
        parts["gru.bias_ih_l0"],
        parts["gru.weight_hh_l0"],
        parts["gru.bias_hh_l0"],
        parts["out.weight"],
        parts["out.bias"],
        parts["prior"] ** -TILT,
    )
    return RegimeModel(f"gru-{weights.digest(raw)[:12]}", network, features, parts["prior"], about)


@cache
def shipped() -> RegimeModel:
    """Return the model that comes with the package; it is read once."""
    return load_model(resources.files(__package__).joinpath(SHIPPED).read_bytes())


def first_label(model: RegimeModel) -> int:
    """Return the index of the label that is shown before the first good row, that of the most frequent regime."""
    return int((model.prior * model.network.tilt).argmax())


def shown_labels(posterior: Floats, before: int | None = None, model: RegimeModel | None = None) -> Ints:
    """Return the index in REGIMES of the label shown at every row of posterior (n, 7): (n,).

    The label is the argmax of p / prior^0.1, unless the one shown before comes within a tenth of it, so that labels
    do not flicker. before: the label shown before the first of these rows, None at the beginning of a book.
    """
    model = model or shipped()
    out = np.empty(len(posterior), np.int64)
    rk.labels(model.network.tilt, posterior, first_label(model) if before is None else before, out)
    return out


def unclassified(rows: int) -> Floats:
    """Posteriors (n, 7) of n rows that no classifier has seen: the share of each regime in the model's training."""
    return np.tile(shipped().prior, (rows, 1))


class MarketRegimeClassifier:
    """Steps through features and returns the posterior of each row; O(1) a row, and the same bits for any cut.

    model: the one to use instead of the shipped one; window: good rows that `stability` looks back on.
    """

    def __init__(self, model: RegimeModel | None = None, window: int = WINDOW) -> None:
        if window < 1:
            raise ValueError(f"window is {window}: give 1 or more good rows")
        self.model = model or shipped()
        self._memory = rk.new_memory(
            len(self.model.network.back), self.model.prior, first_label(self.model), window
        )

    def step(self, x: Floats, flags: Ints) -> Floats:
        """Posterior (n, 7) after each of n rows.

        x: (n, 50) raw features; flags: (n,) as MarketFeatureExtractor returns them. A row that brings nothing new
        repeats the last posterior; up to the end of the warm-up it is the prior.
        """
        posterior = np.empty((len(flags), len(REGIMES)))
        rk.classify(self.model.network, self._memory, flags, x, posterior)
        return posterior

    def predict_regime(self, features: Floats) -> tuple[str, float]:
        """Take in one more good row of raw features (50,); returns the label to show and its posterior."""
        self.step(np.array(features, np.float64).reshape(1, len(NAMES)), np.zeros(1, np.int64))
        return self.regime, self.confidence

    @property
    def regime(self) -> str:
        """The label to show: argmax of posterior / prior^.1, unless the one before comes within a tenth of it."""
        return REGIMES[self._memory.seen[rk.LABEL]]

    @property
    def posterior(self) -> dict[str, float]:
        """The present probability of every regime, (7,)."""
        return dict(zip(REGIMES, self._memory.posterior.tolist(), strict=True))

    @property
    def confidence(self) -> float:
        """Posterior of the label shown, in [0, 1]."""
        return float(self._memory.posterior[self._memory.seen[rk.LABEL]])

    @property
    def stability(self) -> float:
        """Share of the last `window` good rows that showed the same label as now; NaN before the end of the warm-up."""
        seen = int(self._memory.held.sum())
        return float(self._memory.held[self._memory.seen[rk.LABEL]]) / seen if seen else math.nan

    def look_back(self, window: int) -> None:
        """Measure `stability` on another number of good rows; a longer one fills up as they come."""
        m, before = self._memory, len(self._memory.recent)
        if window == before:
            return
        recent, held = np.full(window, -1, np.int64), np.zeros_like(m.held)
        rows = int(m.seen[rk.GOOD])
        for k in range(max(0, rows - min(window, before)), rows):
            label = int(m.recent[k % before])
            if label >= 0:
                recent[k % window] = label
                held[label] += 1
        self._memory = m._replace(recent=recent, held=held)

    @property
    def transitions(self) -> list[tuple[int, str, str]]:
        """The last hundred changes of the label, oldest first: (index of the good row, from, to)."""
        moves = int(self._memory.seen[rk.MOVES])
        rows = [self._memory.last[k % rk.KEPT].tolist() for k in range(max(0, moves - rk.KEPT), moves)]
        return [(row, REGIMES[before], REGIMES[after]) for row, before, after in rows]

    @property
    def transition_counts(self) -> Ints:
        """(7, 7) changes of the label since the start, from row to column."""
        return self._memory.moves.copy()

    def info(self) -> dict[str, Any]:
        """Return label, posterior, confidence, stability and the changes so far as one dictionary."""
        return {
            "current_regime": self.regime,
            "regime_confidence": self.confidence,
            "regime_stability": self.stability,
            "regime_posterior": self.posterior,
            "regime_transitions": self.transitions,
            "model": self.model.version,
        }

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of everything that `step` remembers between calls, by name."""
        return {f"regime.{name}": value.copy() for name, value in self._memory._asdict().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Replace what is remembered by what `state` of a classifier with the same model returned."""
        saved = {name: state[f"regime.{name}"].copy() for name in rk.Memory._fields}
        if saved["hidden"].shape != self._memory.hidden.shape:
            raise ValueError(f"the state is of another regime model than {self.model.version}: start anew")
        self._memory = rk.Memory(**saved)
