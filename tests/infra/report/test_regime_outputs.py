"""What the files of a run say of regimes: posteriors, the label shown, and scores where the truth is known."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from outputs_events import FACTS, rounds, run

from windvane.agents.base import Floats, Ints
from windvane.infra.report import blocks as blocks_module
from windvane.infra.report import write_outputs
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.regimes.classifier import shown_labels
from windvane.metamodel.regimes.scores import RegimeScores
from windvane.streams import events as ev

ROWS, WARM = 3_000, 200


def told(rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Posteriors that know something, and the truth, unknown in a few rows."""
    truth = np.repeat(rng.integers(0, 7, ROWS // 50), 50)
    posterior = rng.dirichlet(np.full(7, 0.3), ROWS)
    posterior[np.arange(ROWS), truth] += 0.5
    posterior /= posterior.sum(axis=1, keepdims=True)
    truth[::31] = -1
    return posterior, truth


def events(posterior: Floats, truth: Ints | None, cut: int = 256) -> Iterator[ev.Event]:
    """A run with regimes; ticks come some batches ahead of the decisions on them."""
    made = msgspec.structs.replace(rounds(ROWS, WARM), regime=posterior)
    for first in range(0, ROWS, 700):
        at = slice(first, first + 700)
        yield ev.Ticks(
            book="b",
            seq=made.seq[at],
            ts=made.ts[at],
            flags=made.flags[at],
            price=made.mid[at],
            regime=None if truth is None else truth[at],
        )
    yield from run(made, cut)


@pytest.fixture(scope="module")
def known() -> tuple[Floats, Ints]:
    return told(np.random.default_rng(3))


def written(events: Iterator[ev.Event], out: Path) -> dict[str, Any]:
    write_outputs(events, out, FACTS)
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return found


class TestRegimeTally:
    def test_the_table_has_a_column_a_regime_and_the_label(
        self, known: tuple[Floats, Ints], tmp_path: Path
    ) -> None:
        posterior, truth = known
        written(events(posterior, truth), tmp_path)
        table = pq.read_table(tmp_path / "decisions.parquet")
        assert table.column_names[-8:] == [*(f"p_{name}" for name in REGIMES), "regime"]
        for k, name in enumerate(REGIMES):
            np.testing.assert_array_equal(table[f"p_{name}"].to_numpy(), posterior[:, k])
        assert table["regime"].to_pylist() == [REGIMES[k] for k in shown_labels(posterior)]

    @pytest.mark.parametrize("cut", [1, 256, ROWS])
    def test_scores_are_those_of_good_rows_past_the_warm_up(
        self, known: tuple[Floats, Ints], tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocks_module.Blocks.__init__, "__defaults__", (512,))
        posterior, truth = known
        made = rounds(ROWS, WARM)
        good = ((made.flags & ev.REPEATED) == 0) & (np.arange(ROWS) >= WARM)
        scores = RegimeScores()
        scores.add(truth[good], shown_labels(posterior)[good])
        assert written(events(posterior, truth, cut), tmp_path)["regime"] == scores.figures()
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert "Against the true regimes of the simulator" in page
        assert "id=regimes" in page

    def test_without_the_truth_nothing_is_scored_and_the_page_says_so(
        self, known: tuple[Floats, Ints], tmp_path: Path
    ) -> None:
        for name, truth in (("none", None), ("unknown", np.full(ROWS, -1))):
            assert written(events(known[0], truth), tmp_path / name)["regime"] is None
            page = (tmp_path / name / "report.html").read_text(encoding="utf-8")
            assert "Nobody knows the true regimes" in page

    def test_a_run_without_a_classifier_has_no_such_columns(self, tmp_path: Path) -> None:
        found = written(run(rounds(ROWS, WARM)), tmp_path)
        assert found["regime"] is None
        assert "regime" not in pq.read_table(tmp_path / "decisions.parquet").column_names
        assert "The market's regime" not in (tmp_path / "report.html").read_text(encoding="utf-8")
