"""Computes the figures of an evaluation from its episodes: account, learner, agents, regimes and decisions."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.state import ACTIONS
from windvane.infra.training_sessions.adaptation import adaptation
from windvane.infra.training_sessions.episodes import EpisodeResult
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.trading.risk import GATES

_MOST = 5
_EQUAL, _LONG = 1, 2  # places of the baselines among the accounts
_AGENTS = 3  # place of the first agent's account


def portfolio(episodes: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Return the figures of the ensemble's account over episodes, beside those of equal weights.

    Equal weights trade at the same prices and costs, and through the same risk gates. Sharpe ratios are annualised,
    returns and drawdowns are in units of capital, success_rate is the share of episodes with a return above 0.

    gain: mean over episodes of the difference of Sharpe ratios, with its standard error and two-sided p (paired t).
    Means are over the episodes whose ratio is known, as it is of two days or more; None where it is of none.
    """
    sharpe, equal = (np.array([e.sharpe(k) for e in episodes]) for k in (0, _EQUAL))
    total, even = (np.array([e.total(k) for e in episodes]) for k in (0, _EQUAL))
    daily = np.concatenate([e.daily[:, 0] for e in episodes])
    drawdown = np.array([e.drawdown[0] for e in episodes])
    gain, error, p = _paired(sharpe - equal)
    return {
        "episodes": len(episodes),
        "steps": int(sum(len(e.label) for e in episodes)),
        "mean_sharpe_ratio": _mean(sharpe),
        "std_sharpe_ratio": _deviation(sharpe),
        "mean_total_return": float(total.mean()),
        "success_rate": float((total > 0).mean()),
        "success_rate_standard_error": _paired((total > 0).astype(float))[1],
        "mean_max_drawdown": float(drawdown.mean()),
        "worst_max_drawdown": float(drawdown.max()),
        "days_won": float((daily > 0).mean()),
        "mean_trades": float(np.mean([e.trades for e in episodes])),
        "equal_weights_mean_sharpe_ratio": _mean(equal),
        "equal_weights_success_rate": float((even > 0).mean()),
        "gain": gain,
        "gain_standard_error": error,
        "gain_p": p,
    }


def _mean(values: Floats) -> float | None:
    """Mean of those values (E,) that are known, which NaN is not; None where none is."""
    found = values[~np.isnan(values)]
    return float(found.mean()) if len(found) else None


def _deviation(values: Floats) -> float | None:
    """Standard deviation (ddof 1) of those values (E,) that are known; None of fewer than two."""
    found = values[~np.isnan(values)]
    return float(found.std(ddof=1)) if len(found) > 1 else None


def _paired(values: Floats) -> tuple[float | None, float | None, float | None]:
    """Mean of the known values (E,), its standard error, and p of a t test that it is 0; None for what is not known."""
    from scipy.stats import t

    values = values[~np.isnan(values)]
    if not len(values):
        return None, None, None
    n, mean = len(values), float(values.mean())
    if n < 2 or not values.max() > values.min():
        return mean, None, None
    error = float(values.std(ddof=1)) / math.sqrt(n)
    return mean, error, float(2 * t.sf(abs(mean) / error, n - 1))


def _pooled(sums: Sequence[float], counts: Sequence[int]) -> tuple[float, float | None]:
    """The sum of all episodes over their count, and its standard error over episodes (E,); None for fewer than two."""
    y, n = np.array(sums, float), np.array(counts, float)
    ratio, episodes = y.sum() / n.sum(), int((n > 0).sum())
    if episodes < 2:
        return float(ratio), None
    spread = ((y - ratio * n) ** 2).sum() * episodes / (episodes - 1)
    return float(ratio), math.sqrt(spread) / float(n.sum())


