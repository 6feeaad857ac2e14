"""A book that cannot go on is stopped alone: it loses nothing, writes nothing, and goes on once the cause is mended."""

from functools import cache

import msgspec
import pytest

from simulated_book import Recorded, config, opening, plain_run, ticks
from windvane.streams import stored
from windvane.streams.codec import cuts, to_json
from windvane.streams.events import BookClosed, Control, Event, Fills, Orders
from windvane.streams.records import fill_lines, order_lines
from windvane.streams.snapshot import load_books, take_out
from windvane.streams.stage import Stage, StateError
from windvane.streams.stopped import MOST_AGAIN
from windvane.streams.testing.faults import Log
from windvane.streams.topics import (
    CONTROL,
    DEAD_LETTERS,
    DECISIONS,
    FEATURES,
    FILLS,
    LEARNER,
    MODELS,
    ORDERS,
    PROPOSALS,
    STATEMENTS,
    TICKS,
    Topic,
)
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

ROWS = 1300
A, B = "a", "b"
FEATURES_STAGE, ENSEMBLE = TOPOLOGY[0], TOPOLOGY[-1]
SOURCES = (FEATURES, PROPOSALS, LEARNER)
KEPT = (DECISIONS, ORDERS, FILLS, STATEMENTS)


@cache
def alone(book: str) -> Recorded:
    """What is on the topics of a book that nothing happens to."""
    events: list[Event] = [opening(config(seed=ord(book)), book), ticks(ROWS, seed=ord(book), book=book)]
    halt = Control(book=book, number=1, action="halt", effective_from=1250)
    return plain_run([*events, BookClosed(book=book, last=ROWS - 1)], [halt])


def raws(topic: Topic, book: str) -> list[bytes]:
    """The records of a book on a topic."""
    found: list[bytes] = []
    for event in (e for t, e in alone(book) if t is topic):
        if isinstance(event, Orders):
            found += [line for _, line in order_lines(event, config().symbol)]
        elif isinstance(event, Fills):
            found += [line for _, line in fill_lines(event, config().symbol)]
        else:
            found += [to_json(piece) for piece in cuts(event)]
    return found


