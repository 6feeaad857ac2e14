"""Rainbow: DQN with all six of its improvements (Hessel et al. 2018).

The double estimate (van Hasselt 2016), the dueling network (Wang 2016), prioritised replay (Schaul 2016), returns of n
steps (Sutton 1988), distributions of values (C51, Bellemare 2017), and noisy layers (Fortunato 2018). Random actions
stand beside the noise while epsilon falls: with the noise alone, some seeds never try one of the actions often enough.
"""

import math
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from windvane.agents.base import Ints
from windvane.agents.kernel import kernel
from windvane.agents.learned.draws import generator, numbers_of, set_numbers
from windvane.agents.learned.networks import Plain, Vector
from windvane.agents.learned.replay import Batch, Replay
from windvane.agents.learned.settings import LearnedError, check
from windvane.agents.learned.transitions import Layers, Singles, Transition


class RainbowSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hyperparameters of Rainbow; raises LearnedError for a value out of range."""

    hidden: Annotated[tuple[int, ...], Meta(description="units of the hidden layers, the last one noisy")] = (
        64,
        64,
    )
    atoms: Annotated[int, Meta(description="of a value's distribution")] = 51
    low: Annotated[float, Meta(description="least value that the atoms know")] = -10.0
    high: Annotated[float, Meta(description="largest value that the atoms know")] = 10.0
    noise: Annotated[float, Meta(description="sigma 0 of the noisy layers")] = 0.5
    steps: Annotated[int, Meta(description="n of the returns")] = 3
    priority: Annotated[float, Meta(description="alpha: how much a loss decides what is drawn")] = 0.5
    correction: Annotated[float, Meta(description="beta at first; it rises to 1")] = 0.4
    discount: Annotated[float, Meta(description="gamma, a step")] = 0.97
    rate: Annotated[float, Meta(description="learning rate of Adam")] = 1e-3
    batch: Annotated[int, Meta(description="transitions an update")] = 128
    every: Annotated[int, Meta(description="steps of environments between two updates")] = 4
    capacity: Annotated[int, Meta(description="transitions that are kept")] = 50_000
    before: Annotated[int, Meta(description="transitions before the first update")] = 1_000
    follow: Annotated[float, Meta(description="share by which the target network follows, an update")] = 0.02
    clip: Annotated[float, Meta(description="largest norm of a gradient")] = 10.0
    explore: Annotated[float, Meta(description="share of the steps in which epsilon falls from 1")] = 0.2
    epsilon: Annotated[float, Meta(description="share of random actions in the end")] = 0.02

    def __post_init__(self) -> None:
        check(self)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise LearnedError(
                f"low is {self.low} and high {self.high}: give two numbers, the lower one first"
            )


class _Noisy:
    """A linear layer whose weights are mu + sigma times noise, factorised (Fortunato 2018, equations 9 to 11)."""

    def __init__(self, inputs: int, outputs: int, sigma: float, draw: np.random.Generator) -> None:
        self.mu = Plain((inputs, outputs), draw)
        self.sigma_weight = torch.full((outputs, inputs), sigma / math.sqrt(inputs), requires_grad=True)
        self.sigma_bias = torch.full((outputs,), sigma / math.sqrt(inputs), requires_grad=True)
        self._inputs, self._outputs, self._draw = inputs, outputs, draw
        self._left = self._right = torch.zeros(0)

    def shake(self) -> None:
        """Draw the noise of the calls that follow."""
        noise = self._draw.standard_normal(self._inputs + self._outputs, np.float32)
        noise = np.sign(noise) * np.sqrt(np.abs(noise))
        self._left = torch.from_numpy(noise[self._inputs :])
        self._right = torch.from_numpy(noise[: self._inputs])

    @property
    def parameters(self) -> list[Tensor]:
        """All weights."""
        return [*self.mu.parameters, self.sigma_weight, self.sigma_bias]

    def __call__(self, x: Tensor, noisy: bool) -> Tensor:
        """Return the output (B, outputs) for inputs x (B, inputs), with the noise drawn last or without."""
        if not noisy:
            return self.mu(x)
        weight, bias = self.mu.weights[0], self.mu.biases[0]
        weight = torch.addcmul(weight, self.sigma_weight, torch.outer(self._left, self._right))
        return functional.linear(x, weight, torch.addcmul(bias, self.sigma_bias, self._left))


class _Distribution:
    """Logits (B, A, M) of the distributions of the values of actions in states (B, D)."""

    def __init__(
        self, width: int, actions: int, settings: RainbowSettings, draw: np.random.Generator
    ) -> None:
        s, self.actions, self.atoms = settings, actions, settings.atoms
        *before, last = s.hidden
        self.body = Plain((width, *before), draw) if before else None
        inputs = before[-1] if before else width
        self.hidden = _Noisy(inputs, last, s.noise, draw)
        self.advantage = _Noisy(last, actions * s.atoms, s.noise, draw)
        self.value = _Noisy(last, s.atoms, s.noise, draw)

    @property
    def parameters(self) -> list[Tensor]:
        """All weights."""
        body = [] if self.body is None else self.body.parameters
        noisy = (self.hidden, self.advantage, self.value)
        return [*body, *(p for layer in noisy for p in layer.parameters)]

    def shake(self) -> None:
        """Draw the noise of all layers anew."""
        for layer in (self.hidden, self.advantage, self.value):
            layer.shake()

    def __call__(self, state: Tensor, noisy: bool) -> Tensor:
        first = state if self.body is None else self.body(state).relu_()
        hidden = self.hidden(first, noisy).relu_()
        advantage = self.advantage(hidden, noisy).view(-1, self.actions, self.atoms)
        value = self.value(hidden, noisy).view(-1, 1, self.atoms)
        return (
            value + advantage - advantage.mean(1, keepdim=True)
        )  # Hessel 2018, section 3, the integrated agent

    def layers(self, support: Singles) -> Layers:
        """As plain layers without noise: value and advantage are linear, so their sum is one layer."""
        before = [] if self.body is None else [self.body.layers()]
        before.append(self.hidden.mu.layers())
        advantage, value = self.advantage.mu.layers(), self.value.mu.layers()

        def summed(of_advantage: Singles, of_value: Singles) -> Singles:
            each = of_advantage.reshape(-1, self.actions, self.atoms).astype(np.float64)
            whole = each - each.mean(1, keepdims=True) + of_value.reshape(-1, 1, self.atoms)
            return whole.reshape(*of_advantage.shape).astype(np.float32)

        weights = summed(advantage.weights[0], value.weights[0])
        biases = summed(advantage.biases[0], value.biases[0])
        return Layers(
            [*(weight for part in before for weight in part.weights), weights],
            [*(bias for part in before for bias in part.biases), biases],
            support,
        )


class Rainbow:
    """A learner of discrete actions, told of all steps of its environments; the arguments are those of `DQN`."""

    def __init__(
        self,
        width: int,
        actions: int,
        environments: int,
        *,
        steps: int,
        seed: int,
        settings: RainbowSettings | None = None,
    ) -> None:
        self.settings = s = settings or RainbowSettings()
        self.actions, self.environments, self.steps = actions, environments, steps
        self._draw = generator(seed)
        self._support = np.linspace(s.low, s.high, s.atoms).astype(np.float32)
        self._atoms = torch.from_numpy(self._support)
        self._net = _Distribution(width, actions, s, self._draw)
        self._other = _Distribution(width, actions, s, self._draw)
        self._weights, self._target = Vector(self._net.parameters), Vector(self._other.parameters)
        self._target.follow(self._weights)
        self._replay = Replay(
            width, environments, s.capacity, steps=s.steps, discount=s.discount, priority=s.priority
        )
        self._seen, self._due = 0, 0.0

    @property
    def epsilon(self) -> float:
        """The share of random actions now."""
        s = self.settings
        return max(1.0 - (1.0 - s.epsilon) * self._seen / max(s.explore * self.steps, 1.0), s.epsilon)

    def act(self, state: Singles) -> Ints:
        n = len(state)
        tries = self._draw.random(n) < self.epsilon
        anything = self._draw.integers(self.actions, size=n)
        if tries.all():
            return anything
        self._net.shake()
        return np.where(tries, anything, self._best(state, noisy=True))

    def best(self, state: Singles) -> Ints:
        return self._best(state, noisy=False)

    def _best(self, state: Singles, noisy: bool) -> Ints:
        with torch.inference_mode():
            worth = self._net(torch.from_numpy(state), noisy).softmax(2) @ self._atoms
            return worth.argmax(1).numpy()

    def learn(self, step: Transition) -> float | None:
        s, n = self.settings, len(step.action)
        self._replay.add(step)
        self._seen += n
        if self._replay.ready < max(s.before, s.batch):
            return None
        self._due += n / s.every
        loss = None
        while self._due >= 1.0:
            self._due -= 1.0
            loss = self._update()
        return loss

    def _update(self) -> float:
        """One step down the cross entropy of a batch (Bellemare 2017, algorithm 1)."""
        s = self.settings
        done = min(self._seen / max(self.steps, 1), 1.0)
        b = self._replay.draw(s.batch, self._draw, s.correction + (1.0 - s.correction) * done)
        self._net.shake()
        self._other.shake()
        wanted = torch.from_numpy(self._wanted(b))
        logits = self._net(torch.from_numpy(b.state), noisy=True)
        chosen = logits[torch.arange(len(b.action)), torch.from_numpy(b.action)]
        losses = -(wanted * chosen.log_softmax(1)).sum(1)
        loss = (losses * torch.from_numpy(b.weight)).mean()
        self._weights.descend(loss, s.rate, s.clip)
        self._target.follow(self._weights, s.follow)
        if s.priority > 0.0:
            self._replay.judge(b.place, losses.detach().numpy().astype(np.float64))
        return float(loss.detach())

    def _wanted(self, b: Batch) -> Singles:
        """The distributions (B, M) that the actions of a batch should have had."""
        s, following = self.settings, torch.from_numpy(b.following)
        with torch.no_grad():
            best = (self._net(following, noisy=True).softmax(2) @ self._atoms).argmax(1)
            p = self._other(following, noisy=True)[torch.arange(len(best)), best].softmax(1).numpy()
        wanted = np.zeros_like(p)
        project(p, b.reward, b.discount, s.low, s.high, wanted)
        return wanted

    def layers(self) -> Layers:
        return self._net.layers(self._support)

    def state(self) -> dict[str, NDArray[Any]]:
        whole = self._weights.state("weights") | self._target.state("target") | self._replay.state()
        return whole | {
            "draw": numbers_of(self._draw),
            "seen": np.array([self._seen]),
            "due": np.array([self._due]),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._weights.restore("weights", state)
        self._target.restore("target", state)
        self._replay.restore(state)
        set_numbers(self._draw, state["draw"])
        self._seen, self._due = int(state["seen"][0]), float(state["due"][0])


@kernel
def project(p: Singles, reward: Singles, discount: Singles, low: float, high: float, out: Singles) -> None:
    """Write into out (B, M), all 0 before, the distributions p of reward + discount times the atoms, on the atoms.

    Each mass is split between the two atoms next to where it lands (Bellemare 2017, equation 7).
    """
    atoms = p.shape[1]
    gap = (high - low) / (atoms - 1)
    for b in range(p.shape[0]):
        for i in range(atoms):
            value = min(max(reward[b] + discount[b] * (low + gap * i), low), high)
            at = (value - low) / gap
            below = min(int(at), atoms - 2)
            out[b, below] += p[b, i] * (below + 1 - at)
            out[b, below + 1] += p[b, i] * (at - below)
