"""A SIGKILL at each point between reading, sending, the transaction and the snapshot, of each stage."""

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chaos.cluster import STAGES, ChaosError, Cluster
from chaos.compare import Verdict, compare, embedded, on_topics
from chaos.markets import market
from chaos.report import say
from windvane.infra.kafka.worker.failpoints import POINTS
from windvane.infra.kafka.worker.plan import stages
from windvane.metamodel.simulation.market import BAR

_TICKS_A_SECOND = 250
_OF_TRANSACTIONS = ("transaction", "recovering")
_ONCE = ("snapshot", "saved", "recovering")
"""Points that are passed now and then alone: there, the first time; of feedback, what it sends, too."""

_STRIKES_WITHIN = 60.0


def places() -> Iterator[tuple[str, str]]:
    """Every stage and point where it can be struck."""
    for stage in STAGES:
        for point in POINTS:
            if stages()[stage].transactional or point not in _OF_TRANSACTIONS:
                yield stage, point


def strike(cluster: Cluster, stage: str, point: str, passage: int, file: Path, book: str, rows: int) -> None:
    """Have a stage kill itself at a point, in the middle of a book, and start it again."""
    rate = _TICKS_A_SECOND / (2 if point in _ONCE else 1)  # a state is stored every few seconds alone
    cluster.send(file, book, f"{BAR / 1e9 * rate:.0f}x")
    cluster.until(lambda: cluster.watch.last("decisions", book) > rows // 20, 60, "the first decisions")
    worker = cluster.workers[stage]
    if point == "recovering":
        worker.kill()  # what it has not stored is what it must recover
    else:
        worker.stop()
    worker.start(f"{stage}:{point}:{passage}")
    since, code = cluster.died(stage, _STRIKES_WITHIN)
    if code != -signal.SIGKILL:
        raise ChaosError(f"{stage} ended with {code} instead of striking {point}: {worker.told()}")
    row = cluster.watch.last("decisions", book)
    written = cluster.landed(stage)
    worker.start()
    took = cluster.recovered(f"failpoint {stage}:{point}:{passage}", f"at {point}", since, written)
    say(f"{stage}:{point}:{passage} struck at row {row:,} of {rows:,}: {took:.2f} s")
    cluster.send(file, book, records=256)
    cluster.all_decided({book: rows})


def run(cluster: Cluster, folder: Path, *, seed: int, rows: int) -> Iterator[Verdict]:
    """One book for every stage and point; what does not pass at all is a failure."""
    rng = np.random.default_rng(seed)
    cluster.all_stages()
    file = market(folder, rows, seed)
    for stage, point in places():
        book = f"{stage}-{point}"
        wanted = embedded(file, book, folder / "embedded" / book)
        seldom = point in _ONCE or (stage == "feedback" and point in ("send", "commit"))
        passage = 1 if seldom else int(rng.integers(1, 12))
        strike(cluster, stage, point, passage, file, book, rows)
        cluster.closed(book)
        yield compare(book, on_topics(cluster.settings, cluster.partitions, book), wanted)
    cluster.stop()
