"""Laws that every rule agent keeps, and each agent against the obvious loop."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.agents.base import Floats, Ints, Proposal
from windvane.agents.factory import RULES, create_agents

NAMES = tuple(RULES)
LONG = 1200
laws = settings(deadline=None, max_examples=30)
seeds = st.integers(0, 2**32 - 1)


def path(seed: int, n: int = LONG) -> Floats:
    """Prices with fat tails, trends, clusters of volatility and stretches that do not move."""
    rng = np.random.default_rng(seed)
    vol = 2e-3 * np.exp(np.cumsum(rng.normal(0.0, 0.03, n)))
    r = vol * rng.standard_t(3, n) + 1e-4 * np.repeat(rng.normal(0.0, 2.0, n // 100 + 1), 100)[:n]
    start = int(rng.integers(0, n))
    r[start : start + int(rng.integers(0, 150))] = 0.0
    return 10_000.0 * np.exp(np.cumsum(np.clip(r, -0.5, 0.5)))


def mask(seed: int, n: int = LONG) -> Ints:
    return (np.random.default_rng(seed).random(n) > 0.1).astype(np.int64)


def run(name: str, price: Floats, good: Ints | None = None) -> Proposal:
    good = np.ones(len(price), np.int64) if good is None else good
    return create_agents([name])[0].propose(np.zeros((len(price), 50)), price, good)


def same(one: Proposal, other: Proposal) -> bool:
    return all(a.tobytes() == b.tobytes() and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


class TestLaws:
    @pytest.mark.parametrize("name", NAMES)
    @given(seed=seeds)
    @laws
    def test_bounds_and_warmup(self, name: str, seed: int) -> None:
        price, good = path(seed), mask(seed)
        target, action, confidence = run(name, price, good)
        assert np.isfinite(target).all()
        assert np.isfinite(confidence).all()
        assert (np.abs(target) <= 1.0).all()
        assert ((confidence >= 0.0) & (confidence <= 1.0)).all()
        assert (action == np.sign(np.diff(target, prepend=0.0))).all()
        cold = np.cumsum(good) <= RULES[name].warmup
        assert (target[cold] == 0.0).all()
        assert (confidence[cold] == 0.0).all()

    @pytest.mark.parametrize("name", NAMES)
    @given(seed=seeds, power=st.integers(-60, 60))
    @laws
    def test_prices_times_a_power_of_two_change_no_bit(self, name: str, seed: int, power: int) -> None:
        price = path(seed)
        assert same(run(name, price), run(name, price * 2.0**power))

    @pytest.mark.parametrize("name", NAMES)
    @given(seed=seeds, factor=st.floats(1e-6, 1e6))
    @laws
    def test_prices_times_a_constant_change_nothing(self, name: str, seed: int, factor: float) -> None:
        price = path(seed)
        one, other = run(name, price), run(name, price * factor)
        np.testing.assert_allclose(one.target, other.target, rtol=0.0, atol=1e-9)
        np.testing.assert_allclose(one.confidence, other.confidence, rtol=0.0, atol=1e-9)

    @pytest.mark.parametrize("name", NAMES)
    @given(seed=seeds, cuts=st.lists(st.integers(0, LONG), max_size=12))
    @laws
    def test_cuts_change_no_bit(self, name: str, seed: int, cuts: list[int]) -> None:
        price, good = path(seed), mask(seed)
        agent = create_agents([name])[0]
        edges = [0, *sorted(cuts), LONG]
        parts = []
        for a, b in pairwise(edges):
            parts.append(agent.propose(np.zeros((b - a, 50)), price[a:b], good[a:b]))
        whole = Proposal(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        assert same(whole, run(name, price, good))

    @pytest.mark.parametrize("name", NAMES)
    def test_one_row_at_a_time_changes_no_bit(self, name: str) -> None:
        price, good = path(5), mask(5)
        agent = create_agents([name])[0]
        rows = [agent.propose(np.zeros((1, 50)), price[i : i + 1], good[i : i + 1]) for i in range(LONG)]
        whole = Proposal(*(np.concatenate(column) for column in zip(*rows, strict=True)))
        assert same(whole, run(name, price, good))

    @pytest.mark.parametrize("name", NAMES)
    @given(seed=seeds, cut=st.integers(1, LONG))
    @laws
    def test_later_prices_change_nothing_before(self, name: str, seed: int, cut: int) -> None:
        price, good = path(seed), mask(seed)
        changed = price.copy()
        changed[cut:] *= 1.0 + 0.5 * np.random.default_rng(seed).random(LONG - cut)
        one, other = run(name, price, good), run(name, changed, good)
        assert same(Proposal(*(c[:cut] for c in one)), Proposal(*(c[:cut] for c in other)))

    @pytest.mark.parametrize("name", NAMES)
    @given(seed=seeds, cut=st.integers(0, LONG))
    @laws
    def test_restored_in_mid_stream(self, name: str, seed: int, cut: int) -> None:
        price, good = path(seed), mask(seed)
        old, new = create_agents([name])[0], create_agents([name])[0]
        x = np.zeros((LONG, 50))
        old.propose(x[:cut], price[:cut], good[:cut])
        saved = old.state()
        rest = old.propose(x[cut:], price[cut:], good[cut:])
        new.restore(saved)
        for column in saved.values():
            column[:] = math.nan  # neither agent may look at what the caller holds
        assert same(rest, new.propose(x[cut:], price[cut:], good[cut:]))

    @pytest.mark.parametrize("name", NAMES)
    @given(seed=seeds)
    @laws
    def test_bad_rows_move_nothing(self, name: str, seed: int) -> None:
        price, good = path(seed), mask(seed)
        spoiled = np.where(good == 1, price, math.nan)
        target, action, confidence = run(name, spoiled, good)
        kept = good == 1
        assert same(Proposal(target[kept], action[kept], confidence[kept]), run(name, price[kept]))
        assert (target[~kept] == np.concatenate([[0.0], target[:-1]])[~kept]).all()
        assert (confidence[~kept] == 0.0).all()
        assert (action[~kept] == 0).all()

    @pytest.mark.parametrize("name", NAMES)
    def test_a_market_that_never_moved(self, name: str) -> None:
        price = np.full(1000, 123.45)
        target, _, confidence = run(name, price)
        assert (target == (1.0 if name == "buy_and_hold" else 0.0)).all()
        assert np.isfinite(confidence).all()
        price[900:] *= 1.001
        assert np.isfinite(run(name, price).target).all()

    def test_a_state_of_the_wrong_shape_is_refused(self) -> None:
        with pytest.raises(ValueError, match="the memory of ema_momentum has 6 numbers"):
            create_agents(["ema_momentum"])[0].restore({"memory": np.zeros(3)})


# The obvious loops: no shared code, no state carried but lists.


def ewma(values: list[float], span: int) -> list[float]:
    out: list[float] = []
    for i, value in enumerate(values):
        step = max(2 / (span + 1), 1 / (i + 1))
        out.append(value if i == 0 else (1 - step) * out[-1] + step * value)
    return out


def returns_and_s(price: Floats) -> tuple[list[float], list[float]]:
    """Return of every tick (0 for the first) and s after it."""
    r = [0.0, *np.diff(np.log(price))]
    s2 = [0.0]
    for i in range(1, len(r)):
        square = r[i] ** 2 if s2[-1] == 0 else min(r[i] ** 2, 36 * s2[-1])
        step = max(2 / 129, 1 / i)
        s2.append((1 - step) * s2[-1] + step * square)
    return r, [math.sqrt(v) for v in s2]


def moved_by_more(wanted: list[float], band: float, warmup: int) -> list[float]:
    out: list[float] = []
    for i, value in enumerate(wanted):
        last = out[-1] if out else 0.0
        out.append(0.0 if i < warmup else value if abs(value - last) > band else last)
    return out


def ema_momentum(price: Floats) -> list[float]:
    fast, slow = ewma(list(price), 24), ewma(list(price), 96)
    _, s = returns_and_s(price)
    return [
        0.0 if i < 192 or s[i] == 0 else math.tanh(math.log(fast[i] / slow[i]) / (5 * s[i]))
        for i in range(len(price))
    ]


def zscore_reversion(price: Floats) -> list[float]:
    average = ewma(list(price), 80)
    _, s = returns_and_s(price)
    keep = 79 / 81
    spread = math.sqrt(
        sum(keep ** (2 * k) for k in range(1, 5000))
    )  # distance of a unit random walk to its EMA
    z = [math.log(p / a) / (spread * v) if v > 0 else 0.0 for p, a, v in zip(price, average, s, strict=True)]
    return moved_by_more([max(-1.0, min(1.0, -v / 1.5)) for v in z], 0.25, 160)


def donchian_breakout(price: Floats) -> list[float]:
    out: list[float] = []
    for i, p in enumerate(price):
        side = out[-1] if out else 0.0
        if i >= 96:
            if p > max(price[i - 96 : i]):
                side = 1.0
            elif p < min(price[i - 96 : i]):
                side = -1.0
            elif side * p < min(side * q for q in price[i - 48 : i]):
                side = 0.0
        out.append(side)
    return out


def vol_trend(price: Floats) -> list[float]:
    r, s = returns_and_s(price)
    trend = [0.0, *ewma(r[1:], 384)]
    slow = [0.0, *ewma([v * v for v in s[1:]], 8000)]
    wanted = []
    for i in range(len(price)):
        if s[i] == 0:
            wanted.append(0.0)
        else:
            wanted.append(math.tanh(trend[i] * math.sqrt(384) / s[i]) * min(1.0, math.sqrt(slow[i]) / s[i]))
    return moved_by_more(wanted, 0.15, 384)


def jump_contrarian(price: Floats) -> list[float]:
    r, s = returns_and_s(price)
    out = [0.0] * len(price)
    for i in range(1, len(price)):
        if s[i - 1] > 0 and abs(r[i]) > 3 * s[i - 1]:
            for k in range(i, min(i + 12, len(price))):
                out[k] = -math.copysign(1.0, r[i])
    return [0.0 if i < 128 else v for i, v in enumerate(out)]


def buy_and_hold(price: Floats) -> list[float]:
    return [1.0] * len(price)


OBVIOUS: dict[str, Callable[[Floats], list[float]]] = {
    f.__name__: f
    for f in (ema_momentum, zscore_reversion, donchian_breakout, vol_trend, jump_contrarian, buy_and_hold)
}


class TestTargets:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("seed", range(4))
    def test_against_the_obvious_loop(self, name: str, seed: int) -> None:
        price = path(seed, 4000)
        target = run(name, price).target
        np.testing.assert_allclose(target, OBVIOUS[name](price), rtol=0.0, atol=1e-9)
        assert np.abs(target).max() > 0.5
