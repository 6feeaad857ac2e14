"""A row that never comes to a timed book is given up after a stated time, and whoever computes it again does so too."""

from itertools import pairwise

import numpy as np
import pytest

from simulated_book import config, opening, same, table, ticks, without
from windvane.streams.codec import from_json, to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    GAP,
    BookClosed,
    BookOpened,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Ticks,
    cut,
)
from windvane.streams.features_stage import FeaturesStage
from windvane.streams.gap_timer import GAP_TIMEOUT, GapTimer
from windvane.streams.stage import Hole
from windvane.streams.testing.faults import Faults, FaultyRunner
from windvane.streams.topics import DEAD_LETTERS, DECISIONS, FEATURES, TICKS
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

LIVE = opening(config(closing="timed"))
FEATURES_STAGE = TOPOLOGY[0]
ROWS = 700


def features(events: list[Event]) -> list[Features]:
    return [e for e in events if isinstance(e, Features)]


def rows_of(events: list[Event]) -> list[int]:
    return [seq for e in features(events) for seq in e.seq.tolist()]


def gaps(events: list[Event]) -> list[int]:
    return [seq for e in features(events) for seq in e.seq[e.flags & GAP != 0].tolist()]


class TestFeaturesBook:
    """A timed book with a hole: FeaturesStage, which is told when to give up."""

    def test_a_timed_book_says_which_rows_it_lacks_and_goes_on_without_them_when_told(self) -> None:
        whole, logic = ticks(60), FeaturesStage(None)
        out = logic.step([LIVE, *without(whole, [20, 21, 40])])
        assert (rows_of(out), logic.holes()) == (list(range(20)), {"book": Hole(20, 22)})
        assert logic.troubles() == {}
        logic.give_up("book", 22)
        assert logic.holes() == {}
        out += logic.step([])
        assert (rows_of(out), logic.holes()) == (list(range(40)), {"book": Hole(40, 41)})
        out += logic.step([cut(whole, 40, 41)])
        assert (rows_of(out), gaps(out)) == (list(range(60)), [20, 21])

    def test_a_lockstep_book_waits_and_says_for_what(self) -> None:
        logic = FeaturesStage(None)
        logic.step([opening(config()), *without(ticks(60), [20])])
        assert logic.holes() == {}
        (lasting,) = logic.lasting().values()
        assert (lasting.mark, lasting.trouble.code) == (20, "hole")
        assert "waits for seq 20, which is missing, though 39 later rows are there" in lasting.trouble.text
        logic.give_up("another", 5)
        assert rows_of(logic.step([cut(ticks(60), 20, 21)])) == list(range(20, 60))
        assert logic.lasting() == {}

    def test_a_row_that_comes_too_late_is_a_dead_letter_and_a_copy_of_it_none(self) -> None:
        whole, logic = ticks(60), FeaturesStage(None)
        logic.step([LIVE, *without(whole, [20, 21])])
        logic.give_up("book", 22)
        logic.step([])
        again = FeaturesStage(logic.snapshot())
        (letter,) = again.step([cut(whole, 19, 23)])
        assert isinstance(letter, DeadLetter)
        assert "came after missing rows had been given up" in letter.reason
        assert again.step([cut(whole, 19, 23), cut(whole, 20, 21)]) == []

    @pytest.mark.parametrize("seed", range(8))
    def test_what_is_published_says_what_to_give_up_again(self, seed: int) -> None:
        """Whatever part of it the stored state knows, and though the row has come since."""
        random = np.random.default_rng(seed)
        whole, lost = spread(seed), sorted(random.choice(np.arange(1, 299), 6, replace=False).tolist())
        logic = FeaturesStage(None)
        events: list[Event] = [LIVE, *without(whole, lost)]
        out = logic.step(events)
        while logic.holes():
            logic.give_up("book", logic.holes()["book"].stop)
            out += logic.step([])
        assert gaps(out) == lost
        stored_at = int(random.integers(0, 3))
        stored = FeaturesStage(None)
        done = stored.step([LIVE, *without(cut(whole, 0, 100 * stored_at + 1), lost)])
        while stored.holes():
            stored.give_up("book", stored.holes()["book"].stop)
            done += stored.step([])
        again = FeaturesStage(stored.snapshot())
        for batch in features(out):
            again.follow(batch)
        edges = sorted({0, 300, *random.integers(1, 300, 9).tolist()})
        for start, stop in pairwise(edges):
            done += again.step([cut(whole, start, stop)])
        assert gaps(done) == lost
        same(table(features(done)), table(features(out)))

    def test_a_row_that_ends_a_pause_is_no_row_that_was_given_up(self) -> None:
        """It has the same flag."""
        whole = ticks(300)
        whole.ts[150:] += 10**15
        logic, again = FeaturesStage(None), FeaturesStage(None)
        out = logic.step([LIVE, whole])
        assert gaps(out) != []
        for batch in features(out):
            again.follow(batch)
        same(table(features(again.step([LIVE, whole]))), table(features(out)))


def spread(seed: int) -> Ticks:
    return ticks(300, seed=seed)


