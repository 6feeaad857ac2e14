"""Served policies: what the network says, the same bits in any company, and nothing that cannot be."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from some_policy import form, layers, policy, rows
from windvane.agents.learned.policy import LearnedPolicy, tensors_of
from windvane.agents.learned.settings import LearnedError
from windvane.metamodel.features.columns import NAMES

KINDS: list[dict[str, Any]] = [
    {},
    {"actions": "trade", "max_position": 0.5},
    {"atoms": 11, "algorithm": "rainbow", "hidden": [7]},
    {"sees_position": False, "features": [NAMES[4], NAMES[1], NAMES[40]], "algorithm": "ppo"},
    {"activation": "tanh", "algorithm": "ppo", "hidden": [24, 24, 7]},
]
kinds = pytest.mark.parametrize("kind", KINDS)


def said(served: LearnedPolicy, seed: int, x: np.ndarray, position: float) -> np.ndarray:
    """The values (3,) of one row, by the formulas."""
    f = served.form
    columns = [NAMES.index(name) for name in f.features]
    z = np.clip((x[columns] - f.centre) / np.array(f.spread), -f.clip, f.clip)
    net = layers(f.sizes, f.atoms, seed)
    activated = {"relu": lambda h: np.maximum(h, 0.0), "tanh": np.tanh}[f.activation]
    h = np.append(z, position) if f.sees_position else z
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        h = (activated(h) if i else h) @ weight.astype(np.float64) + bias
    if not f.atoms:
        return h
    p = np.exp(h.reshape(3, -1))
    return (p * net.support).sum(1) / p.sum(1)


@kinds
@pytest.mark.parametrize("seed", range(3))
def test_it_does_what_the_formulas_say(kind: dict[str, Any], seed: int) -> None:
    served = policy(seed, **kind)
    x, price, good = rows(60, seed)
    got = served.propose(x, price, good)
    position, count = 0.0, 0
    for t in range(60):
        before = position
        count += good[t]
        if good[t] and count > served.warmup:
            best = int(np.argmax(said(served, seed, x[t], position)))
            position = (
                best - 1.0 if served.form.actions == "target" else np.clip(position + best - 1.0, -1, 1)
            )
        assert got.target[t] == position * served.form.max_position
        assert got.action[t] == np.sign(position - before)
        assert got.confidence[t] == (0.5 if good[t] and position else 0.0), "nobody has calibrated it"
    assert len(set(got.target)) > 1


@settings(max_examples=40, deadline=None)
@given(
    some.sampled_from(KINDS), some.integers(0, 99), some.lists(some.integers(1, 9), min_size=1, max_size=8)
)
def test_cuts_change_no_bit(kind: dict[str, Any], seed: int, cuts: list[int]) -> None:
    x, price, good = rows(sum(cuts), seed)
    whole = policy(seed, **kind).propose(x, price, good)
    parts, served, at = [], policy(seed, **kind), 0
    for cut in cuts:
        again = policy(seed, **kind)
        again.restore(served.state())
        here = slice(at, at + cut)
        parts.append(again.propose(x[here], price[here], good[here]))
        served, at = again, at + cut
    for one, many in zip(whole, zip(*parts, strict=True), strict=True):
        assert one.tobytes() == np.concatenate(many).tobytes()


@kinds
def test_a_state_has_the_same_values_alone_and_among_others(kind: dict[str, Any]) -> None:
    served, (x, _, _) = policy(1, **kind), rows(64, 1)
    position = np.arange(64) % 3 - 1.0
    together = served.values(x, position)
    alone = [served.values(x[t : t + 1], position[t : t + 1])[0] for t in range(64)]
    assert together.tobytes() == np.array(alone).tobytes()


@kinds
def test_values_are_those_of_the_formulas_in_float64(kind: dict[str, Any]) -> None:
    served, (x, _, _) = policy(1, **kind), rows(64, 1)
    position = np.arange(64) % 3 - 1.0
    wanted = [said(served, 1, x[t], position[t]) for t in range(64)]
    np.testing.assert_allclose(served.values(x, position), wanted, rtol=0, atol=1e-5)


def test_it_is_causal_and_reads_no_price() -> None:
    x, price, good = rows(40, 2)
    changed = x.copy()
    changed[30:] = 0.0
    one, two = policy(2).propose(x, price, good), policy(2).propose(changed, 7.0 * price, good)
    assert (one.target[:30] == two.target[:30]).all()
    assert (one.confidence[:30] == two.confidence[:30]).all()


def test_its_confidence_is_that_which_was_calibrated_with_it() -> None:
    model = {"sided": [[3, 0.4]], "plain": [[9, -0.2]], "intercept": 0.1, "base": 0.52, "cost": 1e-4}
    x, price, good = rows(300, 4)
    served, plain = policy(4, confidence=model), policy(4)
    one, two = served.propose(x, price, good), plain.propose(x, price, good)
    assert one.target.tobytes() == two.target.tobytes()
    held = (one.target != 0.0) & (good == 1)
    assert np.unique(one.confidence[held]).size > 100
    assert (one.confidence[~held] == 0.0).all()
    again = policy(4, confidence=model)
    again.restore({"memory": served.state()["memory"]})  # as a release stored it that knew no confidence
    assert again.propose(x, price, good).target.tobytes() == served.propose(x, price, good).target.tobytes()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"algorithm": "sarsa"}, "give dqn, ppo, rainbow"),
    ({"features": ["trend_8", "trend_8"]}, "stands twice"),
    ({"features": []}, "0 features"),
    ({"features": ["tomorrow"]}, "reads tomorrow"),
    ({"spread": [0.0] * 50}, "spread or clip"),
    ({"centre": [float("nan")] * 50}, "spread or clip"),
    ({"centre": [0.0]}, "1 centres"),
    ({"actions": "all"}, "give one of trade, target"),
    ({"mapping": [1.0, 0.0, -1.0]}, r"give \[-1, 0, 1\]"),
    ({"max_position": 2.0}, "up to 1"),
    ({"hidden": []}, "1 to 4 layers"),
    ({"hidden": [10**9]}, "1 to 1024 units"),
    ({"atoms": 10**6}, "2 to 1001"),
    ({"activation": "gelu"}, "give one of relu, tanh"),
    ({"warmup": -1}, "0 or more rows"),
    (
        {"confidence": {"sided": [[77, 1.0]], "plain": [], "intercept": 0, "base": 0.5, "cost": 0}},
        "column 77",
    ),
]


@pytest.mark.parametrize(("given", "what"), REFUSED)
def test_a_form_that_cannot_be_is_refused(given: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        policy(**given)


def test_weights_that_do_not_fit_are_refused() -> None:
    good = policy()
    tensors = tensors_of(layers(good.form.sizes, 0, 0))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"layer0.bias": tensors["layer0.bias"].astype(np.float64)}, "give float32"),
        ({"layer1.weight": tensors["layer1.weight"].T.copy()}, r"policy.json says \[16, 8\]"),
        ({"extra": tensors["layer0.bias"]}, "differ in extra"),
        ({"layer2.bias": np.array([0.0, np.nan, 0.0], np.float32)}, "NaN"),
        ({"layer2.bias": np.array([0.0, np.inf, 0.0], np.float32)}, "beyond"),
    ]
    for change, what in changes:
        with pytest.raises(LearnedError, match=what):
            LearnedPolicy(good.form, tensors | change, NAMES)
    del tensors["layer1.bias"]
    with pytest.raises(LearnedError, match="differ in layer1"):
        LearnedPolicy(good.form, tensors, NAMES)


@pytest.mark.parametrize("memory", [[0.0], [5.0, 0.5], [np.nan, 0.0], [5.0, np.nan]])
def test_a_state_that_is_none_is_refused(memory: list[float]) -> None:
    with pytest.raises(LearnedError, match="not one of policy dqn"):
        policy().restore({"memory": np.array(memory)})


def test_the_form_says_all_that_is_needed() -> None:
    assert set(form()) | {"format", "weights_sha256"} == set(policy().form.__struct_fields__)
