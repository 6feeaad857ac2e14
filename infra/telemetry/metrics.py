"""Metrics of one worker for Prometheus: what it read, computed and wrote, and figures from the events it sent.

Names, kinds and labels are in `windvane.infra.telemetry.names`. The worker sets values while it works; the series of a
metric with given labels is looked up once and kept, since a lookup is slow. Rows of a book wait until there are some,
or until somebody reads the metrics: to set the gauges of every single row would cost as much as to decide it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from windvane.agents.program import VERSION
from windvane.infra.telemetry.names import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    METRICS,
    REASON_CLASSES,
    reason_class,
    restart_class,
)
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.learning.members import MEMBERS
from windvane.metamodel.trading.risk import GATES
from windvane.streams.coalesce import coalesced
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

HISTORY_SECONDS = 3600.0
"""An order of a tick older than this is of history that is replayed, so it does not count towards latency."""

FORGET_SECONDS = 30.0
"""A wait that `waiting` did not report again for so many seconds is over."""

_MOST_WAITING, _MOST_ROWS = 8, 16
"""Batches of a book that wait at most, and rows of one that waits: of a larger one, nothing is gained."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The HTTP content type of what `expose` returns."""

_FLAGS = {"heartbeat": HEARTBEAT, "bad": BAD, "gap": GAP}
_OF_A_BOOK = [
    name for name, metric in METRICS.items() if metric.kind == GAUGE and metric.labels[:1] == ("book",)
]
_BITS = np.arange(len(GATES))


