"""What the episodes of an evaluation came to: figures of account, learner, agents, regimes and decisions."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.state import ACTIONS
from windvane.infra.training_sessions.episodes import Told
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.trading.risk import GATES

_MOST = 5
_LONG = 2  # place of the baseline among the accounts


def portfolio(episodes: Sequence[Told]) -> dict[str, Any]:
    """The account over episodes, beside equal weights that meet the same prices, costs and gates.

    gain: mean over episodes of the difference of Sharpe ratios, with its standard error and two-sided p (paired t).
    """
    sharpe, equal = (np.array([e.sharpe(k) for e in episodes]) for k in (0, 1))
    total = np.array([e.total() for e in episodes])
    daily = np.concatenate([e.daily[:, 0] for e in episodes])
    drawdown = np.array([e.drawdown[0] for e in episodes])
    gain, error, p = _paired(sharpe - equal)
    return {
        "episodes": len(episodes),
        "steps": int(sum(len(e.label) for e in episodes)),
        "mean_sharpe_ratio": float(sharpe.mean()),
        "std_sharpe_ratio": float(sharpe.std(ddof=1)) if len(sharpe) > 1 else 0.0,
        "mean_total_return": float(total.mean()),
        "success_rate": float((total > 0).mean()),
        "mean_max_drawdown": float(drawdown.mean()),
        "worst_max_drawdown": float(drawdown.max()),
        "days_won": float((daily > 0).mean()),
        "mean_trades": float(np.mean([e.trades for e in episodes])),
        "equal_weights_mean_sharpe_ratio": float(equal.mean()),
        "gain": gain,
        "gain_standard_error": error,
        "gain_p": p,
    }


def _paired(difference: Floats) -> tuple[float, float | None, float | None]:
    from scipy.stats import t

    n, mean = len(difference), float(difference.mean())
    if n < 2 or not difference.max() > difference.min():
        return mean, None, None
    error = float(difference.std(ddof=1)) / math.sqrt(n)
    return mean, error, float(2 * t.sf(abs(mean) / error, n - 1))


def meta_learning(episodes: Sequence[Told]) -> dict[str, Any]:
    """The learner over episodes.

    regime_adaptability: share of rows that lie in regimes in which the ensemble earned more than equal weights, over
    all episodes; effective_agents: mean of 1 / sum of squared weights; accuracy where true regimes are known.
    """
    label = np.concatenate([e.label for e in episodes])
    true = np.concatenate([e.true for e in episodes])
    earned = np.concatenate([e.earned[:, :2] for e in episodes])
    shown = np.concatenate([e.posterior[np.arange(len(e.label)), e.label] for e in episodes])
    known = true >= 0
    adapted = sum(
        int((label == k).sum())
        for k in range(len(REGIMES))
        if earned[label == k, 0].sum() > earned[label == k, 1].sum()
    )
    moves = [np.abs(np.diff(e.weights, axis=0)).sum(axis=1).mean() for e in episodes if len(e.weights) > 1]
    return {
        "mean_confidence": float(np.mean([e.confidence.mean() for e in episodes])),
        "mean_regime_confidence": float(shown.mean()),
        "mean_regime_stability": float(np.mean([e.stability for e in episodes])),
        "regime_accuracy": float((label == true)[known].mean()) if known.any() else None,
        "regime_adaptability": adapted / len(label),
        "regime_changes_per_1000": 1000 * _changes(episodes) / len(label),
        "weight_change_per_tick": float(np.mean(moves)) if moves else 0.0,
        "effective_agents": float(np.mean([(1 / (e.weights**2).sum(axis=1)).mean() for e in episodes])),
    }


def _changes(episodes: Sequence[Told]) -> int:
    return int(sum((e.label[1:] != e.label[:-1]).sum() for e in episodes))


def agents(episodes: Sequence[Told]) -> dict[str, dict[str, float]]:
    """Every account alone: mean Sharpe ratio, return, drawdown; and of agents the mean weight they had.

    The baseline that is always long is told as long_1x_capital, since an agent has its usual name.
    """
    accounts = episodes[0].accounts
    names = [name.removeprefix("agent:") for name in accounts if name.startswith("agent:")]
    weight = np.mean([e.weights.mean(axis=0) for e in episodes], axis=0)
    found: dict[str, dict[str, float]] = {}
    for k, account in enumerate(accounts):
        name = account.removeprefix("agent:") if k != _LONG else "long_1x_capital"
        found[name] = {
            "mean_sharpe_ratio": float(np.mean([e.sharpe(k) for e in episodes])),
            "mean_total_return": float(np.mean([e.total(k) for e in episodes])),
            "mean_max_drawdown": float(np.mean([e.drawdown[k] for e in episodes])),
        }
        if name in names:
            found[name]["mean_weight"] = float(weight[names.index(name)])
    return found


def stability(label: Ints, window: int) -> Floats:
    """(n,) share of the last `window` rows that showed the same label as each row does."""
    hot = np.zeros((len(label) + 1, len(REGIMES)))
    hot[np.arange(1, len(label) + 1), label] = 1.0
    sums = hot.cumsum(axis=0)
    rows = np.arange(1, len(label) + 1)
    start = np.maximum(rows - window, 0)
    return (sums[rows, label] - sums[start, label]) / (rows - start)


def regimes(episodes: Sequence[Told], names: Sequence[str], window: int, threshold: float) -> dict[str, Any]:
    """By the regime shown, and by whether it was stable: rows, what a thousand ticks brought, mean weights."""

    def part(chosen: Sequence[Any]) -> dict[str, Any]:
        earned = np.concatenate([e.earned[at, :2] for e, at in zip(episodes, chosen, strict=True)])
        weight = np.concatenate([e.weights[at] for e, at in zip(episodes, chosen, strict=True)])
        if not len(earned):
            return {"rows": 0}
        ensemble, equal = (1000 * earned.mean(axis=0)).tolist()
        return {
            "rows": len(earned),
            "return_per_1000": ensemble,
            "equal_weights_return_per_1000": equal,
            "mean_weights": dict(zip(names, weight.mean(axis=0).tolist(), strict=True)),
        }

    stable = [stability(e.label, window) >= threshold for e in episodes]
    return {
        "regimes": {name: part([e.label == k for e in episodes]) for k, name in enumerate(REGIMES)},
        "stable": part(stable),
        "unstable": part([~s for s in stable]),
        "stability_threshold": threshold,
        "stability_window": window,
    }


def decisions(episodes: Sequence[Told]) -> dict[str, Any]:
    """What was decided: actions, sizes, and which gates acted in how many rows."""
    action = np.concatenate([e.action for e in episodes])
    target = np.concatenate([e.target for e in episodes])
    verdict = np.concatenate([e.verdicts for e in episodes])
    return {
        "rows": len(action),
        "actions": {name: int((action == k).sum()) for k, name in zip((-1, 0, 1), ACTIONS, strict=True)},
        "mean_size": float(np.abs(target).mean()),
        "share_long": float((target > 0).mean()),
        "share_short": float((target < 0).mean()),
        "verdicts": {
            name: int(hits) for k, name in enumerate(GATES) if (hits := int((verdict >> k & 1).sum())) > 0
        },
    }


def features(x: Sequence[Floats], scores: Sequence[Floats], names: Sequence[str]) -> dict[str, Any]:
    """Which features went with which agent's scores of the 32 ticks that followed: the largest correlations.

    x: samples of (50,); scores: of (N,). It describes these samples; it is no forecast.
    """
    if len(x) < 3:
        return {}
    a, b = np.array(x), np.array(scores)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    size = np.sqrt(np.outer((a**2).sum(axis=0), (b**2).sum(axis=0)))
    r = np.divide(a.T @ b, size, out=np.zeros_like(size), where=size > 0)
    return {
        name: {NAMES[k]: float(r[k, i]) for k in np.argsort(-np.abs(r[:, i]))[:_MOST]}
        for i, name in enumerate(names)
    }
