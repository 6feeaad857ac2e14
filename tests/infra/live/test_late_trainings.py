"""A live book whose trainings take their time: no row waits, and the journal tells what came late."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from live_session import events

from retrained_book import EVERY, LAG, FakeTrainer, settings
from simulated_book import config, opening, ticks
from windvane.infra.live.book import LiveBook
from windvane.infra.live.resuming import stopped
from windvane.infra.live.rows import Mark
from windvane.infra.live.saving import Saver
from windvane.infra.runs import journal
from windvane.infra.runs.compare import differences
from windvane.infra.runs.lateness import compared, lateness
from windvane.infra.runs.replay import replay
from windvane.streams.events import Decisions, LearnerUpdate, TrainRequest, TrainResult, cut
from windvane.streams.stage import Trainer

ROWS = 700
LATE = 40  # rows from the request to the result
OPENED = opening(config(closing="timed", weighing=settings()))


class Held:
    """A training that is done once its trainer says so; to wait for it is a mistake."""

    def __init__(self, trainer: SlowTrainer, result: TrainResult) -> None:
        self._trainer, self._result = trainer, result
        self._from = trainer.rows + LATE

    def done(self) -> bool:
        return self._trainer.rows >= self._from

    def result(self) -> TrainResult:
        assert self.done(), "a row waited for a training"
        return self._result


class SlowTrainer:
    """Trains at once, and is done `LATE` rows later."""

    def __init__(self) -> None:
        self.rows = 0
        self._trainer = FakeTrainer()

    def __call__(self, request: TrainRequest) -> Held:
        return Held(self, self._trainer.train(request))


def traded(out: Path, trainer: Trainer, rows: range, saved_at: int = -1) -> None:
    """Send rows, one at a time, to the book of a folder, from where it was left."""
    folder, saver = out / "journal", Saver()
    before = stopped(folder)
    book = LiveBook(folder, OPENED, saver, trainer, before)
    if before is None:
        saver.save(book.begin_save())
        info = {"finished": True, "file": "none", "kind": "simulated", "bars": "bars", "preset": "test"}
        (folder / "run.json").write_text(json.dumps({**info, "rejected": {}, "notes": [], "full": False}))
    whole = ticks(ROWS)
    for row in rows:
        if isinstance(trainer, SlowTrainer):
            trainer.rows = row
        book.rows([cut(whole, row, row + 1)], Mark(seq=row + 1))
        if book.training:
            book.settle()
        if row == saved_at:
            saver.save(book.begin_save())
    saver.close()
    if rows.stop == ROWS:
        book.close()
    book.abandon()


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("late")
    traded(out, SlowTrainer(), range(ROWS))
    return out


def used(out: Path) -> dict[int, int]:
    """By learner version the first row that used it."""
    first: dict[int, int] = {}
    for event in events(out, Decisions):
        for seq, version in zip(event.seq.tolist(), event.learner.tolist(), strict=True):
            first.setdefault(version, seq)
    return first


def test_versions_are_used_when_they_come(late: Path) -> None:
    updates = {event.version: event for event in events(late, LearnerUpdate)}
    assert len(updates) >= 5
    for version, row in used(late).items():
        if version:
            due = updates[version].trained_at + LATE
            assert row in (due, due + 1)
            assert row > updates[version].effective_from
    told = lateness(late / "journal")
    assert len(told) == len(used(late)) - 1
    assert f"learner version 1 was used {used(late)[1] - EVERY - LAG + 1:,} rows late" in told[0]


def test_as_recorded_it_is_the_run(late: Path, tmp_path: Path) -> None:
    replay(late / "journal", tmp_path, as_recorded=True)
    assert differences(late / "journal", tmp_path / "journal") is None


def test_in_lockstep_it_is_another_and_says_why(late: Path, tmp_path: Path) -> None:
    replay(late / "journal", tmp_path, trainer=FakeTrainer())
    assert lateness(tmp_path / "journal") == []
    told = compared(late / "journal", tmp_path / "journal", whole=True)
    assert re.fullmatch(
        rf"with nobody late \d+ of {ROWS} rows are decided otherwise, the first is \d+", told[0]
    )
    assert told[1].startswith("in the run: equity ")
    assert told[2].startswith("with nobody late: equity ")
    assert told[3:] == lateness(late / "journal")
    again = tmp_path / "again"
    replay(tmp_path / "journal", again, trainer=FakeTrainer())
    same = ["with nobody late every decision, order and fill is the same"]
    assert compared(tmp_path / "journal", again / "journal", whole=True) == same


def test_a_kill_in_the_middle_of_a_training_changes_no_row_that_was_told(late: Path, tmp_path: Path) -> None:
    """The state is older than the version; its rows come out as they were, and the training begins anew."""
    stop = EVERY * 3 + LATE + 5
    traded(tmp_path, SlowTrainer(), range(stop), saved_at=EVERY * 2 + 20)
    traded(tmp_path, SlowTrainer(), range(stop, ROWS))
    replay(tmp_path / "journal", tmp_path / "again", as_recorded=True)
    assert differences(tmp_path / "journal", tmp_path / "again" / "journal") is None
    rows = [event.first for event in events(tmp_path, Decisions)]
    assert rows == list(range(ROWS))
    assert used(tmp_path)[3] == used(late)[3]
    assert [part.name for part in journal.days(tmp_path / "journal")] == [
        part.name for part in journal.days(late / "journal")
    ]
