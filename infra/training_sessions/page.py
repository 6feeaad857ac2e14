"""The page of an evaluation: every figure beside its baseline and its uncertainty. It needs no network."""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from windvane.infra.report.frame import frame
from windvane.infra.report.pieces import NONE, bars, many, number, percent, table
from windvane.infra.report.significance import expected_maximum
from windvane.infra.training_sessions.adaptation import WINDOW
from windvane.infra.training_sessions.episodes import EpisodeResult
from windvane.infra.training_sessions.plots import figures
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.features.extractor import NAMES

_SURE = 0.05


def page(results: dict[str, Any], episodes: Sequence[EpisodeResult]) -> str:
    """Return the page of an evaluation as HTML with plotly's script inside; the arguments are those of `figures`."""
    drawn = figures(results, episodes)

    def chart(name: str) -> str:
        return f'<div class=chart id={name} style="height:{drawn[name].layout.height}px"></div>'

    parts = (
        _head(results),
        _accounts(results, chart("accounts")),
        "<h2>Equity</h2><p class=note>Profit and loss after costs, mean over episodes; every episode begins with no "
        f"position.</p>{chart('equity')}",
        "<h2>Drawdown</h2><p class=note>Fall below the highest profit of the episode so far, mean over episodes.</p>"
        f"{chart('drawdown')}",
        "<h2>Gain by episode</h2><p class=note>One count an episode; the dashed line is no gain.</p>"
        f"{chart('gains')}",
        _adaptation(results["meta_learning_metrics"], chart("adaptation")),
        _regimes(results, chart("weights"), chart("returns")),
        _decisions(results, chart("actions")),
        _features(results, chart("features") if "features" in drawn else ""),
        _figures(results),
    )
    return frame(
        f"Evaluation of {results['model']}", f"{_origin(results)}<main>{''.join(parts)}</main>", drawn
    )


def _with_error(
    value: float | None, error: float | None, form: Callable[[float | None], str] = number
) -> str:
    """A figure and one standard error."""
    return form(value) if error is None or value is None else f"{form(value)} ± {form(error).lstrip('+')}"


def _signed(value: float | None) -> str:
    """A number with two decimals and its sign."""
    return NONE if value is None else f"{value:+,.2f}".replace("-", "−")


def _short(value: float | None) -> str:
    """A number with three digits."""
    return NONE if value is None else f"{value:,.3g}".replace("-", "−")


def _origin(results: dict[str, Any]) -> str:
    """The line at the very top: which data these are, how many, and what trading costs there."""
    told, costs = results["portfolio_metrics"], results["costs"]
    late = (
        "orders fill at once" if costs["delay"] == 0 else f"orders fill {many(costs['delay'], 'row')} later"
    )
    parts = (
        f"<b>{escape(results['data'].upper())}</b>",
        f"market {escape(results['market'])}",
        f"{many(told['episodes'], 'episode')} of {told['steps'] // told['episodes']:,} rows, never trained on",
        f"fee {costs['fee_bp']:g} bp, half the spread as quoted",
        late,
    )
    return f'<div class="origin simulated"><p>{" · ".join(parts)}</p></div>'


def _head(results: dict[str, Any]) -> str:
    """The title, and how sure the gain over equal weights is."""
    told = results["portfolio_metrics"]
    if told["gain_p"] is None:
        sure = f"Gain {_signed(told['gain'])}; a standard error takes two episodes whose gains differ"
    else:
        better = "better" if told["gain"] > 0 else "worse"
        verdict = f"{better} than equal weights" if told["gain_p"] < _SURE else "not proven"
        chance = f"p = {told['gain_p']:.3f}" if told["gain_p"] >= 0.001 else "p &lt; 0.001"
        error = number(told["gain_standard_error"])
        sure = (
            f"Gain {_signed(told['gain'])} ± {error} (one standard error over {many(told['episodes'], 'episode')}, "
            f"{chance}): {verdict} on these markets"
        )
    return (
        f"<h1>On SIMULATED markets the ensemble came to a Sharpe ratio of {number(told['mean_sharpe_ratio'])} a year; "
        f"equal weights to {number(told['equal_weights_mean_sharpe_ratio'])}</h1>"
        f"<p class=lead>{sure}.</p><p><strong>{escape(results['data'])}: {escape(results['notice'])}.</strong></p>"
        f"<p class=note>{escape(results['model'])} · trained: {escape(results['trained'])}</p>"
    )


