"""Kills each stage by SIGKILL at each point between reading, sending, the transaction and the snapshot."""

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
"""Points that a stage passes only now and then, so it is killed the first time it passes them.

The feedback stage seldom sends anything, so that holds for its sending, too.
"""

_STRIKES_WITHIN = 60.0


def places() -> Iterator[tuple[str, str]]:
    """Yield every stage with every point at which it can be killed."""
    for stage in STAGES:
        for point in POINTS:
            if stages()[stage].transactional or point not in _OF_TRANSACTIONS:
                yield stage, point


def strike(cluster: Cluster, stage: str, point: str, passage: int, file: Path, book: str, rows: int) -> None:
    """Let a stage kill itself at a point in the middle of a book, and start it again.

    passage: the stage dies when it passes the point for the N-th time. Raises ChaosError where it does not die.
    """
    rate = _TICKS_A_SECOND / (2 if point in _ONCE else 1)  # a state is stored only every few seconds
    cluster.send(file, book, f"{BAR / 1e9 * rate:.0f}x")
    cluster.until(lambda: cluster.watch.last("decisions", book) > rows // 20, 60, "the first decisions")
    worker = cluster.workers[stage]
    if point == "recovering":
        worker.kill()  # so that it has rows to recover which its stored state does not know
    else:
        worker.stop()
    worker.start(f"{stage}:{point}:{passage}")
    since, code = cluster.died(stage, _STRIKES_WITHIN)
    if code != -signal.SIGKILL:
        raise ChaosError(f"{stage} ended with {code} instead of striking {point}: {worker.log_end()}")
    row = cluster.watch.last("decisions", book)
    written = cluster.landed(stage)
    worker.start()
    took = cluster.recovered(f"failpoint {stage}:{point}:{passage}", f"at {point}", since, written)
    say(f"{stage}:{point}:{passage} struck at row {row:,} of {rows:,}: {took:.2f} s")
    cluster.send(file, book, records=256)
    cluster.all_decided({book: rows})


def run(cluster: Cluster, folder: Path, *, seed: int, rows: int) -> Iterator[Verdict]:
    """Send one book for every stage and point, and yield the comparison of each; raises ChaosError on a failure."""
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