class TestGapTimer:
    """When a GapTimer says that rows are to be given up."""

    def test_a_row_is_late_once_it_was_lacking_for_the_whole_time(self) -> None:
        timer, hole = GapTimer(), {"book": Hole(5, 7)}
        assert timer.late(hole, 10) == {}
        assert timer.late(hole, 9 + GAP_TIMEOUT) == {}
        assert timer.late(hole, 10 + GAP_TIMEOUT) == {"book": 7}
        assert timer.late(hole, 11 + GAP_TIMEOUT) == {"book": 7}  # until it is given up

    def test_another_row_is_waited_for_anew(self) -> None:
        timer = GapTimer()
        timer.late({"book": Hole(5, 7), "other": Hole(1, 2)}, 0)
        assert timer.late({"book": Hole(6, 7), "other": Hole(1, 2)}, GAP_TIMEOUT) == {"other": 2}
        assert timer.late({}, GAP_TIMEOUT) == {}
        assert timer.late({"other": Hole(1, 2)}, 2 * GAP_TIMEOUT) == {}


def lossy(seed: int, faults: Faults) -> FaultyRunner:
    """A timed book of which some rows come late and others never."""
    runner, random = FaultyRunner(seed, faults), np.random.default_rng(seed)
    whole = ticks(ROWS, seed=seed)
    opened: BookOpened = opening(config(closing="timed", round_timeout=250_000_000, quorum_lag=150))
    edges = sorted({0, ROWS, *random.integers(1, ROWS, 60).tolist()})
    pieces: list[Event] = [cut(whole, a, b) for a, b in pairwise(edges)]
    for at in sorted(random.choice(np.arange(2, 40), 5, replace=False).tolist(), reverse=True):
        piece = pieces.pop(at)
        if random.random() < 0.7:
            pieces.insert(at + int(random.integers(1, 20)), piece)
    now = 0
    for event in (opened, *pieces, BookClosed(book="book", last=ROWS - 1)):
        runner.send_later(now, TICKS, to_json(event))
        now += int(random.integers(800_000_000))
    runner.run()
    return runner


def first_versions(runner: FaultyRunner) -> list[Event]:
    """The features as their readers have them: the first of every row."""
    found: list[Event] = []
    upto = 0
    for event in map(from_json, runner.log.raws(FEATURES)):
        if isinstance(event, Features) and event.last >= upto:
            found.append(cut(event, max(0, upto - event.first), len(event)))
            upto = event.last + 1
    return found


def made_up(events: list[Event]) -> set[int]:
    """Rows that were given up: those that end a pause have the same flag, and a time of their own."""
    ts = np.concatenate([e.ts for e in features(events)])
    repeated = set(np.flatnonzero(np.diff(ts, prepend=0) == 0).tolist())
    return repeated & set(gaps(events))


class TestFaults:
    """Rows are given up while workers of all stages crash and are doubled."""

    @pytest.mark.parametrize("seed", range(12))
    def test_every_row_is_decided_once_and_the_ticks_give_the_same_features_again(self, seed: int) -> None:
        runner = lossy(seed, Faults(crash=0.02, zombie=0.0, lost_commit=0.01, most=40))
        decisions = [e for e in map(from_json, runner.log.raws(DECISIONS)) if isinstance(e, Decisions)]
        assert np.concatenate([e.seq for e in decisions]).tolist() == list(range(ROWS))
        seen: list[Event] = []
        again = EmbeddedRunner(lambda topic, event: seen.append(event), topology=[FEATURES_STAGE])
        for rows in decisions:
            again.follow(rows)
        for raw in runner.log.raws(TICKS):
            again.feed([from_json(raw)])
        same(table(features(seen)), table(first_versions(runner)))

    def test_some_rows_are_given_up_and_some_come_in_time_and_some_too_late(self) -> None:
        """Else the runs above would show nothing."""
        given_up = in_time = late = 0
        for seed in range(6):
            runner = lossy(seed, Faults(most=40, zombie=0.0))
            missing = made_up(first_versions(runner))
            sent = [int(s) for e in map(from_json, runner.log.raws(TICKS)) for s in getattr(e, "seq", ())]
            given_up += len(missing - set(sent))
            late += len(missing & set(sent))
            in_time += sum(b < a for a, b in pairwise(sent)) > 0 and len(set(sent) - missing) > 0
            letters = [from_json(raw) for raw in runner.log.raws(DEAD_LETTERS)]
            told = any("had been given up" in e.reason for e in letters if isinstance(e, DeadLetter))
            assert told == bool(missing & set(sent)), seed
        assert min(given_up, late, in_time) > 0

    @pytest.mark.parametrize("seed", range(100, 106))
    def test_with_two_workers_of_the_features_at_once_every_row_is_decided_once(self, seed: int) -> None:
        runner = lossy(seed, Faults(crash=0.02, zombie=0.05, most=60))
        decisions = [e for e in map(from_json, runner.log.raws(DECISIONS)) if isinstance(e, Decisions)]
        assert np.concatenate([e.seq for e in decisions]).tolist() == list(range(ROWS))


def test_a_worker_of_the_features_reads_what_it_has_published() -> None:
    whole = ticks(40)
    first = StageWorker(FEATURES_STAGE, "here")
    raws = [to_json(e) for e in (LIVE, *without(whole, [20]))]
    for offset, raw in enumerate(raws):
        first.receive(TICKS, offset, raw)
    sent = first.step()
    first.give_up("book", 21)
    sent += first.step()
    again = StageWorker(FEATURES_STAGE, "here")
    for record in sent:
        again.follow(record.topic, record.raw)
    for offset, raw in enumerate([*raws, to_json(cut(whole, 20, 21))]):
        again.receive(TICKS, offset, raw)
    made = [record for record in again.step() if record.topic is FEATURES]
    events = [from_json(record.raw) for record in made]
    same(table(features(events)), table(features([from_json(r.raw) for r in sent])))
    assert [r.topic.name for r in again.step()] == []
