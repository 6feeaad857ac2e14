"""What a policy is trained on: parts of a file that follow each other in time, and markets whose seeds are apart."""

from pathlib import Path

import numpy as np
import pytest
from cli_harness import simulated

from windvane.infra.policies.market import file_parts, file_rows, simulated_parts
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.simulation.tape import tape_of
from windvane.metamodel.simulation.trade_simulator import TradeSimulator


def test_parts_of_a_file_follow_each_other_and_leave_nothing_out(tmp_path: Path) -> None:
    simulated(tmp_path / "m.parquet", 2_000)
    (parts,), whole = file_parts(tmp_path / "m.parquet", None), tape_of(file_rows(tmp_path / "m.parquet"))
    named = parts.named().values()
    for column in ("ts", "mid", "x"):
        joined = np.concatenate([getattr(tape, column) for tape in named])
        assert joined.tobytes() == getattr(whole, column).tobytes()
    assert [len(tape.mid) for tape in named] == [892, 298, 298]
    assert parts.simulated, "the file says so itself"
    assert len(parts.digest) == 64
    with pytest.raises(ConfigError, match=r"has \d+ rows past the warm-up: give 1001 or more"):
        list(file_parts(tmp_path / "m.parquet", "30m"))


def test_every_fold_is_measured_on_rows_that_no_earlier_one_saw(tmp_path: Path) -> None:
    simulated(tmp_path / "m.parquet", 3_000)
    whole = tape_of(file_rows(tmp_path / "m.parquet"))
    folds = list(file_parts(tmp_path / "m.parquet", None, folds=3))
    cuts = [1492, 1741, 1990, 2239, 2488]
    for k, fold in enumerate(folds):
        first, second, end = cuts[k : k + 3]
        spans = {"train": (0, first), "validation": (first, second), "test": (second, end)}
        for name, (a, b) in spans.items():
            assert fold.named()[name].ts.tobytes() == whole.ts[a:b].tobytes(), (k, name)
        assert fold.about.endswith(f"cut in time at {first} and {second}, up to {end}: fold {k + 1} of 3")
    assert len(whole.ts) == cuts[-1]
    with pytest.raises(ConfigError, match="has 2488 rows past the warm-up: give 5501 or more"):
        list(file_parts(tmp_path / "m.parquet", None, folds=10))
    with pytest.raises(ConfigError, match="--folds is 0: give 1 to 20"):
        list(file_parts(tmp_path / "m.parquet", None, folds=0))


def test_parts_of_simulated_markets_share_no_row() -> None:
    parts = simulated_parts("mild", 4, 300)
    prices = [set(tape.mid.tolist()) for tape in parts.named().values()]
    assert [len(some) for some in prices] == [1200, 300, 300]
    assert len(set.union(*prices)) == sum(map(len, prices))
    assert parts.fee_bp == 0.3


def test_the_environment_plays_a_file(tmp_path: Path) -> None:
    simulated(tmp_path / "m.parquet", 700)
    rows = file_rows(tmp_path / "m.parquet")
    env = TradeSimulator(rows=rows, max_steps=50)
    state, info = env.reset(seed=1)
    assert (state == rows.x[rows.ts == info["ts"]][0]).all()
    assert env.step(2)[4]["position"] == 1.0
