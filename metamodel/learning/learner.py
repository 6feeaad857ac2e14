"""Whom to believe: scores every agent and member, learns, and weighs the agents. One call a good row, O(1)."""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.features import selection
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.features.scaler import scale_row
from windvane.metamodel.learning import fixed_share, heading, netting, scores
from windvane.metamodel.learning.members import contextual, predictor, pretrained, prod, regime
from windvane.metamodel.learning.rules import Rules
from windvane.metamodel.learning.simplex import Simplex, project
from windvane.metamodel.learning.state import HISTORY, Learned, Learner

_COV = 1.0 - 0.5 ** (1.0 / 2000.0)
_SMOOTH = 0.25
_TREND = NAMES.index("trend_128")
_EQUAL, _PROD, _CONTEXTUAL, _PRETRAINED, _REGIME, _PREDICTOR = range(6)
_PREDICTING = (_CONTEXTUAL, _PRETRAINED, _REGIME)


class Rows(NamedTuple):
    """n good rows of a market, all agents awake."""

    x: Floats  # (n, F) raw features
    p: Floats  # (n, K) posterior of the regimes
    mid: Floats  # (n,)
    target: Floats  # (n, N) of the agents
    cost: Floats  # (n,) of one unit traded, a share of price
    warm: Ints  # (n,) 0 in rows that only warm up


@inlined
def learn(m: Learner, rules: Rules, mid: float, cost: float, warm: bool, awake: Ints) -> None:
    """Score the last decisions by the price of this good row, and learn from the scores.

    mid: the price; cost: of a unit traded, as a share of price; warm: whether the warm-up is over; awake: (N,) 0 for
    an agent that takes no part.
    """
    good = m.memory.market.seen[0]
    r, s, past_cost = scores.observe(m.memory.market, mid, cost, warm)
    if not warm:
        return
    gn, score, totals = m.memory.gn, m.memory.member_score, m.memory.totals
    fast, slow, cumulated, S = m.memory.fast, m.memory.slow, m.memory.cumulated, m.learned.S
    scores.score(m.memory.targets, good, rules.delay, r, s, past_cost, gn)
    scores.score(m.memory.member_targets, good, rules.delay, r, s, past_cost, score)
    n = gn.shape[0]
    for i in range(n):
        if awake[i]:
            fast[i] += contextual.FAST * (gn[i] - fast[i])
            slow[i] += contextual.SLOW * (gn[i] - slow[i])
        else:
            gn[i] = 0.0
        cumulated[good % HISTORY, i] = cumulated[(good - 1) % HISTORY, i] + gn[i]
        totals[i] += gn[i]
    for i in range(n):
        for j in range(n):
            if awake[i] and awake[j]:
                deviation = (gn[i] - slow[i]) * (gn[j] - slow[j])
                S[i, j] += _COV * (deviation - S[i, j])
    for i in range(score.shape[0]):
        totals[n + i] += score[i]
    predictor.remember(m.memory.predictor, rules.rates, gn, awake)
    prod.learn(m.learned.prod, gn, awake, m.learned.w[_PROD])
    posteriors, share, cash = m.memory.posteriors, m.learned.share, m.memory.cash
    regime.learn(m.learned.regime, posteriors[(good - 1 - rules.delay) % posteriors.shape[0]], gn, awake)
    growth = fixed_share.learn(score, m.learned.square, rules.prior, rules.eta, rules.alpha, share)
    cash[0] = fixed_share.idle(growth, rules.cash, rules.alpha, cash[0])


@inlined
def weigh(m: Learner, rules: Rules, features: Floats, p: Floats, a: Floats, warm: bool, awake: Ints) -> None:
    """Return the weights (N,) for this good row, which sum to 1, or to what is not in cash.

    features: (F,) raw; p: (K,) posterior of the regimes; a: (N,) the agents' targets; warm: whether the warm-up is
    over; awake: (N,) 0 for an agent that takes no part.
    """
    simplex = Simplex(awake, rules.cap, rules.minimum, m.scratch.box)
    w, best, share, weights, v = m.learned.w, m.learned.best, m.learned.share, m.learned.weights, m.scratch.v
    good = m.memory.market.seen[0] - 1  # of the row that `learn` took in
    n, members = a.shape[0], share.shape[0]
    count = 0
    for i in range(n):
        count += awake[i]
    for i in range(n):
        w[_EQUAL, i] = awake[i] / count if count > 0 else 0.0
    if warm:
        prod.weigh(m.learned.prod, awake, v)
        project(v, simplex, w[_PROD])
        if good % contextual.EVERY == 0:
            _predict(m, rules, features, p, a, good, awake)
            if count > 0:  # where nobody is awake, the weights of before are where to go on from
                _head(m.learned, rules.aversion, heading.volatility(features), simplex)
        for j in _PREDICTING:
            for i in range(n):
                w[j, i] += _SMOOTH * (best[j, i] - w[j, i])
            if 0 < count < n:
                v[:] = w[j]
                project(v, simplex, w[j])
        if rules.retraining:
            _predictor(m, rules, features, p, a, good, simplex)
    targets, member_targets = m.memory.targets, m.memory.member_targets
    posteriors, invested, ring = m.memory.posteriors, 1.0 - m.memory.cash[0], targets.shape[0]
    posteriors[good % ring, :] = p
    for i in range(n):
        v[i] = 0.0
        for j in range(members):
            v[i] += share[j] * w[j, i]
    project(v, simplex, weights)
    for i in range(n):
        weights[i] *= invested
        targets[good % ring, i] = a[i]
    for j in range(members):
        target = netting.weighted(w[j], a)
        if count == 0:  # nobody to follow: every member holds
            target = member_targets[(good - 1) % ring, j]
        member_targets[good % ring, j] = target