def _accounts(results: dict[str, Any], chart: str) -> str:
    """Every account with its errors: the ensemble, the baselines, and each agent alone."""
    head = (
        *("Account", "Sharpe ratio a year", "Gain over equal weights", "Return, % of capital"),
        *("Max drawdown, % of capital", "Mean weight", "Turnover, × capital", "Fees, % of capital"),
    )
    rows = [
        (
            escape(name.replace("_", " ")),
            _with_error(one["mean_sharpe_ratio"], one["sharpe_ratio_standard_error"]),
            NONE
            if name == "equal_weights"
            else _with_error(one["gain"], one["gain_standard_error"], _signed),
            _with_error(one["mean_total_return"], one["total_return_standard_error"], percent),
            percent(one["mean_max_drawdown"]),
            percent(one.get("mean_weight"), 0),
            number(one["mean_turnover"], 1),
            percent(one["mean_fees"], 2),
        )
        for name, one in results["agent_comparison"].items()
    ]
    return (
        "<h2>Accounts and agents</h2><p class=note>Means over episodes ± one standard error. All accounts meet the "
        "same prices, costs and risk gates; the weight is the ensemble's in that agent; half the spread is in the "
        f"prices of fills, not in the fees.</p>{table(head, rows, lead=1)}{chart}"
    )


def _adaptation(told: dict[str, Any], chart: str) -> str:
    """How far and how fast the weights follow a switch of the true regime."""
    share, error, rows = (
        told[name]
        for name in ("regime_adaptability", "regime_adaptability_standard_error", "adaptation_rows")
    )
    if math.isnan(share):
        sentence = (
            "It cannot be said: that takes a switch of the true regime to one that another episode has, too"
        )
    else:
        speed = (
            "how fast cannot be told, since what is back at the end is not surely above 0"
            if rows is None
            else f"half of what comes back is back after {rows:,} rows"
        )
        sure = NONE if error is None else percent(error)
        sentence = (
            f"{percent(share)} ± {sure} (one standard error) of what was lost is back over the first {WINDOW} rows "
            f"after a switch of the true regime, of which there were {told['regime_switches']:,}; {speed}"
        )
    return (
        f"<h2>Adapting to another regime</h2><p class=lead>{sentence}.</p><p class=note>Lost is what the agent whom "
        "the new regime favours most would bring above the weights that stood at the switch; back is what moving the "
        "weights brought of it. Weights that stay have 0 %, all weight on that agent at once has 100 %; a limit on "
        f"weights (max_agent_weight) keeps an ensemble below that.</p>{chart}"
    )


def _regimes(results: dict[str, Any], weights: str, returns: str) -> str:
    """What the ensemble did in each regime shown, and whom it believed."""
    analysis = results["regime_analysis"]
    head = (
        *("Regime shown", "Rows", "Return of 1,000 rows, % of capital", "Equal weights"),
        "Difference ± one standard error",
    )
    rows_of = [
        *((name.replace("_", " "), analysis["regimes"][name]) for name in REGIMES),
        (f"stable (stability {analysis['stability_threshold']:g} or more)", analysis["stable"]),
        ("unstable", analysis["unstable"]),
    ]
    rows = [
        (
            escape(name),
            f"{one['rows']:,}",
            percent(one["return_per_1000"], 2),
            percent(one["equal_weights_return_per_1000"], 2),
            _with_error(one["gain_per_1000"], one["gain_per_1000_standard_error"], lambda v: percent(v, 2)),
        )
        for name, one in rows_of
        if one["rows"]
    ]
    return (
        f"<h2>By regime</h2>{table(head, rows)}{returns}<h3>Whom the ensemble believed</h3>"
        f"<p class=note>Mean weight of each agent in the rows of a regime shown; equal weights have "
        f"{percent(1 / len(_agents(results)), 0)} each.</p>{weights}"
    )


