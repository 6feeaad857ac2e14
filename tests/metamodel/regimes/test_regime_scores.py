"""Scores of labels against true regimes, beside a plain count."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.agents.base import Ints
from windvane.metamodel.regimes.scores import RegimeScores

laws = settings(deadline=None, max_examples=100)


def runs(draw: np.random.Generator, n: int, labels: list[int]) -> Ints:
    """Labels that last a while."""
    out = np.repeat(draw.choice(labels, n), draw.integers(1, 9, n))
    return out[:n].astype(np.int64)


def plain(true: Ints, label: Ints) -> tuple[list[float], int]:
    """Delays of all switches that ended, and changes of the label, one row at a time."""
    delays, since = [], None
    for row in range(len(true)):
        if row and true[row] != true[row - 1]:
            if since is not None:
                delays.append(math.inf)
            since = row if -1 not in (true[row], true[row - 1]) else None
        if since is not None and label[row] == true[row]:
            delays.append(float(row - since))
            since = None
    return delays, sum(a != b for a, b in pairwise(label.tolist()))


@laws
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 120), cuts=st.lists(st.integers(0, 120), max_size=5))
def test_any_cut_counts_as_a_plain_count_does(seed: int, n: int, cuts: list[int]) -> None:
    draw = np.random.default_rng(seed)
    true, label = runs(draw, n, [-1, 0, 0, 3, 4, 6]), runs(draw, n, [0, 3, 4, 5])
    scores = RegimeScores()
    edges = sorted({0, n, *(c for c in cuts if c < n)})
    for a, b in pairwise(edges):
        scores.add(true[a:b], label[a:b])
    delays, changes = plain(true, label)
    assert (scores.delays, scores.changes, scores.rows) == (delays, changes, n)
    for k, found in enumerate(scores.f1):
        hit = int(((true == k) & (label == k)).sum())
        both = int((true == k).sum() + ((label == k) & (true != -1)).sum())
        assert found == (2 * hit / both if both else None)
    known = true != -1
    assert scores.scored == known.sum()
    if known.any():
        assert scores.figures()["accuracy"] == pytest.approx((true == label)[known].mean())


def test_figures_by_hand() -> None:
    scores = RegimeScores()
    scores.add(np.array([0, 0, 1, 1, 1, 0, 0, 2]), np.array([0, 0, 0, 0, 1, 0, 0, 0]))
    found = scores.figures()
    assert (found["accuracy"], found["switches_per_1000"]) == (5 / 8, 250.0)
    assert found["macro_f1"] == pytest.approx((8 / 11 + 2 / 4 + 0.0) / 3)
    assert (found["true_switches"], found["missed_switches"], found["median_delay"]) == (2, 0, 1.0)
    assert found["f1"]["crisis"] is None


def test_a_switch_that_is_never_seen_is_infinitely_late() -> None:
    scores = RegimeScores()
    scores.add(np.array([0, 1, 0, 1, 0]), np.zeros(5, np.int64))
    assert scores.delays == [math.inf, 0.0, math.inf, 0.0]
    assert scores.figures()["median_delay"] is None
    assert scores.figures()["missed_switches"] == 2


def test_nothing_is_said_of_nothing() -> None:
    found = RegimeScores().figures()
    assert (
        found["accuracy"] is found["macro_f1"] is found["median_delay"] is found["switches_per_1000"] is None
    )


def test_markets_are_merged_without_a_switch_between_them() -> None:
    whole = RegimeScores()
    for true in ([0, 0, 1], [2, 2, 0]):
        one = RegimeScores()
        one.add(np.array(true), np.array(true))
        whole.merge(one)
    assert (whole.rows, whole.changes, whole.delays) == (6, 2, [0.0, 0.0])
    assert whole.figures()["accuracy"] == 1.0
