"""The short part of the suite: kills every stage once during one book, and the ensemble also before a commit."""

import signal
import time
from collections.abc import Callable
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
        kill(cluster, stage, before_commit=stage == "ensemble")
    cluster.send(file, book, records=256)
    cluster.all_decided({book: rows})
    cluster.closed(book)
    cluster.stop()
    return compare(book, on_topics(cluster.settings, cluster.partitions, book), wanted)


def kill(
    cluster: Cluster,
    stage: str,
    *,
    before_commit: bool = False,
    meanwhile: Callable[[], None] | None = None,
    seconds: float = 60.0,
) -> None:
    """Kill the worker of a stage, start it again, and wait until all books have decisions again.

    before_commit: let it kill itself once more, before a commit; meanwhile: what is done while the worker is away,
    which does not count as recovery; seconds: how long to wait. Raises ChaosError where it takes longer.
    """
    worker = cluster.workers[stage]
    since = worker.kill()
    written = cluster.landed(stage)
    if meanwhile is not None:
        meanwhile()
        since = time.monotonic()
    worker.start(_FAILPOINT if before_commit else "")
    if before_commit:
        since, code = cluster.died(stage, seconds)
        if code != -signal.SIGKILL:
            raise ChaosError(f"the {stage} ended with {code} at its failpoint: {worker.log_end()}")
        written = cluster.landed(stage)
        worker.start()
    what = f"kill -9 {stage}{', then before a commit' if before_commit else ''}"
    say(f"{what}: {cluster.recovered(what, stage, since, written, seconds):.2f} s")