def sources(part: int) -> Log:
    """What the ensemble reads, the books in turn; of the rows, the first `part` of four."""
    log = Log()
    for book in (A, B):
        for topic in (MODELS, CONTROL):
            for raw in raws(topic, book):
                log.append(topic.name, raw)
    for topic in SOURCES:
        both = [raws(topic, book) for book in (A, B)]
        for at in range(max(map(len, both)) * part // 4):
            for mine in both:
                for raw in mine[at : at + 1]:
                    log.append(topic.name, raw)
    return log


class Life:
    """One life of a worker of the ensemble: it follows, reads all that is there, and writes in one transaction."""

    def __init__(self, log: Log, saved: bytes | None, stopped: dict[str, str] | None = None) -> None:
        self.log = log
        self.worker = StageWorker(ENSEMBLE, "here", saved, stopped=stopped)
        epoch = log.fence()
        self.ends = {topic.name: log.end(topic.name) for topic in ENSEMBLE.emits}
        for topic in ENSEMBLE.emits:
            for record in log.read(topic.name, self.worker.outputs.get(topic.name, 0), 10**9):
                self.worker.follow(topic, record.raw)
        self.read = 0
        for topic in (MODELS, CONTROL, *SOURCES):
            for record in log.read(topic.name, self.worker.positions[topic.name], 10**9):
                self.worker.receive(topic, record.offset, record.raw)
                self.read += 1
        self.sent = self.worker.step()
        if self.sent:
            self.ends |= log.commit(epoch, self.sent)

    def save(self) -> bytes:
        return self.worker.save(self.ends)


def grown(log: Log, part: int) -> Log:
    """The log with further rows of both books."""
    for topic in (*SOURCES, CONTROL, MODELS):
        known = sum(1 for _ in log.raws(topic))
        for raw in list(sources(part).raws(topic))[known:]:
            log.append(topic.name, raw)
    return log


def tampered(log: Log, book: str) -> dict[str, list[bytes]]:
    """Turn the orders of a book around, as if another version had computed them; returns what they were."""
    records = log._topics[ORDERS.name]
    before = list(records)
    for at, record in enumerate(records):
        if f'"book":"{book}"'.encode() in record.raw:
            records[at] = record._replace(raw=record.raw.replace(b'"buy"', b'"sell"'))
    assert before != records
    return {ORDERS.name: before}


def same_as_alone(log: Log, book: str) -> None:
    mark = f'"book":"{book}"'.encode()
    for topic in (ORDERS, FILLS):
        assert [raw for raw in log.raws(topic) if mark in raw] == raws(topic, book), topic.name
    seqs = [s for raw in log.raws(DECISIONS) if mark in raw for s in _seqs(raw)]
    assert seqs == list(range(ROWS))
    assert sum(mark in raw for raw in log.raws(STATEMENTS)) >= 1
    told = [raw for raw in log.raws(DEAD_LETTERS) if mark in raw]
    assert len(told) == len(set(told))


def _seqs(raw: bytes) -> list[int]:
    return list(msgspec.json.decode(raw)["seq"])


class TestContradiction:
    """What was published of one book differs from what is computed again."""

    def test_only_that_book_stops_and_it_goes_on_where_it_was_once_its_log_is_as_it_was(self) -> None:
        log = sources(2)
        first = Life(log, None)
        state = first.save()
        Life(grown(log, 3), state)  # it was killed before it stored its state
        good = tampered(log, A)
        with pytest.raises(StateError) as caught:
            Life(log, state)
        assert caught.value.book == A
        stopped = {A: str(caught.value)}
        for part in (3, 4, 4):
            life = Life(grown(log, part), state, stopped)
            assert all(record.book != A for record in life.sent)
            assert life.worker.troubles()[A].code == "stopped"
            assert A in life.worker.troubles()[A].text
            assert life.worker.ahead() == set()
            state = life.save()
        assert life.read == 0, "of a book that is left stopped nothing is read again"
        same_as_alone(log, B)
        log._topics |= {name: [*old, *log._topics[name][len(old) :]] for name, old in good.items()}
        last = Life(log, state)  # a restart of the process
        assert {record.book for record in last.sent} == {A}
        assert last.worker.troubles() == {}
        same_as_alone(log, A)
        same_as_alone(log, B)
        again = Life(log, last.save())
        assert (again.sent, again.read) == ([], 0)

    def test_as_long_as_the_cause_is_there_every_restart_stops_it_again_and_nothing_is_written(self) -> None:
        log = sources(2)
        Life(log, None)
        tampered(log, A)
        state = None
        for part in (2, 3, 4):
            with pytest.raises(StateError, match="of a at seq") as caught:
                Life(grown(log, part), state)
            life = Life(log, state, {A: str(caught.value)})
            assert all(record.book == B for record in life.sent)
            state = life.save()
        same_as_alone(log, B)

    def test_a_book_that_would_need_too_many_records_again_stays_stopped_and_says_so(self) -> None:
        log = sources(2)
        life = Life(log, None, {A: "because"})
        saved = stored.from_bytes(life.save())
        moved = {name: at + MOST_AGAIN + 1 for name, at in saved.positions.items()}
        worker = StageWorker(ENSEMBLE, "here", saved._replace(positions=moved).to_bytes())
        assert "so they are not read again: open a book of another name" in worker.troubles()[A].text
        assert worker.positions == moved
        near = {name: at + 1 for name, at in saved.positions.items()}
        worker = StageWorker(ENSEMBLE, "here", saved._replace(positions=near).to_bytes())
        assert (worker.troubles(), worker.positions[FEATURES.name]) == ({}, 0)

    def test_a_book_whose_records_are_lost_is_named(self) -> None:
        life = Life(sources(2), None, {A: "because"})
        worker = StageWorker(ENSEMBLE, "here", life.save())
        assert worker.lost({FEATURES.name: 1}) == A
        assert worker.lost({FEATURES.name: 0, DECISIONS.name: 0}) == ""
        assert StageWorker(ENSEMBLE, "here", life.save(), stopped={A: "lost"}).lost({FEATURES.name: 1}) == ""


def without_field(saved: bytes, book: str, field: str) -> bytes:
    """A stored state in which a book lacks a field."""
    state = stored.from_bytes(saved)
    books = load_books(state.state)
    for opened, values in books.open:
        if opened["book"] == book:
            del values[field]
    raw = books.to_bytes(*(opened["book"] for opened, _ in books.open))
    return state._replace(state=raw).to_bytes()


class TestUnreadable:
    """The stored state of one book cannot be read."""

    def test_only_that_book_stops_and_its_state_is_kept_as_it_is(self) -> None:
        log = sources(2)
        whole = Life(log, None).save()
        state = without_field(whole, A, "taken")
        for part in (3, 4):
            life = Life(grown(log, part), state)
            assert {record.book for record in life.sent} == {B}
            assert "the stored state of book a" in life.worker.troubles()[A].text
            state = life.save()
        same_as_alone(log, B)
        kept = stored.from_bytes(state)
        assert (
            kept.stopped[A].state == take_out(stored.from_bytes(without_field(whole, A, "taken")).state, A)[1]
        )
        good = take_out(stored.from_bytes(whole).state, A)[1]
        mended = kept._replace(stopped={A: kept.stopped[A]._replace(state=good)}).to_bytes()
        last = Life(log, mended)
        assert ({record.book for record in last.sent}, last.worker.troubles()) == ({A}, {})
        same_as_alone(log, A)
        same_as_alone(log, B)

    @pytest.mark.parametrize("stage", TOPOLOGY, ids=lambda stage: stage.name)
    def test_so_it_is_in_every_stage(self, stage: Stage) -> None:
        worker = StageWorker(stage, "here")
        source = stage.reads[0]
        for offset, book in enumerate((A, B)):
            worker.receive(source, offset, to_json(opening(config(), book)))
        worker.step()
        again = StageWorker(stage, "here", without_field(worker.save({}), A, "taken"))
        assert list(again.troubles()) == [A]
        assert again.logic.books() == {B}

    def test_a_control_of_a_stopped_book_is_obeyed_when_it_goes_on(self) -> None:
        log = sources(2)
        whole = Life(log, None).save()
        order = Control(book=A, number=2, action="reduce-only", effective_from=0)
        log.append(CONTROL.name, to_json(order))
        life = Life(log, without_field(whole, A, "taken"))
        kept = stored.from_bytes(life.save())
        assert kept.positions[CONTROL.name] > kept.stopped[A].positions[CONTROL.name]
        good = take_out(stored.from_bytes(whole).state, A)[1]
        worker = Life(
            grown(log, 3), kept._replace(stopped={A: kept.stopped[A]._replace(state=good)}).to_bytes()
        )
        assert any(r.topic is DECISIONS and b'"controls":[2' in r.raw for r in worker.sent if r.book == A)


def test_ticks_of_a_stopped_book_are_read_again_and_no_others_are_refused() -> None:
    worker = StageWorker(FEATURES_STAGE, "here", stopped={A: "because"})
    rows = [raws(TICKS, book) for book in (A, B)]
    mixed = [raw for pair in zip(*rows, strict=True) for raw in pair]
    for offset, raw in enumerate(mixed):
        worker.receive(TICKS, offset, raw)
    first = worker.step()
    assert {record.book for record in first} == {B}
    again = StageWorker(FEATURES_STAGE, "here", worker.save({}))
    for offset, raw in enumerate(mixed):
        again.receive(TICKS, offset, raw)
    second = again.step()
    assert {record.book for record in second} == {A}
    assert [r.raw for r in second] == raws(FEATURES, A)
