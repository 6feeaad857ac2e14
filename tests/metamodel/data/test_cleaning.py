"""Laws and cases of the cleaning rules."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.metamodel.data import cleaning
from windvane.metamodel.data.cleaning import REASONS, SECOND, Cleaner
from windvane.metamodel.data.columns import Columns, concat

T0 = 1_600_000_000 * SECOND
MINUTE = 60 * SECOND


def rows(ts, price, **optional):
    given = {name: np.array(column, float) for name, column in optional.items()}
    return Columns(np.array(ts, np.int64), np.array(price, float), **given)


def codes(columns, ids=None, **options):
    cleaner = Cleaner(**options)
    cleaned = cleaner.clean(columns, None if ids is None else np.array(ids, np.int64))
    code = np.zeros(len(columns), int)
    code[cleaned.index] = cleaned.code
    return cleaner, cleaned, code.tolist()


def seconds(n, step=1):
    return T0 + np.arange(n) * step * SECOND


OK, PRICE, TIME, QUOTE, CROSSED, SIZE, DUPLICATE, BACK, AHEAD, SPIKE, FAR = range(len(REASONS))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, -5.0])
def test_a_price_that_is_no_positive_number_loses_only_its_row(bad):
    assert codes(rows(seconds(3), [10, bad, 10]))[2] == [OK, PRICE, OK]


@pytest.mark.parametrize(
    ("column", "bad", "code"),
    [("bid", np.nan, QUOTE), ("ask", 0, QUOTE), ("bid", 12, CROSSED), ("size", -1, SIZE),
     ("size", np.nan, SIZE), ("bid_size", np.inf, SIZE), ("ask_size", -1, SIZE), ("buy_size", np.nan, SIZE),
     ("size", 1.1e18, SIZE), ("bid_size", 1e100, SIZE), ("ask", 1e9, FAR), ("ask", 20.1, FAR), ("bid", 4.9, FAR),
     ("bid", 1e-9, FAR)],
)  # fmt: skip
def test_every_column_is_checked(column, bad, code):
    good = {"bid": 9, "ask": 11, "size": 1, "bid_size": 1, "ask_size": 0, "buy_size": 1}
    table = {name: [value] * 3 for name, value in good.items()}
    table[column][1] = bad
    cleaner, cleaned, code_found = codes(rows(seconds(3), [10, 10, 10], **table))
    assert code_found == [OK, code, OK]
    assert cleaned.reasons == [REASONS[code]]
    assert cleaner.counts[REASONS[code]] == 1


def test_what_is_far_and_large_but_may_be():
    table = {"bid": [5] * 3, "ask": [20] * 3, "size": [1e18] * 3, "bid_size": [0] * 3}
    assert codes(rows(seconds(3), [10] * 3, **table))[2] == [OK] * 3


@pytest.mark.parametrize("column", ["bid", "ask"])
def test_one_quote_alone_is_held_against_the_price(column):
    assert codes(rows(seconds(4), [10] * 4, **{column: [10, 30, 3, 10]}))[2] == [OK, FAR, FAR, OK]


def test_time_that_steps_back_a_little_is_raised_and_counted():
    ts = T0 + np.array([0, 10, 5, 4, 11]) * SECOND
    cleaner, cleaned, code = codes(rows(ts, [10, 11, 12, 13, 14]))
    assert code == [OK, OK, OK, BACK, OK]
    assert cleaner.stepped_back == 1
    assert cleaned.columns.ts.tolist() == [T0, T0 + 10 * SECOND, T0 + 10 * SECOND, T0 + 11 * SECOND]


def test_of_bars_with_equal_ts_the_first_wins_and_none_is_raised():
    ts = T0 + np.array([0, 60, 60, 58, 120]) * SECOND
    cleaner, cleaned, code = codes(rows(ts, [10, 11, 12, 12, 13]), bar_interval=MINUTE)
    assert code == [OK, OK, DUPLICATE, BACK, OK]
    assert cleaned.columns.price.tolist() == [10, 11, 13]
    assert cleaner.stepped_back == 0


def test_ticks_without_ids_repeat_when_all_columns_do():
    table = rows([T0] * 4, [10, 10, 10, 10], size=[1, 1, 2, 1])
    assert codes(table)[2] == [OK, DUPLICATE, OK, OK]


def test_ids_decide_where_there_are_any():
    table = rows([T0] * 4, [10, 10, 10, 10], size=[1, 1, 1, 1])
    assert codes(table, ids=[5, 6, 6, 4])[2] == [OK, OK, DUPLICATE, DUPLICATE]


def test_a_factor_of_two_passes_and_more_does_not():
    assert codes(rows(seconds(5), [10, 20, 10, 20.001, 10]))[2] == [OK, OK, OK, SPIKE, OK]


def test_three_in_a_row_are_believed():
    assert codes(rows(seconds(6), [10, 30, 31, 32, 33, 10]))[2] == [OK, SPIKE, SPIKE, OK, OK, SPIKE]


def test_three_in_a_row_must_agree():
    assert codes(rows(seconds(6), [10, 30, 40, 30, 40, 41]))[2] == [OK] + [SPIKE] * 5
    assert codes(rows(seconds(6), [10, 30, 40, 41, 42, 42]))[2] == [OK, SPIKE, SPIKE, SPIKE, OK, OK]


def test_a_good_row_between_starts_the_count_again():
    assert codes(rows(seconds(5), [10, 30, 30, 11, 30]))[2] == [OK, SPIKE, SPIKE, OK, SPIKE]


@pytest.mark.parametrize("absurd", [1e9 * 100, 1e-9])
def test_an_absurd_first_price_does_not_poison_the_rest(absurd):
    assert codes(rows(seconds(5), [absurd, 100, 101, 102, 103]))[2] == [OK, SPIKE, SPIKE, OK, OK]


def test_a_repeated_message_does_not_vouch_for_itself():
    ticks = rows([T0, T0 + 1, T0 + 1, T0 + 1], [10, 99, 99, 99], size=[1, 1, 1, 1])
    assert codes(ticks)[2] == [OK, SPIKE, DUPLICATE, DUPLICATE]
    bars = rows([T0, T0 + MINUTE, T0 + MINUTE, T0 + MINUTE], [10, 99, 98, 97])
    assert codes(bars, bar_interval=MINUTE)[2] == [OK, SPIKE, DUPLICATE, DUPLICATE]


def test_one_absurd_time_does_not_put_the_rest_in_the_past():
    ts = T0 + np.array([0, 1, 900 * 86_400, 2, 3]) * SECOND
    assert codes(rows(ts, [10, 11, 12, 13, 14]))[2] == [OK, OK, AHEAD, OK, OK]


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({}, 3_600),
        ({"bar_interval": SECOND}, 3_600),
        ({"bar_interval": MINUTE}, 6_000),
        ({"bar_interval": MINUTE, "max_jump": 60 * SECOND}, 60),
        ({"max_jump": 90_000 * SECOND}, 90_000),
    ],
)
def test_how_far_time_may_jump(options, most):
    assert Cleaner(**options).max_jump == most * SECOND
    ts = T0 + np.array([0, most, 2 * most, 3 * most + 1, 2 * most + 1]) * SECOND
    assert codes(rows(ts, [10, 11, 12, 13, 14]), **options)[2] == [OK, OK, OK, AHEAD, OK]


def test_a_long_hole_is_believed_after_three_rows():
    ts = T0 + np.array([0, 1, 900 * 86_400, 900 * 86_400 + 1, 900 * 86_400 + 2]) * SECOND
    cleaner, _, code = codes(rows(ts, [10, 11, 12, 13, 14]))
    assert code == [OK, OK, AHEAD, AHEAD, OK]
    assert cleaner.holes == [(int(ts[1]), int(ts[4]))]


def test_a_long_hole_and_another_price_level_are_believed_too():
    ts = T0 + np.array([0, *(900 * 86_400 + np.arange(5))]) * SECOND
    assert codes(rows(ts, [10, 80, 81, 82, 83, 84]))[2] == [OK, AHEAD, AHEAD, SPIKE, SPIKE, OK]


def test_holes_are_counted_and_the_first_are_kept():
    n = cleaning.MAX_HOLES + 5
    cleaner, _, _ = codes(rows(seconds(n + 1, 61), [10] * (n + 1)))
    assert cleaner.holes_count == n
    assert len(cleaner.holes) == cleaning.MAX_HOLES
    assert codes(rows(seconds(3, 60), [10] * 3))[0].holes_count == 0
    assert codes(rows(seconds(3, 600), [10] * 3), bar_interval=MINUTE)[0].holes_count == 0
    assert codes(rows(seconds(3, 660), [10] * 3), bar_interval=MINUTE)[0].holes_count == 2


def test_no_rows_are_no_rows():
    cleaner, cleaned, _ = codes(rows([], []))
    assert len(cleaned.columns) == 0
    assert cleaner.seen == 0


prices = st.sampled_from([10.0, 10.5, 11.0, 25.0, 26.0, 60.0, 0.0, -1.0, np.nan, np.inf, 1e9])
steps = st.sampled_from([0, 0, 1, 1, 1, 2, -1, -4, -6, 61, 8 * 86_400, -8 * 86_400])
dirty = st.lists(
    st.tuples(steps, prices, st.sampled_from([0.0, 1.0, 1.0, np.nan, -1.0])), min_size=1, max_size=60
)


def dirty_rows(table):
    ts = T0 + np.cumsum([step for step, _, _ in table]) * SECOND
    return rows(ts, [price for _, price, _ in table], size=[size for _, _, size in table])


@settings(max_examples=200, deadline=None)
@given(dirty, st.lists(st.integers(0, 60), max_size=6), st.sampled_from([0, MINUTE]), st.booleans())
def test_any_cut_gives_the_same(table, cuts, bar_interval, with_ids):
    columns = dirty_rows(table)
    ids = np.arange(len(columns)) * 7 % 11 if with_ids else None
    whole = Cleaner(bar_interval=bar_interval)
    once = whole.clean(columns, ids)
    parted = Cleaner(bar_interval=bar_interval)
    edges = sorted({0, len(columns), *(cut for cut in cuts if cut < len(columns))})
    parts = []
    for a, b in pairwise(edges):
        # A state that went out and in again is the same state.
        fresh = Cleaner(bar_interval=bar_interval)
        fresh.restore(parted.state())
        parted = fresh
        parts.append(parted.clean(columns.take(slice(a, b)), None if ids is None else ids[a:b]))
    joined = concat([part.columns for part in parts])
    for name in ("ts", "price", "size"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(once.columns, name))
    np.testing.assert_array_equal(np.concatenate([part.index for part in parts]), once.index)
    np.testing.assert_array_equal(np.concatenate([part.kept for part in parts]), once.kept)
    np.testing.assert_array_equal(np.concatenate([part.code for part in parts]), once.code)
    assert (parted.counts, parted.holes, parted.stepped_back) == (
        whole.counts,
        whole.holes,
        whole.stepped_back,
    )


@settings(max_examples=200, deadline=None)
@given(dirty, st.sampled_from([0, MINUTE]))
def test_what_comes_out_is_clean(table, bar_interval):
    columns = dirty_rows(table)
    cleaner = Cleaner(bar_interval=bar_interval)
    cleaned = cleaner.clean(columns)
    good = cleaned.columns
    assert len(good) + len(cleaned.index) == len(columns) == cleaner.seen == sum(cleaner.counts.values())
    assert np.isfinite(good.price).all()
    assert (good.price > 0).all()
    steps = np.diff(good.ts)
    assert (steps > 0).all() if bar_interval else (steps >= 0).all()
    # Clean rows are clean: all but a jump that three rows vouched for is accepted again.
    again = Cleaner(bar_interval=bar_interval).clean(good)
    assert set(again.code.tolist()) <= {DUPLICATE, AHEAD, SPIKE}


def test_real_bars_lose_almost_nothing(data):
    from windvane.infra.files.readers import read_market_file

    bars = read_market_file(data / "bars_1m_bitfinex_btcusd_2017_2019.parquet")
    cleaner = Cleaner(bar_interval=bars.interval)
    assert len(cleaner.clean(bars.columns).columns) == 1_538_435 - 8
    assert cleaner.counts[REASONS[AHEAD]] == 2 * (np.diff(bars.columns.ts) > 100 * MINUTE).sum() == 8
    assert cleaner.holes_count == 81
    bars = read_market_file(data / "bars_1m_bitfinex_btcusd_2013_2016.parquet")
    cleaner = Cleaner(bar_interval=bars.interval)
    cleaner.clean(bars.columns)
    assert {reason: n for reason, n in cleaner.counts.items() if n} == {
        "accepted": 1_091_654,
        REASONS[AHEAD]: 124,  # two rows after each of 64 holes of more than 100 minutes, some of them close
        REASONS[SPIKE]: 4,
    }
    assert cleaner.holes_count == 9763
