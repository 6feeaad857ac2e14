"""Wrappers around agents that learn: DQNAgentWrapper, PPOAgentWrapper and RainbowAgentWrapper.

Importing this module imports no torch; making a learner does, and serving one does not need it.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.learned.learners import TOTAL_STEPS, algorithm_of, new_learner
from windvane.agents.learned.served import ServedLearner
from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Learner, Singles, Transition
from windvane.agents.learned.valued import Scale, ValuedAgent, check_width, margin
from windvane.agents.state import FEATURES, action_code, numbers_of
from windvane.agents.wrapper import BaseAgentWrapper


class ValuedAgentWrapper(BaseAgentWrapper):
    """A wrapper around a `ValuedAgent`, which reads no price; agent_name and history as for any wrapper."""

    agent: ValuedAgent

    def get_action_with_confidence(self, state: Any, price: float = math.nan) -> tuple[int, float]:
        """Take in one good row and return the action, 0 sell, 1 hold or 2 buy, and the confidence in [0, 1].

        state: (50,) features; or (51,) where the agent sees its position, which the last number then says (-1, 0, 1).
        price: is not read. Raises ValueError where the state has another length or another position.
        """
        return super().get_action_with_confidence(self._features(state), 1.0)

    def _features(self, state: Any) -> Any:
        """The features (50,) of a state, whose position, where it says one, is the agent's from now on."""
        numbers = numbers_of(state)
        if len(numbers) != self.agent.width or self.agent.width == FEATURES:
            return numbers
        self.agent.restore({"position": numbers[FEATURES:]})
        return numbers[:FEATURES]


class _Done(NamedTuple):
    """What was done last, and waits to be judged."""

    state: Singles  # (1, D)
    action: int  # 0, 1 or 2
    reward: float | None  # None until somebody says it


