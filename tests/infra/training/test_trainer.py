"""The trainer's process, and runs that are retrained: the same bytes every time, and no torch where ticks flow."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cli_harness import refusal, windvane

from simulated_book import config, opening, ticks
from windvane.infra.runs import journal
from windvane.infra.runs.compare import differences
from windvane.infra.runs.configuration import create_meta_learning_config
from windvane.infra.training import trainer as trainers
from windvane.infra.training.trainer import ChildTrainer
from windvane.metamodel.base import weights
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.learning.members import predictor
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import LearnerUpdate, TrainRequest
from windvane.streams.stage import StateError

ROWS = 5_200
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")


def request(
    version: int = 1, *, known: bool = False, signal_size: float = 0.2, epochs: int = 40
) -> TrainRequest:
    """Samples of two agents, whose scores follow the first regressor of their own."""
    rng = np.random.default_rng(version)
    common = rng.standard_normal((400, 57)).astype(np.float32)
    own = rng.standard_normal((400, 2, 5)).astype(np.float32)
    y = (signal_size * own[:, :, 0] + 0.05 * rng.standard_normal((400, 2))).astype(np.float32)
    tensors = {"common": common, "own": own, "y": y}
    if known:
        shapes = predictor.shapes(50, 2)
        tensors |= {n: (0.1 * rng.standard_normal(s)).astype(np.float16) for n, s in shapes.items()}
    about = {"version": str(version), "seed": "3", "fresh": "50", "batch": "32", "epochs": str(epochs)}
    return TrainRequest(book="book", version=version, raw=weights.to_bytes(tensors, about))


@pytest.fixture
def trainer():  # type: ignore[no-untyped-def]
    made = ChildTrainer()
    yield made
    made.close()


def about_of(version: int) -> dict[str, str]:
    return {"version": str(version), "seed": "3", "fresh": "50", "batch": "32", "epochs": "40"}


class TestChildTrainer:
    @needs_torch
    def test_the_same_request_gives_the_same_bytes_in_another_process(self, trainer: ChildTrainer) -> None:
        other = ChildTrainer()
        try:
            for asked in (request(), request(2, known=True), request(3)):
                assert trainer(asked).result() == other(asked).result()
        finally:
            other.close()
        assert trainer(request()).result().raw == trainer(request()).result().raw  # nothing is remembered
        assert trainer(request()).result().raw != trainer(request(2)).result().raw

    @needs_torch
    def test_it_learns_what_can_be_learned(self, trainer: ChildTrainer) -> None:
        tensors, about = weights.from_bytes(trainer(request(epochs=1000)).result().raw)
        assert {n: t.shape for n, t in tensors.items()} == predictor.shapes(50, 2)
        assert float(about["score_new"]) < 0.5 * float(about["score_old"])
        again = trainer(
            TrainRequest(
                book="book",
                version=2,
                raw=weights.to_bytes(weights.from_bytes(request().raw).tensors | tensors, about_of(2)),
            )
        ).result()
        _, later = weights.from_bytes(again.raw)
        assert float(later["score_old"]) == pytest.approx(float(about["score_new"]), rel=1e-6)  # warm start

    @needs_torch
    def test_a_process_that_is_killed_is_started_again(self, trainer: ChildTrainer) -> None:
        wanted = trainer(request()).result()
        child = trainer._child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert trainer(request()).result() == wanted

    @needs_torch
    def test_a_request_that_always_ends_the_process_is_one_sentence(self, trainer: ChildTrainer) -> None:
        with pytest.raises(StateError, match=r"ended 2 times over version 4 of book b: .*--retraining off"):
            trainer(TrainRequest(book="b", version=4, raw=b"garbage")).result()

    @needs_torch
    def test_no_tick_waits_for_a_training_that_is_not_due(self, trainer: ChildTrainer) -> None:
        """The rows before the barrier are decided while the result is not there."""
        seen: list[int] = []

        class Slow:
            """Says how far decisions had come when its result was waited for."""

            def __init__(self, asked: TrainRequest) -> None:
                self._future = trainer(asked)

            def done(self) -> bool:
                return self._future.done()

            def result(self):  # type: ignore[no-untyped-def]
                seen.append(last[0])
                return self._future.result()

        last = [-1]

        def listen(topic, event):  # type: ignore[no-untyped-def]
            if type(event).__name__ == "Decisions":
                last[0] = event.last

        runner = EmbeddedRunner(listen, trainer=Slow)
        weighing = WeighingConfig(retraining=True, meta_training_frequency=25, learner_lag=40)
        runner.feed([opening(config(weighing=weighing))])
        runner.feed([ticks(2_600)])
        assert seen == [838, 1638, 2438, 2599][: len(seen)]  # 799 + 40 - 1, and so on
        assert len(seen) == 3


class TestRetrainedRun:
    @needs_torch
    def test_a_run_is_the_same_for_any_batch_killed_or_not_and_replayed(self, tmp_path: Path) -> None:
        market = tmp_path / "market.parquet"
        windvane("simulate", "--ticks", ROWS, "--seed", 5, "--out", market)
        words = ("backtest", market, "--retraining", "on")
        assert windvane(*words, "--out", tmp_path / "a").code == 0
        assert windvane(*words, "--out", tmp_path / "b", "--batch", 333, "--wire").code == 0
        assert differences(tmp_path / "a" / "journal", tmp_path / "b" / "journal") is None
        learned = [updates(tmp_path / name) for name in "ab"]
        assert learned[0] == learned[1]
        assert [u.version for u in learned[0]] == [1, 2, 3]
        assert any(u.outcome == "swapped" for u in learned[0])
        assert windvane("replay", tmp_path / "a", "--out", tmp_path / "c").code == 0
        assert updates(tmp_path / "c") == learned[0]
        metrics = json.loads((tmp_path / "a" / "metrics.json").read_bytes())
        assert metrics["learner"]["versions"] == 3
        trainers.has_torch.cache_clear()
        off = windvane("backtest", market, "--out", tmp_path / "off")
        assert off.code == 0
        assert differences(tmp_path / "a" / "journal", tmp_path / "off" / "journal") is not None


def updates(folder: Path) -> list[LearnerUpdate]:
    return [e for _, e in journal.read(folder / "journal") if isinstance(e, LearnerUpdate)]


class TestWithoutTorch:
    def test_without_torch_one_sentence_names_both_ways(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(trainers, "find_spec", lambda name: None)
        trainers.has_torch.cache_clear()
        try:
            windvane("simulate", "--ticks", 700, "--out", tmp_path / "m.parquet")
            ran = windvane(
                "backtest", tmp_path / "m.parquet", "--out", tmp_path / "out", "--retraining", "on"
            )
            assert refusal(ran) == (
                "retraining needs torch, which is not installed: install windvane[train], or give --retraining off"
            )
            assert windvane("backtest", tmp_path / "m.parquet", "--out", tmp_path / "out").code == 0
        finally:
            trainers.has_torch.cache_clear()

    def test_the_presets_ask_for_retraining(self) -> None:
        for name in ("conservative", "balanced", "aggressive", "research"):
            assert create_meta_learning_config(name).weighing().retraining
        assert not WeighingConfig().retraining

    @needs_torch
    def test_torch_is_imported_by_the_child_alone(self) -> None:
        source = """
