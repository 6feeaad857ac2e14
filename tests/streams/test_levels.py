"""An absurd print cannot hurt a book: whoever wrote the tick, it is a bad row; a level needs somebody who vouches."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_book import config, opening, ticks
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.base.rows import WARMUP
from windvane.streams.codec import from_json, to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    BAD,
    LEVEL,
    BookClosed,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Fills,
    Orders,
    Proposals,
    Ticks,
    cut,
    join,
)
from windvane.streams.topics import TICKS
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

ROWS = 900
OPENED = opening(config(limits=RiskLimits(), on_halt="stop"))
ACTIVE, REDUCE_ONLY, HALTED = range(3)


class Run:
    """What a book made of its ticks."""

    def __init__(
        self, rows: Ticks, controls: Sequence[Control] = (), cuts: Sequence[int] = (), opened: Any = OPENED
    ) -> None:
        self.seen: list[Event] = []
        runner = EmbeddedRunner(lambda topic, event: self.seen.append(event))
        runner.feed([opened])
        runner.control(controls)
        edges = [0, *cuts, len(rows)]
        for start, stop in pairwise(edges):
            runner.feed([cut(rows, start, stop)])
        runner.feed([BookClosed(book="book", last=len(rows) - 1)])
        self.decisions = join([e for e in self.seen if isinstance(e, Decisions)])
        self.features = join([e for e in self.seen if isinstance(e, Features)])
        self.proposals = [e for e in self.seen if isinstance(e, Proposals)]
        self.orders = [e for e in self.seen if isinstance(e, Orders)]
        self.fills = [e for e in self.seen if isinstance(e, Fills)]
        self.letters = [e for e in self.seen if isinstance(e, DeadLetter)]

    def ordered(self, start: int = 0, stop: int = ROWS) -> dict[int, float]:
        """Quantities by row."""
        whole = {s: q for o in self.orders for s, q in zip(o.seq.tolist(), o.qty.tolist(), strict=True)}
        return {s: q for s, q in whole.items() if start <= s < stop}

    def traded(self) -> list[tuple[Any, ...]]:
        """All that money depends on, row by row."""
        d = self.decisions
        columns = (d.target, d.position, d.equity, d.verdicts, d.state, d.wanted)
        return [*zip(*(c.tolist() for c in columns), strict=True)]


def moved(rows: Ticks, start: int, stop: int, factor: float, flag: int = 0) -> Ticks:
    """Rows start <= t < stop on another level."""
    changed = {name: getattr(rows, name).copy() for name in ("price", "bid", "ask")}
    for column in changed.values():
        column[start:stop] *= factor
    flags = rows.flags.copy()
    if flag and start < len(rows):
        flags[start] |= flag
    return msgspec.structs.replace(rows, flags=flags, **changed)


def unpriced(rows: Ticks, start: int, stop: int) -> Ticks:
    price = rows.price.copy()
    price[start:stop] = -1.0
    return msgspec.structs.replace(rows, price=price)


def resume(row: int, number: int = 1) -> Control:
    return Control(book="book", number=number, action="resume", effective_from=row)


@settings(max_examples=15, deadline=None)
@given(
    row=st.integers(520, ROWS - 20),
    count=st.integers(1, 2),
    factor=st.sampled_from([1e-6, 0.01, 0.4, 2.5, 1e4]),
    cuts=st.lists(st.integers(1, ROWS - 1), max_size=3, unique=True).map(sorted),
)
def test_an_absurd_print_is_a_bad_row(row: int, count: int, factor: float, cuts: list[int]) -> None:
    absurd = Run(moved(ticks(ROWS), row, row + count, factor), cuts=cuts)
    bad = Run(unpriced(ticks(ROWS), row, row + count))
    assert absurd.traded() == bad.traded()
    assert absurd.decisions.weights.tobytes() == bad.decisions.weights.tobytes()
    assert absurd.features.x.tobytes() == bad.features.x.tobytes()
    assert [letter.reason for letter in absurd.letters] == [
        "price is more than a factor of 2 from the last good one"
    ] * count
    assert all(f"seq {row + k}" in letter.source for k, letter in enumerate(absurd.letters))


@pytest.mark.parametrize("factor", [1e-4, 3.0])
def test_a_level_that_nobody_vouches_for_moves_no_money(factor: float) -> None:
    start, back = 600, 700
    run = Run(moved(ticks(ROWS), start, back, factor))
    d = run.decisions
    assert np.unique(d.equity[start : back + 2]).size == 1  # two rows until the old level is believed again
    assert not run.ordered(start, back + 2)
    assert (d.state[: start + 2] == ACTIVE).all()
    assert (d.state[start + 2 :] == REDUCE_ONLY).all()
    held = np.abs(d.position[back + 2 :])
    assert (held[1:] <= held[:-1] * 1.1 + 1e-9).all()  # price moves it, orders only lower it
    away = [letter for letter in run.letters if "until a person resumes" in letter.reason]
    assert [letter.source for letter in away] == [f"decisions of book, seq {start + 2}"]
    assert np.abs(d.equity - 1e6).max() < 2e5


def test_once_the_price_is_back_a_person_lets_it_trade_again() -> None:
    run = Run(moved(ticks(ROWS), 600, 650, 0.001), [resume(700)])
    assert (run.decisions.state[602:700] == REDUCE_ONLY).all()
    assert (run.decisions.state[700:] == ACTIVE).all()
    assert run.ordered(700)


@pytest.mark.parametrize("factor", [0.01, 40.0])
def test_who_resumes_at_another_level_believes_it(factor: float) -> None:
    run = Run(moved(ticks(ROWS), 600, ROWS, factor), [resume(750)])
    d = run.decisions
    assert np.unique(d.equity[600:750]).size == 1
    assert not run.ordered(600, 750)
    assert (d.state[750:] == ACTIVE).all()
    position = d.position[749] * factor
    assert d.position[750] == pytest.approx(position, rel=0.1)  # marked where it is now
    assert run.ordered(751)
    assert np.abs(d.position[800:]).max() <= 1.5
    assert np.abs(d.equity[755:] - d.equity[755]).max() < 3e5


def test_a_resume_on_a_bad_row_holds_for_the_next_good_one() -> None:
    rows = unpriced(moved(ticks(ROWS), 600, ROWS, 0.5 / 1.5), 750, 752)
    run = Run(rows, [resume(750)])
    assert np.unique(run.decisions.equity[600:752]).size == 1
    assert run.decisions.equity[752] != run.decisions.equity[751]
    halted = Run(rows, [resume(750), Control(book="book", number=2, action="halt", effective_from=751)])
    assert (halted.decisions.state[751:] == HALTED).all()
    assert not halted.ordered(751)


def test_features_see_no_return_where_a_level_is_believed() -> None:
    """They are those of a market that stood still over the two rows that were refused."""
    rows = ticks(ROWS)
    mid = 0.5 * (rows.bid + rows.ask)
    level = Run(moved(rows, 600, ROWS, 1000.0))
    still = Run(unpriced(moved(rows, 600, ROWS, mid[599] / mid[602]), 600, 602))
    assert level.features.x == pytest.approx(still.features.x, abs=1e-6)
    assert level.features.regime == pytest.approx(still.features.regime, abs=1e-5)


def test_agents_see_no_return_where_a_level_is_believed() -> None:
    rows = ticks(ROWS)
    mid = 0.5 * (rows.bid + rows.ask)
    level = Run(moved(rows, 600, ROWS, 1000.0))
    still = Run(unpriced(moved(rows, 600, ROWS, mid[599] / mid[602]), 600, 602))
    for ours, theirs in zip(level.proposals, still.proposals, strict=True):
        assert ours.target == pytest.approx(theirs.target, abs=1e-5)


def test_what_a_reader_vouches_for_is_a_price_like_any_other() -> None:
    run = Run(moved(ticks(ROWS), 600, ROWS, 2.5, LEVEL))
    d = run.decisions
    assert not run.letters
    assert not (run.features.flags[600:] & BAD).any()
    lots = d.position[599] * 1e6 / d.mid[599]
    assert d.equity[600] - d.equity[599] == pytest.approx(lots * (d.mid[600] - d.mid[599]), abs=2e3)
    assert (d.state == ACTIVE).all()
    assert run.features.x[600, 21] == 6.0  # its return, clipped


def test_who_vouches_for_a_row_that_ends_a_hole_vouches_for_the_next() -> None:
    rows = moved(ticks(ROWS), 600, ROWS, 2.5, LEVEL)
    rows.ts[600:] += 100 * 3600 * 10**9
    run = Run(rows)
    assert not run.letters
    assert not (run.features.flags & BAD).any()
    assert (run.decisions.state == ACTIVE).all()


@pytest.mark.parametrize(("on_halt", "after"), [("next-day", 0), ("resume-after", 50)])
@pytest.mark.parametrize("stop", [650, ROWS])
def test_history_goes_on_as_after_a_halt_and_a_live_book_does_not(
    on_halt: str, after: int, stop: int
) -> None:
    rows = moved(ticks(ROWS), 600, stop, 2.5)
    chosen: dict[str, Any] = {"limits": RiskLimits(), "on_halt": on_halt, "resume_after": after}
    run = Run(rows, opened=opening(config(**chosen)))
    day = (rows.ts - 1) // (86_400 * 10**9)
    again = 602 + after if after else 602 + int(np.argmax(day[602:] > day[602]))
    skipped = 2 if after and stop < again else 0  # the way back is refused twice
    assert (run.decisions.state[602 : again + skipped] == REDUCE_ONLY).all()
    assert (run.decisions.state[again + skipped :] == ACTIVE).all()
    assert run.ordered(again + 5)
    live = Run(rows, opened=opening(config(closing="timed", **chosen)))
    assert (live.decisions.state[602:] == REDUCE_ONLY).all()


def test_in_a_timed_book_no_reader_vouches() -> None:
    opened = opening(config(limits=RiskLimits(), closing="timed"))
    rows = moved(ticks(ROWS), 600, 601, 2.5, LEVEL)
    run = Run(rows, opened=opened)
    assert run.features.flags[600] & BAD


def test_another_level_in_the_warm_up_starts_the_series_anew() -> None:
    run = Run(moved(ticks(1300), 300, 1300, 1e-3))
    assert int(run.features.flags[813]) & WARMUP  # 302 is the first of 512 rows on it
    assert not int(run.features.flags[814]) & WARMUP
    assert (run.decisions.state == ACTIVE).all()
    assert min(run.ordered(0, 1300)) >= 814
    assert np.abs(run.decisions.position).max() <= 1.5


def test_an_absurd_first_print_is_forgotten() -> None:
    run = Run(moved(ticks(ROWS), 0, 1, 1e-6))
    assert (run.decisions.state == ACTIVE).all()
    assert run.ordered()


def test_a_row_from_the_future_is_a_bad_row_of_a_timed_book_and_of_no_other() -> None:
    rows = ticks(ROWS)
    ts = rows.ts.copy()
    ts[700] += 365 * 86_400 * 10**9
    dated = msgspec.structs.replace(rows, ts=ts, received=rows.ts + 10**9)
    run = Run(dated, opened=opening(config(limits=RiskLimits(), closing="timed")))
    assert run.features.flags[700] & BAD
    assert [letter.reason for letter in run.letters] == [
        "time is too far ahead of the broker's time of the record"
    ]
    assert run.features.ts.max() <= rows.ts.max()
    assert max(int(o.valid_until.max()) for o in run.orders) <= rows.ts.max() + OPENED.config.stale_after
    lockstep = Run(dated)
    assert not lockstep.features.flags[700] & BAD
    assert "most_ahead" in OPENED.config.__struct_fields__


def test_the_bound_is_the_books() -> None:
    rows = ticks(600)
    received = rows.ts - 100 * 10**9
    for most, bad in ((99, True), (100, False)):
        opened = opening(config(closing="timed", most_ahead=most * 10**9))
        run = Run(msgspec.structs.replace(rows, received=received), opened=opened)
        assert bool((run.features.flags & BAD).all()) == bad


class TestTheTimeOfARecord:
    """What its reader tells a worker counts, what the sender of a row says does not; a recovery decides the same."""

    @staticmethod
    def worked(saved: bytes | None = None) -> StageWorker:
        return StageWorker(next(s for s in TOPOLOGY if s.name == "features"), "here", saved)

    @staticmethod
    def features(worker: StageWorker) -> list[Event]:
        return [from_json(record.raw) for record in worker.step()]

    def test_it_is_the_brokers(self) -> None:
        rows = ticks(40)
        timed, now = opening(config(closing="timed")), int(rows.ts[39])
        claimed = msgspec.structs.replace(cut(rows, 20, 21), received=rows.ts[20:21])
        future = msgspec.structs.replace(claimed, ts=rows.ts[20:21] + 86_400 * 10**9)
        worker = self.worked()
        worker.receive(TICKS, 0, to_json(timed), now)
        worker.receive(TICKS, 1, to_json(cut(rows, 0, 20)), now)
        worker.receive(TICKS, 2, to_json(future), now)
        worker.receive(TICKS, 3, to_json(cut(rows, 21, 40)), now)
        seen = join([e for e in self.features(worker) if isinstance(e, Features)])
        assert np.flatnonzero(seen.flags & BAD).tolist() == [20]
        worker.receive(
            TICKS, 4, to_json(msgspec.structs.replace(cut(rows, 39, 40), seq=np.array([40]))), 10**9
        )
        late = join([e for e in self.features(worker) if isinstance(e, Features)])
        assert late.flags[0] & BAD  # it was recorded long before its own time, whatever the clock says now

    def test_a_recovery_decides_the_same(self) -> None:
        rows = moved(ticks(60), 30, 60, 5.0)
        timed, now = opening(config(closing="timed")), int(rows.ts[0])
        raws = [to_json(timed), *(to_json(cut(rows, t, t + 1)) for t in range(60))]
        times = [now + t * 20 * 10**9 for t in range(61)]  # bars are rarer: rows are ever more ahead
        whole = self.worked()
        for offset, raw in enumerate(raws):
            whole.receive(TICKS, offset, raw, times[offset])
        wanted = join([e for e in self.features(whole) if isinstance(e, Features)])
        parts, saved = [], None
        for start in range(0, 61, 7):
            worker = self.worked(saved)
            for offset in range(start, min(start + 7, 61)):
                worker.receive(TICKS, offset, raws[offset], times[offset])
            parts += [e for e in self.features(worker) if isinstance(e, Features)]
            saved = worker.save({})
        got = join(parts)
        assert got.flags.tobytes() == wanted.flags.tobytes()
        assert got.x.tobytes() == wanted.x.tobytes()
        assert (wanted.flags & BAD).any()
        assert not (wanted.flags & BAD).all()
