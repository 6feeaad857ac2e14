"""LearnedPolicy: an agent whose decisions come from the layers of a network that was trained before.

It needs numpy and numba only. Every sum has a fixed order, so that a row gives the same bits alone or among others.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.confidence import Calibration, Confidence
from windvane.agents.kernel import inlined, kernel
from windvane.agents.learned.settings import LearnedError, check_hidden
from windvane.agents.learned.transitions import ACTIVATIONS, Layers, Singles

FORMAT = 1
ALGORITHMS = ("dqn", "ppo", "rainbow")
ACTIONS = ("trade", "target")
MOST_ATOMS, MOST_FEATURES, LARGEST = 1001, 1000, 1e6


class Trained(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a policy came about, for people."""

    simulated: Annotated[bool, Meta(description="the market was simulated: figures are of no real market")]
    data: Annotated[str, Meta(description="what it was trained on")]
    steps: Annotated[int, Meta(description="steps of environments that the weights had seen")]
    seed: int
    release: Annotated[str, Meta(description="of Windvane")]
    settings: Annotated[dict[str, Any], Meta(description="hyperparameters")] = {}
    rules: Annotated[dict[str, Any], Meta(description="costs and rules of the environment")] = {}
    metrics: Annotated[
        dict[str, dict[str, Any]], Meta(description="figures of train, validation and test, with baselines")
    ] = {}


class PolicyForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `policy.json` says of a policy; raises LearnedError for what cannot be."""

    format: int
    algorithm: str
    features: Annotated[tuple[str, ...], Meta(description="names of the inputs, in order")]
    centre: Annotated[tuple[float, ...], Meta(description="of each feature: (x - centre) / spread, clipped")]
    spread: tuple[float, ...]
    clip: float
    sees_position: Annotated[
        bool, Meta(description="the last input is the policy's own position, -1, 0 or 1")
    ]
    actions: Annotated[
        str, Meta(description="trade: an action moves the position; target: it is the position")
    ]
    mapping: Annotated[tuple[float, ...], Meta(description="what each action means: -1, 0 and 1")]
    max_position: Annotated[float, Meta(description="target of position 1, units of capital")]
    hidden: Annotated[tuple[int, ...], Meta(description="units of the hidden layers")]
    activation: Annotated[str, Meta(description="of the hidden layers, relu or tanh")] = "relu"
    atoms: Annotated[int, Meta(description="of the distribution of an action's value, 0: a number")]
    warmup: Annotated[int, Meta(description="good rows before the first position")]
    weights_sha256: Annotated[str, Meta(description="hex digest of weights.safetensors")]
    trained: Trained
    confidence: Annotated[Calibration | None, Meta(description="None: never calibrated, so it is a half")] = (
        None
    )

    def __post_init__(self) -> None:
        n = len(self.features)
        _check(self.algorithm in ALGORITHMS, f"algorithm is {self.algorithm!r}: give {', '.join(ALGORITHMS)}")
        _check(1 <= n <= MOST_FEATURES, f"it has {n} features: give 1 to {MOST_FEATURES}")
        _check(len(set(self.features)) == n, "a feature stands twice: name each once")
        _check(
            len(self.centre) == len(self.spread) == n,
            f"it has {n} features, {len(self.centre)} centres and {len(self.spread)} spreads: give one for each",
        )
        finite = np.isfinite([*self.centre, *self.spread, self.clip]).all()
        _check(
            bool(finite) and min(self.spread) > 0 and self.clip > 0,
            "its scaler has a spread or clip of 0 or less",
        )
        _check(self.actions in ACTIONS, f"actions is {self.actions!r}: give one of {', '.join(ACTIONS)}")
        _check(self.mapping == (-1.0, 0.0, 1.0), f"mapping is {list(self.mapping)}: give [-1, 0, 1]")
        _check(0 < self.max_position <= 1, f"max_position is {self.max_position}: give above 0, up to 1")
        _check(
            self.atoms == 0 or 2 <= self.atoms <= MOST_ATOMS,
            f"atoms is {self.atoms}: give 0, or 2 to {MOST_ATOMS}",
        )
        _check(0 <= self.warmup <= 10**9, f"warmup is {self.warmup}: give 0 or more rows")
        check_hidden(self.hidden)
        _check(
            self.activation in ACTIVATIONS,
            f"activation is {self.activation!r}: give one of {', '.join(ACTIVATIONS)}",
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of input, hidden layers and output."""
        return (
            len(self.features) + int(self.sees_position),
            *self.hidden,
            len(self.mapping) * max(self.atoms, 1),
        )


