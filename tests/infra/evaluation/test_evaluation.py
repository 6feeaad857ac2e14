"""`windvane evaluate`: accounts and baselines against cases worked out plainly, and the table as a user gets it."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cli_harness import refusal, windvane

from windvane.agents.base import Floats
from windvane.infra.evaluation import baselines
from windvane.infra.evaluation.books import books
from windvane.infra.evaluation.calibration import earnings
from windvane.infra.evaluation.literal import literal
from windvane.infra.evaluation.methods import mixture, names, targets, weighed
from windvane.infra.evaluation.retrained import versions
from windvane.infra.evaluation.rows import WARM, Rows, simulated
from windvane.infra.evaluation.table import Figures, figures, table
from windvane.infra.training.trainer import trainer_for
from windvane.metamodel.base.config import Costs, TradingConfig, WeighingConfig

KEYS = {"method", "sharpe", "gain", "se", "p", "drawdown_ratio", "days_won", "regret", "oracle_gap"}
TICKS = 400


@pytest.fixture(scope="module")
def rows() -> Rows:
    return simulated("standard", 2023, TICKS, 0)


class TestAccounts:
    @pytest.mark.parametrize("delay", [0, 2])
    def test_accounts_earn_what_positions_earn(self, rows: Rows, delay: int) -> None:
        """Sums of position times return, less costs; simple and log returns differ by half their square."""
        rows = rows._replace(costs=Costs(fee_bp=1.0, delay=delay))
        made = books(rows, rows.target)
        late = np.concatenate([np.zeros((delay, len(rows.agents))), rows.target[: len(rows.target) - delay]])
        r = np.diff(np.log(rows.mid), prepend=np.log(rows.mid[0]))
        g = earnings(late, r, rows.cost)[rows.first :]
        np.testing.assert_allclose(made.returns.sum(axis=0), g.sum(axis=0), atol=0.02)
        assert (
            made.returns.shape == (5 if rows.ts[rows.first] % 86_400_000_000_000 else 4, len(rows.agents))
            or len(made.returns) > 3
        )
        assert (made.drawdown > 0.0).all()

    def test_an_account_by_hand(self) -> None:
        """Buy one unit of capital at 100, price goes to 110 and to 99; sold at the quotes."""
        mid = np.array([100.0, 110.0, 99.0, 99.0])
        ts = 86_400_000_000_000 * np.array([1, 2, 3, 4])
        empty = np.zeros((4, 1))
        made = books(
            Rows(ts, empty, empty, mid, mid - 1.0, mid + 1.0, empty, np.ones(4, np.int64), None, ("a",),
                 Costs(fee_bp=0.0, delay=0), 0),
            np.array([[1.0], [1.0], [0.0], [0.0]]),
        )  # fmt: skip
        lots = 1.0 / 100.0
        wanted = [-lots * 1.0, lots * 10.0 - (lots - 1.0 / 110.0), 0.0, 0.0]
        wanted[2] = -11.0 / 110.0 - 1.0 / 110.0
        np.testing.assert_allclose(made.returns[:, 0], wanted, atol=1e-6)

    def test_hedge_against_its_definition(self, rows: Rows) -> None:
        gn = np.random.default_rng(0).choice([-4.0, 4.0], (500, 3))
        gn[:, 1] += 0.5
        w = baselines.hedge(gn)
        rate, plain = np.sqrt(8.0 * np.log(3) / 500) / 8.0, np.ones(3)
        for t in range(500):
            plain = plain * np.exp(rate * gn[t])
            np.testing.assert_allclose(w[t], plain / plain.sum(), rtol=1e-9)
        got = (np.concatenate([np.full((1, 3), 1 / 3), w[:-1]]) * gn).sum()
        assert gn.sum(axis=0).max() - got <= 8.0 * np.sqrt(500 * np.log(3) / 2)


class TestBaselines:
    @pytest.mark.parametrize("weigh", [baselines.shared, baselines.ewma_sharpe])
    def test_baselines_find_a_good_agent_and_do_not_look_ahead(self, weigh: object) -> None:
        assert callable(weigh)
        gn = np.random.default_rng(1).standard_normal((4000, 4))
        gn[:, 2] += 0.5
        w: Floats = weigh(gn)
        np.testing.assert_allclose(w.sum(axis=1), 1.0, atol=1e-12)
        assert w[-1].argmax() == 2
        assert w[-1, 2] > 0.5
        gn[2000:] = 0.0
        assert weigh(gn)[:2000].tobytes() == w[:2000].tobytes()

    def test_where_no_agent_earns_ewma_sharpe_is_equal(self) -> None:
        np.testing.assert_array_equal(baselines.ewma_sharpe(np.full((9, 4), -1.0)), 0.25)


class TestLiteral:
    def test_the_literal_recipe_is_causal_and_capped(self, rows: Rows) -> None:
        w = literal(rows)
        np.testing.assert_allclose(w.sum(axis=1), 1.0, atol=1e-12)
        other = rows._replace(mid=np.concatenate([rows.mid[:-50], rows.mid[-50:] * 2.0]))
        assert literal(other)[:-50].tobytes() == w[:-50].tobytes()
        assert literal(rows).tobytes() == w.tobytes()
        assert literal(rows, seed=1).tobytes() != w.tobytes()


def netted(w: Floats, a: Floats) -> Floats:
    """What is followed: no nearer to the last target than .15 standard deviations of the agents' from the mean."""
    out, last = [], 0.0
    for weights, wants in zip(w, a, strict=True):
        mass = weights.sum()
        mean = np.average(wants, weights=weights)
        width = 0.15 * mass * np.sqrt(np.average((wants - mean) ** 2, weights=weights))
        last = float(np.clip(last, mass * mean - width, mass * mean + width))
        out.append(last)
    return np.array(out)


