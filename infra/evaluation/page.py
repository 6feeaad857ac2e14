"""Writes the evaluation's table as Markdown, and as a page with a chart."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from windvane.infra.evaluation.methods import EQUAL, ORACLE, OURS
from windvane.infra.report import pieces
from windvane.infra.report.frame import base_layout, frame
from windvane.infra.report.palette import ENSEMBLE, HOLD, MUTED
from windvane.infra.report.palette import EQUAL as SAND

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLUMNS = {
    "sharpe": "{:.2f}",
    "gain": "{:+.2f}",
    "se": "{:.2f}",
    "p": "{:.1g}",
    "worst": "{:+.2f}",
    "drawdown_ratio": "{:.2f}",
    "days_won": "{:.1%}",
    "regret": "{:+.2f}",
    "oracle_gap": "{:.2f}",
    "way": "{:.2f}",
    "turnover": "{:.2f}",
}
_INTERVAL = {"low": "{:+.2f}", "high": "{:+.2f}"}
_HEADINGS = {
    "sharpe": "Sharpe ratio a year",
    "gain": "Gain over equal weights, Sharpe a year",
    "se": "Standard error of the gain",
    "p": "p of no gain",
    "worst": "Least gain of a market",
    "drawdown_ratio": "Max drawdown, × that of equal weights",
    "days_won": "Days won, %",
    "regret": "Regret, × capital a year",
    "oracle_gap": "Missing to the oracle, Sharpe a year",
    "way": "Share of the way to the oracle",
    "turnover": "Turnover, × capital a day",
    "low": "Gain, 2.5 % quantile",
    "high": "Gain, 97.5 % quantile",
}


def markdown(title: str, rows: list[dict[str, Any]]) -> str:
    """Return a title, the table and the meaning of its columns as Markdown; rows: as `table` returns them."""
    columns = _columns(rows)
    lines = [f"# {title}", "", f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {row['method']} | {' | '.join(_cells(row, columns))} |" for row in rows]
    lines += ["", MEANING, ""]
    return "\n".join(lines)


def _columns(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The columns that the rows have, with their formats: an interval comes with a bootstrap only."""
    return COLUMNS | (_INTERVAL if rows[-1]["low"] is not None else {})


def _cells(row: dict[str, Any], columns: dict[str, str]) -> list[str]:
    """The figures of a row as text, a dash where there is none."""
    return ["-" if row[c] is None else form.format(row[c]) for c, form in columns.items()]


MEANING = (
    "Sharpe ratio a year of daily UTC returns after costs; gain over equal weights on the same market, with its "
    "standard error, p of no gain and the least gain of any market; drawdown_ratio: max drawdown over that of equal "
    "weights; days_won: share of days with a return above 0; regret: what the best agent in hindsight earned more, in "
    "units of capital a year; oracle_gap: Sharpe missing to an oracle that knows the true regimes and their moments; "
    "way: share of the way from equal weights to it; turnover: units of capital a day. The band leaves small moves of "
    "the target untraded (no_trade_band); ours and what is below it has it, but for the row that says so, and what is "
    "above has not, but for equal weights + band. The volatility target shrinks "
    "positions while the market's volatility a year is above .4, as the conservative preset does; with cash, the "
    "mixture competes with holding nothing, which no preset has switched on. A preset's row is how it weighs and its "
    "volatility target, without its limits; balanced and research are ours."
)


def page(title: str, rows: list[dict[str, Any]]) -> str:
    """Return a page as HTML with the chart and the table, which needs no network.

    title: says which data these are; rows: as `table` returns them.
    """
    columns, figure = _columns(rows), chart(rows)
    head = ["Method", *(_HEADINGS[name] for name in columns)]
    cells = ([escape(row["method"]), *_cells(row, columns)] for row in rows)
    kind = "simulated" if any(row["method"] == ORACLE for row in rows) else "real"
    said = f"{kind.upper()} DATA"
    return frame(
        f"Evaluation: {title}",
        f'<div class="origin {kind}"><p><b>{said}</b> · {escape(title)}</p></div><main>'
        "<h1>Every way to weigh the agents, on the same markets</h1><p class=note>Bars end at the Sharpe ratio; the "
        "lines are two standard errors of its gain over equal weights on either side, paired by market.</p>"
        f'<div class=chart id=methods style="height:{figure.layout.height}px"></div>'
        f"<h2>Figures</h2>{pieces.table(head, cells)}<p class=note>{escape(MEANING)}</p></main>",
        {"methods": figure},
    )


def chart(rows: list[dict[str, Any]]) -> go.Figure:
    """Draw the Sharpe ratio of every method as a bar, with two standard errors of its gain; rows: as of `page`.

    Each bar is named; equal weights, the reference, are hatched.
    """
    import plotly.graph_objects as go

    shown = rows[::-1]
    looks = {OURS: (ENSEMBLE, ""), EQUAL: (SAND, "/")}
    look = [looks.get(row["method"], (HOLD, "")) for row in shown]
    bars = go.Bar(
        x=[row["sharpe"] for row in shown],
        y=[row["method"] for row in shown],
        orientation="h",
        marker={"color": [code for code, _ in look], "pattern": {"shape": [shape for _, shape in look]}},
        error_x={"type": "data", "array": [2.0 * (row["se"] or 0.0) for row in shown], "color": MUTED},
        hovertemplate="%{y}: %{x:.2f}<extra></extra>",
    )
    font = {"size": 12, "color": MUTED}
    axes = {
        "xaxis": {"type": "linear", "title": {"text": "Sharpe ratio a year, after costs", "font": font}},
        "yaxis": {"title": {"text": "Method", "font": font, "standoff": 10}},
    }
    return go.Figure(bars, layout=base_layout(90 + 24 * len(rows), hovermode="closest", **axes))
