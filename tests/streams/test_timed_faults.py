"""Timed books under every fault: each row is decided once, and all of it follows from the choices in the log."""

from functools import cache
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from as_recorded import as_recorded
from simulated_book import config, controls, controls_and_swaps, opening, same, spoil, table, ticks
from windvane.agents.factory import RULES
from windvane.metamodel.base.rows import REPEATED, WARMUP
from windvane.streams.codec import cuts, from_json, to_json
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    DeadLetter,
    Decisions,
    Event,
    Fills,
    Model,
    Orders,
    Statements,
    cut,
    join,
)
from windvane.streams.records import fill_lines, order_lines
from windvane.streams.stage import Stage
from windvane.streams.testing.faults import Faults, FaultyRunner
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

ROWS = 1300
BOOKS = ("book", "other")
HALVES = (tuple(RULES)[:3], tuple(RULES)[3:])
TIMED = {"closing": "timed", "round_timeout": 250_000_000, "quorum_lag": 150}
STRUCK = Faults(crash=0.01, lost_commit=0.01, zombie=0.01, away=0.04, late=True, most=40)


def topology() -> list[Stage]:
    """Two workers of the proposals stage, so that one of them may stand still."""
    stages = []
    for stage in TOPOLOGY:
        if stage.name == "proposals":
            halves = zip("ab", HALVES, strict=True)
            stages += [stage.run_by(agents)._replace(name=f"proposals-{half}") for half, agents in halves]
        else:
            stages.append(stage)
    return stages


def opened(name: str) -> BookOpened:
    return opening(config(seed=BOOKS.index(name), **TIMED), name)


@cache
def records(name: str, seed: int) -> list[bytes]:
    """The ticks of a book, cut at random."""
    rows = spoil(ticks(ROWS, BOOKS.index(name) + 1, name))
    edges = sorted({0, ROWS, *np.random.default_rng(seed).integers(1, ROWS, 40).tolist()})
    pieces = [p for a, b in pairwise(edges) for p in cuts(cut(rows, a, b))]
    return [to_json(e) for e in (opened(name), *pieces, BookClosed(book=name, last=ROWS - 1))]


def run(seed: int, faults: Faults) -> FaultyRunner:
    runner = FaultyRunner(seed, faults, topology())
    random = np.random.default_rng(seed)
    queues = [list(records(name, seed % 4)) for name in BOOKS]
    for name in BOOKS:
        for order in controls_and_swaps(name):
            runner.send(MODELS if isinstance(order, Model) else CONTROL, [to_json(order)])
    now = 0
    while any(queues):
        now += int(random.integers(500_000_000))
        queue = queues[int(random.integers(len(queues)))]
        if queue:
            runner.send_later(now, TICKS, queue.pop(0))
    runner.run()
    return runner


def events(runner: FaultyRunner, topic: Topic, book: str) -> list[Event]:
    return [e for e in map(from_json, runner.log.raws(topic)) if e.book == book]


def decided(runner: FaultyRunner, book: str) -> Decisions:
    return join([e for e in events(runner, DECISIONS, book) if isinstance(e, Decisions)])


def lines(runner: FaultyRunner, topic: Topic, book: str) -> list[bytes]:
    return [raw for raw in runner.log.raws(topic) if msgspec.json.decode(raw)["book"] == book]


def check(runner: FaultyRunner) -> None:
    for book in BOOKS:
        rows = decided(runner, book)
        assert rows.seq.tolist() == list(range(ROWS))
        orders, fills = lines(runner, ORDERS, book), lines(runner, FILLS, book)
        for found in (orders, fills):
            ids = [msgspec.json.decode(raw)["id"] for raw in found]
            assert len(ids) == len(set(ids))
        check_positions(rows, fills)
        check_as_recorded(runner, book, rows)


def check_positions(rows: Decisions, fills: list[bytes]) -> None:
    """The position after every row is the sum of the fills up to it, marked at the last mid that is believed."""
    qty = np.zeros(ROWS)
    for fill in map(msgspec.json.decode, fills):
        qty[fill["seq"]] += fill["qty"] if fill["side"] == "buy" else -fill["qty"]
    mid, last = np.empty(ROWS), float(rows.mid[int(np.argmax(rows.flags & REPEATED == 0))])
    for t in range(ROWS):
        if rows.flags[t] & REPEATED == 0 and 0.5 <= rows.mid[t] / last <= 2.0:
            last = float(rows.mid[t])
        mid[t] = last
    held = np.cumsum(qty) * mid / config().capital
    warm = rows.flags & WARMUP == 0
    np.testing.assert_allclose(rows.position[warm], held[warm], atol=1e-9)


def told(letters: list[Event]) -> list[str]:
    """What is told of controls, each once; that a model was not there in time is not for a replay to say."""
    mine = [e for e in letters if isinstance(e, DeadLetter) and e.source.startswith("Control of book ")]
    return sorted(e.reason for e in mine if "which is not there" not in e.reason)


def check_as_recorded(runner: FaultyRunner, book: str, rows: Decisions) -> None:
    inputs = [e for t in (MODELS, CONTROL, LEARNER, PROPOSALS, FEATURES) for e in events(runner, t, book)]
    again = list(as_recorded(opened(book), [rows], inputs))
    kept = [e for t in (DECISIONS, STATEMENTS) for e in events(runner, t, book)]
    same(table(e for e in again if isinstance(e, Decisions | Statements)), table(kept))
    assert told(again) == told(events(runner, DEAD_LETTERS, book))
    symbol = config().symbol
    assert [raw for e in again if isinstance(e, Orders) for _, raw in order_lines(e, symbol)] == lines(
        runner, ORDERS, book
    )
    assert [raw for e in again if isinstance(e, Fills) for _, raw in fill_lines(e, symbol)] == lines(
        runner, FILLS, book
    )


class TestTimedFaults:
    """Timed books under the scheduler of faults."""

    @pytest.mark.parametrize("seed", range(30))
    def test_every_row_is_decided_once_and_follows_from_what_is_recorded(self, seed: int) -> None:
        runner = run(seed, STRUCK)
        assert runner.struck > 10
        check(runner)

    def test_the_faults_put_agents_to_sleep_and_let_them_catch_up(self) -> None:
        """Else the runs above would show nothing."""
        slept = woke = nobody = late = halves = 0
        for seed in range(4):
            runner = run(seed, STRUCK)
            for book in BOOKS:
                rows = decided(runner, book)
                assert rows.awake is not None
                slept += int((np.diff(rows.awake, axis=0) < 0).any(axis=1).sum())
                woke += int((np.diff(rows.awake, axis=0) > 0).any(axis=1).sum())
                nobody += int((rows.awake.sum(axis=1) == 0).sum())
                halves += int(((rows.awake.sum(axis=1) > 0) & (rows.awake.sum(axis=1) < len(RULES))).sum())
                if book == "book":
                    first = [
                        (int(np.argmax(rows.controls == order.number)), order) for order in controls(book)
                    ]
                    late += sum(at > order.effective_from for at, order in first)
        assert min(nobody, halves, late) > 0
        assert min(slept, woke) > 8

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(1000, 2000))
    def test_every_row_is_decided_once_in_a_thousand_runs(self, seed: int) -> None:
        check(
            run(
                seed,
                Faults(
                    crash=0.01 + 0.02 * (seed % 4),
                    zombie=0.01 * (seed % 5),
                    away=0.02 * (seed % 6),
                    late=True,
                ),
            )
        )
