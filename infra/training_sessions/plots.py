"""The charts of an evaluation; what a line or a bar stands for is told by its dash or pattern as well as its colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.report.frame import base_layout
from windvane.infra.report.palette import ENSEMBLE, EQUAL, HOLD, MUTED, RULE, soft
from windvane.infra.training_sessions.episodes import EpisodeResult
from windvane.metamodel.base.regimes import REGIMES

if TYPE_CHECKING:
    import plotly.graph_objects as go

_POINTS = 400
_ACCOUNTS = (  # in the order of an episode's accounts
    {"name": "Ensemble", "color": ENSEMBLE, "dash": "solid", "width": 2.6},
    {"name": "Equal weights", "color": EQUAL, "dash": "dash", "width": 2.0},
    {"name": "Long, 1 × capital", "color": HOLD, "dash": "dot", "width": 2.0},
)
_PERCENT = {"tickformat": "~%", "hoverformat": ".2%"}
_ROWS = "Rows after the warm-up, 15 minutes each"


def figures(results: dict[str, Any], episodes: Sequence[EpisodeResult]) -> dict[str, go.Figure]:
    """Draw the charts of an evaluation and return them by name.

    results: what `evaluate_comprehensive` returns; episodes: the results of its episodes. The chart of features is
    there where the results have their analysis.
    """
    drawn = {
        "equity": _equity(episodes),
        "drawdown": _drawdown(episodes),
        "accounts": _accounts(results["agent_comparison"]),
        "gains": _gains(episodes),
        "adaptation": _adaptation(results["adaptation_curve"]),
        "weights": _weights(results),
        "returns": _returns(results["regime_analysis"]["regimes"]),
        "actions": _actions(results["decision_analysis"]["actions"]),
    }
    if results.get("feature_analysis"):
        drawn["features"] = _features(results["feature_analysis"])
    return drawn


def _figure(traces: list[Any], height: int, x: str, y: str, **more: Any) -> go.Figure:
    """A chart of traces whose axes are titled `x` and `y`; more: entries of the layout, `xaxis` and `yaxis` merged.

    The axes are fixed: the page's script would zoom all of its charts by one time.
    """
    import plotly.graph_objects as go

    axes = {}
    for name, title in (("xaxis", x), ("yaxis", y)):
        font = {"size": 12, "color": MUTED}
        axes[name] = {"title": {"text": title, "font": font, "standoff": 10}, "fixedrange": True}
        axes[name] |= more.pop(name, {})
    axes["xaxis"] = {"type": "linear"} | axes["xaxis"]
    return go.Figure(data=traces, layout=base_layout(height, **axes, **more))


def _line(k: int, x: Any, y: Floats) -> go.Scatter:
    """The line of account `k` through x and y (n,)."""
    import plotly.graph_objects as go

    style = dict(_ACCOUNTS[k])
    return go.Scatter(
        x=x, y=y.astype(np.float32), name=style.pop("name"), mode="lines", line=style, legendrank=k + 1
    )


def _band(x: Any, low: Floats, high: Floats, name: str) -> go.Scatter:
    """An area between low and high (n,), in the ensemble's colour."""
    import plotly.graph_objects as go

    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([high, low[::-1]]).astype(np.float32),
        name=name,
        mode="lines",
        line={"width": 0, "color": ENSEMBLE},
        fill="toself",
        fillcolor=soft(ENSEMBLE, 0.16),
        hoverinfo="skip",
    )


def _paths(episodes: Sequence[EpisodeResult]) -> Floats:
    """(E, n, 3) cumulated returns of the first three accounts, cut to the shortest episode."""
    shortest = min(len(e.earned) for e in episodes)
    return np.stack([e.earned[:shortest, :3].cumsum(axis=0) for e in episodes])


def _thinned(n: int) -> Any:
    """At most 400 of the indices below n, in equal steps, with the first and the last."""
    return np.unique(np.linspace(0, n - 1, _POINTS).astype(int))


