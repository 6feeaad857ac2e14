"""DQN, PPO and Rainbow: repeatable, resumable, equal to their formulas, and able to learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

import cartpole  # noqa: E402

from windvane.agents.learned.dqn import DQN, NAMED, DQNSettings  # noqa: E402
from windvane.agents.learned.draws import generator  # noqa: E402
from windvane.agents.learned.networks import one_thread  # noqa: E402
from windvane.agents.learned.ppo import PPO, PPOSettings, advantages  # noqa: E402
from windvane.agents.learned.rainbow import Rainbow, RainbowSettings, project  # noqa: E402
from windvane.agents.learned.settings import LearnedError  # noqa: E402
from windvane.agents.learned.transitions import Learner, Transition  # noqa: E402

Make = Callable[[int], Learner]

SMALL: dict[str, Make] = {
    name: lambda seed, s=settings: DQN(
        5,
        3,
        4,
        steps=400,
        seed=seed,
        settings=DQNSettings(double=s.double, dueling=s.dueling, twin=s.twin, before=64),
    )
    for name, settings in NAMED.items()
} | {
    "Rainbow": lambda seed: Rainbow(
        5, 3, 4, steps=400, seed=seed, settings=RainbowSettings(before=64, low=-3.0, high=3.0, rate=1e-3)
    ),
    "PPO": lambda seed: PPO(5, 3, 4, steps=400, seed=seed, settings=PPOSettings(steps=20)),
}
every_learner = pytest.mark.parametrize("make", SMALL.values(), ids=SMALL)


def taught(learner: Learner, steps: int, seed: int = 0, ends: float = 0.1) -> list[float]:
    """Steps in a game whose reward is that of guessing the sign of the first number; returns the losses.

    ends: the chance that a step is the last one of its episode.
    """
    draw, losses = generator(seed), []
    state = draw.standard_normal((4, 5)).astype(np.float32)
    for _ in range(steps):
        action = learner.act(state)
        reward = (action - 1) * np.sign(state[:, 0])
        following = draw.standard_normal((4, 5)).astype(np.float32)
        ended = draw.random(4) < ends
        loss = learner.learn(Transition(state, action, reward.astype(float), following, ended, ended))
        losses += [] if loss is None else [loss]
        state = following
    return losses


def bits(learner: Learner) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in learner.state().items()}


@every_learner
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(make: Make) -> None:
    with one_thread():
        one, two, other = make(1), make(1), make(2)
        assert taught(one, 60) == taught(two, 60)
        taught(other, 60)
    assert bits(one) == bits(two)
    assert bits(one) != bits(other)


@every_learner
def test_it_goes_on_from_its_state_to_the_same_weights(make: Make) -> None:
    with one_thread():
        one = make(1)
        taught(one, 45)
        two = make(7)
        two.restore(one.state())
        taught(one, 60, seed=1)
        taught(two, 60, seed=1)
    assert bits(one) == bits(two)


@every_learner
def test_its_plain_layers_decide_as_it_does(make: Make) -> None:
    learner = make(3)
    taught(learner, 60)
    state = generator(5).standard_normal((200, 5)).astype(np.float32)
    h = cartpole.values(learner.layers(), state)
    best = learner.best(state)
    ordered = np.sort(h, axis=1)
    clear = ordered[:, 2] - ordered[:, 1] > 1e-5
    assert clear.mean() > 0.9
    assert (h.argmax(1) == best)[clear].all()


@every_learner
def test_it_learns_what_is_easy(make: Make) -> None:
    with one_thread():
        learner = make(4)
        losses = taught(learner, 800, ends=1.0)
    assert len(losses) > 5
    state = generator(6).standard_normal((500, 5)).astype(np.float32)
    right = (learner.best(state) - 1 == np.sign(state[:, 0])).mean()
    assert right > 0.85


def test_advantages_are_the_sums_of_the_paper() -> None:
    draw, shape = generator(1), (9, 3)
    reward, value, following = (draw.standard_normal(shape) for _ in range(3))
    ended = draw.integers(0, 3, shape)
    out = np.empty(shape)
    advantages(reward, value, following, ended, 0.9, 0.8, out)
    for k in range(3):
        for t in range(9):
            total, weight = 0.0, 1.0
            for m in range(t, 9):
                worth = 0.0 if ended[m, k] == 2 else following[m, k]
                total += weight * (reward[m, k] + 0.9 * worth - value[m, k])
                weight *= 0.9 * 0.8
                if ended[m, k]:
                    break
            assert out[t, k] == pytest.approx(total)


def test_projection_keeps_mass_and_mean() -> None:
    """Within the support; what lands outside is put on its ends."""
    p = generator(2).dirichlet(np.ones(11), 6).astype(np.float32)
    atoms = np.linspace(-5, 5, 11)
    reward = np.array([0.0, 0.3, -1.2, 2.5, 100.0, -100.0], np.float32)
    discount = np.array([1.0, 0.5, 0.4, 0.0, 0.9, 0.9], np.float32)
    out = np.zeros_like(p)
    project(p, reward, discount, -5.0, 5.0, out)
    assert out.sum(1) == pytest.approx(np.ones(6), abs=1e-5)
    assert out[0] == pytest.approx(p[0], abs=1e-6), "no reward and no discount changes nothing"
    assert (out @ atoms)[:4] == pytest.approx((reward + discount * (p @ atoms))[:4], abs=1e-4)
    assert (out[4, -1], out[5, 0]) == pytest.approx((1.0, 1.0), abs=1e-5)
    assert out[3, 7] == pytest.approx(0.5, abs=1e-5), "2.5 is between atoms 2 and 3"


def test_epsilon_falls_from_1_to_its_end() -> None:
    for learner in (DQN(5, 3, 4, steps=1000, seed=0), Rainbow(5, 3, 4, steps=1000, seed=0)):
        assert learner.epsilon == 1.0
        taught(learner, 25)
        assert learner.epsilon == pytest.approx(0.51)
        taught(learner, 50)
        assert learner.epsilon == 0.02


REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (DQNSettings, {"rate": -1.0}, "rate is -1.0: give 0 to 1"),
    (DQNSettings, {"batch": 0}, "batch is 0"),
    (DQNSettings, {"hidden": ()}, "1 to 4 layers"),
    (PPOSettings, {"discount": float("nan")}, "discount is nan"),
    (PPOSettings, {"epochs": 0}, "epochs is 0"),
    (RainbowSettings, {"low": 1.0, "high": 1.0}, "the lower one first"),
    (RainbowSettings, {"atoms": 1}, "atoms is 1"),
]


@pytest.mark.parametrize(("kind", "given", "what"), REFUSED)
def test_settings_out_of_range_are_refused(kind: type, given: dict[str, Any], what: str) -> None:
    with pytest.raises(LearnedError, match=what):
        kind(**given)


BUDGET = {"PPO": 150_000, "D3QN": 60_000, "Rainbow": 60_000}
"""Steps of all environments within which CartPole is to be solved; exploration and rates are spread over them."""

CARTPOLE: dict[str, Callable[[int], Learner]] = {
    "PPO": lambda seed: PPO(
        4,
        2,
        cartpole.TOGETHER,
        steps=BUDGET["PPO"],
        seed=seed,
        settings=PPOSettings(discount=0.99, trace=0.95, entropy=0.01),
    ),
    "D3QN": lambda seed: DQN(
        4,
        2,
        cartpole.TOGETHER,
        steps=BUDGET["D3QN"],
        seed=seed,
        settings=DQNSettings(discount=0.99, every=2),
    ),
    "Rainbow": lambda seed: Rainbow(
        4,
        2,
        cartpole.TOGETHER,
        steps=BUDGET["Rainbow"],
        seed=seed,
        settings=RainbowSettings(discount=0.99, low=0.0, high=1.0),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", CARTPOLE)
def test_cartpole_is_solved(name: str, seed: int) -> None:
    """A mean return of 475 over 100 episodes, of the weights that were best at a look every 5,000 steps.

    The looks play other episodes than those that count.
    """
    with one_thread():
        kept = cartpole.kept(CARTPOLE[name](seed), seed, BUDGET[name])
    assert kept.score >= cartpole.SOLVED, kept


def test_cartpole_is_learned_in_seconds() -> None:
    with one_thread():
        settings = PPOSettings(discount=0.99, trace=0.95, entropy=0.01)
        learner = PPO(4, 2, cartpole.TOGETHER, steps=40_000, seed=0, settings=settings)
        before = cartpole.judged(learner.best, cartpole.UNSEEN)
        cartpole.Training(learner, seed=0).go(40_000)
    assert cartpole.judged(learner.best, cartpole.UNSEEN) > 300.0 > 3.0 * before
