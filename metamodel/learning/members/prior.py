"""What the members know before their first row: moments of the agents that are built in, on SIMULATED markets.

They are kept by the names of the agents. A book with some of these agents starts from what is known of those, solved
for again as if the others had not existed; a book with other agents starts knowing nothing of them. `windvane train
members` makes the file again.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.kernel import kernel
from windvane.metamodel.base import weights
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.learning.members import pretrained
from windvane.metamodel.learning.members.contextual import EVERY, PRECISION
from windvane.metamodel.learning.members.regime import Simulated

SHIPPED = "members.safetensors"
COUNTS_FOR = 5e5
"""Rows that the fit of the pretrained member counts for."""


class Prior(NamedTuple):
    """Moments of A agents, with D regressors of the pretrained member; version: names the bytes they were read from."""

    version: str
    agents: tuple[str, ...]
    normal: Floats  # (D, D) mean product of two regressors
    moment: Floats  # (D, A) mean product of a regressor and an agent's mean score of the next 32 rows
    moments: Simulated
    about: dict[str, str]


def load_prior(raw: bytes) -> Prior:
    """Read a prior from safetensors; raises WeightsError where it is not one of these members and regimes."""
    tensors, about = weights.from_bytes(raw)
    if about.get("model") != "members" or about.get("regimes") != ",".join(REGIMES):
        raise WeightsError(f"not what members know of the regimes {', '.join(REGIMES)}")
    features = {"features": NAMES[: pretrained.FEATURES], "crossed": [NAMES[i] for i in pretrained.CROSSED]}
    if any(about.get(name) != ",".join(read) for name, read in features.items()):
        raise WeightsError("what members know was fitted on other features: run `windvane train members`")
    agents = tuple(filter(None, about.get("agents", "").split(",")))
    a, d, k = len(agents), pretrained.regressors(len(agents)), len(REGIMES)
    wanted = {"normal": (d, d), "moment": (d, a), "first": (k, a), "second": (k, a, a)}
    for name, shape in wanted.items():
        if name not in tensors or tensors[name].shape != shape:
            raise WeightsError(f"what members know needs a tensor {name} of shape {shape}")
        if not np.isfinite(tensors[name]).all():
            raise WeightsError(f"tensor {name} of what members know holds NaN or inf")
    parts = {name: np.ascontiguousarray(tensors[name], np.float64) for name in wanted}
    return Prior(
        f"members-{weights.digest(raw)[:12]}",
        agents,
        parts["normal"],
        parts["moment"],
        Simulated(parts["first"], parts["second"]),
        about,
    )


@cache
def shipped() -> Prior:
    """Return the prior that comes with the package; it is read once."""
    return load_prior(resources.files(__package__).joinpath(SHIPPED).read_bytes())


def simulated(prior: Prior, agents: Sequence[str]) -> Simulated:
    """Moments of these agents in every regime; mean 0, variance 1 and no covariance of those not known."""
    n = len(agents)
    first, second = np.zeros((len(REGIMES), n)), np.tile(np.eye(n), (len(REGIMES), 1, 1))
    ours, known = _known(prior, agents)
    first[:, ours] = prior.moments.first[:, known]
    second[:, ours[:, None], ours] = prior.moments.second[:, known[:, None], known]
    return Simulated(first, second)


def fitted(prior: Prior, agents: Sequence[str]) -> pretrained.Fit:
    """Return the fit from which the pretrained member starts with these agents."""
    n = len(agents)
    d = pretrained.regressors(n)
    ours, known = _known(prior, agents)
    place, source = _columns(ours, n), _columns(known, len(prior.agents))
    normal, moment = np.zeros((d, d)), np.zeros((d, n))
    if len(known):  # what is common says nothing where no agent is known
        normal[place[:, None], place] = prior.normal[source[:, None], source]
        moment[place[:, None], ours] = prior.moment[source[:, None], known]
    count = COUNTS_FOR / EVERY
    P = inverse(count * normal + PRECISION * np.eye(d))
    return pretrained.Fit(P, product(P, count * moment), pretrained.parts(n))


def _known(prior: Prior, agents: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Places of the known ones among `agents`, and among the prior's."""
    pairs = [(place, prior.agents.index(name)) for place, name in enumerate(agents) if name in prior.agents]
    return np.array([p for p, _ in pairs], np.int64), np.array([s for _, s in pairs], np.int64)


def _columns(places: np.ndarray, agents: int) -> np.ndarray:
    """Places of the regressors of some of the agents, after those that are common."""
    own = [pretrained.COMMON + block * agents + places for block in range(pretrained.BLOCKS)]
    return np.concatenate([np.arange(pretrained.COMMON), *own])


@kernel
def product(P: Floats, Y: Floats) -> Floats:
    """Return the matrix product P Y, summed in a fixed order."""
    out = np.zeros((P.shape[0], Y.shape[1]))
    for i in range(P.shape[0]):
        for j in range(P.shape[1]):
            for c in range(Y.shape[1]):
                out[i, c] += P[i, j] * Y[j, c]
    return out


@kernel
def inverse(A: Floats) -> Floats:
    """Return the inverse of a symmetric positive definite A (D, D), exactly symmetric, by its Cholesky factors.

    It is written out, so that it has the same bits on every machine.
    """
    d = A.shape[0]
    L = np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1):
            total = A[i, j]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            L[i, j] = np.sqrt(total) if i == j else total / L[j, j]
    inverted = np.zeros((d, d))  # of L
    for c in range(d):
        for i in range(c, d):
            total = 1.0 if i == c else 0.0
            for k in range(c, i):
                total -= L[i, k] * inverted[k, c]
            inverted[i, c] = total / L[i, i]
    out = np.zeros((d, d))
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, d):
                total += inverted[k, i] * inverted[k, j]
            out[i, j] = total
            out[j, i] = total
    return out
