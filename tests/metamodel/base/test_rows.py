"""What may be believed of a row: the level of its price, by itself and over time."""

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.metamodel.base import rows
from windvane.metamodel.data.cleaning import REASONS, SPIKE, Cleaner
from windvane.metamodel.data.columns import Columns

PRICES = st.sampled_from([50.0, 99.0, 100.0, 101.0, 199.0, 201.0, 205.0, 400.0, 0.01, 0.0105, 1e6])
SERIES = st.lists(PRICES, min_size=1, max_size=40)


def judged(prices: Sequence[float]) -> list[int]:
    """What `judge` says of prices a second apart, with the level that follows from it."""
    refused, last, said = rows.nothing_refused(), prices[0], []
    for t, price in enumerate(prices):
        said.append(rows.judge(refused, t, price, last))
        last = last if said[-1] == rows.REFUSED else price
    return said


def told(prices: Sequence[float]) -> list[int]:
    """The same, slowly: by the words of the rule."""
    said: list[int] = []
    last, odd = prices[0], list[float]()
    for price in prices:
        if abs(math.log(price / last)) <= math.log(2.0) * (1 + 1e-12):
            said.append(rows.SAME)
        else:
            odd.append(price)
            newest = odd[-3:]
            again = len(newest) == 3 and max(newest) / min(newest) <= 1.1 * (1 + 1e-12)
            said.append(rows.AGAIN if again else rows.REFUSED)
        if said[-1] != rows.REFUSED:
            last, odd = price, []
    return said


@settings(deadline=None)  # the first call compiles
@given(SERIES)
def test_a_level_is_judged_by_the_words_of_the_rule(prices: list[float]) -> None:
    assert judged(prices) == told(prices)


@settings(deadline=None)  # the first call compiles
@given(SERIES)
def test_the_reader_of_a_file_and_the_features_judge_alike(prices: list[float]) -> None:
    ts = np.arange(1, len(prices) + 1) * 1_000_000_000
    cleaned = Cleaner().clean(Columns(ts, np.array(prices)), np.arange(len(prices)))
    refused = [t for t, said in enumerate(judged(prices)) if said == rows.REFUSED]
    assert cleaned.index.tolist() == refused
    assert all(REASONS[code] == REASONS[SPIKE] for code in cleaned.code)


def test_a_message_that_is_repeated_does_not_vouch_for_itself() -> None:
    refused = rows.nothing_refused()
    assert [rows.judge(refused, 5, 0.01, 100.0) for _ in range(1000)] == [rows.REFUSED] * 1000
    assert rows.judge(refused, 6, 0.01, 100.0) == rows.REFUSED
    assert rows.judge(refused, 7, 0.01, 100.0) == rows.AGAIN


@settings(deadline=None)  # the first call compiles
@given(SERIES)
def test_who_vouches_for_levels_marks_each_that_is_new(prices: list[float]) -> None:
    flags = rows.level_flags(np.array(prices))
    for t in range(1, len(prices)):
        assert bool(flags[t]) == (abs(math.log(prices[t] / prices[t - 1])) > math.log(2.0) * (1 + 1e-12))
    assert flags[0] == 0
