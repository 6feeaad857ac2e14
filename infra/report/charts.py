"""The charts of the report page, as plotly figures with at most `curves.MOST` points a curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.report.curves import MOST
from windvane.infra.report.frame import base_layout
from windvane.infra.report.palette import CYCLE, ENSEMBLE, INK, MUTED, RULE, colour, soft
from windvane.infra.report.tally import Tally
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.times import DAY

if TYPE_CHECKING:
    import plotly.graph_objects as go

LABELS = {
    "ensemble": "Ensemble",
    "equal_weights": "Equal weights",
    "buy_and_hold": "Buy and hold, 1 x capital",
}


def label(account: str) -> str:
    """Return an account's name as a chart shows it: "agent:x" is shown as "x", "equal_weights" as "Equal weights"."""
    return LABELS.get(account, account.removeprefix("agent:"))


def _figure(traces: list[dict[str, Any]], layout: dict[str, Any]) -> go.Figure:
    """A figure of scatter traces. plotly takes long to import, so that waits until a chart is drawn."""
    import plotly.graph_objects as go

    return go.Figure(data=[go.Scatter(**trace) for trace in traces], layout=layout)


def _line(x: Floats, y: Floats, name: str, code: str, width: float, **more: Any) -> dict[str, Any]:
    """A line through x and y (n,), in a colour and a width in pixels; more: other entries of a plotly trace."""
    line = {"color": code, "width": width, **more.pop("line", {})}
    # float32 halves the page's bytes, and no screen shows the difference.
    return {"x": x, "y": y.astype(np.float32), "name": name, "mode": "lines", "line": line, **more}


def _drawn_last(tally: Tally) -> list[int]:
    """Indices of accounts in drawing order: agents first, so that the ensemble's curve lies on top of theirs."""
    rank = {"ensemble": 3, "equal_weights": 2, "buy_and_hold": 1}
    return sorted(range(len(tally.accounts)), key=lambda k: rank.get(tally.accounts[k], 0))


def equity(tally: Tally) -> go.Figure:
    """Draw the cumulative profit and loss of all accounts, in shares of capital."""
    x, pnl, traces = tally.curves.milliseconds, tally.curves["pnl"], []
    for k in _drawn_last(tally):
        name = tally.accounts[k]
        width = {"ensemble": 3.0, "equal_weights": 2.0, "buy_and_hold": 1.6}.get(name, 1.1)
        more: dict[str, Any] = {"opacity": 0.65} if name.startswith("agent:") else {}
        if name == "buy_and_hold":
            more["line"] = {"dash": "dot"}
        traces.append(_line(x, pnl[:, k], label(name), colour(name, tally.agents), width, **more))
        traces[-1]["legendrank"] = {"ensemble": 1, "equal_weights": 2, "buy_and_hold": 3}.get(name, 10)
    axis = {"tickformat": "+~%", "hoverformat": "+.2%", "zeroline": True, "zerolinecolor": RULE}
    return _figure(traces, base_layout(440, yaxis=axis))


def drawdown(tally: Tally, best: str | None) -> go.Figure:
    """Draw how far each account is below its highest PnL so far, in shares of capital.

    A point is the deepest fall of the rows that it stands for. best: the account of the best agent, the only agent
    that is drawn; None draws no agent.
    """
    x, fall, traces = tally.curves.milliseconds, tally.curves["fall"], []
    for k in _drawn_last(tally):
        name = tally.accounts[k]
        if name.startswith("agent:") and name != best:
            continue
        code = colour(name, tally.agents)
        more: dict[str, Any] = (
            {"fill": "tozeroy", "fillcolor": soft(code, 0.13)} if name == "ensemble" else {}
        )
        if name == "buy_and_hold":
            more["line"] = {"dash": "dot"}
        title = f"{label(name)} (best agent)" if name == best else label(name)
        traces.append(_line(x, -fall[:, k], title, code, 2.2 if name == "ensemble" else 1.3, **more))
        traces[-1]["legendrank"] = {"ensemble": 1, "equal_weights": 2, "buy_and_hold": 3}.get(name, 10)
    axis = {"tickformat": "~%", "hoverformat": ".2%", "rangemode": "tozero"}
    return _figure(traces, base_layout(280, yaxis=axis))


def _stacked(x: Floats, shares: Floats, names: tuple[str, ...], codes: list[str], height: int) -> go.Figure:
    """Stacked areas of shares (n, C) that add up to 1, over times x (n,), with a colour code for each column."""
    traces = [
        _line(
            x,
            shares[:, k],
            name,
            codes[k],
            0.5,
            stackgroup="one",
            fillcolor=soft(codes[k], 0.75),
            hovertemplate="%{y:.1%}",
        )
        for k, name in enumerate(names)
    ]
    layout = base_layout(height, yaxis={"tickformat": "~%", "range": [0, 1]})
    layout["legend"]["traceorder"] = "normal"
    return _figure(traces, layout)


def weights(tally: Tally) -> go.Figure:
    """Draw the weight that the ensemble has in every agent, as stacked areas; a point is the mean of its rows."""
    codes = [colour(f"agent:{name}", tally.agents) for name in tally.agents]
    return _stacked(tally.curves.milliseconds, tally.curves["weights"], tally.agents, codes, 320)


def members(tally: Tally, names: tuple[str, ...]) -> go.Figure:
    """Draw the weight of every member of the mixture (Fixed-Share) that weighs the agents, as stacked areas.

    names: the members, in the order of the columns.
    """
    # Members take colours from the end of the cycle, so that they differ from agents.
    codes = [CYCLE[-1 - k % len(CYCLE)] for k in range(len(names))]
    return _stacked(tally.curves.milliseconds, tally.curves["members"], names, codes, 260)


