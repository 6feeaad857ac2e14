"""What was learned, apart from the market it was learned in: as bytes, and into another learner.

Safetensors, with the agents and members they belong to. They are verified before they are used: names, shapes, finite
numbers, and what they make of a few rows.
"""

import copy

import numpy as np

from windvane.metamodel.base import weights
from windvane.metamodel.base.arrays import arrays, copied
from windvane.metamodel.base.upgrading import Saved, Upcast
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import predictor

SCRATCH_OF_V1 = {
    *("chosen", "z", "x", "y", "v", "box", "regime.mean"),
    *("contextual.k", "pretrained.rest.k", "pretrained.strength.k", "pretrained.strength.s"),
    *("predictor.common", "predictor.own", "predictor.h1", "predictor.h2"),
}
"""What 0.1.0 stored though every row writes it before it reads it."""

_ROWS = 64


def upcast_v1_v2(saved: Saved, fresh: Saved) -> Saved:
    """0.2.0 stores no scratch."""
    return {name: value for name, value in saved.items() if name not in SCRATCH_OF_V1}


UPCASTS: tuple[Upcast, ...] = (upcast_v1_v2,)
"""What turns what an older release had learned into what this one learns: see `windvane.metamodel.base.upgrading`."""


def to_bytes(manager: MetaLearningEnsembleManager, about: dict[str, str]) -> bytes:
    """What a manager has learned; about: what else the file is to say of it, by name."""
    belongs = {"model": "learner", "agents": ",".join(manager.agents), "members": ",".join(manager.members)}
    return weights.to_bytes(
        arrays(manager.learner.learned), {**about, **belongs, **weights.version_texts(UPCASTS)}
    )


def load(manager: MetaLearningEnsembleManager, raw: bytes) -> dict[str, str]:
    """Go on with what was learned elsewhere, from the next row on; returns what the file says of it.

    Raises WeightsError where it does not fit, and then the manager goes on with what it had.
    """
    file = weights.from_bytes(raw)
    about = file.about
    if about.get("model") != "learner":
        raise WeightsError("these are not the weights of a learner: give a checkpoint of a training session")
    for name, ours in (("agents", manager.agents), ("members", manager.members)):
        if about.get(name) != ",".join(ours):
            raise WeightsError(
                f"the {name} of this learner are {', '.join(ours)}, of the weights "
                f"{about.get(name, '').replace(',', ', ')}: give weights of the same, in the same order"
            )
    trial = copy.copy(manager)
    trial.learner = copied(manager.learner)
    into = arrays(trial.learner.learned)
    stored = weights.as_now(file, into, UPCASTS, "what a learner knows")
    if into.keys() != stored.keys():
        odd = ", ".join(sorted(into.keys() ^ stored.keys())[:3])
        raise WeightsError(f"the weights are of another version of the learner: {odd} is in one of them only")
    trained, wanted = ("on" if part["predictor.layers.w1"].size else "off" for part in (stored, into))
    if trained != wanted:
        raise WeightsError(
            f"the weights are of a learner with retraining {trained}, this one has it {wanted}"
        )
    for name, value in into.items():
        if stored[name].shape != value.shape or stored[name].dtype != value.dtype:
            raise WeightsError(
                f"{name} is {stored[name].dtype}{stored[name].shape}, this learner has {value.dtype}{value.shape}"
            )
        if not np.isfinite(stored[name]).all():
            raise WeightsError(f"{name} holds NaN or inf")
        value[...] = stored[name]
    used = trial.learner.learned.predictor
    for use, layers in zip(used.use.tolist(), (used.layers, used.before), strict=True):
        if use not in (0, 1) or (use and not manager.rules.retraining):
            raise WeightsError("predictor.use is neither of weights that are there nor 0: train them again")
        if use:
            predictor.check(layers)
    _try(trial)
    for name, value in arrays(manager.learner.learned).items():
        value[...] = stored[name]
    return about


def _try(manager: MetaLearningEnsembleManager) -> None:
    """Weigh a few rows of a canary market with a copy that may be spoiled; raises WeightsError where that fails."""
    n = len(manager.agents)
    draw = np.random.Generator(np.random.PCG64(0))
    shares = manager.step(
        draw.normal(size=(_ROWS, len(manager.rules.centre))),
        100.0 * np.exp(0.0025 * draw.normal(size=_ROWS).cumsum()),
        draw.uniform(-1.0, 1.0, size=(_ROWS, n)),
        np.full(_ROWS, 1e-4),
        np.ones(_ROWS, np.int64),
    )
    if not (np.isfinite(shares).all() and shares.min() >= 0.0 and _sum_up(manager, shares)):
        raise WeightsError("the weights do not give shares of agents that sum to 1: train them again")


def _sum_up(manager: MetaLearningEnsembleManager, shares: np.ndarray) -> bool:
    """Whether weights (n, N) sum to 1, or where cash takes part to no more."""
    total = shares.sum(axis=1)
    return bool(np.allclose(total, 1.0) or (manager.rules.cash > 0.0 and total.max() <= 1.0 + 1e-9))
