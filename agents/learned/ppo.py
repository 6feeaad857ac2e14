"""PPO: moves a policy towards what turned out better than expected, never far at once (Schulman et al. 2017).

Advantages are those of GAE (Schulman 2016). A rollout is played with one policy, learned from in some epochs, and
forgotten.
"""

from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.learned.draws import generator, numbers_of, set_numbers
from windvane.agents.learned.networks import Plain, Vector, orthogonal
from windvane.agents.learned.settings import check
from windvane.agents.learned.transitions import Layers, Singles, Transition


class PPOSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hyperparameters of PPO; raises LearnedError for a value out of range."""

    hidden: Annotated[
        tuple[int, ...], Meta(description="units of the hidden layers, of policy and value each")
    ] = (
        64,
        64,
    )
    steps: Annotated[int, Meta(description="steps of every environment in a rollout")] = 128
    epochs: Annotated[int, Meta(description="how often a rollout is learned from")] = 6
    batches: Annotated[int, Meta(description="parts that a rollout is learned from in, an epoch")] = 4
    discount: Annotated[float, Meta(description="gamma, a step")] = 0.97
    trace: Annotated[float, Meta(description="lambda of GAE")] = 0.9
    ratio: Annotated[float, Meta(description="epsilon: how far a probability may move, as a share")] = 0.2
    entropy: Annotated[float, Meta(description="weight of the policy's entropy in the loss")] = 0.1
    value: Annotated[float, Meta(description="weight of the value's squared error in the loss")] = 0.5
    rate: Annotated[float, Meta(description="learning rate of Adam, which falls to 0")] = 1e-3
    clip: Annotated[float, Meta(description="largest norm of a gradient")] = 0.5

    def __post_init__(self) -> None:
        check(self)


class PPO:
    """A learner of discrete actions, told of all steps of its environments; the arguments are those of `DQN`."""

    def __init__(
        self,
        width: int,
        actions: int,
        environments: int,
        *,
        steps: int,
        seed: int,
        settings: PPOSettings | None = None,
    ) -> None:
        self.settings = s = settings or PPOSettings()
        self.actions, self.environments, self.steps = actions, environments, steps
        self._draw = generator(seed)
        self._policy = Plain((width, *s.hidden, actions), self._draw)
        self._value = Plain((width, *s.hidden, 1), self._draw)
        orthogonal(self._policy, self._draw, last=0.01)
        orthogonal(self._value, self._draw, last=1.0)
        self._weights = Vector([*self._policy.parameters, *self._value.parameters])
        shape = (s.steps, environments)
        self._rollout = _Rollout(
            state=np.zeros((*shape, width), np.float32),
            following=np.zeros((*shape, width), np.float32),
            action=np.zeros(shape, np.int64),
            reward=np.zeros(shape),
            ended=np.zeros(shape, np.int64),
        )
        self._seen, self._at = 0, 0

    def act(self, state: Singles) -> Ints:
        with torch.inference_mode():
            chances = self._policy(torch.from_numpy(state)).softmax(1).numpy().cumsum(1)
        heights = self._draw.random((len(state), 1)) * chances[:, -1:]
        return (heights >= chances).sum(1).clip(max=self.actions - 1)

    def best(self, state: Singles) -> Ints:
        with torch.inference_mode():
            return self._policy(torch.from_numpy(state)).argmax(1).numpy()

    def learn(self, step: Transition) -> float | None:
        r, at = self._rollout, self._at
        r.state[at], r.following[at], r.action[at] = step.state, step.following, step.action
        r.reward[at], r.ended[at] = step.reward, np.where(step.terminated, 2, step.ended)
        self._seen += len(step.action)
        self._at += 1
        if self._at < self.settings.steps:
            return None
        self._at = 0
        return self._update()

    def _update(self) -> float:
        """Learn from the whole rollout; returns the last loss."""
        s, r = self.settings, self._rollout
        n = r.action.size
        states = torch.from_numpy(r.state.reshape(n, -1))
        actions = torch.from_numpy(r.action.reshape(n, 1))
        with torch.no_grad():
            value = self._value(states).numpy().reshape(r.reward.shape).astype(np.float64)
            following = self._value(torch.from_numpy(r.following.reshape(n, -1))).numpy()
            old = self._policy(states).log_softmax(1).gather(1, actions).squeeze(1)
        advantage = np.empty_like(r.reward)
        advantages(
            r.reward,
            value,
            following.reshape(value.shape).astype(np.float64),
            r.ended,
            s.discount,
            s.trace,
            advantage,
        )
        gained = torch.from_numpy(advantage.reshape(n).astype(np.float32))
        returns = torch.from_numpy((advantage + value).reshape(n).astype(np.float32))
        rate = s.rate * max(1.0 - self._seen / max(self.steps, 1), 0.0)
        loss = torch.zeros(())
        for _ in range(s.epochs):
            for part in np.array_split(self._draw.permutation(n), min(s.batches, n)):
                rows = torch.from_numpy(part)
                loss = self._loss(states[rows], actions[rows], old[rows], gained[rows], returns[rows])
                self._weights.descend(loss, rate, s.clip, epsilon=1e-5)
        return float(loss.detach())

    def _loss(self, state: Tensor, action: Tensor, old: Tensor, gained: Tensor, returns: Tensor) -> Tensor:
        """The loss of a part of a rollout (Schulman 2017, equations 7 and 9)."""
        s = self.settings
        gained = (gained - gained.mean()) / (gained.std() + 1e-8)
        chances = self._policy(state).log_softmax(1)
        ratio = (chances.gather(1, action).squeeze(1) - old).exp()
        kept = torch.minimum(ratio * gained, ratio.clamp(1.0 - s.ratio, 1.0 + s.ratio) * gained).mean()
        entropy = -(chances.exp() * chances).sum(1).mean()
        error = (self._value(state).squeeze(1) - returns).square().mean()
        return s.value * error - kept - s.entropy * entropy

    def layers(self) -> Layers:
        return self._policy.layers()

    def state(self) -> dict[str, NDArray[Any]]:
        rollout = {f"rollout.{name}": value.copy() for name, value in self._rollout.__dict__.items()}
        counts = {"draw": numbers_of(self._draw), "seen": np.array([self._seen, self._at])}
        return self._weights.state("weights") | rollout | counts

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._weights.restore("weights", state)
        for name, value in self._rollout.__dict__.items():
            value[:] = state[f"rollout.{name}"]
        set_numbers(self._draw, state["draw"])
        self._seen, self._at = (int(number) for number in state["seen"])


class _Rollout:
    """T steps of N environments, in the order in which they were taken."""

    def __init__(self, state: Singles, following: Singles, action: Ints, reward: Floats, ended: Ints) -> None:
        self.state, self.following = state, following  # (T, N, D)
        self.action = action  # (T, N)
        self.reward = reward  # (T, N)
        self.ended = ended  # (T, N) 1 cut off, 2 terminated


@kernel
def advantages(
    reward: Floats,
    value: Floats,
    following: Floats,
    ended: Ints,
    discount: float,
    trace: float,
    out: Floats,
) -> None:
    """Write the advantages (T, N) of GAE into `out` (Schulman 2016, equation 16).

    value, following: (T, N) what the states before and after a step are worth; ended: 1 cut off, 2 terminated.
    """
    for k in range(reward.shape[1]):
        later = 0.0
        for t in range(reward.shape[0] - 1, -1, -1):
            worth = 0.0 if ended[t, k] == 2 else following[t, k]
            error = reward[t, k] + discount * worth - value[t, k]
            later = error + (0.0 if ended[t, k] else discount * trace * later)
            out[t, k] = later
