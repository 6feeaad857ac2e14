"""The fifty features against a plain reference, and the laws they keep."""

from itertools import pairwise
from pathlib import Path

import features_reference as reference
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.rows import BAD, BENCHED, GAP, HEARTBEAT, REPEATED
from windvane.metamodel.base.rows import WARMUP as WARMING
from windvane.metamodel.features.extractor import NAMES, WARMUP, FeatureRows, MarketFeatureExtractor

laws = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)
START, STEP, STALE = 1_500_000_000 * 10**9, 10**9, 60 * 10**9
KINDS = ("walk", "constant", "jumps", "alternating", "quiet", "stairs")
SOURCES = {
    "bars": ("size",),
    "prices": (),
    "quotes": ("bid", "ask"),
    "trades": ("size", "buy_size"),
    "all": ("size", "bid", "ask", "bid_size", "ask_size", "buy_size"),
}
Columns = dict[str, Floats]


def path(rng: np.random.Generator, n: int, kind: str) -> Floats:
    """Log prices."""
    if kind == "constant":
        return np.zeros(n)
    if kind == "alternating":
        return 0.01 * (np.arange(n) % 2)
    if kind == "jumps":
        return np.where(rng.random(n) < 0.02, 0.69, 0.0) + 1e-3 * rng.standard_normal(n)
    if kind == "stairs":
        return np.cumsum(np.where(rng.random(n) < 0.03, 0.02 * rng.standard_normal(n), 0.0))
    vol = (1e-6 if kind == "quiet" else 2e-3) * np.exp(np.cumsum(rng.normal(0.0, 0.05, n)))
    return np.cumsum(np.clip(vol * rng.standard_t(3, n), -0.02, 0.02))  # a hole of some rows stays on a level


def columns(
    seed: int, n: int, kind: str = "walk", price_scale: float = 1e4, size_scale: float = 3.0
) -> Columns:
    """Every column of n good rows; a fifth of the sizes are 0."""
    rng = np.random.default_rng(seed)
    price = price_scale * np.exp(path(rng, n, kind))
    half = price * 1e-4 * rng.exponential(1.0, n) * (rng.random(n) > 0.1)
    size = size_scale * rng.exponential(1.0, n) * (rng.random(n) > 0.2)
    return {
        "price": price,
        "size": size,
        "bid": price - half,
        "ask": price + half,
        "bid_size": size_scale * rng.exponential(1.0, n) * (rng.random(n) > 0.1),
        "ask_size": size_scale * rng.exponential(1.0, n) * (rng.random(n) > 0.1),
        "buy_size": size * rng.random(n),
    }


def times(n: int) -> Ints:
    return START + STEP * np.arange(n, dtype=np.int64) * 37


def step(
    c: Columns,
    *,
    ts: Ints | None = None,
    flags: Ints | None = None,
    rows: slice = slice(None),
    extractor: MarketFeatureExtractor | None = None,
) -> FeatureRows:
    n = len(c["price"])
    ts = times(n) if ts is None else ts
    flags = np.zeros(n, np.int64) if flags is None else flags
    extractor = extractor or MarketFeatureExtractor(STALE)
    part = {name: np.ascontiguousarray(column[rows]) for name, column in c.items()}
    return extractor.step(ts[rows].copy(), flags[rows].copy(), part.pop("price"), **part)


def joined(parts: list[FeatureRows]) -> list[bytes]:
    return [np.concatenate(column).tobytes() for column in zip(*parts, strict=True)]


def dirty(seed: int, n: int) -> tuple[Columns, Ints, Ints, list[bool]]:
    """Columns, ts, flags and which rows hold valid numbers: holes, heartbeats, nonsense and clocks going back."""
    rng = np.random.default_rng(seed)
    c, ts, flags = columns(seed, n), times(n), np.zeros(n, np.int64)
    flags[rng.random(n) < 0.05] = HEARTBEAT
    flags[rng.random(n) < 0.03] = GAP
    flags[rng.random(n) < 0.03] = BAD
    flags[rng.random(n) < 0.03] |= BENCHED
    flags[rng.random(n) < 0.1] |= WARMING
    ts += np.cumsum((rng.random(n) < 0.02) * 2 * STALE)
    ts -= (rng.random(n) < 0.03) * 100 * STEP
    ts[1:] = np.where(rng.random(n - 1) < 0.05, ts[:-1], ts[1:])  # two rows of one time are fine
    valid = [True] * n
    for t in np.flatnonzero(rng.random(n) < 0.1):
        name = ("price", "size", "bid", "ask")[rng.integers(4)]
        c[name][t] = (np.nan, np.inf, -np.inf, -1.0)[rng.integers(4)]
        valid[t] = False
    return c, ts, flags, valid


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", KINDS)
def test_against_the_reference(source: str, kind: str) -> None:
    assert len(NAMES) == len(set(NAMES)) == 50
    c = columns(len(source), 1100, kind)
    got = {name: c[name] for name in SOURCES[source]}
    x = step({"price": c["price"], **got}).x
    expected = reference.features(NAMES, times(1100), c["price"], **got)
    for i, name in enumerate(NAMES):
        np.testing.assert_allclose(x[:, i], expected[:, i], rtol=1e-7, atol=1e-7, err_msg=name)


