"""Gathers the predictor's samples over the episodes of a session, and retrains it between them.

A sample lies in one market: it becomes complete in the episode that it began in, or is dropped with it. So no window
and no horizon spans two markets. Versions are trained and judged by the code of the feedback stage.
"""

import weakref
from typing import NamedTuple

import msgspec
import numpy as np

from windvane.infra.training.trainer import ChildTrainer, check_torch
from windvane.infra.training_sessions.learning import SessionLearners
from windvane.metamodel.base import weights
from windvane.metamodel.base.weights import Weights, WeightsError
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble
from windvane.streams.events import LearnerUpdate
from windvane.streams.retraining import Retraining, weights_of

Samples = tuple[np.ndarray, np.ndarray, np.ndarray]
"""n samples, the oldest first: regressors (n, G + 7) and (n, N, 5), and mean scores (n, N)."""

_PARTS = ("common", "own", "y")
_FEWEST = 4
"""Samples without which none can be set aside to judge a version by."""


class Retrained(NamedTuple):
    """What an episode brought: complete samples, and what became of the version, "" where none was due."""

    samples: int
    outcome: str  # "swapped": it is in use, "kept": the old weights are


class SessionRetraining:
    """Retrains the predictor of one ensemble, in a child process that ends with this object.

    Raises StateError where torch is not installed.
    """

    def __init__(self, ensemble: MetaLearningRiskManagedEnsemble) -> None:
        check_torch()
        self._ensemble, self._trainer = ensemble, ChildTrainer()
        self._kept: Samples = ensemble.desk.samples()
        self._fresh = 0  # samples since the last version
        self._versions = 0  # trained so far
        weakref.finalize(self, self._trainer.close)

    def after_episode(self) -> Retrained:
        """Gather the samples of the episode just played, and train a version where enough of them are new.

        The newest `meta_lookback` are kept, and a version is due once `meta_training_frequency` have come since the
        last. Blocks until it is trained; the old weights stay where the new ones predict the newest samples worse.
        """
        weighing, desk = self._ensemble.config.weighing, self._ensemble.desk
        pairs = zip(self._kept, desk.samples(), strict=True)
        common, own, y = (np.concatenate(pair)[-weighing.meta_lookback :] for pair in pairs)
        fresh = self._fresh + desk.complete
        if fresh < weighing.meta_training_frequency or len(y) < _FEWEST:
            self._kept, self._fresh = (common, own, y), fresh
            return Retrained(desk.complete, "")
        update = self._trained((common, own, y), min(fresh, len(y)))
        if update.outcome == "swapped":
            self._ensemble.manager.swap_predictor(weights_of(update))
        self._kept, self._fresh, self._versions = (common, own, y), 0, update.version
        return Retrained(desk.complete, update.outcome)

    def _trained(self, samples: Samples, fresh: int) -> LearnerUpdate:
        """The next version, which starts from the weights in use; `fresh` samples are new since the last one."""
        config, manager = self._ensemble.config, self._ensemble.manager
        predictor = manager.learner.learned.predictor
        used = weights.to_bytes(predictor.layers._asdict(), {}) if predictor.use[0] else b""
        # The trainer takes as many samples for new as a version is due after; here an episode may bring more.
        weighing = msgspec.structs.replace(config.weighing, meta_training_frequency=fresh)
        slow = Retraining("session", msgspec.structs.replace(config, weighing=weighing))
        in_use = np.frombuffer(used, np.uint8)
        slow.restore({"settled": self._versions, "weights": in_use, "drafts": [], "log": []})
        rows = len(samples[2])
        draft = LearnerUpdate(
            book="session",
            version=self._versions + 1,
            trained_at=rows,
            effective_from=rows,
            outcome="kept",
            samples=rows,
            agents=manager.agents,
            scores=tuple(samples[2].mean(axis=0).tolist()),
        )
        return slow.trained(draft, samples, self._trainer)

    def state(self) -> Weights:
        """Return the samples that are kept, and how many versions were trained and samples have come since."""
        return Weights(
            dict(zip(_PARTS, self._kept, strict=True)),
            {"fresh": str(self._fresh), "versions": str(self._versions)},
        )

    def restore(self, state: Weights) -> None:
        """Go on from what `state` returned; raises WeightsError where that is of other samples, and changes nothing."""
        kept = tuple(state.tensors.get(name, np.zeros(0)) for name in _PARTS)
        for found, ours in zip(kept, self._kept, strict=True):
            fits = (found.shape[1:], found.dtype) == (ours.shape[1:], ours.dtype)
            if not fits or len(found) != len(kept[2]) or not np.isfinite(found).all():
                raise WeightsError(
                    "the samples of this checkpoint are of other agents or features, or damaged"
                )
        common, own, y = kept
        self._fresh, self._versions = int(state.about["fresh"]), int(state.about["versions"])
        self._kept = common, own, y


_DATA, _AGENTS = "data.", "agents."
"""Before the names of what `Desk.data` holds, in bytes, and of what agents learn from."""


def stored(
    ensemble: MetaLearningRiskManagedEnsemble,
    retraining: SessionRetraining | None,
    learners: SessionLearners | None,
) -> bytes:
    """Return the samples of a session as safetensors: those of the predictor, those that are shown, and of agents."""
    shown = {_DATA + name: np.array(kept, np.float64) for name, kept in ensemble.desk.data._asdict().items()}
    kept = Weights({}, {}) if retraining is None else retraining.state()
    agents = {} if learners is None else learners.state()
    named = {_AGENTS + name: value for name, value in agents.items()}
    return weights.to_bytes({**shown, **kept.tensors, **named}, kept.about)


def restore(
    ensemble: MetaLearningRiskManagedEnsemble,
    retraining: SessionRetraining | None,
    learners: SessionLearners | None,
    raw: bytes,
) -> None:
    """Go on from the samples that `stored` returned; raises WeightsError where they do not fit, and changes nothing."""
    state = weights.from_bytes(raw)
    agents = {n.removeprefix(_AGENTS): v for n, v in state.tensors.items() if n.startswith(_AGENTS)}
    if learners is not None:
        learners.check(agents)
    if retraining is not None:
        retraining.restore(state)
    if learners is not None:
        learners.restore(agents)
    for name, kept in ensemble.desk.data._asdict().items():
        kept.clear()
        kept.extend(state.tensors[_DATA + name])
