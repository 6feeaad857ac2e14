"""TradeSimulator as gymnasium sees it."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'windvane[gym]'")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from windvane.gymnasium_names import ID, register_environments  # noqa: E402
from windvane.metamodel.base.config import ConfigError  # noqa: E402
from windvane.metamodel.simulation.episodes import SimulatedEpisodes  # noqa: E402
from windvane.metamodel.simulation.trade_simulator import TradeSimulator  # noqa: E402

FORMS: list[dict[str, Any]] = [{}, {"if_discrete": False, "action_dim": 1}, {"state_dim": 51, "delay": 2}]


@pytest.mark.parametrize("form", FORMS)
def test_the_checker_of_gymnasium_has_nothing_to_say(form: dict[str, Any]) -> None:
    """Made by `make`, so that it has a spec; warnings are errors."""
    env = gymnasium.make(ID, max_steps=60, **form)
    assert isinstance(env.unwrapped, TradeSimulator)
    check_env(env.unwrapped)
    check_env(gymnasium.make(ID, render_mode="ansi", max_steps=60, **form).unwrapped)


def test_an_episode_of_random_actions_stays_within_the_spaces() -> None:
    env = gymnasium.make(ID, max_steps=40, seed=5)
    state, _ = env.reset()
    assert (state == TradeSimulator(max_steps=40).reset(seed=5)[0]).all()
    env.action_space.seed(1)
    over, steps = False, 0
    while not over:
        state, reward, terminated, over, _info = env.step(env.action_space.sample())
        assert env.observation_space.contains(state)
        assert isinstance(reward, float)
        assert not terminated
        steps += 1
    assert steps == 39
    assert env.unwrapped.np_random_seed == 5


def test_what_does_not_fit_is_refused() -> None:
    env = TradeSimulator(max_steps=5, render_mode="ansi")
    refused: list[tuple[Any, str]] = [
        (lambda: env.reset(options={"market": "hard"}), "give none"),
        (lambda: env.reset(seed=-1), "0 or more"),
        (lambda: TradeSimulator(render_mode="human"), "give None or 'ansi'"),
        (env.render, "call reset first"),
    ]
    for call, said in refused:
        with pytest.raises(ConfigError, match=said):
            call()
    env.reset(seed=1, options={})
    env.step(2)
    assert "position +1.00" in str(env.render())
    assert TradeSimulator().render() is None


def test_it_plays_the_episodes_that_trainers_play() -> None:
    ours, theirs = TradeSimulator(max_steps=30).episode(4), SimulatedEpisodes(max_steps=30).episode(4)
    assert ours.rows.x.tobytes() == theirs.rows.x.tobytes()
    assert np.array_equal(ours.regime, theirs.regime)


@pytest.mark.parametrize("without", [False, True])
def test_gymnasium_is_imported_with_the_name_alone_and_may_be_missing(without: bool) -> None:
    code = f"""
import sys
if {without}: sys.modules["gymnasium"] = None
import windvane, windvane.infra.training_sessions.trainer
assert {without} or "gymnasium" not in sys.modules
env = windvane.TradeSimulator(max_steps=5)
assert hasattr(env, "action_space") is not {without}
env.reset(seed=3); print(env.step(2)[4]["position"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1.0", done.stderr


MAKES = "assert gymnasium.make('windvane/TradeSimulator-v0', max_steps=9).reset(seed=1)[0].shape == (50,)"


@pytest.mark.parametrize("imports", ["import windvane, gymnasium", "import gymnasium, windvane"])
def test_gymnasium_knows_the_name_right_after_the_import(imports: str) -> None:
    """In whichever order, and without Windvane importing gymnasium; what gymnasium's loader says of itself stays."""
    first = "import sys, windvane; assert 'gymnasium' not in sys.modules" if imports.endswith("m") else ""
    code = (
        f"{first}\n{imports}\n{MAKES}\nassert type(gymnasium.__spec__.loader).__name__ == 'SourceFileLoader'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_registered_twice_stays_registered() -> None:
    register_environments()
    assert gymnasium.spec(ID).vector_entry_point.endswith("TradeSimulators")
