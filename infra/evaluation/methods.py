"""The methods of the evaluation's table; each computes the target positions (n,) that it would have followed."""

from collections.abc import Iterator

import msgspec
import numpy as np

from windvane.agents.base import Floats
from windvane.infra.evaluation import baselines
from windvane.infra.evaluation.books import agent_scores, yearly_volatility
from windvane.infra.evaluation.calibration import oracle_weights
from windvane.infra.evaluation.literal import literal
from windvane.infra.evaluation.retrained import Swaps
from windvane.infra.evaluation.rows import Rows
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import MEMBERS
from windvane.metamodel.learning.netting import follow
from windvane.metamodel.settings.presets import PRESETS, made

EQUAL, BEST, OURS, ORACLE = "equal weights", "best agent in hindsight", "ours", "oracle"
EQUAL_BAND, NO_BAND = "equal weights + band", "ours without the band"
VOLATILITY, CASH = "ours + volatility target", "ours + cash"
OPTIONS = (NO_BAND, VOLATILITY, CASH, *(f"preset {preset}" for preset in PRESETS))
TARGET: float = PRESETS["conservative"]["volatility_target"]
"""Annualised volatility that the conservative preset aims at, the only preset with such an aim."""


def names(simulated: bool, retraining: bool = False) -> tuple[str, ...]:
    """Return the names of all methods, in the order of the table.

    simulated: whether true regimes are known, which the oracle needs; retraining: whether the predictor takes part.
    """
    taking_part = MEMBERS if retraining else MEMBERS[:-1]
    singles = tuple(f"{m} alone" for m in taking_part if m != "equal")
    without = tuple(f"ours without {m}" for m in taking_part)
    known = ("hedge", "fixed share over agents", "ewma sharpe", "the guide, literally")
    ours = (OURS, *OPTIONS, *singles, *without)
    return (EQUAL, BEST, *known, EQUAL_BAND, *ours, *((ORACLE,) if simulated else ()))


def targets(rows: Rows, swaps: Swaps | None = None) -> Iterator[tuple[str, Floats]]:
    """Yield name and targets (n,) of every method on one market, except the best agent in hindsight.

    rows: the market; swaps: the versions of the predictor and the rows from which they are used, as `versions` returns
    them, or None to leave the predictor out.
    """
    gn, s = np.zeros_like(rows.target), np.empty(len(rows.mid))
    delay, plain = rows.costs.delay, WeighingConfig()
    agent_scores(delay, rows.mid, rows.cost, rows.warm, rows.target, gn, s)

    def followed(w: Floats) -> Floats:
        return np.asarray((w * rows.target).sum(axis=1))

    def traded(w: Floats, band: float = plain.no_trade_band) -> Floats:
        return np.asarray(follow(w, rows.target, band))

    even = np.full_like(rows.target, 1.0 / len(rows.agents))
    yield EQUAL, followed(even)
    yield EQUAL_BAND, traded(even)
    yield "hedge", followed(baselines.hedge(gn))
    yield "fixed share over agents", followed(baselines.shared(gn))
    yield "ewma sharpe", followed(baselines.ewma_sharpe(gn))
    yield "the guide, literally", followed(literal(rows))
    prior = np.array(plain.prior)
    weights = mixture(rows, prior, swaps)
    yield OURS, traded(weights)
    yield NO_BAND, followed(weights)
    yield from _options(rows, weights, swaps)
    for j, name in enumerate(MEMBERS if swaps is not None else MEMBERS[:-1]):
        alone = np.eye(len(MEMBERS))[j]
        if name != "equal":
            yield f"{name} alone", traded(mixture(rows, alone, swaps))
        yield f"ours without {name}", traded(mixture(rows, prior * (1.0 - alone), swaps))
    if rows.regime is not None:
        first = rows.first
        w = oracle_weights(gn[first:], rows.regime[first - 1 - delay : len(gn) - 1 - delay])
        yield ORACLE, followed(w[rows.regime])


def _options(rows: Rows, weights: Floats, swaps: Swaps | None) -> Iterator[tuple[str, Floats]]:
    """Name and targets of options that the default leaves off, and of the presets.

    A preset counts with its way to weigh and its volatility target, without its risk limits. weights: (n, N) of the
    default, which two of the options scale instead of weighing anew.
    """
    year = yearly_volatility(rows)

    def scaled(target: Floats, aim: float | None) -> Floats:
        return target if aim is None else target * np.minimum(1.0, aim / year)

    plain = WeighingConfig(retraining=swaps is not None)
    followed = {plain: follow(weights, rows.target, plain.no_trade_band)}
    yield VOLATILITY, scaled(followed[plain], TARGET)
    options: list[tuple[str, WeighingConfig, float | None]] = [
        (CASH, msgspec.structs.replace(plain, cash_expert=True), None)
    ]
    for preset in PRESETS:
        config = made(preset, custom_params={"performance_prediction_enabled": swaps is not None})
        options.append((f"preset {preset}", config.weighing(), config.volatility_target))
    for name, weighing, aim in options:
        if weighing not in followed:
            mixed = weighed(rows, weighing, swaps)
            followed[weighing] = follow(mixed, rows.target, weighing.no_trade_band)
        yield name, scaled(followed[weighing], aim)


def mixture(rows: Rows, prior: Floats, swaps: Swaps | None = None) -> Floats:
    """Return the weights (n, N) of the default learner with another prior (M,) over its members; see `weighed`."""
    return weighed(rows, WeighingConfig(prior=tuple(prior.tolist()), retraining=swaps is not None), swaps)


def weighed(rows: Rows, config: WeighingConfig, swaps: Swaps | None = None) -> Floats:
    """Return the weights (n, N) that a new learner with these settings has at every row of a market.

    swaps: versions of the predictor, and the rows from which they are used; None where it takes no part.
    """
    manager = MetaLearningEnsembleManager(rows.agents, config, delay=rows.costs.delay)
    cost, steps, at = rows.cost, [], 0
    for start, raw in (*(swaps or ()), (len(rows.mid), b"")):
        stop = min(start, len(rows.mid))
        now, at = slice(at, stop), stop
        steps.append(
            manager.step(
                rows.x[now], rows.mid[now], rows.target[now], cost[now], rows.warm[now], rows.posterior[now]
            )
        )
        if raw:
            manager.swap_predictor(raw)
    return np.concatenate(steps)