def _agents(results: dict[str, Any]) -> list[str]:
    """The names of the agents."""
    return [name for name, one in results["agent_comparison"].items() if "mean_weight" in one]


def _decisions(results: dict[str, Any], chart: str) -> str:
    """What was decided, and which risk gates acted."""
    told = results["decision_analysis"]
    acted = (
        bars(("Gate", "Rows", "Share"), told["verdicts"], told["rows"])
        if told["verdicts"]
        else "<p class=note>No gate acted on any row.</p>"
    )
    return (
        f"<h2>Decisions</h2><p class=note>Mean position {percent(told['mean_size'])} of capital; long in "
        f"{percent(told['share_long'])} and short in {percent(told['share_short'])} of {told['rows']:,} rows.</p>"
        f"{chart}<h3>Risk gates</h3>{acted}"
    )


def _features(results: dict[str, Any], chart: str) -> str:
    """Which features went with which agent's scores, where the settings ask for it."""
    if "feature_analysis" not in results:
        return ""
    n = results["feature_samples"]
    if not chart:
        return (
            f"<h2>Features</h2><p class=note>{many(n, 'sample')} of 32 rows: it takes three to correlate.</p>"
        )
    luck = expected_maximum(1.0 / n, 2 * len(NAMES))
    return (
        f"<h2>Features</h2><p class=note>The five of {len(NAMES)} features whose correlation with each agent's scores "
        f"of the 32 rows that followed is largest, over {n:,} samples. One correlation has a standard error of about "
        f"{number(1 / math.sqrt(n))}, and without any link the largest of {len(NAMES)} would come to about "
        f"{number(luck)}. They describe these samples and forecast nothing.</p>{chart}"
    )


_MEANING = {
    "success_rate": ("equal_weights_success_rate", "share of episodes with a return above 0"),
    "days_won": (None, "share of UTC days with a return above 0"),
    "std_sharpe_ratio": (None, "standard deviation of the episodes' Sharpe ratios"),
    "worst_max_drawdown": (None, "largest drawdown of any episode, share of capital"),
    "mean_trades": (None, "fills of an episode"),
    "regime_accuracy": ("most_frequent_regime", "share of rows whose true regime is shown"),
    "regime_adaptability": (0.0, f"share back of what was lost in {WINDOW} rows after a switch"),
    "regime_changes_per_1000": (None, "changes of the regime shown in 1,000 rows"),
    "mean_regime_confidence": (1 / len(REGIMES), "probability of the regime shown"),
    "mean_regime_stability": (None, "share of the last rows with the regime of the last one"),
    "mean_confidence": (None, "the agents' own, by their weights"),
    "weight_change_per_tick": (0.0, "sum of what all weights moved in a row"),
    "effective_agents": ("agents", "1 / sum of squared weights"),
}
"""For each further figure its baseline (a key, or a number; None where there is none), and what it is."""


def _figures(results: dict[str, Any]) -> str:
    """The other figures, each with its standard error and its baseline where it has them."""
    told = {**results["portfolio_metrics"], **results["meta_learning_metrics"]}
    told["agents"] = float(len(_agents(results)))
    rows = []
    for name, (baseline, meaning) in _MEANING.items():
        value = told[name]
        if value is None or math.isnan(value):
            continue
        beside = told[baseline] if isinstance(baseline, str) else baseline
        error = told.get(f"{name}_standard_error")
        title = f"{escape(name.replace('_', ' '))} <span class=note>{escape(meaning)}</span>"
        rows.append((title, _with_error(value, error, _short), _short(beside)))
    return f"<h2>Further figures</h2>{table(('Figure', 'Value ± one standard error', 'Baseline'), rows)}"
