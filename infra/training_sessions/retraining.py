"""Retrains the predictor between episodes, on the samples and by the code with which the feedback stage does it."""

import weakref

from windvane.infra.training.trainer import ChildTrainer, check_torch
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble
from windvane.streams.events import LearnerUpdate
from windvane.streams.retraining import Retraining, weights_of


class SessionRetraining:
    """Retrains the predictor of one ensemble, in a child process that ends with this object.

    Raises StateError where torch is not installed.
    """

    def __init__(self, ensemble: MetaLearningRiskManagedEnsemble) -> None:
        check_torch()
        self._ensemble, self._trainer = ensemble, ChildTrainer()
        self._slow = Retraining("session", ensemble.config)
        weakref.finalize(self, self._trainer.close)

    def after_episode(self) -> bool:
        """Train on the samples of the episode just played, and return whether the new weights are in use.

        Blocks until the training is done. Nothing is trained where the episode has fewer samples than a version takes
        (`meta_training_frequency`), and the old weights are kept where the new ones predict the newest samples worse.
        """
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
