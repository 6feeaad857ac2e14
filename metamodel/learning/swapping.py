"""What was learned, swapped while an ensemble runs: a predictor's weights alone, or all that a learner knows.

New weights are verified first: those that do not pass raise WeightsError, and the manager goes on with its own.
"""

from typing import NamedTuple

from windvane.metamodel.base import weights
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning import learned
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager


class Swapped(NamedTuple):
    """The result of a swap.

    about: the texts stored with the new weights; before: the old weights, for `take_back` until the next swap.
    """

    about: dict[str, str]
    before: bytes


def swap(manager: MetaLearningEnsembleManager, raw: bytes) -> Swapped:
    """Use these safetensors from the next row on; raises WeightsError where they do not pass the checks."""
    tensors, about = weights.from_bytes(raw)
    if about.get("model") != "learner":
        if "w1" not in tensors:
            raise WeightsError(
                "these are the weights of neither a learner nor a predictor: give a checkpoint of a training session"
            )
        manager.swap_predictor(raw)
        return Swapped(about, b"")
    before = learned.to_bytes(manager, {})
    learned.load(manager, raw)
    return Swapped(about, before)


def take_back(manager: MetaLearningEnsembleManager, before: bytes) -> bool:
    """Go on with what was known before the last swap; returns whether there was one. One step back, not two.

    Of a predictor that is the predictor; of a whole learner all of it, and what was learned since is lost.
    """
    if not before:
        return manager.roll_back()
    learned.load(manager, before)
    manager.learner.learned.predictor.use[1] = 0
    return True
