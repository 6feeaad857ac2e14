"""Stage "ensemble": one round a row; decisions, orders and fills come from here and nowhere else."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from windvane.agents.base import Ints
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.trading.columns import STATEMENT, Inputs
from windvane.metamodel.trading.control import CONTROLS
from windvane.metamodel.trading.ensemble import Round
from windvane.streams.books import BookStage, letter
from windvane.streams.control_log import refusal, unapplied
from windvane.streams.ensemble_book import EnsembleBook, barrier, upcast_v1_v2, upcast_v2_v3
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
    Model,
    Orders,
    Proposals,
    Statements,
)
from windvane.streams.feedback_stage import joined
from windvane.streams.joining import Step
from windvane.streams.retraining import weights_of
from windvane.streams.topics import CONTROL, LEARNER, MODELS

_CLOSED = "the book is closed"
_RESUMED_BY = {"timed": "a person resumes", "lockstep": "a person resumes, or as on_halt says"}


class EnsembleStage(BookStage[EnsembleBook]):
    """Features, Proposals, LearnerUpdates, Models and Controls in; Decisions, Orders, Fills and Statements out."""

    upcasts = (upcast_v1_v2, upcast_v2_v3)

    def __init__(self, snapshot: bytes | None) -> None:
        self._followed: dict[str, list[Decisions]] = {}  # of books that are not open yet
        super().__init__(snapshot)

    def open(self, opened: BookOpened) -> EnsembleBook:
        """A new book."""
        book = EnsembleBook(opened)
        for decisions in self._followed.pop(opened.book, ()):
            book.recorded.add(decisions)
        return book

    def restore(self, opened: BookOpened, saved: dict[str, Any]) -> EnsembleBook:
        """A book from its snapshot."""
        book = EnsembleBook(opened)
        book.load(saved)
        return book

    def take(self, state: EnsembleBook, event: Event) -> Iterator[Event]:
        """Hold rows, learner versions, models and controls; the first of every number wins."""
        if isinstance(event, Features | Proposals):
            yield from joined(state.joint, event)
        elif isinstance(event, LearnerUpdate):
            if event.version > state.version:
                yield from _known(state, event)
        elif isinstance(event, Model):
            try:
                state.hold(event)
            except WeightsError as error:
                yield letter(event, f"model {event.number} of book {state.name} is left out: {error}")
        elif isinstance(event, Control):
            why = state.hear(event)
            if why:
                yield unapplied(event, why)

    def done(self, state: EnsembleBook) -> int:
        """Next seq."""
        return state.joint.taken

    def waits_for(self, state: EnsembleBook) -> Iterator[str]:
        """Whoever has the next row, or the learner version or control that it needs."""
        if state.lacks():
            yield state.lacks()
        lacks = (state.joint.waits,) if state.timed is None else state.timed.lacks
        yield from filter(None, lacks) if any(lacks) else (LEARNER.name, CONTROL.name, MODELS.name)

    def follow(self, decisions: Decisions) -> None:
        """Choices of time that were recorded: make the same again."""
        if decisions.book in self._states:
            self._states[decisions.book].recorded.add(decisions)
        elif decisions.book not in self._closed:
            self._followed.setdefault(decisions.book, []).append(decisions)

    def waiting(self) -> Mapping[str, tuple[int, int]]:
        """Timed books: rows start <= seq < stop whose features are there and whose round is open."""
        return {
            book: state.timed.open
            for book, state in self._states.items()
            if state.timed is not None and state.timed.open is not None
        }

    def close(self, book: str, stop: int) -> None:
        """Timed books: in the next step, close the rounds below `stop` with the agents that have answered."""
        state = self._states.get(book)
        if state is not None and state.timed is not None:
            state.timed.close(stop)
            self._moved[book] = None

    def closed(self, state: EnsembleBook, event: BookClosed) -> Iterator[Event]:
        """The statement of the unfinished day, and controls for rows that the book never had."""
        last = state.ensemble.close()
        if last is not None:
            yield _statements(state, last)
        for control in state.controls.values():
            yield unapplied(control, _CLOSED)

    def late(self, event: Event) -> Iterator[Event]:
        """A control of a closed book is told of."""
        if isinstance(event, Control):
            yield unapplied(event, _CLOSED)

    def advance(self, state: EnsembleBook, closing: int | None) -> Iterator[Event]:
        """Rounds for all rows that are there, up to the first that needs a learner version not known yet."""
        for step in state.joint.steps(lambda start, stop: barrier(state, start, stop)):
            yield from _rounds(state, step)
        for control in state.lacking():
            yield refusal(
                control,
                f"control {control.number} of book {state.name} swaps to model {control.model[:16]}, which is not "
                "there: it waits, rows do not, and a later control passes it",
            )


def _known(state: EnsembleBook, update: LearnerUpdate) -> Iterator[Event]:
    """Keep a version for the row that it is for; one whose weights cannot be used changes nothing, and is told of."""
    if update.version in state.updates:
        return
    if update.outcome == "swapped":
        try:
            state.ensemble.manager.check_predictor(weights_of(update))
        except WeightsError as error:
            yield letter(update, f"learner version {update.version} of book {state.name} is kept: {error}")
            update = msgspec.structs.replace(update, outcome="kept", weights="")
    state.updates[update.version] = update


def _rounds(state: EnsembleBook, step: Step) -> Iterator[Event]:
    rows, control = step.features, state.ordered
    n = len(rows)
    codes = None
    if control is not None:
        codes = np.zeros(n, np.int64)
        codes[0] = CONTROLS.index(control.action) + 1
        yield from _relearned(state, control)
        for passed in state.applied(control, rows.first):
            yield unapplied(passed, state.log.passed(passed.number))
    before = state.ensemble.away
    result = state.ensemble.step(
        Inputs.of(
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
            regime=rows.regime,
            control=codes,
            awake=step.awake,
        )
    )
    out = result.outputs
    yield from _strays(state, rows, before, out.away)
    trained = state.schedule.advance(rows.seq, rows.flags)
    if state.timed is None:
        state.due.extend(seq + state.schedule.lag for _, seq in trained)
    yield Decisions(
        book=state.name,
        seq=rows.seq,
        ts=rows.ts,
        flags=rows.flags,
        mid=rows.mid,
        weights=out.weights,
        members=out.members,
        member_targets=out.member_targets,
        wanted=out.wanted,
        target=out.target,
        verdicts=out.verdict,
        state=out.state,
        position=out.position,
        equity=out.equity,
        equities=out.equities,
        learner=np.full(n, state.version, np.int64),
        controls=np.full(n, state.control, np.int64),
        agents=state.config.agents,
        accounts=state.ensemble.accounts,
        regime=rows.regime,
        awake=None if step.awake is None else np.tile(step.awake, (n, 1)),
    )
    if result.orders:
        yield _orders(state, rows, result)
    if result.fills:
        yield _fills(state, rows, result)
    if result.statements:
        yield _statements(state, result)


def _strays(state: EnsembleBook, rows: Features, before: bool, away: Ints) -> Iterator[Event]:
    """Tell of rows at which the price went to a level that accounts do not believe; before: it was there already."""
    if not away.any():  # nearly always, and a live feed comes here for every row
        return
    left = np.flatnonzero(np.diff(away, prepend=int(before)) > 0)
    for row in left:
        yield DeadLetter(
            book=state.name,
            source=f"decisions of {state.name}, seq {int(rows.seq[row])}",
            reason=(
                "price is on another level, again and again: the book is neither marked nor traded there, and only "
                f"reduces until {_RESUMED_BY[state.config.closing]}; to resume while it is there is to believe it"
            ),
            payload=f"ts {int(rows.ts[row])}, mid {float(rows.mid[row])}",
        )


def _relearned(state: EnsembleBook, control: Control) -> Iterator[Event]:
    """Obey a control of what was learned; what cannot be used changes nothing, and is told of."""
    try:
        if control.action == "swap":
            state.swap(control)
        elif control.action == "roll-back" and not state.roll_back():
            yield refusal(control, f"book {state.name} has no weights to roll back to: nothing is changed")
    except WeightsError as error:
        yield refusal(control, f"control {control.number} of book {state.name} changes nothing: {error}")


def _orders(state: EnsembleBook, rows: Features, result: Round) -> Orders:
    orders = result.outputs.order[: result.orders]
    at = orders["row"]
    return Orders(
        book=state.name,
        seq=rows.seq[at],
        ts=rows.ts[at],
        qty=orders["qty"].copy(),
        price=rows.mid[at],
        reduce_only=orders["reduce_only"].copy(),
        valid_until=rows.ts[at] + state.config.stale_after,
        target_after=orders["target_after"].copy(),
        reason=orders["reason"].copy(),
    )


def _fills(state: EnsembleBook, rows: Features, result: Round) -> Fills:
    fills = result.outputs.fill[: result.fills]
    at = fills["row"]
    columns = {name: fills[name].copy() for name in ("order_seq", "qty", "price", "fee")}
    return Fills(book=state.name, seq=rows.seq[at], ts=rows.ts[at], **columns)


def _statements(state: EnsembleBook, result: Round) -> Statements:
    out, n = result.outputs, result.statements
    days = {name: out.day[name][:n].copy() for name in ("seq", "ts", "day")}
    columns = {name: out.statement[name][:n].copy() for name in STATEMENT}
    return Statements(book=state.name, accounts=state.ensemble.accounts, **days, **columns)
