"""The simulated market against its own table."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.regimes import BEAR, BREAKOUT, BULL, CRISIS, HIGH, LOW, REGIMES, REVERSAL
from windvane.metamodel.simulation import market_kernel as mk
from windvane.metamodel.simulation.market import (
    BAR,
    MARKETS,
    SHORTEST,
    TABLE,
    TRANSITIONS,
    SimulatedMarket,
    _parameters,
    _path,
    simulate,
)

SEEDS, TICKS = range(8), 150_000


@cache
def market(name: str, seed: int) -> SimulatedMarket:
    return simulate(name, TICKS, seed)


def pooled(name: str) -> tuple[Floats, Ints]:
    """Returns in sigma and the regimes they are of, over all seeds, without the 60 ticks after a switch."""
    r, regime = [], []
    for seed in SEEDS:
        m = market(name, seed)
        start = np.flatnonzero(np.diff(m.regime, prepend=-1))
        age = np.arange(TICKS) - np.repeat(start, np.diff(start, append=TICKS))
        moves = np.diff(np.log(m.price), prepend=np.log(m.price[0])) / mk.SIGMA
        r.append(moves[age >= 60])
        regime.append(m.regime[age >= 60])
    return np.concatenate(r), np.concatenate(regime)


def starts(regime: Ints) -> Ints:
    return np.flatnonzero(np.diff(regime, prepend=-1))


@pytest.mark.parametrize("name", MARKETS)
@pytest.mark.parametrize("randomised", [False, True])
def test_same_arguments_same_bytes(name: str, randomised: bool) -> None:
    one = simulate(name, 3000, 7, randomised)
    other = simulate(name, 3000, 7, randomised)
    for a, b in zip(one[:-1], other[:-1], strict=True):
        assert a.tobytes() == b.tobytes()
    assert not np.array_equal(one.price, simulate(name, 3000, 8, randomised).price)
    assert not np.array_equal(one.size, simulate(name, 3000, 7, not randomised).size)


def test_fewer_ticks_are_a_prefix_of_more() -> None:
    more = simulate("standard", 20_000, 3)
    for n in (1, 59, 8192, 8193, 19_999):
        for a, b in zip(simulate("standard", n, 3)[:-1], more[:-1], strict=True):
            assert a.tobytes() == b[:n].tobytes()


@pytest.mark.parametrize("name", MARKETS)
def test_columns_are_sane(name: str) -> None:
    m = simulate(name, 50_000, 11)
    for column in m[1:8]:
        assert column.dtype == np.float64
        assert column.shape == (50_000,)
        assert column.flags.c_contiguous
        assert np.isfinite(column).all()
        assert (column > 0.0).all()
    assert (m.bid < m.price).all()
    assert (m.price < m.ask).all()
    np.testing.assert_allclose(0.5 * (m.bid + m.ask), m.price, rtol=1e-12)
    assert (m.buy_size < m.size).all()
    assert m.ts.dtype == m.regime.dtype == np.int64
    assert (np.diff(m.ts) == BAR).all()
    assert m.ts[0] == np.datetime64("2020-01-01T00:15", "ns").astype(np.int64)
    assert set(np.unique(m.regime)) <= set(range(len(REGIMES)))
    assert m.fee_bp == MARKETS[name].fee_bp


def test_all_regimes_are_met_and_none_follows_itself() -> None:
    assert len(REGIMES) == len(TABLE) == len(TRANSITIONS) == 7
    np.testing.assert_allclose(TRANSITIONS.sum(axis=1), 1.0)
    assert (np.diag(TRANSITIONS) == 0.0).all()
    shares = np.bincount(np.concatenate([market("standard", s).regime for s in SEEDS]), minlength=7)
    assert (shares > 0.015 * TICKS * len(SEEDS)).all()


@pytest.mark.parametrize("randomised", [False, True])
def test_dwell_times(randomised: bool) -> None:
    spent: list[list[int]] = [[] for _ in REGIMES]
    for seed in range(16):
        regime = simulate("null", 100_000, seed, randomised).regime
        edges = starts(regime)
        for start, length in zip(edges[:-1], np.diff(edges), strict=True):  # the last dwell is cut by the end
            spent[regime[start]].append(int(length))
    for lengths, row in zip(spent, TABLE, strict=True):
        assert min(lengths) >= SHORTEST
        assert 0.65 < np.mean(lengths) / row.dwell < 1.5


def test_what_follows_what() -> None:
    for seed in range(12):
        _, dwell = _parameters(MARKETS["standard"], seed, False)
        regime, side = _path(dwell, 100_000, seed)
        trend = 1.0
        begins = starts(regime)
        for before, now in pairwise(begins):
            was, came = regime[before], regime[now]
            if was not in (HIGH, LOW):
                trend = side[before]
            assert came != was
            if was == BREAKOUT and came in (BULL, BEAR):
                assert side[now] == side[before]
            if came == REVERSAL:
                assert side[now] == -trend
            assert side[now] == {BULL: 1.0, BEAR: -1.0, CRISIS: -1.0}.get(int(came), side[now])


def test_volatility_follows_the_table() -> None:
    r, regime = pooled("standard")
    realised = np.array([r[regime == k].std() for k in range(7)])
    ratio = realised / np.array([row.vol for row in TABLE])
    assert (ratio > 0.85).all()
    assert (ratio < 1.45).all()  # jumps add up to a quarter to the variance of crises
    assert realised[LOW] < 0.7 * min(realised[[BULL, BEAR]])
    assert max(realised[[BULL, BEAR]]) < min(realised[[BREAKOUT, REVERSAL]])
    assert max(realised[[BREAKOUT, REVERSAL]]) < realised[HIGH] < 0.8 * realised[CRISIS]


def test_drifts_follow_the_table() -> None:
    r, regime = pooled("standard")
    for k, sign in ((BULL, 1.0), (BEAR, -1.0), (CRISIS, -1.0)):
        mine = sign * r[regime == k]
        error = mine.std() / np.sqrt(len(mine))
        assert mine.mean() > 4.0 * error
        assert abs(mine.mean() - TABLE[k].drift) < 0.2 * TABLE[k].drift + 4.0 * error
    for k in (HIGH, LOW):
        mine = r[regime == k]
        assert abs(mine.mean()) < 5.0 * mine.std() / np.sqrt(len(mine))


def test_no_edge_means_no_drift_and_no_memory() -> None:
    r, regime = pooled("null")
    for k in range(7):
        mine = r[regime == k]
        assert abs(mine.mean()) < 4.0 * mine.std() / np.sqrt(len(mine))
    clipped = np.clip(r, -3.0, 3.0)
    for lag in (1, 2, 8):
        assert abs(np.corrcoef(clipped[lag:], clipped[:-lag])[0, 1]) < 4.0 / np.sqrt(len(r))


def test_edge_scales_what_can_be_predicted_and_nothing_else() -> None:
    full, dwell = _parameters(MARKETS["standard"], 5, False)
    half, same_dwell = _parameters(MARKETS["hard"], 5, False)
    predictable = [mk.DRIFT, mk.PULL, mk.LAG, mk.JUMP_MEAN, mk.RETURNS]
    rest = [mk.VOL, mk.JUMPS, mk.VOLUME, mk.SPREAD]
    np.testing.assert_allclose(half[predictable], 0.5 * full[predictable])
    np.testing.assert_array_equal(half[rest], full[rest])
    np.testing.assert_array_equal(dwell, same_dwell)


def test_swapped_exchanges_the_mechanisms() -> None:
    p, _ = _parameters(MARKETS["swapped"], 5, False)
    trends, ranges = [BULL, BEAR, BREAKOUT, REVERSAL], [HIGH, LOW]
    assert (p[mk.DRIFT, trends] == 0.0).all()
    assert (p[mk.PULL, trends] > 0.0).all()
    assert (p[mk.DRIFT, ranges] > 0.0).all()
    assert (p[mk.PULL, ranges] == 0.0).all()
    standard, _ = _parameters(MARKETS["standard"], 5, False)
    np.testing.assert_array_equal(p[mk.VOL], standard[mk.VOL])


def test_jumps_and_what_comes_back() -> None:
    """Without noise nothing moves but jumps, so they can be counted and followed."""
    p, _ = _parameters(MARKETS["standard"], 1, False)
    p[[mk.DRIFT, mk.PULL, mk.LAG]] = 0.0
    rng = np.random.default_rng(0)
    n = 100_000
    for k in (BULL, HIGH, CRISIS):
        out = np.empty((7, n))
        regime, side = np.full(n, k), np.ones(n)
        mk.walk(np.zeros(n), np.zeros((n, mk.NORMALS)), rng.random((n, mk.UNIFORMS)), regime, side, p, out)
        r = np.diff(np.log(out[0]), prepend=np.log(mk.START))
        v = p[mk.VOL, k] * np.exp(-(mk.STATE_SD**2))
        jumps = np.flatnonzero(np.abs(r) > 2.5 * v)
        expected = n * p[mk.JUMPS, k]
        assert abs(len(jumps) - expected) < 4.0 * np.sqrt(expected) + 0.02 * expected
        alone = [
            j for j in jumps if j + 40 < n and not np.any((jumps > j - 40) & (jumps < j + 40) & (jumps != j))
        ]
        size = r[alone] / v
        assert ((np.abs(size) > 3.9) & (np.abs(size) < 5.1)).all()
        after = np.array([r[j + 1 : j + 40].sum() for j in alone]) / r[alone]
        np.testing.assert_allclose(after, -p[mk.RETURNS, k], atol=0.01)
        if k == CRISIS:
            assert abs(size.mean() + 1.0) < 4.0 * 4.5 / np.sqrt(len(size)) + 0.2
    assert p[mk.RETURNS, CRISIS] < 0.0 < p[mk.RETURNS, HIGH]


def test_training_seeds_are_spread_wider() -> None:
    kind = MARKETS["standard"]
    drift, vol = np.array(
        [
            (_parameters(kind, seed, True)[0] / np.where(p == 0.0, 1.0, p))[[mk.DRIFT, mk.VOL], BULL]
            for seed in range(200)
            for p in [_parameters(kind, seed, False)[0]]
        ]
    ).T
    assert 0.4 <= drift.min() < 0.5
    assert 1.1 < drift.max() <= 1.2
    assert 0.15 < np.log(vol).std() < 0.25


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bullish", 10, 0), "unknown market 'bullish'"),
        (("standard", 0, 0), "ticks is 0"),
        (("standard", 10, -1), "seed is -1"),
    ],
)
def test_bad_arguments_are_refused(arguments: tuple[str, int, int], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        simulate(*arguments)
    for name in MARKETS:
        assert name in str(refused.value)
