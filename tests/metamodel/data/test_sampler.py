"""The sampler against a plain reference, pandas, and its laws."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.metamodel.data.columns import OPTIONAL, Columns, concat
from windvane.metamodel.data.sampler import BarSampler, format_interval, parse_interval

S = 1_000_000_000
T0 = 1_600_000_200 * S  # a multiple of 10 s, not of a minute


def reference(columns, interval, bars):
    """Bars by a dict of lists; the last is kept only if a source bar ends with it."""
    buckets = {}
    for i, ts in enumerate(columns.ts.tolist()):
        buckets.setdefault((ts - 1) // interval if bars else ts // interval, []).append(i)
    out = []
    for k, members in buckets.items():
        last = members[-1]
        if last == len(columns) - 1 and not (bars and columns.ts[last] == (k + 1) * interval):
            continue
        row = {"ts": (k + 1) * interval, "price": columns.price[last]}
        for name in columns.present:
            column = getattr(columns, name)
            row[name] = sum(column[members].tolist()) if name in ("size", "buy_size") else column[last]
        out.append(row)
    return out


def same(a, b):
    assert a.present == b.present
    for name in ("ts", "price", *a.present):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def make(ts, seed=0, present=OPTIONAL):
    rng = np.random.default_rng(seed)
    n = len(ts)
    optional = {name: rng.integers(0, 7, n) if name == "regime" else rng.random(n) for name in present}
    return Columns(np.asarray(ts, np.int64), rng.random(n) + 1, **optional)


def run(sampler, batches):
    out = [sampler.push(batch) for batch in batches]
    out.append(sampler.finish())
    return concat(out)


ticks = st.lists(st.sampled_from([0, 0, 1, 1, 2, 5, 10, 30, 100]), min_size=1, max_size=80).map(
    lambda steps: T0 + np.cumsum(steps) * S
)
minutes = st.lists(st.sampled_from([1, 1, 1, 1, 2, 7]), min_size=1, max_size=80).map(
    lambda steps: 1_600_000_020 * S + np.cumsum(steps) * 60 * S
)
some = st.sets(st.sampled_from(OPTIONAL)).map(lambda names: tuple(n for n in OPTIONAL if n in names))


@settings(max_examples=150, deadline=None)
@given(ticks, some, st.integers(0, 5))
def test_ticks_as_the_reference(ts, present, seed):
    columns = make(ts, seed, present)
    bars = run(BarSampler(10 * S), [columns])
    wanted = reference(columns, 10 * S, bars=False)
    assert bars.ts.tolist() == [row["ts"] for row in wanted]
    for name in ("price", *present):
        assert getattr(bars, name).tolist() == [row[name] for row in wanted]


@settings(max_examples=150, deadline=None)
@given(minutes, st.sampled_from([1, 5, 15]), st.integers(0, 5))
def test_bars_as_the_reference(ts, number, seed):
    columns = make(ts, seed)
    sampler = BarSampler(number * 60 * S, 60 * S)
    bars = run(sampler, [columns])
    wanted = reference(columns, number * 60 * S, bars=True)
    assert bars.ts.tolist() == [row["ts"] for row in wanted]
    for name in ("price", *OPTIONAL):
        assert getattr(bars, name).tolist() == [row[name] for row in wanted]
    assert sampler.dropped == int(columns.ts[-1] % (number * 60 * S) != 0)


@settings(max_examples=150, deadline=None)
@given(ticks, st.lists(st.integers(0, 80), max_size=6), st.booleans(), st.integers(0, 5))
def test_any_cut_and_restart_gives_the_same(ts, cuts, bars, seed):
    source = S if bars else 0
    columns = make(np.unique(ts) if bars else ts, seed)
    whole = run(BarSampler(10 * S, source), [columns])
    edges = sorted({0, len(columns), *(cut for cut in cuts if cut < len(columns))})
    out = []
    sampler = BarSampler(10 * S, source)
    for a, b in pairwise(edges):
        fresh = BarSampler(10 * S, source)
        fresh.restore(sampler.state())
        sampler = fresh
        out.append(sampler.push(columns.take(slice(a, b))))
        out.append(sampler.finish(complete=False))
    out.append(sampler.finish())
    same(concat(out), whole)


@settings(max_examples=150, deadline=None)
@given(ticks, st.integers(0, 80), st.booleans())
def test_cutting_off_the_future_changes_no_bar(ts, stop, bars):
    source = S if bars else 0
    columns = make(np.unique(ts) if bars else ts)
    stop = min(stop, len(columns))
    whole = run(BarSampler(10 * S, source), [columns])
    part = run(BarSampler(10 * S, source), [columns.take(slice(0, stop))])
    same(part, whole.take(slice(0, len(part))))


@settings(max_examples=150, deadline=None)
@given(ticks)
def test_heartbeats_in_step_change_when_a_bar_comes_and_nothing_else(ts):
    columns = make(ts)
    whole = run(BarSampler(10 * S), [columns])
    sampler = BarSampler(10 * S)
    out = []
    for i in range(len(columns)):
        out.append(sampler.heartbeat(int(columns.ts[i])))
        out.append(sampler.push(columns.take(slice(i, i + 1))))
        assert not len(out[-1])  # the heartbeat has closed it
    assert sampler.late == 0
    same(concat(out[1:] if not out[0].present else out), whole)


def test_a_heartbeat_closes_a_bar_at_its_end_and_not_before():
    sampler = BarSampler(10 * S)
    sampler.push(make([T0, T0 + S]))
    assert len(sampler.heartbeat(T0 + 10 * S - 1)) == 0
    assert sampler.heartbeat(T0 + 10 * S).ts.tolist() == [T0 + 10 * S]
    assert len(sampler.heartbeat(T0 + 30 * S)) == 0
    assert sampler.dropped == 0


def test_a_row_that_a_heartbeat_overtook_counts_in_the_next_bar():
    sampler = BarSampler(10 * S)
    sampler.push(make([T0]))
    sampler.heartbeat(T0 + 10 * S)
    assert len(sampler.push(make([T0 + 9 * S]))) == 0
    assert sampler.late == 1
    assert sampler.heartbeat(T0 + 20 * S).ts.tolist() == [T0 + 20 * S]


def test_a_heartbeat_waits_for_the_last_source_bar():
    start = 1_600_000_200 * S
    minute = 60 * S
    sampler = BarSampler(5 * minute, minute)
    end = (start // (5 * minute) + 1) * 5 * minute
    sampler.push(make([end - 2 * minute, end - minute]))
    assert len(sampler.heartbeat(end + S)) == 0
    assert sampler.push(make([end])).ts.tolist() == [end]
    sampler.push(make([end + minute]))
    assert sampler.heartbeat(end + 6 * minute).ts.tolist() == [end + 5 * minute]


def test_bars_of_the_same_interval_pass_through():
    columns = make(1_600_000_020 * S + np.arange(1, 50) * 60 * S)
    same(run(BarSampler(60 * S, 60 * S), [columns]), columns)


def test_the_unfinished_last_bar_is_dropped_and_counted():
    sampler = BarSampler(10 * S)
    sampler.push(make([T0, T0 + 9 * S]))
    assert len(sampler.finish()) == 0
    assert sampler.dropped == 1


@pytest.mark.parametrize(
    ("text", "ns"),
    [("250ms", S // 4), ("30s", 30 * S), ("15m", 900 * S), ("1h", 3600 * S), ("1d", 86_400 * S)],
)
def test_intervals(text, ns):
    assert parse_interval(text) == ns
    assert format_interval(ns) == text


@pytest.mark.parametrize("text", ["", "15", "m", "0m", "-1m", "1.5h", "1M", "1 h", "15min", "99999999d"])
def test_what_is_no_interval_is_refused(text):
    with pytest.raises(ValueError, match="is not an interval: write"):
        parse_interval(text)


def test_source_bars_must_divide_the_target():
    with pytest.raises(ValueError, match="bars of 1h do not add up to bars of 15m: ask for a multiple of 1h"):
        BarSampler(900 * S, 3600 * S)
    with pytest.raises(ValueError, match="must be positive"):
        BarSampler(0)


def test_a_feed_keeps_its_columns():
    sampler = BarSampler(10 * S)
    sampler.push(make([T0]))
    with pytest.raises(ValueError, match="a feed keeps its columns"):
        sampler.push(make([T0], present=("size",)))


def test_columns_are_checked():
    with pytest.raises(ValueError, match="column size must be a float64 array"):
        Columns(np.array([T0]), np.array([1.0]), size=np.array([1]))


@pytest.mark.parametrize("text", ["15m", "1h", "1d"])
def test_real_bars_as_pandas_resamples_them(data, text):
    import pandas as pd

    from windvane.infra.files.readers import read_market_file

    bars = read_market_file(data / "bars_1m_bitfinex_btcusd_2017_2019.parquet")
    mine = run(BarSampler(parse_interval(text), bars.interval), [bars.columns])
    frame = pd.DataFrame(
        {"price": bars.columns.price, "size": bars.columns.size},
        index=pd.to_datetime(bars.columns.ts, unit="ns"),
    )
    theirs = frame.resample(text.replace("m", "min").replace("d", "D"), closed="right", label="right").agg(
        {"price": "last", "size": "sum"}
    )
    theirs = theirs[theirs.price.notna()]
    n = len(mine)
    assert len(theirs) - n in (0, 1)  # pandas keeps an unfinished last bar
    np.testing.assert_array_equal(mine.ts, theirs.index.as_unit("ns").asi8[:n])
    np.testing.assert_array_equal(mine.price, theirs.price.to_numpy()[:n])
    np.testing.assert_allclose(mine.size, theirs["size"].to_numpy()[:n], rtol=1e-9)


def test_real_trades_as_pandas_resamples_them(data):
    import pandas as pd

    from windvane.infra.files.readers import read_market_file

    trades = read_market_file(data / "trades_binance_spot_btcusdt_20201101_2h.parquet").columns
    mine = run(BarSampler(S), [trades])
    frame = pd.DataFrame(
        {"price": trades.price, "size": trades.size, "buy": trades.buy_size},
        index=pd.to_datetime(trades.ts, unit="ns"),
    )
    theirs = frame.resample("1s", label="right").agg({"price": "last", "size": "sum", "buy": "sum"})
    theirs = theirs[theirs.price.notna()].iloc[:-1]
    np.testing.assert_array_equal(mine.ts, theirs.index.as_unit("ns").asi8)
    np.testing.assert_array_equal(mine.price, theirs.price.to_numpy())
    np.testing.assert_allclose(mine.buy_size, theirs.buy.to_numpy(), rtol=1e-9, atol=1e-12)