def regimes(tally: Tally) -> go.Figure:
    """Draw the classifier's probability of every regime, and below it the true regimes of simulated data.

    A point is the mean of the rows that it stands for.
    """
    regime_tally = tally.regimes
    x, parts = regime_tally.curves.milliseconds, [("posterior", "y", 0.75)]
    if regime_tally.scores.scored:
        parts.append(("truth", "y2", 0.95))
    traces = []
    for group, axis, opacity in parts:
        for k, name in enumerate(REGIMES):
            more: dict[str, Any] = {"stackgroup": group, "fillcolor": soft(CYCLE[k], opacity), "yaxis": axis}
            more |= {"legendgroup": name, "showlegend": axis == "y", "hovertemplate": "%{y:.0%}"}
            title = name.replace("_", " ")
            traces.append(_line(x, regime_tally.curves[group][:, k], title, CYCLE[k], 0.0, **more))
    axis_of: dict[str, Any] = {"tickformat": "~%", "range": [0, 1]}
    layout = base_layout(300, yaxis={**axis_of, "domain": [0.24 if len(parts) > 1 else 0.0, 1.0]})
    if len(parts) > 1:
        layout["yaxis2"] = {**layout["yaxis"], "domain": [0.0, 0.15], "showticklabels": False}
        layout["yaxis2"] |= {"title": {"text": "True", "font": {"size": 12, "color": MUTED}}}
        layout["xaxis"]["anchor"] = "y2"
    layout["legend"]["traceorder"] = "normal"
    return _figure(traces, layout)


def reliability(values: dict[str, Any], agents: tuple[str, ...]) -> go.Figure:
    """Draw how often proposals paid against how often they were forecast to; forecasts that are right lie on a line.

    values: what metrics.json holds of confidence; agents: all names, which decide the colours.
    """
    drawn = [(name, colour(f"agent:{name}", agents), 1.1, one) for name, one in values["agents"].items()]
    traces = []
    for title, code, width, one in [*drawn, ("All agents", INK, 2.6, values)]:
        said, came = (np.array([bin_[part] for bin_ in one["reliability"]]) for part in ("p", "frequency"))
        more = {"mode": "lines+markers", "marker": {"size": 2.0 * width + 2.0}}
        traces.append(_line(said, came, title, code, width, **more))
    every = np.concatenate([trace["x"] for trace in traces])
    ends = np.array([every.min(), every.max()])
    right = _line(ends, ends, "As forecast", MUTED, 1.2, line={"dash": "dot"})
    axis = {"tickformat": "~%", "hoverformat": ".1%"}
    words = {"title": {"text": "Confidence", "font": {"size": 12, "color": MUTED}}}
    layout = base_layout(360, hovermode="closest", xaxis={"type": "linear", **axis, **words}, yaxis=axis)
    return _figure([right, *traces], layout)


def position(tally: Tally) -> go.Figure:
    """Draw the price, and below it the ensemble's position in shares of capital."""
    x = tally.curves.milliseconds
    price = _line(x, tally.curves["mid"][:, 0], "Price", INK, 1.2)
    price["y"] = tally.curves["mid"][:, 0]
    exposure = _line(
        x,
        tally.curves["position"][:, 0],
        "Position",
        ENSEMBLE,
        1.0,
        yaxis="y2",
        line={"shape": "hv"},
        fill="tozeroy",
        fillcolor=soft(ENSEMBLE, 0.22),
    )
    layout = base_layout(
        400, yaxis={"domain": [0.4, 1.0], "tickformat": ",~g", "hoverformat": ",.2f"}, showlegend=False
    )
    layout["yaxis2"] = {
        **layout["yaxis"],
        "domain": [0.0, 0.33],
        "tickformat": "~%",
        "hoverformat": ".1%",
        "zeroline": True,
        "zerolinecolor": MUTED,
        "zerolinewidth": 1,
    }
    layout["xaxis"]["anchor"] = "y2"
    return _figure([price, exposure], layout)


def costs(tally: Tally) -> go.Figure:
    """Draw turnover (units of capital) and fees (shares of capital), each summed up to the end of every UTC day."""
    standing = tally.standing
    chosen = np.unique(np.linspace(0, len(standing.days) - 1, min(MOST, len(standing.days))).astype(np.int64))
    x = (np.array(standing.days)[chosen] + 1.0) * (DAY / 1e6)
    turnover, fees = np.array(standing.turnover)[chosen], np.array(standing.fees)[chosen]
    traces = []
    for name in ("ensemble", "equal_weights"):
        if name not in standing.accounts:
            continue
        k, code = standing.accounts.index(name), colour(name, tally.agents)
        width = 2.4 if name == "ensemble" else 1.6
        traces.append(_line(x, turnover[:, k], f"{label(name)}", code, width, legendgroup=name))
        paid = fees[:, k] / tally.config.capital
        more = {"yaxis": "y2", "legendgroup": name, "showlegend": False}
        traces.append(_line(x, paid, f"{label(name)}, fees", code, width, **more))
    axis: dict[str, Any] = {
        "domain": [0.56, 1.0],
        "ticksuffix": "×",
        "hoverformat": ",.1f",
        "rangemode": "tozero",
        "title": {"text": "Turnover", "font": {"size": 12, "color": MUTED}},
    }
    layout = base_layout(360, yaxis=axis)
    layout["yaxis2"] = {**layout["yaxis"], "domain": [0.0, 0.44], "tickformat": "~%", "hoverformat": ".3%"}
    layout["yaxis2"] |= {"ticksuffix": "", "title": {"text": "Fees", "font": {"size": 12, "color": MUTED}}}
    layout["xaxis"]["anchor"] = "y2"
    return _figure(traces, layout)
