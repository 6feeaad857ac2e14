"""The settings of a learner as its kernel reads them."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.learning import fixed_share
from windvane.metamodel.learning.members import MEMBERS, predictor, pretrained, prior, regime


class Rules(NamedTuple):
    """N agents, M members, F features."""

    cap: float  # of one agent's weight
    minimum: int  # so many of the best agents get the floor
    aversion: float  # in units of the one that maximises the Sharpe ratio a member expects
    band: float  # of no trade, in standard deviations of the agents' targets
    eta: float  # learning rate of the members' weights
    alpha: float  # share of them that goes back to the prior, a row
    delay: int  # good rows from decision to fill
    prior: Floats  # (M,) of the members
    centre: Floats  # (F,)
    spread: Floats  # (F,)
    fit: pretrained.Fit  # of the pretrained member, on simulated markets
    simulated: regime.Simulated  # what the agents did in simulated markets
    retraining: bool  # whether the predictor is a member
    features: int  # that the contextual member and the predictor read
    rates: Floats  # (2,) of the predictor's EWMAs of scores
    cash: float  # prior of cash; 0: it takes no part


@cache
def _known_of(kinds: tuple[str, ...]) -> tuple[pretrained.Fit, regime.Simulated]:
    """What ships with the package of such agents: computed once, since a process may have hundreds of learners.

    All of them read the same arrays, and none writes to them.
    """
    known = prior.shipped()
    return prior.fitted(known, kinds), prior.simulated(known, kinds)


def new_rules(config: WeighingConfig, delay: int, scaler: FeatureScaler, kinds: Sequence[str]) -> Rules:
    """Settings of a learner of agents of these kinds; raises ValueError where the prior does not fit the members."""
    if len(config.prior) != len(MEMBERS):
        raise ValueError(f"prior has {len(config.prior)} weights: give one for each of {', '.join(MEMBERS)}")
    shares = np.array(config.prior)
    if not config.retraining:
        shares[MEMBERS.index("predictor")] = 0.0
        if shares.sum() == 0.0:
            raise ValueError("prior gives all weight to the predictor, and retraining is off: switch it on")
    fit, simulated = _known_of(tuple(kinds))
    return Rules(
        cap=config.max_agent_weight,
        minimum=config.min_diversification_agents,
        aversion=2.0 * config.weight_temperature,
        band=config.no_trade_band,
        eta=config.learning_rate,
        alpha=config.share_rate,
        delay=delay,
        prior=shares / shares.sum(),
        centre=scaler.centre,
        spread=scaler.spread,
        fit=fit,
        simulated=simulated,
        retraining=config.retraining,
        features=config.features,
        rates=predictor.rates(config.agent_history_features),
        cash=fixed_share.CASH if config.cash_expert else 0.0,
    )
