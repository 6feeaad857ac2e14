"""What a learner knows apart from the market it learned it in: as bytes, and into another learner.

Safetensors, with the agents and members they belong to. They are verified before they are used: names, shapes, finite
numbers, and what they make of a few rows.
"""

import copy
from typing import Any

import numpy as np

from windvane.metamodel.base import weights
from windvane.metamodel.base.upgrading import Saved, Upcast
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import predictor

_OF_THE_MARKET = {
    *("past", "posteriors", "targets", "member_targets", "cumulated", "gn", "member_score"),
    *("fast", "slow", "calm", "totals", "cash"),
}
SCRATCH = {
    *("chosen", "z", "x", "y", "v", "box", "regime.mean"),
    *("contextual.k", "pretrained.rest.k", "pretrained.strength.k", "pretrained.strength.s"),
    *("predictor.common", "predictor.own", "predictor.h1", "predictor.h2"),
}
"""Arrays of a learner that every row writes before it reads them: they are stored nowhere."""

_ROWS = 64


def _without_scratch(saved: Saved, fresh: Saved) -> Saved:
    """Version 1, of 0.1.0, held what is scratch; a name that stops to be scratch is to be written out here."""
    return {name: value for name, value in saved.items() if name not in SCRATCH}


UPCASTS: tuple[Upcast, ...] = (_without_scratch,)
"""What turns what an older release had learned into what this one learns: see `windvane.metamodel.base.upgrading`."""


def is_learned(name: str) -> bool:
    """Whether an array of a learner's state, by its dotted name, says something about other markets, too."""
    parts = name.split(".")
    return parts[0] != "market" and parts[-1] not in _OF_THE_MARKET and name not in SCRATCH


def tensors(part: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Every array of nested named tuples, not copied, under dotted names."""
    found: dict[str, np.ndarray] = {}
    for name, value in part._asdict().items():
        if isinstance(value, np.ndarray):
            found[f"{prefix}{name}"] = value
        else:
            found |= tensors(value, f"{prefix}{name}.")
    return found


def to_bytes(manager: MetaLearningEnsembleManager, about: dict[str, str]) -> bytes:
    """What was learned; about: more to say of it."""
    kept = {name: value for name, value in tensors(manager.learner).items() if is_learned(name)}
    told = {"model": "learner", "agents": ",".join(manager.agents), "members": ",".join(manager.members)}
    return weights.to_bytes(kept, {**about, **told, **weights.told(UPCASTS)})


def load(manager: MetaLearningEnsembleManager, raw: bytes) -> dict[str, str]:
    """Go on with what was learned elsewhere, from the next row on; gives what was said about it.

    Raises WeightsError where it does not fit, and then the manager goes on with what it had.
    """
    given = weights.from_bytes(raw)
    about = given.about
    if about.get("model") != "learner":
        raise WeightsError("these are not the weights of a learner: give a checkpoint of a training session")
    for name, ours in (("agents", manager.agents), ("members", manager.members)):
        if about.get(name) != ",".join(ours):
            raise WeightsError(
                f"the {name} of this learner are {', '.join(ours)}, of the weights "
                f"{about.get(name, '').replace(',', ', ')}: give weights of the same, in the same order"
            )
    trial = copy.copy(manager)
    trial.learner = _copied(manager.learner)
    into = {name: value for name, value in tensors(trial.learner).items() if is_learned(name)}
    found = weights.as_now(given, into, UPCASTS, "what a learner knows")
    if into.keys() != found.keys():
        odd = ", ".join(sorted(into.keys() ^ found.keys())[:3])
        raise WeightsError(f"the weights are of another version of the learner: {odd} is in one of them only")
    there, here = ("on" if part["predictor.layers.w1"].size else "off" for part in (found, into))
    if there != here:
        raise WeightsError(f"the weights are of a learner with retraining {there}, this one has it {here}")
    for name, value in into.items():
        if found[name].shape != value.shape or found[name].dtype != value.dtype:
            raise WeightsError(
                f"{name} is {found[name].dtype}{found[name].shape}, this learner has {value.dtype}{value.shape}"
            )
        if not np.isfinite(found[name]).all():
            raise WeightsError(f"{name} holds NaN or inf")
        value[...] = found[name]
    used = trial.learner.predictor
    for use, layers in zip(used.use.tolist(), (used.layers, used.before), strict=True):
        if use not in (0, 1) or (use and not manager.rules.retraining):
            raise WeightsError("predictor.use is neither of weights that are there nor 0: train them again")
        if use:
            predictor.check(layers)
    _try(trial)
    for name, value in tensors(manager.learner).items():
        if is_learned(name):
            value[...] = found[name]
    return about


def _copied(part: Any) -> Any:
    return type(part)(*(v.copy() if isinstance(v, np.ndarray) else _copied(v) for v in part))


def _try(manager: MetaLearningEnsembleManager) -> None:
    """A few rows of a canary market; manager is a copy that may be spoiled."""
    n = len(manager.agents)
    draw = np.random.Generator(np.random.PCG64(0))
    given = manager.step(
        draw.normal(size=(_ROWS, len(manager.rules.centre))),
        100.0 * np.exp(0.0025 * draw.normal(size=_ROWS).cumsum()),
        draw.uniform(-1.0, 1.0, size=(_ROWS, n)),
        np.full(_ROWS, 1e-4),
        np.ones(_ROWS, np.int64),
    )
    if not (np.isfinite(given).all() and given.min() >= 0.0 and _shares(manager, given)):
        raise WeightsError("the weights do not give shares of agents that sum to 1: train them again")


def _shares(manager: MetaLearningEnsembleManager, given: np.ndarray) -> bool:
    """Whether weights (n, N) sum to 1, or where cash takes part to no more."""
    total = given.sum(axis=1)
    return bool(np.allclose(total, 1.0) or (manager.rules.cash > 0.0 and total.max() <= 1.0 + 1e-9))
