"""Whom to believe: scores every agent and member, learns, and gives weights. One call a good row, O(1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.features import selection
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.features.scaler import FeatureScaler, scale_row
from windvane.metamodel.learning import fixed_share, heading, netting, scores
from windvane.metamodel.learning.members import (
    MEMBERS,
    contextual,
    predictor,
    pretrained,
    prior,
    prod,
    regime,
)
from windvane.metamodel.learning.simplex import equal, project

_COV = 1.0 - 0.5 ** (1.0 / 2000.0)
_SMOOTH = 0.25
_TREND = NAMES.index("trend_128")
_EQUAL, _PROD, _CONTEXTUAL, _PRETRAINED, _REGIME, _PREDICTOR = range(6)
_PREDICTING = (_CONTEXTUAL, _PRETRAINED, _REGIME)


class Rules(NamedTuple):
    """The settings that the kernel reads."""

    cap: float
    minimum: int
    aversion: float  # in units of the one that maximises the Sharpe ratio a member expects
    band: float  # of no trade, in standard deviations of the agents' targets
    eta: float
    alpha: float
    delay: int
    prior: Floats  # (M,)
    centre: Floats  # (F,)
    spread: Floats  # (F,)
    fit: pretrained.Fit  # on simulated markets
    moments: regime.Moments  # of the agents in simulated markets
    retraining: bool
    features: int  # that the contextual member and the predictor read
    memory: Floats  # (2,) of the predictor
    cash: float  # prior of cash; 0: it takes no part


class Learner(NamedTuple):
    """State of the learner; N agents, M members, F features, K regimes, R = delay + 3."""

    market: scores.Market
    prod: prod.Prod
    contextual: contextual.Contextual
    pretrained: pretrained.Pretrained
    regime: regime.Conditional
    posteriors: Floats  # (R, K) ring of the regimes' posteriors
    predictor: predictor.Predictor
    targets: Floats  # (R, N) ring of the agents' targets
    member_targets: Floats  # (R, M) ring of the members' targets
    gn: Floats  # (N,) scores of the last good row
    member_score: Floats  # (M,)
    fast: Floats  # (N,) EWMAs of gn
    slow: Floats  # (N,)
    S: Floats  # (N, N) EWMA covariance of gn
    cumulated: Floats  # (64, N) ring of running sums of gn
    w: Floats  # (M, N) weights of every member
    best: Floats  # (M, N) where the members that predict are heading
    expects: Floats  # (M, 2) EWMAs of the mean and the variance that a member expects of what it heads for
    share: Floats  # (M,) weights of the members
    square: Floats  # (M,)
    cash: Floats  # (1,) weight of cash beside the mixture
    weights: Floats  # (N,) the mixture; they sum to what is not cash
    calm: Floats  # (25,) slow averages of scaled features
    chosen: Floats  # (G,) scratch: the features that are read
    z: Floats  # (F,) scratch: scaled features
    x: Floats  # (D,) scratch: regressors of the contextual member
    y: Floats  # (E,) scratch: of the pretrained one
    v: Floats  # (N,) scratch
    box: Floats  # (3, N) scratch
    totals: Floats  # (N + M,) sums of scores since the start


def new_rules(config: WeighingConfig, delay: int, scaler: FeatureScaler, agents: Sequence[str]) -> Rules:
    """Settings of a learner."""
    if len(config.prior) != len(MEMBERS):
        raise ValueError(f"prior has {len(config.prior)} weights: give one for each of {', '.join(MEMBERS)}")
    shares = np.array(config.prior)
    if not config.retraining:
        shares[_PREDICTOR] = 0.0
        if shares.sum() == 0.0:
            raise ValueError("prior gives all weight to the predictor, and retraining is off: switch it on")
    return Rules(
        config.max_agent_weight,
        config.min_diversification_agents,
        2.0 * config.weight_temperature,
        config.no_trade_band,
        config.learning_rate,
        config.share_rate,
        delay,
        shares / shares.sum(),
        scaler.centre,
        scaler.spread,
        prior.fitted(prior.shipped(), agents),
        prior.moments_of(prior.shipped(), agents),
        config.retraining,
        config.features,
        predictor.memory(config.agent_history_features),
        fixed_share.CASH if config.cash_expert else 0.0,
    )


def new_learner(names: Sequence[str], rules: Rules) -> Learner:
    """A learner that has seen nothing of these agents but what ships: equal weights, and the prior over members."""
    agents, members, ring = len(names), len(MEMBERS), rules.delay + 3
    d = contextual.regressors(rules.features, agents)
    even = equal(np.ones(agents, np.int64))
    return Learner(
        market=scores.new_market(),
        prod=prod.Prod.new(agents),
        contextual=contextual.Contextual.new(d, agents),
        pretrained=pretrained.Pretrained.new(rules.fit),
        regime=regime.Conditional.new(agents),
        posteriors=np.zeros((ring, len(REGIMES))),
        predictor=predictor.new(rules.features, agents, rules.retraining),
        targets=np.zeros((ring, agents)),
        member_targets=np.zeros((ring, members)),
        gn=np.zeros(agents),
        member_score=np.zeros(members),
        fast=np.zeros(agents),
        slow=np.zeros(agents),
        S=np.eye(agents),
        cumulated=np.zeros((64, agents)),
        w=np.tile(even, (members, 1)),
        best=np.tile(even, (members, 1)),
        expects=np.tile(np.array(heading.USUAL), (members, 1)),
        share=rules.prior.copy(),
        square=np.ones(members),
        cash=np.array([rules.cash]),
        weights=even.copy(),
        calm=np.zeros(selection.SLOW),
        chosen=np.zeros(rules.features),
        z=np.zeros(len(rules.centre)),
        x=np.zeros(d),
        y=np.zeros(pretrained.regressors(agents)),
        v=np.zeros(agents),
        box=np.zeros((3, agents)),
        totals=np.zeros(agents + members),
    )


@inlined
def learn(m: Learner, rules: Rules, mid: float, cost: float, warm: bool, awake: Ints) -> None:
    """Score the last decisions on a good row, then learn from the scores."""
    good = m.market.seen[0]
    r, s, past_cost = scores.observe(m.market, mid, cost, warm)
    if not warm:
        return
    n = m.gn.shape[0]
    scores.score(m.targets, good, rules.delay, r, s, past_cost, m.gn)
    scores.score(m.member_targets, good, rules.delay, r, s, past_cost, m.member_score)
    for i in range(n):
        if awake[i]:
            m.fast[i] += contextual.FAST * (m.gn[i] - m.fast[i])
            m.slow[i] += contextual.SLOW * (m.gn[i] - m.slow[i])
        else:
            m.gn[i] = 0.0
        m.cumulated[good % 64, i] = m.cumulated[(good - 1) % 64, i] + m.gn[i]
        m.totals[i] += m.gn[i]
    for i in range(n):
        for j in range(n):
            if awake[i] and awake[j]:
                deviation = (m.gn[i] - m.slow[i]) * (m.gn[j] - m.slow[j])
                m.S[i, j] += _COV * (deviation - m.S[i, j])
    for i in range(m.share.shape[0]):
        m.totals[n + i] += m.member_score[i]
    predictor.remember(m.predictor.fast, m.predictor.slow, rules.memory, m.gn, awake)
    prod.learn(m.prod, m.gn, awake, m.w[_PROD])
    regime.learn(m.regime, m.posteriors[(good - 1 - rules.delay) % m.posteriors.shape[0]], m.gn, awake)
    growth = fixed_share.learn(m.member_score, m.square, rules.prior, rules.eta, rules.alpha, m.share)
    m.cash[0] = fixed_share.idle(growth, rules.cash, rules.alpha, m.cash[0])


@inlined
def weigh(m: Learner, rules: Rules, features: Floats, p: Floats, a: Floats, warm: bool, awake: Ints) -> None:
    """Weights for this good row from features (F,), regimes' posterior p (K,) and the agents' targets a (N,)."""
    good = m.market.seen[0] - 1  # of the row that `learn` took in
    n, members = a.shape[0], m.share.shape[0]
    count = 0
    for i in range(n):
        count += awake[i]
    for i in range(n):
        m.w[_EQUAL, i] = awake[i] / count if count > 0 else 0.0
    if warm:
        prod.weigh(m.prod, awake, m.v)
        project(m.v, awake, rules.cap, rules.minimum, m.box, m.w[_PROD])
        if good % contextual.EVERY == 0:
            _predict(m, rules, features, p, a, good, awake)
            if count > 0:  # where nobody is awake, the weights of before are where to go on from
                _head(m, rules, _CONTEXTUAL, features, m.contextual.mu, m.S, awake, m.best[_CONTEXTUAL])
                _head(
                    m, rules, _PRETRAINED, features, m.pretrained.mu, m.regime.S, awake, m.best[_PRETRAINED]
                )
                _head(m, rules, _REGIME, features, m.regime.mu, m.regime.S, awake, m.best[_REGIME])
        for j in _PREDICTING:
            for i in range(n):
                m.w[j, i] += _SMOOTH * (m.best[j, i] - m.w[j, i])
            if 0 < count < n:
                m.v[:] = m.w[j]
                project(m.v, awake, rules.cap, rules.minimum, m.box, m.w[j])
        if rules.retraining:
            _predictor(m, rules, features, p, a, good, awake)
    ring = m.targets.shape[0]
    m.posteriors[good % ring, :] = p
    for i in range(n):
        m.v[i] = 0.0
        for j in range(members):
            m.v[i] += m.share[j] * m.w[j, i]
    project(m.v, awake, rules.cap, rules.minimum, m.box, m.weights)
    for i in range(n):
        m.weights[i] *= 1.0 - m.cash[0]
        m.targets[good % ring, i] = a[i]
    for j in range(members):
        target = netting.weighted(m.w[j], a)
        if count == 0:  # nobody to follow: every member holds
            target = m.member_targets[(good - 1) % ring, j]
        m.member_targets[good % ring, j] = target


@inlined
def _predict(
    m: Learner, rules: Rules, features: Floats, p: Floats, a: Floats, good: int, awake: Ints
) -> None:
    """Learn from the predictions of 32 good rows ago, then predict again."""
    now, ago = contextual.slot(good), contextual.slot(good - contextual.HORIZON)
    if m.market.seen[1] > contextual.HORIZON:
        for i in range(a.shape[0]):
            total = m.cumulated[good % 64, i] - m.cumulated[(good - contextual.HORIZON) % 64, i]
            m.v[i] = total / contextual.HORIZON
        contextual.learn(m.contextual, m.contextual.past[ago], m.v, awake, contextual.FORGET)
        pretrained.learn(m.pretrained, ago, m.v, awake)
    scale_row(features, rules.centre, rules.spread, m.z)
    selection.select(m.z, m.calm, m.chosen)
    contextual.regress(m.chosen, m.z[_TREND], m.fast, m.slow, a, m.x)
    pretrained.regress(m.z, p, m.fast, m.slow, a, m.y)
    m.contextual.past[now, :] = m.x
    contextual.predict(m.contextual, m.x)
    pretrained.predict(m.pretrained, rules.fit, m.y, now)
    regime.predict(m.regime, rules.moments, p)


@inlined
def _head(
    m: Learner, rules: Rules, j: int, features: Floats, mu: Floats, S: Floats, awake: Ints, best: Floats
) -> None:
    """Move where member j is heading."""
    every = predictor.EVERY if j == _PREDICTOR else contextual.EVERY
    size = heading.volatility(features)
    cap, minimum = rules.cap, rules.minimum
    heading.head(m.expects[j], rules.aversion, every, size, mu, S, awake, cap, minimum, m.box, best)


@inlined
def _predictor(
    m: Learner, rules: Rules, features: Floats, p: Floats, a: Floats, good: int, awake: Ints
) -> None:
    """The last member, after `_predict`: it keeps equal weights until it has been trained."""
    c = m.predictor
    if good % predictor.EVERY == 0 and c.use[0] == 1 and awake.any():
        predictor.regress(m.chosen, p, m.z[_TREND], c.fast, c.slow, a, c.common, c.own)
        predictor.forward(c.layers, c.common, c.own, c.h1, c.h2, c.mu)
        _head(m, rules, _PREDICTOR, features, c.mu, m.S, awake, c.best)
    for i in range(a.shape[0]):
        m.w[_PREDICTOR, i] += _SMOOTH * (c.best[i] - m.w[_PREDICTOR, i])
    if awake.any() and not awake.all():
        m.v[:] = m.w[_PREDICTOR]
        project(m.v, awake, rules.cap, rules.minimum, m.box, m.w[_PREDICTOR])


@kernel
def run(
    m: Learner,
    rules: Rules,
    x: Floats,
    p: Floats,
    mid: Floats,
    target: Floats,
    cost: Floats,
    warm: Ints,
    out: Floats,
) -> None:
    """Learn from and weigh n good rows with all agents awake; out (n, N) are the weights after each."""
    awake = np.ones(target.shape[1], np.int64)
    for t in range(mid.shape[0]):
        learn(m, rules, mid[t], cost[t], warm[t] != 0, awake)
        weigh(m, rules, x[t], p[t], target[t], warm[t] != 0, awake)
        out[t, :] = m.weights
