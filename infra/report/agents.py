"""Who the agents of a run are: their kinds and versions, and whether the members knew them before the first row."""

from html import escape
from typing import Any

from windvane.infra.report.pieces import NONE, table
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.learning.members import prior


def agents(config: TradingConfig) -> dict[str, dict[str, Any]]:
    """Return kind, version (None where no version was recorded) and known_before of every agent, by its id.

    known_before: the members pretrained and regime were fitted on agents of this kind, on simulated markets; of others
    they begin knowing nothing.
    """
    known = prior.shipped().agents
    versions = config.versions or ("",) * len(config.agents)
    return {
        name: {"kind": kind, "version": version or None, "known_before": kind in known}
        for name, kind, version in zip(config.agents, config.kinds_of_agents, versions, strict=True)
    }


def section(config: TradingConfig) -> str:
    """Return the section on the agents as HTML; "" where each is the built-in of its name, as in most books."""
    if not config.kinds:
        return ""
    rows = [
        (
            escape(name),
            escape(told["kind"]),
            escape(told["version"] or NONE),
            "yes" if told["known_before"] else "no: they begin at zero",
        )
        for name, told in agents(config).items()
    ]
    return (
        "<h2>Agents</h2><p class=note>Two of the ways of weighing, pretrained and regime, were fitted on agents of "
        "certain kinds before the run, on simulated markets.</p>"
        + table(("Agent", "Kind", "Version", "Fitted on before"), rows, narrow=True)
    )