def _equity(episodes: Sequence[EpisodeResult]) -> go.Figure:
    """Mean profit and loss over episodes, the ensemble's with two standard errors on either side."""
    paths = _paths(episodes)
    at = _thinned(paths.shape[1])
    mean, traces = paths.mean(axis=0)[at], []
    if len(episodes) > 1:
        wide = 2 * paths[:, at, 0].std(axis=0, ddof=1) / len(episodes) ** 0.5
        traces.append(_band(at + 1, mean[:, 0] - wide, mean[:, 0] + wide, "Ensemble, ± 2 standard errors"))
    traces += [_line(k, at + 1, mean[:, k]) for k in (2, 1, 0)]
    axis = {**_PERCENT, "zeroline": True, "zerolinecolor": RULE}
    return _figure(traces, 400, _ROWS, "Mean profit and loss, % of capital", yaxis=axis)


def _drawdown(episodes: Sequence[EpisodeResult]) -> go.Figure:
    """Mean over episodes of the fall below the highest profit so far."""
    paths = _paths(episodes)
    fall = (paths - np.maximum(np.maximum.accumulate(paths, axis=1), 0.0)).mean(axis=0)
    at = _thinned(paths.shape[1])
    traces = [_line(k, at + 1, fall[at, k]) for k in (2, 1, 0)]
    axis = {**_PERCENT, "rangemode": "tozero"}
    return _figure(traces, 280, _ROWS, "Mean drawdown, % of capital", yaxis=axis)


def _accounts(accounts: dict[str, dict[str, Any]]) -> go.Figure:
    """Sharpe ratio of every account with two standard errors; the ensemble's bar is full, the baselines' hatched."""
    import plotly.graph_objects as go

    names = list(accounts)[::-1]
    looks = {"ensemble": (ENSEMBLE, ""), "equal_weights": (EQUAL, "/"), "long_1x_capital": (HOLD, "x")}
    look = [looks.get(name, (HOLD, "")) for name in names]
    bars = go.Bar(
        x=[accounts[name]["mean_sharpe_ratio"] for name in names],
        y=[name.replace("_", " ") for name in names],
        orientation="h",
        marker={"color": [colour for colour, _ in look], "pattern": {"shape": [shape for _, shape in look]}},
        error_x=_errors([accounts[name]["sharpe_ratio_standard_error"] for name in names]),
        hovertemplate="%{y}: %{x:.2f}<extra></extra>",
    )
    axis = {"zeroline": True, "zerolinecolor": MUTED}
    return _figure(
        [bars], 90 + 28 * len(names), "Mean Sharpe ratio a year", "Account", xaxis=axis, hovermode="closest"
    )


def _errors(standard: Sequence[float | None]) -> dict[str, Any]:
    """Bars of two standard errors, none where an error is unknown."""
    return {
        "type": "data",
        "array": [2.0 * (e or 0.0) for e in standard],
        "color": MUTED,
        "thickness": 1.4,
        "width": 4,
    }


def _gains(episodes: Sequence[EpisodeResult]) -> go.Figure:
    """How often which gain over equal weights came out, one count an episode."""
    import plotly.graph_objects as go

    gain = [g for e in episodes if not math.isnan(g := e.sharpe() - e.sharpe(1))]
    bars = go.Histogram(x=gain, nbinsx=30, marker={"color": ENSEMBLE, "line": {"width": 1, "color": RULE}})
    line = {"type": "line", "xref": "x", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1}
    return _figure(
        [bars],
        260,
        "Gain over equal weights in the same episode, Sharpe ratio a year",
        "Episodes",
        shapes=[{**line, "line": {"color": MUTED, "dash": "dash", "width": 1.4}}],
        hovermode="closest",
        yaxis={"tickformat": ",d"},
    )


def _adaptation(curve: dict[str, list[float | None]]) -> go.Figure:
    """What moving the weights brought back of what a switch of the regime took, by rows after the switch."""
    import plotly.graph_objects as go

    rows, share, error = (
        np.array([np.nan if v is None else v for v in curve[name]])
        for name in ("rows", "share", "standard_error")
    )
    known, traces = np.isfinite(share), []
    sure = known & np.isfinite(error)
    if sure.any():
        low, high = (share[sure] + side * 2 * error[sure] for side in (-1, 1))
        traces.append(_band(rows[sure], low, high, "± 2 standard errors"))
    style = {"color": ENSEMBLE, "width": 2.6}
    traces.append(go.Scatter(x=rows[known], y=share[known], name="Ensemble", mode="lines", line=style))
    for value, name, dash in ((0.0, "Weights held: 0 %", "dot"), (1.0, "Oracle: 100 %", "dash")):
        ends = [rows[0], rows[-1]]
        style = {"color": HOLD, "width": 1.6, "dash": dash}
        traces.append(go.Scatter(x=ends, y=[value, value], name=name, mode="lines", line=style))
    return _figure(
        traces,
        320,
        "Rows after a switch of the true regime, 15 minutes each",
        "Back of what was lost, %",
        yaxis=_PERCENT,
    )


