"""Wrappers ask an agent row by row, and remember how it did."""

from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.agents.base import Agent
from windvane.agents.factory import AGENTS, create_agents
from windvane.agents.rules import VolTrend
from windvane.agents.wrapper import AgentEnsembleWrapper
from windvane.agents.wrapping import AgentWrapperFactory, create_agent_wrappers_from_config

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
        empty = wrapper.get_performance_metrics()
        assert empty["scores"] == 0
        unknown = ("mean_score", "score_deviation", "information_ratio", "share_won", "recent_mean_score")
        assert all(np.isnan(empty[name]) for name in unknown)
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
            (lambda: AgentWrapperFactory.create_wrapper("vol_trend", "x"), "give an Agent"),
            (lambda: create_agent_wrappers_from_config(["sac"], [], 50, 3), "unknown agent 'sac'"),
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


N = 700


def market(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features that no rule reads, a walk of prices, and one row in nine without new information."""
    draw = np.random.default_rng(seed)
    price = 100.0 * np.exp(0.003 * draw.standard_normal(N).cumsum())
    good = (np.arange(N) % 9 != 5).astype(np.int64)
    for t in np.flatnonzero(good == 0):
        price[t] = price[t - 1]
    return np.zeros((N, 50)), price, good


class TestEnsembleWrapper:
    SHARES: ClassVar[dict[str, float]] = {"vol_trend": 0.5, "ema_momentum": 0.2, "zscore_reversion": 0.3}

    def mixed(self) -> AgentEnsembleWrapper:
        return AgentEnsembleWrapper(create_agents(list(self.SHARES)), self.SHARES)

    def test_it_wants_the_weighted_sum_of_what_its_agents_want(self) -> None:
        x, price, good = market()
        found = self.mixed().propose(x, price, good)
        alone = [agent.propose(x, price, good) for agent in create_agents(list(self.SHARES))]
        last = 0.0
        for t in range(N):
            target = said = mass = 0.0
            for one, share in zip(alone, self.SHARES.values(), strict=True):
                target += share * one.target[t]
            for one, share in zip(alone, self.SHARES.values(), strict=True):
                part, p = share * abs(one.target[t]), one.confidence[t]
                mass += part
                said += part * (p if one.target[t] * target > 0.0 else 1.0 - p)
            assert found.target[t] == target
            assert found.confidence[t] == pytest.approx(said / mass if mass and good[t] else 0.0, abs=1e-12)
            assert found.action[t] == np.sign(target - last)
            last = target
        assert {-1, 0, 1} == set(found.action.tolist())
        assert (found.confidence[good == 0] == 0.0).all()
        assert (found.action[good == 0] == 0).all()

    @settings(max_examples=25, deadline=None)
    @given(cuts=st.lists(st.integers(1, N - 1), max_size=6, unique=True))
    def test_it_does_not_see_how_rows_are_cut_and_goes_on_from_its_state(self, cuts: list[int]) -> None:
        rows = market(1)
        whole, part, found = self.mixed().propose(*rows), self.mixed(), []
        for start, stop in pairwise([0, *sorted(cuts), N]):
            found.append(part.propose(*(column[start:stop] for column in rows)))
            fresh = self.mixed()
            fresh.restore(part.state())
            part = fresh
        for k, column in enumerate(whole):
            assert np.concatenate([one[k] for one in found]).tobytes() == column.tobytes()

    def test_it_is_causal_and_does_not_know_the_unit_of_price(self) -> None:
        x, price, good = market(2)
        whole = self.mixed().propose(x, price, good)
        other = price.copy()
        other[400:] *= 1.3
        moved = self.mixed().propose(x, other, good)
        assert moved.target[:400].tobytes() == whole.target[:400].tobytes()
        assert self.mixed().propose(x, price * 1024.0, good).target == pytest.approx(whole.target, abs=1e-9)

    def test_wrappers_nest_and_shares_are_equal_where_none_are_given(self) -> None:
        inner = create_agent_wrappers_from_config({"a": "vol_trend", "b": "buy_and_hold"}, [], 50, 3)
        outer = AgentEnsembleWrapper(
            {"pair": AgentEnsembleWrapper(inner), "alone": create_agents(["ema_momentum"])[0]}
        )
        assert outer.weights == {"pair": 0.5, "alone": 0.5}
        assert isinstance(outer, Agent)
        assert outer.warmup == max(
            agent.warmup for agent in AGENTS.values() if agent.name in ("vol_trend", "ema_momentum")
        )
        x, price, good = market(3)
        found = outer.propose(x, price, good)
        a, b, c = (
            one.propose(x, price, good).target
            for one in create_agents(["vol_trend", "buy_and_hold", "ema_momentum"])
        )
        assert found.target == pytest.approx(0.25 * a + 0.25 * b + 0.5 * c, abs=1e-12)
        action, confidence = outer.get_action_with_confidence(X, 100.0)
        assert action in (0, 1, 2)
        assert 0.0 <= confidence <= 1.0

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda: AgentEnsembleWrapper([]), "no agent"),
            (lambda: AgentEnsembleWrapper(["vol_trend"]), "give agents, as create_agents"),  # type: ignore[list-item]
            (lambda: AgentEnsembleWrapper(create_agents(["vol_trend"]), {"vol_trend": 0.9}), "sum to 1"),
            (
                lambda: AgentEnsembleWrapper(
                    create_agents(["vol_trend", "buy_and_hold"]), {"vol_trend": 2.0, "buy_and_hold": -1.0}
                ),
                "0 or more",
            ),
            (
                lambda: AgentEnsembleWrapper(create_agents(["vol_trend"]), {"vol_trend": float("nan")}),
                "sum to 1",
            ),
            (
                lambda: AgentEnsembleWrapper(create_agents(["vol_trend"]), {"dqn": 1.0}),
                "differ in dqn, vol_trend",
            ),
            (lambda: AgentEnsembleWrapper([VolTrend(), VolTrend()]), "given twice"),
            (lambda: AgentEnsembleWrapper(dict.fromkeys("ab", VolTrend())), "given twice"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, make: Any, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            make()

    def test_the_state_of_another_mixture_is_refused_and_moves_nothing(self) -> None:
        one, other = self.mixed(), AgentEnsembleWrapper(create_agents(["buy_and_hold"]))
        one.propose(*market(4))
        before = {name: value.tobytes() for name, value in one.state().items()}
        with pytest.raises(ValueError, match="of another mixture"):
            one.restore(other.state())
        cut = {
            name: value[:-1] if name == "zscore_reversion.memory" else value
            for name, value in one.state().items()
        }
        with pytest.raises(ValueError, match="memory of zscore_reversion"):
            one.restore(cut)
        assert {name: value.tobytes() for name, value in one.state().items()} == before
