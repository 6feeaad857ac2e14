"""The agents that exist, by the names that people type, and how each is made."""

import difflib
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from windvane.agents.base import Agent
from windvane.agents.classes import load_class
from windvane.agents.errors import WindvaneError
from windvane.agents.guest import GuestAgent
from windvane.agents.installed import installed
from windvane.agents.learned.shipped import ShippedDQN, ShippedPPO, ShippedRainbow
from windvane.agents.naming import CLASS, FOREIGN, POLICY, Named, each_named
from windvane.agents.policies import NoFolderError, load_policy
from windvane.agents.rules import (
    BuyAndHold,
    DonchianBreakout,
    EmaMomentum,
    JumpContrarian,
    VolTrend,
    ZscoreReversion,
)

RULES: dict[str, type[Agent]] = {
    agent.name: agent
    for agent in (EmaMomentum, ZscoreReversion, DonchianBreakout, VolTrend, JumpContrarian, BuyAndHold)
}
"""The agents that are fixed rules."""

AGENTS: dict[str, type[Agent]] = RULES | {
    agent.name: agent for agent in (ShippedDQN, ShippedPPO, ShippedRainbow)
}
"""The agents that are built in: the rules, and the policies that come with the package."""


class Binding(NamedTuple):
    """What an id stands for on this machine. It is never recorded: only the id, the kind and the version are."""

    kind: str  # name of one that is built in or installed, or "class", "policy", "remote"
    version: str  # of the agent, "" where it is made elsewhere
    make: Callable[[], Agent] | None  # a new agent, which has seen no tick; None: it is made elsewhere
    word: str = ""  # by which a process of its own would make it; "" of one that is built in
    apart: Callable[[float], Agent] | None = None  # the same in a process that has so many seconds to answer


def create_agents(names: Sequence[str]) -> list[Agent]:
    """Return a new agent, which has seen no tick, for each of `names`, in their order.

    names: as `--agents` takes them, such as "vol_trend", "slow=vol_trend" or "mine=pkg.mod:Class". Raises
    WindvaneError for a name that is unknown or stands twice, for an agent that is made elsewhere, and where `names` is
    a single text.
    """
    agents = []
    for named in each_named(names):
        make = bind(named).make
        if make is None:
            raise WindvaneError(f"agent {named} is made elsewhere: leave it out, or name what it is here")
        agents.append(make())
    return agents


def bind(named: Named) -> Binding:
    """What a name stands for on this machine; raises WindvaneError where that cannot be found or made."""
    origin = named.origin
    if origin in AGENTS:
        return built_in(named.id, origin)
    if origin in FOREIGN:
        if named.id == origin:
            raise WindvaneError(f"{origin} is a kind of agents: give the agent a name, as in NAME={origin}")
        return Binding(origin, "", None)
    if origin in installed():
        return _guest(named, origin, partial(_installed, origin))
    if named.is_class:
        found = load_class(origin)
        for kind, known in AGENTS.items():
            if found is known:
                return built_in(named.id, kind)
        return _guest(named, CLASS, found)
    if origin == named.id:
        raise unknown_agent(origin)
    return _guest(named, POLICY, partial(_policy, origin))


def built_in(name: str, kind: str) -> Binding:
    """The binding of an id to one of `AGENTS`."""
    return Binding(kind, AGENTS[kind].version, partial(_built_in, name, kind))


def _built_in(name: str, kind: str) -> Agent:
    agent = AGENTS[kind]()
    if name != kind:
        agent.name = name
    return agent


def _guest(named: Named, kind: str, make: Callable[[], Agent]) -> Binding:
    """A binding to code that is not ours, of which one is made now: what cannot be is refused at the start."""
    bound = partial(GuestAgent, named.id, make)
    return Binding(kind, bound().version, bound, str(named))


def _installed(name: str) -> Agent:
    agent: Agent = installed()[name].load()()
    return agent


def _policy(folder: str) -> Agent:
    try:
        return load_policy(folder)
    except NoFolderError as error:
        near = "" if "/" in folder else f"; as the name of an agent it is unknown, {_nearest(folder)}"
        raise NoFolderError(f"{error}{near}") from error


def unknown_agent(name: str) -> WindvaneError:
    """The error for a name that no agent has."""
    return WindvaneError(f"unknown agent {name!r}: {_nearest(name)} Agents are {', '.join(_known())}")


def _nearest(name: str) -> str:
    return f"did you mean {difflib.get_close_matches(name, _known(), n=1, cutoff=0.0)[0]!r}?"


def _known() -> list[str]:
    return [*AGENTS, *(name for name in installed() if name not in AGENTS)]
