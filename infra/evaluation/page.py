"""Writes the evaluation's table as Markdown, and as a chart."""

from pathlib import Path
from typing import Any

from windvane.infra.evaluation.methods import EQUAL, OURS
from windvane.infra.report.palette import ENSEMBLE, HOLD
from windvane.infra.report.palette import EQUAL as SAND

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


def markdown(title: str, rows: list[dict[str, Any]]) -> str:
    """Return a title, the table and the meaning of its columns as Markdown; rows: as `table` returns them."""
    columns = COLUMNS | (_INTERVAL if rows[-1]["low"] is not None else {})
    lines = [f"# {title}", "", f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        cells = ("-" if row[c] is None else form.format(row[c]) for c, form in columns.items())
        lines.append(f"| {row['method']} | {' | '.join(cells)} |")
    lines += ["", MEANING, ""]
    return "\n".join(lines)


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


def chart(path: Path, title: str, rows: list[dict[str, Any]]) -> None:
    """Write an HTML file with the Sharpe ratio of every method as a bar, with two standard errors of its gain.

    rows: as `table` returns them.
    """
    import plotly.graph_objects as go

    shown = rows[::-1]
    colours = [{OURS: ENSEMBLE, EQUAL: SAND}.get(row["method"], HOLD) for row in shown]
    bars = go.Bar(
        x=[row["sharpe"] for row in shown],
        y=[row["method"] for row in shown],
        orientation="h",
        marker={"color": colours},
        error_x={"type": "data", "array": [2.0 * (row["se"] or 0.0) for row in shown]},
    )
    figure = go.Figure(bars)
    figure.update_layout(
        title=title, xaxis_title="Sharpe ratio a year", template="plotly_white", height=80 + 30 * len(rows)
    )
    figure.write_html(path, include_plotlyjs=True)