def _check(condition: bool, sentence: str) -> None:
    if not condition:
        raise LearnedError(sentence)


def tensors_of(layers: Layers) -> dict[str, NDArray[Any]]:
    """Return layers as tensors by name, as a file of weights holds them."""
    named: dict[str, NDArray[Any]] = {}
    for i, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        named |= {f"layer{i}.weight": weight, f"layer{i}.bias": bias}
    return named | ({"support": layers.support} if layers.support.size else {})


def layers_of(form: PolicyForm, tensors: dict[str, NDArray[Any]]) -> Layers:
    """Return the layers that a form promises; raises LearnedError where the tensors are others, or not finite."""
    shapes: dict[str, tuple[int, ...]] = {"support": (form.atoms,)} if form.atoms else {}
    layers = range(len(form.sizes) - 1)
    for i in layers:
        shapes |= {f"layer{i}.weight": form.sizes[i : i + 2], f"layer{i}.bias": (form.sizes[i + 1],)}
    odd = sorted(tensors.keys() ^ shapes.keys())
    _check(not odd, f"its weights and policy.json differ in {', '.join(odd)}: take both from one training")
    for name, shape in shapes.items():
        value = tensors[name]
        _check(value.dtype == np.float32, f"its {name} is {value.dtype}: give float32")
        _check(value.shape == shape, f"its {name} is {list(value.shape)}: policy.json says {list(shape)}")
        fits = bool((np.abs(value) <= LARGEST).all())  # NaN fits nothing
        _check(fits, f"its {name} has a number that is NaN or beyond {LARGEST:g}: train it again")
    return Layers(
        [tensors[f"layer{i}.weight"] for i in layers],
        [tensors[f"layer{i}.bias"] for i in layers],
        tensors.get("support", np.zeros(0, np.float32)),
        form.activation,
    )


class _Net(NamedTuple):
    """A policy as the kernel reads it."""

    columns: Ints  # (F,) of the features
    centre: Floats  # (F,)
    spread: Floats  # (F,)
    clip: float
    sees: bool
    trades: bool
    most: float
    warmup: int
    tanh: bool  # the hidden layers', else relu
    sizes: Ints  # (L + 1,) units
    numbers: Singles  # all weights and biases, layer by layer
    support: Singles  # (M,)


COUNT, POSITION, SIZE = range(3)
"""Cells of a policy's memory: good rows seen, and its position."""


class LearnedPolicy(Agent):
    """A policy on the features of a market, and on its own position where it was trained so.

    form: what `policy.json` says; tensors: the weights by name; names: of the 50 features, in their order. Its target
    is its position, -1, 0 or 1 times `max_position`; its confidence is that of `windvane.agents.confidence`, as it was
    calibrated with the policy. Raises LearnedError where the parts do not fit each other.
    """

    def __init__(self, form: PolicyForm, tensors: dict[str, NDArray[Any]], names: Sequence[str]) -> None:
        unknown = [name for name in form.features if name not in names]
        _check(not unknown, f"it reads {', '.join(unknown[:3])}, which no market has here: train it again")
        self.form, layers = form, layers_of(form, tensors)
        self.parts = form, tensors, tuple(names)
        self.name, self.warmup = form.algorithm, form.warmup
        self.version = f"{FORMAT}-{form.weights_sha256[:12]}"
        parts = [
            part.reshape(-1) for pair in zip(layers.weights, layers.biases, strict=True) for part in pair
        ]
        self._net = _Net(
            columns=np.array([names.index(name) for name in form.features]),
            centre=np.array(form.centre),
            spread=np.array(form.spread),
            clip=form.clip,
            sees=form.sees_position,
            trades=form.actions == "trade",
            most=form.max_position,
            warmup=form.warmup,
            tanh=form.activation == "tanh",
            sizes=np.array(form.sizes),
            numbers=np.concatenate(parts),
            support=layers.support.copy(),
        )
        self._scratch = np.zeros((2, max(form.sizes)), np.float32)
        self._memory = np.zeros(SIZE)
        self._confidence = Confidence(form.confidence)

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        n = len(good)
        target, action = np.empty(n), np.empty(n, np.int64)
        _step(self._net, x, good, self._memory, self._scratch, target, action)
        return Proposal(target, action, self._confidence.step(x, price, good, target))

    def values(self, x: Floats, position: Floats) -> Floats:
        """Return what the network says of the actions, (n, 3), in states x (n, 50) at given positions (n,)."""
        out = np.empty((len(x), 3))
        _values(self._net, x, position, self._scratch, out)
        return out

    def state(self) -> dict[str, Floats]:
        return {"memory": self._memory.copy(), "confidence": self._confidence.memory.copy()}

    def restore(self, state: dict[str, Floats]) -> None:
        memory = np.array(state["memory"], dtype=np.float64)
        fits = memory.shape == (SIZE,) and memory[POSITION] in (-1.0, 0.0, 1.0) and memory[COUNT] >= 0.0
        if not fits:
            raise LearnedError(f"the state is not one of policy {self.name}: restore that of the same policy")
        self._confidence.restore(state.get("confidence"))
        self._memory = memory