def test_against_the_reference_on_real_bars(data: Path) -> None:
    bars = pd.read_parquet(data / "bars_1m_bitfinex_btcusd_2017_2019.parquet").iloc[400_000:403_000]
    ts = (bars["ts"].to_numpy(np.int64) + 60_000) * 10**6
    price, size = bars["close"].to_numpy(np.float64).copy(), bars["volume"].to_numpy(np.float64).copy()
    x = MarketFeatureExtractor(10**18).step(ts, np.zeros(3000, np.int64), price, size=size).x
    expected = reference.features(NAMES, ts, price, size=size)
    for i, name in enumerate(NAMES):
        np.testing.assert_allclose(x[:, i], expected[:, i], rtol=1e-7, atol=1e-7, err_msg=name)


@given(
    seed=seeds,
    kind=st.sampled_from(KINDS),
    price=st.floats(1e-8, 1e12),
    size=st.sampled_from([0.0, 1e-8, 1.0, 1e12]),
)
@laws
def test_finite_and_bounded(seed: int, kind: str, price: float, size: float) -> None:
    x = step(columns(seed, 700, kind, price, size)).x
    assert np.isfinite(x).all()
    assert (np.abs(x) <= 20.0).all()


@given(rows=st.lists(st.tuples(st.floats(1e-8, 1e12), st.floats(0, 1e12), st.floats(0, 1e12)), min_size=1))
@laws
def test_finite_and_bounded_for_any_rows(rows: list[tuple[float, float, float]]) -> None:
    price, size, bought = np.array(rows).T
    x = step({"price": price, "size": size, "buy_size": bought}).x
    assert np.isfinite(x).all()
    assert (np.abs(x) <= 20.0).all()
    assert (np.abs(x[:, [NAMES.index("flow_16"), NAMES.index("flow_64")]]) <= 1.0 + 1e-12).all()


@given(seed=seeds, price=st.floats(1e-6, 1e6), size=st.floats(1e-6, 1e6))
@laws
def test_scale_free(seed: int, price: float, size: float) -> None:
    c = columns(seed, 700)
    scaled = {name: column * (size if name.endswith("size") else price) for name, column in c.items()}
    np.testing.assert_allclose(step(scaled).x, step(c).x, rtol=1e-9, atol=1e-9)


@given(seed=seeds, cut=st.integers(1, 700))
@laws
def test_causal(seed: int, cut: int) -> None:
    c, ts, flags, _ = dirty(seed, 700)
    whole = step(c, ts=ts, flags=flags)
    short = step(c, ts=ts, flags=flags, rows=slice(0, cut))
    for column, early in zip(whole, short, strict=True):
        assert column[:cut].tobytes() == early.tobytes()


@given(seed=seeds, cuts=st.lists(st.integers(0, 700), max_size=8))
@laws
def test_any_cut_gives_the_same_bytes(seed: int, cuts: list[int]) -> None:
    c, ts, flags, _ = dirty(seed, 700)
    whole = step(c, ts=ts, flags=flags)
    extractor = MarketFeatureExtractor(STALE)
    edges = pairwise([0, *sorted(cuts), 700])
    parts = [step(c, ts=ts, flags=flags, rows=slice(i, j), extractor=extractor) for i, j in edges]
    assert joined(parts) == joined([whole])


@given(seed=seeds, cut=st.integers(0, 700))
@laws
def test_state_and_restore(seed: int, cut: int) -> None:
    c, ts, flags, _ = dirty(seed, 700)
    first, second, third = (MarketFeatureExtractor(STALE) for _ in range(3))
    head = step(c, ts=ts, flags=flags, rows=slice(0, cut), extractor=first)
    state = first.state()
    second.restore(state)
    tail = step(c, ts=ts, flags=flags, rows=slice(cut, 700), extractor=first)
    third.restore(state)  # the state is a copy: neither extractor wrote to it
    for other in (second, third):
        assert joined([step(c, ts=ts, flags=flags, rows=slice(cut, 700), extractor=other)]) == joined([tail])
    assert joined([head, tail]) == joined([step(c, ts=ts, flags=flags)])


