"""The agents that exist, by the names that people type."""

import difflib
from collections.abc import Sequence

from windvane.agents.base import Agent
from windvane.agents.errors import WindvaneError
from windvane.agents.rules import (
    BuyAndHold,
    DonchianBreakout,
    EmaMomentum,
    JumpContrarian,
    VolTrend,
    ZscoreReversion,
)

AGENTS: dict[str, type[Agent]] = {
    agent.name: agent
    for agent in (EmaMomentum, ZscoreReversion, DonchianBreakout, VolTrend, JumpContrarian, BuyAndHold)
}


def create_agents(names: Sequence[str]) -> list[Agent]:
    """Return a new agent, which has seen no tick, for each of `names`, in their order.

    Raises WindvaneError for a name that is not in `AGENTS` or stands twice, and where `names` is a single text.
    """
    if isinstance(names, str):
        raise WindvaneError(f"agents are given as a list of names: write [{names!r}]")
    for place, name in enumerate(names):
        if name not in AGENTS:
            near = difflib.get_close_matches(name, AGENTS, n=1, cutoff=0.0)[0]
            raise WindvaneError(
                f"unknown agent {name!r}: did you mean {near!r}? Agents are {', '.join(AGENTS)}"
            )
        if name in names[:place]:
            raise WindvaneError(f"agent {name!r} is named twice: name each agent once")
    return [AGENTS[name]() for name in names]
