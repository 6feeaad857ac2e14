"""Sessions that train dqn, ppo and rainbow beside the meta-learner: repeatable, resumable, and worth it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install 'windvane[train]'")

from signalled import SignalledMarkets

from windvane.agents.factory import create_agents
from windvane.agents.learned.shipped import ShippedDQN
from windvane.infra.training_sessions import checkpoints, judging, learning
from windvane.infra.training_sessions import trainer as home
from windvane.infra.training_sessions.agents import Agents
from windvane.infra.training_sessions.episodes import ensemble, play, traded
from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.settings.presets import made
from windvane.metamodel.simulation.seeds import EPISODES

LEARN = ("dqn", "ppo", "rainbow")
ALL = ("vol_trend", *LEARN)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "STEPS", 100)


def trainer(folder: Path, **custom: Any) -> MetaLearningEnsembleTrainer:
    few = {"agents": ALL, "net_dims": (8,), "evaluation_markets": 2, "performance_prediction_enabled": False}
    return MetaLearningEnsembleTrainer(made("balanced", {"max_steps": 100}, few | custom), "tests", folder)


def known(one: MetaLearningEnsembleTrainer) -> Any:
    """All that a session has learned, and all that its learners go on from."""
    assert one._learners is not None
    state = {name: value.tobytes() for name, value in one._learners.state().items()}
    return checkpoints.learned(one.meta_ensemble.manager, one.agents.policies), state


def test_learners_earn_more_than_before_they_learned(tmp_path: Path) -> None:
    """By their own accounts, on SIMULATED markets never seen, whose returns follow from what is shown."""
    config = made("balanced", {"max_steps": 300}, {"agents": ALL, "net_dims": (16,)})
    config.update({"performance_prediction_enabled": False, "env_class": SignalledMarkets})
    one = MetaLearningEnsembleTrainer(config, "tests", tmp_path)

    def earned() -> dict[str, float]:
        """By account, in three markets together, units of capital."""
        total = np.zeros(0)
        for seed in EPISODES[:3]:
            whole = ensemble(config, one.env, one.agents)
            result = play(whole, one.env, seed, 600)
            total = result.earned.sum(axis=0) + (total if len(total) else 0.0)
        return dict(zip(result.accounts, total.tolist(), strict=True))

    before = earned()
    for episode in range(10):
        learned = one.train_episode(episode)["learning"]
    after = earned()
    for name in LEARN:
        assert after[f"agent:{name}"] > before[f"agent:{name}"] + 1.0, name
        assert learned[name]["updates"] > 0
        assert np.isfinite(learned[name]["loss"])


def test_the_same_session_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    one, two, other = trainer(tmp_path / "1"), trainer(tmp_path / "2"), trainer(tmp_path / "3", net_dims=(9,))
    for each in (one, two, other):
        for episode in range(2):
            each.train_episode(episode)
    assert known(one) == known(two)
    assert known(one)[0] != known(other)[0]
    rows = 99 * learning.ENVIRONMENTS
    assert one.training_stats["learning"]["ppo"] == {
        "loss": one.training_stats["learning"]["ppo"]["loss"],
        "transitions": 2 * rows,
        "updates": 1,
    }


def test_an_episode_is_decided_before_it_is_learned_from(tmp_path: Path) -> None:
    """Agents trade an episode with the weights that they had before it, and the next one with those after."""
    one = trainer(tmp_path)
    before = Agents(dict(one.agents.policies))
    alone = ensemble(one.config, one.env, before)
    first = one.train_episode(0)
    assert play(alone, one.env, first["seed"], 100).total() == first["total_reward"]
    assert set(one.agents.policies) == set(LEARN)
    assert all(one.agents.policies[name] != before.policies[name] for name in LEARN)
    second = one.train_episode(1)
    assert play(alone, one.env, second["seed"], 100).total() != second["total_reward"]


def test_the_end_of_an_episode_is_the_end_of_what_follows_from_an_action(tmp_path: Path) -> None:
    """Also where an account had begun anew, and would have gone on."""
    one = trainer(tmp_path)
    one.train_episode(0, 300)
    assert one._learners is not None
    ended = one._learners.state()["dqn/replay.ended"]
    assert np.flatnonzero(ended.all(axis=1)).tolist() == [learning.ROWS - 1, 298]
    assert ended.sum() == 2 * learning.ENVIRONMENTS


def test_a_resumed_session_comes_to_what_it_would_have_come_to(tmp_path: Path) -> None:
    whole, first, second = (trainer(tmp_path / name) for name in ("whole", "parts", "parts"))
    whole.train_full_session(3, evaluation_interval=2)
    first.train_full_session(2, evaluation_interval=2)
    second.resume("final_session")
    assert known(second) == known(first)
    told = second.train_full_session(1, evaluation_interval=2)
    assert known(second) == known(whole)
    assert told["trained"] == "the meta-learner, and from nothing the agents dqn, ppo, rainbow"
    assert second.training_stats["evaluations"] == whole.training_stats["evaluations"]


def test_what_is_broken_off_is_as_if_it_had_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trainer(tmp_path)
    one.train_episode(0)
    before = known(one)

    def stop(*given: Any) -> Any:
        assert one._learners is not None
        result = traded(*given)
        one._learners.learn(given[1].rows, one.env.costs, 0)
        raise KeyboardInterrupt(result)

    monkeypatch.setattr(home, "traded", stop)
    with pytest.raises(KeyboardInterrupt):
        one.train_episode(1)
    assert known(one) == before


def test_a_checkpoint_holds_policies_that_serve_everywhere(tmp_path: Path) -> None:
    one = trainer(tmp_path, agents=("vol_trend", "fast=dqn"))
    one.train_episode(0)
    folder = one.save_checkpoint("mine")
    (policy,) = (folder / "policies").iterdir()
    assert policy.name.startswith("fast-")
    served = create_agents([f"fast={policy}"])[0]
    rows = one.env.episode(EPISODES[0], 100).rows
    good = np.ones(len(rows.ts), np.int64)
    mine = one.agents(["fast=dqn"])[0].propose(rows.x, rows.mid, good)
    assert served.propose(rows.x, rows.mid, good).target.tobytes() == mine.target.tobytes()
    one.train_episode(1)
    one.save_checkpoint("mine")
    (other,) = (folder / "policies").iterdir()
    assert other != policy, "the old policy is gone"


def test_an_evaluator_takes_the_policies_of_the_checkpoint(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    one.train_episode(0)
    folder = one.save_checkpoint("mine")
    evaluator = MetaLearningEvaluator(folder)
    assert evaluator.config.net_dims == (8,)
    assert evaluator.agents.policies == one.agents.policies
    alone = ensemble(one.config, one.env, one.agents)
    alone.manager.learner = one.meta_ensemble.manager.learner
    wanted = play(alone, one.env, EPISODES[0], 100).total()
    found = evaluator.evaluate_comprehensive(1, 100, False)
    assert found["episodes"][0]["total_reward"] == wanted
    assert found["trained"] == "the meta-learner, and from nothing the agents dqn, ppo, rainbow"
    shipped = made("balanced", {"max_steps": 100}, {**one.config.values(), "net_dims": None})
    assert MetaLearningEvaluator(folder, shipped).agents.policies == one.agents.policies
    for values, said in (
        ({"net_dims": (9,)}, r"net_dims is \(9,\), and the checkpoint holds no policies with such layers"),
        ({"agents": ("vol_trend", "dqn")}, "has policies of dqn, ppo, rainbow, the config has dqn agents"),
    ):
        with pytest.raises(ConfigError, match=said):
            MetaLearningEvaluator(folder, made("balanced", None, {**one.config.values(), **values}))


def test_weights_that_were_learned_beside_other_policies_are_refused(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    first = one.save_checkpoint("first")
    one.train_episode(0)
    with pytest.raises(
        WeightsError, match=r"beside policies of its own \(dqn, ppo, rainbow\): let a trainer resume"
    ):
        one.meta_learning_manager.load_meta_models(first)
    one.meta_learning_manager.save_meta_models(tmp_path / "again")
    one.meta_learning_manager.load_meta_models(tmp_path / "again")


@pytest.mark.parametrize("kind", ["cut", "absent", "other", "outside"])
def test_a_policy_that_is_not_the_one_of_the_checkpoint_is_refused(tmp_path: Path, kind: str) -> None:
    one = trainer(tmp_path, agents=("vol_trend", "dqn"))
    folder = one.save_checkpoint("mine")
    (policy,) = (folder / "policies").iterdir()
    said = "policies/dqn-.*: weights.safetensors has another checksum"
    if kind == "cut":
        (policy / "weights.safetensors").write_bytes(b"")
    elif kind == "absent":
        (policy / "policy.json").unlink()
        said = "policies/dqn-.*: policy.json is missing"
    elif kind == "other":
        (policy / "policy.json").write_text((policy / "policy.json").read_text() + " ")
        said = "is not what checkpoint.json names"
    else:
        story = json.loads((folder / "checkpoint.json").read_text())
        story["policies"]["dqn"] = f"../policies/{policy.name}"
        (folder / "checkpoint.json").write_text(json.dumps(story))
        said = "lacks its policy"
    with pytest.raises(WeightsError, match=said):
        checkpoints.read(folder)


def test_a_checkpoint_of_other_layers_is_not_resumed(tmp_path: Path) -> None:
    one, other = trainer(tmp_path), trainer(tmp_path, net_dims=(9,))
    one.train_episode(0)
    one.save_checkpoint("mine")
    before = known(other)
    with pytest.raises(WeightsError, match="of others, or other net_dims"):
        other.resume("mine")
    assert known(other) == before


def test_net_dims_mean_nothing_where_no_agent_learns_or_nothing_trains(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"net_dims is \(8,\), but no agent of this session learns: name some of"
    ):
        trainer(tmp_path, agents=("vol_trend", "buy_and_hold"))
    config = made("balanced", None, {"net_dims": [64, 64]})
    with pytest.raises(
        ConfigError, match="only a MetaLearningEnsembleTrainer trains agents: set net_dims to None"
    ):
        config.trading()
    for dims in ([], [0], [2000], [8] * 5):
        with pytest.raises(ConfigError, match="net_dims"):
            config.net_dims = dims
    one = trainer(tmp_path)
    one.config.net_dims = None
    with pytest.raises(ConfigError, match=r"net_dims was changed from \(8,\) to None"):
        one.train_episode(0)


def test_without_net_dims_the_agents_are_those_that_ship(tmp_path: Path) -> None:
    one = trainer(tmp_path, net_dims=None)
    assert "learning" not in one.train_episode(0)
    assert "learning" not in one.training_stats
    (agent,) = one.agents(["dqn"])
    assert isinstance(agent, ShippedDQN)
