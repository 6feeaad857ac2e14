"""The best learner is chosen by paired differences on markets of its own, and what it is worth measured on others."""

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windvane.infra.training_sessions import checkpoints, judging
from windvane.infra.training_sessions.checkpoints import Learned
from windvane.infra.training_sessions.episodes import ensemble, environment, play
from windvane.infra.training_sessions.judging import Choice, Difference, Markets, gains
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base.weights import from_bytes, to_bytes
from windvane.metamodel.learning.learned import load
from windvane.metamodel.learning.members import MEMBERS
from windvane.metamodel.settings.presets import made
from windvane.metamodel.simulation.seeds import CHOOSING, GAINS, SESSIONS
from windvane.metamodel.simulation.trade_simulator import Episode, TradeSimulator

STEPS = 900


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "STEPS", STEPS)


def trainer(folder: Path, **custom: Any) -> MetaLearningEnsembleTrainer:
    config = made("balanced", {"max_steps": 300}, {"evaluation_markets": 4} | custom)
    return MetaLearningEnsembleTrainer(config, "tests", folder)


def believing(known: Learned, member: str) -> Learned:
    """What is known, but with all trust in one way to weigh."""
    tensors, about = from_bytes(known.raw)
    j = MEMBERS.index(member)
    tensors["share"][:] = 1e-6
    tensors["share"][j] = 1.0 - 1e-6 * (len(MEMBERS) - 1)
    tensors["weights"][:] = tensors["w"][j]
    return Learned(to_bytes(tensors, about))


def learners(folder: Path) -> tuple[Learned, Learned]:
    """A learner that believes in equal weights alone, and one that believes in a far better member."""
    known = checkpoints.learned(trainer(folder).meta_ensemble.manager)
    return believing(known, "equal"), believing(known, "pretrained")


def markets(count: int = 6) -> Markets:
    config = made()
    return Markets(config, environment(config), CHOOSING[:count], STEPS)


def test_every_learner_trades_the_same_markets_from_what_it_knew(tmp_path: Path) -> None:
    config = made()
    env = environment(config)
    for known in learners(tmp_path):
        wanted = []
        for seed in CHOOSING[:3]:
            whole = ensemble(config, env)
            load(whole.manager, known.raw)
            wanted.append(play(whole, env, seed, STEPS).sharpe())
        judge = markets(3)
        assert judge.sharpe_ratios(known).tolist() == wanted
        assert judge.sharpe_ratios(known).tolist() == wanted, "nothing stays of a market"


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(1)
    common, ours, theirs = (rng.normal(size=12) * size for size in (5.0, 0.1, 0.1))
    found = Difference.of(common + ours, common + theirs)
    each = [a - b for a, b in zip(common + ours, common + theirs, strict=True)]
    assert found.mean == pytest.approx(statistics.fmean(each))
    assert found.error == pytest.approx(statistics.stdev(each) / 12**0.5)
    low, high = found.interval(12)
    assert (low, high) == pytest.approx(
        (found.mean - 2.20098516 * found.error, found.mean + 2.20098516 * found.error)
    )


def test_a_learner_is_kept_where_it_is_better_beyond_noise_and_only_there(tmp_path: Path) -> None:
    bad, good = learners(tmp_path)
    choice = Choice(markets(), bad, bad)
    start, better = choice.best.sharpe, markets().sharpe_ratios(good)
    told = choice.judge(good)
    assert told["kept"]
    assert choice.best.known == good
    assert told["gain_over_start"] == told["gain_over_best"] == pytest.approx(np.mean(better - start))
    assert told["mean_sharpe_ratio"] == pytest.approx(np.mean(better))
    assert told["standard_error"] == pytest.approx(statistics.stdev(better) / len(better) ** 0.5)
    again = choice.judge(bad)
    assert not again["kept"]
    assert choice.best.known == good
    assert again["gain_over_start"] == 0.0
    assert again["gain_over_best"] == pytest.approx(-told["gain_over_best"])
    assert not choice.judge(good)["kept"], "as good is not better"


@pytest.mark.parametrize(("mean", "kept"), [(1.01, True), (0.99, False), (-2.0, False)])
def test_better_means_by_more_than_the_standard_error(tmp_path: Path, mean: float, kept: bool) -> None:
    bad, good = learners(tmp_path)
    choice = Choice(markets(4), bad, bad)
    found = choice.markets.sharpe_ratios(good)
    spread = np.array([1.0, -1.0, 1.0, -1.0])
    error = float(spread.std(ddof=1)) / 2
    choice.best = judging.Judged(bad, found - mean * error - spread)
    assert choice.judge(good)["kept"] is kept


