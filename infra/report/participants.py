"""Sections of the report page about the agents of a run: their confidence, who they are, and its shadows."""

from html import escape
from typing import Any

from windvane.infra.report.agents import agents
from windvane.infra.report.pieces import NONE, number, percent, table
from windvane.metamodel.base.config import TradingConfig


def named(config: TradingConfig) -> str:
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


def confidence(values: dict[str, Any]) -> str:
    """Return the section on the agents' confidence as HTML, below a place for its chart.

    values: what metrics.json holds of it, of a run with forecasts that were judged.
    """
    one = {"All agents": values} | values["agents"]
    rows = [
        (
            escape(name),
            f"{told['rows']:,}",
            percent(told["base_rate"]),
            number(told["brier"], 4),
            number(told["base_rate_brier"], 4),
        )
        for name, told in one.items()
    ]
    head = ("", "Forecasts", "Paid", "Brier score", "Of the base rate")
    return (
        f"<h2>Confidence</h2><p class=note>How probable it was that a target, held over the next {values['horizon']} "
        "good rows, earns more than it costs, and how often it did: ten groups of about as many forecasts each. On the "
        "dotted line what was said is what came. The Brier score is the mean squared error of a forecast, so lower is "
        "better; the last column is what always saying the run's own frequency would have had.</p>"
        '<div class=chart id=reliability style="height:360px"></div>' + table(head, rows, lead=1, narrow=True)
    )


def shadows(values: dict[str, dict[str, Any]]) -> str:
    """Return the section on shadows as HTML, "" where there is none. values: what metrics.json holds of them."""
    if not values:
        return ""
    head = (
        "Shadow",
        "Kind",
        "Version",
        "Return",
        "Sharpe",
        "Max drawdown",
        "Turnover a day",
        "Trades",
        "Mean score",
    )
    rows = [
        (
            escape(name),
            escape(told["kind"]),
            escape(told["version"] or NONE),
            percent(told["total_return"], sign=True),
            number(told["sharpe"]),
            percent(told["max_drawdown"]),
            number(told["turnover_per_day"]),
            number(told["trades"], 0),
            number(told["score"], 4),
        )
        for name, told in values.items()
    ]
    return (
        "<h2>Shadows</h2><p class=note>These agents had accounts of their own at the prices, costs and limits of the "
        "run, without the controls of people. Nothing else of it depends on them. Figures are of UTC days.</p>"
        + table(head, rows)
    )
