"""Policies with random weights, for tests of how they are stored and served."""

import itertools
from typing import Any

import msgspec
import numpy as np

from windvane.agents.learned.policy import LearnedPolicy, PolicyForm, tensors_of
from windvane.agents.learned.transitions import Layers
from windvane.metamodel.features.columns import NAMES


def layers(sizes: tuple[int, ...], atoms: int, seed: int) -> Layers:
    draw = np.random.Generator(np.random.PCG64(seed))

    def some(*shape: int) -> np.ndarray:
        return draw.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(shape[0]))

    pairs = list(itertools.pairwise(sizes))
    support = np.linspace(-1, 1, atoms).astype(np.float32) if atoms else np.zeros(0, np.float32)
    return Layers([some(*pair) for pair in pairs], [some(b) for _, b in pairs], support)


def form(**given: Any) -> dict[str, Any]:
    """All of a form but `format` and `weights_sha256`."""
    features = given.get("features", list(NAMES))
    return {
        "algorithm": "dqn",
        "features": features,
        "centre": [0.1 * (i % 3) for i in range(len(features))],
        "spread": [1.0 + 0.5 * (i % 2) for i in range(len(features))],
        "clip": 5.0,
        "sees_position": True,
        "actions": "target",
        "mapping": [-1.0, 0.0, 1.0],
        "max_position": 1.0,
        "hidden": [16, 8],
        "activation": "relu",
        "atoms": 0,
        "warmup": 3,
        "trained": {"simulated": True, "data": "nothing", "steps": 0, "seed": 0, "release": "0"},
        "confidence": None,
    } | given


def policy(seed: int = 0, **given: Any) -> LearnedPolicy:
    whole = {"format": 1, "weights_sha256": "0" * 64, **form(**given)}
    checked = msgspec.convert(whole, PolicyForm)
    return LearnedPolicy(checked, tensors_of(layers(checked.sizes, checked.atoms, seed)), NAMES)


def rows(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (n, 50), prices (n,), and whether a row is good (n,)."""
    draw = np.random.Generator(np.random.PCG64(seed))
    good = (draw.random(n) < 0.9).astype(np.int64)
    return 3.0 * draw.standard_normal((n, 50)), np.full(n, 100.0), good
