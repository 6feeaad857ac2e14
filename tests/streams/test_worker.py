"""A stage on a partition: pausing never deadlocks, what is bad never pins it, and a state says where to go on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from simulated_book import config, opening, plain_run, ticks
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import (
    BookClosed,
    Control,
    DeadLetter,
    Features,
    Orders,
    Ticks,
    cut,
)
from windvane.streams.records import order_lines, seq_of_line
from windvane.streams.stage import Stage, StateError
from windvane.streams.testing.faults import Log
from windvane.streams.topics import (
    CONTROL,
    DEAD_LETTERS,
    DECISIONS,
    FEATURES,
    ORDERS,
    PROPOSALS,
    TICKS,
    Topic,
)
from windvane.streams.topology import TOPOLOGY
from windvane.streams.unused import AHEAD
from windvane.streams.worker import StageWorker

SPLIT = (
    ("ema_momentum", "zscore_reversion", "donchian_breakout", "vol_trend"),
    ("jump_contrarian", "buy_and_hold"),
)


def named(name: str) -> Stage:
    return next(stage for stage in TOPOLOGY if stage.name == name)


def split() -> list[Stage]:
    """The topology with two workers of agents; the second is the slow one."""
    proposals = named("proposals")
    workers = [proposals.run_by(agents) for agents in SPLIT]
    return [named("features"), *workers, named("feedback"), named("ensemble")]


@dataclass
class Place:
    """A worker on the log, and how seldom it comes to work."""

    worker: StageWorker
    rarely: int
    most: int = 0  # records of features that were held unused at a time


class Scheduler:
    """Runs stages over a log in a random order; a source that a worker says is ahead is not read."""

    def __init__(self, seed: int, stages: Sequence[Stage], rarely: Sequence[int]) -> None:
        self.log = Log()
        self._random = np.random.default_rng(seed)
        self.places = [Place(StageWorker(s, "here"), r) for s, r in zip(stages, rarely, strict=True)]

    def run(self) -> None:
        """Until nothing is left; raises where all wait for each other."""
        while any(self._left(place) for place in self.places):
            able = [p for p in self.places if self._left(p) - p.worker.ahead()]
            if not able:
                raise AssertionError(f"they wait for each other: {[self._left(p) for p in self.places]}")
            place = able[int(self._random.integers(len(able)))]
            if place.rarely == 1 or len(able) == 1 or self._random.integers(place.rarely) == 0:
                self._act(place)

    def _left(self, place: Place) -> set[str]:
        return {name for name, at in place.worker.positions.items() if self.log.read(name, at, 1)}

    def _act(self, place: Place) -> None:
        worker = place.worker
        for name in sorted(self._left(place) - worker.ahead()):
            topic = next(t for t in worker.stage.reads if t.name == name)
            for record in self.log.read(name, worker.positions[name], int(self._random.integers(1, 9))):
                worker.receive(topic, record.offset, record.raw)
        for topic, _, raw in worker.step():
            self.log.append(topic.name, raw)
        worker.ahead()
        place.most = max(place.most, len(worker._unused._records.get(FEATURES.name, ())))


def small(rows: Ticks, each: int) -> Iterator[bytes]:
    return (to_json(cut(rows, at, at + each)) for at in range(0, len(rows), each))


def decided_rows(log: Log, book: str) -> list[int]:
    found = [from_json(raw) for raw in log.raws(DECISIONS)]
    return [int(s) for e in found if e.book == book for s in getattr(e, "seq", ())]


def _batch_of(source: Topic, seq: int) -> bytes:
    seen = plain_run([opening(config()), ticks(3)])
    batch = next(e for t, e in seen if t.name == source.name and isinstance(e, Ticks | Features))
    return to_json(msgspec.structs.replace(batch, seq=np.arange(seq, seq + len(batch))))


class TestPositions:
    def test_they_move_past_what_is_used_and_no_further(self) -> None:
        """Features are used when they come; in the ensemble they wait for the proposals."""
        features, ensemble = StageWorker(named("features"), "here"), StageWorker(named("ensemble"), "here")
        for offset, raw in enumerate([to_json(opening(config())), *small(ticks(50), 5)]):
            features.receive(TICKS, offset, raw)
        for offset, record in enumerate(features.step()):
            ensemble.receive(FEATURES, offset, record.raw)
        ensemble.step()
        assert StageWorker(features.stage, "here", features.save({})).positions == {TICKS.name: 11}
        assert StageWorker(ensemble.stage, "here", ensemble.save({})).positions[FEATURES.name] == 1

    def test_a_source_that_begins_later_is_not_asked_for_what_is_gone(self) -> None:
        """Also where it gives no record before the state is stored."""
        worker = StageWorker(named("ensemble"), "here")
        worker.begin_at(CONTROL, 7)
        worker.begin_at(FEATURES, 0)
        again = StageWorker(named("ensemble"), "here", worker.save({}))
        assert (again.positions[CONTROL.name], again.positions[FEATURES.name]) == (7, 0)
        again.begin_at(CONTROL, 3)
        assert again.positions[CONTROL.name] == 7

    def test_an_older_offset_never_moves_them_back(self) -> None:
        worker = StageWorker(named("features"), "here")
        raw = to_json(opening(config()))
        for offset in (7, 3, 9, 9, 1):
            worker.receive(TICKS, offset, raw)
        assert worker.positions == {TICKS.name: 10}
        assert worker.next_offset(TICKS) == 10
        assert worker.next_offset(PROPOSALS) == 0

    def test_a_state_is_never_stored_over_records_not_worked_off(self) -> None:
        worker = StageWorker(named("features"), "here")
        worker.receive(TICKS, 0, to_json(opening(config())))
        with pytest.raises(RuntimeError, match="step first"):
            worker.save({})

    def test_a_state_of_another_layout_is_refused_with_what_to_do(self) -> None:
        saved = StageWorker(named("features"), "here").save({})
        with pytest.raises(
            StateError, match="is of another layout, here, and this worker is elsewhere: remove it"
        ):
            StageWorker(named("features"), "elsewhere", saved)


def ensemble_log(rows: int) -> Log:
    scheduler = Scheduler(1, split(), [1] * 5)
    for raw in [to_json(opening(config())), *small(ticks(rows), 20)]:
        scheduler.log.append(TICKS.name, raw)
    scheduler.run()
    return scheduler.log


def recomputed(log: Log, outputs: Sequence[tuple[Topic, bytes]]) -> list[tuple[Topic, bytes]]:
    """What an ensemble without a stored state sends, once it was told what it had published."""
    worker = StageWorker(named("ensemble"), "here")
    for topic, raw in outputs:
        worker.follow(topic, raw)
    for topic in worker.stage.reads:
        for record in log.read(topic.name, 0, 10**9):
            worker.receive(topic, record.offset, record.raw)
    return [(r.topic, r.raw) for r in worker.step() if r.topic is not DEAD_LETTERS]


class TestFollow:
    def published(self, log: Log) -> list[tuple[Topic, bytes]]:
        return [
            (topic, raw)
            for topic in named("ensemble").emits
            for raw in log.raws(topic)
            if topic is not DEAD_LETTERS
        ]

    def test_what_is_all_published_is_not_sent_again(self) -> None:
        log = ensemble_log(700)
        assert self.published(log)
        assert recomputed(log, self.published(log)) == []

    def test_what_nobody_of_ours_wrote_is_passed_over(self) -> None:
        log = ensemble_log(700)
        garbage = [
            (t, raw) for t in named("ensemble").emits for raw in (b"", b"\xff", b"{}", b"[[[", b'{"seq":1}')
        ]
        strange = [(DECISIONS, to_json(ticks(3))), (DECISIONS, to_json(opening(config())))]
        assert recomputed(log, [*garbage, *strange, *self.published(log)]) == []

    def test_an_order_that_was_changed_stops_the_stage_with_what_to_do(self) -> None:
        log = ensemble_log(700)
        changed = [
            (t, raw.replace(b'"buy"', b'"sell"') if t is ORDERS else raw) for t, raw in self.published(log)
        ]
        with pytest.raises(StateError, match=r"changed, so start a new book$"):
            recomputed(log, changed)


class TestStageWorker:
    """StageWorker on a log in memory."""

    @pytest.mark.parametrize("seed", range(6))
    def test_pausing_never_deadlocks_whoever_is_slow(self, seed: int) -> None:
        """Three books of unlike length on one partition, few ticks a record, and one stage that hardly ever works."""
        rarely = [1, 1, 1, 1, 1]
        rarely[seed % 5] = 30
        scheduler = Scheduler(seed, split(), rarely)
        lengths = {"long": 800, "short": 30, "idle": 0}
        rng = np.random.default_rng(seed)
        queues = [
            [to_json(opening(config(), b)), *small(ticks(max(n, 1), book=b), 1 + n // 400)][: n + 1]
            for b, n in lengths.items()
        ]
        while any(queues):
            queue = queues[int(rng.integers(len(queues)))]
            scheduler.log.append(TICKS.name, queue.pop(0)) if queue else None
        scheduler.run()
        decided = {b: sorted(s for s in decided_rows(scheduler.log, b)) for b in lengths}
        assert decided == {b: list(range(n)) for b, n in lengths.items()}
        seen = plain_run([opening(config(), "long"), ticks(800, book="long")])
        theirs = [
            line for _, e in seen if isinstance(e, Orders) for _, line in order_lines(e, config().symbol)
        ]
        mine = [raw for raw in scheduler.log.raws(ORDERS) if seq_of_line(raw)[0] == "long"]
        assert mine == theirs
        assert len(mine) > 0

    def test_a_slow_worker_of_agents_bounds_what_is_held(self) -> None:
        """One book: features wait in the log, not in the ensemble's memory."""
        scheduler = Scheduler(3, split(), [1, 1, 60, 1, 1])
        for raw in [to_json(opening(config())), *small(ticks(400), 1)]:
            scheduler.log.append(TICKS.name, raw)
        scheduler.run()
        assert all(len(p.worker.stage.reads) == 1 or p.most < 2 * AHEAD for p in scheduler.places)
        assert decided_rows(scheduler.log, "book") == list(range(400))

    @pytest.mark.parametrize("name", [stage.name for stage in TOPOLOGY])
    def test_what_is_far_ahead_is_rejected_and_pins_nothing(self, name: str) -> None:
        stage = named(name)
        source = next(t for t in stage.reads if {Ticks, Features} & set(t.carries))
        worker = StageWorker(stage, "here")
        worker.receive(source, 0, to_json(opening(config())))
        far = _batch_of(source, 10**12)
        for offset in range(1, 3 * AHEAD):
            worker.receive(source, offset, far)
        letters = [r for r in worker.step() if r.topic is DEAD_LETTERS]
        assert len(letters) == 3 * AHEAD - 1
        assert worker.ahead() == set()
        again = StageWorker(stage, "here", worker.save({}))
        assert again.positions[source.name] == 3 * AHEAD

    @pytest.mark.parametrize("each", [1, 2])
    def test_a_hole_in_small_records_never_stops_the_features(self, each: int) -> None:
        """More records than AHEAD lie past a row that never came: it can come from this source alone."""
        worker = StageWorker(named("features"), "here")
        raws = [to_json(opening(config())), *list(small(ticks(4 * AHEAD), each))]
        del raws[5]
        for offset, raw in enumerate(raws):
            assert worker.ahead() == set()
            worker.receive(TICKS, offset, raw)
            worker.step()
        worker.receive(TICKS, len(raws), to_json(BookClosed(book="book", last=4 * AHEAD - 1)))
        made = (from_json(r.raw) for r in worker.step())
        assert max(e.last for e in made if isinstance(e, Features)) == 4 * AHEAD - 1

    def test_a_book_that_is_opened_late_loses_nothing_and_one_that_never_is_is_told_of(self) -> None:
        worker = StageWorker(named("features"), "here")
        late, never = ticks(20, book="late"), ticks(20, book="never")
        records = [*small(late, 5), *small(never, 5), to_json(BookClosed(book="never", last=19))]
        for offset, raw in enumerate(records):
            worker.receive(TICKS, offset, raw)
        assert worker.step() == []
        worker.give_up_early()
        assert worker.step() == []  # the opening may be on its way
        worker.receive(TICKS, len(records), to_json(opening(config(), "late")))
        made = [from_json(r.raw) for r in worker.step()]
        assert [seq for e in made if isinstance(e, Features) for seq in e.seq.tolist()] == list(range(20))
        worker.give_up_early()
        letters = [from_json(r.raw) for r in worker.step()]
        assert [e.book for e in letters] == ["never"] * 5
        assert all(isinstance(e, DeadLetter) and "was never opened" in e.reason for e in letters)
        again = StageWorker(named("features"), "here", worker.save({}))
        assert again.positions[TICKS.name] == len(records) + 1

    def test_controls_of_a_book_not_opened_yet_are_kept_and_too_many_are_told_of(self) -> None:
        worker = StageWorker(named("ensemble"), "here")
        for number in range(1, 101):
            order = Control(book="soon", number=number, action="resume", effective_from=0)
            worker.receive(CONTROL, number - 1, to_json(order))
        worker.step()
        worker.give_up_early()
        worker.give_up_early()
        letters = [from_json(r.raw) for r in worker.step()]
        waits = [
            e for e in letters if isinstance(e, DeadLetter) and "waits: no book of that name" in e.reason
        ]
        assert (len(waits), len(letters)) == (64, 100)
        assert StageWorker(named("ensemble"), "here", worker.save({})).positions[CONTROL.name] == 0


