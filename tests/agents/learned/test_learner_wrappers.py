"""Wrappers around agents that learn: what they do is what the learner knows, and feedback is what it learns from."""

import copy
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

from windvane import (  # noqa: E402
    AgentEnsembleWrapper,
    AgentWrapperFactory,
    DQNAgentWrapper,
    create_agents,
)
from windvane.agents.learned.dqn import DQN  # noqa: E402
from windvane.agents.learned.settings import LearnedError  # noqa: E402
from windvane.agents.learned.wrappers import WRAPPERS, LearnerWrapper  # noqa: E402

FEW: dict[str, dict[str, Any]] = {
    "dqn": {"hidden": (16,), "batch": 8, "before": 20, "every": 1, "capacity": 500},
    "ppo": {"hidden": (16,), "steps": 16, "epochs": 2, "batches": 2},
    "rainbow": {"hidden": (16,), "batch": 8, "before": 20, "every": 1, "capacity": 500, "atoms": 11},
}
every_algorithm = pytest.mark.parametrize("algorithm", FEW)


def made(algorithm: str, **given: Any) -> LearnerWrapper:
    options = {name: given.pop(name) for name in ("explore", "actions", "scale") if name in given}
    return WRAPPERS[algorithm](FEW[algorithm] | given, **options)


def states(n: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((n, 50))


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return states(n, seed), np.full(n, 7.0), (np.arange(n) % 9 != 4).astype(np.int64)


class TestServing:
    @every_algorithm
    @pytest.mark.parametrize("width", [50, 51])
    def test_it_does_what_the_learner_believes_best(self, algorithm: str, width: int) -> None:
        wrapper = made(algorithm, state_dim=width, seed=3)
        position = 0.0
        for x in states(60):
            state = x.astype(np.float32) if width == 50 else np.append(x, position).astype(np.float32)
            best = int(wrapper.learner.best(state.reshape(1, -1))[0])
            before, position = position, min(max(position + best - 1.0, -1.0), 1.0)
            action, confidence = wrapper.get_action_with_confidence(x)
            assert action == np.sign(position - before) + 1
            assert 0.0 <= confidence <= 1.0
            assert wrapper.get_performance_metrics()["target"] == position

    @every_algorithm
    def test_row_by_row_is_what_it_proposes_however_rows_are_cut(self, algorithm: str) -> None:
        whole, x = made(algorithm, actions="target"), states(80)
        said = whole.propose(x, np.ones(80), np.ones(80, np.int64))
        one, cut = made(algorithm, actions="target"), made(algorithm, actions="target")
        for t in range(80):
            assert one.get_action_with_confidence(x[t]) == (said.action[t] + 1, said.confidence[t])
            fresh = made(algorithm, actions="target")
            fresh.restore(cut.state())
            alone = fresh.propose(x[t : t + 1], np.ones(1), np.ones(1, np.int64))
            assert alone.target.tobytes() == said.target[t : t + 1].tobytes()
            assert alone.confidence.tobytes() == said.confidence[t : t + 1].tobytes()
            cut = fresh

    def test_rows_without_news_are_passed_over(self) -> None:
        x, price, good = rows(50)
        said = made("dqn").propose(x, price, good)
        fewer = made("dqn").propose(x[good == 1], price[good == 1], good[good == 1])
        assert (said.target[good == 1] == fewer.target).all()
        assert (said.confidence[good == 0] == 0.0).all()
        assert (said.action[good == 0] == 0).all()

    def test_a_state_may_say_the_position(self) -> None:
        wrapper, x = made("dqn", seed=5), states(1)[0]
        for position in (-1.0, 0.0, 1.0):
            wrapper.get_action_with_confidence(np.append(x, position))
            best = int(wrapper.learner.best(np.append(x, position).astype(np.float32).reshape(1, -1))[0])
            assert wrapper.get_performance_metrics()["target"] == min(max(position + best - 1.0, -1.0), 1.0)
        with pytest.raises(LearnedError, match="restore that of the same agent"):
            wrapper.get_action_with_confidence(np.append(x, 0.5))

    def test_features_are_scaled_as_it_was_trained(self) -> None:
        x = states(30)
        plain = made("ppo", seed=1).propose(3.0 * x, np.ones(30), np.ones(30, np.int64))
        scaled = made("ppo", seed=1, scale=lambda rows: 3.0 * rows).propose(
            x, np.ones(30), np.ones(30, np.int64)
        )
        assert plain.confidence.tobytes() == scaled.confidence.tobytes()

    def test_it_stands_among_others(self) -> None:
        mix = AgentEnsembleWrapper([made("dqn"), made("rainbow"), create_agents(["vol_trend"])[0]])
        said = mix.propose(*rows(60))
        again = AgentEnsembleWrapper([made("dqn"), made("rainbow"), create_agents(["vol_trend"])[0]])
        again.restore(mix.state())
        assert said.target[-1] == mix.get_performance_metrics()["target"]
        assert {name: value.tobytes() for name, value in again.state().items()} == {
            name: value.tobytes() for name, value in mix.state().items()
        }

    def test_a_copy_shares_what_was_learned_and_no_position(self) -> None:
        one = made("dqn")
        two = copy.deepcopy(one)
        assert two.learner is one.learner
        one.agent.position = 1.0
        assert two.agent.position == 0.0


class TestLearning:
    @every_algorithm
    def test_it_learns_which_action_pays(self, algorithm: str) -> None:
        """The state says whether to be long or short; a position that agrees earns 1."""
        wrapper = made(
            algorithm, state_dim=50, explore=True, actions="target", total_steps=600, rate=5e-3, discount=0.0
        )
        draw = np.random.Generator(np.random.PCG64(1))
        before = wrapper.learner.layers().weights[0].copy()
        for _ in range(1200):
            side = draw.choice([-1.0, 1.0])
            x = np.zeros(50)
            x[7] = side
            wrapper.get_action_with_confidence(x)
            info = wrapper.update_with_feedback(side * wrapper.agent.position, next_state=x)
        assert info == wrapper.learning_info
        assert info["transitions"] == 1200
        assert info["updates"] > 50
        assert np.isfinite(info["loss"])
        assert (wrapper.learner.layers().weights[0] != before).any()
        for side in (-1.0, 1.0):
            x = np.zeros((1, 50))
            x[0, 7] = side
            assert wrapper.propose(x, np.ones(1), np.ones(1, np.int64)).target[0] == side

    @every_algorithm
    def test_it_is_what_the_learner_does_with_these_transitions(self, algorithm: str) -> None:
        """Whether the next state comes with the reward or with the next question."""
        told, waiting = made(algorithm), made(algorithm)
        x, draw = states(61), np.random.Generator(np.random.PCG64(2))
        for t in range(60):
            reward = float(draw.standard_normal())
            assert told.get_action_with_confidence(x[t]) == waiting.get_action_with_confidence(x[t])
            told.update_with_feedback(reward, next_state=x[t + 1])
            waiting.update_with_feedback(reward)
            assert waiting.learning_info["transitions"] == t
        waiting.get_action_with_confidence(x[60])
        assert told.learning_info == waiting.learning_info
        assert told.learning_info["updates"] > 0
        for one, two in zip(told.learner.layers().weights, waiting.learner.layers().weights, strict=True):
            assert one.tobytes() == two.tobytes()

    def test_the_end_of_an_episode_is_learned_at_once(self) -> None:
        wrapper = made("dqn")
        wrapper.get_action_with_confidence(states(1)[0])
        assert wrapper.update_with_feedback(1.0, done=True)["transitions"] == 1
        assert wrapper.learner.state()["replay.ended"].max() == 2
        cut = made("dqn")
        cut.get_action_with_confidence(states(1)[0])
        with pytest.raises(LearnedError, match="cut off: give next_state"):
            cut.update_with_feedback(1.0, truncated=True)
        cut.update_with_feedback(1.0, next_state=states(1)[0], truncated=True)
        assert cut.learner.state()["replay.ended"].max() == 1

    def test_it_keeps_the_record_that_all_wrappers_keep(self) -> None:
        wrapper = made("dqn")
        for x, reward in zip(states(3), (1.0, -1.0, 3.0), strict=True):
            wrapper.get_action_with_confidence(x)
            wrapper.update_with_feedback(reward)
        assert wrapper.get_performance_metrics()["mean_score"] == 1.0
        rule = AgentWrapperFactory.create_wrapper(create_agents(["vol_trend"])[0], "rule")
        assert rule.update_with_feedback(1.0, next_state=states(1)[0], done=True) == {}

    def test_feedback_on_nothing_is_refused(self) -> None:
        wrapper, x = made("dqn"), states(2)
        with pytest.raises(LearnedError, match="ask get_action_with_confidence first"):
            wrapper.update_with_feedback(1.0)
        wrapper.get_action_with_confidence(x[0])
        with pytest.raises(ValueError, match="give a finite number"):
            wrapper.update_with_feedback(float("nan"))
        wrapper.update_with_feedback(1.0, next_state=x[1])
        with pytest.raises(LearnedError, match="has done nothing that waits"):
            wrapper.update_with_feedback(1.0)
        many = DQNAgentWrapper(DQN(51, 3, 4, steps=10, seed=0))
        many.get_action_with_confidence(x[0])
        with pytest.raises(LearnedError, match="learns of 4 environments at once: make it with 1"):
            many.update_with_feedback(1.0)
