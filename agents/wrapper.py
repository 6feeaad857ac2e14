"""Wrappers around agents, which step them one row at a time and keep a record of their scores.

A wrapper is an agent itself, so it stands wherever an agent may, in another wrapper, too.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.errors import WindvaneError
from windvane.agents.mixture import AgentMixture
from windvane.agents.state import action_code, row_of


class BaseAgentWrapper(Agent):
    """An agent under a name of the caller's choice, with a record of its scores.

    history: how many of the newest scores are kept one by one, 1 or more. Raises ValueError where `agent` is no Agent.
    """

    def __init__(self, agent: Agent, agent_name: str, *, history: int = 20) -> None:
        if not isinstance(agent, Agent):
            raise ValueError(
                f"{agent_name} is {type(agent).__name__}: give an Agent, with a propose of its own"
            )
        if history < 1:
            raise ValueError(f"history is {history}: give 1 or more scores")
        self.agent, self.name = agent, agent_name
        self.version, self.warmup = agent.version, agent.warmup
        self.history: deque[float] = deque(maxlen=history)
        self._count, self._sum, self._squares, self._won = 0, 0.0, 0.0, 0
        self._last: tuple[float, float] = (0.0, 0.0)

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """Pass n rows, (n, 50), (n,) and (n,), to the agent's `propose` and return its proposal."""
        proposal = self.agent.propose(x, price, good)
        self._last = float(proposal.target[-1]), float(proposal.confidence[-1])
        return proposal

    def state(self) -> dict[str, Floats]:
        """Return copies of what the agent remembers; the record of its scores is not part of it."""
        return self.agent.state()

    def restore(self, state: dict[str, Floats]) -> None:
        """Replace what the agent remembers by a `state`; raises ValueError where it does not fit."""
        self.agent.restore(state)

    def get_action_with_confidence(self, state: Any, price: float = math.nan) -> tuple[int, float]:
        """Take in one good row and return the action, 0 sell, 1 hold or 2 buy, and the agent's confidence in [0, 1].

        state: (50,) raw features; price: the row's price, above 0, from which agents that are rules compute.
        Raises ValueError where the price is not a finite number above 0, or the state has another length.
        """
        x = row_of(state)
        if not (math.isfinite(price) and price > 0.0):
            raise ValueError(f"price is {price}: {self.name} needs a price above 0")
        proposal = self.propose(x.reshape(1, -1), np.array([price]), np.ones(1, np.int64))
        return action_code(int(proposal.action[0])), float(proposal.confidence[0])

    def update_with_feedback(
        self, reward: float, next_state: Any = None, done: bool = False, truncated: bool = False
    ) -> dict[str, Any]:
        """Add one score to the record; returns what the agent learned from it, which is nothing: an empty dictionary.

        reward: the return or score that the agent's own proposals earned, in any unit, as long as it is one unit; not
        what an ensemble of several agents earned. next_state, done, truncated: for agents that learn.
        Raises ValueError where the reward is not finite.
        """
        if not math.isfinite(reward):
            raise ValueError(f"reward is {reward}: give a finite number")
        self.history.append(float(reward))
        self._count += 1
        self._sum += reward
        self._squares += reward * reward
        self._won += reward > 0.0
        return {}

    def get_performance_metrics(self) -> dict[str, Any]:
        """Return statistics of all scores, the newest `history` scores, and the last target and confidence.

        `information_ratio` is the mean over the standard deviation of all scores (not annualised); `share_won` is the
        share of scores above 0. What cannot be said, such as the mean of no score or a ratio to no deviation, is NaN.
        """
        n, recent = self._count, list(self.history)
        mean = self._sum / n if n else math.nan
        deviation = math.sqrt(max(self._squares / n - mean * mean, 0.0)) if n else math.nan
        return {
            "scores": n,
            "mean_score": mean,
            "score_deviation": deviation,
            "information_ratio": mean / deviation if deviation > 0.0 else math.nan,
            "share_won": self._won / n if n else math.nan,
            "recent_mean_score": sum(recent) / len(recent) if recent else math.nan,
            "history": recent,
            "target": self._last[0],
            "confidence": self._last[1],
        }


class AgentEnsembleWrapper(BaseAgentWrapper):
    """Several agents as one, in fixed shares: its target is the weighted sum of theirs.

    agents: agents or wrappers, as a list (each under its own name) or by names of the caller's choice; they belong to
    the wrapper from then on. weights: of every agent by the same names, 0 or more and summing to 1; None: equal ones.
    agent_name and history: as for any wrapper. Raises ValueError where agents or weights do not fit.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent] | Iterable[Agent],
        weights: Mapping[str, float] | None = None,
        agent_name: str = "ensemble",
        *,
        history: int = 20,
    ) -> None:
        self.mixture = AgentMixture(_by_name(agents), weights)
        super().__init__(self.mixture, agent_name, history=history)

    @property
    def weights(self) -> dict[str, float]:
        """The share of every agent, by name."""
        return dict(self.mixture.weights)


def _by_name(agents: Mapping[str, Agent] | Iterable[Agent]) -> dict[str, Agent]:
    """Agents by name; raises WindvaneError where one is no agent, or a name or an agent stands twice."""
    named = (
        list(agents.items()) if isinstance(agents, Mapping) else [(_name(agent), agent) for agent in agents]
    )
    for place, (name, agent) in enumerate(named):
        if not isinstance(agent, Agent):
            raise WindvaneError(f"{name} is {type(agent).__name__}: give agents, as create_agents makes them")
        for other, before in named[:place]:
            if other == name or before is agent:
                raise WindvaneError(
                    f"agent {name!r} is given twice: give every agent once, or another of its kind"
                )
    return dict(named)


def _name(agent: Any) -> str:
    """The name of an agent, or what stands in its place."""
    return agent.name if isinstance(agent, Agent) else repr(agent)
