"""Agents by name."""

import subprocess
import sys

import pytest

from windvane.agents.factory import AGENTS, create_agents


class TestCreateAgents:
    def test_order_names_and_freshness(self) -> None:
        assert list(AGENTS) == [
            "ema_momentum",
            "zscore_reversion",
            "donchian_breakout",
            "vol_trend",
            "jump_contrarian",
            "buy_and_hold",
            "dqn",
            "ppo",
            "rainbow",
        ]
        names = list(AGENTS)[::-1]
        first, second = create_agents(names), create_agents(names)
        assert [agent.name for agent in first] == names
        assert all(type(agent) is AGENTS[agent.name] for agent in first)
        assert not any(a is b for a, b in zip(first, second, strict=True))

    def test_an_unknown_name_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(
            ValueError, match=r"unknown agent 'vol_trnd': did you mean 'vol_trend'\? Agents are ema_"
        ):
            create_agents(["buy_and_hold", "vol_trnd"])

    def test_a_name_given_twice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'vol_trend' is named twice"):
            create_agents(["vol_trend", "buy_and_hold", "vol_trend"])

    def test_a_bare_name_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"write \['vol_trend'\]"):
            create_agents("vol_trend")


class TestFactory:
    def test_the_factory_imports_nothing_heavy(self) -> None:
        code = (
            "import sys, windvane.agents.factory; print([m for m in ('pandas', 'torch') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"
