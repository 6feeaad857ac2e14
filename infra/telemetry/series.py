"""The series of one worker's metrics: made once from the table of names, looked up by labels, shown as a page."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

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

from windvane.infra.telemetry.names import COUNTER, HISTOGRAM, METRICS


class Series:
    """The metrics of METRICS with the label `stage`; a series that was looked up is kept, since a lookup is slow.

    registry: of prometheus_client, None for a new one, with what it says of the process; another thread may read it.
    """

    def __init__(self, stage: str, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more a counter, which nobody reads
        self.stage = stage
        self.registry = CollectorRegistry() if registry is None else registry
        self.before_reading: Callable[[], None] = lambda: None  # sets what was held back
        self.registry.register(_Settler(self))  # the first that is asked
        if registry is None:
            ProcessCollector(registry=self.registry)
        self._metrics = {name: self._made(name) for name in METRICS}
        self._children: dict[tuple[str | int, ...], Any] = {}
        self._by_first: dict[Any, set[tuple[str | int, ...]]] = {}  # keys, by name and first label

    def _made(self, name: str) -> Counter | Gauge | Histogram:
        """A new metric of prometheus_client, by its entry in METRICS."""
        kind, text, labels, buckets = METRICS[name]
        labels = ("stage", *labels)
        if kind == COUNTER:
            return Counter(name, text, labels, registry=self.registry)
        if kind == HISTOGRAM:
            return Histogram(name, text, labels, registry=self.registry, buckets=buckets)
        return Gauge(name, text, labels, registry=self.registry)

    def child(self, name: str, *labels: str | int) -> Any:
        """The series of a metric with these labels, after the label `stage`."""
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._metrics[name].labels(self.stage, *labels)
            self._by_first.setdefault(key[:2], set()).add(key)
        return child

    def forget(self, name: str, first: str | int, *labels: str | int) -> None:
        """Remove all series of a metric whose first labels, after `stage`, are these."""
        start = (name, first, *labels)
        keys = self._by_first.get(start[:2], set())
        for key in [key for key in keys if key[: len(start)] == start]:
            self._metrics[name].remove(self.stage, *key[1:])
            del self._children[key]
            keys.discard(key)

    def labels_of(self, name: str) -> set[tuple[str | int, ...]]:
        """Labels, after `stage`, of all series of a metric."""
        return {key[1:] for key in self._children if key[0] == name}

    def page(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    async def page_beside(self) -> bytes:
        """Return the page without holding up the event loop: many books have megabytes of it."""
        return await asyncio.to_thread(self.page)


class _Settler:
    """Lets series be set that were held back, before they are read; it has no metric of its own."""

    def __init__(self, series: Series) -> None:
        self._series = series

    def describe(self) -> Iterator[Metric]:
        """No metric."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """No metric, once all are set."""
        self._series.before_reading()
        return iter(())
