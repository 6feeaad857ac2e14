"""MarketRegimeClassifier: which of seven regimes the market is in, as a posterior.

A gated recurrent unit (Cho et al. 2014) over scaled features, updated every 4 good rows, with a softmax over the
regimes. Here is when it is updated and which label shows; `kernel` has the network, `model` its weights.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.bound import Bound
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import REPEATED
from windvane.metamodel.features.extractor import NAMES, WARMUP
from windvane.metamodel.regimes.kernel import (
    GOOD,
    KEPT,
    LABEL,
    MOVES,
    Memory,
    Network,
    new_memory,
    softmax,
    update,
)
from windvane.metamodel.regimes.model import RegimeModel, first_label, shipped

EVERY = 4
"""Good rows between two updates."""

HOLD = 1.1
"""How many times the tilted posterior of the label shown another one's must be before it is shown instead.

Chosen on the validation seeds: labels that would flicker stay, and a true change shows a few rows later.
"""

WINDOW = 100


class Rows(NamedTuple):
    """n rows of features."""

    flags: Ints  # (n,)
    x: Floats  # (n, 50) raw features


class MarketRegimeClassifier:
    """Steps through features and returns the posterior of each row; O(1) a row, and the same bits for any cut.

    model: the one to use instead of the shipped one; window: good rows that `stability` looks back on.
    """

    def __init__(self, model: RegimeModel | None = None, window: int = WINDOW) -> None:
        if window < 1:
            raise ValueError(f"window is {window}: give 1 or more good rows")
        self.model = model or shipped()
        self._memory = new_memory(
            len(self.model.network.back), self.model.prior, first_label(self.model), window
        )
        self._classify = Bound(_classify)

    def step(self, x: Floats, flags: Ints) -> Floats:
        """Posterior (n, 7) after each of n rows.

        x: (n, 50) raw features; flags: (n,) as MarketFeatureExtractor returns them. A row that brings nothing new
        repeats the last posterior; up to the end of the warm-up it is the prior.
        """
        posterior = np.empty((len(flags), len(REGIMES)))
        self._classify((self.model.network, self._memory), Rows(flags, x), posterior)
        return posterior

    def predict_regime(self, features: Floats) -> tuple[str, float]:
        """Take in one more good row of raw features (50,); returns the label to show and its posterior."""
        self.step(np.array(features, np.float64).reshape(1, len(NAMES)), np.zeros(1, np.int64))
        return self.regime, self.confidence

    @property
    def regime(self) -> str:
        """The label to show: argmax of posterior / prior^.1, unless the one before comes within a tenth of it."""
        return REGIMES[self._memory.seen[LABEL]]

    @property
    def posterior(self) -> dict[str, float]:
        """The present probability of every regime, (7,)."""
        return dict(zip(REGIMES, self._memory.posterior.tolist(), strict=True))

    @property
    def confidence(self) -> float:
        """Posterior of the label shown, in [0, 1]."""
        return float(self._memory.posterior[self._memory.seen[LABEL]])

    @property
    def stability(self) -> float:
        """Share of the last `window` good rows that showed the same label as now; NaN before the end of the warm-up."""
        seen = int(self._memory.held.sum())
        return float(self._memory.held[self._memory.seen[LABEL]]) / seen if seen else math.nan

    def look_back(self, window: int) -> None:
        """Measure `stability` on another number of good rows; a longer one fills up as they come."""
        m, before = self._memory, len(self._memory.recent)
        if window == before:
            return
        recent, held = np.full(window, -1, np.int64), np.zeros_like(m.held)
        rows = int(m.seen[GOOD])
        for k in range(max(0, rows - min(window, before)), rows):
            label = int(m.recent[k % before])
            if label >= 0:
                recent[k % window] = label
                held[label] += 1
        self._memory = m._replace(recent=recent, held=held)

    @property
    def transitions(self) -> list[tuple[int, str, str]]:
        """The last hundred changes of the label, oldest first: (index of the good row, from, to)."""
        moves = int(self._memory.seen[MOVES])
        rows = [self._memory.last[k % KEPT].tolist() for k in range(max(0, moves - KEPT), moves)]
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
        saved = {name: state[f"regime.{name}"].copy() for name in Memory._fields}
        if saved["hidden"].shape != self._memory.hidden.shape:
            raise ValueError(f"the state is of another regime model than {self.model.version}: start anew")
        self._memory = Memory(**saved)


def shown_labels(posterior: Floats, before: int | None = None, model: RegimeModel | None = None) -> Ints:
    """Return the index in REGIMES of the label shown at every row of posterior (n, 7): (n,).

    The label is the argmax of p / prior^0.1, unless the one shown before comes within a tenth of it, so that labels
    do not flicker. before: the label shown before the first of these rows, None at the beginning of a book.
    """
    model = model or shipped()
    out = np.empty(len(posterior), np.int64)
    _labels(model.network.tilt, posterior, first_label(model) if before is None else before, out)
    return out


@kernel
def _classify(net: Network, m: Memory, rows: Rows, posterior: Floats) -> None:
    """Step through n rows; fills posterior (n, K).

    Only good rows count; the first update is at the first row past the warm-up, then one every EVERY good rows.
    """
    a, b = np.empty(net.inward.shape[1]), np.empty(net.inward.shape[1])
    window, flags, x = m.recent.shape[0], rows.flags, rows.x
    for t in range(flags.shape[0]):
        if flags[t] & REPEATED == 0:
            k = m.seen[GOOD]
            m.seen[GOOD] += 1
            if k >= WARMUP:
                if (k - WARMUP) % EVERY == 0:
                    update(net, m, x[t], a, b)
                    softmax(net, m)
                    _show(net, m, k)
                place = k % window
                if m.recent[place] >= 0:
                    m.held[m.recent[place]] -= 1
                m.recent[place] = m.seen[LABEL]
                m.held[m.seen[LABEL]] += 1
        posterior[t, :] = m.posterior


@kernel
def _show(net: Network, m: Memory, k: int) -> None:
    """Choose the label at good row k, and remember the change if it is one."""
    before = m.seen[LABEL]
    now = _shown(net.tilt, m.posterior, before)
    m.seen[LABEL] = now
    if now != before:
        place = m.seen[MOVES] % KEPT
        m.last[place, 0], m.last[place, 1], m.last[place, 2] = k, before, now
        m.seen[MOVES] += 1
        m.moves[before, now] += 1


@inlined
def _shown(tilt: Floats, p: Floats, before: int) -> int:
    """Return the index of the label to show for a posterior p (K,), where `before` was shown before.

    tilt: (K,) factors by which a posterior is multiplied before its largest entry is taken.
    """
    best = 0
    for k in range(1, p.shape[0]):
        if p[k] * tilt[k] > p[best] * tilt[best]:
            best = k
    return best if p[best] * tilt[best] > HOLD * p[before] * tilt[before] else before


@kernel
def _labels(tilt: Floats, posterior: Floats, before: int, out: Ints) -> None:
    """Write the label to show at every row of posterior (n, K) into out (n,), where `before` was shown before."""
    for t in range(out.shape[0]):
        before = _shown(tilt, posterior[t], before)
        out[t] = before
