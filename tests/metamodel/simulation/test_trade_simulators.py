"""Many environments at once, as gymnasium sees them."""

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'windvane[gym]'")

from windvane.gymnasium_names import ID  # noqa: E402
from windvane.metamodel.base.config import ConfigError  # noqa: E402
from windvane.metamodel.features.extractor import WARMUP  # noqa: E402
from windvane.metamodel.simulation.episodes import SimulatedEpisodes  # noqa: E402
from windvane.metamodel.simulation.trade_simulator import TradeSimulator  # noqa: E402
from windvane.metamodel.simulation.trade_simulators import TradeSimulators  # noqa: E402


def made(count: int = 5, **more: object) -> TradeSimulators:
    return gymnasium.make_vec(ID, num_envs=count, max_steps=20, markets=2, **more).unwrapped


def test_gymnasium_makes_it_and_its_spaces_hold_what_it_gives() -> None:
    env = made(state_dim=51, delay=1)
    state, infos = env.reset(seed=4)
    assert (env.num_envs, infos, state.dtype) == (5, {}, np.float64)
    env.action_space.seed(1)
    ends = 0
    for _ in range(45):
        assert env.observation_space.contains(state)
        before = state
        state, reward, terminated, truncated, infos = env.step(env.action_space.sample())
        assert not terminated.any()
        assert reward.shape == truncated.shape == (5,)
        assert ("final_obs" in infos) == bool(truncated.any())
        if truncated.any():
            ends += 1
            assert truncated.all(), "all began together"
            assert env.observation_space.contains(infos["final_obs"])
            assert (infos["final_obs"] != state).any()
            assert (state[:, 50] == 0.0).all()
        assert (state != before).any()
    assert ends == 2


def test_the_same_seed_gives_the_same_bits_and_no_seed_goes_on() -> None:
    one, two = made(), made()
    assert one.reset(seed=7)[0].tobytes() == two.reset(seed=[7, 1, 2, 3, 4])[0].tobytes()
    assert one.reset()[0].tobytes() != two.reset(seed=7)[0].tobytes()


def test_one_of_many_earns_what_one_alone_earns() -> None:
    rows = SimulatedEpisodes(max_steps=60).episode(3).rows
    settings = {"fee_bp": 2.0, "delay": 1, "stop_loss": 0.01}
    many = TradeSimulators(3, rows=rows, max_steps=59, **settings)
    alone = TradeSimulator(max_steps=60, **settings)
    state = many.reset(seed=1)[0]
    one, _ = alone.reset(seed=3)
    assert (state == one).all(), "an episode as long as the market begins with it"
    for action in np.random.default_rng(1).integers(0, 3, 59):
        state, reward, _, over, infos = many.step(np.full(3, action))
        one, earned, _, done, _ = alone.step(action)
        assert (infos.get("final_obs", state) == one).all()
        assert (reward == earned).all()
        assert (over == done).all()
    assert done


def test_rows_of_a_file_are_played_from_rows_that_the_seed_draws() -> None:
    rows = SimulatedEpisodes(max_steps=300).episode(3).rows
    env = gymnasium.make(ID, rows=rows, max_steps=10)
    starts = set()
    for seed in range(8):
        state, info = env.reset(seed=seed)
        row = int(np.flatnonzero(rows.ts == info["ts"])[0])
        starts.add(row)
        assert row >= WARMUP
        assert (state == rows.x[row]).all()
        assert info["price"] == rows.mid[row], "the price of the row that is seen"
    assert len(starts) > 4


def test_what_does_not_fit_is_refused() -> None:
    env = made(2)
    for call, said in (
        (lambda: env.step(np.ones(2)), "call reset first"),
        (lambda: env.reset(options={"x": 1}), "give none"),
        (lambda: env.reset(seed=-1), "0 or more"),
        (lambda: TradeSimulators(0), "1 or more"),
        (lambda: TradeSimulators(2, markets=0), "1 or more"),
        (lambda: TradeSimulators(2, render_mode="ansi"), "give None"),
    ):
        with pytest.raises(ConfigError, match=said):
            call()
    env.reset(seed=1)
    with pytest.raises(ConfigError, match="give one each"):
        env.step(np.ones(3))
    with pytest.raises(ConfigError, match=r"none of 0 \(sell\)"):
        env.step(np.array([1.0, 4.0]))
    wide = made(2, if_discrete=False, action_dim=1)
    wide.reset(seed=1)
    with pytest.raises(ConfigError, match="from -1 to 1"):
        wide.step(np.array([[0.5], [np.nan]]))
