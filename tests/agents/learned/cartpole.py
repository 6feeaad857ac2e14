"""CartPole-v1 of gymnasium as learners play it: eight at once, an episode that ends is followed by another."""

from collections.abc import Callable

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from windvane.agents.learned.transitions import Learner, Transition

SOLVED = 475.0
"""Mean return from which the environment counts as solved."""

TOGETHER, JUDGED = 8, 20
"""Environments that train at once, and episodes of an evaluation."""


def envs(count: int) -> VectorEnv:
    together = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return gymnasium.make_vec(
        "CartPole-v1", num_envs=count, vectorization_mode="sync", vector_kwargs=together
    )


class Training:
    """A learner on CartPole, in parts."""

    def __init__(self, learner: Learner, seed: int) -> None:
        self.learner, self.env = learner, envs(TOGETHER)
        self.state, _ = self.env.reset(seed=seed)

    def go(self, steps: int) -> None:
        """So many steps of all environments together."""
        for _ in range(steps // TOGETHER):
            action = self.learner.act(self.state)
            state, reward, terminated, truncated, infos = self.env.step(action)
            following = state
            if "final_obs" in infos:
                following = state.copy()
                for k in np.flatnonzero(infos["_final_obs"]):
                    following[k] = infos["final_obs"][k]
            ended = terminated | truncated
            self.learner.learn(Transition(self.state, action, reward, following, terminated, ended))
            self.state = state


def judged(best: Callable[[np.ndarray], np.ndarray], seed: int) -> float:
    """Mean return of the first episode of 20 environments."""
    env = envs(JUDGED)
    state, _ = env.reset(seed=10_000 + seed)
    alive, total = np.ones(JUDGED, np.bool_), np.zeros(JUDGED)
    while alive.any():
        state, reward, terminated, truncated, _ = env.step(best(state))
        total += reward * alive
        alive &= ~(terminated | truncated)
    return float(total.mean())


def solved_after(learner: Learner, seed: int, budget: int, every: int = 5_000) -> int | None:
    """Steps after which a learner first solves it, looked at every so many; None where the budget does not do."""
    training = Training(learner, seed)
    for steps in range(every, budget + 1, every):
        training.go(every)
        if judged(learner.best, seed) >= SOLVED:
            return steps
    return None
