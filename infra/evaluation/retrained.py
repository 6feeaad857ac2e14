"""Trains the performance predictor for an evaluation, version after version, as the feedback stage does in a run.

It is trained on features and proposals only, so the versions are computed once a market and shared by all methods.
"""

from collections.abc import Callable

import numpy as np

from windvane.infra.evaluation.rows import Rows
from windvane.metamodel.base.config import TradingConfig, WeighingConfig
from windvane.metamodel.learning import counterfactual
from windvane.streams.events import LearnerUpdate
from windvane.streams.retraining import Retraining, weights_of
from windvane.streams.schedule import Schedule
from windvane.streams.stage import Trainer

Swaps = tuple[tuple[int, bytes], ...]
"""(index of the row from which on they are in use, safetensors) of every version that was swapped in."""


def versions(
    rows: Rows,
    weighing: WeighingConfig,
    trainer: Trainer,
    progress: Callable[[int], None] = lambda done: None,
) -> Swaps:
    """Train every version of the predictor that is due on a market, and return those that were put to use.

    weighing: its settings say how often a version is due; trainer: does the training; progress: called with the number
    of each version after its training.
    """
    config = TradingConfig(agents=rows.agents, weighing=weighing, costs=rows.costs)
    scores = counterfactual.Counterfactual(len(rows.agents), rows.costs, 1.0, config.lot, weighing)
    slow, flags = Retraining("evaluation", config), np.where(rows.warm != 0, 0, 8)
    bid, ask = (np.zeros(0), np.zeros(0)) if np.isnan(rows.bid[0]) else (rows.bid, rows.ask)
    scored = counterfactual.Rows(flags, rows.x, rows.posterior, rows.mid, bid, ask, rows.target)
    schedule, at, swaps = Schedule(weighing), 0, []
    for seq in range(schedule.every - 1, len(flags), schedule.every):  # all rows are good
        version = schedule.train()
        scores.step(scored, at, seq + 1)
        at = seq + 1
        samples, means = scores.harvest()
        draft = LearnerUpdate(
            book="evaluation",
            version=version,
            trained_at=seq,
            effective_from=seq + schedule.lag,
            outcome="kept",
            samples=samples,
            agents=rows.agents,
            scores=tuple(means.tolist()),
        )
        update = slow.trained(draft, scores.samples(), trainer)
        if update.outcome == "swapped":
            swaps.append((update.effective_from, weights_of(update)))
        progress(version)
    return tuple(swaps)