class TestMethods:
    def test_every_method_gives_targets_and_ours_is_the_learner_that_ships(self, rows: Rows) -> None:
        found = dict(targets(rows))
        assert {*found, "best agent in hindsight"} == set(names(True))
        for target in found.values():
            assert target.shape == rows.mid.shape
            assert np.abs(target).max() <= 1.0 + 1e-12
        w = mixture(rows, np.array(WeighingConfig().prior))
        np.testing.assert_allclose(found["ours"], netted(w, rows.target), atol=1e-12)
        np.testing.assert_allclose(found["ours without the band"], (w * rows.target).sum(axis=1), atol=1e-12)
        even = np.full_like(rows.target, 1.0 / len(rows.agents))
        np.testing.assert_allclose(found["equal weights + band"], netted(even, rows.target), atol=1e-12)

    def test_options_and_presets_are_what_they_set(self, rows: Rows) -> None:
        found = dict(targets(rows))
        r = np.diff(np.log(rows.mid))
        s2 = np.zeros(len(rows.mid))
        for t in range(1, len(s2)):
            before = max(s2[t - 1], 1e-12)
            s2[t] = s2[t - 1] + max(2 / 129, 1 / t) * (
                min(r[t - 1] ** 2, 36 * before if t > 1 else 9e9) - s2[t - 1]
            )
        shrunk = np.minimum(1.0, 0.4 / np.sqrt(np.maximum(s2, 1e-12) * 96 * 365))
        np.testing.assert_allclose(
            found["ours + volatility target"][1:], (found["ours"] * shrunk)[1:], rtol=1e-9
        )
        assert 0.1 < (shrunk < 1.0).mean() < 1.0
        for preset in ("balanced", "research"):
            assert found[f"preset {preset}"].tobytes() == found["ours"].tobytes()
        conservative = WeighingConfig(
            max_agent_weight=0.4, min_diversification_agents=4, weight_temperature=1.0
        )
        w = weighed(rows, conservative)
        np.testing.assert_allclose(
            found["preset conservative"][1:], (netted(w, rows.target) * shrunk)[1:], rtol=1e-9, atol=1e-12
        )
        w = weighed(rows, WeighingConfig(cash_expert=True))
        np.testing.assert_allclose(found["ours + cash"], netted(w, rows.target), atol=1e-12)
        assert w.sum(axis=1).max() < 1.0

    @pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
    def test_the_predictor_is_trained_on_the_past_alone_and_used_from_its_row_on(self) -> None:
        rows = simulated("standard", 2023, 1000, 0)
        weighing = WeighingConfig(retraining=True, meta_training_frequency=10)
        changed = rows._replace(mid=np.concatenate([rows.mid[:-200], rows.mid[-200:] * 1.5]))
        with trainer_for(TradingConfig(agents=rows.agents, weighing=weighing)) as trainer:
            assert trainer is not None
            told: list[int] = []
            swaps = versions(rows, weighing, trainer, told.append)
            other = versions(changed, weighing, trainer)
        assert told == list(range(1, len(rows.mid) // 320 + 1))
        assert swaps
        early = [swap for swap in swaps if swap[0] <= len(rows.mid) - 200]
        assert early == [swap for swap in other if swap[0] <= len(rows.mid) - 200]
        alone = np.eye(6)[5]
        w = mixture(rows, alone, swaps)
        first = swaps[0][0]
        np.testing.assert_allclose(w[:first], 1.0 / len(rows.agents))
        assert np.ptp(w[first + 8 :], axis=1).max() > 0.01

    def test_the_oracle_is_best_and_equal_weights_gain_nothing(self, rows: Rows) -> None:
        found = {
            row["method"]: row
            for row in table([figures(simulated("standard", s, 20_000, 0)) for s in (7, 8)])
        }
        assert found["oracle"]["sharpe"] == max(row["sharpe"] for row in found.values())
        assert found["oracle"]["way"] == pytest.approx(1.0)
        assert found["equal weights"]["gain"] == 0.0
        assert found["equal weights"]["p"] is None
        assert found["ours"]["gain"] > 1.0
        assert found["best agent in hindsight"]["regret"] == 0.0


class TestTable:
    def test_a_table_by_hand(self) -> None:
        k = len(names(False))
        one = [
            names(False),
            np.arange(k) + 1.0,
            np.full(k, 0.5),
            np.full(k, 0.4),
            np.ones(k),
            np.ones(k),
            *[np.full(k, np.nan)] * 3,
        ]
        two = [names(False), np.arange(k) * 3.0, *one[2:]]
        found = {row["method"]: row for row in table([Figures(*one), Figures(*two)])}["hedge"]
        assert found["sharpe"] == pytest.approx(4.5)
        assert found["gain"] == pytest.approx(4.0)
        assert found["worst"] == pytest.approx(2.0)
        assert found["se"] == pytest.approx(2.0)  # of 2 and 6
        assert found["oracle_gap"] is None
        assert found["drawdown_ratio"] == 1.0


class TestCommand:
    def test_evaluate_writes_what_it_says(self, tmp_path: Path) -> None:
        ran = windvane(
            "evaluate",
            "--market",
            "null",
            "--seeds",
            "2020-2021",
            "--ticks",
            TICKS,
            "--jobs",
            1,
            "--retraining",
            "off",
            "--out",
            tmp_path,
        )
        assert ran.code == 0, ran.err
        made = json.loads((tmp_path / "table.json").read_text())
        assert [row["method"] for row in made] == list(names(True))
        assert all(set(row) >= KEYS for row in made)
        assert all(row["data"].startswith("SIMULATED market null, 2 seeds") for row in made)
        assert "SIMULATED market null" in (tmp_path / "table.md").read_text()
        assert "SIMULATED market null" in (tmp_path / "table.html").read_text()
        assert ran.out.strip() == (tmp_path / "table.md").read_text().strip()

    def test_evaluate_of_a_file_has_intervals_and_no_oracle(self, tmp_path: Path) -> None:
        file = tmp_path / "m.parquet"
        assert windvane("simulate", "--ticks", WARM, "--seed", "3", "--out", file).code == 0
        ran = windvane("evaluate", "--file", file, "--retraining", "off", "--out", tmp_path)
        assert ran.code == 0, ran.err
        found = {row["method"]: row for row in json.loads((tmp_path / "table.json").read_text())}
        assert found["ours"]["low"] < found["ours"]["gain"] < found["ours"]["high"]

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            ((), "give one of --market"),
            (("--market", "bull"), "unknown market 'bull'"),
            (("--market", "null", "--seeds", "9-3"), "--seeds is '9-3'"),
            (("--market", "null", "--seeds", "nine"), "--seeds is 'nine'"),
            (("--market", "null", "--seeds", "9"), "two or more"),
            (("--market", "null", "--ticks", "5"), "--ticks is 5"),
            (("--market", "null", "--jobs", "0"), "--jobs is 0"),
            (("--market", "null", "--retraining", "yes"), "--retraining is 'yes'"),
            (("--market", "null", "--delay", "-1"), "delay is -1"),
        ],
    )
    def test_evaluate_refuses_in_one_sentence(
        self, tmp_path: Path, words: tuple[str, ...], sentence: str
    ) -> None:
        assert sentence in refusal(windvane("evaluate", *words, "--out", tmp_path / "x"))
