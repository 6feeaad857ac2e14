"""DQN: learns what each action is worth, by replay and a target network (Mnih et al. 2015).

Named configurations switch on what came later: the double estimate (van Hasselt 2016), the dueling network (Wang 2016),
and a twin of which the smaller value counts (Fujimoto 2018, clipped double Q).
"""

from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from windvane.agents.base import Ints
from windvane.agents.learned.draws import generator, numbers_of, set_numbers
from windvane.agents.learned.networks import Plain, Vector
from windvane.agents.learned.replay import Replay
from windvane.agents.learned.settings import check
from windvane.agents.learned.transitions import Layers, Singles, Transition


class DQNSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hyperparameters of DQN; raises LearnedError for a value out of range."""

    hidden: Annotated[tuple[int, ...], Meta(description="units of the hidden layers")] = (64, 64)
    double: Annotated[bool, Meta(description="the network chooses the action that its target values")] = True
    dueling: Annotated[bool, Meta(description="a value of the state beside advantages of actions")] = True
    twin: Annotated[bool, Meta(description="two networks, the smaller target counts")] = False
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


NAMED = {
    "DQN": DQNSettings(double=False, dueling=False),
    "DoubleDQN": DQNSettings(dueling=False),
    "D3QN": DQNSettings(),
    "TwinD3QN": DQNSettings(twin=True),
}
"""Settings by the names that people know."""


class _Q:
    """Values (B, A) of actions in states (B, D)."""

    def __init__(self, width: int, actions: int, settings: DQNSettings, draw: np.random.Generator) -> None:
        self.body = Plain((width, *settings.hidden), draw)
        self.advantage = Plain((settings.hidden[-1], actions), draw)
        self.value = Plain((settings.hidden[-1], 1), draw) if settings.dueling else None

    @property
    def parameters(self) -> list[Tensor]:
        """All weights."""
        value = [] if self.value is None else self.value.parameters
        return [*self.body.parameters, *self.advantage.parameters, *value]

    def __call__(self, state: Tensor) -> Tensor:
        hidden = self.body(state).relu_()
        advantage = self.advantage(hidden)
        if self.value is None:
            return advantage
        return self.value(hidden) + advantage - advantage.mean(1, keepdim=True)  # Wang 2016, equation 9

    def layers(self) -> Layers:
        """As plain layers: value and advantage are linear, so their sum is one layer."""
        body, head = self.body.layers(), self.advantage.layers()
        weight, bias = head.weights[0].astype(np.float64), head.biases[0].astype(np.float64)
        if self.value is not None:
            value = self.value.layers()
            weight = weight - weight.mean(1, keepdims=True) + value.weights[0]
            bias = bias - bias.mean() + value.biases[0]
        weights, biases = weight.astype(np.float32), bias.astype(np.float32)
        return Layers([*body.weights, weights], [*body.biases, biases], body.support)


def _vector(networks: list[_Q]) -> Vector:
    return Vector([p for network in networks for p in network.parameters])


class DQN:
    """A learner of discrete actions, told of all steps of its environments.

    width: numbers in a state, D; actions: A; environments: N that step at once; steps: of all environments that the
    whole training will have, which the exploration is spread over; seed: of all that is drawn. The same arguments and
    steps give the same weights on one machine. See `windvane.agents.learned.transitions.Learner`.
    """

    def __init__(
        self,
        width: int,
        actions: int,
        environments: int,
        *,
        steps: int,
        seed: int,
        settings: DQNSettings | None = None,
    ) -> None:
        self.settings = s = settings or DQNSettings()
        self.actions, self.environments, self.steps = actions, environments, steps
        self._draw = generator(seed)
        count = 2 if s.twin else 1
        self._nets = [_Q(width, actions, s, self._draw) for _ in range(count)]
        self._targets = [_Q(width, actions, s, self._draw) for _ in range(count)]
        self._weights, self._target = _vector(self._nets), _vector(self._targets)
        self._target.follow(self._weights)
        self._replay = Replay(width, environments, s.capacity, steps=1, discount=s.discount)
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
        return anything if tries.all() else np.where(tries, anything, self.best(state))

    def best(self, state: Singles) -> Ints:
        with torch.inference_mode():
            return self._nets[0](torch.from_numpy(state)).argmax(1).numpy()

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
        """One step down the loss of a batch (Mnih 2015, algorithm 1)."""
        s = self.settings
        b = self._replay.draw(s.batch, self._draw)
        state, following = torch.from_numpy(b.state), torch.from_numpy(b.following)
        action = torch.from_numpy(b.action).unsqueeze(1)
        with torch.no_grad():
            wanted = torch.from_numpy(b.reward) + torch.from_numpy(b.discount) * self._worth(following)
        loss = torch.zeros(())
        for net in self._nets:
            loss = loss + functional.smooth_l1_loss(net(state).gather(1, action).squeeze(1), wanted)
        self._weights.descend(loss, s.rate, s.clip)
        self._target.follow(self._weights, s.follow)
        return float(loss.detach())

    def _worth(self, following: Tensor) -> Tensor:
        """What states (B, D) are worth (B,), as the target networks see it."""
        values = self._targets[0](following)
        for target in self._targets[1:]:
            values = torch.minimum(values, target(following))
        if not self.settings.double:
            return values.amax(1)
        best = self._nets[0](following).argmax(1, keepdim=True)  # van Hasselt 2016, equation 4
        return values.gather(1, best).squeeze(1)

    def layers(self) -> Layers:
        return self._nets[0].layers()

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
