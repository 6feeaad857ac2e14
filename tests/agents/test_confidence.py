"""The probability that a proposal pays: against a slow reference, in any cut, and where nothing can be told."""

import math
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from windvane.agents.base import Floats, Ints
from windvane.agents.confidence import HORIZON, UNKNOWN, Calibration, Confidence, agreed, agreements
from windvane.agents.errors import WindvaneError
from windvane.agents.factory import AGENTS, RULES, create_agents
from windvane.agents.mixture import AgentMixture
from windvane.agents.rules.calibrations import CALIBRATIONS

MODEL = Calibration(sided=((3, 0.4), (0, -0.2)), plain=((17, 0.3),), intercept=-0.1, base=0.52, cost=3e-4)


def rows(seed: int, n: int = 400) -> tuple[Floats, Floats, Ints, Floats]:
    """x (n, 50), price, good and target (n,): a target that stands for a while, and is often 0."""
    rng = np.random.default_rng(seed)
    price = 100.0 * np.exp(np.cumsum(2e-3 * rng.standard_normal(n)))
    good = (rng.random(n) < 0.9).astype(np.int64)
    target = np.repeat(rng.choice([-1.0, -0.3, 0.0, 0.6, 1.0], n), rng.integers(1, 9, n))[:n]
    for t in range(1, n):  # a row without news repeats the last target
        target[t] = target[t] if good[t] else target[t - 1]
    return rng.standard_normal((n, 50)), price, good, target


def slowly(model: Calibration, x: Floats, price: Floats, good: Ints, target: Floats) -> list[float]:
    """The same by the formulas, with lists of what was said."""
    said: list[tuple[float, float, float, float]] = []  # probability, target, cost of the change, price
    out, evidence = [], 0.0
    for t in range(len(price)):
        if not good[t]:
            out.append(0.0)
            continue
        if len(said) >= HORIZON and said[-HORIZON][1] != 0.0:
            first, held, paid, then = said[-HORIZON]
            won = held * math.log(price[t] / then) > paid
            odds = first / model.base if won else (1 - first) / (1 - model.base)
            evidence = evidence * 0.5 ** (1 / 50_000) + math.log(odds) / HORIZON
        first = model.base
        if target[t]:
            z = sum(w * x[t, k] for k, w in model.sided) * math.copysign(1.0, target[t])
            z += model.intercept + sum(w * x[t, k] for k, w in model.plain)
            first = 1 / (1 + math.exp(-max(-5.0, min(5.0, z))))
        share = 1 / (1 + math.exp(-evidence))
        out.append(share * first + (1 - share) * model.base if target[t] else 0.0)
        cost = abs(target[t] - (said[-1][1] if said else 0.0)) * model.cost
        said.append((first, float(target[t]), cost, float(price[t])))
    return out


@settings(max_examples=30, deadline=None)
@given(some.integers(0, 2**32 - 1))
def test_it_equals_the_slow_reference(seed: int) -> None:
    told = rows(seed)
    found = Confidence(MODEL).step(*told)
    np.testing.assert_allclose(found, slowly(MODEL, *told), rtol=0.0, atol=1e-12)
    assert np.unique(found).size > 50


@settings(max_examples=30, deadline=None)
@given(some.integers(0, 2**32 - 1), some.lists(some.integers(0, 400), max_size=9))
def test_cuts_and_restores_change_no_bit(seed: int, cuts: list[int]) -> None:
    told = rows(seed)
    whole, parts, one = Confidence(MODEL).step(*told), [], Confidence(MODEL)
    for a, b in pairwise([0, *sorted(cuts), 400]):
        again = Confidence(MODEL)
        again.restore(one.memory.copy())
        parts.append(again.step(*(column[a:b] for column in told)))
        one = again
    assert whole.tobytes() == np.concatenate(parts).tobytes()


@settings(max_examples=20, deadline=None)
@given(some.integers(0, 2**32 - 1), some.integers(1, 399))
def test_later_rows_change_nothing_before(seed: int, cut: int) -> None:
    x, price, good, target = rows(seed)
    before = Confidence(MODEL).step(x, price, good, target)
    x[cut:], price[cut:], target[cut:] = 0.0, 7.0, 1.0
    assert before[:cut].tobytes() == Confidence(MODEL).step(x, price, good, target)[:cut].tobytes()


