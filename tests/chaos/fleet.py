"""Kills every stage while many books trade, in lockstep and by the clock, and while people control some of them."""

import numpy as np
from broker import Broker

from chaos.cluster import STAGES, Cluster
from chaos.compare import Verdict
from chaos.fleet_books import HISTORY, Feed, fleet_of
from chaos.fleet_controls import Controls
from chaos.fleet_verdict import compared
from chaos.report import say
from chaos.short import kill

PARTITIONS = 4

_WARM_SECONDS = 900.0
_RECOVERY_SECONDS = 300.0


def run(
    cluster: Cluster, broker: Broker | None, *, seed: int, books: int, rate: float, rounds: int
) -> list[Verdict]:
    """Trade `books` books, kill every stage `rounds` times and the broker once, and return the comparison.

    rate: rows a second of all books together; broker: None spares it, and the ensemble its death before a commit.
    """
    fleet = fleet_of(books, seed)
    controls = Controls(cluster.settings, [book.name for book in fleet])
    cluster.all_stages()
    with Feed(cluster.settings, cluster.partitions, fleet, rate) as feed:
        cluster.all_decided({book.name: HISTORY for book in fleet}, _WARM_SECONDS)
        say(f"the history of {books} books is decided")
        feed.go_live()
        first = cluster.decided_after(cluster.ticks())
        cluster.until(first, _RECOVERY_SECONDS, "the first rows after the history")
        _kills(cluster, controls, seed, rounds, before_commit=broker is not None)
        if broker is not None:
            cluster.broker_dies(broker, _RECOVERY_SECONDS)
        feed.finish()
        cluster.until(feed.finished, _RECOVERY_SECONDS, "all rows are sent")
    cluster.until(
        lambda: all(cluster.watch.closed(book.name) for book in fleet), _WARM_SECONDS, "all books are closed"
    )
    cluster.stop()
    sent = sum(map(len, controls.sent.values()))
    say(f"{sum(feed.rows.values()):,} rows and {sent} controls were sent")
    return compared(cluster.settings, cluster.partitions, fleet, feed.rows, controls.sent)


def _kills(cluster: Cluster, controls: Controls, seed: int, rounds: int, *, before_commit: bool) -> None:
    """Kill every stage `rounds` times, the ensemble first, and send a share of the controls at each kill.

    What is sent at a kill of the ensemble, the swaps among it, is sent while the ensemble is away. before_commit: let
    it die once more in the last round, before a commit.
    """
    rng = np.random.default_rng(seed)
    share = -(-len(controls) // (rounds * len(STAGES)))
    for left in reversed(range(rounds)):
        kill(
            cluster,
            "ensemble",
            before_commit=before_commit and left == 0,
            meanwhile=lambda: controls.send(share),
            seconds=_RECOVERY_SECONDS,
        )
        for stage in rng.permutation([stage for stage in STAGES if stage != "ensemble"]):
            kill(cluster, str(stage), seconds=_RECOVERY_SECONDS)
            controls.send(share)
