"""report.html: one page that needs no network and begins by saying which data it is about."""

from html import escape
from typing import Any

from windvane.infra.report import appendix, charts, participants
from windvane.infra.report.facts import Facts
from windvane.infra.report.frame import frame
from windvane.infra.report.pieces import bars, cards, figures, instant, many, number, percent, years
from windvane.infra.report.tally import Tally


def report(values: dict[str, Any], tally: Tally, facts: Facts) -> str:
    """Return the whole page as HTML.

    values: what metrics.json holds; tally: the counts and curves of the run; facts: what its events do not hold.
    """
    drawn = _charts(values, tally, facts)
    body = "".join(
        (
            _head(values, tally, facts),
            _money(values, tally, drawn),
            _weights(tally, drawn),
            appendix.regimes(values, tally) if "regimes" in drawn else "",
            _account(values, tally, drawn),
            _tables(values, tally),
            participants.confidence(values["confidence"]) if "reliability" in drawn else "",
            participants.named(facts.config),
            participants.shadows(values["shadows"]),
            appendix.data(values, tally),
            appendix.learner(tally),
            appendix.settings(facts),
        )
    )
    title = f"{facts.title}: {facts.file}"
    return frame(title, f"{_origin(tally, facts)}<main>{body}</main>", drawn)


def _charts(values: dict[str, Any], tally: Tally, facts: Facts) -> dict[str, Any]:
    """The charts for which the run has enough data, by the id of their element; none for fewer than two points."""
    if tally.curves.points < 2:
        return {}
    best = values["series"].get("best_agent_in_hindsight")
    drawn = {
        "equity": charts.equity(tally),
        "drawdown": charts.drawdown(tally, f"agent:{best['name']}" if best else None),
        "weights": charts.weights(tally),
        "position": charts.position(tally),
    }
    if facts.members:
        drawn["members"] = charts.members(tally, facts.members)
    if tally.regimes.curves.points > 1:
        drawn["regimes"] = charts.regimes(tally)
    if values["confidence"]["rows"]:
        drawn["reliability"] = charts.reliability(values["confidence"], tally.agents)
    if len(tally.standing.days) > 1:
        drawn["costs"] = charts.costs(tally)
    return drawn


def _origin(tally: Tally, facts: Facts) -> str:
    """The line at the very top: real or simulated data, their name and time, and the costs assumed."""
    costs = facts.config.costs
    delay = (
        "orders fill at once"
        if costs.delay == 0
        else f"orders fill {costs.delay} row{'s' * (costs.delay > 1)} later"
    )
    parts = (
        f"<b>{facts.kind.upper()} DATA</b>",
        escape(facts.file),
        f"{instant(tally.first)} to {instant(tally.last)} UTC" if tally.rows else "no rows",
        f"fee {costs.fee_bp:g} bp, slippage {costs.slippage_bp:g} bp, "
        f"half spread {costs.half_spread_bp:g} bp where there are no quotes",
        delay,
    )
    return f'<div class="origin {facts.kind}"><p>{" · ".join(parts)}</p></div>'


def _empty(tally: Tally) -> str:
    """A sentence for the place of a chart that says why there is none."""
    if tally.rows == 0:
        return "<p class=note>The run has no row, so there is nothing to draw.</p>"
    if tally.warm is None:
        return (
            f"<p class=note>All {tally.rows:,} rows belong to the warm-up: nothing was traded, there is "
            "nothing to draw. A longer file, or fewer agents that need a long warm-up, gives charts.</p>"
        )
    return "<p class=note>One row is past the warm-up: it takes two to draw a curve.</p>"


def _chart(name: str, height: int, drawn: dict[str, Any], tally: Tally) -> str:
    """The empty element, `height` pixels high, into which the script draws a chart; or why there is no chart."""
    if name not in drawn:
        return _empty(tally)
    return f'<div class=chart id={name} style="height:{height}px"></div>'


