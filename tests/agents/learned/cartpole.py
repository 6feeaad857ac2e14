"""CartPole-v1 of gymnasium: learners train on several at once, and the best weights are judged on other episodes."""

from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from windvane.agents.learned.transitions import Layers, Learner, Transition

WIDTH, ACTIONS = 4, 2
"""Numbers in a state, and actions."""

REWARD = 0.01
"""Of a step, in place of 1: with a discount of .99 values are then at most 1.

The Huber loss of DQN heeds an error beyond 1 no more than one of 1. Were values 100, the few falls in a batch would
hardly count beside all the steps that went well.
"""

SOLVED, LONGEST = 475.0, 500.0
"""Mean return from which the environment counts as solved, and the most that an episode returns."""

TOGETHER, JUDGED = 8, 100
"""Environments that train at once, and episodes of an evaluation."""

LOOKS, UNSEEN = 10_000, 1_000_000
"""First seeds of the episodes that weights are chosen on, and of those that the chosen ones are judged on."""


class Kept(NamedTuple):
    """The weights that were best at some look."""

    steps: int  # of all environments, before that look
    look: float  # mean return of the episodes that they were chosen on
    score: float  # mean return of episodes that nothing was chosen on


def envs(count: int) -> VectorEnv:
    """So many environments that step one after the other in this thread."""
    together = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return gymnasium.make_vec(
        "CartPole-v1", num_envs=count, vectorization_mode="sync", vector_kwargs=together
    )


class Training:
    """A learner on CartPole, in parts; seed: of the first states."""

    def __init__(self, learner: Learner, seed: int) -> None:
        self.learner, self.env = learner, envs(learner.environments)
        self.state, _ = self.env.reset(seed=seed)

    def go(self, steps: int) -> None:
        """So many steps of all environments together."""
        for _ in range(steps // self.learner.environments):
            action = self.learner.act(self.state)
            state, reward, terminated, truncated, infos = self.env.step(action)
            following = state
            if "final_obs" in infos:
                following = state.copy()
                for k in np.flatnonzero(infos["_final_obs"]):
                    following[k] = infos["final_obs"][k]
            ended = terminated | truncated
            self.learner.learn(Transition(self.state, action, REWARD * reward, following, terminated, ended))
            self.state = state


def values(layers: Layers, state: np.ndarray) -> np.ndarray:
    """What each action is worth (B, A) to layers in states (B, D)."""
    h = state
    for i, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        h = (np.maximum(h, 0.0) if i else h) @ weight + bias
    if layers.support.size:
        p = np.exp(h.reshape(len(state), -1, layers.support.size))
        h = (p * layers.support).sum(2) / p.sum(2)
    return h


def judged(best: Callable[[np.ndarray], np.ndarray], seed: int) -> float:
    """Mean return of the first episode of 100 environments, of seeds from `seed` on."""
    env = envs(JUDGED)
    state, _ = env.reset(seed=seed)
    alive, total = np.ones(JUDGED, np.bool_), np.zeros(JUDGED)
    while alive.any():
        state, reward, terminated, truncated, _ = env.step(best(state))
        total += reward * alive
        alive &= ~(terminated | truncated)
    return float(total.mean())


def kept(learner: Learner, seed: int, budget: int, every: int = 5_000) -> Kept:
    """Train for a budget of steps, look every so many, and judge the best weights on other episodes.

    It ends early at a look without a single fall, since nothing is better than that.
    """
    training, best, most, after = Training(learner, seed), learner.layers(), 0.0, 0
    for steps in range(every, budget + 1, every):
        training.go(every)
        score = judged(learner.best, LOOKS + JUDGED * seed)
        if score > most:
            best, most, after = learner.layers(), score, steps
        if score == LONGEST:
            break
    return Kept(after, most, judged(lambda state: values(best, state).argmax(1), UNSEEN + JUDGED * seed))
