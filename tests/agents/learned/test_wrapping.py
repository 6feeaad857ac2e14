"""What wrappers are made of: agents, learners, networks, functions and configurations; and what is refused."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

from some_policy import layers  # noqa: E402
from windvane import (  # noqa: E402
    AgentWrapperFactory,
    DQNAgentWrapper,
    PPOAgentWrapper,
    RainbowAgentWrapper,
    create_agent_wrappers_from_config,
    create_agents,
)
from windvane.agents import policies  # noqa: E402
from windvane.agents.learned.dqn import DQN, DQNSettings  # noqa: E402
from windvane.agents.learned.ppo import PPO  # noqa: E402

WORTH = np.array([0.0, 0.5, 1.0])


def states(n: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(0)).standard_normal((n, 50))


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
            learner = kind({"hidden": (16,)}).learner
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
                "ONNX file a/b.onnx: it is no file",
            ),
            (
                lambda: AgentWrapperFactory.create_wrapper(Path("a/b.zip"), "x"),
                "x is the file a/b.zip, which is not read here: convert it with `windvane agents convert`",
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


class TestOnnxFiles:
    NET = layers((51, 8, 3), 0, 5)

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """A network of tanh, as exporters write it."""
        pytest.importorskip("onnx", reason="onnx is not installed: pip install 'windvane[train]'")
        from onnx import TensorProto, helper, numpy_helper

        def value(name: str, size: int) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])

        (one, two), (first, second) = self.NET.weights, self.NET.biases
        nodes = [
            helper.make_node("Gemm", ["x", "one", "first"], ["h"]),
            helper.make_node("Tanh", ["h"], ["a"]),
            helper.make_node("Gemm", ["a", "two", "second"], ["y"]),
        ]
        tensors = {"one": one, "two": two, "first": first, "second": second}
        given = [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()]
        graph = helper.make_graph(nodes, "g", [value("x", 51)], [value("y", 3)], given)
        path = tmp_path / "a.onnx"
        path.write_bytes(helper.make_model(graph).SerializeToString())
        return path

    @pytest.mark.parametrize("kind", [str, Path])
    def test_a_path_does_what_its_network_says_is_worth_most(self, file: Path, kind: type) -> None:
        wrapper = AgentWrapperFactory.create_wrapper(
            kind(file), "net", actions="target", scale=lambda x: 2.0 * x
        )
        position, (one, two), (first, second) = 0.0, self.NET.weights, self.NET.biases
        actions = set()
        for x in states(60):
            values = np.tanh(np.append(2.0 * x, position) @ one + first) @ two + second
            before, position = position, float(values.argmax()) - 1.0
            action, confidence = wrapper.get_action_with_confidence(x)
            actions.add(action)
            assert action == np.sign(position - before) + 1
            worst, middle, best = np.sort(values)
            assert confidence == pytest.approx((best - middle) / (best - worst), abs=1e-4)
        assert actions == {0, 1, 2}

    def test_a_wrapper_is_copied_with_its_position(self, file: Path) -> None:
        wrapper = AgentWrapperFactory.create_wrapper(file, "net", actions="target")
        for x in states(7):
            wrapper.get_action_with_confidence(x)
        again = copy.deepcopy(wrapper)
        for x in states(9)[7:]:
            assert again.get_action_with_confidence(x) == wrapper.get_action_with_confidence(x)

    def test_a_network_of_another_width_is_refused(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(
            ValueError, match=r"does not answer a state of 50 numbers \(its first layer reads 51"
        ):
            AgentWrapperFactory.create_wrapper(file, "net", state_dim=50)
        monkeypatch.setattr(policies, "_READERS", [lambda path: layers((40, 8, 3), 0, 0)])
        with pytest.raises(ValueError, match="state_dim of net is 40: give 50 or 51, with its position"):
            AgentWrapperFactory.create_wrapper(file, "net")

    def test_where_nothing_reads_them_that_is_said(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as without:
            without.setitem(sys.modules, "onnx", None)
            with pytest.raises(
                ValueError, match=r"a\.onnx: it is read with onnx .*pip install 'windvane.train."
            ):
                AgentWrapperFactory.create_wrapper(file, "net")
        monkeypatch.setattr(policies, "_READERS", [])
        with pytest.raises(ValueError, match="has nothing that reads ONNX files"):
            AgentWrapperFactory.create_wrapper(file, "net")


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


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "learned.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    code = "\n".join(blocks)
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300, cwd=tmp_path
    )
    joint, first, _, last = ran.stdout.splitlines()
    assert "'updates': " in joint
    assert first == "(2, 0.5)"
    assert "'updates': " in last
    assert "'loss': None" not in last