def _weights(results: dict[str, Any]) -> go.Figure:
    """Mean weight of every agent in every regime shown, as a heat map with its numbers."""
    import plotly.graph_objects as go

    shown = results["regime_analysis"]["regimes"]
    names = [name for name in REGIMES if shown[name]["rows"]][::-1]
    agents = [name for name, told in results["agent_comparison"].items() if "mean_weight" in told]
    heat = go.Heatmap(
        x=[name.replace("_", " ") for name in agents],
        y=[name.replace("_", " ") for name in names],
        z=[[shown[name]["mean_weights"][agent] for agent in agents] for name in names],
        colorscale="Cividis",
        zmin=0,
        texttemplate="%{z:.0%}",
        hovertemplate="%{y}, %{x}: %{z:.1%}<extra></extra>",
        colorbar={"title": {"text": "Mean weight, %"}, "tickformat": "~%", "thickness": 12},
    )
    return _figure(
        [heat],
        110 + 34 * len(names),
        "Agent",
        "Regime shown",
        xaxis={"type": "category"},
        hovermode="closest",
    )


def _returns(shown: dict[str, dict[str, Any]]) -> go.Figure:
    """Return of 1,000 rows in every regime shown, of ensemble and equal weights."""
    import plotly.graph_objects as go

    names = [name for name in REGIMES if shown[name]["rows"]]
    bars = [
        go.Bar(
            name=label,
            x=[name.replace("_", " ") for name in names],
            y=[shown[name][key] for name in names],
            marker={"color": colour, "pattern": {"shape": shape}},
        )
        for label, key, colour, shape in (
            ("Ensemble", "return_per_1000", ENSEMBLE, ""),
            ("Equal weights", "equal_weights_return_per_1000", EQUAL, "/"),
        )
    ]
    axis = {**_PERCENT, "zeroline": True, "zerolinecolor": MUTED}
    return _figure(
        bars,
        320,
        "Regime shown",
        "Return of 1,000 rows, % of capital",
        xaxis={"type": "category"},
        yaxis=axis,
    )


def _actions(actions: dict[str, int]) -> go.Figure:
    """How often each action was decided."""
    import plotly.graph_objects as go

    bars = go.Bar(
        x=list(actions), y=list(actions.values()), marker={"color": ENSEMBLE}, texttemplate="%{y:,}"
    )
    return _figure(
        [bars], 240, "Action", "Rows", xaxis={"type": "category"}, hovermode="closest", showlegend=False
    )


def _features(told: dict[str, dict[str, float]]) -> go.Figure:
    """Correlation of features with the scores of agents, as a heat map that is empty where it is not among the five."""
    import plotly.graph_objects as go

    agents = list(told)
    names = list(dict.fromkeys(name for agent in agents for name in told[agent]))[::-1]
    most = max((abs(r) for one in told.values() for r in one.values()), default=1.0)
    heat = go.Heatmap(
        x=[name.replace("_", " ") for name in agents],
        y=names,
        z=[[told[agent].get(name) for agent in agents] for name in names],
        colorscale=[[0.0, EQUAL], [0.5, "#f7f7f7"], [1.0, ENSEMBLE]],
        zmin=-most,
        zmax=most,
        texttemplate="%{z:+.2f}",
        hovertemplate="%{y}, %{x}: %{z:+.3f}<extra></extra>",
        xgap=2,
        ygap=2,
        colorbar={"title": {"text": "Correlation"}, "tickformat": "+.2f", "thickness": 12},
    )
    return _figure(
        [heat], 120 + 22 * len(names), "Agent", "Feature", xaxis={"type": "category"}, hovermode="closest"
    )
