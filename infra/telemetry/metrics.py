"""Metrics of one worker for Prometheus: what it read, computed and wrote, and figures from the events it sent.

Names, kinds and labels are in `windvane.infra.telemetry.names`; the worker sets values while it works.
"""

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry

from windvane.agents.program import VERSION
from windvane.infra.telemetry.books import BookMetrics
from windvane.infra.telemetry.health import RESTARTING, WORKING, Health, PartitionHealth
from windvane.infra.telemetry.names import REASON_CLASSES, restart_class
from windvane.infra.telemetry.series import Series
from windvane.streams.events import Event
from windvane.streams.summaries import BookSummary

FORGET_SECONDS = 30.0
"""A wait that `waiting` did not report again for so many seconds is over."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The HTTP content type of what `expose` returns."""


class WorkerMetrics:
    """The metrics of the worker of a stage in this process; the worker calls a method for each thing that happens.

    No method blocks. registry: of prometheus_client, None for a new one; another thread may read it.
    """

    def __init__(self, stage: str, registry: CollectorRegistry | None = None) -> None:
        self.stage = stage
        self.health = Health(stage)
        self._series = Series(stage, registry)
        self.registry = self._series.registry
        self._of_books = BookMetrics(self._series)
        self._waits: dict[tuple[int, str, str], float] = {}
        self._series.child("windvane_build_info", VERSION).set(1)
        for reason in REASON_CLASSES:
            self._series.child(
                "windvane_dead_letters_total", reason
            )  # begins at 0, so that Prometheus sees the first letter as an increase

    @property
    def silent(self) -> set[str]:
        """Books from a stored state of which no row was written since."""
        return self._of_books.silent

    def received(self, topic: str, partition: int, records: int) -> None:
        """Count `records` records that were read from a partition of a topic."""
        self._series.child("windvane_records_received_total", topic, partition).inc(records)

    def stepped(self, partition: int, seconds: float) -> None:
        """Note that a step of the stage took so many seconds to compute."""
        self._series.child("windvane_step_seconds", partition).observe(seconds)
        self._partition(partition).turned = time.monotonic()

    def sent(self, topic: str, records: int) -> None:
        """Count `records` records that the broker has acknowledged on a topic."""
        self._series.child("windvane_records_sent_total", topic).inc(records)

    def committed(self, partition: int, seconds: float) -> None:
        """Note how many seconds the transaction of a step took, or the acknowledgement of all that it wrote."""
        self._series.child("windvane_commit_seconds", partition).observe(seconds)
        self._partition(partition).committed = time.monotonic()

    def recovered(self, partition: int, seconds: float) -> None:
        """Note that it took so many seconds from the assignment of a partition until it is worked on."""
        self._series.child("windvane_recoveries_total", partition).inc()
        self._series.child("windvane_recovery_seconds", partition).set(seconds)
        self._partition(partition).enter(WORKING)

    def restarted(self, partition: int, reason: str) -> None:
        """Count that the state of a partition was dropped and loaded again; the label is the class of the reason."""
        self._series.child("windvane_restarts_total", partition, restart_class(reason)).inc()
        self._partition(partition).enter(RESTARTING)

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Set how many records of a partition of a topic are not read yet."""
        self._series.child("windvane_lag_records", topic, partition).set(records)
        self._partition(partition).lag[topic] = records

    def waiting(self, partition: int, book: str, topic: str, seconds: float) -> None:
        """Set for how long a book has waited for a topic.

        The worker calls it again and again while the wait lasts; 30 s after the last call the series is removed.
        """
        self._series.child("windvane_waiting_seconds", partition, book, topic).set(seconds)
        self._waits[partition, book, topic] = time.monotonic()

    def saved(self, partition: int, seconds: float, size: int) -> None:
        """Note that a state of `size` bytes was stored, in so many seconds."""
        self._series.child("windvane_snapshots_total", partition).inc()
        self._series.child("windvane_snapshot_seconds", partition).set(seconds)
        self._series.child("windvane_snapshot_bytes", partition).set(size)
        self._partition(partition).stored = time.monotonic()

    def _partition(self, partition: int) -> PartitionHealth:
        """The health of a partition."""
        return self.health.partitions.setdefault(partition, PartitionHealth())

    def unstored(self, partition: int, seconds: float) -> None:
        """Set for how long the state of a partition could not be stored; 0 where it is stored."""
        self._series.child("windvane_unstored_seconds", partition).set(seconds)

    def troubles(self, partition: int, books: Mapping[str, int]) -> None:
        """Set at how many books of a partition something is wrong, by code; a trouble of the whole partition is one."""
        self._series.forget("windvane_trouble", partition)
        for code, number in books.items():
            self._series.child("windvane_trouble", partition, code).set(number)

    def restored(self, partition: int, book: BookSummary, at: float) -> None:
        """Set the gauges of an open book that comes from a stored state; at: when its last row was written, UNIX s."""
        self._of_books.restored(partition, book, at)

    def observe(self, partition: int, event: Event) -> None:
        """Take note of an event that was sent, for the metrics of its book."""
        self._of_books.observe(partition, event)

    def released(self, partition: int) -> None:
        """Remove the gauges of a partition and its books, which another worker now reports; counters stay."""
        self.health.released(partition)
        for topic, _ in self._series.labels_of("windvane_lag_records"):
            self._series.forget("windvane_lag_records", topic, partition)
        for name in ("windvane_waiting_seconds", "windvane_trouble", "windvane_unstored_seconds"):
            self._series.forget(name, partition)
        self._waits = {wait: at for wait, at in self._waits.items() if wait[0] != partition}
        self._of_books.released(partition)

    async def page(self) -> bytes:
        """Return what `expose` does, without holding up the event loop."""
        self._forget_waits()
        return await self._series.page_beside()

    def expose(self) -> bytes:
        """Return all metrics in Prometheus' text format; called for each request of the endpoint."""
        self._forget_waits()
        return self._series.page()

    def _forget_waits(self) -> None:
        """Remove the series of waits that are over."""
        before = time.monotonic() - FORGET_SECONDS
        for wait in [wait for wait, at in self._waits.items() if at < before]:
            del self._waits[wait]
            self._series.forget("windvane_waiting_seconds", *wait)
