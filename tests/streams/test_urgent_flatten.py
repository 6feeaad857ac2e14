"""A person's flatten at a heartbeat, through the stages: what is published, recovered and replayed."""

from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest

from as_recorded import as_recorded
from simulated_book import config, opening, plain_run, same, table, ticks
from windvane.metamodel.base.config import Costs
from windvane.metamodel.base.limits import RiskLimits
from windvane.streams.codec import from_json, from_packed, to_json, to_packed
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    HEARTBEAT,
    BookClosed,
    BookOpened,
    Control,
    Decisions,
    Event,
    Features,
    Fills,
    LearnerUpdate,
    Orders,
    Proposals,
    Statements,
    Ticks,
    cut,
    join,
)
from windvane.streams.records import each_fill, each_order, fill_lines, order_lines
from windvane.streams.testing.faults import Faults, FaultyRunner
from windvane.streams.topics import CONTROL, FILLS, ORDERS, TICKS
from windvane.streams.wire import WireError

ROWS, ORDERED, GOOD = 820, 699, 704
"""The flatten rules from a heartbeat on; the first good row after it."""

OPENED = opening(config(limits=RiskLimits(), costs=Costs(delay=1)))
WORDS = ("halt", "reduce-only", "resume", "flatten")


def silent() -> Ticks:
    """Rows among which the market is silent from ORDERED on, until GOOD."""
    rows = ticks(ROWS)
    rows.flags[ORDERED:GOOD] = HEARTBEAT
    return rows


def ordered(action: str, row: int, number: int = 1) -> Control:
    return Control(book="book", number=number, action=action, effective_from=row)


@cache
def flattened(opened: BookOpened = OPENED) -> tuple[Event, ...]:
    """All that was on a topic."""
    events = [opened, silent(), BookClosed(book="book", last=ROWS - 1)]
    return tuple(event for _, event in plain_run(events, [ordered("flatten", ORDERED)]))


def of(kind: type[Any], events: Any) -> Any:
    return join([event for event in events if isinstance(event, kind)])


def test_the_order_has_the_last_good_price_and_is_filled_at_the_next_good_row() -> None:
    decisions, features = of(Decisions, flattened()), of(Features, flattened())
    (order,) = (o for o in each_order(of(Orders, flattened()), "BTCUSD") if o.seq >= ORDERED)
    assert (order.id, order.reason, order.reduce_only) == (f"book.{ORDERED}.order", "flatten", True)
    assert order.price == features.mid[ORDERED - 1]
    assert order.target_after == 0.0
    fills = [f for f in each_fill(of(Fills, flattened()), "BTCUSD") if f.seq >= ORDERED]
    assert [(f.seq, f.order_id) for f in fills][-1] == (GOOD, order.id)
    assert (decisions.position[GOOD:] == 0.0).all()
    assert (decisions.state[ORDERED:] == 2).all()
    assert set(decisions.controls[ORDERED:].tolist()) == {1}


@pytest.mark.parametrize(("write", "read"), [(to_json, from_json), (to_packed, from_packed)])
def test_two_fills_of_a_row_are_read_again(write: Any, read: Any) -> None:
    fills = of(Fills, flattened())
    assert write(read(write(fills))) == write(fills)


def test_three_fills_of_a_row_are_refused() -> None:
    fills = of(Fills, flattened())
    three = msgspec.structs.replace(cut(fills, 0, 3), seq=np.full(3, 7))
    for wrong in (three, msgspec.structs.replace(cut(fills, 0, 2), seq=np.array([7, 6]))):
        with pytest.raises(WireError, match="seq must grow"):
            from_json(to_json(wrong))


def test_two_orders_that_are_filled_at_one_row_have_fills_of_their_own() -> None:
    fills = [f for f in each_fill(of(Fills, flattened()), "BTCUSD") if f.seq == GOOD]
    assert [f.id for f in fills] == [f"book.{GOOD}.fill", f"book.{GOOD}.fill2"]
    assert fills[0].order_id == f"book.{ORDERED - 1}.order"
    columns = of(Fills, flattened())
    at = int(np.searchsorted(columns.seq, GOOD)) + 1
    (second,) = (f for f in each_fill(cut(columns, at, at + 1), "BTCUSD", GOOD))  # however the rows are cut
    assert second == fills[1]


@pytest.mark.parametrize("action", WORDS)
@pytest.mark.parametrize("closing", ["lockstep", "timed"])
def test_a_control_stands_in_the_decision_of_the_heartbeat(action: str, closing: str) -> None:
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event))
    rows, before = silent(), "halt" if action == "resume" else "resume"
    runner.feed([opening(config(closing=closing)), cut(rows, 0, ORDERED - 1)])
    runner.control([ordered(before, 0)])
    runner.feed([cut(rows, ORDERED - 1, ORDERED)])
    runner.control([ordered(action, 0, 2)])
    runner.feed([cut(rows, ORDERED, ORDERED + 1)])
    last = [event for event in seen if isinstance(event, Decisions)][-1]
    state = {"halt": 2, "reduce-only": 1, "resume": 0, "flatten": 2}[action]
    assert (last.last, int(last.controls[-1]), int(last.state[-1])) == (ORDERED, 2, state)


def results(events: Any) -> Any:
    return table(e for e in events if isinstance(e, Decisions | Orders | Fills | Statements))


@pytest.mark.parametrize("closing", ["lockstep", "timed"])
def test_as_recorded_gives_the_same_bytes(closing: str) -> None:
    opened = opening(config(limits=RiskLimits(), costs=Costs(delay=1), closing=closing))
    run = flattened(opened)
    inputs = [e for e in run if isinstance(e, Features | Proposals | LearnerUpdate | Control | BookClosed)]
    pieces = [e for e in run if isinstance(e, Decisions)]
    again = [e for e in as_recorded(opened, pieces, inputs) if not isinstance(e, Statements)]
    same(results(again), results(e for e in run if not isinstance(e, Statements)))


@pytest.mark.parametrize("at", [ORDERED, ORDERED + 1, GOOD, GOOD + 1])
def test_a_stored_state_goes_on_with_the_order_in_flight(at: int) -> None:
    run = flattened()
    features, proposals = of(Features, run), of(Proposals, run)
    updates = [e for e in run if isinstance(e, LearnerUpdate)]
    first = EnsembleStage(None)
    out = first.step([OPENED, *updates, ordered("flatten", ORDERED)])
    out += first.step([cut(features, 0, at), cut(proposals, 0, at)])
    second = EnsembleStage(first.snapshot())
    out += second.step([cut(features, at, ROWS), cut(proposals, at, ROWS)])
    out += second.step([BookClosed(book="book", last=ROWS - 1)])
    same(results(out), results(run))


@pytest.mark.parametrize("seed", range(4))
def test_after_crashes_no_fill_is_lost_or_doubled(seed: int) -> None:
    runner = FaultyRunner(seed, Faults(most=30))
    runner.send(CONTROL, [to_json(ordered("flatten", ORDERED))])
    rows = silent()
    cuts = [0, *range(600, 760, 2), ROWS]
    pieces = [cut(rows, a, b) for a, b in pairwise(cuts)]
    runner.send(TICKS, [to_json(e) for e in (OPENED, *pieces, BookClosed(book="book", last=ROWS - 1))])
    runner.run()
    assert runner.struck > 3
    for topic, kind, lines in ((ORDERS, Orders, order_lines), (FILLS, Fills, fill_lines)):
        wanted = [raw for _, raw in lines(of(kind, flattened()), OPENED.config.symbol)]
        assert list(runner.log.raws(topic)) == wanted, topic.name