class WorkerMetrics:
    """The metrics of the worker of a stage in this process; the worker calls a method for each thing that happens.

    No method blocks. registry: of prometheus_client, None for a new one; another thread may read it.
    """

    def __init__(self, stage: str, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more a counter, which nobody reads
        self.stage = stage
        self.registry = CollectorRegistry() if registry is None else registry
        self._waiting: dict[str, list[Batch]] = {}  # by book, rows that are not in its metrics yet
        self._wrote: dict[str, float] = {}  # by book, when the last of those were written, UNIX s
        self._settling = Lock()
        self.registry.register(_Settler(self.settle))  # the first that is asked
        if registry is None:
            ProcessCollector(registry=self.registry)
        self._metrics = {name: self._made(name) for name in METRICS}
        self._children: dict[tuple[str | int, ...], Any] = {}
        self._books: dict[int, set[str]] = {}
        self._peaks: dict[str, float] = {}
        self._waits: dict[tuple[int, str, str], float] = {}
        self._by_type: dict[type[Event], Callable[[Any], None]] = {
            Features: self._features,
            Proposals: self._rows,
            Decisions: self._decisions,
            Orders: self._orders,
            Fills: self._fills,
            Statements: self._statements,
            LearnerUpdate: self._learner,
            DeadLetter: self._dead_letter,
            BookOpened: self._opened,
            BookClosed: self._closed,
        }
        self._child("windvane_build_info", VERSION).set(1)
        for reason in REASON_CLASSES:
            self._child(
                "windvane_dead_letters_total", reason
            )  # begins at 0, so that Prometheus sees the first letter as an increase

    def _made(self, name: str) -> Counter | Gauge | Histogram:
        """A new metric of prometheus_client, by its entry in METRICS."""
        kind, text, labels, buckets = METRICS[name]
        labels = ("stage", *labels)
        if kind == COUNTER:
            return Counter(name, text, labels, registry=self.registry)
        if kind == HISTOGRAM:
            return Histogram(name, text, labels, registry=self.registry, buckets=buckets)
        return Gauge(name, text, labels, registry=self.registry)

    def _child(self, name: str, *labels: str | int) -> Any:
        """The series of a metric with these labels, after the label `stage`."""
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._metrics[name].labels(self.stage, *labels)
        return child

    def _forget(self, name: str, *labels: str | int) -> None:
        """Remove all series of a metric whose first labels, after `stage`, are these."""
        stop = len(labels) + 1
        for key in [key for key in self._children if key[:stop] == (name, *labels)]:
            self._metrics[name].remove(self.stage, *key[1:])
            del self._children[key]

    def received(self, topic: str, partition: int, records: int) -> None:
        """Count `records` records that were read from a partition of a topic."""
        self._child("windvane_records_received_total", topic, partition).inc(records)

    def stepped(self, partition: int, seconds: float) -> None:
        """Note that a step of the stage took so many seconds to compute."""
        self._child("windvane_step_seconds", partition).observe(seconds)

    def sent(self, topic: str, records: int) -> None:
        """Count `records` records that the broker has acknowledged on a topic."""
        self._child("windvane_records_sent_total", topic).inc(records)

    def committed(self, partition: int, seconds: float) -> None:
        """Note how many seconds the transaction of a step took, or the acknowledgement of all that it wrote."""
        self._child("windvane_commit_seconds", partition).observe(seconds)

    def recovered(self, partition: int, seconds: float) -> None:
        """Note that it took so many seconds from the assignment of a partition until it is worked on."""
        self._child("windvane_recoveries_total", partition).inc()
        self._child("windvane_recovery_seconds", partition).set(seconds)

    def restarted(self, partition: int, reason: str) -> None:
        """Count that the state of a partition was dropped and loaded again; the label is the class of the reason."""
        self._child("windvane_restarts_total", partition, restart_class(reason)).inc()

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Set how many records of a partition of a topic are not read yet."""
        self._child("windvane_lag_records", topic, partition).set(records)

    def waiting(self, partition: int, book: str, topic: str, seconds: float) -> None:
        """Set for how long a book has waited for a topic.

        The worker calls it again and again while the wait lasts; 30 s after the last call the series is removed.
        """
        self._child("windvane_waiting_seconds", partition, book, topic).set(seconds)
        self._waits[partition, book, topic] = time.monotonic()

    def saved(self, partition: int, seconds: float, size: int) -> None:
        """Note that a state of `size` bytes was stored, in so many seconds."""
        self._child("windvane_snapshots_total", partition).inc()
        self._child("windvane_snapshot_seconds", partition).set(seconds)
        self._child("windvane_snapshot_bytes", partition).set(size)

    def released(self, partition: int) -> None:
        """Remove the gauges of a partition and its books, which another worker now reports; counters stay."""
        for topic in {str(key[1]) for key in self._children if key[0] == "windvane_lag_records"}:
            self._forget("windvane_lag_records", topic, partition)
        self._forget("windvane_waiting_seconds", partition)
        self._waits = {wait: at for wait, at in self._waits.items() if wait[0] != partition}
        for book in self._books.pop(partition, ()):
            self.settle(book)
            self._peaks.pop(book, None)
            self._wrote.pop(book, None)
            for name in _OF_A_BOOK:
                self._forget(name, book)

    def observe(self, partition: int, event: Event) -> None:
        """Take note of an event that was sent, for the metrics of its book."""
        record = self._by_type.get(type(event))
        if record is None:
            return
        self._books.setdefault(partition, set()).add(event.book)
        if not isinstance(event, Features | Proposals | Decisions):
            if isinstance(event, BookClosed):
                self.settle(event.book)
            record(event)
            return
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
                batches = self._waiting.pop(book, [])
                for batch in coalesced(batches):
                    self._by_type[type(batch)](batch)

    def _rows(self, batch: Batch) -> None:
        book, child = batch.book, self._child
        child("windvane_rows_total", book).inc(len(batch))
        child("windvane_last_seq", book).set(batch.last)
        child("windvane_last_output_seconds", book).set(self._wrote[book])

    def _features(self, rows: Features) -> None:
        self._rows(rows)
        book, child = rows.book, self._child
        child("windvane_last_event_seconds", book).set(int(rows.ts[-1]) / 1e9)
        if int(rows.flags.max()) and (rows.flags & REPEATED).any():
            for flag, bit in _FLAGS.items():
                child("windvane_flagged_rows_total", book, flag).inc(int(np.count_nonzero(rows.flags & bit)))
        if rows.regime is not None:
            for name, share in zip(REGIMES, rows.regime[-1].tolist(), strict=True):
                child("windvane_regime", book, name).set(share)

    def _decisions(self, rows: Decisions) -> None:
        self._rows(rows)
        book, child = rows.book, self._child
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
        peak = max(self._peaks.get(book, 0.0), float(rows.equity.max()))
        self._peaks[book] = peak
        child("windvane_drawdown_ratio", book).set(1.0 - float(rows.equity[-1]) / peak if peak > 0 else 0.0)
        for gate, count in verdict_counts(rows.verdicts):
            child("windvane_verdicts_total", book, gate).inc(count)
        if rows.awake is not None:
            asleep = rows.awake == 0
            child("windvane_rounds_late_total", book).inc(int(asleep.any(axis=1).sum()))
            for agent, late in zip(rows.agents, asleep.sum(axis=0).tolist(), strict=True):
                child("windvane_agent_late_total", book, agent).inc(late)

    def _orders(self, orders: Orders) -> None:
        self._child("windvane_orders_total", orders.book).inc(len(orders))
        latency = self._child("windvane_order_latency_seconds", orders.book)
        now = time.time_ns()
        for ts in orders.ts.tolist():
            seconds = (now - ts) / 1e9
            if seconds < HISTORY_SECONDS:
                latency.observe(max(seconds, 0.0))

    def _fills(self, fills: Fills) -> None:
        self._child("windvane_fills_total", fills.book).inc(int(np.count_nonzero(fills.qty)))
        self._child("windvane_fees_total", fills.book).inc(max(float(fills.fee.sum()), 0.0))

    def _statements(self, rows: Statements) -> None:
        self._child("windvane_max_drawdown_ratio", rows.book).set(float(rows.drawdown[-1, 0]))

    def _learner(self, update: LearnerUpdate) -> None:
        self._child("windvane_retrainings_total", update.book, update.outcome).inc()
        self._child("windvane_learner_version", update.book).set(update.version)

    def _dead_letter(self, letter: DeadLetter) -> None:
        self._child("windvane_dead_letters_total", reason_class(letter.reason)).inc()

    def _opened(self, event: BookOpened) -> None:
        self._child("windvane_last_output_seconds", event.book).set(time.time())

    def _closed(self, event: BookClosed) -> None:
        """A closed book writes nothing any more, so the series by which silence is noticed is removed."""
        self._child("windvane_books_closed_total", event.book).inc()
        self._forget("windvane_last_output_seconds", event.book)

    async def page(self) -> bytes:
        """Return what `expose` does, without holding up the event loop: many books have megabytes of it."""
        self._forget_waits()
        return await asyncio.to_thread(generate_latest, self.registry)

    def expose(self) -> bytes:
        """Return all metrics in Prometheus' text format; called for each request of the endpoint."""
        self._forget_waits()
        return generate_latest(self.registry)

    def _forget_waits(self) -> None:
        """Remove the series of waits that are over."""
        before = time.monotonic() - FORGET_SECONDS
        for wait in [wait for wait, at in self._waits.items() if at < before]:
            del self._waits[wait]
            self._forget("windvane_waiting_seconds", *wait)


class _Settler:
    """Lets metrics settle before they are read; it has none of its own."""

    def __init__(self, settle: Callable[[], None]) -> None:
        self._settle = settle

    def describe(self) -> Iterator[Metric]:
        """No metric."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """No metric, once all have settled."""
        self._settle()
        return iter(())


def verdict_counts(verdicts: Any) -> list[tuple[str, int]]:
    """Return the name of every risk gate that acted, and at how many rows, in the order of GATES.

    verdicts: (n,) int64, bit k of a row is set where gate k acted.
    """
    if not verdicts.any():
        return []
    counts = (verdicts[:, None] >> _BITS & 1).sum(axis=0)
    return [(GATES[k], int(counts[k])) for k in np.flatnonzero(counts).tolist()]
