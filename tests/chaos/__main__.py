"""All of it: `make chaos`, or PYTHONPATH=tests:tests/kafka python -m chaos --only storm --seed 7."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from broker import Broker, distribution

from chaos import cluster as clusters
from chaos import random_kills, report
from chaos.cluster import Cluster, Kill
from chaos.compare import Verdict
from chaos.report import say
from windvane.infra.kafka.settings import KafkaSettings
from windvane.infra.warmup import warm_up

PARTS = ("storm",)


def main(
    seed: Annotated[int, typer.Option(help="Of what is killed and when.")] = 1,
    only: Annotated[str, typer.Option(help="Parts to run, separated by commas.")] = ",".join(PARTS),
    rows: Annotated[int, typer.Option(help="Of each of the four books of the storm.")] = 50_000,
    kills: Annotated[int, typer.Option(help="Of the storm.")] = 30,
    keep: Annotated[Path | None, typer.Option(help="Folder for logs and states. Default: a new one.")] = None,
) -> None:
    """Kill what can be killed, and compare every decision, order and fill with an embedded run."""
    home = distribution()
    if home is None:
        raise typer.BadParameter("no Kafka: set KAFKA_HOME to the folder of a distribution")
    folder = keep or Path(tempfile.mkdtemp(prefix="windvane-chaos-"))
    say(f"logs and states in {folder}, seed {seed}")
    warm_up()
    broker = Broker(home, folder / "broker")
    broker.start()
    verdicts: list[Verdict] = []
    kills_done: list[Kill] = []
    deaths: list[str] = []
    try:
        for part in only.split(","):
            settings = KafkaSettings(bootstrap=broker.bootstrap, prefix=f"chaos-{part}")
            with Cluster(settings, folder / part, partitions=random_kills.PARTITIONS) as cluster:
                say(f"part {part}")
                verdicts += random_kills.run(cluster, broker, folder, seed=seed, rows=rows, kills=kills)
                kills_done += cluster.kills
                deaths += cluster.deaths
    finally:
        broker.stop()
    say(f"\n{clusters.table(kills_done)}\n\n{report.table(verdicts)}")
    for death in deaths:
        say(f"ended by itself: {death}")
    if deaths or not all(v.right for v in verdicts):
        raise typer.Exit(1)
    say("nothing lost, nothing doubled, nothing different")


if __name__ == "__main__":
    typer.run(main)
