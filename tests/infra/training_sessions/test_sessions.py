"""Sessions: the same twice, whole checkpoints or none, and learning that is worth something on markets never seen."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windvane.agents.factory import AGENTS
from windvane.infra.training_sessions import checkpoints, judging
from windvane.infra.training_sessions import trainer as home
from windvane.infra.training_sessions.episodes import ensemble, play, traded
from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base.config import ConfigError, WeighingConfig
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.base.weights import from_bytes as read_weights
from windvane.metamodel.base.weights import to_bytes as write_weights
from windvane.metamodel.learning.learned import load, to_bytes
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import predictor
from windvane.metamodel.settings.presets import made
from windvane.metamodel.simulation.seeds import CHOOSING, EPISODES, SESSIONS
from windvane.metamodel.simulation.trade_simulator import Episode, TradeSimulator

FEW = {"evaluation_markets": 2}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "STEPS", 300)


def trainer(folder: Path, **args: Any) -> MetaLearningEnsembleTrainer:
    return MetaLearningEnsembleTrainer(made("balanced", {"max_steps": 300, **args}, FEW), "tests", folder)


def weights(folder: Path) -> bytes:
    return checkpoints.read(folder).raw


def test_the_same_session_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        trainer(tmp_path / name).train_full_session(3)
    trainer(tmp_path / "other", seed=5).train_full_session(3)
    one, two, other = (weights(tmp_path / name / "final_session") for name in ("one", "two", "other"))
    assert one == two
    assert one != other


def test_what_is_learned_helps_on_markets_that_are_not_learned_on(tmp_path: Path) -> None:
    """Paired over SIMULATED markets: who was trained earns more than who knows nothing yet."""
    taught = trainer(tmp_path)
    for episode in range(60):
        taught.train_episode(episode, 2500)
    raw = to_bytes(taught.meta_ensemble.manager, {})
    gains = []
    for seed in EPISODES[100:140]:
        pair = []
        for knows in (True, False):
            whole = ensemble(taught.config, taught.env)
            if knows:
                load(whole.manager, raw)
            pair.append(play(whole, taught.env, seed, 2500).total())
        gains.append(pair[0] - pair[1])
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(len(gains))


def test_seeds_that_are_learned_on_are_not_those_that_judge(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    learned_on = {one.train_episode(k)["seed"] for k in (0, 1, 9_999, 10_000)}
    assert learned_on <= set(SESSIONS)
    assert not learned_on & (set(CHOOSING) | set(EPISODES))


def test_an_evaluation_within_a_session_leaves_no_trace(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    one.train_episode(0)
    before = to_bytes(one.meta_ensemble.manager, {})
    assert one.evaluate(200) == one.evaluate(200)
    assert to_bytes(one.meta_ensemble.manager, {}) == before


def often(folder: Path) -> MetaLearningEnsembleTrainer:
    """A trainer whose predictor is trained after most episodes, and judged after every second."""
    custom = {**FEW, "meta_training_frequency": 10, "meta_epochs": 60, "evaluation_interval": 2}
    return MetaLearningEnsembleTrainer(made("balanced", {"max_steps": 300}, custom), "tests", folder)


def told(stats: dict[str, Any]) -> dict[str, Any]:
    """What a session came to, without what depends on its folder, its time, and into how many parts it was cut."""
    apart = ("seconds", "episodes", "checkpoints", "final_session", "best_models")
    return {name: value for name, value in stats.items() if name not in apart}


def same(one: Path, other: Path) -> None:
    for name in ("initial_session", "best_models", "final_session"):
        assert checkpoints.read(one / name).raw == checkpoints.read(other / name).raw
        assert checkpoints.read(one / name).samples == checkpoints.read(other / name).samples


def test_a_session_in_parts_is_the_whole(tmp_path: Path) -> None:
    whole, parts = often(tmp_path / "whole").train_full_session(4), often(tmp_path / "parts")
    parts.train_full_session(2)
    assert told(parts.train_full_session(2)) == told(whole)
    assert whole["meta_learning_updates"] == 2
    same(tmp_path / "whole", tmp_path / "parts")
    again = often(tmp_path / "again")
    again.meta_learning_manager.load_meta_models(tmp_path / "parts" / "final_session")
    assert again.train_episode(4)["total_reward"] == parts.train_episode(4)["total_reward"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A session of five episodes that nothing has stopped."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "STEPS", 300)
        return folder, often(folder).train_full_session(5)


@pytest.mark.parametrize("moment", [4, 6])  # while it learns, and while it judges
def test_a_session_that_was_stopped_goes_on_to_the_same_result(
    tmp_path: Path, undisturbed: tuple[Path, dict[str, Any]], moment: int
) -> None:
    """Ctrl-C at one of the markets that it plays, of learning or of judging; then another process goes on."""
    played: list[int] = []

    class Stopping(TradeSimulator):
        def episode(self, seed: int, max_steps: int | None = None) -> Episode:
            played.append(seed)
            if len(played) == moment:
                raise KeyboardInterrupt
            return super().episode(seed, max_steps)

    whole, stats = undisturbed
    stopped = often(tmp_path)
    stopped.config.env_class = Stopping
    with pytest.raises(KeyboardInterrupt):
        stopped.train_full_session(5)
    again = often(tmp_path)
    again.resume()
    assert again.training_stats == stopped.training_stats
    data = [session.meta_learning_manager.training_data["market_features"] for session in (again, stopped)]
    assert len(data[0]) == len(data[1]) == 9 * again.training_stats["episodes_completed"]
    found = again.train_full_session(5 - again.training_stats["episodes_completed"])
    assert told(found) == told(stats)
    same(whole, tmp_path)


def test_what_cannot_be_gone_on_from_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    one.train_full_session(1)
    one.meta_learning_manager.save_meta_models(tmp_path / "weights")
    with pytest.raises(WeightsError, match="holds no samples to go on from"):
        one.resume("weights")
    (file,) = (tmp_path / "final_session").glob("samples-*.safetensors")
    kept = file.read_bytes()
    file.write_bytes(kept[:-8] + b"\x07" * 8)
    before = to_bytes(one.meta_ensemble.manager, {})
    with pytest.raises(WeightsError, match="is not what checkpoint"):
        one.resume("final_session")
    file.write_bytes(kept)
    (tmp_path / "best_models" / "checkpoint.json").unlink()
    with pytest.raises(WeightsError, match="best_models holds no checkpoint"):
        one.resume("final_session")
    assert to_bytes(one.meta_ensemble.manager, {}) == before


def test_models_are_swapped_between_two_actions_and_refused_ones_leave_no_trace(tmp_path: Path) -> None:
    donor, one, other = (trainer(tmp_path / name) for name in ("donor", "one", "other"))
    donor.train_episode(3)
    good, bad = donor.save_checkpoint("good"), tmp_path / "bad"
    tensors, about = read_weights(weights(good))
    bad.write_bytes(write_weights({**tensors, "share": tensors["share"] * np.nan}, about))
    alone = tmp_path / "alone"  # of the predictor, as slow learning writes them
    rng = np.random.default_rng(2)
    shapes = predictor.shapes(50, len(one.meta_learning_manager.weights))
    drawn = {name: (0.1 * rng.normal(size=shape)).astype(np.float16) for name, shape in shapes.items()}
    alone.write_bytes(write_weights(drawn, {}))

    def played(rows: int) -> bool:
        """Whether both ensembles decide the same."""
        state = rng.normal(size=(rows, 50))
        told = [
            [t.meta_ensemble.get_trading_action(x, 100.0 + x[0], 1000.0) for x in state] for t in (one, other)
        ]
        return repr(told[0]) == repr(told[1])

    assert played(530)
    with pytest.raises(WeightsError, match="share holds NaN or inf"):
        one.meta_learning_manager.load_meta_models(bad)
    assert played(20)
    one.meta_learning_manager.load_meta_models(good)
    assert not played(20)
    other.meta_learning_manager.load_meta_models(good)
    for each in (one, other):
        before = each.meta_ensemble.manager.learner.learned.predictor.use.tolist()
        each.meta_learning_manager.load_meta_models(alone)
        assert each.meta_ensemble.manager.learner.learned.predictor.use.tolist() == [1, before[0]]
    alone.write_bytes(write_weights({}, {}))
    with pytest.raises(WeightsError, match="neither a learner nor a predictor"):
        one.meta_learning_manager.load_meta_models(alone)


def test_ctrl_c_leaves_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*given: Any) -> Any:
        if len(one.training_stats["episode_rewards"]) == 2:
            raise KeyboardInterrupt
        return traded(*given)

    one = trainer(tmp_path)
    monkeypatch.setattr(home, "traded", stop)
    with pytest.raises(KeyboardInterrupt):
        one.train_full_session(5)
    story = checkpoints.read(tmp_path / "interrupted_session").story
    assert story["training_stats"]["episodes_completed"] == 2


@pytest.mark.parametrize("kind", ["cut", "other", "story", "absent", "format", "outside"])
def test_a_checkpoint_that_is_not_whole_is_refused(tmp_path: Path, kind: str) -> None:
    one = trainer(tmp_path)
    folder = one.save_checkpoint("c")
    (file,) = folder.glob("learner-*.safetensors")
    story = json.loads((folder / "checkpoint.json").read_text())
    if kind == "cut":
        file.write_bytes(file.read_bytes()[:-8])
    elif kind == "other":
        file.write_bytes(file.read_bytes()[:-8] + b"\x07" * 8)
    elif kind == "absent":
        file.unlink()
    elif kind == "story":
        (folder / "checkpoint.json").write_text("{")
    else:
        story |= {"format": 9} if kind == "format" else {"weights": "../c/" + file.name}
        (folder / "checkpoint.json").write_text(json.dumps(story))
    with pytest.raises(WeightsError) as refused:
        MetaLearningEvaluator(folder)
    assert "\n" not in str(refused.value)
    before = to_bytes(one.meta_ensemble.manager, {})
    with pytest.raises(WeightsError):
        one.meta_learning_manager.load_meta_models(folder)
    assert to_bytes(one.meta_ensemble.manager, {}) == before


def test_a_checkpoint_of_other_agents_is_refused(tmp_path: Path) -> None:
    folder = trainer(tmp_path).save_checkpoint("c")
    with pytest.raises(WeightsError, match="the agents of this learner are vol_trend"):
        MetaLearningEvaluator(folder, made(custom_params={"agents": ["vol_trend"]}))


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "x" * 200])
def test_a_checkpoint_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="give letters"):
        trainer(tmp_path / "in").save_checkpoint(name)
    assert not (tmp_path / "up").exists()


def test_old_weights_of_a_checkpoint_are_cleared_away(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    one.save_checkpoint("c")
    one.train_episode(0)
    folder = one.save_checkpoint("c")
    assert len(list(folder.glob("learner-*.safetensors"))) == 1


def test_an_evaluation_says_what_it_is_of_and_is_the_same_twice(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    one.train_full_session(2)
    evaluator = MetaLearningEvaluator(tmp_path / "final_session")
    assert evaluator.config.trading() == one.config.trading()
    found = evaluator.evaluate_comprehensive(3, 300)
    assert evaluator.evaluate_comprehensive(3, 300) == found
    saved = json.loads((tmp_path / "evaluation_results" / "results.json").read_text())
    metrics = saved["meta_learning_metrics"]
    assert metrics["regime_adaptability"] is None  # too few switches: what is no number is null in JSON
    metrics["regime_adaptability"] = found["meta_learning_metrics"]["regime_adaptability"]
    assert saved == json.loads(json.dumps(found), parse_constant=lambda _: math.nan)
    page = (tmp_path / "evaluation_results" / "report.html").read_text()
    assert "SIMULATED markets" in page
    assert "rules" in found["trained"]
    assert set(found["agent_comparison"]) == {
        *one.config.agents,
        *("ensemble", "equal_weights", "long_1x_capital"),
    }
    regimes = found["regime_analysis"]
    assert sum(told["rows"] for told in regimes["regimes"].values()) == 900
    assert regimes["stable"]["rows"] + regimes["unstable"]["rows"] == 900
    assert sum(found["decision_analysis"]["actions"].values()) == 900


def test_an_environment_of_ones_own_is_used_or_refused(tmp_path: Path) -> None:
    class Hard(TradeSimulator):
        def __init__(self, **env_args: Any) -> None:
            super().__init__(**{**env_args, "market": "hard"})

    config = made("balanced", {"max_steps": 300}, FEW)
    config.env_class = Hard
    mine = MetaLearningEnsembleTrainer(config, "mine", tmp_path / "mine").train_episode(0)
    assert mine["total_reward"] != trainer(tmp_path / "theirs").train_episode(0)["total_reward"]
    config.env_class = dict
    with pytest.raises(ConfigError, match="derive it from windvane"):
        MetaLearningEnsembleTrainer(config)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda t: t.train_episode(-1), "episode_num"),
        (lambda t: t.train_episode(0, 0), "max_steps"),
        (lambda t: t.train_full_session(0), "num_episodes"),
        (lambda t: t.train_full_session(1, save_interval=0), "save_interval"),
        (lambda t: MetaLearningEnsembleTrainer({}), "create_meta_learning_config"),
        (lambda t: MetaLearningEvaluator(t.save_dir), "final_session or best_models"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call(trainer(tmp_path))


def test_a_learner_fits_where_retraining_is_as_it_was() -> None:
    whole, without = (
        MetaLearningEnsembleManager(tuple(AGENTS), WeighingConfig(retraining=on)) for on in (True, False)
    )
    with pytest.raises(WeightsError, match="a learner with retraining on, this one has it off"):
        load(without, to_bytes(whole, {}))
    with pytest.raises(WeightsError, match="a learner with retraining off, this one has it on"):
        load(whole, to_bytes(without, {}))


@pytest.mark.parametrize("use", [1, 2, -1])
def test_a_learner_that_says_to_use_a_predictor_that_is_not_there_is_refused(use: int) -> None:
    manager = MetaLearningEnsembleManager(tuple(AGENTS), WeighingConfig(retraining=use == 2))
    tensors, about = read_weights(to_bytes(manager, {}))
    tensors["predictor.use"][0] = use
    before = to_bytes(manager, {})
    with pytest.raises(WeightsError, match=r"predictor\.use"):
        load(manager, write_weights(tensors, about))
    assert to_bytes(manager, {}) == before
