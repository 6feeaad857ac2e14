"""AgentMixture: several agents as one, whose target is the weighted sum of theirs."""

import copy
import math
from collections.abc import Mapping

import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.confidence import agreements
from windvane.agents.errors import WindvaneError

_NEAR = 1e-9
"""How far the sum of weights may be from 1, which rounding explains."""


class AgentMixture(Agent):
    """Agents that are followed in fixed shares.

    agents: by the names under which they are weighed; they belong to the mixture from then on, which steps them.
    weights: of every agent by the same names, 0 or more and summing to 1; None: equal ones. Raises WindvaneError where
    there is no agent, or the weights do not fit.
    """

    name = "mixture"

    def __init__(self, agents: Mapping[str, Agent], weights: Mapping[str, float] | None = None) -> None:
        self.agents = dict(agents)
        if not self.agents:
            raise WindvaneError("a mixture has no agent: give one or more")
        self.weights = _checked(list(self.agents), weights)
        self.warmup = max(agent.warmup for agent in self.agents.values())
        self._last = 0.0

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """Ask every agent about n rows; the target is the weighted sum of theirs, the confidence what they say of it.

        x: (n, 50); price, good: (n,).
        """
        n = len(price)
        target, whole = np.zeros(n), []
        for name, agent in self.agents.items():  # one after the other: a sum in a fixed order
            whole.append(agent.propose(x, price, good))
            target += self.weights[name] * whole[-1].target
        weights = np.tile(list(self.weights.values()), (n, 1))
        targets = np.stack([one.target for one in whole], axis=1)
        said = np.stack([one.confidence for one in whole], axis=1)
        confidence = np.where(good != 0, agreements(weights, targets, said, target), 0.0)
        target, confidence = np.clip(target, -1.0, 1.0), np.clip(confidence, 0.0, 1.0)
        change = np.diff(target, prepend=self._last)
        self._last = float(target[-1])
        return Proposal(target, np.sign(change).astype(np.int64), confidence)

    def state(self) -> dict[str, Floats]:
        """Return copies of what every agent remembers, as `NAME.ARRAY`, and of the last target, (1,)."""
        whole = {"target": np.array([self._last])}
        for name, agent in self.agents.items():
            whole |= {f"{name}.{part}": value for part, value in agent.state().items()}
        return whole

    def restore(self, state: dict[str, Floats]) -> None:
        """Replace what is remembered by the `state` of a mixture of the same agents; ValueError where it is another."""
        trial = copy.deepcopy(self.agents)
        parts = {name: {f"{name}.{part}": part for part in agent.state()} for name, agent in trial.items()}
        wanted = {"target", *(whole for names in parts.values() for whole in names)}
        older = {
            whole for whole in wanted if whole.endswith(".confidence")
        }  # which some releases did not know
        odd = sorted((state.keys() ^ wanted) - older)
        if odd:
            raise WindvaneError(
                f"the state is of another mixture: {', '.join(odd[:3])} is in one of them only"
            )
        for name, agent in trial.items():
            agent.restore({part: state[whole] for whole, part in parts[name].items() if whole in state})
        self.agents, self._last = trial, float(state["target"][0])


def _checked(names: list[str], weights: Mapping[str, float] | None) -> dict[str, float]:
    """The weight of every agent; raises WindvaneError where they do not fit."""
    if weights is None:
        return dict.fromkeys(names, 1.0 / len(names))
    if set(weights) != set(names):
        odd = ", ".join(sorted(set(weights) ^ set(names)))
        raise WindvaneError(
            f"agents and weights differ in {odd}: give one weight for each of {', '.join(names)}"
        )
    values = {name: float(weights[name]) for name in names}
    total = math.fsum(values.values())
    if not (all(value >= 0.0 for value in values.values()) and abs(total - 1.0) <= _NEAR):
        raise WindvaneError(f"the weights are {values}: give numbers of 0 or more that sum to 1")
    return values