def test_what_is_foretold_is_believed_more_and_what_is_not_less() -> None:
    """A market in which the model is right, and one in which its feature is noise."""
    rng = np.random.default_rng(1)
    n, model = 60_000, Calibration(sided=((0, 0.5),), plain=(), intercept=0.0, base=0.5, cost=0.0)
    x, noise = np.zeros((n, 50)), rng.standard_normal((2, n))
    for t in range(1, n):
        x[t, 0] = 0.98 * x[t - 1, 0] + 0.2 * noise[0, t]
    good, target = np.ones(n, np.int64), np.ones(n)
    for edge, low, high in ((0.07, 0.9, 1.0), (0.0, 0.0, 0.1)):
        price = 100.0 * np.exp(np.cumsum(1e-3 * (edge * np.append(0.0, x[:-1, 0]) + noise[1])))
        said = Confidence(model).step(x, price, good, target)
        first = 1.0 / (1.0 + np.exp(-0.5 * x[:, 0]))
        share = (said[-20_000:] - 0.5) / (first[-20_000:] - 0.5)
        assert low <= share.mean() <= high


def test_who_was_never_calibrated_says_a_half_where_it_wants_anything() -> None:
    x, price, good, target = rows(3)
    found = Confidence(None).step(x, price, good, target)
    assert (found == np.where((target != 0.0) & (good == 1), 0.5, 0.0)).all()
    assert (Confidence(UNKNOWN).step(x, price, good, target) == found).all()


def test_every_rule_is_calibrated_by_its_kind() -> None:
    assert set(CALIBRATIONS) == set(RULES)
    x, price, good, _ = rows(5, 900)
    x *= 2.0
    slow, plain = create_agents(["slow=vol_trend"])[0], create_agents(["vol_trend"])[0]
    said = slow.propose(x, price, good)
    assert said.confidence.tobytes() == plain.propose(x, price, good).confidence.tobytes()
    held = (said.target != 0.0) & (good == 1)
    assert np.abs(np.corrcoef(np.abs(said.target[held]), said.confidence[held])[0, 1]) < 0.5


@pytest.mark.parametrize("name", AGENTS)
def test_a_state_of_a_release_without_confidence_is_gone_on_with(name: str) -> None:
    x, price, good, _ = rows(7, 900)
    one, other = (create_agents([name])[0] for _ in range(2))
    one.propose(x[:600], price[:600], good[:600])
    other.restore({"memory": one.state()["memory"]})
    first, second = (agent.propose(x[600:], price[600:], good[600:]) for agent in (one, other))
    assert first.target.tobytes() == second.target.tobytes()
    assert (second.confidence[second.target == 0.0] == 0.0).all()


def test_a_mixture_of_a_release_without_confidence_is_gone_on_with() -> None:
    names = ["vol_trend", "buy_and_hold"]
    one, other = (AgentMixture(dict(zip(names, create_agents(names), strict=True))) for _ in range(2))
    state = {name: value for name, value in one.state().items() if not name.endswith(".confidence")}
    other.restore(state)
    with pytest.raises(ValueError, match=r"vol_trend\.memory is in one of them only"):
        other.restore({name: value for name, value in state.items() if name != "vol_trend.memory"})


@pytest.mark.parametrize("memory", [np.zeros(3), np.full(163, np.nan), np.full(163, -1.0)])
def test_a_memory_that_is_none_is_refused(memory: Floats) -> None:
    assert len(Confidence(MODEL).memory) in (len(memory), 131)
    with pytest.raises(ValueError, match="what is remembered of proposals"):
        Confidence(MODEL).restore(memory)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"sided": ((50, 1.0),)}, "reads column 50: give 0 to 49"),
        ({"plain": ((-1, 1.0),)}, "give 0 to 49"),
        ({"intercept": math.nan}, "not finite"),
        ({"plain": ((1, math.inf),)}, "not finite"),
        ({"base": 1.0}, "a base outside 0 to 1"),
        ({"cost": -1.0}, "a cost below 0"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(given: dict[str, Any], what: str) -> None:
    with pytest.raises(WindvaneError, match=what):
        msgspec.structs.replace(MODEL, **given).__post_init__()


def test_agents_agree_by_what_each_adds_to_a_position() -> None:
    """Half of it expects .6, a quarter .8, and a quarter on the other side .7 of the opposite."""
    weights, target = np.array([0.5, 0.5, 0.25, 0.1]), np.array([0.5, 0.25, -0.5, 0.0])
    said = np.array([0.6, 0.8, 0.7, 0.0])
    wanted = (0.25 * 0.6 + 0.125 * 0.8 + 0.125 * 0.3) / 0.5
    assert agreed(weights, target, said, 0.1) == pytest.approx(wanted)
    assert agreed(weights, np.zeros(4), said, 0.1) == 0.0
    both = agreements(
        np.stack([weights] * 2), np.stack([target] * 2), np.stack([said] * 2), np.array([0.1, -0.1])
    )
    assert both.tolist() == pytest.approx([wanted, 1.0 - wanted])
