"""The training of policies: repeatable, resumable, honest about its parts, and worth it where a market can be known."""

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

from predictable import RULES, parts  # noqa: E402

from windvane.agents.learned.learners import LEARNERS  # noqa: E402
from windvane.agents.learned.networks import one_thread  # noqa: E402
from windvane.agents.learned.settings import LearnedError  # noqa: E402
from windvane.infra.policies import judging  # noqa: E402
from windvane.infra.policies.judging import best_rule, judged  # noqa: E402
from windvane.infra.policies.recipe import Recipe, settings_of  # noqa: E402
from windvane.infra.policies.training import PolicyTraining  # noqa: E402

FEW = ("batch=16", "before=200", "every=16", "capacity=2000")
SMALL: dict[str, tuple[str, ...]] = {
    "dqn": FEW,
    "ppo": ("steps=16", "epochs=2"),
    "rainbow": (*FEW, "atoms=11"),
}
every_algorithm = pytest.mark.parametrize("algorithm", LEARNERS)


def recipe(algorithm: str, **given: Any) -> Recipe:
    whole = {"steps": 1_600, "every": 400, "environments": 8, "episode": 64, "patience": 0, "seed": 3} | given
    return Recipe(
        algorithm=algorithm, settings=settings_of(algorithm, SMALL[algorithm]), rules=RULES, **whole
    )


def trained(training: PolicyTraining) -> PolicyTraining:
    with one_thread():
        while not training.over:
            training.go()
    return training


def bits(training: PolicyTraining) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in training.state().items()}


@every_algorithm
def test_a_training_that_was_stopped_ends_as_one_that_was_not(algorithm: str) -> None:
    """At any step, also in the middle between two looks."""
    data = parts(1, rows=400, markets=2)
    whole = trained(PolicyTraining(recipe(algorithm), data))
    first = PolicyTraining(recipe(algorithm), data)
    with one_thread():
        first.go()
        first.go(stopped=lambda: first.steps >= 520)
    assert first.steps == 520
    second = PolicyTraining(recipe(algorithm), data)
    second.restore(msgspec.json.decode(msgspec.json.encode(first.story())), first.state())
    trained(second)
    assert bits(second) == bits(whole)
    assert second.history == whole.history
    assert second.form() == whole.form()


def test_another_training_is_not_gone_on_with() -> None:
    data = parts(1, rows=400, markets=2)
    one = PolicyTraining(recipe("ppo"), data)
    story, state = one.story(), one.state()
    for other, said in (
        (PolicyTraining(recipe("ppo", seed=4), data), "seed: 3 there, 4 here"),
        (PolicyTraining(recipe("dqn"), data), "algorithm: ppo there, dqn here"),
        (PolicyTraining(recipe("ppo"), dataclasses.replace(data, about="another file")), "another file here"),
        (PolicyTraining(recipe("ppo"), dataclasses.replace(data, digest="other rows")), "other rows here"),
    ):
        with pytest.raises(LearnedError, match=said):
            other.restore(story, state)


def test_the_best_look_is_kept_and_a_long_wait_ends_it() -> None:
    training = PolicyTraining(recipe("ppo", steps=40_000, patience=2), parts(1, rows=400, markets=2))
    trained(training)
    looks = [look["validation"] for look in training.history]
    assert training.best_look == int(np.argmax(looks))
    assert training.best_score == max(looks)
    assert len(looks) - 1 - training.best_look == 2 or training.steps >= 40_000
    assert training.judge(training.best, training.parts.validation)["profit"] == training.best_score
    assert training.form()["trained"]["steps"] == training.history[training.best_look]["step"]


def test_what_is_measured_on_the_test_part_decided_nothing() -> None:
    """Other rows there change no weight and no choice."""
    data = parts(1, rows=400, markets=2)
    other = dataclasses.replace(data, test=parts(2, rows=400, markets=2).test)
    one, two = (trained(PolicyTraining(recipe("ppo"), part)) for part in (data, other))
    assert bits(one) == bits(two)
    assert one.metrics()["test"] != two.metrics()["test"]
    assert one.metrics()["baselines"] == two.metrics()["baselines"]


def test_figures_stand_beside_their_baselines() -> None:
    form = trained(PolicyTraining(recipe("ppo", steps=400), parts(1, rows=400, markets=2))).form()
    assert form["trained"]["simulated"] is True
    metrics = form["trained"]["metrics"]
    for part in ("train", "validation", "test"):
        assert set(metrics[part]) == {"policy", "buy_and_hold", "best_rule"}
        assert metrics[part]["buy_and_hold"]["exposed"] == 1.0
    assert metrics["baselines"]["best_rule"].startswith("with trend_8")


@pytest.mark.parametrize(
    ("algorithm", "changes", "configuration", "said"),
    [
        ("dqn", ["rat=1"], None, "did you mean 'rate'"),
        ("dqn", ["rate"], None, "write rate=VALUE"),
        ("dqn", ["rate=fast"], None, "Expected `float`"),
        ("dqn", ["rate=7"], None, "rate is 7"),
        ("ppo", ["hidden=64,x"], None, "Expected `int`"),
        ("dqn", [], "D4QN", "give one of DQN, DoubleDQN, D3QN, TwinD3QN"),
        ("ppo", [], "D3QN", "leave it out"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    algorithm: str, changes: list[str], configuration: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        settings_of(algorithm, changes, configuration)


GIVEN: dict[str, tuple[str, ...]] = {"rainbow": ("steps=1", "batch=512", "every=16")}
"""Settings beside the defaults.

A position pays here only if it is held for a while. In a return of three steps the two later actions are random while
epsilon is high, and undo what the first one paid for: it has the cost and little of the gain. With 50,000 transitions
kept, such returns would be learned from for most of 100,000 steps. A return of one step has none of that.
"""


def worth(algorithm: str, seed: int, steps: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """What a policy earns on unseen markets, over what the best threshold on their signal would have earned."""
    data = parts(seed)
    known = Recipe(
        algorithm=algorithm,
        settings=settings_of(algorithm, GIVEN.get(algorithm, ())),
        rules=RULES,
        steps=steps,
        seed=seed,
        patience=0,
    )
    training = trained(PolicyTraining(known, data))
    monkeypatch.setattr(judging, "ENTER", tuple(np.arange(0.1, 2.01, 0.1)))
    monkeypatch.setattr(judging, "LEAVE", (0.0, 0.25, 0.5, 0.75))
    rule = best_rule(data.test._replace(x=data.test.x[:, :1]), RULES)
    best = judged(data.test, RULES, rule.positions(data.test))["profit"]
    return float(training.judge(training.best, data.test)["profit"] / best)


def test_a_market_that_can_be_known_is_learned_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worth("ppo", 0, 60_000, monkeypatch) > 0.6


STEPS = {"dqn": 200_000, "ppo": 300_000, "rainbow": 100_000}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@every_algorithm
def test_it_earns_nine_tenths_of_the_best_threshold(
    algorithm: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worth(algorithm, seed, STEPS[algorithm], monkeypatch) >= 0.9
