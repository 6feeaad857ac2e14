"""Fits the confidence of the rules on SIMULATED markets."""

from collections.abc import Callable, Sequence

import numpy as np

from windvane.agents.confidence import Calibration
from windvane.agents.errors import WindvaneError
from windvane.agents.factory import RULES, create_agents
from windvane.infra.training.calibration import Judged, calibrated, check_installed, joined, judged
from windvane.infra.training.samples import Seen, seen
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.simulation.seeds import TRAINING, VALIDATION

TICKS = 32_768


def fit_confidence(
    training: Sequence[int] = TRAINING,
    validation: Sequence[int] = VALIDATION,
    ticks: int = TICKS,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Calibration]:
    """Return the calibration of every rule, by name; needs scikit-learn.

    Weights are fitted on randomised standard markets of the seeds `training`, and scaled on standard markets of the
    seeds `validation`, each of `ticks` rows, at the costs of the market and without delay. progress: called with the
    number of markets done after each.
    """
    check_installed()
    parts: dict[str, tuple[list[Judged], list[Judged]]] = {name: ([], []) for name in RULES}
    costs = []
    for done, seed in enumerate((*training, *validation)):
        place = int(done >= len(training))
        rows = seen("standard", ticks, seed, randomised=place == 0)
        costs.append(float(rows.cost.mean()))
        for name, some in _judged(rows).items():
            parts[name][place].append(some)
        progress(done + 1)
    cost = float(np.mean(costs[len(training) :]))
    found = {
        name: calibrated(joined(fitted), joined(scaled), cost) for name, (fitted, scaled) in parts.items()
    }
    lacking = [name for name, one in found.items() if one is None]
    if lacking:
        raise WindvaneError(
            f"{', '.join(lacking)} propose too little to be calibrated: give more or longer markets"
        )
    return {name: one for name, one in found.items() if one is not None}


def _judged(rows: Seen) -> dict[str, Judged]:
    """What every rule proposes in a market past its warm-up, and what came of it, by name."""
    good = np.ones(len(rows.mid), np.int64)
    warm = slice(WARMUP, None)
    return {
        agent.name: judged(
            rows.x[warm], rows.mid[warm], agent.propose(rows.x, rows.mid, good).target[warm], rows.cost[warm]
        )
        for agent in create_agents(tuple(RULES))
    }
