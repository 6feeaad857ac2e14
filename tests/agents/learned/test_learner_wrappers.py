"""Wrappers around agents that learn: what they do is what the learner knows, and feedback is what it learns from."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

from windvane import (  # noqa: E402
    AgentEnsembleWrapper,
    AgentWrapperFactory,
    DQNAgentWrapper,
    PPOAgentWrapper,
    RainbowAgentWrapper,
    create_agent_wrappers_from_config,
    create_agents,
)
from windvane.agents.learned.dqn import DQN, DQNSettings  # noqa: E402
from windvane.agents.learned.ppo import PPO  # noqa: E402
from windvane.agents.learned.settings import LearnedError  # noqa: E402
from windvane.agents.learned.wrappers import WRAPPERS, LearnerWrapper  # noqa: E402

FEW: dict[str, dict[str, Any]] = {
    "dqn": {"hidden": (16,), "batch": 8, "before": 20, "every": 1, "capacity": 500},
    "ppo": {"hidden": (16,), "steps": 16, "epochs": 2, "batches": 2},
    "rainbow": {"hidden": (16,), "batch": 8, "before": 20, "every": 1, "capacity": 500, "atoms": 11},
}
every_algorithm = pytest.mark.parametrize("algorithm", FEW)
WORTH = np.array([0.0, 0.5, 1.0])


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


class Net(torch.nn.Module):
    def __init__(self, width: int, actions: int = 3) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(width, 8), torch.nn.Dropout(0.5), torch.nn.Tanh(), torch.nn.Linear(8, actions)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class TestFactory:
    def test_a_learner_gets_the_wrapper_of_its_kind(self) -> None:
        kinds = (DQNAgentWrapper, PPOAgentWrapper, RainbowAgentWrapper)
        for kind in kinds:
            learner = kind(FEW[kind.algorithm]).learner
            wrapper = AgentWrapperFactory.create_wrapper(learner, "mine")
            assert type(wrapper) is kind
            assert (wrapper.name, wrapper.learner) == ("mine", learner)

    @pytest.mark.parametrize("width", [50, 51])
    def test_a_module_does_what_it_says_is_worth_most(self, width: int) -> None:
        torch.manual_seed(0)
        net = Net(width)
        wrapper = AgentWrapperFactory.create_wrapper(net, "net", actions="target")
        position = 0.0
        for x in states(40):
            state = x if width == 50 else np.append(x, position)
            with torch.inference_mode():
                values = net.eval()(torch.from_numpy(state.astype(np.float32)).reshape(1, -1)).numpy()
            before, position = position, float(values.argmax()) - 1.0
            action, _ = wrapper.get_action_with_confidence(x)
            assert action == np.sign(position - before) + 1

    def test_a_function_does_what_it_says_is_worth_most(self) -> None:
        asked = []

        def judge(state: np.ndarray) -> np.ndarray:
            asked.append((state.shape, state.dtype))
            return WORTH

        wrapper = AgentWrapperFactory.create_wrapper(judge, "long", state_dim=51)
        assert wrapper.get_action_with_confidence(states(1)[0]) == (2, 0.5)
        assert wrapper.get_action_with_confidence(states(1)[0]) == (1, 0.5), "it is long already"
        assert set(asked) == {((1, 51), np.dtype(np.float32))}

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (
                lambda: AgentWrapperFactory.create_wrapper(object(), "x"),
                "x is object: give an Agent, a learner of",
            ),
            (lambda: AgentWrapperFactory.create_wrapper(Net, "x"), "x is the class Net: give an Agent"),
            (
                lambda: AgentWrapperFactory.create_wrapper("a/b.onnx", "x"),
                "is not read here: give a function that asks",
            ),
            (
                lambda: AgentWrapperFactory.create_wrapper(Net(49), "x"),
                "does not answer a state of 50 or 51 numbers",
            ),
            (
                lambda: AgentWrapperFactory.create_wrapper(Net(50, 4), "x"),
                r"shape \(1, 4\): give one finite number",
            ),
            (lambda: AgentWrapperFactory.create_wrapper(lambda s: s, "x"), r"shape \(1, 50\)"),
            (lambda: AgentWrapperFactory.create_wrapper(lambda s: [0, 1, np.nan], "x"), "not finite"),
            (lambda: AgentWrapperFactory.create_wrapper(lambda s: WORTH, "x", state_dim=7), "give 50 or 51"),
            (
                lambda: AgentWrapperFactory.create_wrapper(lambda s: WORTH, "x", actions="y"),
                "one of trade, target",
            ),
            (
                lambda: AgentWrapperFactory.create_wrapper(
                    create_agents(["vol_trend"])[0], "x", actions="trade"
                ),
                "which knows its own actions: leave actions out",
            ),
            (
                lambda: AgentWrapperFactory.create_wrapper(PPO(51, 3, 1, steps=9, seed=0), "x", state_dim=51),
                "leave state_dim out",
            ),
            (
                lambda: DQNAgentWrapper(PPO(51, 3, 1, steps=9, seed=0)),
                r"dqn is PPO: give a learner of windvane\.agents\.learned\.dqn",
            ),
            (lambda: DQNAgentWrapper(DQN(4, 3, 1, steps=9, seed=0)), "state_dim of dqn is 4: give 50 or 51"),
            (lambda: DQNAgentWrapper(DQN(51, 2, 1, steps=9, seed=0)), "has 2 actions: make it with 3"),
            (
                lambda: DQNAgentWrapper({"speed": 1}),
                "dqn has no hyperparameter 'speed': give some of hidden, double",
            ),
            (lambda: DQNAgentWrapper({"rate": 7}), "rate is 7"),
            (lambda: DQNAgentWrapper({"seed": -1}), "seed of dqn is -1: give a whole number"),
            (lambda: DQNAgentWrapper({"state_dim": "50"}), "state_dim of dqn is '50': give a whole number"),
            (lambda: DQNAgentWrapper({"hidden": (10**7,)}), "1 to 1024 units"),
        ],
    )
    def test_what_no_wrapper_can_be_made_of_is_refused(self, make: Any, said: str) -> None:
        with pytest.raises(ValueError, match=said) as refused:
            make()
        assert "\n" not in str(refused.value)


class TestConfig:
    def test_learners_and_rules_by_name(self) -> None:
        wrappers = create_agent_wrappers_from_config(
            {
                "dqn": {"batch": 16},
                "ppo": {},
                "fast": {"algorithm": "rainbow", "atoms": 11},
                "plain": "dqn",
                "v": "vol_trend",
            },
            [24, 12],
            50,
            3,
        )
        assert [type(wrapper).__name__ for wrapper in wrappers.values()] == [
            "DQNAgentWrapper",
            "PPOAgentWrapper",
            "RainbowAgentWrapper",
            "DQNAgentWrapper",
            "BaseAgentWrapper",
        ]
        assert list(wrappers) == ["dqn", "ppo", "fast", "plain", "v"]
        dqn = wrappers["dqn"]
        assert isinstance(dqn, DQNAgentWrapper)
        assert [len(bias) for bias in dqn.learner.layers().biases] == [24, 12, 3]
        assert isinstance(dqn.learner, DQN)
        assert dqn.learner.settings == DQNSettings(hidden=(24, 12), batch=16)
        assert dqn.agent.width == 50

    def test_seeds_and_position_arrive(self) -> None:
        one, two, same = (
            create_agent_wrappers_from_config({"dqn": {"seed": seed}}, [8], 51, 3)["dqn"]
            for seed in (0, 1, 0)
        )
        for other, equal in ((two, False), (same, True)):
            assert isinstance(one, DQNAgentWrapper)
            assert isinstance(other, DQNAgentWrapper)
            assert (one.learner.layers().weights[0] == other.learner.layers().weights[0]).all() == equal
            assert other.agent.width == 51

    @pytest.mark.parametrize(
        ("config", "net_dims", "state_dim", "said"),
        [
            ({"dqn": {}}, [], 50, "give the hidden layers of those that learn"),
            ({"dqn": {}}, [64], 49, "give 50 or 51, and 3"),
            ({"mine": {"rate": 0.1}}, [64], 50, "say which learns, as algorithm, of dqn, ppo, rainbow"),
            ({"dqn": 7}, [64], 50, "agent dqn is int: give the name of an agent, or hyperparameters"),
            ({"dqn": {"rat": 0.1}}, [64], 50, "has no hyperparameter 'rat'"),
            (["vol_trend"], [], 51, "state_dim is 51"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, config: Any, net_dims: list[int], state_dim: int, said: str
    ) -> None:
        with pytest.raises(ValueError, match=said):
            create_agent_wrappers_from_config(config, net_dims, state_dim, 3)


def test_without_torch_the_names_are_there_and_making_one_says_what_to_install() -> None:
    code = """
import sys
sys.modules["torch"] = None
from windvane import AgentWrapperFactory, DQNAgentWrapper, PPOAgentWrapper, RainbowAgentWrapper, create_agents
AgentWrapperFactory.create_wrapper(create_agents(["vol_trend"])[0], "rule")
AgentWrapperFactory.create_wrapper(lambda state: [0, 0, 1], "function")
for kind in (DQNAgentWrapper, PPOAgentWrapper, RainbowAgentWrapper):
    try:
        kind()
    except ValueError as error:
        print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    lines = ran.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["dqn", "ppo", "rainbow"]
    assert all(line.endswith("pip install 'windvane[train]'") for line in lines)


def test_the_examples_of_the_page_run() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "learned.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    code = "\n".join(blocks)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    first, _, last = ran.stdout.splitlines()
    assert first == "(2, 0.5)"
    assert "'updates': " in last
    assert "'loss': None" not in last
