"""Fits what the members of the mixture know before their first row, on randomised SIMULATED markets.

A member is one way to weigh agents; the ensemble mixes several of them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from windvane.agents.factory import AGENTS, create_agents
from windvane.infra.training.samples import seen
from windvane.metamodel.base import weights
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import REPEATED, WARMUP
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.learning.members import pretrained
from windvane.metamodel.learning.members.fitting import Scaling, Sums, collect
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier
from windvane.metamodel.regimes.model import shipped
from windvane.metamodel.simulation.seeds import TRAINING

TICKS = 64_512


def train_members(
    seeds: Sequence[int] = TRAINING, ticks: int = TICKS, progress: Callable[[int], None] = lambda done: None
) -> bytes:
    """Return the members' knowledge as safetensors: moments of the returns of all agents, in all and by regime.

    The agents' targets are filled without delay at the costs of the simulated market. seeds: one market each, of
    `ticks` rows; progress: called with the number of markets done after each.
    """
    names, scaler = tuple(AGENTS), FeatureScaler()
    sums, by = Sums.new(len(names)), Scaling(scaler.centre, scaler.spread)
    for done, seed in enumerate(seeds):
        rows = seen("standard", ticks, seed, randomised=True)
        posterior = MarketRegimeClassifier().step(rows.x, rows.flags)
        good = (rows.flags & REPEATED == 0).astype(np.int64)
        targets = [agent.propose(rows.x, rows.mid, good).target for agent in create_agents(names)]
        warm = (rows.flags & WARMUP == 0).astype(np.int64)
        collect(sums, by, rows.x, posterior, rows.mid, np.stack(targets, axis=1), rows.cost, warm)
        progress(done + 1)
    tensors = {
        "normal": sums.normal / sums.rows,
        "moment": sums.moment / sums.rows,
        "first": sums.first / sums.mass[:, None],
        "second": sums.second / sums.mass[:, None, None],
    }
    about = {
        "model": "members",
        "data": "simulated standard markets, randomised",
        "seeds": str(seeds),
        "ticks": str(ticks),
        "agents": ",".join(names),
        "features": ",".join(NAMES[: pretrained.FEATURES]),
        "crossed": ",".join(NAMES[i] for i in pretrained.CROSSED),
        "regimes": ",".join(REGIMES),
        "classifier": shipped().version,
    }
    return weights.to_bytes(tensors, about)