def _head(values: dict[str, Any], tally: Tally, facts: Facts) -> str:
    """Title, the sentence on significance, the cards, and a line with the size and the settings of the run."""
    series, gain = values["series"], values["gain"]
    ensemble, equal = series["ensemble"], series["equal_weights"]
    if tally.warm is None:
        title = "No row is past the warm-up: nothing was traded"
    elif gain["days"] < 2:
        title = (
            f"The ensemble made {percent(ensemble['total_return'], sign=True)} of capital in one day; "
            f"equal weights {percent(equal['total_return'], sign=True)}"
        )
    else:
        title = (
            f"The ensemble made {percent(ensemble['total_return'], sign=True)} of capital at a Sharpe ratio "
            f"of {number(ensemble['sharpe'])}; equal weights came to {number(equal['sharpe'])}"
        )
    sentence = escape(gain["sentence"][:1].upper() + gain["sentence"][1:])
    if gain["p"] is not None:
        chance = f"p = {gain['p']:.3f}" if gain["p"] >= 0.001 else "p < 0.001"
        sentence += f" ({chance}, {gain['days']:,} days in blocks of {gain['block_days']})"
    proof = ""
    if values["psr"] is not None and values["dsr"] is not None:
        proof = (
            f" The chance that the ensemble's true Sharpe ratio is above 0 is {percent(values['psr'], 0)}; "
            f"{percent(values['dsr'], 0)} once the {values['trials']} strategies looked at are allowed for."
        )
    speed = values["ticks_per_second"]
    facts_line = [
        f"{tally.good:,} good rows ({escape(facts.bars)})",
        f"{values['rejected']:,} rejected",
        many(gain["days"], "day"),
        f"preset {escape(facts.preset)}",
        f"capital {facts.config.capital:,.0f}, not compounded",
    ]
    if speed:
        facts_line.append(f"{speed:,.0f} rows a second")
    if values["latency_us"]:
        facts_line.append(", ".join(f"{k} {v:,.0f} µs" for k, v in values["latency_us"].items()))
    notice = f"<p><strong>{escape(facts.notice)}</strong></p>" if facts.notice else ""
    return (
        f"<h1>{title}</h1><p class=lead>{sentence}.{proof}</p>{notice}"
        f"{cards(series, tally.agents)}<p class=note>{' · '.join(facts_line)}</p>"
    )


def _money(values: dict[str, Any], tally: Tally, drawn: dict[str, Any]) -> str:
    """The sections with the curves of equity and drawdown."""
    bucket = tally.curves.width
    thin = f" Drawn at every {bucket:,} rows; all figures count every row." if bucket > 1 else ""
    since = (
        f"since {instant(tally.warm)} UTC, the first row past the warm-up" if tally.warm is not None else ""
    )
    return (
        f"<h2>Equity</h2><p class=note>Profit and loss in percent of the fixed capital, after costs, "
        f"{since}.{thin} Drag to zoom all charts, double-click to go back; a click on a name hides it.</p>"
        f"{_chart('equity', 440, drawn, tally)}"
        "<h2>Drawdown</h2><p class=note>Fall below the highest profit so far; of the rows between two points "
        f"the deepest.</p>{_chart('drawdown', 280, drawn, tally)}"
        if drawn
        else f"<h2>Equity</h2>{_empty(tally)}"
    )


def _weights(tally: Tally, drawn: dict[str, Any]) -> str:
    """The section with the weights of agents and of members."""
    if not drawn:
        return ""
    out = (
        "<h2>Whom the ensemble believed</h2><p class=note>Weight of every agent, mean between two points.</p>"
        f"{_chart('weights', 320, drawn, tally)}"
    )
    if "members" in drawn:
        out += (
            "<h3>Ways of weighing</h3><p class=note>Weight of every member of the mixture that sets the "
            f"weights.</p>{_chart('members', 260, drawn, tally)}"
        )
    return out


def _account(values: dict[str, Any], tally: Tally, drawn: dict[str, Any]) -> str:
    """The sections with price and position, turnover and fees."""
    if not drawn:
        return ""
    one = values["series"]["ensemble"]
    chart = _chart("costs", 360, drawn, tally) if "costs" in drawn else ""
    short = "" if chart else " The run is too short for a chart of its days."
    fees = None if one["fees"] is None else one["fees"] / tally.config.capital
    return (
        "<h2>Price and position</h2><p class=note>Price above; below, the ensemble's position in percent of "
        f"capital, mean between two points.</p>{_chart('position', 400, drawn, tally)}"
        f"<h2>Turnover and fees</h2><p class=note>The ensemble turned over {number(one['turnover_per_day'])} "
        f"times its capital a day in {values['risk']['fills']:,} fills and paid {percent(fees, 2)} of capital "
        f"in fees; half spread and slippage are in the fill prices.{short}</p>{chart}"
    )


def _tables(values: dict[str, Any], tally: Tally) -> str:
    """The sections with all figures, the figures by year, and the orders and risk gates."""
    series, risk = values["series"], values["risk"]
    per_year = years(series) if series["ensemble"]["per_year"] else _empty(tally)
    states = (
        f"{risk[f'rows_{name}']:,} {name.replace('_', '-')}" for name in ("active", "reduce_only", "halted")
    )
    reasons = ", ".join(f"{count:,} {escape(name)}" for name, count in risk["orders_by_reason"].items())
    acted = (
        bars(("Gate", "Rows", "Share"), values["verdicts"], tally.rows)
        if values["verdicts"]
        else "<p class=note>No gate acted on any row.</p>"
    )
    return (
        f"<h2>All figures</h2>{figures(series, tally.agents)}"
        "<p class=note>Ratios are of daily returns (UTC), times √365. Exposure is the mean absolute position."
        "</p>"
        f"<h2>By year</h2>{per_year}"
        f"<h2>Risk</h2><p class=note>Rows: {', '.join(states)}. {many(risk['orders'], 'order')}"
        f"{f' ({reasons})' if reasons else ''}, {risk['reduce_only_orders']:,} of them reduce-only; "
        f"halts: {number(risk['halts'], 0)}.</p>{acted}"
    )
