"""Regimes in the pipeline: told by the features stage, passed on with the decisions, never fed the truth."""

import msgspec
import numpy as np
import pytest

from simulated_book import config, full_book, opening, plain_run, same, table, ticks
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier
from windvane.metamodel.regimes.model import shipped
from windvane.streams.codec import pack, unpack
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    REPEATED,
    BookClosed,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    Ticks,
    join,
)
from windvane.streams.features_stage import FeaturesStage
from windvane.streams.stage import StateError

ROWS = 1_300


def features_of(events: list[Event]) -> Features:
    bare = {"bid": None, "ask": None, "size": None}  # columns that not all rows have cannot be joined
    return join([msgspec.structs.replace(e, **bare) for e in events if isinstance(e, Features)])


def cut_of(rows: Ticks, start: int, stop: int) -> dict[str, object]:
    """The columns of some rows."""
    found = {name: getattr(rows, name) for name in rows.__struct_fields__}
    return {n: v[start:stop] if isinstance(v, np.ndarray) else v for n, v in found.items()}


class TestFeaturesStage:
    """Regimes, as FeaturesStage passes them on."""

    def test_every_row_has_the_posterior_of_its_features(self) -> None:
        events, controls = full_book()
        seen = [event for _, event in plain_run(events, controls)]
        rows = features_of(seen)
        assert rows.model == shipped().version
        assert rows.regime is not None
        wanted = MarketRegimeClassifier().step(rows.x, rows.flags)
        assert rows.regime.tobytes() == wanted.tobytes()
        repeats = np.flatnonzero(rows.flags & REPEATED)
        assert len(repeats) > 5
        np.testing.assert_array_equal(rows.regime[repeats[1:]], rows.regime[repeats[1:] - 1])
        decided = join([e for e in seen if isinstance(e, Decisions)])
        assert decided.regime is not None
        np.testing.assert_array_equal(decided.seq, rows.seq)
        assert decided.regime.tobytes() == rows.regime.tobytes()

    def test_the_truth_changes_nothing(self) -> None:
        plain = ticks(ROWS)
        labelled = msgspec.structs.replace(plain, regime=np.random.default_rng(0).integers(-1, 7, ROWS))
        ends = [opening(config()), BookClosed(book="book", last=ROWS - 1)]
        runs = [[e for _, e in plain_run([ends[0], rows, ends[1]])] for rows in (plain, labelled)]
        without, having = ([e for e in run if not isinstance(e, Ticks)] for run in runs)
        same(table(having), table(without))

    @pytest.mark.parametrize("at", [1, WARMUP + 2, 1_001])
    def test_a_stage_goes_on_from_its_snapshot_with_the_same_posteriors(self, at: int) -> None:
        rows, head = ticks(ROWS), opening(config())
        first = FeaturesStage(None)
        whole = features_of(FeaturesStage(None).step([head, rows]))
        before = first.step([head, Ticks(**cut_of(rows, 0, at))])
        second = FeaturesStage(first.snapshot())
        after = second.step([Ticks(**cut_of(rows, at, ROWS))])
        got = join([features_of(before), features_of(after)])
        assert got.regime is not None
        assert whole.regime is not None
        assert got.regime.tobytes() == whole.regime.tobytes()

    def test_rounds_weigh_by_the_posterior_and_do_without_one(self) -> None:
        """The last rows of three runs: as told, told another posterior, told none."""
        seen = [
            e for _, e in plain_run([opening(config()), ticks(ROWS), BookClosed(book="book", last=ROWS - 1)])
        ]
        last = []
        for change in ("as told", "turned", "none"):
            stage = EnsembleStage(None)
            stage.step([opening(config())])
            events: list[Event] = []
            for event in seen:
                if isinstance(event, Features):
                    assert event.regime is not None
                    other = {"as told": event.regime, "turned": event.regime[:, ::-1].copy(), "none": None}[
                        change
                    ]
                    events.append(msgspec.structs.replace(event, regime=other))
                elif isinstance(event, Proposals | LearnerUpdate):
                    events.append(event)
            made = stage.step(events)
            last.append(join([e for e in made if isinstance(e, Decisions)]).weights[-1])
        decided = join([e for e in seen if isinstance(e, Decisions)])
        np.testing.assert_array_equal(last[0], decided.weights[-1])
        assert (last[1] != last[0]).any()
        assert (last[2] != last[0]).any()

    def test_a_snapshot_of_another_model_is_refused(self) -> None:
        stage = FeaturesStage(None)
        stage.step([opening(config()), ticks(600)])
        kept = unpack(stage.snapshot())
        (name,) = (n for n in kept if n.endswith("|model"))
        with pytest.raises(StateError, match="is of regime model gru-other"):
            FeaturesStage(pack({**kept, name: "gru-other"}))
