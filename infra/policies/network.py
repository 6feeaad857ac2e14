"""Networks of others as plain layers: what a policy can be made of, whatever file they come from."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from windvane.agents.learned.policy import MOST_FEATURES
from windvane.agents.learned.settings import LearnedError, check_hidden
from windvane.agents.learned.transitions import Layers, Singles

ACTIONS = 3


class Network(NamedTuple):
    """A network of others, and what its file says of it."""

    layers: Layers
    algorithm: str
    about: str  # what it is, for people
    steps: int = 0  # that it was trained for, 0 where nobody says
    seed: int = 0


def checked(weights: Sequence[Singles], biases: Sequence[Singles], activation: str) -> Layers:
    """Return the layers of a multi-layer perceptron that says what three actions are worth.

    weights: (inputs, outputs) each; biases: (outputs,) each; activation: of every hidden layer. Raises LearnedError
    where the layers do not fit each other, or are more or larger than a policy may have.
    """
    for weight, bias in zip(weights, biases, strict=True):
        if bias.shape != weight.shape[1:]:
            raise LearnedError(
                f"a layer has weights {weight.shape} and a bias {bias.shape}: give layers that fit each other"
            )
    for one, two in pairwise(weights):
        if one.shape[1] != two.shape[0]:
            raise LearnedError(
                f"a layer of {one.shape[1]} units is followed by one that reads {two.shape[0]}: give layers that fit"
            )
    inputs, outputs = weights[0].shape[0], weights[-1].shape[1]
    if not 1 <= inputs <= MOST_FEATURES + 1:
        raise LearnedError(f"it reads {inputs} numbers: give a network of 1 to {MOST_FEATURES + 1}")
    if outputs != ACTIONS:
        raise LearnedError(f"it has {outputs} outputs: give a network of {ACTIONS}, sell, hold and buy")
    check_hidden(tuple(len(bias) for bias in biases[:-1]))
    return Layers(
        [np.ascontiguousarray(weight) for weight in weights],
        [np.ascontiguousarray(bias) for bias in biases],
        np.zeros(0, np.float32),
        activation,
    )


def check_file(path: Path) -> None:
    """Raise LearnedError where a path is no file."""
    if not path.is_file():
        raise LearnedError("it is no file: give a zip of Stable-Baselines3 or an .onnx file")


def shown(value: object) -> str:
    """What somebody wrote into a file, as a sentence may have it: printable, and not long."""
    return repr(value)[:60]
