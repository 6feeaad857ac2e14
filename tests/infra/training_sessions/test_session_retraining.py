"""The predictor's samples are gathered over episodes, market by market, and what a session counts is what happened."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windvane.agents.factory import RULES, create_agents
from windvane.infra.training.trainer import ChildTrainer
from windvane.infra.training_sessions import retraining as home
from windvane.infra.training_sessions.retraining import SessionRetraining
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base import weights
from windvane.metamodel.base.rows import WARMUP
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.counterfactual import Counterfactual, Rows
from windvane.metamodel.learning.learned import to_bytes
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import predictor
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier
from windvane.metamodel.settings.presets import made
from windvane.metamodel.simulation.seeds import SESSIONS
from windvane.metamodel.simulation.trade_simulator import TradeSimulator
from windvane.streams.events import TrainRequest

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")

OFTEN = {"meta_training_frequency": 10, "evaluation_markets": 2}


def trainer(folder: Path, steps: int = 300, **custom: Any) -> MetaLearningEnsembleTrainer:
    return MetaLearningEnsembleTrainer(
        made("balanced", {"max_steps": steps}, {"agents": tuple(RULES)} | OFTEN | custom), "tests", folder
    )


def alone(session: MetaLearningEnsembleTrainer, episode: int, steps: int) -> tuple[np.ndarray, ...]:
    """The samples of one market by itself, row by row: nothing of another market is there to leak."""
    config = session.meta_ensemble.config
    rows = TradeSimulator(max_steps=steps).episode(SESSIONS[episode]).rows
    good = np.ones(len(rows.ts), np.int64)
    target = np.column_stack(
        [agent.propose(rows.x, rows.mid, good).target for agent in create_agents(config.agents)]
    )
    target[(rows.flags & WARMUP) != 0] = 0.0
    posterior = MarketRegimeClassifier().step(rows.x, rows.flags)
    scores = Counterfactual(len(config.agents), config.costs, config.capital, config.lot, config.weighing)
    for t in range(len(rows.ts)):
        scores.step(Rows.of(rows, posterior, target), t, t + 1)
    return scores.samples()


@pytest.mark.parametrize("lookback", [1000, 25, 8])
def test_samples_gathered_are_those_of_every_market_alone_the_newest_kept(
    tmp_path: Path, lookback: int
) -> None:
    session = trainer(tmp_path, meta_training_frequency=1000, meta_lookback=lookback)
    lengths = (300, 700, 40, 330)
    for episode, steps in enumerate(lengths):
        session.train_episode(episode, steps)
    assert session._retraining is not None
    found = session._retraining.state()
    parts = [alone(session, episode, steps) for episode, steps in enumerate(lengths)]
    for k, name in enumerate(("common", "own", "y")):
        wanted = np.concatenate([part[k] for part in parts])[-lookback:]
        assert found.tensors[name].tobytes() == wanted.tobytes()
    assert session.training_stats["samples"] == 8 + 20 + 0 + 9
    assert int(found.about["fresh"]) == 37, "those that were dropped are counted, too"


def test_the_trainer_gets_what_was_gathered_and_what_is_counted_is_what_a_listener_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[weights.Weights] = []
    swapped: list[bytes] = []
    train, swap = ChildTrainer.__call__, MetaLearningEnsembleManager.swap_predictor

    def listen(self: ChildTrainer, request: TrainRequest) -> Any:
        asked.append(weights.from_bytes(request.raw))
        return train(self, request)

    def watch(self: MetaLearningEnsembleManager, raw: bytes) -> None:
        swapped.append(raw)
        swap(self, raw)

    monkeypatch.setattr(ChildTrainer, "__call__", listen)
    monkeypatch.setattr(MetaLearningEnsembleManager, "swap_predictor", watch)
    session = trainer(tmp_path, meta_training_frequency=12, meta_lookback=30, meta_epochs=60)
    told = [session.train_episode(episode)["predictor"] for episode in range(9)]
    stats = session.training_stats
    assert [t != "not trained" for t in told] == 4 * [False, True] + [False], (
        "8 samples an episode, 12 needed"
    )
    assert stats["meta_learning_updates"] == len(asked) == 4
    assert stats["predictor_swaps"] == len(swapped) == told.count("swapped") > 0
    assert stats["samples"] == 9 * 8
    assert [one.about["version"] for one in asked] == ["1", "2", "3", "4"]
    assert [one.about["fresh"] for one in asked] == ["16"] * 4
    assert [len(one.tensors["y"]) for one in asked] == [16, 30, 30, 30]
    used = {"swapped": lambda raw: weights.from_bytes(raw).tensors["w1"].astype(np.float32).tobytes()}
    if told[1] == "swapped":
        assert asked[1].tensors["w1"].tobytes() == used["swapped"](swapped[0]), "from the weights in use"


def test_a_version_starts_from_weights_that_somebody_else_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    donor, other = trainer(tmp_path / "donor"), trainer(tmp_path / "other")
    rng, count = np.random.default_rng(2), len(donor.config.agents)
    drawn = {name: 0.1 * rng.normal(size=shape) for name, shape in predictor.shapes(50, count).items()}
    donor.meta_ensemble.manager.swap_predictor(weights.to_bytes(drawn, {}))
    other.meta_learning_manager.load_meta_models(donor.save_checkpoint("here"))
    asked: list[weights.Weights] = []
    train = ChildTrainer.__call__

    def listen(self: ChildTrainer, request: TrainRequest) -> Any:
        asked.append(weights.from_bytes(request.raw))
        return train(self, request)

    monkeypatch.setattr(ChildTrainer, "__call__", listen)
    for episode in range(2):
        other.train_episode(episode)
    layers = donor.meta_ensemble.manager.learner.learned.predictor.layers
    assert asked[0].tensors["w1"].tobytes() == layers.w1.tobytes()


def test_an_episode_that_is_broken_off_leaves_the_learner_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = trainer(tmp_path)
    session.train_episode(0)
    before, gathered = to_bytes(session.meta_ensemble.manager, {}), session._retraining.state()  # type: ignore[union-attr]

    def stop(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(home.Retraining, "trained", stop)
    with pytest.raises(KeyboardInterrupt):
        session.train_episode(1)
    assert to_bytes(session.meta_ensemble.manager, {}) == before
    assert session._retraining is not None
    assert session._retraining.state().about == gathered.about
    assert session.training_stats["episodes_completed"] == 1


def test_samples_of_other_features_are_refused(tmp_path: Path) -> None:
    one, other = trainer(tmp_path / "one"), trainer(tmp_path / "other", regime_features_dim=21)
    other.train_episode(0)
    mine, theirs = (session._retraining for session in (one, other))
    assert isinstance(mine, SessionRetraining)
    assert isinstance(theirs, SessionRetraining)
    with pytest.raises(WeightsError, match="of other agents or features"):
        mine.restore(theirs.state())
    state = trainer(tmp_path / "third")._retraining.state()  # type: ignore[union-attr]
    mine.restore(state)
    assert mine.state().about == {"fresh": "0", "versions": "0"}


def test_without_a_predictor_no_version_is_counted(tmp_path: Path) -> None:
    session = trainer(tmp_path, performance_prediction_enabled=False)
    assert session.train_episode(0)["predictor"] == "not trained"
    stats = session.training_stats
    assert (stats["samples"], stats["meta_learning_updates"], stats["predictor_swaps"]) == (0, 0, 0)
    assert len(session.meta_learning_manager.training_data["market_features"]) == 300 // 32
