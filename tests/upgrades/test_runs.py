"""Runs and checkpoints of a release: gone on with, replayed, loaded; and by whom they were computed."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from cli_harness import windvane
from releases import HOME, archive, close_to, unpacked

from windvane.agents.kernel import this_program
from windvane.infra.files.market_data import load_market
from windvane.infra.runs import backtest, journal
from windvane.infra.training_sessions import checkpoints
from windvane.infra.training_sessions.episodes import ensemble, environment
from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator
from windvane.metamodel.base import weights
from windvane.metamodel.base.arrays import arrays
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning import learned
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import predictor
from windvane.metamodel.settings.presets import made
from windvane.streams.events import Fills, Orders
from windvane.streams.records import fill_lines, order_lines

OLD = f"windvane 0.1.0 (code {(HOME / 'code.txt').read_text().strip()})"
AGENTS = ("vol_trend", "buy_and_hold")
RETRAINED = WeighingConfig(retraining=True, min_diversification_agents=1, features=4)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return unpacked("backtest", tmp_path)


def lines(folder: Path) -> list[bytes]:
    found = [event for _, event in journal.read(folder / "journal")]
    orders = [line for e in found if isinstance(e, Orders) for _, line in order_lines(e, "BTCUSD")]
    return [*orders, *(line for e in found if isinstance(e, Fills) for _, line in fill_lines(e, "BTCUSD"))]


def plan_of(folder: Path) -> backtest.Plan:
    return backtest.Plan(
        book="main", config=backtest.opened_as(folder / "journal"), preset="balanced", batch=40
    )


class TestUnfinishedRun:
    def test_it_goes_on_and_ends_as_the_release_would_have(self, home: Path) -> None:
        result = backtest.run(
            plan_of(home / "stopped"), load_market(home / "market.parquet"), home / "stopped"
        )
        assert (result.resumed, result.rows, result.finished) == (680, 800, True)
        assert str(result.before) == OLD
        close_to(lines(home / "stopped"), lines(home / "finished"), "orders and fills")
        assert len(lines(home / "finished")) > 100

    def test_it_says_which_rows_were_computed_by_whom(self, home: Path) -> None:
        backtest.run(plan_of(home / "stopped"), load_market(home / "market.parquet"), home / "stopped")
        parts = backtest.computed_by(backtest.run_info(home / "stopped" / "journal"))
        assert [(row, str(program)) for row, program in parts] == [(0, OLD), (680, str(this_program()))]

    def test_other_settings_are_refused_as_ever(self, home: Path) -> None:
        config = made("conservative").trading(agents=AGENTS)
        plan = backtest.Plan(book="main", config=config, preset="conservative")
        with pytest.raises(backtest.RunError, match="unfinished run of other data or options"):
            backtest.run(plan, load_market(home / "market.parquet"), home / "stopped")


class TestReplay:
    def test_a_journal_of_the_release_is_replayed_and_says_by_whom(self, home: Path) -> None:
        ran = windvane("replay", home / "finished", "--out", home / "again")
        close_to(lines(home / "again"), lines(home / "finished"), "orders and fills")
        assert f"computed by {OLD}" in ran.err + ran.out
        assert str(this_program()) in ran.err + ran.out
        assert ran.code == ("the replay differs" in ran.err + ran.out)  # other CPUs, other last bits
        story = backtest.run_info(home / "again" / "journal")
        assert [str(p) for _, p in backtest.computed_by(story)] == [str(this_program())]

    def test_one_that_comes_out_otherwise_names_both_versions(self, home: Path) -> None:
        events = list(journal.read(home / "finished" / "journal"))
        with journal.JournalWriter(home / "finished" / "journal") as writer:
            for topic, event in events:
                if isinstance(event, Orders):
                    event.qty[0] *= 2.0
                writer.write(topic, event)
        ran = windvane("replay", home / "finished", "--out", home / "again")
        said = [line for line in (ran.err + ran.out).splitlines() if "the replay differs" in line]
        assert ran.code == 1
        assert len(said) == 1
        assert said[0].endswith(
            f"it was computed by {OLD}, and this is {this_program()}, which computes otherwise"
        )

    def test_of_its_own_it_says_nothing_of_versions(self, home: Path) -> None:
        windvane("replay", home / "finished", "--out", home / "again")
        ran = windvane("replay", home / "again", "--out", home / "third")
        assert ran.code == 0
        assert "computed by" not in ran.err + ran.out


class TestCheckpoint:
    def manager(self) -> MetaLearningEnsembleManager:
        changes = {"agents": AGENTS, "performance_prediction_enabled": False, "min_diversification_agents": 1}
        config = made("balanced", {"max_steps": 200}, changes)
        return ensemble(config, environment(config)).manager

    def raw(self, tmp_path: Path) -> bytes:
        return checkpoints.read(unpacked("session", tmp_path) / "session" / "final_session").raw

    def test_it_weighs_as_the_release_did(self, tmp_path: Path) -> None:
        manager = self.manager()
        learned.load(manager, self.raw(tmp_path))
        rng, rows = np.random.default_rng(7), 100
        given = manager.step(
            rng.normal(size=(rows, 50)),
            100.0 * np.exp(0.003 * rng.normal(size=rows).cumsum()),
            rng.uniform(-1.0, 1.0, size=(rows, 2)),
            np.full(rows, 1e-4),
            np.ones(rows, np.int64),
        )
        wanted = np.load(io.BytesIO(archive("session")["weights.npy"]), allow_pickle=False)
        assert np.ptp(wanted) > 0.01
        np.testing.assert_allclose(given, wanted, rtol=1e-9, atol=1e-12)

    def test_it_is_evaluated_with_the_settings_that_it_was_trained_with(self, tmp_path: Path) -> None:
        folder = unpacked("session", tmp_path) / "session" / "final_session"
        evaluator = MetaLearningEvaluator(folder)
        assert evaluator.config.agents == AGENTS
        assert evaluator.evaluate_comprehensive(1, 64, False)["portfolio_metrics"]["episodes"] == 1

    def test_a_checkpoint_says_which_program_wrote_it(self, tmp_path: Path) -> None:
        checkpoints.write(tmp_path, self.manager(), {})
        assert checkpoints.read(tmp_path).story["computed_by"] == this_program()._asdict()
        story = {**checkpoints.read(tmp_path).story, "format": 2, "computed_by": {"version": "0.9.0"}}
        (tmp_path / checkpoints.STORY).write_text(json.dumps(story))
        with pytest.raises(
            WeightsError, match=r"is of format 2, written by windvane 0\.9\.0, .*: run windvane 0\.9\.0"
        ):
            checkpoints.read(tmp_path)

    def test_what_was_scratch_is_dropped_and_the_rest_taken(self, tmp_path: Path) -> None:
        manager, raw = self.manager(), self.raw(tmp_path)
        found = weights.from_bytes(raw).tensors
        learned.load(manager, raw)
        kept = weights.from_bytes(learned.to_bytes(manager, {})).tensors
        assert found.keys() - kept.keys() == learned.SCRATCH_OF_V1
        for name, value in kept.items():
            assert value.tobytes() == found[name].tobytes(), name

    def test_one_of_a_newer_version_is_refused(self, tmp_path: Path) -> None:
        tensors, about = weights.from_bytes(learned.to_bytes(self.manager(), {}))
        newer = weights.to_bytes(tensors, about | {"version": "7", "writer": "0.9.0"})
        wanted = (
            r"^what a learner knows is of version 7, written by windvane 0\.9\.0, .*: run windvane 0\.9\.0 or"
        )
        with pytest.raises(WeightsError, match=wanted):
            learned.load(self.manager(), newer)
        with pytest.raises(WeightsError, match="is of version 0"):
            learned.load(self.manager(), weights.to_bytes(tensors, about | {"version": "-3"}))

    def test_scratch_is_written_before_it_is_read(self) -> None:
        """Whatever lies in it between two rows, the next ones come out the same: so it needs no storing."""
        clean, spoilt = (MetaLearningEnsembleManager(AGENTS, RETRAINED) for _ in range(2))
        rng, rows = np.random.default_rng(3), 90
        layers = {
            n: 0.05 * rng.normal(size=shape) for n, shape in predictor.shapes(RETRAINED.features, 2).items()
        }
        x, a = rng.normal(size=(rows, 50)), rng.uniform(-1.0, 1.0, size=(rows, 2))
        price, ones = 100.0 * np.exp(0.003 * rng.normal(size=rows).cumsum()), np.ones(rows, np.int64)
        for manager in (clean, spoilt):
            manager.swap_predictor(weights.to_bytes(layers, {}))
        for t in range(rows):
            for value in arrays(spoilt.learner.scratch).values():
                value[...] = np.nan
            row = slice(t, t + 1)
            given = [m.step(x[row], price[row], a[row], np.full(1, 1e-4), ones[row]) for m in (clean, spoilt)]
            assert given[0].tobytes() == given[1].tobytes(), t
