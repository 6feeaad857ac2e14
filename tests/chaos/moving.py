"""Moves every stage from its state's folder to an empty one, to another, and back to the first with its old state."""

import time
from pathlib import Path

from chaos.cluster import STAGES, Cluster
from chaos.compare import Verdict, compare, embedded, on_topics
from chaos.markets import market
from chaos.report import say
from windvane.metamodel.simulation.market import BAR

_TICKS_A_SECOND = 150


def run(cluster: Cluster, folder: Path, *, seed: int, rows: int) -> list[Verdict]:
    """Move every stage three times during one book, killing it before each move, and return the comparison."""
    book = "moving"
    file = market(folder, rows, seed)
    wanted = embedded(file, book, folder / "embedded" / book)
    cluster.all_stages()
    cluster.send(file, book, f"{BAR / 1e9 * _TICKS_A_SECOND:.0f}x")
    cluster.until(lambda: cluster.watch.last("decisions", book) > 300, 90, "the first decisions")
    for stage in STAGES:
        for place in (f"empty-{stage}-1", f"empty-{stage}-2", "states"):
            since = cluster.workers[stage].kill()
            written = cluster.landed(stage)
            cluster.worker(stage, state=place)
            took = cluster.recovered(f"kill -9 {stage}, starts in {place}", "moving", since, written)
            say(f"{stage} moved to {place} at row {cluster.watch.last('decisions', book):,}: {took:.2f} s")
            time.sleep(0.5)
    cluster.send(file, book, records=256)
    cluster.all_decided({book: rows})
    cluster.closed(book)
    cluster.stop()
    return [compare(book, on_topics(cluster.settings, cluster.partitions, book), wanted)]
