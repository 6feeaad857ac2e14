"""Who the agents of a run are: their kinds and versions, and whether the members knew them before the first row."""

from typing import Any

from windvane.agents.factory import AGENTS, RULES
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.learning.members import prior


def agents(config: TradingConfig) -> dict[str, dict[str, Any]]:
    """Return kind, version (None where no version was recorded) and known_before of every agent, by its id.

    known_before: the members pretrained and regime were fitted on agents of this kind, on simulated markets, or on the
    rule that has this id; of others they begin knowing nothing.
    """
    known = prior.shipped().agents
    told = about(config.agents, config.kinds_of_agents, config.versions)
    taken_for = dict(zip(config.agents, config.known_as, strict=True))
    return {name: {**one, "known_before": taken_for[name] in known} for name, one in told.items()}


def strangers_here(config: TradingConfig, kind: str) -> list[str]:
    """Sentences about agents that learned on other markets than these; kind: "simulated" or "real"."""
    kinds = zip(config.agents, config.kinds_of_agents, strict=True)
    learned = [name for name, origin in kinds if origin in AGENTS and origin not in RULES]
    if kind == "simulated" or not learned:
        return []
    return [
        f"{', '.join(learned)} learned on SIMULATED markets and know nothing of this one; on real bars they have cost "
        "more than they brought so far: --agents leaves them out, windvane train makes others"
    ]


def about(
    ids: tuple[str, ...], kinds: tuple[str, ...], versions: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Return kind and version of every agent, by its id; versions: () where none was recorded."""
    told = versions or ("",) * len(ids)
    return {
        name: {"kind": kind, "version": version or None}
        for name, kind, version in zip(ids, kinds, told, strict=True)
    }
