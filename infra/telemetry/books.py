"""Metrics of books: figures from the events that a stage sent, and from the states that it began with.

Rows of a book wait until there are some, or until somebody reads the metrics: to set the gauges of every single row
would cost as much as to decide it.
"""

import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from windvane.infra.telemetry.names import GAUGE, METRICS, reason_class
from windvane.infra.telemetry.series import Series
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.learning.members import MEMBERS
from windvane.metamodel.trading.risk import GATES
from windvane.streams.events import (
    BAD,
    GAP,
    HEARTBEAT,
    REPEATED,
    Batch,
    BookClosed,
    BookOpened,
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
from windvane.streams.summaries import STATES_TOLD, BookSummary

HISTORY_SECONDS = 3600.0
"""An order of a tick older than this is of history that is replayed, so it does not count towards latency."""

_MOST_WAITING, _MOST_ROWS = 64, 16
"""Batches of a book that wait at most, and rows of one that waits: of a larger one, nothing is gained."""

_FLAGS = {"heartbeat": HEARTBEAT, "bad": BAD, "gap": GAP}
_OF_A_BOOK = [
    name for name, metric in METRICS.items() if metric.kind == GAUGE and metric.labels[:1] == ("book",)
]
_BITS = np.arange(len(GATES))
_RISK_STATES = dict(zip(STATES_TOLD, (0, 1, 2, 2), strict=True))


class BookMetrics:
    """The series of the books of one worker; no method blocks."""

    def __init__(self, series: Series) -> None:
        self._series = series
        series.before_reading = self.settle
        self._waiting: dict[str, list[Batch]] = {}  # by book, rows that are not in its metrics yet
        self._wrote: dict[str, float] = {}  # by book, when the last of those were written, UNIX s
        self._settling = Lock()
        self._books: dict[int, set[str]] = {}  # by partition
        self._peaks: dict[str, float] = {}
        self.silent: set[str] = set()  # books from a stored state of which no row was written since
        self._by_type: dict[type[Event], Callable[[Any], None]] = {
            Orders: self._orders,
            Fills: self._fills,
            Statements: self._statements,
            LearnerUpdate: self._learner,
            DeadLetter: self._dead_letter,
            BookOpened: self._opened,
            BookClosed: self._closed,
        }
        self._by_kind: dict[type[Batch], Callable[[Any], None]] = {
            Features: self._features,
            Proposals: self._rows,
            Decisions: self._decisions,
        }

    def restored(self, partition: int, book: BookSummary, at: float) -> None:
        """Set the gauges of an open book that comes from a stored state: silence and halts are seen without a row.

        at: when its last row was written, UNIX s.
        """
        name, child = book.book, self._series.child
        self._books.setdefault(partition, set()).add(name)
        self.silent.add(name)
        child("windvane_last_output_seconds", name).set(at)
        if book.rows > 0:
            child("windvane_last_seq", name).set(book.rows - 1)
        if book.ts > 0:
            child("windvane_last_event_seconds", name).set(book.ts / 1e9)
        if book.trading is not None:
            child("windvane_risk_state", name).set(_RISK_STATES[book.trading.state])
            child("windvane_equity", name).set(book.trading.equity)
            child("windvane_position", name).set(book.trading.position)
            child("windvane_learner_version", name).set(book.trading.learner)

    def released(self, partition: int) -> None:
        """Remove the gauges of the books of a partition, which another worker now reports; counters stay."""
        for book in self._books.pop(partition, ()):
            self.settle(book)
            self._peaks.pop(book, None)
            self._wrote.pop(book, None)
            self.silent.discard(book)
            for name in _OF_A_BOOK:
                self._series.forget(name, book)

    def observe(self, partition: int, event: Event) -> None:
        """Take note of an event that was sent, for the metrics of its book."""
        if not isinstance(event, Batch) or type(event) not in self._by_kind:
            record = self._by_type.get(type(event))
            if record is not None:
                self._books.setdefault(partition, set()).add(event.book)
                if isinstance(event, BookClosed):
                    self.settle(event.book)
                record(event)
            return
        self._books.setdefault(partition, set()).add(event.book)
        self.silent.discard(event.book)
        with self._settling:
            self._wrote[event.book] = time.time()
            waiting = self._waiting.setdefault(event.book, [])
            waiting.append(event)
        if len(waiting) >= _MOST_WAITING or len(event) > _MOST_ROWS:
            self.settle(event.book)

    def settle(self, *books: str) -> None:
        """Set the metrics of these books, or of all, from the rows that wait; the newest row stands in the gauges."""
        for book in books or tuple(self._waiting):
            with self._settling:
                kinds: dict[type[Batch], list[Batch]] = {}
                for batch in self._waiting.pop(book, ()):
                    kinds.setdefault(type(batch), []).append(batch)
                for kind, batches in kinds.items():
                    self._by_kind[kind](batches)

    def _rows(self, batches: Sequence[Batch]) -> None:
        book, child = batches[-1].book, self._series.child
        child("windvane_rows_total", book).inc(sum(map(len, batches)))
        child("windvane_last_seq", book).set(batches[-1].last)
        child("windvane_last_output_seconds", book).set(self._wrote[book])

    def _features(self, batches: Sequence[Features]) -> None:
        self._rows(batches)
        rows, child = batches[-1], self._series.child
        book = rows.book
        child("windvane_last_event_seconds", book).set(int(rows.ts[-1]) / 1e9)
        flags = np.concatenate([batch.flags for batch in batches])
        if (flags & REPEATED).any():
            for flag, bit in _FLAGS.items():
                child("windvane_flagged_rows_total", book, flag).inc(int(np.count_nonzero(flags & bit)))
        if rows.regime is not None:
            for name, share in zip(REGIMES, rows.regime[-1].tolist(), strict=True):
                child("windvane_regime", book, name).set(share)

    def _decisions(self, batches: Sequence[Decisions]) -> None:
        self._rows(batches)
        rows, child = batches[-1], self._series.child
        book = rows.book
        child("windvane_last_event_seconds", book).set(int(rows.ts[-1]) / 1e9)
        for agent, weight in zip(rows.agents, rows.weights[-1].tolist(), strict=True):
            child("windvane_agent_weight", book, agent).set(weight)
        for member, weight in zip(MEMBERS, rows.members[-1].tolist(), strict=False):
            child("windvane_member_weight", book, member).set(weight)
        child("windvane_risk_state", book).set(int(rows.state[-1]))
        child("windvane_equity", book).set(float(rows.equity[-1]))
        child("windvane_position", book).set(float(rows.position[-1]))
        child("windvane_wanted", book).set(float(rows.wanted[-1]))
        child("windvane_target", book).set(float(rows.target[-1]))
        child("windvane_learner_version", book).set(int(rows.learner[-1]))
        peak = max(self._peaks.get(book, 0.0), *(max(b.equity.tolist()) for b in batches))
        self._peaks[book] = peak
        child("windvane_drawdown_ratio", book).set(1.0 - float(rows.equity[-1]) / peak if peak > 0 else 0.0)
        self._count_acts(batches)

    def _count_acts(self, batches: Sequence[Decisions]) -> None:
        """Count the gates that acted, and the agents that were late or benched."""
        book, agents, child = batches[-1].book, batches[-1].agents, self._series.child
        for gate, count in verdict_counts(np.concatenate([rows.verdicts for rows in batches])):
            child("windvane_verdicts_total", book, gate).inc(count)
        awake = [rows.awake for rows in batches if rows.awake is not None]
        if awake:
            asleep = np.concatenate(awake) == 0
            child("windvane_rounds_late_total", book).inc(int(asleep.any(axis=1).sum()))
            for agent, late in zip(agents, asleep.sum(axis=0).tolist(), strict=True):
                child("windvane_agent_late_total", book, agent).inc(late)
        benched = [rows.benched for rows in batches if rows.benched is not None]
        if benched:
            counts = np.count_nonzero(np.concatenate(benched), axis=0).tolist()
            for agent, count in zip(agents, counts, strict=True):
                child("windvane_agent_benched_total", book, agent).inc(count)

    def _orders(self, orders: Orders) -> None:
        self._series.child("windvane_orders_total", orders.book).inc(len(orders))
        latency = self._series.child("windvane_order_latency_seconds", orders.book)
        now = time.time_ns()
        for ts in orders.ts.tolist():
            seconds = (now - ts) / 1e9
            if seconds < HISTORY_SECONDS:
                latency.observe(max(seconds, 0.0))

    def _fills(self, fills: Fills) -> None:
        self._series.child("windvane_fills_total", fills.book).inc(int(np.count_nonzero(fills.qty)))
        self._series.child("windvane_fees_total", fills.book).inc(max(float(fills.fee.sum()), 0.0))

    def _statements(self, rows: Statements) -> None:
        self._series.child("windvane_max_drawdown_ratio", rows.book).set(float(rows.drawdown[-1, 0]))

    def _learner(self, update: LearnerUpdate) -> None:
        self._series.child("windvane_retrainings_total", update.book, update.outcome).inc()
        self._series.child("windvane_learner_version", update.book).set(update.version)

    def _dead_letter(self, letter: DeadLetter) -> None:
        self._series.child("windvane_dead_letters_total", reason_class(letter.reason)).inc()

    def _opened(self, event: BookOpened) -> None:
        self._series.child("windvane_last_output_seconds", event.book).set(time.time())

    def _closed(self, event: BookClosed) -> None:
        """A closed book writes nothing any more, so the series by which silence is noticed is removed."""
        self._series.child("windvane_books_closed_total", event.book).inc()
        self._series.forget("windvane_last_output_seconds", event.book)


def verdict_counts(verdicts: Any) -> list[tuple[str, int]]:
    """Return the name of every risk gate that acted, and at how many rows, in the order of GATES.

    verdicts: (n,) int64, bit k of a row is set where gate k acted.
    """
    if not verdicts.any():
        return []
    counts = (verdicts[:, None] >> _BITS & 1).sum(axis=0)
    return [(GATES[k], int(counts[k])) for k in np.flatnonzero(counts).tolist()]
