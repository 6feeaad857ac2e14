"""The policies that ship: data of a known make, better than no policy where they were trained, honest about it."""

from pathlib import Path

import numpy as np
import pytest

from windvane.agents.factory import AGENTS, RULES, create_agents
from windvane.agents.learned import shipped
from windvane.agents.learned.policy import LearnedPolicy
from windvane.infra.policies.folder import load_policy

LEARNED = [name for name in AGENTS if name not in RULES]
HOME = Path(shipped.__file__).with_name("trained")


def test_one_of_each_algorithm_ships() -> None:
    assert LEARNED == ["dqn", "ppo", "rainbow"]
    assert sorted(path.name for path in HOME.iterdir()) == LEARNED


@pytest.mark.parametrize("name", LEARNED)
class TestOne:
    def test_it_is_what_its_class_says(self, name: str) -> None:
        (agent,) = create_agents([name])
        stored = load_policy(HOME / name)
        assert isinstance(agent, LearnedPolicy)
        assert (agent.name, agent.version, agent.warmup) == (name, stored.version, stored.warmup)
        assert (AGENTS[name].name, AGENTS[name].version, AGENTS[name].warmup) == (
            name,
            stored.version,
            stored.warmup,
        )

    def test_it_decides_as_its_folder_does(self, name: str) -> None:
        draw = np.random.default_rng(4)
        x, price, good = draw.standard_normal((900, 50)), np.full(900, 9.0), np.ones(900, np.int64)
        mine, stored = (
            create_agents([name])[0].propose(x, price, good),
            load_policy(HOME / name).propose(x, price, good),
        )
        assert mine.target.tobytes() == stored.target.tobytes()
        assert set(np.unique(mine.target[600:])) == {-1.0, 0.0, 1.0}

    def test_two_of_it_remember_apart(self, name: str) -> None:
        one, other = create_agents([f"a={name}", f"b={name}"])
        draw = np.random.default_rng(5)
        x, price, good = draw.standard_normal((600, 50)), np.full(600, 9.0), np.ones(600, np.int64)
        before = other.state()["memory"].copy()
        one.propose(x, price, good)
        np.testing.assert_array_equal(other.state()["memory"], before)

    def test_what_it_says_of_itself(self, name: str) -> None:
        agent = load_policy(HOME / name)
        assert isinstance(agent, LearnedPolicy)
        told = agent.form.trained
        assert told.simulated
        assert told.data.startswith("SIMULATED")
        test = told.metrics["test"]
        assert test["policy"]["profit"] > test["best_rule"]["profit"] > test["buy_and_hold"]["profit"]

    def test_it_is_small(self, name: str) -> None:
        assert {path.name for path in (HOME / name).iterdir()} == {"policy.json", "weights.safetensors"}
        assert sum(path.stat().st_size for path in (HOME / name).iterdir()) < 50_000
