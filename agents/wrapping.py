"""What a wrapper can be made of: agents, learners, networks, models and functions; and wrappers by configuration."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from windvane.agents.base import Agent
from windvane.agents.errors import WindvaneError
from windvane.agents.factory import create_agents
from windvane.agents.learned.learners import LEARNERS, algorithm_of
from windvane.agents.learned.served import ServedNetwork
from windvane.agents.learned.valued import WIDTHS, Judge, Scale, ValuedAgent, check_width
from windvane.agents.learned.wrappers import WRAPPERS, ValuedAgentWrapper
from windvane.agents.policies import read_network
from windvane.agents.state import FEATURES
from windvane.agents.wrapper import BaseAgentWrapper

_GIVE = (
    "give an Agent, a learner of windvane.agents.learned, a torch module, a model of Stable-Baselines3 or an ONNX file "
    "with three actions, or a function from a state (1, D) to what sell, hold and buy are worth"
)


class AgentWrapperFactory:
    """Makes wrappers around agents that exist already."""

    @staticmethod
    def create_wrapper(
        agent: Any,
        agent_name: str,
        *,
        history: int = 20,
        state_dim: int | None = None,
        scale: Scale | None = None,
        actions: str | None = None,
    ) -> BaseAgentWrapper:
        """Return a wrapper around `agent`, of a class of its own where it is a learner.

        agent: an `Agent`; a DQN, PPO or Rainbow of `windvane.agents.learned`; a torch module (B, D) to (B, 3); a model
        of Stable-Baselines3; the path of an ONNX file of a multi-layer perceptron; or a function of a state (1, D),
        float32, that returns what sell, hold and buy are worth, such as `lambda s: session.run(None, {"input": s})[0]`
        of onnxruntime. What is no `Agent` does what is worth most.
        history: newest scores that are kept one by one. The rest is for what is no `Agent`: state_dim: D, 50 features,
        or 51 with its position behind them; None: the first that it answers. scale: of the features, such as
        `FeatureScaler().scale`, None for raw ones. actions: "trade" (None), where sell and buy move the position by one
        step, or "target", where they are the position.
        Raises ValueError for anything else, and says what to give.
        """
        algorithm = algorithm_of(agent)
        if isinstance(agent, Agent):
            for name, value in (("state_dim", state_dim), ("scale", scale), ("actions", actions)):
                if value is not None:
                    raise WindvaneError(
                        f"{agent_name} is an Agent, which knows its own {name}: leave {name} out"
                    )
            return BaseAgentWrapper(agent, agent_name, history=history)
        how = "trade" if actions is None else actions
        if algorithm is not None:
            if state_dim is not None:
                raise WindvaneError(
                    f"{agent_name} is a learner, which knows its state_dim: leave state_dim out"
                )
            return WRAPPERS[algorithm](agent, agent_name, history=history, scale=scale, actions=how)
        valued = ValuedAgent(agent_name, _judge(agent, agent_name), width=state_dim, scale=scale, actions=how)
        return ValuedAgentWrapper(valued, agent_name, history=history)


def _judge(agent: Any, name: str) -> Judge:
    """What is asked about the states of a thing that is no agent; raises WindvaneError where it can answer none."""
    if _is_a(agent, "stable_baselines3", "sb3_contrib", last="BaseAlgorithm"):
        from windvane.agents.learned.modules import judge_of_model

        return judge_of_model(agent, name)
    if _is_a(agent, "torch", last="Module"):
        from windvane.agents.learned.modules import judge_of_module

        return judge_of_module(agent)
    path = "" if callable(agent) else str(agent).lower()
    if path.endswith(".onnx"):
        layers = read_network(str(agent))
        check_width(name, len(layers.weights[0]))
        return ServedNetwork(layers)
    if path.endswith(".zip"):
        raise WindvaneError(
            f"{name} is the file {agent}, which is not read here: convert it with `windvane agents convert`, and give "
            "the agent of its folder, create_agents(['NAME=FOLDER'])[0]"
        )
    if not callable(agent) or isinstance(agent, type):
        what = agent.__name__ if isinstance(agent, type) else type(agent).__name__
        raise WindvaneError(f"{name} is {'the class ' if isinstance(agent, type) else ''}{what}: {_GIVE}")
    judge: Judge = agent
    return judge


def _is_a(agent: Any, *packages: str, last: str) -> bool:
    """Whether the class of an object descends from one called `last` of a package, which need not be installed."""
    return any(
        kind.__name__ == last and kind.__module__.partition(".")[0] in packages
        for kind in type(agent).__mro__
    )


def create_agent_wrappers_from_config(
    agents_config: Mapping[str, str | Mapping[str, Any]] | Iterable[str],
    net_dims: Sequence[int],
    state_dim: int,
    action_dim: int,
) -> dict[str, BaseAgentWrapper]:
    """Return a wrapper around a new agent for each name.

    agents_config: names of agents as `create_agents` takes them, or "dqn", "ppo" and "rainbow", which learn; or a
    mapping from any names to those, or to hyperparameters, such as {"dqn": {"rate": 1e-3}}. Hyperparameters under
    another name say which learner is meant: {"fast": {"algorithm": "dqn"}}. `LearnerWrapper` has what else they may be.
    net_dims: units of the hidden layers of those that learn; empty where none does.
    state_dim: 50, or 51 where agents that learn see their position; action_dim: 3 (sell, hold, buy).
    Raises ValueError for any other dimensions, for an unknown agent or hyperparameter, and where torch is missing.
    """
    if isinstance(agents_config, str):
        raise WindvaneError(f"agents are given as a list of names: write [{agents_config!r}]")
    config = (
        dict(agents_config) if isinstance(agents_config, Mapping) else {name: name for name in agents_config}
    )
    learned = {name: _learned(name, value) for name, value in config.items()}
    some = any(value is not None for value in learned.values())
    widths = WIDTHS if some else (FEATURES,)
    if state_dim not in widths or action_dim != 3:
        raise WindvaneError(
            f"state_dim is {state_dim} and action_dim {action_dim}: give {' or '.join(map(str, widths))}, and 3"
        )
    if some and len(net_dims) == 0:
        raise WindvaneError(
            f"net_dims is {net_dims!r}: give the hidden layers of those that learn, as [64, 64]"
        )
    if not some and len(net_dims) > 0:
        raise WindvaneError(f"net_dims is {net_dims!r}: the agents are rules, which have no layers; give []")
    made: dict[str, BaseAgentWrapper] = {}
    for name, value in config.items():
        given = learned[name]
        if given is None:
            made[name] = BaseAgentWrapper(create_agents([str(value)])[0], name)
        else:
            algorithm = given.pop("algorithm")
            given = {"hidden": tuple(net_dims), "state_dim": state_dim} | given
            made[name] = WRAPPERS[algorithm](given, name)
    return made


def _learned(name: str, value: str | Mapping[str, Any]) -> dict[str, Any] | None:
    """The hyperparameters of an agent that learns, with its `algorithm`; None of any other agent."""
    if isinstance(value, str):
        return {"algorithm": value} if value in LEARNERS else None
    if not isinstance(value, Mapping):
        raise WindvaneError(
            f"agent {name} is {type(value).__name__}: give the name of an agent, or hyperparameters"
        )
    given = {"algorithm": name} | dict(value)
    if given["algorithm"] not in LEARNERS:
        raise WindvaneError(
            f"agent {name} has hyperparameters of {given['algorithm']!r}: say which learns, as algorithm, of "
            f"{', '.join(LEARNERS)}"
        )
    return given
