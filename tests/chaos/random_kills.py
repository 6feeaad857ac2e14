"""Kills random stages, and the broker, while four books are replayed; workers join, leave and sleep meanwhile."""

import signal
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import numpy as np
from broker import Broker

from chaos.cluster import ChaosError, Cluster
from chaos.compare import Outputs, Verdict, compare, embedded, on_topics
from chaos.markets import market
from chaos.report import say
from windvane.infra.kafka.broker.settings import partition_of
from windvane.metamodel.simulation.market import BAR

PARTITIONS = 3
_PACED = 0.6
"""Share of the rows that are sent at an even pace; the rest is sent as fast as possible, during the last kills."""

_KILL_SECONDS = 9.0
_ALMOST_ALL = 0.85
_TAKEN_OVER = "another worker has taken this partition over"


def names(wanted: int) -> list[str]:
    """Return `wanted` names of books that are spread evenly over all partitions."""
    books: list[str] = []
    for k in count():
        if partition_of(f"book-{k}", PARTITIONS) == len(books) % PARTITIONS:
            books.append(f"book-{k}")
        if len(books) == wanted:
            return books
    raise AssertionError


class Storm:
    """The kills of one run, drawn from a seed, and the other things that happen to workers."""

    def __init__(self, cluster: Cluster, seed: int, kills: int) -> None:
        self._cluster = cluster
        self._rng = np.random.default_rng(seed)
        self._left = kills
        self._full = False

    def kill(self, stage: str, *, wait: bool = True) -> None:
        """Kill a worker of a stage and start it again; sometimes kill it once more while it recovers.

        wait: whether to wait until all books have decisions again, and note the time.
        """
        cluster = self._cluster
        alive = [name for name in cluster.workers if name.startswith(stage) and cluster.workers[name].runs]
        name = str(self._rng.choice(alive))
        worker = cluster.workers[name]
        since = worker.kill()
        self._left -= 1
        rows = cluster.landed(stage)
        worker.start()
        what = f"kill -9 {name}{', at full speed' if self._full else ''}"
        if self._left and self._rng.random() < 0.3:
            time.sleep(self._rng.uniform(0.5, 3.0))
            since = worker.kill()
            self._left -= 1
            rows = cluster.landed(stage)
            worker.start()
            what += ", while it recovers"
        if wait:
            took = cluster.recovered(what, "full speed" if self._full else stage, since, rows)
            say(f"{what}: {took:.2f} s")
        else:
            say(f"{what}, not waited for")

    def full_speed(self) -> None:
        """Name later kills "full speed": the time after them includes working off a backlog, not recovery alone."""
        self._full = True

    def kills(self, until: int) -> None:
        """Kill until `until` kills are left, sometimes two workers at once."""
        while self._left > until:
            stages = self._rng.permutation(["features", "proposals", "feedback", "ensemble", "ensemble"])
            if self._left > until + 1 and stages[0] != stages[1] and self._rng.random() < 0.2:
                self.kill(str(stages[1]), wait=False)
            self.kill(str(stages[0]))
            time.sleep(self._rng.uniform(0.2, 1.5))

    def join(self) -> None:
        """Start second workers of two stages, and wait until all have their partitions."""
        for stage in ("ensemble", "features"):
            self._cluster.worker(stage, f"{stage}-2")
        since, rows = time.monotonic(), self._cluster.ticks()
        self._settle("ensemble-2")
        self._settle("features-2")
        say(f"two workers join: {self._cluster.recovered('two workers join', 'joining', since, rows):.2f} s")

    def _settle(self, name: str) -> None:
        """Wait until a worker has its partitions."""
        worker = self._cluster.workers[name]
        self._cluster.until(lambda: worker.logged("partitions assigned"), 60, f"{name} gets its partitions")

    def leave(self) -> None:
        """Stop the first worker of the ensemble and the second one of the features stage by SIGTERM."""
        for name in ("ensemble", "features-2"):
            since, rows = time.monotonic(), self._cluster.ticks()
            code = self._cluster.workers.pop(name).stop()
            if code:
                raise ChaosError(f"{name} ended with {code} when asked to stop")
            say(f"{name} leaves: {self._cluster.recovered(f'{name} leaves', 'leaving', since, rows):.2f} s")

    def zombie(self) -> None:
        """Suspend the ensemble until another worker has taken over, then resume it, which must not write any more."""
        cluster = self._cluster
        old = cluster.workers["ensemble-2"]
        rows = cluster.landed("ensemble")
        since = time.monotonic()
        old.send(signal.SIGSTOP)
        cluster.worker("ensemble", "ensemble-3")
        took = cluster.recovered("SIGSTOP ensemble-2, ensemble-3 takes over", "zombie", since, rows)
        fenced = old.count(_TAKEN_OVER)
        old.send(signal.SIGCONT)
        cluster.until(
            lambda: old.count(_TAKEN_OVER) > fenced or old.count("partitions assigned") > 1,
            60,
            "the zombie notices",
        )
        rows = cluster.ticks()
        cluster.until(cluster.decided_after(rows), 60, "decisions after the zombie woke up")
        fenced = old.count(_TAKEN_OVER) - fenced
        say(f"zombie: taken over in {took:.2f} s, fenced on {fenced} partitions when it woke up")


def run(
    cluster: Cluster, broker: Broker, folder: Path, *, seed: int, rows: int, kills: int, books: int = 4
) -> list[Verdict]:
    """Kill `kills` times while `books` books of `rows` rows are replayed, and return the comparison of each book."""
    files = {book: market(folder, rows, seed + k) for k, book in enumerate(names(books))}
    wanted = {book: embedded(file, book, folder / "embedded" / book) for book, file in files.items()}
    storm, late = Storm(cluster, seed, kills), max(2, kills // 6)
    cluster.all_stages()
    seconds = (kills - late) * _KILL_SECONDS + 90.0
    speed = f"{BAR / 1e9 * rows * _PACED / seconds:.0f}x"
    for book, file in files.items():
        cluster.send(file, book, speed)
    cluster.until(lambda: len(cluster.watch.lasts("decisions")) == books, 90, "the first decisions")
    paced = kills - late
    for left, special in (
        (kills - paced // 5, storm.join),
        (kills - 2 * paced // 5, lambda: cluster.broker_dies(broker)),
        (kills - 3 * paced // 5, storm.leave),
        (kills - 4 * paced // 5, storm.zombie),
        (late, lambda: None),
    ):
        storm.kills(left)
        special()
    _under_load(cluster, storm, files, rows)
    cluster.all_decided(dict.fromkeys(files, rows))
    return _compared(cluster, wanted)


def _under_load(cluster: Cluster, storm: Storm, files: dict[str, Path], rows: int) -> None:
    """Do the last kills while the rest of the rows is sent as fast as possible."""
    sent = min(cluster.ticks().values())
    say(f"the rest at full speed from row {sent:,} of {rows:,}")
    if sent > _ALMOST_ALL * rows:
        raise ChaosError(f"{sent} of {rows} rows were sent before the last kills: give more rows")
    for book, file in files.items():
        cluster.send(file, book, records=256)
    cluster.until(lambda: max(cluster.ticks().values()) > sent + 1000, 60, "the senders go on")
    storm.full_speed()
    storm.kills(0)


def _compared(cluster: Cluster, wanted: Mapping[str, Outputs]) -> list[Verdict]:
    """Wait for the end of every book, stop the workers, and compare."""
    for book in wanted:
        cluster.closed(book)
    cluster.stop()
    return [
        compare(book, on_topics(cluster.settings, cluster.partitions, book), outputs)
        for book, outputs in wanted.items()
    ]
