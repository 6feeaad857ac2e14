"""A journal of a timed run is the run again with its choices, and something else without them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cli_harness import windvane
from killed_run import market, plan

from simulated_book import config
from windvane.agents.factory import RULES
from windvane.infra.runs import journal
from windvane.infra.runs.backtest import run
from windvane.infra.runs.compare import differences
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    Decisions,
    Event,
    Features,
    Proposals,
    cut,
)
from windvane.streams.topics import DECISIONS, FILLS, ORDERS, PROPOSALS, STATEMENTS, Topic
from windvane.streams.topology import TOPOLOGY

ROWS = 1400
LATE = range(800, 900)
ENSEMBLE = next(stage for stage in TOPOLOGY if stage.name == "ensemble")
RESULTS = {topic.name for topic in (DECISIONS, ORDERS, FILLS, STATEMENTS)}


def live(records: list[tuple[Topic, Event]]) -> Iterator[tuple[Topic, Event]]:
    """What lies on the topics of a run in which the proposals of some rows came late."""
    logic = EnsembleStage(None)
    read = {topic.name for topic in ENSEMBLE.reads}

    def said(*events: Event) -> Iterator[tuple[Topic, Event]]:
        return ((ENSEMBLE.route(e), e) for e in logic.step(events))

    late: list[Event] = []
    for topic, event in records:
        if topic.name in RESULTS:
            continue
        yield topic, event
        if isinstance(event, Features):
            yield from said(cut(event, 0, LATE.stop))
            late = [cut(event, LATE.stop, ROWS)]
        elif isinstance(event, Proposals):
            yield from said(cut(event, 0, LATE.start))
            logic.close_rounds("book", LATE.stop)
            yield from said()
            yield from said(cut(event, LATE.start, ROWS))
            yield from said(*late)
        elif topic.name in read:
            yield from said(event)


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded run of a timed book: every agent answers in time."""
    folder = tmp_path_factory.mktemp("timed")
    settings = config(closing="timed", quorum_lag=ROWS)
    given = replace(plan(), config=settings, full=True, batch=ROWS)
    assert run(given, market(ROWS, 5), folder).finished
    return folder


@pytest.fixture(scope="module")
def slept(timed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same ticks, with agents that slept for a while."""
    folder = tmp_path_factory.mktemp("slept")
    records = list(journal.read(timed / "journal"))
    with journal.JournalWriter(folder / "journal") as writer:
        for topic, event in live(records):
            writer.write(topic, event)
    (folder / "journal" / "run.json").write_bytes((timed / "journal" / "run.json").read_bytes())
    return folder


def test_the_agents_slept(slept: Path) -> None:
    decisions = [e for t, e in journal.read(slept / "journal") if isinstance(e, Decisions)]
    asleep = [s for d in decisions if d.awake is not None for s in d.seq[d.awake.sum(axis=1) == 0].tolist()]
    assert asleep == list(LATE)
    assert PROPOSALS.name in {t.name for t, _ in journal.read(slept / "journal")}


@pytest.mark.parametrize("options", [(), ("--wire",)])
def test_as_recorded_is_the_run(options: tuple[str, ...], slept: Path, tmp_path: Path) -> None:
    ran = windvane("replay", slept, "--out", tmp_path / "again", "--as-recorded", *options)
    assert ran.code == 0, ran
    assert "same to the last bit" in ran.err
    assert differences(slept / "journal", tmp_path / "again" / "journal") is None
    table = pq.read_table(tmp_path / "again" / "decisions.parquet")
    for agent in RULES:
        column = table[f"awake_{agent}"].to_pylist()
        assert [seq for seq, awake in enumerate(column) if not awake] == list(LATE)
    assert set(table["verdict"].to_pylist()[LATE.start : LATE.stop]) >= {"no_agents"}


def test_without_the_choices_it_is_what_a_backtest_gives(slept: Path, timed: Path, tmp_path: Path) -> None:
    ran = windvane("replay", slept, "--out", tmp_path / "again")
    assert ran.code == 1
    assert ran.err.startswith("the replay differs: decisions, column ")
    assert f"first at seq {LATE.start}" in ran.err
    assert differences(timed / "journal", tmp_path / "again" / "journal") is None


def test_a_lockstep_journal_has_no_choices_that_matter(tmp_path: Path) -> None:
    assert run(plan(batch=200), market(ROWS, 5), tmp_path / "run").finished
    ran = windvane("replay", tmp_path / "run", "--out", tmp_path / "again", "--as-recorded")
    assert ran.code == 0, ran
    assert not any("awake" in name for name in pq.read_schema(tmp_path / "again" / "decisions.parquet").names)


def test_a_run_cut_short_is_followed_as_far_as_it_goes(slept: Path, tmp_path: Path) -> None:
    half = tmp_path / "half" / "journal"
    with journal.JournalWriter(half) as writer:
        for topic, event in journal.read(slept / "journal"):
            if isinstance(event, Decisions) and event.first >= LATE.start + 40:
                break
            writer.write(topic, event)
    story = (slept / "journal" / "run.json").read_text().replace('"finished": true', '"finished": false')
    (half / "run.json").write_text(story)
    ran = windvane("replay", half.parent, "--out", tmp_path / "again", "--as-recorded")
    assert ran.code == 0, ran