class LearnerWrapper(ValuedAgentWrapper):
    """A wrapper around a learner, which learns from the feedback on what it did.

    agent: a learner of one environment, three actions, and states of 50 numbers, or 51 with its position; or the
    hyperparameters of a new one, with `hidden` for its layers and, beside those of its settings, `state_dim` (51),
    `seed` (0) and `total_steps` (100,000), over which exploration is spread.
    scale: of the features, such as `FeatureScaler().scale`; None where states are given as the learner reads them.
    actions: "trade", where sell and buy move the position by one step, or "target", where they are the position.
    explore: whether `get_action_with_confidence` tries other actions than the best, as learning needs it; what was
    tried has confidence 0. `propose` never does. Raises LearnedError where these do not fit, or torch is missing.

    What was learned is no part of `state`: it is in `learner.state()`.
    """

    algorithm = ""

    def __init__(
        self,
        agent: Learner | Mapping[str, Any] | None = None,
        agent_name: str | None = None,
        *,
        history: int = 20,
        scale: Scale | None = None,
        actions: str = "trade",
        explore: bool = False,
    ) -> None:
        name = self.algorithm if agent_name is None else agent_name
        learner = self._learner(agent, name)
        width = check_width(name, len(learner.layers().weights[0]))
        self._served = ServedLearner(self.algorithm, learner)
        valued = ValuedAgent(name, self._served, width=width, scale=scale, actions=actions)
        super().__init__(valued, name, history=history)
        self.explore = explore
        self.learning_info: dict[str, Any] = {"loss": None, "transitions": 0, "updates": 0}
        self._done: _Done | None = None

    def _learner(self, agent: Any, name: str) -> Learner:
        if agent is None or isinstance(agent, Mapping):
            given = dict(agent or {})
            width, seed = given.pop("state_dim", FEATURES + 1), given.pop("seed", 0)
            total = given.pop("total_steps", TOTAL_STEPS)
            return new_learner(self.algorithm, given, width=width, seed=seed, total_steps=total)
        if algorithm_of(agent) != self.algorithm:
            raise LearnedError(
                f"agent {name} is {type(agent).__name__}: give a learner of windvane.agents.learned.{self.algorithm} "
                "or its hyperparameters, or wrap it with AgentWrapperFactory.create_wrapper"
            )
        made: Learner = agent
        if made.actions != 3:
            raise LearnedError(f"agent {name} has {made.actions} actions: make it with 3, sell, hold and buy")
        return made

    @property
    def learner(self) -> Learner:
        """The learner itself."""
        return self._served.learner

    def get_action_with_confidence(self, state: Any, price: float = math.nan) -> tuple[int, float]:
        """As `ValuedAgentWrapper` says; what was judged without its next state is learned from now."""
        x = numbers_of(self._features(state), FEATURES)
        now = self.agent.seen(x)
        if self._done is not None and self._done.reward is not None:
            self._learn(self._done, now)
        values = self.agent.values(now)
        best = int(values.argmax())
        action = int(self.learner.act(now)[0]) if self.explore else best
        self._done = _Done(now, action, None)
        change, confidence = self.agent.move(action), margin(values) if action == best else 0.0
        self._last = self.agent.position, confidence
        return action_code(change), confidence

    def update_with_feedback(
        self, reward: float, next_state: Any = None, done: bool = False, truncated: bool = False
    ) -> dict[str, Any]:
        """Learn from what the last action earned, and add it to the record; returns `learning_info`.

        reward: as for any wrapper. next_state: the state after the action, as `get_action_with_confidence` takes it;
        None where the next call of that brings it, so that it is learned from then. done: whether nothing more can be
        earned in the episode; truncated: whether it was only cut off, after `next_state`, which is needed then.
        The transition goes into the learner's replay (PPO: its rollout), and an update follows when one is due.
        `learning_info` says the newest `loss` (None before the first update), and how many `transitions` and `updates`
        there were. Raises ValueError for a reward that is not finite, and LearnedError where no action waits for its
        reward, the learner has several environments, or the last state of an episode that was cut off is missing.
        """
        if self._done is None or self._done.reward is not None:
            raise LearnedError(
                f"agent {self.name} has done nothing that waits for a reward: ask get_action_with_confidence first"
            )
        if self.learner.environments != 1:
            raise LearnedError(
                f"agent {self.name} learns of {self.learner.environments} environments at once: make it with 1"
            )
        if truncated and not done and next_state is None:
            raise LearnedError(
                f"agent {self.name} needs the state at which the episode was cut off: give next_state"
            )
        super().update_with_feedback(reward)
        judged = self._done._replace(reward=float(reward))
        if next_state is None and not done:
            self._done = judged
            return self.learning_info
        self._done = None
        following = judged.state
        if next_state is not None:
            following = self.agent.seen(numbers_of(self._features(next_state), FEATURES))
        return self._learn(judged, following, done, truncated)

    def _learn(
        self, judged: _Done, following: Singles, done: bool = False, truncated: bool = False
    ) -> dict[str, Any]:
        """Hand one transition to the learner; returns what came of it."""
        from windvane.agents.learned.networks import one_thread

        step = Transition(
            state=judged.state,
            action=np.array([judged.action]),
            reward=np.array([judged.reward], np.float64),
            following=following,
            terminated=np.array([done]),
            ended=np.array([done or truncated]),
        )
        with one_thread():
            loss = self.learner.learn(step)
        info = self.learning_info
        info["transitions"] += 1
        if loss is not None:
            info["loss"] = loss
            info["updates"] += 1
            self._served.refresh()
        return info


class DQNAgentWrapper(LearnerWrapper):
    """A wrapper around DQN; see `windvane.agents.learned.wrappers.LearnerWrapper`."""

    algorithm = "dqn"


class PPOAgentWrapper(LearnerWrapper):
    """A wrapper around PPO; see `windvane.agents.learned.wrappers.LearnerWrapper`."""

    algorithm = "ppo"


class RainbowAgentWrapper(LearnerWrapper):
    """A wrapper around Rainbow; see `windvane.agents.learned.wrappers.LearnerWrapper`."""

    algorithm = "rainbow"


WRAPPERS: dict[str, type[LearnerWrapper]] = {
    kind.algorithm: kind for kind in (DQNAgentWrapper, PPOAgentWrapper, RainbowAgentWrapper)
}
