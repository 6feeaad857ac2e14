"""The short part of the suite: kills every stage once during one book, and the ensemble also before a commit."""

import signal
from pathlib import Path

from chaos.cluster import STAGES, ChaosError, Cluster
from chaos.compare import Verdict, compare, embedded, on_topics
from chaos.markets import market
from chaos.report import say
from windvane.metamodel.simulation.market import BAR

_TICKS_A_SECOND = 60
"""Slow enough that rows still come when the last stage is killed, also where every restart takes ten seconds."""

_FAILPOINT = "ensemble:transaction:3"


def run(cluster: Cluster, folder: Path, *, seed: int, rows: int, book: str = "short") -> Verdict:
    """Send one book of `rows` rows, kill every stage during it, and return the comparison."""
    file = market(folder, rows, seed)
    wanted = embedded(file, book, folder / "embedded" / book)
    cluster.all_stages()
    cluster.send(file, book, f"{BAR / 1e9 * _TICKS_A_SECOND:.0f}x")
    cluster.until(lambda: cluster.watch.last("decisions", book) > 50, 90, "the first decisions")
    for stage in STAGES:
        worker = cluster.workers[stage]
        since = worker.kill()
        written = cluster.landed(stage)
        struck = stage == "ensemble"
        worker.start(_FAILPOINT if struck else "")
        if struck:
            since, code = cluster.died(stage, 60)
            if code != -signal.SIGKILL:
                raise ChaosError(f"the ensemble ended with {code} at its failpoint: {worker.log_end()}")
            written = cluster.landed(stage)
            worker.start()
        what = f"kill -9 {stage}{', then before a commit' if struck else ''}"
        say(f"{what}: {cluster.recovered(what, stage, since, written):.2f} s")
    cluster.send(file, book, records=256)
    cluster.all_decided({book: rows})
    cluster.closed(book)
    cluster.stop()
    return compare(book, on_topics(cluster.settings, cluster.partitions, book), wanted)
