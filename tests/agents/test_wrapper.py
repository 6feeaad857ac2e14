"""Wrappers ask an agent row by row, and remember how it did."""

from typing import Any

import numpy as np
import pytest

from windvane.agents.factory import AGENTS, create_agents
from windvane.agents.wrapper import AgentWrapperFactory, create_agent_wrappers_from_config

X = np.zeros(50)


class TestWrapper:
    @pytest.mark.parametrize("name", AGENTS)
    def test_row_by_row_is_what_the_agent_does(self, name: str) -> None:
        draw = np.random.default_rng(0)
        price = 100.0 * np.exp(0.003 * draw.standard_normal(900).cumsum())
        whole = create_agents([name])[0].propose(np.zeros((900, 50)), price, np.ones(900, np.int64))
        wrapper = AgentWrapperFactory.create_wrapper(create_agents([name])[0], "mine")
        for t in range(900):
            assert wrapper.get_action_with_confidence(X, price[t]) == (
                whole.action[t] + 1,
                whole.confidence[t],
            )
        assert wrapper.get_performance_metrics()["target"] == whole.target[-1]

    def test_a_record_is_of_all_scores_and_of_the_newest(self) -> None:
        wrapper = AgentWrapperFactory.create_wrapper(create_agents(["vol_trend"])[0], "mine", history=2)
        assert wrapper.get_performance_metrics()["scores"] == 0
        for score in (1.0, -1.0, 3.0):
            wrapper.update_with_feedback(score)
        told = wrapper.get_performance_metrics()
        assert (told["scores"], told["mean_score"], told["history"]) == (3, 1.0, [-1.0, 3.0])
        assert told["recent_mean_score"] == 1.0
        assert told["score_deviation"] == pytest.approx(np.std([1.0, -1.0, 3.0]))
        assert told["share_won"] == pytest.approx(2 / 3)

    def test_what_does_not_fit_is_refused(self) -> None:
        wrapper = AgentWrapperFactory.create_wrapper(create_agents(["vol_trend"])[0], "mine")
        refused: list[tuple[Any, str]] = [
            (lambda: wrapper.get_action_with_confidence(np.zeros(49), 1.0), "50 features"),
            (lambda: wrapper.get_action_with_confidence(X), "needs a price"),
            (lambda: wrapper.get_action_with_confidence(X, -1.0), "needs a price"),
            (lambda: wrapper.update_with_feedback(float("nan")), "finite"),
            (lambda: AgentWrapperFactory.create_wrapper("vol_trend", "x"), "give an Agent"),  # type: ignore[arg-type]
            (lambda: create_agent_wrappers_from_config(["dqn"], [], 50, 3), "unknown agent 'dqn'"),
            (lambda: create_agent_wrappers_from_config("vol_trend", [], 50, 3), "list of names"),
            (
                lambda: create_agent_wrappers_from_config(["vol_trend"], [64, 32], 50, 3),
                "no layers; give ..$",
            ),
            (lambda: create_agent_wrappers_from_config(["vol_trend"], [], 20, 3), "state_dim"),
        ]
        for call, said in refused:
            with pytest.raises(ValueError, match=said):
                call()


class TestCreateWrappers:
    def test_wrappers_from_names_or_under_names(self) -> None:
        made = create_agent_wrappers_from_config({"trend": "vol_trend", "hold": "buy_and_hold"}, [], 50, 3)
        assert {name: w.agent.name for name, w in made.items()} == {
            "trend": "vol_trend",
            "hold": "buy_and_hold",
        }
        assert list(create_agent_wrappers_from_config(["vol_trend"], (), 50, 3)) == ["vol_trend"]