import sys
from importlib.util import find_spec
from retrained_book import events
from windvane.infra.training.trainer import ChildTrainer
from windvane.streams.embedded import EmbeddedRunner
trainer = ChildTrainer()
seen = []
runner = EmbeddedRunner(lambda topic, event: seen.append(event), trainer=trainer)
runner.feed(events(1500))
trainer.close()
updates = [e for e in seen if type(e).__name__ == "LearnerUpdate"]
assert any(u.outcome == "swapped" for u in updates), updates
assert not [name for name in sys.modules if name.split(".")[0] == "torch"]
"""
        here = Path(__file__).resolve().parents[2]
        path = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
        ran = subprocess.run(
            [sys.executable, "-c", source],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr

    @needs_torch
    def test_as_recorded_needs_no_torch(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        market = tmp_path / "market.parquet"
        windvane("simulate", "--ticks", 3_600, "--seed", 6, "--out", market)
        assert windvane("backtest", market, "--retraining", "on", "--out", tmp_path / "a").code == 0
        monkeypatch.setattr(trainers, "find_spec", lambda name: None)
        trainers.has_torch.cache_clear()
        try:
            assert windvane("replay", tmp_path / "a", "--as-recorded", "--out", tmp_path / "b").code == 0
            assert "install windvane[train]" in refusal(
                windvane("replay", tmp_path / "a", "--out", tmp_path / "c")
            )
        finally:
            trainers.has_torch.cache_clear()
