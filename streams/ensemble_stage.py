"""Stage "ensemble": one round a row; decisions, orders and fills come from here and nowhere else."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from windvane.metamodel.control import CONTROLS
from windvane.metamodel.ensemble import MetaLearningRiskManagedEnsemble, Round
from windvane.streams.books import BookStage
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Fills,
    LearnerUpdate,
    Orders,
    Proposals,
    Statements,
)
from windvane.streams.feedback_stage import joined
from windvane.streams.joining import Joint, Step
from windvane.streams.schedule import Schedule
from windvane.streams.topics import LEARNER

_COLUMNS = ("pnl", "position", "turnover", "fees", "orders", "exposure", "rows", "drawdown", "halts")


class _Book:
    def __init__(self, opened: BookOpened) -> None:
        self.name = opened.book
        self.config = opened.config
        self.ensemble = MetaLearningRiskManagedEnsemble(opened.config)
        self.joint = Joint(opened.config.agents)
        self.schedule = Schedule(opened.config.weighing)
        self.due: list[int] = []  # rows that must not be passed before the next learner version is known
        self.updates: dict[int, LearnerUpdate] = {}  # known, not in effect yet
        self.version = 0
        self.controls: dict[int, Control] = {}  # known, not applied yet
        self.control = 0  # number of the last one applied
        self.control_row = -1  # seq it was applied at

    def save(self) -> dict[str, Any]:
        return {
            "taken": self.joint.taken,
            "good": self.schedule.good,
            "due": self.due,
            "updates": [msgspec.to_builtins(u) for u in self.updates.values()],
            "version": self.version,
            "controls": [msgspec.to_builtins(c) for c in self.controls.values()],
            "control": self.control,
            "control_row": self.control_row,
            **self.ensemble.state(),
        }

    def load(self, saved: dict[str, Any]) -> None:
        self.joint = Joint(self.config.agents, saved["taken"])
        self.schedule.good = saved["good"]
        self.due = list(saved["due"])
        updates = [msgspec.convert(u, LearnerUpdate) for u in saved["updates"]]
        self.updates = {u.version: u for u in updates}
        self.version = saved["version"]
        controls = [msgspec.convert(c, Control) for c in saved["controls"]]
        self.controls = {c.number: c for c in controls}
        self.control, self.control_row = saved["control"], saved["control_row"]
        self.ensemble.restore(saved)

    def next_control(self) -> Control | None:
        """The control to apply next: numbers have no gaps, and one rules from one row."""
        return self.controls.get(self.control + 1)

    def control_seq(self, control: Control) -> int:
        """The row a control is applied at: never in the past, one a row."""
        return max(control.effective_from, self.joint.taken, self.control_row + 1)


class EnsembleStage(BookStage[_Book]):
    """Features, Proposals, LearnerUpdates and Controls in; Decisions, Orders, Fills and Statements out."""

    def open(self, opened: BookOpened) -> _Book:
        """A new book."""
        return _Book(opened)

    def restore(self, opened: BookOpened, saved: dict[str, Any]) -> _Book:
        """A book from its snapshot."""
        book = _Book(opened)
        book.load(saved)
        return book

    def take(self, state: _Book, event: Event) -> Iterator[Event]:
        """Hold rows, learner versions and controls; the first of every number wins."""
        if isinstance(event, Features | Proposals):
            yield from joined(state.joint, event)
        elif isinstance(event, LearnerUpdate):
            if event.version > state.version:
                state.updates.setdefault(event.version, event)
        elif isinstance(event, Control):
            if event.action not in CONTROLS:
                yield DeadLetter(
                    book=state.name,
                    source=f"control {event.number}",
                    reason=f"unknown control {event.action!r}: give one of {', '.join(CONTROLS)}",
                    payload=event.reason,
                )
            elif event.number > state.control:
                state.controls.setdefault(event.number, event)

    def done(self, state: _Book) -> int:
        """Next seq."""
        return state.joint.taken

    def waits_for(self, state: _Book) -> Iterator[str]:
        """Whoever has the next row, or the learner version that it needs."""
        yield state.joint.waits or LEARNER.name

    def closed(self, state: _Book, event: BookClosed) -> Iterator[Event]:
        """The statement of the unfinished day."""
        last = state.ensemble.close()
        if last is not None:
            yield _statements(state, last)

    def advance(self, state: _Book, closing: int | None) -> Iterator[Event]:
        """Rounds for all rows that are there, up to the first that needs a learner version not known yet."""
        for step in state.joint.steps(lambda start, stop: _barrier(state, start, stop)):
            yield from _rounds(state, step)


def _barrier(state: _Book, start: int, stop: int) -> int:
    """How far the next step may go: one learner version and at most one control in it, at its first row."""
    while state.due and state.due[0] == start and state.version + 1 in state.updates:
        state.due.pop(0)
        state.version += 1
        del state.updates[state.version]
    if state.due:
        stop = min(stop, state.due[0])
    control = state.next_control()
    if control is not None:
        at = state.control_seq(control)
        stop = min(stop, at if at > start else start + 1)
    rest = state.schedule.every - state.schedule.good % state.schedule.every
    return min(
        stop, start + rest
    )  # a row that trains a version ends its step, so that `due` is known in time


def _rounds(state: _Book, step: Step) -> Iterator[Event]:
    rows, control = step.features, state.next_control()
    n = len(rows)
    codes = None
    if control is not None and max(control.effective_from, state.control_row + 1) <= rows.first:
        codes = np.zeros(n, np.int64)
        codes[0] = CONTROLS.index(control.action) + 1
        state.control, state.control_row = control.number, rows.first
        del state.controls[control.number]
    result = state.ensemble.step(
        rows.seq,
        rows.ts,
        rows.flags,
        rows.x,
        rows.mid,
        step.target,
        step.confidence,
        bid=rows.bid,
        ask=rows.ask,
        size=rows.size,
        control=codes,
    )
    out = result.outputs
    state.due.extend(seq + state.schedule.lag for _, seq in state.schedule.advance(rows.seq, rows.flags))
    yield Decisions(
        book=state.name,
        seq=rows.seq,
        ts=rows.ts,
        flags=rows.flags,
        mid=rows.mid,
        weights=out.weights,
        members=out.members,
        member_targets=out.member_targets,
        wanted=out.value[0],
        target=out.value[1],
        verdicts=out.verdict,
        state=out.state,
        position=out.value[2],
        equity=out.value[3],
        equities=out.equities,
        learner=np.full(n, state.version, np.int64),
        controls=np.full(n, state.control, np.int64),
        agents=state.config.agents,
        accounts=state.ensemble.accounts,
        regime=rows.regime,
    )
    if result.orders:
        yield _orders(state, rows, result)
    if result.fills:
        yield _fills(state, rows, result)
    if result.statements:
        yield _statements(state, result)


def _orders(state: _Book, rows: Features, result: Round) -> Orders:
    out, n = result.outputs, result.orders
    at = out.order_row[:n]
    return Orders(
        book=state.name,
        seq=rows.seq[at],
        ts=rows.ts[at],
        qty=out.order[:n, 0].copy(),
        price=rows.mid[at],
        reduce_only=out.order_kind[:n, 0].copy(),
        valid_until=rows.ts[at] + state.config.stale_after,
        target_after=out.order[:n, 1].copy(),
        reason=out.order_kind[:n, 1].copy(),
    )


def _fills(state: _Book, rows: Features, result: Round) -> Fills:
    out, n = result.outputs, result.fills
    at = out.fill_row[:n]
    return Fills(
        book=state.name,
        seq=rows.seq[at],
        order_seq=out.fill_seq[:n].copy(),
        ts=rows.ts[at],
        qty=out.fill[:n, 0].copy(),
        price=out.fill[:n, 1].copy(),
        fee=out.fill[:n, 2].copy(),
    )


def _statements(state: _Book, result: Round) -> Statements:
    out, n = result.outputs, result.statements
    return Statements(
        book=state.name,
        seq=out.statement_at[:n, 0].copy(),
        ts=out.statement_at[:n, 1].copy(),
        day=out.statement_at[:n, 2].copy(),
        accounts=state.ensemble.accounts,
        **{name: out.statement[:n, i].copy() for i, name in enumerate(_COLUMNS)},
    )
