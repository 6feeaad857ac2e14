"""What the guide says of its examples is true of what they do, where running them alone would not show it."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_examples import BLOCKS, imported

import windvane
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.simulation.episodes import Episode, SimulatedEpisodes

pytest.importorskip("torch", reason="a session trains with torch, which is not installed")
pytestmark = pytest.mark.xdist_group("guide")

ROWS = 1200


def made(folder: Path, steps: int = 300, **custom: Any) -> MetaLearningEnsembleTrainer:
    config = windvane.create_meta_learning_config("balanced", {"max_steps": steps}, custom)
    return MetaLearningEnsembleTrainer(config, "claims", folder)


def episode() -> Episode:
    return SimulatedEpisodes(max_steps=ROWS - WARMUP).episode(11)


def ask(
    ensemble: windvane.MetaLearningRiskManagedEnsemble, market: Episode, t: int
) -> tuple[int, dict[str, Any]]:
    rows = market.rows
    return ensemble.get_trading_action(
        rows.x[t], float(rows.price[t]), float(rows.size[t]), ts=int(rows.ts[t])
    )


def run(title: str, names: dict[str, Any]) -> dict[str, Any]:
    exec(compile(imported(BLOCKS[title]), title, "exec"), names)  # noqa: S102
    return names


class TestProductionMonitor:
    """The monitor as it is printed: numbers that are not known are NaN, with which no comparison is true."""

    def alerts(self, trainer: MetaLearningEnsembleTrainer) -> tuple[list[str], dict[str, Any]]:
        told: list[str] = []
        logged: list[dict[str, Any]] = []
        names = run("Production Monitoring", {"send_alert": told.append, "log_metrics": logged.append})
        names["monitor_meta_learning_performance"](trainer)
        return told, logged[0]

    def test_it_raises_no_alarm_before_there_is_anything_to_say(self, tmp_path: Path) -> None:
        trainer = made(tmp_path)
        assert self.alerts(trainer)[0] == []
        market = episode()
        for t in range(WARMUP + 40):
            ask(trainer.meta_ensemble, market, t)
            if t % 100 == 0 or t > WARMUP:
                told, logged = self.alerts(trainer)
                assert "Low Sharpe ratio detected" not in told, t
        assert math.isnan(logged["sharpe_ratio"])
        assert 0.0 <= logged["regime_stability"] <= 1.0

    def test_it_raises_one_where_days_were_lost(self, tmp_path: Path) -> None:
        trainer = made(tmp_path)
        trainer.meta_ensemble.desk.tracker.daily.extend([-0.01, -0.02])
        assert "Low Sharpe ratio detected" in self.alerts(trainer)[0]

    def test_the_monitoring_of_a_training_prints_what_is_not_known(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run("Training Monitoring", {"trainer": made(tmp_path)})
        assert "Regime stability: nan" in capsys.readouterr().out


def test_a_hot_swap_in_mid_trade_keeps_the_account(tmp_path: Path) -> None:
    """Position, cash and what is in flight go on; what is decided from the next row on is another thing."""
    donor = made(tmp_path / "donor")
    donor.train_full_session(4, max_steps=600)
    trainer, plain, market = made(tmp_path / "one"), made(tmp_path / "two"), episode()
    first = next(t for t in range(ROWS) if ask(trainer.meta_ensemble, market, t)[1]["position"] != 0.0) + 20
    for t in range(first - 19, first):
        ask(trainer.meta_ensemble, market, t)
    for t in range(first):
        ask(plain.meta_ensemble, market, t)
    names = run("Hot Model Updates", {"torch": pytest.importorskip("torch")})
    money = {
        name: value
        for name, value in trainer.meta_ensemble.state().items()
        if not name.startswith("learner.")
    }
    fills = trainer.meta_ensemble.fills
    assert names["update_models_hot_swap"](trainer, donor.save_dir / "final_session")
    after = trainer.meta_ensemble.state()
    assert all(after[name].tobytes() == value.tobytes() for name, value in money.items()), (
        "the swap and its probe"
    )
    position, equity, moved, mid = 0.0, [], False, market.rows.price
    lots = money["account.lots"][0] / round(1 / trainer.meta_ensemble.config.lot)
    cash = float(money["account.cash"][0])
    for t in range(first, ROWS):
        _, ours = ask(trainer.meta_ensemble, market, t)
        _, theirs = ask(plain.meta_ensemble, market, t)
        state = trainer.meta_ensemble.state()
        now = state["account.lots"][0] / round(1 / trainer.meta_ensemble.config.lot)
        if t == first:
            before = ours["equity"] - (cash + lots * mid[t])
            assert abs(before) <= 1e-3 * 1e6, "no more than the costs of one trade at this row"
        assert ours["equity"] == pytest.approx(float(state["account.cash"][0]) + now * mid[t], abs=1e-3)
        assert now - lots == pytest.approx(ours["order_qty"], abs=1e-9), "one order a row, filled once"
        lots, position = now, ours["position"]
        equity.append(ours["equity"])
        moved |= ours["wanted"] != theirs["wanted"]
    assert moved, "other weights decide otherwise"
    assert position != 0.0 or trainer.meta_ensemble.fills > fills
    assert np.abs(np.diff(equity)).max() < 0.1 * 1e6


def test_actions_beyond_the_warm_up_trade(tmp_path: Path) -> None:
    """The loop of the guide's production example: it buys and sells, and the fills move the account."""
    trainer = made(tmp_path)
    folder, market = trainer.save_checkpoint("best_models"), episode()
    evaluator = windvane.MetaLearningEvaluator(folder, trainer.config)
    actions = [ask(evaluator.meta_ensemble, market, t)[0] for t in range(ROWS)]
    assert set(actions[:WARMUP]) == {1}
    assert {0, 1, 2} == set(actions[WARMUP:])
    summary = evaluator.meta_ensemble.get_performance_summary()
    assert summary["total_trades"] == sum(action != 1 for action in actions)
    assert summary["total_return"] != 0.0


