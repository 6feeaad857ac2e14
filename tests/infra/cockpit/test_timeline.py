"""A timeline tells what the events of a run say, whole, cut, doubled or begun in the middle."""

from functools import cache
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest

from simulated_book import Recorded, config, controls, opening, plain_run, spoil, ticks
from windvane.infra.cockpit.history import history
from windvane.infra.cockpit.present import state
from windvane.infra.cockpit.telling import encoded
from windvane.infra.cockpit.timeline import Timeline
from windvane.metamodel.base.times import DAY
from windvane.streams.events import (
    BookOpened,
    DeadLetter,
    Decisions,
    Event,
    Fills,
    Orders,
    Proposals,
    Statements,
    cut,
    join,
)

ROWS = 1500


@cache
def run() -> Recorded:
    return plain_run([opening(config()), spoil(ticks(ROWS))], controls())


def of(kind: type) -> list[Any]:
    return [event for _, event in run() if isinstance(event, kind)]


def told(events: list[Event] | None = None, rows: int = 10_000) -> Timeline:
    timeline = Timeline("book", rows)
    for event in [event for _, event in run()] if events is None else events:
        timeline.add(event, at=1e9)
    return timeline


def test_history_is_the_columns_of_the_decisions() -> None:
    rows = join(of(Decisions))
    found = history(told(), most=ROWS)["rows"]
    for name in (
        "seq",
        "position",
        "target",
        "wanted",
        "equity",
        "verdicts",
        "learner",
        "controls",
        "state",
        "flags",
    ):
        assert found[name].tolist() == getattr(rows, name).tolist(), name
    assert found["ts"].tolist() == (rows.ts // 10**6).tolist()
    assert found["price"].tolist() == rows.mid.tolist()
    assert found["equal"].tolist() == rows.equities[:, 1].tolist()
    for name in ("weights", "members"):
        assert np.array_equal(np.stack(found[name], axis=1), getattr(rows, name).astype(np.float32)), name
    targets = np.stack(found["targets"], axis=1)
    assert np.array_equal(targets, join(of(Proposals)).target.astype(np.float32))


def test_history_gives_what_is_new_or_older_and_says_whether_there_is_more() -> None:
    timeline = told()
    for words, first, last, more in (
        ({}, ROWS - 1440, ROWS - 1, True),
        ({"since": 1490}, 1491, 1499, True),
        ({"before": 60, "most": 30}, 30, 59, True),
        ({"before": 30}, 0, 29, False),
    ):
        found = history(timeline, **words)  # type: ignore[arg-type]
        assert (found["rows"]["seq"][0], found["rows"]["seq"][-1], found["more"]) == (first, last, more)
    for words in ({"since": 1499}, {"before": 0}, {"since": 5000}):
        assert len(history(timeline, **words)["rows"]["seq"]) == 0  # type: ignore[arg-type]


def test_the_rows_that_are_kept_are_the_newest_and_rows_that_come_again_are_passed_over() -> None:
    rows = join(of(Decisions))
    again = [event for start in range(0, ROWS, 40) for event in [cut(rows, max(0, start - 25), start + 40)]]
    found = history(told([*of(BookOpened), *again], 300), most=ROWS)["rows"]
    assert found["seq"].tolist() == list(range(ROWS - 300, ROWS))
    assert found["equity"].tolist() == rows.equity[-300:].tolist()


def test_workers_of_some_agents_each_tell_their_own_targets() -> None:
    whole = join(of(Proposals))
    halves = [
        msgspec.structs.replace(whole, agents=whole.agents[part], target=whole.target[:, part].copy())
        for part in (slice(0, 2), slice(2, 6))
    ]
    late_first = [*of(BookOpened), halves[1], join(of(Decisions)), cut(halves[0], 100, ROWS)]
    targets = np.stack(history(told(late_first), most=ROWS)["rows"]["targets"], axis=1)
    assert np.array_equal(targets[100:], whole.target[100:].astype(np.float32))
    assert np.isnan(targets[:100, :2]).all()
    assert not np.isnan(targets[:100, 2:]).any()
    begun_late = [*of(BookOpened), cut(halves[1], 50, ROWS), halves[0], join(of(Decisions))]
    targets = np.stack(history(told(begun_late), most=ROWS)["rows"]["targets"], axis=1)
    assert np.array_equal(targets[50:], whole.target[50:].astype(np.float32))
    assert np.isnan(targets[:50]).all()


def test_the_state_is_that_of_the_last_row_and_the_last_order_says_what_became_of_it() -> None:
    rows, orders, fills = join(of(Decisions)), join(of(Orders)), join(of(Fills))
    found = state(told(), now=1e9 + 5)
    assert (found["state"], found["rows"], found["age_seconds"]) == ("active", ROWS, 5.0)
    assert found["position"] == rows.position[-1]
    assert found["equity"] == rows.equity[-1]
    assert found["control"] == rows.controls[-1] == 8
    assert found["dead_letters"] == len(of(DeadLetter)) > 0
    assert found["old_after"] == 2.5 * found["spacing"] == 2.5 * config().interval / 1e9
    order = found["last_order"]
    of_it = fills.order_seq == orders.seq[-1]
    assert (order["seq"], order["qty"], order["answers"]) == (orders.seq[-1], orders.qty[-1], of_it.sum())
    assert order["filled"] == fills.qty[of_it].sum()


def test_today_began_where_yesterday_ended() -> None:
    rows = join(of(Decisions))
    yesterday = join(of(Statements))
    at = np.flatnonzero(yesterday.day == (rows.ts[-1] - 1) // DAY - 1)
    start = config().capital + yesterday.pnl[at[0], 0]
    for size in (1, 7, 97, ROWS):
        pieces = [cut(rows, at, at + size) for at in range(0, ROWS, size)]
        found = state(told([*of(BookOpened), *pieces]), 0.0)
        assert found["today_whole"]
        assert found["today"] == pytest.approx(rows.equity[-1] - start, abs=1e-6)
    begun_today = cut(rows, ROWS - 3, ROWS)
    assert not state(told([*of(BookOpened), begun_today]), 0.0)["today_whole"]
    found = state(told([*of(BookOpened), begun_today, *of(Statements)]), 0.0)
    assert found["today_whole"]
    assert found["today"] == pytest.approx(rows.equity[-1] - start, abs=1e-6)


def test_the_open_result_is_what_closing_would_bring() -> None:
    """Realised and open results, less fees, are the profit."""
    fills, timeline = join(of(Fills)), told()
    held, last = timeline.holding, float(join(of(Decisions)).mid[-1])
    assert held.qty == pytest.approx(fills.qty.sum())
    cash = -(fills.qty * fills.price).sum() - fills.fee.sum()
    profit = cash + fills.qty.sum() * last
    assert profit == pytest.approx(join(of(Decisions)).equity[-1] - config().capital, rel=1e-6)
    assert held.result(last) == pytest.approx(held.qty * (last - held.entry))
    later = [*of(BookOpened), fills, cut(join(of(Decisions)), 900, ROWS)]  # topics are read side by side
    assert told(later).holding.qty == pytest.approx(held.qty)


def test_a_control_is_known_by_the_row_that_obeyed_it_and_a_refusal_by_its_payload() -> None:
    timeline, rows = told(), join(of(Decisions))
    for number in range(1, 10):
        at = np.flatnonzero(rows.controls == number)
        assert timeline.obeyed(number) == (rows.seq[at[0]] if len(at) else None)
    assert timeline.passed(7)
    assert not timeline.passed(8)
    letter = of(DeadLetter)[-1]
    assert timeline.refusal(letter.payload) == letter.reason
    assert timeline.refusal("nothing like it") is None


def test_a_book_without_rows_has_a_state_and_a_history() -> None:
    for timeline in (Timeline("book"), told(of(BookOpened))):
        assert state(timeline, 0.0)["state"] is None
        assert len(history(timeline)["rows"]["seq"]) == 0


def test_decisions_of_another_version_are_shown_as_far_as_they_are_known() -> None:
    rows = join(of(Decisions))
    accounts = ("ensemble", *(f"other {k}" for k in range(1, len(rows.accounts))))
    other = msgspec.structs.replace(rows, members=rows.members[:, :3].copy(), accounts=accounts)
    found = orjson.loads(encoded(history(told([*of(BookOpened), other]))))["rows"]
    assert set(found["members"][0]) == set(found["equal"]) == {None}
    assert found["equity"] == rows.equity[-1440:].tolist()


def test_what_nobody_told_is_null_on_the_wire() -> None:
    rows = msgspec.structs.replace(join(of(Decisions)), regime=None)
    found = orjson.loads(encoded(history(told([*of(BookOpened), rows]))))
    assert set(found["rows"]["regime"][0]) == set(found["rows"]["targets"][0]) == {None}


def test_a_day_of_rows_is_told_in_time() -> None:
    """A look of a page costs so little that several times a second is nothing to who trades."""
    import time

    timeline = told()
    began = time.process_time()
    for _ in range(100):
        state(timeline, 1e9)
    assert (time.process_time() - began) / 100 < 0.002