class TestKnownControls:
    """What a stored state has of controls is read again after a restart, and neither lost nor answered twice."""

    @staticmethod
    def letters(worker: StageWorker) -> list[str]:
        events = [from_json(record.raw) for record in worker.step() if record.topic is DEAD_LETTERS]
        return [event.reason for event in events if isinstance(event, DeadLetter)]

    @staticmethod
    def restarted(worker: StageWorker) -> StageWorker:
        return StageWorker(named("ensemble"), "here", worker.save({}))

    def test_a_control_of_a_book_that_opened_and_closed_before_it_was_read_again_is_answered_once(
        self,
    ) -> None:
        early = Control(
            book="never", number=1, action="halt", effective_from=0
        )  # it keeps the place to read from
        halts = [Control(book="book", number=n, action="halt", effective_from=0) for n in (1, 2)]
        raws = [to_json(control) for control in (early, *halts)]

        def read(worker: StageWorker, stop: int) -> list[str]:
            assert worker.positions[CONTROL.name] == 0
            for offset, raw in enumerate(raws[:stop]):
                worker.receive(CONTROL, offset, raw)
            return [reason[:48] for reason in self.letters(worker)]

        worker = StageWorker(named("ensemble"), "here")
        assert read(worker, 3) == []  # no book is open yet
        worker = self.restarted(worker)
        for offset, event in enumerate((opening(config()), BookClosed(book="book", last=-1))):
            worker.receive(FEATURES, offset, to_json(event))
        assert self.letters(worker) == []
        worker = self.restarted(worker)
        assert read(worker, 2) == ["control 1 of book book (halt, at once) is not ap"]
        worker = self.restarted(worker)
        assert read(worker, 3) == ["control 2 of book book (halt, at once) is not ap"]
        for _ in range(2):  # and none again, when it was stored before it was read to the end
            worker = self.restarted(self.restarted(worker))
            assert read(worker, 1) == []
            worker = self.restarted(worker)
            assert read(worker, 3) == []
