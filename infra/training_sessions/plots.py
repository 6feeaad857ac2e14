"""The page of an evaluation, with its plots and tables; it needs no network."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from windvane.infra.training_sessions.episodes import EpisodeResult
from windvane.metamodel.base.regimes import REGIMES

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:1080px;margin:24px auto;padding:0 20px}td,th{padding:2px 12px}"
)
_POINTS = 400


def figures(results: dict[str, Any], episodes: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Draw the plots of an evaluation and return them as plotly figures by their titles.

    results: what `evaluate_comprehensive` returns; episodes: the results of its episodes.
    """
    import plotly.graph_objects as go

    agents = results["agent_comparison"]
    shown = results["regime_analysis"]["regimes"]
    names = [name for name in REGIMES if shown[name]["rows"]]
    weighed = [name for name, values in agents.items() if "mean_weight" in values]
    shortest = min(len(e.earned) for e in episodes)
    paths = np.mean([e.earned[:shortest, :3].cumsum(axis=0) for e in episodes], axis=0)
    at = np.unique(np.linspace(0, shortest - 1, _POINTS).astype(int))
    curve = [
        go.Scatter(x=at, y=paths[at, k], name=name, mode="lines")
        for k, name in enumerate(("ensemble", "equal weights", "buy and hold"))
    ]
    return {
        "Mean equity over episodes, units of capital": go.Figure(curve),
        "Mean Sharpe ratio a year": go.Figure(
            go.Bar(x=list(agents), y=[values["mean_sharpe_ratio"] for values in agents.values()])
        ),
        "Sharpe ratio of every episode": go.Figure(
            go.Histogram(x=[ratio for e in episodes if not math.isnan(ratio := e.sharpe())], nbinsx=30)
        ),
        "Mean weights by regime": go.Figure(
            go.Heatmap(
                x=weighed,
                y=names,
                z=[[shown[name]["mean_weights"][agent] for agent in weighed] for name in names],
                colorscale="Blues",
                zmin=0,
            )
        ),
        "Return of 1,000 ticks by regime, units of capital": go.Figure(
            [
                go.Bar(name=label, x=names, y=[shown[name][key] for name in names])
                for label, key in (
                    ("ensemble", "return_per_1000"),
                    ("equal weights", "equal_weights_return_per_1000"),
                )
            ]
        ),
        "Actions": go.Figure(
            go.Bar(
                x=list(results["decision_analysis"]["actions"]),
                y=list(results["decision_analysis"]["actions"].values()),
            )
        ),
    }


def page(results: dict[str, Any], episodes: Sequence[EpisodeResult]) -> str:
    """Return the page of an evaluation as HTML with plotly's script inside; the arguments are those of `figures`."""
    from plotly.offline import get_plotlyjs

    drawn = "".join(
        f"<h2>{escape(title)}</h2>{figure.to_html(full_html=False, include_plotlyjs=False)}"
        for title, figure in figures(results, episodes).items()
    )
    tables = "".join(
        f"<h2>{escape(part.replace('_', ' '))}</h2>{_table(results[part])}"
        for part in ("portfolio_metrics", "meta_learning_metrics")
    )
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>Evaluation</title>"
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>"
        f"<h1>Evaluation</h1><p><b>{escape(results['data'])}</b>: {escape(results['notice'])}</p>"
        f"{tables}{drawn}</body></html>\n"
    )


def _table(values: dict[str, Any]) -> str:
    """An HTML table of names and numbers."""
    rows = "".join(
        f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{_number(value)}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{rows}</table>"


def _number(value: Any) -> str:
    """A number with four digits, a dash for None."""
    return "–" if value is None else f"{value:,.4g}"
