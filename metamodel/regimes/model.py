"""The regime model: a trained network, the features that it reads, and how it is read from bytes.

It was trained on randomised SIMULATED markets, whose true regimes are known: `windvane train regime` makes its weights
again. Nothing is known of the true regimes of a real market.
"""

from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.metamodel.base import weights
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.regimes.kernel import Network

SHIPPED = "regime.safetensors"
TILT = 0.1
"""Power of the prior that posteriors are divided by before the largest is shown: rare regimes show sooner.

Chosen on the validation seeds: with .25 macro-F1 is .005 higher, but changes show 2 ticks later at as many switches.
"""


class RegimeModel(NamedTuple):
    """A trained classifier: its network, the features that it reads, and its version.

    prior: (7,) share of every regime in training; version: names the bytes that it was read from.
    """

    version: str
    network: Network
    features: tuple[str, ...]
    prior: Floats
    about: dict[str, str]


def load_model(raw: bytes) -> RegimeModel:
    """Read a model from safetensors; raises WeightsError where it is not one of seven regimes and known features."""
    tensors, about = weights.from_bytes(raw)
    features = tuple(about.get("features", "").split(","))
    absent = about.get("absent", "").split(",")
    unknown = [name for name in features if name not in NAMES]
    if unknown:
        raise WeightsError(
            f"the regime model reads features that are not there: {', '.join(unknown) or 'none'}"
        )
    if about.get("regimes") != ",".join(REGIMES):
        raise WeightsError(f"the regime model tells other regimes than {', '.join(REGIMES)}")
    if "gru.weight_hh_l0" not in tensors or tensors["gru.weight_hh_l0"].ndim != 2:
        raise WeightsError("the regime model has no recurrent weights")
    units, inputs, regimes = tensors["gru.weight_hh_l0"].shape[1], len(features), len(REGIMES)
    wanted = {
        "centre": (inputs,),
        "spread": (inputs,),
        "prior": (regimes,),
        "gru.weight_ih_l0": (3 * units, inputs),
        "gru.weight_hh_l0": (3 * units, units),
        "gru.bias_ih_l0": (3 * units,),
        "gru.bias_hh_l0": (3 * units,),
        "out.weight": (regimes, units),
        "out.bias": (regimes,),
    }
    for name, shape in wanted.items():
        if name not in tensors or tensors[name].shape != shape:
            raise WeightsError(f"the regime model needs a tensor {name} of shape {shape}")
        if not np.isfinite(tensors[name]).all():
            raise WeightsError(f"tensor {name} of the regime model holds NaN or inf")
    parts = {name: np.ascontiguousarray(tensors[name].T, np.float64) for name in wanted}
    if not (parts["prior"].min() > 0.0 and parts["spread"].min() > 0.0):
        raise WeightsError("prior and spread of the regime model must be above 0")
    network = Network(
        np.array([NAMES.index(name) for name in features]),
        parts["centre"],
        parts["spread"],
        np.array([int(name in absent) for name in features]),
        parts["gru.weight_ih_l0"],
        parts["gru.bias_ih_l0"],
        parts["gru.weight_hh_l0"],
        parts["gru.bias_hh_l0"],
        parts["out.weight"],
        parts["out.bias"],
        parts["prior"] ** -TILT,
    )
    return RegimeModel(f"gru-{weights.digest(raw)[:12]}", network, features, parts["prior"], about)


@cache
def shipped() -> RegimeModel:
    """Return the model that comes with the package; it is read once."""
    return load_model(resources.files(__package__).joinpath(SHIPPED).read_bytes())


def first_label(model: RegimeModel) -> int:
    """Return the index of the label that is shown before the first good row, that of the most frequent regime."""
    return int((model.prior * model.network.tilt).argmax())


def unclassified(rows: int) -> Floats:
    """Posteriors (n, 7) of n rows that no classifier has seen: the share of each regime in the model's training."""
    return np.tile(shipped().prior, (rows, 1))