def test_a_loaded_model_that_is_warmed_up_trades_at_its_first_calls(tmp_path: Path) -> None:
    trainer = made(tmp_path)
    evaluator = windvane.MetaLearningEvaluator(trainer.save_checkpoint("best_models"), trainer.config)
    market = windvane.simulate("standard", 700, 11)
    extractor = evaluator.meta_ensemble.warm_up({"ts": market.ts[:690], "price": market.price[:690]})
    assert extractor is not None
    said = []
    for t in range(690, 700):
        rows = extractor.step(market.ts[t : t + 1], np.zeros(1, np.int64), market.price[t : t + 1])
        said.append(
            evaluator.meta_ensemble.get_trading_action(rows.x[0], market.price[t], ts=int(market.ts[t]))[1]
        )
    assert not any(one["warming_up"] or one["rejected"] for one in said)
    assert any(one["order_qty"] != 0.0 for one in said)


class TestDebugMode:
    """Each of the three switches of the guide's debug mode shows something that is not there without it."""

    def test_every_decision_is_logged(self, tmp_path: Path) -> None:
        """As many lines as rows past the warm-up, however few decisions are remembered."""
        trainer = made(tmp_path, detailed_logging=True, decision_history_size=10)
        for number in range(2):
            trainer.train_episode(number)
        lines = [json.loads(line) for line in (tmp_path / "decisions.jsonl").read_text().splitlines()]
        assert len(lines) == trainer.training_stats["total_steps"] == 600
        assert [(line["episode"], line["seq"]) for line in lines] == [
            (number, WARMUP + t) for number in range(2) for t in range(300)
        ]
        assert {"action", "wanted", "target", "position", "equity", "regime", "weights"} <= set(lines[0])
        assert len(trainer.meta_ensemble.desk.tracker.decisions) == 10
        quiet = made(tmp_path / "quiet")
        quiet.train_episode(0)
        assert not (tmp_path / "quiet" / "decisions.jsonl").exists()

    def test_debugging_tells_what_every_way_to_weigh_thinks(self, tmp_path: Path) -> None:
        trainer, market = made(tmp_path), episode()
        assert "debug" not in ask(trainer.meta_ensemble, market, 0)[1]
        trainer.config.meta_learning_debug = True
        told = ask(trainer.meta_ensemble, market, 1)[1]["debug"]
        assert set(told["member_agent_weights"]) == set(told["member_weights"])
        assert "debug" in trainer.meta_learning_manager.get_regime_info()

    def test_monitoring_measures_every_episode_and_warns_of_memory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alerts: list[str] = []
        monkeypatch.setattr("windvane.infra.training_sessions.trainer.LARGE_MB", 1.0)
        monkeypatch.setattr("windvane.infra.training_sessions.trainer.send_alert", alerts.append)
        made(tmp_path / "quiet").train_episode(0)
        assert alerts == []
        figures = made(tmp_path / "loud", real_time_monitoring=True).train_episode(0)
        assert figures["memory_mb"] > 1.0
        assert "MB of memory in use" in alerts[0]


def test_short_episodes_write_null_for_what_is_not_known(tmp_path: Path) -> None:
    """Ten rows are less than two days: in memory the ratio is NaN, which beats no limit; files hold null."""
    trainer = made(tmp_path, 10)
    figures = trainer.train_episode(0)
    assert not (figures["sharpe_ratio"] > 1.5)
    assert not (figures["sharpe_ratio"] <= 1.5)
    line = json.loads(
        (tmp_path / "episodes.jsonl").read_text(), parse_constant=lambda word: pytest.fail(word)
    )
    assert line["sharpe_ratio"] is None
    evaluator = windvane.MetaLearningEvaluator(trainer.save_checkpoint("c"), trainer.config)
    found = evaluator.evaluate_comprehensive(2, 10)
    assert found["portfolio_metrics"]["mean_sharpe_ratio"] is None
    assert found["portfolio_metrics"]["gain"] is None
    json.loads(
        (evaluator.results / "results.json").read_text(), parse_constant=lambda word: pytest.fail(word)
    )
