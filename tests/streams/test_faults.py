"""Whatever crashes, doubles or moves: every row is decided once, and the log says what an undisturbed run says."""

from collections.abc import Iterable
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from simulated_book import config, controls_and_swaps, opening, plain_run, spoil, table, ticks
from windvane.streams.codec import cuts, from_json, to_json
from windvane.streams.events import Batch, BookClosed, DeadLetter, Event, Fills, Model, Orders, cut
from windvane.streams.records import fill_lines, order_lines, seq_of_line
from windvane.streams.testing.faults import Faults, FaultyRunner
from windvane.streams.topics import CONTROL, DEAD_LETTERS, DECISIONS, FILLS, MODELS, ORDERS, STATEMENTS, TICKS

ROWS = 1300
BOOKS = ("book", "other")


def book(name: str, seed: int) -> tuple[list[Event], list[Event]]:
    rows = spoil(ticks(ROWS, seed, name))
    return [opening(config(seed=seed), name), rows, BookClosed(book=name, last=ROWS - 1)], controls_and_swaps(
        name
    )


def faulty(seed: int, faults: Faults) -> FaultyRunner:
    """Two books on one partition, their records cut and mixed at random, some twice."""
    runner = FaultyRunner(seed, faults)
    random = np.random.default_rng(seed)
    queues: list[list[Event]] = []
    for place, name in enumerate(BOOKS):
        (start, rows, end), orders = book(name, place + 1)
        assert isinstance(rows, Batch)
        for order in orders:
            runner.send(MODELS if isinstance(order, Model) else CONTROL, [to_json(order)])
        edges = sorted({0, ROWS, *random.integers(1, ROWS, 25).tolist()})
        pieces = [p for a, b in pairwise(edges) for p in cuts(cut(rows, a, b))]
        queues.append([start, *pieces, end])
    while any(queues):
        queue = queues[int(random.integers(len(queues)))]
        if queue:
            event = queue.pop(0)
            runner.send(TICKS, [to_json(event)] * (1 + int(random.random() < 0.1)))
    runner.run()
    return runner


def wanted() -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for place, name in enumerate(BOOKS):
        events, orders = book(name, place + 1)
        for topic, event in plain_run(events, orders):
            found.setdefault(topic.name, []).append(msgspec.structs.replace(event, book=name))
    return found


@pytest.fixture(scope="module")
def plain() -> dict[str, list[Event]]:
    return wanted()


def told(events: Iterable[Event]) -> list[tuple[str, str, str]]:
    """What is told of controls."""
    letters = (e for e in events if isinstance(e, DeadLetter) and e.source.startswith("Control of book "))
    return sorted((e.book, e.source, e.reason) for e in letters)


def check(runner: FaultyRunner, plain: dict[str, list[Event]]) -> None:
    symbol = config().symbol
    letters = told(map(from_json, runner.log.raws(DEAD_LETTERS)))
    assert letters == told(plain[DEAD_LETTERS.name])
    assert len(letters) == 8
    for topic, lines, kind in ((ORDERS, order_lines, Orders), (FILLS, fill_lines, Fills)):
        theirs = [line for e in plain[topic.name] if isinstance(e, kind) for _, line in lines(e, symbol)]
        mine = list(runner.log.raws(topic))
        assert sorted(mine, key=seq_of_line) == sorted(theirs, key=seq_of_line), topic.name
    for topic in (DECISIONS, STATEMENTS):
        found = [from_json(raw) for raw in runner.log.raws(topic)]
        for name in BOOKS:
            mine = [e for e in found if e.book == name and isinstance(e, Batch)]
            seqs = np.concatenate([e.seq for e in mine])
            assert (np.diff(seqs) > 0).all() or topic is STATEMENTS, (
                f"{topic.name} of {name} out of order or twice"
            )
            theirs = [e for e in plain[topic.name] if e.book == name]
            a, b = table(mine), table(theirs)
            assert a.keys() == b.keys()
            for kind in a:
                left, right = a[kind], b[kind]
                assert isinstance(left, dict)
                assert isinstance(right, dict)
                for column in right:
                    assert left[column].tobytes() == right[column].tobytes(), f"{topic.name}, {column}"


class TestFaultyRunner:
    """The topology under the scheduler of faults."""

    def test_without_faults_the_log_says_what_the_plain_run_says(self, plain: dict[str, list[Event]]) -> None:
        quiet = Faults(crash=0, lost_commit=0, zombie=0, empty=0, twice=0)
        check(faulty(0, quiet), plain)

    @pytest.mark.parametrize("seed", range(30))
    def test_no_row_is_lost_doubled_or_changed(self, seed: int, plain: dict[str, list[Event]]) -> None:
        runner = faulty(seed, Faults(most=30))
        assert runner.struck > 3
        check(runner, plain)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(1000, 2000))
    def test_no_row_is_lost_doubled_or_changed_in_a_thousand_runs(
        self, seed: int, plain: dict[str, list[Event]]
    ) -> None:
        check(faulty(seed, Faults(crash=0.01 + 0.04 * (seed % 4), zombie=0.01 * (seed % 5))), plain)
