"""metrics.json: the figures of a run as one dictionary, in which a figure that does not exist is None, never NaN.

The library empyrical (`annualization=365`) computes sharpe, sortino and volatility. Its drawdown and calmar compound
returns, while capital here is fixed and PnL adds up, so max_drawdown and its ratios are computed here, from every row.
"""

from typing import Any

import msgspec
import numpy as np

from windvane.infra.report.agents import agents
from windvane.infra.report.days import Span
from windvane.infra.report.facts import Facts
from windvane.infra.report.ratios import finite, ratio, sharpe
from windvane.infra.report.significance import BLOCK, DRAWS, YEAR, gain, proof
from windvane.infra.report.tally import Tally
from windvane.streams.records import rfc3339

PREFIX = "agent:"


def moment(ts: int | None) -> str | None:
    """Return a time in UNIX ns as RFC 3339 text, such as 2024-01-31T00:00:00Z with its fraction; None for None."""
    return None if ts is None else rfc3339(np.array([ts], np.int64))[0]


def figures(span: Span, k: int) -> dict[str, Any]:
    """Return the figures of account `k` over the days of a span.

    Ratios are annualised with 365 days; returns are shares of the fixed capital. max_drawdown is the largest fall of
    the PnL; days_won and win_rate are the share of days with a return above 0; profit_factor is the sum of the gains
    over that of the losses. A figure that cannot be said, such as a ratio
    that would divide by 0, or one of no day, is None. turnover_per_day is None, for the caller to fill in.
    """
    import empyrical

    returns = span.returns[:, k]
    days = len(returns)
    total = float(returns.sum())
    worst = float(span.max_drawdown()[k])
    gains, losses = float(returns[returns > 0].sum()), -float(returns[returns < 0].sum())
    won = float(np.count_nonzero(returns > 0)) / days if days else None
    return {
        "sharpe": sharpe(returns),
        "max_drawdown": worst,
        "days_won": won,
        "turnover_per_day": None,
        "total_return": total,
        "volatility": finite(empyrical.annual_volatility(returns, annualization=YEAR)) if days > 1 else None,
        "sortino": finite(empyrical.sortino_ratio(returns, annualization=YEAR)) if days > 1 else None,
        "calmar": ratio(total / days * YEAR, worst) if days else None,
        "return_over_max_drawdown": ratio(total, worst),
        "win_rate": won,
        "profit_factor": ratio(gains, losses),
        "days": days,
    }


def _per_year(span: Span, k: int) -> dict[str, dict[str, float | None]]:
    """Return, Sharpe ratio and largest fall of account `k` in every calendar year."""
    out: dict[str, dict[str, float | None]] = {}
    for year in np.unique(span.years).tolist():
        part = span.take(span.years == year)
        returns = part.returns[:, k]
        out[str(year)] = {
            "return": float(returns.sum()),
            "sharpe": sharpe(returns),
            "max_drawdown": float(part.max_drawdown()[k]),
        }
    return out


def _series(tally: Tally, span: Span) -> dict[str, dict[str, Any]]:
    """The figures of every account, and once more those of the agent with the highest Sharpe ratio."""
    out: dict[str, dict[str, Any]] = {}
    standing, days = tally.standing, len(span.day)
    for k, account in enumerate(tally.accounts):
        one = figures(span, k)
        turnover, rows = standing.of("turnover", account), standing.of("rows", account)
        one["turnover_per_day"] = None if turnover is None else ratio(turnover, days)
        exposure = standing.of("exposure", account)
        one["exposure"] = None if exposure is None or rows is None else ratio(exposure, rows)
        for name, column in (("trades", "orders"), ("fees", "fees"), ("halts", "halts")):
            value = standing.of(column, account)
            one[name] = value if value is None or column == "fees" else round(value)
        one["per_year"] = _per_year(span, k)
        out[account] = one
    agents = [name for name in out if name.startswith(PREFIX) and out[name]["sharpe"] is not None]
    if agents:  # of those whose ratio is not known, none is the highest
        best = max(agents, key=lambda name: out[name]["sharpe"])
        out["best_agent_in_hindsight"] = {"name": best.removeprefix(PREFIX), **out[best]}
    return out


def _comparison(tally: Tally, span: Span, series: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How sure it is that the ensemble beats equal weights, and that its Sharpe ratio is above 0."""
    if not {"ensemble", "equal_weights"} <= set(tally.accounts):
        raise ValueError(
            f"accounts are {', '.join(tally.accounts)}: ensemble and equal_weights must be among them"
        )
    ensemble = span.returns[:, tally.accounts.index("ensemble")]
    equal = span.returns[:, tally.accounts.index("equal_weights")]
    difference = gain(ensemble, equal, tally.config.seed)
    looked_at = [name for name in tally.accounts if name.startswith(PREFIX)] + ["ensemble", "equal_weights"]
    ratios = [series[name]["sharpe"] for name in looked_at]
    psr, dsr = proof(ensemble, np.array([one for one in ratios if one is not None]))
    return {
        "gain": {
            "sharpe": difference.sharpe,
            "ci": [difference.low, difference.high],
            "p": difference.p,
            "days": difference.days,
            "blocks": difference.blocks,
            "block_days": BLOCK,
            "draws": DRAWS,
            "sentence": difference.sentence,
        },
        "psr": psr,
        "dsr": dsr,
        "trials": len(looked_at),
    }


def metrics(tally: Tally, facts: Facts) -> dict[str, Any]:
    """Return everything that metrics.json holds, in the order of the file.

    tally: what was counted while the events streamed by; facts: what the events do not hold.
    """
    span = tally.days.span()
    # The reader's counts win over counted dead letters, since it sends those of the first bad rows only.
    rejected = {**tally.dead, **facts.rejected}
    rejected = {r: n for r, n in sorted(rejected.items(), key=lambda item: (-item[1], item[0])) if n}
    series = _series(tally, span)
    return {
        "data": {
            "file": facts.file,
            "kind": facts.kind,
            "bars": facts.bars,
            "first": moment(tally.first),
            "last": moment(tally.last),
            "series_from": moment(tally.warm),
        },
        "simulated_notice": facts.notice,
        "preset": facts.preset,
        "ticks": tally.accepted,
        "rejected": sum(rejected.values()),
        "rejected_by_reason": rejected,
        "pipeline_seconds": facts.pipeline_seconds,
        "ticks_per_second": ratio(tally.accepted, facts.pipeline_seconds),
        "latency_us": facts.latency_us,
        "rows": {
            "total": tally.rows,
            **tally.flags,
            "holes": tally.holes,
            "longest_pause_seconds": tally.longest / 1e9,
        },
        "agents": agents(facts.config),
        "series": series,
        "confidence": tally.confidence.figures(),
        "shadows": tally.shadows.figures(facts.config),
        **_comparison(tally, span, series),
        "verdicts": dict(sorted(tally.verdicts.items(), key=lambda item: (-item[1], item[0]))),
        "risk": {
            **{f"rows_{name}": count for name, count in tally.states.items()},
            "rows_with_verdict": tally.refused,
            "halts": series["ensemble"]["halts"],
            "orders": tally.orders.total(),
            "orders_by_reason": dict(tally.orders.most_common()),
            "reduce_only_orders": tally.reduce_only,
            "fills": tally.fills,
            "controls": len(tally.controls),
        },
        "learner": {"versions": tally.outcomes.total(), **dict(sorted(tally.outcomes.items()))},
        "regime": tally.regimes.figures(),
        "notes": list(facts.notes),
        "config": msgspec.json.decode(msgspec.json.encode(facts.config)),
    }