@inlined
def _predict(
    m: Learner, rules: Rules, features: Floats, p: Floats, a: Floats, good: int, awake: Ints
) -> None:
    """Learn from the predictions of 32 good rows ago, then predict again."""
    now, ago = contextual.slot(good), contextual.slot(good - contextual.HORIZON)
    past, fast, slow = m.memory.contextual.past, m.memory.fast, m.memory.slow
    z, chosen, x, y = m.scratch.z, m.scratch.chosen, m.scratch.x, m.scratch.y
    if m.memory.market.seen[1] > contextual.HORIZON:
        sums, v = m.memory.cumulated, m.scratch.v
        for i in range(a.shape[0]):
            total = sums[good % HISTORY, i] - sums[(good - contextual.HORIZON) % HISTORY, i]
            v[i] = total / contextual.HORIZON
        contextual.learn(m.learned.contextual, m.scratch.x_gain, past[ago], v, awake, contextual.FORGET)
        gain, factors = m.scratch.y_gain, m.scratch.factors
        pretrained.learn(m.learned.pretrained, m.memory.pretrained, gain, factors, ago, v, awake)
    scale_row(features, rules.centre, rules.spread, z)
    selection.select(z, m.memory.calm, chosen)
    contextual.regress(chosen, z[_TREND], fast, slow, a, x)
    pretrained.regress(z, p, fast, slow, a, y)
    past[now, :] = x
    contextual.predict(m.learned.contextual, x)
    pretrained.predict(m.learned.pretrained, m.memory.pretrained, rules.fit, y, now)
    regime.predict(m.learned.regime, rules.simulated, p, m.scratch.means)


@inlined
def _head(m: Learned, aversion: float, size: float, simplex: Simplex) -> None:
    """Move where three members are heading by what they predict; size: what `heading.volatility` returns."""
    every, expects, best, S = contextual.EVERY, m.expects, m.best, m.regime.S
    heading.head(
        expects[_CONTEXTUAL], aversion, every, size, m.contextual.mu, m.S, simplex, best[_CONTEXTUAL]
    )
    heading.head(expects[_PRETRAINED], aversion, every, size, m.pretrained.mu, S, simplex, best[_PRETRAINED])
    heading.head(expects[_REGIME], aversion, every, size, m.regime.mu, S, simplex, best[_REGIME])


@inlined
def _predictor(
    m: Learner, rules: Rules, features: Floats, p: Floats, a: Floats, good: int, simplex: Simplex
) -> None:
    """The last member, after `_predict`: it keeps equal weights until it has been trained."""
    best, awake = m.learned.predictor.best, simplex.awake
    w, v = m.learned.w[_PREDICTOR], m.scratch.v
    if good % predictor.EVERY == 0 and m.learned.predictor.use[0] == 1 and awake.any():
        fast, slow, drift = m.memory.predictor.fast, m.memory.predictor.slow, m.scratch.z[_TREND]
        common, own, mu = m.scratch.predictor.common, m.scratch.predictor.own, m.learned.predictor.mu
        predictor.regress(m.scratch.chosen, p, drift, fast, slow, a, common, own)
        predictor.forward(m.learned.predictor.layers, m.scratch.predictor, mu)
        expects, size = m.learned.expects[_PREDICTOR], heading.volatility(features)
        heading.head(expects, rules.aversion, predictor.EVERY, size, mu, m.learned.S, simplex, best)
    for i in range(a.shape[0]):
        w[i] += _SMOOTH * (best[i] - w[i])
    if awake.any() and not awake.all():
        v[:] = w
        project(v, simplex, w)


@kernel
def run(m: Learner, rules: Rules, rows: Rows, out: Floats) -> None:
    """Learn from and weigh n good rows with all agents awake; out (n, N): the weights after each."""
    awake = np.ones(rows.target.shape[1], np.int64)
    for t in range(rows.mid.shape[0]):
        learn(m, rules, rows.mid[t], rows.cost[t], rows.warm[t] != 0, awake)
        weigh(m, rules, rows.x[t], rows.p[t], rows.target[t], rows.warm[t] != 0, awake)
        out[t, :] = m.learned.weights
