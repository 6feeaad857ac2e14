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
from windvane.metamodel.learning.state import HISTORY, Learned, Learner, Memory

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
    """Score the last decisions on a good row, then learn from the scores."""
    known, memory = m.learned, m.memory
    good = memory.market.seen[0]
    r, s, past_cost = scores.observe(memory.market, mid, cost, warm)
    if not warm:
        return
    gn = memory.gn
    scores.score(memory.targets, good, rules.delay, r, s, past_cost, gn)
    scores.score(memory.member_targets, good, rules.delay, r, s, past_cost, memory.member_score)
    _record(known, memory, good, awake)
    predictor.remember(memory.predictor, rules.rates, gn, awake)
    prod.learn(known.prod, gn, awake, known.w[_PROD])
    decided = memory.posteriors[(good - 1 - rules.delay) % memory.posteriors.shape[0]]
    regime.learn(known.regime, decided, gn, awake)
    score, square, share = memory.member_score, known.square, known.share
    growth = fixed_share.learn(score, square, rules.prior, rules.eta, rules.alpha, share)
    memory.cash[0] = fixed_share.idle(growth, rules.cash, rules.alpha, memory.cash[0])


@inlined
def _record(known: Learned, memory: Memory, good: int, awake: Ints) -> None:
    """Take the scores of good row `good` into their averages, sums and covariance; sleepers' scores count as 0."""
    gn, slow, S = memory.gn, memory.slow, known.S
    n = gn.shape[0]
    for i in range(n):
        if awake[i]:
            memory.fast[i] += contextual.FAST * (gn[i] - memory.fast[i])
            slow[i] += contextual.SLOW * (gn[i] - slow[i])
        else:
            gn[i] = 0.0
        memory.cumulated[good % HISTORY, i] = memory.cumulated[(good - 1) % HISTORY, i] + gn[i]
        memory.totals[i] += gn[i]
    for i in range(n):
        for j in range(n):
            if awake[i] and awake[j]:
                deviation = (gn[i] - slow[i]) * (gn[j] - slow[j])
                S[i, j] += _COV * (deviation - S[i, j])
    for i in range(memory.member_score.shape[0]):
        memory.totals[n + i] += memory.member_score[i]


@inlined
def weigh(m: Learner, rules: Rules, features: Floats, p: Floats, a: Floats, warm: bool, awake: Ints) -> None:
    """Weights for this good row from features (F,), regimes' posterior p (K,) and the agents' targets a (N,)."""
    known, memory, v = m.learned, m.memory, m.scratch.v
    simplex = Simplex(awake, rules.cap, rules.minimum, m.scratch.box)
    good = memory.market.seen[0] - 1  # of the row that `learn` took in
    n, members, w = a.shape[0], known.share.shape[0], known.w
    count = 0
    for i in range(n):
        count += awake[i]
    for i in range(n):
        w[_EQUAL, i] = awake[i] / count if count > 0 else 0.0
    if warm:
        prod.weigh(known.prod, awake, v)
        project(v, simplex, w[_PROD])
        if good % contextual.EVERY == 0:
            _predict(m, rules, features, p, a, good, awake)
            if count > 0:  # where nobody is awake, the weights of before are where to go on from
                best, S = known.best, known.regime.S
                _head(
                    m, rules, _CONTEXTUAL, features, known.contextual.mu, known.S, simplex, best[_CONTEXTUAL]
                )
                _head(m, rules, _PRETRAINED, features, known.pretrained.mu, S, simplex, best[_PRETRAINED])
                _head(m, rules, _REGIME, features, known.regime.mu, S, simplex, best[_REGIME])
        for j in _PREDICTING:
            for i in range(n):
                w[j, i] += _SMOOTH * (known.best[j, i] - w[j, i])
            if 0 < count < n:
                v[:] = w[j]
                project(v, simplex, w[j])
        if rules.retraining:
            _predictor(m, rules, features, p, a, good, simplex)
    ring = memory.targets.shape[0]
    memory.posteriors[good % ring, :] = p
    for i in range(n):
        v[i] = 0.0
        for j in range(members):
            v[i] += known.share[j] * w[j, i]
    project(v, simplex, known.weights)
    for i in range(n):
        known.weights[i] *= 1.0 - memory.cash[0]
        memory.targets[good % ring, i] = a[i]
    for j in range(members):
        target = netting.weighted(w[j], a)
        if count == 0:  # nobody to follow: every member holds
            target = memory.member_targets[(good - 1) % ring, j]
        memory.member_targets[good % ring, j] = target


@inlined
def _predict(
    m: Learner, rules: Rules, features: Floats, p: Floats, a: Floats, good: int, awake: Ints
) -> None:
    """Learn from the predictions of 32 good rows ago, then predict again."""
    known, memory, scratch = m.learned, m.memory, m.scratch
    now, ago = contextual.slot(good), contextual.slot(good - contextual.HORIZON)
    if memory.market.seen[1] > contextual.HORIZON:
        sums, v = memory.cumulated, scratch.v
        for i in range(a.shape[0]):
            v[i] = (
                sums[good % HISTORY, i] - sums[(good - contextual.HORIZON) % HISTORY, i]
            ) / contextual.HORIZON
        past = memory.contextual.past[ago]
        contextual.learn(known.contextual, scratch.contextual, past, v, awake, contextual.FORGET)
        pretrained.learn(known.pretrained, memory.pretrained, scratch.pretrained, ago, v, awake)
    scale_row(features, rules.centre, rules.spread, scratch.z)
    selection.select(scratch.z, memory.calm, scratch.chosen)
    contextual.regress(scratch.chosen, scratch.z[_TREND], memory.fast, memory.slow, a, scratch.x)
    pretrained.regress(scratch.z, p, memory.fast, memory.slow, a, scratch.y)
    memory.contextual.past[now, :] = scratch.x
    contextual.predict(known.contextual, scratch.x)
    pretrained.predict(known.pretrained, memory.pretrained, rules.fit, scratch.y, now)
    regime.predict(known.regime, scratch.regime, rules.simulated, p)


@inlined
def _head(
    m: Learner, rules: Rules, j: int, features: Floats, mu: Floats, S: Floats, simplex: Simplex, best: Floats
) -> None:
    """Move where member j is heading."""
    every = predictor.EVERY if j == _PREDICTOR else contextual.EVERY
    size = heading.volatility(features)
    heading.head(m.learned.expects[j], rules.aversion, every, size, mu, S, simplex, best)


@inlined
def _predictor(
    m: Learner, rules: Rules, features: Floats, p: Floats, a: Floats, good: int, simplex: Simplex
) -> None:
    """The last member, after `_predict`: it keeps equal weights until it has been trained."""
    c, record, scratch, awake = m.learned.predictor, m.memory.predictor, m.scratch.predictor, simplex.awake
    v, w = m.scratch.v, m.learned.w[_PREDICTOR]
    if good % predictor.EVERY == 0 and c.use[0] == 1 and awake.any():
        chosen, drift = m.scratch.chosen, m.scratch.z[_TREND]
        predictor.regress(chosen, p, drift, record.fast, record.slow, a, scratch.common, scratch.own)
        predictor.forward(c.layers, scratch, c.mu)
        _head(m, rules, _PREDICTOR, features, c.mu, m.learned.S, simplex, c.best)
    for i in range(a.shape[0]):
        w[i] += _SMOOTH * (c.best[i] - w[i])
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