def test_gains_are_paired_with_the_start(tmp_path: Path) -> None:
    bad, good = learners(tmp_path)
    a, b = (markets(5).sharpe_ratios(known) for known in (bad, good))
    none, gain = gains(markets(5), bad, (bad, good))
    assert (none["mean"], none["low"], none["high"]) == (0.0, 0.0, 0.0)
    assert gain["mean"] == pytest.approx(np.mean(b - a))
    half = 2.77644511 * statistics.stdev(b - a) / 5**0.5
    assert (gain["low"], gain["high"]) == pytest.approx((gain["mean"] - half, gain["mean"] + half))
    assert (gain["markets"], gain["steps"]) == (5, STEPS)


def weights(folder: Path) -> bytes:
    return checkpoints.read(folder).raw


def test_best_models_are_what_the_session_began_with_where_nothing_is_better(tmp_path: Path) -> None:
    """Learning has no effect here, so no candidate differs in what it earns, though every one has learned."""
    one = trainer(tmp_path, meta_learning_enabled=False)
    began = checkpoints.learned(one.meta_ensemble.manager).raw
    stats = one.train_full_session(3, evaluation_interval=1)
    assert [told["kept"] for told in stats["evaluations"]] == [True, False, False, False]
    assert weights(tmp_path / "best_models") == weights(tmp_path / "initial_session") == began
    assert weights(tmp_path / "final_session") != began
    assert stats["best_performance"] == stats["evaluations"][0]["mean_sharpe_ratio"]
    assert stats["training_gain"]["mean"] == stats["best_models_gain"]["mean"] == 0.0


def test_a_better_learner_becomes_best_models_and_a_worse_one_does_not(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    files = []
    for name, known in zip(("bad", "good"), learners(tmp_path), strict=True):
        files.append(tmp_path / name)
        files[-1].write_bytes(known.raw)
    bad, good = files
    one.meta_learning_manager.load_meta_models(bad)
    one.train_full_session(1, max_steps=10)
    assert weights(tmp_path / "initial_session") == bad.read_bytes()
    one.meta_learning_manager.load_meta_models(good)
    stats = one.train_full_session(1, max_steps=10)
    assert [told["episode"] for told in stats["evaluations"]] == [0, 1, 2]
    assert stats["evaluations"][-1]["kept"]
    assert weights(tmp_path / "best_models") == weights(tmp_path / "final_session")
    assert stats["best_performance"] == stats["evaluations"][-1]["mean_sharpe_ratio"]
    assert stats["training_gain"] == stats["best_models_gain"]
    assert stats["training_gain"]["mean"] > 0
    best = weights(tmp_path / "best_models")
    one.meta_learning_manager.load_meta_models(bad)
    stats = one.train_full_session(1, max_steps=10)
    assert not stats["evaluations"][-1]["kept"]
    assert weights(tmp_path / "best_models") == best
    assert weights(tmp_path / "initial_session") == bad.read_bytes()
    assert stats["best_models_gain"]["mean"] > stats["training_gain"]["mean"]


def test_what_is_learned_chosen_and_reported_on_is_apart(tmp_path: Path) -> None:
    used: list[int] = []

    class Listening(TradeSimulator):
        def episode(self, seed: int, max_steps: int | None = None) -> Episode:
            used.append(seed)
            return super().episode(seed, max_steps)

    config = made("balanced", {"max_steps": 100}, {"evaluation_markets": 3})
    config.env_class = Listening
    MetaLearningEnsembleTrainer(config, "tests", tmp_path).train_full_session(2, evaluation_interval=2)
    chosen, reported = list(CHOOSING[:3]), list(GAINS[:3])
    assert used[:8] == chosen + list(SESSIONS[:2]) + chosen
    rest = used[8:]
    assert rest in (2 * reported, 3 * reported), "start, end and best, once nothing is left to choose"


def test_a_session_with_other_settings_is_judged_by_them(tmp_path: Path) -> None:
    one = trainer(tmp_path)
    one.train_full_session(1)
    one.config.max_position = 0.1
    stats = one.train_full_session(1)
    fresh = Markets(one.config, one.env, CHOOSING[:4], STEPS)
    start = fresh.sharpe_ratios(Learned(weights(tmp_path / "initial_session")))
    now = fresh.sharpe_ratios(Learned(weights(tmp_path / "final_session")))
    assert stats["evaluations"][-1]["gain_over_start"] == pytest.approx(float((now - start).mean()))