@given(seed=seeds)
@laws
def test_dirty_rows_are_flagged_and_repeat_the_last_good_row(seed: int) -> None:
    n = 900
    c, ts, given_flags, valid = dirty(seed, n)
    out = step(c, ts=ts, flags=given_flags)
    flags, stamps, last = reference.flagged(ts, given_flags, valid, STALE)
    assert out.flags.tolist() == flags.tolist()
    assert out.ts.tolist() == stamps.tolist()
    good = np.flatnonzero((flags & REPEATED) == 0)
    clean = step(
        {name: column[good] for name, column in c.items()},
        ts=ts[good],
        extractor=MarketFeatureExtractor(2**62),
    )
    before = np.searchsorted(good, np.arange(n), side="right") - 1
    assert (np.where(before >= 0, good[before], -1) == last).all()
    for name in ("x", "price", "mid", "bid", "ask", "size"):
        column = getattr(clean, name)
        expected = np.where((before >= 0).reshape(-1, *[1] * (column.ndim - 1)), column[before], 0.0)
        assert getattr(out, name).tobytes() == expected.tobytes(), name


@given(seed=seeds)
@laws
def test_time_never_goes_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ts = START + rng.integers(-(10**12), 10**12, 300)
    out = step(columns(seed, 300), ts=ts, flags=rng.choice([0, 0, HEARTBEAT, BAD, GAP], 300))
    assert (np.diff(out.ts) >= 0).all()


def test_missing_columns_give_neutral_values() -> None:
    c = columns(3, 600)
    zero = {
        "size": (
            "volume_16_slow",
            "volume_96_slow",
            "volume_trend_32",
            "volume_price_corr_64",
            "flow_16",
            "flow_64",
        ),
        "buy_size": ("flow_16", "flow_64"),
        "bid": ("spread_slow", "spread_vol"),
        "ask": ("spread_slow", "spread_vol"),
        "bid_size": ("imbalance", "imbalance_16"),
        "ask_size": ("imbalance", "imbalance_16"),
    }
    full = step(c).x
    for missing, names in zero.items():
        x = step({name: column for name, column in c.items() if name != missing}).x
        at = [NAMES.index(name) for name in names]
        assert (x[:, at] == 0.0).all(), missing
        assert (full[:, at] != 0.0).any(axis=0).all(), missing


def test_warming_up_lasts_512_good_rows() -> None:
    extractor = MarketFeatureExtractor(STALE)
    flags = np.zeros(1000, np.int64)
    flags[:400:2] = HEARTBEAT  # 200 heartbeats put the end off
    ts = START + STEP * np.arange(1000, dtype=np.int64)
    out = step(columns(5, 1000), ts=ts, flags=flags, rows=slice(0, 712), extractor=extractor)
    assert WARMUP == 512
    assert ((out.flags & WARMING) == WARMING).all()
    assert not extractor.warm
    after = step(columns(5, 1000), ts=ts, flags=flags, rows=slice(712, None), extractor=extractor)
    assert ((after.flags & WARMING) == 0).all()
    assert extractor.warm


@pytest.mark.parametrize(("hole", "gaps"), [(STALE, 0), (STALE + 1, 1), (50 * STALE, 1)])
def test_a_hole_is_told_once(hole: int, gaps: int) -> None:
    ts = START + STEP * np.arange(100, dtype=np.int64)
    ts[60:] += hole - STEP
    out = step(columns(6, 100), ts=ts)
    assert np.flatnonzero(out.flags & GAP).tolist() == [60][:gaps]
    assert not (out.flags & BAD).any()
    assert (out.ts == ts).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, value) for name in SOURCES["all"] for value in (np.nan, np.inf, -np.inf, -1.0)],
        *[("price", value) for value in (np.nan, np.inf, -np.inf, -1.0, 0.0)],
        *[("bid", 0.0), ("ask", 0.0), ("bid", 1e9), ("ask", 1e-9)],
    ],
)
@pytest.mark.parametrize("at", [0, 40])
def test_bad_rows_do_no_harm(name: str, value: float, at: int) -> None:
    n = 80
    c = columns(8, n)
    c[name][at] = value
    out = step(c)
    others = np.arange(n) != at
    expected = step({name: column[others] for name, column in c.items()}, ts=times(n)[others])
    assert np.isfinite(out.x).all()
    assert np.flatnonzero(out.flags & BAD).tolist() == [at]
    assert out.x[others].tobytes() == expected.x.tobytes()
    assert out.x[at].tobytes() == (expected.x[at - 1] if at else np.zeros(50)).tobytes()
