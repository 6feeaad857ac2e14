"""Sessions retrain the predictor between episodes: as the feedback stage does between versions, on the same samples."""

import weakref

from windvane.infra.training.trainer import ChildTrainer, check_torch
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble
from windvane.streams.events import LearnerUpdate
from windvane.streams.retraining import Retraining, weights_of


class SessionRetraining:
    """The predictor of one ensemble. Raises StateError where torch is not installed."""

    def __init__(self, ensemble: MetaLearningRiskManagedEnsemble) -> None:
        check_torch()
        self._ensemble, self._trainer = ensemble, ChildTrainer()
        self._slow = Retraining("session", ensemble.config)
        weakref.finalize(self, self._trainer.close)

    def after_episode(self) -> bool:
        """Train on the episode's samples where they make a version; gives whether the new weights are in use."""
        self._slow.config = self._ensemble.config
        weighing, manager = self._ensemble.config.weighing, self._ensemble.manager
        sampled = self._ensemble.desk.samples()
        rows = len(sampled[2])
        if rows < weighing.meta_training_frequency:
            return False
        version = self._slow.settled + 1
        draft = LearnerUpdate(
            book="session",
            version=version,
            trained_at=rows,
            effective_from=rows,
            outcome="kept",
            samples=rows,
            agents=manager.agents,
            scores=tuple(sampled[2].mean(axis=0).tolist()),
        )
        update = self._slow.trained(draft, sampled, self._trainer)
        if update.outcome == "swapped":
            manager.swap_predictor(weights_of(update))
        return update.outcome == "swapped"
