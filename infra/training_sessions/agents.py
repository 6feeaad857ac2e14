"""The agents of a session: those that it trains are policies, as they are at the time, and all others are named."""

from collections.abc import Mapping, Sequence

from windvane.agents.base import Agent
from windvane.agents.factory import create_agents
from windvane.agents.learned.learners import LEARNERS
from windvane.agents.naming import each_named
from windvane.infra.policies.folder import Packed, unpacked
from windvane.metamodel.settings.meta_config import MetaLearningConfig


def trained_ids(config: MetaLearningConfig) -> dict[str, str]:
    """Return the algorithms by the ids of the agents that `net_dims` means, in the order of the ensemble."""
    return {agent.id: agent.origin for agent in each_named(config.agents) if agent.origin in LEARNERS}


class Agents:
    """Makes the agents of a market: of the ids in `policies` those policies, of all others what their names say."""

    def __init__(self, policies: Mapping[str, Packed]) -> None:
        self.policies = policies

    def __call__(self, words: Sequence[str]) -> list[Agent]:
        """Return new agents, which have seen no row; as `create_agents`."""
        return [self._agent(agent.id, str(agent)) for agent in each_named(words)]

    def _agent(self, name: str, word: str) -> Agent:
        if name not in self.policies:
            return create_agents([word])[0]
        agent = unpacked(self.policies[name])
        agent.name = name
        return agent
