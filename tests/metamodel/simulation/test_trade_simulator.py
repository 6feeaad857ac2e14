"""The environment: the steps of gymnasium over a simulated market, causal, and refusing what it cannot be."""

from typing import Any

import numpy as np
import pytest

from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.simulation.trade_simulator import TradeSimulator


def walked(env: TradeSimulator, actions: list[Any], seed: int = 3) -> tuple[float, np.ndarray]:
    state, _ = env.reset(seed=seed)
    assert state.shape == (50,)
    total, over = 0.0, False
    for action in actions:
        assert not over
        state, reward, terminated, over, info = env.step(action)
        assert not terminated
        assert -1.0 <= info["position"] <= 1.0
        total += reward
    assert over
    return total, state


def test_holding_earns_the_market_less_the_costs_of_getting_in() -> None:
    """A least order that no drift of the price exceeds: what was bought is held, and nothing else is traded."""
    env = TradeSimulator(max_steps=50, fee_bp=2.0, min_order=0.5)
    rows = env.episode(3).rows
    path = rows.mid[WARMUP:]
    coins, ask = 1.0 / path[0], rows.ask[WARMUP]
    total, _ = walked(env, [2] + [1] * 48)
    assert total == pytest.approx(coins * (path[-1] - ask * (1.0 + 2e-4)), rel=1e-9)
    assert walked(env, [1] * 49)[0] == 0.0


def test_a_seed_is_a_market_and_the_next_reset_another() -> None:
    env = TradeSimulator(max_steps=50)
    first, again = env.reset(seed=3)[0], env.reset(seed=3)[0]
    assert (first == again).all()
    assert (env.reset()[0] != first).any()
    assert (TradeSimulator(max_steps=90).episode(3).rows.x[: WARMUP + 50] == env.episode(3).rows.x).all()


def test_continuous_actions_are_positions() -> None:
    env = TradeSimulator(if_discrete=False, action_dim=1, max_steps=10)
    env.reset(seed=1)
    assert env.step(np.array([-0.25]))[4]["position"] == -0.25
    with pytest.raises(ConfigError, match="from -1 to 1"):
        env.step(1.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"state_dims": 50}, "did you mean 'state_dim'"),
        ({"state_dim": 20}, "give 50"),
        ({"action_dim": 5}, "give 3"),
        ({"if_discrete": False}, "action_dim is 3: give 1"),
        ({"if_discrete": "yes", "action_dim": 1}, "give True or False"),
        ({"env_name": "CartPole-v1"}, "TradeSimulator-v0"),
        ({"market": "bull"}, "give one of standard"),
        ({"max_steps": 0}, "1 or more"),
        ({"seed": -1}, "0 or more"),
        ({"fee_bp": -1}, "fee_bp"),
        ({"fee_bp": "free"}, "give numbers"),
        ({"delay": 100}, "delay"),
        ({"actions": "buy"}, "give one of trade, target"),
        ({"reward": "luck"}, "give one of profit"),
        ({"stop_loss": 1.5}, "below 1"),
        ({"longest_hold": -1}, "0 or more rows"),
        ({"max_position": 0}, "above 0"),
        ({"min_order": 2}, "share of capital"),
        ({"sharpe_rate": 1}, "between 0 and 1"),
        ({"drawdown_penalty": -1}, "0 to 1000"),
        ({"stop_loss": "tight"}, "give numbers"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TradeSimulator(**given)


def test_an_action_or_a_step_out_of_place_is_refused() -> None:
    env = TradeSimulator(max_steps=2)
    with pytest.raises(ConfigError, match="call reset"):
        env.step(1)
    env.reset()
    with pytest.raises(ConfigError, match=r"0 \(sell\)"):
        env.step(3)
    env.step(1)
    with pytest.raises(ConfigError, match="call reset"):
        env.step(1)