def meta_learning(episodes: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Return figures of the learner over episodes: confidence, regimes and weights.

    effective_agents: mean of 1 / sum of squared weights. regime_accuracy, where true regimes are known: of the regimes
    shown, with its standard error, and most_frequent_regime, what is right for whoever always says the commonest one.
    """
    label = np.concatenate([e.label for e in episodes])
    true = np.concatenate([e.true for e in episodes])
    shown = np.concatenate([e.posterior[np.arange(len(e.label)), e.label] for e in episodes])
    counts = np.bincount(true[true >= 0], minlength=len(REGIMES))
    right = [int((e.label == e.true)[e.true >= 0].sum()) for e in episodes]
    accuracy = _pooled(right, [int((e.true >= 0).sum()) for e in episodes]) if counts.any() else (None, None)
    moves = [np.abs(np.diff(e.weights, axis=0)).sum(axis=1).mean() for e in episodes if len(e.weights) > 1]
    return {
        "mean_confidence": float(np.mean([e.confidence.mean() for e in episodes])),
        "mean_regime_confidence": float(shown.mean()),
        "mean_regime_stability": float(np.mean([e.stability for e in episodes])),
        "regime_accuracy": accuracy[0],
        "regime_accuracy_standard_error": accuracy[1],
        "most_frequent_regime": float(counts.max() / counts.sum()) if counts.any() else None,
        "regime_changes_per_1000": 1000 * _changes(episodes) / len(label),
        "weight_change_per_tick": float(np.mean(moves)) if moves else None,
        "effective_agents": float(np.mean([(1 / (e.weights**2).sum(axis=1)).mean() for e in episodes])),
    }


def adapting(episodes: Sequence[EpisodeResult]) -> tuple[dict[str, Any], dict[str, list[float | None]]]:
    """Return the figures of how weights follow switches of the true regime, and their curve: see `adaptation`."""
    return adaptation(
        [e.true for e in episodes], [e.weights for e in episodes], [e.earned[:, _AGENTS:] for e in episodes]
    )


def _changes(episodes: Sequence[EpisodeResult]) -> int:
    """How often the regime shown changed from one row to the next, over all episodes."""
    return int(sum((e.label[1:] != e.label[:-1]).sum() for e in episodes))


def agents(episodes: Sequence[EpisodeResult]) -> dict[str, dict[str, float | None]]:
    """Return the figures of every account, means over episodes with standard errors where there are two or more.

    Returns, drawdowns, turnover and fees are those of an episode, in units of capital; gain is the difference of Sharpe
    ratios to equal weights on the same market; agents have the mean of their weight, too. The account that is always
    long is named long_1x_capital here, since "buy_and_hold" is the name of an agent.
    """
    weight = np.mean([e.weights.mean(axis=0) for e in episodes], axis=0)
    equal = np.array([e.sharpe(_EQUAL) for e in episodes])
    by_account: dict[str, dict[str, float | None]] = {}
    for k, account in enumerate(episodes[0].accounts):
        name = account.removeprefix("agent:") if k != _LONG else "long_1x_capital"
        sharpe = np.array([e.sharpe(k) for e in episodes])
        told = {
            "sharpe": _paired(sharpe),
            "gain": _paired(sharpe - equal),
            "return": _paired(np.array([e.total(k) for e in episodes])),
        }
        by_account[name] = {
            "mean_sharpe_ratio": told["sharpe"][0],
            "sharpe_ratio_standard_error": told["sharpe"][1],
            "gain": told["gain"][0],
            "gain_standard_error": told["gain"][1],
            "mean_total_return": told["return"][0],
            "total_return_standard_error": told["return"][1],
            "mean_max_drawdown": float(np.mean([e.drawdown[k] for e in episodes])),
            "mean_turnover": float(np.mean([e.turnover[k] for e in episodes])),
            "mean_fees": float(np.mean([e.fees[k] for e in episodes])),
        }
        if k >= _AGENTS:
            by_account[name]["mean_weight"] = float(weight[k - _AGENTS])
    return by_account


def stability(label: Ints, window: int) -> Floats:
    """Return for each row the share of the last `window` rows, itself included, with the same label as it: (n,).

    label: (n,) index of the regime shown.
    """
    hot = np.zeros((len(label) + 1, len(REGIMES)))
    hot[np.arange(1, len(label) + 1), label] = 1.0
    sums = hot.cumsum(axis=0)
    rows = np.arange(1, len(label) + 1)
    start = np.maximum(rows - window, 0)
    return (sums[rows, label] - sums[start, label]) / (rows - start)


def regimes(
    episodes: Sequence[EpisodeResult], names: Sequence[str], window: int, threshold: float
) -> dict[str, Any]:
    """Return figures for each regime shown, and for stable and unstable rows.

    Each has the number of rows, the mean return of 1,000 rows (units of capital) of ensemble and equal weights, their
    difference with its standard error over episodes, and the mean weight of every agent. names: of the agents; a row is
    stable where `stability` over `window` rows is `threshold` or more.
    """

    def part(chosen: Sequence[Any]) -> dict[str, Any]:
        rows = [len(e.label[at]) for e, at in zip(episodes, chosen, strict=True)]
        if not sum(rows):
            return {"rows": 0}
        earned = [e.earned[at, :2].sum(axis=0) for e, at in zip(episodes, chosen, strict=True)]
        weight = np.concatenate([e.weights[at] for e, at in zip(episodes, chosen, strict=True)])
        ensemble, equal = (1000 * np.sum(earned, axis=0) / sum(rows)).tolist()
        gain, error = _pooled([1000 * float(ours - even) for ours, even in earned], rows)
        return {
            "rows": sum(rows),
            "return_per_1000": ensemble,
            "equal_weights_return_per_1000": equal,
            "gain_per_1000": gain,
            "gain_per_1000_standard_error": error,
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


def decisions(episodes: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Return how often each action was decided, the sizes of positions, and in how many rows each gate acted."""
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
    """Return for each agent the five features that correlate most with its scores of the 32 ticks that followed.

    x: samples of features, (50,) each; scores: as many samples of scores, (N,) each; names: of the agents. The
    correlations describe these samples and forecast nothing. {} for fewer than three samples.
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