@kernel
def _step(
    net: _Net,
    x: Floats,
    good: Ints,
    memory: Floats,
    scratch: Singles,
    target: Floats,
    action: Ints,
) -> None:
    value = np.empty(3)
    for t in range(good.shape[0]):
        before = memory[POSITION]
        if good[t] != 0:
            memory[COUNT] += 1.0
            if memory[COUNT] > net.warmup:
                _evaluate(net, x[t], before, scratch, value)
                moved = int(np.argmax(value)) - 1.0
                memory[POSITION] = min(max(before + moved, -1.0), 1.0) if net.trades else moved
        position = memory[POSITION]
        target[t] = net.most * position
        action[t] = 1 if position > before else (-1 if position < before else 0)


@kernel
def _values(net: _Net, x: Floats, position: Floats, scratch: Singles, out: Floats) -> None:
    for t in range(x.shape[0]):
        _evaluate(net, x[t], position[t], scratch, out[t])


@kernel
def _evaluate(net: _Net, x: Floats, position: float, scratch: Singles, value: Floats) -> None:
    """Write what each action is worth, (3,), at one row x (50,) and position; scratch: (2, most units).

    A layer adds up one input after the other for all of its units, so that the units may share an instruction and no
    sum changes its order.
    """
    features = net.columns.shape[0]
    for i in range(features):
        scaled = (x[net.columns[i]] - net.centre[i]) / net.spread[i]
        scratch[0, i] = min(max(scaled, -net.clip), net.clip)
    if net.sees:
        scratch[0, features] = position
    at, last = 0, net.sizes.shape[0] - 2
    for layer in range(last + 1):
        inputs, outputs = net.sizes[layer], net.sizes[layer + 1]
        taken, given = scratch[layer % 2], scratch[(layer + 1) % 2]
        bias = net.numbers[at + inputs * outputs : at + (inputs + 1) * outputs]
        for j in range(outputs):
            given[j] = bias[j]
        if layer > 0:
            _activate(taken, inputs, net.tanh)
        _add_up(net.numbers, at, taken, inputs, given, outputs)
        at += (inputs + 1) * outputs
    _worth(net.support, scratch[(last + 1) % 2], value)


@inlined
def _activate(units: Singles, n: int, tanh: bool) -> None:
    """Apply the activation to the first n units, one after the other, so that no batch changes a bit."""
    if tanh:
        for i in range(n):
            units[i] = math.tanh(units[i])
    else:
        for i in range(n):
            units[i] = max(units[i], np.float32(0.0))


@inlined
def _add_up(numbers: Singles, at: int, taken: Singles, inputs: int, given: Singles, outputs: int) -> None:
    """Add to outputs what inputs times the weights from place `at` on are: two inputs a pass, in their order."""
    for i in range(0, inputs - 1, 2):
        one, two = taken[i], taken[i + 1]
        if one != 0.0 or two != 0.0:
            first = np.uint64(at + i * outputs)  # unsigned, so that no index counts from the end
            second = first + np.uint64(outputs)
            for j in range(outputs):
                given[j] = (given[j] + one * numbers[first + np.uint64(j)]) + two * numbers[
                    second + np.uint64(j)
                ]
    if inputs % 2 == 1:
        for j in range(outputs):
            given[j] += taken[inputs - 1] * numbers[at + (inputs - 1) * outputs + j]


@inlined
def _worth(support: Singles, out: Singles, value: Floats) -> None:
    """The values (3,) of outputs: the outputs, or the means of the distributions whose logits they are."""
    atoms = support.shape[0]
    for a in range(3):
        if atoms == 0:
            value[a] = out[a]
            continue
        highest = out[a * atoms]
        for m in range(1, atoms):
            highest = max(highest, out[a * atoms + m])
        mass, mean = 0.0, 0.0
        for m in range(atoms):
            p = np.exp(out[a * atoms + m] - highest)
            mass += p
            mean += p * support[m]
        value[a] = mean / mass
