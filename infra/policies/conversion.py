"""Policies of others become ours: a network, and what no file says of it, are written as a policy's folder."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from windvane.agents.learned.policy import (
    ACTIONS,
    ALGORITHMS,
    FORMAT,
    LearnedPolicy,
    PolicyForm,
    Trained,
    tensors_of,
)
from windvane.agents.learned.transitions import ACTIVATIONS, Layers
from windvane.agents.program import VERSION
from windvane.infra.policies.folder import FORM, write_policy
from windvane.infra.policies.network import Network
from windvane.metamodel.base.config import check
from windvane.metamodel.base.parameters import unknown
from windvane.metamodel.features.columns import NAMES
from windvane.metamodel.features.extractor import LIMIT, WARMUP
from windvane.metamodel.features.scaler import CLIP, FeatureScaler

POSITION = "position"
"""Name of the input that is a policy's own position, -1, 0 or 1."""

_MEANINGS = (-1, 0, 1)


class Meaning(NamedTuple):
    """What a network's numbers mean, which its file does not say."""

    inputs: tuple[str, ...] | None  # features in order, and the position last; None: all of them
    scaled: bool  # features come as FeatureScaler scales them, else as they are
    actions: str  # as in PolicyForm
    mapping: tuple[int, ...]  # what outputs 0, 1 and 2 mean: -1, 0 and 1 in some order
    max_position: float


def meaning_of(
    features: str | None,
    scaled: bool,
    raw: bool,
    actions: str | None,
    mapping: str,
    max_position: float | None,
) -> Meaning:
    """Return what options say, as people write them; raises ConfigError for what is missing or cannot be."""
    check(
        scaled != raw,
        "the file does not say how features are scaled: give one of --scaled (by Windvane's FeatureScaler) and --raw",
    )
    check(
        actions in ACTIONS,
        f"the file does not say what an action is: give --actions {ACTIONS[0]} (it moves the position by one step) or "
        f"{ACTIONS[1]} (it is the position)",
    )
    check(
        max_position is not None and 0 < max_position <= 1,
        "the file does not say what position 1 is: give --max-position above 0, up to 1, in units of capital",
    )
    meanings = tuple(mapping.split(","))
    check(
        sorted(meanings) == sorted(map(str, _MEANINGS)),
        f"--mapping is {mapping!r}: give -1, 0 and 1, each once, in the order of the outputs, as -1,0,1",
    )
    inputs = None if features is None else tuple(features.split(","))
    for name in inputs or ():
        if name not in (*NAMES, POSITION):
            raise unknown("name in --features", name, (*NAMES, POSITION))
    check(POSITION not in (inputs or ())[:-1], f"--features has {POSITION} before other inputs: name it last")
    return Meaning(inputs, scaled, str(actions), tuple(map(int, meanings)), float(max_position or 0))


def known_activation(name: str | None) -> str | None:
    """The activation that --activation names; raises ConfigError where there is no such one."""
    check(name in (None, *ACTIVATIONS), f"--activation is {name!r}: give one of {', '.join(ACTIVATIONS)}")
    return name


def named_network(layers: Layers, algorithm: str | None) -> Network:
    """The layers of an ONNX file with what --algorithm names; raises ConfigError where that is missing or unknown."""
    check(
        algorithm in ALGORITHMS,
        f"an ONNX file does not say what it was trained with: give --algorithm, one of {', '.join(ALGORITHMS)}",
    )
    return Network(layers, str(algorithm), "an ONNX network")


def convert(network: Network, meaning: Meaning, source: Path, out: Path) -> PolicyForm:
    """Write a policy's folder and return what its `policy.json` says; source: the file that the network is of.

    Raises LearnedError or ConfigError where no policy can be made of it or `out` has one; then nothing is written.
    """
    check(not (out / FORM).exists(), f"{out} has a policy already: give another --out")
    layers = _in_our_order(network.layers, meaning.mapping)
    form = _form(network, meaning, source)
    LearnedPolicy(form, tensors_of(layers), NAMES)
    said: dict[str, Any] = msgspec.to_builtins(form)
    write_policy(out, layers, {k: v for k, v in said.items() if k not in ("format", "weights_sha256")})
    return form


def _in_our_order(layers: Layers, mapping: tuple[int, ...]) -> Layers:
    """Layers whose outputs are what -1, 0 and 1 are worth."""
    order = [mapping.index(meaning) for meaning in _MEANINGS]
    return layers._replace(
        weights=[*layers.weights[:-1], layers.weights[-1][:, order]],
        biases=[*layers.biases[:-1], layers.biases[-1][order]],
    )


def _form(network: Network, meaning: Meaning, source: Path) -> PolicyForm:
    inputs = _inputs(len(network.layers.weights[0]), meaning.inputs)
    features = tuple(name for name in inputs if name != POSITION)
    scaler, columns = FeatureScaler(), [NAMES.index(name) for name in features]
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return PolicyForm(
        format=FORMAT,
        algorithm=network.algorithm,
        features=features,
        centre=tuple(scaler.centre[columns].tolist()) if meaning.scaled else (0.0,) * len(features),
        spread=tuple(scaler.spread[columns].tolist()) if meaning.scaled else (1.0,) * len(features),
        clip=CLIP if meaning.scaled else LIMIT,
        sees_position=POSITION in inputs,
        actions=meaning.actions,
        mapping=tuple(map(float, _MEANINGS)),
        max_position=meaning.max_position,
        hidden=tuple(len(bias) for bias in network.layers.biases[:-1]),
        activation=network.layers.activation,
        atoms=0,
        warmup=WARMUP,
        weights_sha256="",
        trained=Trained(
            simulated=False,
            data=f"not known: converted from {source.name} (sha256 {digest}), {network.about}",
            steps=network.steps,
            seed=network.seed,
            release=VERSION,
        ),
    )


def _inputs(width: int, given: tuple[str, ...] | None) -> tuple[str, ...]:
    """The names of a network's inputs; raises ConfigError where they are others than it reads."""
    names = (*NAMES, POSITION)[:width] if given is None and width >= len(NAMES) else given or ()
    check(
        len(names) == width,
        f"the network reads {width} numbers, and --features names {len(given or ())}: name each in order, as a,b,c, "
        f"with {POSITION} last where it sees its own",
    )
    return names
