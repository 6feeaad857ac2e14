"""The files of a run, from fabricated events."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from outputs_events import ACCOUNTS, AGENTS, CONFIG, DAY, FACTS, MEMBERS, orders_of, rounds, run

from windvane.infra.report import blocks as blocks_module
from windvane.infra.report import write_outputs
from windvane.metamodel.trading.risk import GATES
from windvane.streams import events as ev

FILES = {
    "decisions.parquet",
    "orders.jsonl",
    "fills.jsonl",
    "dead_letters.jsonl",
    "metrics.json",
    "report.html",
}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def strict(path: Path) -> dict[str, Any]:
    """JSON without NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in {path.name}")

    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    return found


@pytest.fixture(scope="module")
def made() -> ev.Decisions:
    return rounds(3_000, 200)


@pytest.fixture(scope="module")
def out(made: ev.Decisions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("run")
    write_outputs(run(made), folder, FACTS)
    return folder


class TestMetrics:
    def test_of_a_single_day_no_agent_is_the_best(self, tmp_path: Path) -> None:
        """No ratio is known then, and the first agent is no better than the others."""
        write_outputs(run(rounds(600, 20, days=0.9)), tmp_path, FACTS)
        assert set(strict(tmp_path / "metrics.json")["series"]) == set(ACCOUNTS)
        assert (
            "Best agent" not in (tmp_path / "report.html").read_text(encoding="utf-8").partition("<script")[0]
        )

    def test_metrics_add_up(self, out: Path, made: ev.Decisions) -> None:
        found = strict(out / "metrics.json")
        good = int((made.flags & ev.REPEATED == 0).sum())
        assert found["ticks"] == good
        assert found["ticks_per_second"] == pytest.approx(good / 0.5)
        assert found["rejected_by_reason"] == {"duplicate": 2, "price is not a positive number": 1}
        assert found["rejected"] == 3
        assert found["latency_us"] == {"p50": 10.0, "p99": 40.0}
        assert "SIMULATED" in found["simulated_notice"]
        assert found["config"]["costs"]["delay"] == 1
        assert found["data"]["first"].endswith("Z")
        assert set(found["series"]) == {*ACCOUNTS, "best_agent_in_hindsight"}
        one = found["series"]["ensemble"]
        assert one["total_return"] == pytest.approx(made.equity[-1] / CONFIG.capital - 1)
        first, last = ((int(made.ts[i]) - 1) // DAY for i in (200, -1))
        assert one["days"] == found["gain"]["days"] == last - first + 1
        assert one["turnover_per_day"] == pytest.approx(30 / one["days"])
        assert (one["exposure"], one["trades"], one["fees"], one["halts"]) == (0.5, 3_000, 3_000.0, 1)
        assert sum(year["return"] for year in one["per_year"].values()) == pytest.approx(one["total_return"])
        agents = {name: found["series"][f"agent:{name}"] for name in AGENTS}
        best = max(agents, key=lambda name: agents[name]["sharpe"])
        assert found["series"]["best_agent_in_hindsight"] == {"name": best, **agents[best]}
        difference = one["sharpe"] - found["series"]["equal_weights"]["sharpe"]
        assert found["gain"]["sharpe"] == pytest.approx(difference)
        assert found["gain"]["ci"][0] < found["gain"]["sharpe"] < found["gain"]["ci"][1]
        assert 0 <= found["dsr"] <= found["psr"] <= 1
        assert found["trials"] == 5
        assert found["verdicts"][GATES[0]] == int((made.verdicts == 1).sum())
        assert found["risk"]["rows_halted"] == int((made.state == 2).sum())

    @pytest.mark.parametrize("cut", [1, 7, 999, 100_000])
    def test_metrics_are_the_same_for_any_cut(
        self, cut: int, out: Path, made: ev.Decisions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_outputs(run(made, cut), tmp_path, FACTS)
        for name in FILES:
            assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name
        # Smaller blocks change where sums for drawings are cut, never what is counted.
        monkeypatch.setattr(blocks_module.Blocks.__init__, "__defaults__", (64,))
        write_outputs(run(made, cut), tmp_path, FACTS)
        assert (tmp_path / "metrics.json").read_bytes() == (out / "metrics.json").read_bytes()
        assert pq.ParquetFile(tmp_path / "decisions.parquet").num_row_groups == 47


class TestReport:
    def test_the_report_opens_alone_and_says_first_what_it_is_about(self, out: Path) -> None:
        page = (out / "report.html").read_text(encoding="utf-8")
        assert re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", page) is None
        assert page.count("Plotly.react(") == 1
        assert 1_000_000 < len(page) < 8_000_000
        body = page[page.index("<body>") :]
        assert body.startswith(
            '<body><div class="origin simulated"><p><b>SIMULATED DATA</b> · ticks &lt;b&gt;&amp;.csv'
        )
        assert "fee 1 bp, slippage 0 bp" in body[:500]
        assert "orders fill 1 row later" in body[:500]
        assert "<script>alert" not in page
        assert "<i>drill" not in page
        for name in ("equity", "drawdown", "weights", "members", "position", "costs"):
            assert f"class=chart id={name} " in page

    def test_figures_of_the_report_are_thinned_out(self, out: Path) -> None:
        page = (out / "report.html").read_text(encoding="utf-8")
        text = re.search(r"<script type=application/json id=figures>(.*?)</script>", page, re.DOTALL)
        assert text is not None
        figures = json.loads(text[1])
        assert len(figures["equity"]["data"]) == len(ACCOUNTS)
        assert len(text[1]) < 500_000

    def test_real_data_say_so(self, tmp_path: Path) -> None:
        found = write_outputs(run(rounds(50, 5)), tmp_path, replace(FACTS, kind="real"))
        assert found["simulated_notice"] is None
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "<b>REAL DATA</b>" in page
        assert "SIMULATED" not in page[page.index("<body>") : page.index("id=figures")]


class TestRunFiles:
    def test_every_file_is_there(self, out: Path) -> None:
        assert {path.name for path in out.iterdir()} == FILES

    def test_the_table_holds_every_round(self, out: Path, made: ev.Decisions) -> None:
        table = pq.read_table(out / "decisions.parquet")
        assert table.column_names == [
            *("seq", "ts", "flags", "mid", "wanted", "target", "position", "equity"),
            *(f"weight_{a}" for a in AGENTS),
            *(f"member_{m}" for m in MEMBERS),
            *("learner_version", "verdict"),
        ]
        for name in ("seq", "ts", "flags", "mid", "wanted", "target", "position", "equity"):
            np.testing.assert_array_equal(table[name].to_numpy(), getattr(made, name))
        np.testing.assert_array_equal(table["weight_reversion"].to_numpy(), made.weights[:, 1])
        np.testing.assert_array_equal(table["member_prod"].to_numpy(), made.members[:, 1])
        names = {0: "", 1: GATES[0], 1 << 4 | 1 << 15: f"{GATES[4]}+{GATES[15]}"}
        assert table["verdict"].to_pylist() == [names[v] for v in made.verdicts.tolist()]

    def test_orders_fills_and_dead_letters_as_lines(self, out: Path, made: ev.Decisions) -> None:
        orders, fills = orders_of(made)
        written = lines(out / "orders.jsonl")
        assert [o["seq"] for o in written] == orders.seq.tolist()
        assert list(written[1]) == [
            *("id", "book", "seq", "ts", "time", "symbol", "side", "qty", "price", "reduce_only"),
            *("valid_until", "target_after", "reason"),
        ]
        assert (written[1]["id"], written[1]["side"], written[1]["qty"]) == ("b.10.order", "sell", 0.25)
        filled = lines(out / "fills.jsonl")
        assert len(filled) == np.count_nonzero(fills.qty)
        assert {f["order_id"] for f in filled} <= {o["id"] for o in written}
        (dead,) = lines(out / "dead_letters.jsonl")
        assert dead == {
            "book": "b",
            "source": "row 3",
            "reason": "price is not a positive number",
            "payload": "3,\x00é",
        }

    @pytest.mark.parametrize(("rows", "warm"), [(0, 0), (1, 1), (2, 2), (2, 1), (2, 0), (1, 0)])
    def test_a_tiny_book_is_written_too(self, rows: int, warm: int, tmp_path: Path) -> None:
        tiny = rounds(rows, warm, days=0.1) if rows else None
        found = write_outputs(run(tiny), tmp_path, FACTS)
        assert {path.name for path in tmp_path.iterdir()} == FILES
        assert strict(tmp_path / "metrics.json") == found
        assert pq.read_table(tmp_path / "decisions.parquet").num_rows == rows
        assert found["series"]["ensemble"]["sharpe"] is None
        assert found["gain"]["ci"] == [None, None]
        assert (found["psr"], found["dsr"]) == (None, None)
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert ("class=chart" in page) == (rows - warm >= 2)
        assert ("nothing to draw" in page) == (rows == warm)
        assert ("takes two to draw" in page) == (rows - warm == 1)

    def test_events_of_two_books_are_refused(self, tmp_path: Path) -> None:
        events = [ev.BookClosed(book="a", last=-1), ev.BookClosed(book="b", last=-1)]
        with pytest.raises(ValueError, match="one book"):
            write_outputs(events, tmp_path, FACTS)

    def test_names_of_members_must_fit(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="2 members, 1 names"):
            write_outputs(run(rounds(50, 5)), tmp_path, replace(FACTS, members=("equal",)))
