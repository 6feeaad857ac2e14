"""Who the agents of a run are: their kinds and versions, and whether the members knew them before the first row."""

from typing import Any

from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.learning.members import prior


def agents(config: TradingConfig) -> dict[str, dict[str, Any]]:
    """Return kind, version (None where no version was recorded) and known_before of every agent, by its id.

    known_before: the members pretrained and regime were fitted on agents of this kind, on simulated markets; of others
    they begin knowing nothing.
    """
    known = prior.shipped().agents
    told = about(config.agents, config.kinds_of_agents, config.versions)
    return {name: {**one, "known_before": one["kind"] in known} for name, one in told.items()}


def about(
    ids: tuple[str, ...], kinds: tuple[str, ...], versions: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Return kind and version of every agent, by its id; versions: () where none was recorded."""
    told = versions or ("",) * len(ids)
    return {
        name: {"kind": kind, "version": version or None}
        for name, kind, version in zip(ids, kinds, told, strict=True)
    }
