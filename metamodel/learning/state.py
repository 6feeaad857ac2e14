"""State of a learner in three parts, by what becomes of them.

`Learned` says something of other markets, too: checkpoints hold it. `Memory` is of the market that is learned in: with
what was learned it is the state that a book stores. `Scratch` is written by every row before it is read: it is stored
nowhere, so that more of it makes no state another version.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.features import selection
from windvane.metamodel.learning import heading, scores
from windvane.metamodel.learning.members import MEMBERS, contextual, predictor, pretrained, prod, regime
from windvane.metamodel.learning.rules import Rules
from windvane.metamodel.learning.simplex import equal

HISTORY = 64
"""Rows of running sums that are kept: at least the horizon of a prediction."""


class Learned(NamedTuple):
    """What a learner knows of N agents and M members, apart from the market it learned it in."""

    prod: prod.Learned
    contextual: contextual.Learned
    pretrained: pretrained.Learned
    regime: regime.Learned
    predictor: predictor.Learned
    S: Floats  # (N, N) EWMA covariance of the agents' scores
    w: Floats  # (M, N) weights of every member
    best: Floats  # (M, N) where the members that predict are heading
    expects: Floats  # (M, 2) EWMAs of the mean and the variance that a member expects of what it heads for
    share: Floats  # (M,) weights of the members
    square: Floats  # (M,) EWMAs of the members' squared scores
    weights: Floats  # (N,) the mixture; they sum to what is not cash


class Memory(NamedTuple):
    """What a learner remembers of its market; K regimes, R = delay + 3."""

    market: scores.Moments
    contextual: contextual.Memory
    pretrained: pretrained.Memory
    predictor: predictor.Memory
    posteriors: Floats  # (R, K) ring of the regimes' posteriors
    targets: Floats  # (R, N) ring of the agents' targets
    member_targets: Floats  # (R, M) ring of the members' targets
    gn: Floats  # (N,) scores of the last good row
    member_score: Floats  # (M,) of the last good row
    fast: Floats  # (N,) EWMAs of gn
    slow: Floats  # (N,)
    cumulated: Floats  # (64, N) ring of running sums of gn
    cash: Floats  # (1,) weight of cash beside the mixture
    calm: Floats  # (25,) slow averages of scaled features
    totals: Floats  # (N + M,) sums of scores since the start


class Scratch(NamedTuple):
    """Room that every row writes before it reads it; F features, G of them read."""

    predictor: predictor.Scratch
    chosen: Floats  # (G,) the features that are read
    z: Floats  # (F,) scaled features
    x: Floats  # (D,) regressors of the contextual member
    x_gain: Floats  # (D,) gain of its update
    y: Floats  # (E,) regressors of the pretrained member
    y_gain: Floats  # (E,) gain of its update
    factors: Floats  # (2, G) of the update of its strength
    means: Floats  # (K, N) expected scores in every regime
    v: Floats  # (N,)
    box: Floats  # (3, N) of the simplex


class Learner(NamedTuple):
    """The whole state of learning online, row by row.

    A learner version, of which books and events speak, is something else: the weights of the slow predictor alone.
    """

    learned: Learned
    memory: Memory
    scratch: Scratch


def new_learner(names: Sequence[str], rules: Rules) -> Learner:
    """Return a learner that has seen no row: it knows what ships with the package, and weighs members by the prior."""
    return Learner(_learned(len(names), rules), _memory(len(names), rules), _scratch(len(names), rules))


def _learned(agents: int, rules: Rules) -> Learned:
    members, even = len(MEMBERS), equal(np.ones(agents, np.int64))
    return Learned(
        prod=prod.Learned.new(agents),
        contextual=contextual.Learned.new(contextual.regressors(rules.features, agents), agents),
        pretrained=pretrained.Learned.new(rules.fit),
        regime=regime.Learned.new(agents),
        predictor=predictor.untrained(rules.features, agents, rules.retraining),
        S=np.eye(agents),
        w=np.tile(even, (members, 1)),
        best=np.tile(even, (members, 1)),
        expects=np.tile(np.array(heading.USUAL), (members, 1)),
        share=rules.prior.copy(),
        square=np.ones(members),
        weights=even,
    )


def _memory(agents: int, rules: Rules) -> Memory:
    members, ring = len(MEMBERS), rules.delay + 3
    return Memory(
        market=scores.new_moments(),
        contextual=contextual.Memory.new(contextual.regressors(rules.features, agents)),
        pretrained=pretrained.Memory.new(rules.fit),
        predictor=predictor.Memory(np.zeros(agents), np.zeros(agents)),
        posteriors=np.zeros((ring, len(REGIMES))),
        targets=np.zeros((ring, agents)),
        member_targets=np.zeros((ring, members)),
        gn=np.zeros(agents),
        member_score=np.zeros(members),
        fast=np.zeros(agents),
        slow=np.zeros(agents),
        cumulated=np.zeros((HISTORY, agents)),
        cash=np.array([rules.cash]),
        calm=np.zeros(selection.SLOW),
        totals=np.zeros(agents + members),
    )


def _scratch(agents: int, rules: Rules) -> Scratch:
    regressors = contextual.regressors(rules.features, agents)
    return Scratch(
        predictor=predictor.Scratch.new(rules.features, agents),
        chosen=np.zeros(rules.features),
        z=np.zeros(len(rules.centre)),
        x=np.zeros(regressors),
        x_gain=np.zeros(regressors),
        y=np.zeros(pretrained.regressors(agents)),
        y_gain=np.zeros(pretrained.regressors(agents)),
        factors=np.zeros((2, pretrained.PARTS)),
        means=np.zeros((len(REGIMES), agents)),
        v=np.zeros(agents),
        box=np.zeros((3, agents)),
    )
