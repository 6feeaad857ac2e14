"""The whole suite: `make chaos`, or PYTHONPATH=tests:tests/kafka python -m chaos --only storm --seed 7."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from broker import Broker, distribution

from chaos import cluster as clusters
from chaos import compare, failpoints, fleet, moving, random_kills, short, timed
from chaos.cluster import ChaosError, Cluster, Kill
from chaos.compare import Verdict
from chaos.report import say
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.runs.warmup import warm_up

_CONTROL_KEY = "the key of this suite, not a secret"


class Request(NamedTuple):
    """The options of one run of the suite, and the broker that it runs on."""

    seed: int
    rows: int
    kills: int
    books: int
    rate: float
    folder: Path
    broker: Broker


class Part(NamedTuple):
    """A part of the suite: the function that runs it, and the arguments of its Cluster."""

    run: Callable[[Cluster, Request], Iterable[Verdict]]
    cluster: dict[str, Any]


def _storm(cluster: Cluster, request: Request) -> list[Verdict]:
    return random_kills.run(
        cluster, request.broker, request.folder, seed=request.seed, rows=request.rows, kills=request.kills
    )


def _failpoints(cluster: Cluster, request: Request) -> Iterable[Verdict]:
    return failpoints.run(cluster, request.folder, seed=request.seed, rows=5000)


def _moving(cluster: Cluster, request: Request) -> list[Verdict]:
    return moving.run(cluster, request.folder, seed=request.seed, rows=20_000)


def _short(book: str) -> Callable[[Cluster, Request], list[Verdict]]:
    return lambda cluster, request: [
        short.run(cluster, request.folder, seed=request.seed, rows=6000, book=book)
    ]


def _timed(cluster: Cluster, request: Request) -> list[Verdict]:
    return timed.run(cluster, request.broker, request.folder, seed=request.seed, rows=12_000)


def _fleet(cluster: Cluster, request: Request) -> list[Verdict]:
    return fleet.run(
        cluster, request.broker, seed=request.seed, books=request.books, rate=request.rate, rounds=3
    )


PARTS = {
    "failpoints": Part(_failpoints, {}),
    "storm": Part(_storm, {"partitions": random_kills.PARTITIONS}),
    "moving": Part(_moving, {}),
    "timed": Part(_timed, {"lockstep": False}),
    "fleet": Part(_fleet, {"partitions": fleet.PARTITIONS}),
    "nameless": Part(_short("nameless"), {"named": False, "state": "topic"}),
    "faust": Part(_short("faust"), {"binding": "faust"}),
}


def main(
    seed: Annotated[int, typer.Option(help="Of what is killed and when.")] = 1,
    only: Annotated[str, typer.Option(help="Parts to run, separated by commas.")] = ",".join(PARTS),
    rows: Annotated[int, typer.Option(help="Of each of the four books of the storm.")] = 50_000,
    kills: Annotated[int, typer.Option(help="Of the storm.")] = 30,
    books: Annotated[int, typer.Option(min=2, help="Of the fleet.")] = 500,
    rate: Annotated[float, typer.Option(min=1, help="Rows a second of the whole fleet.")] = 250,
    keep: Annotated[Path | None, typer.Option(help="Folder for logs and states. Default: a new one.")] = None,
) -> None:
    """Kill what can be killed, and compare every decision, order and fill with an embedded run."""
    home = distribution()
    if home is None:
        raise typer.BadParameter("no Kafka: set KAFKA_HOME to the folder of a distribution")
    parts = [name.strip() for name in only.split(",")]
    if not set(parts) <= PARTS.keys():
        raise typer.BadParameter(f"--only is {only!r}: give some of {', '.join(PARTS)}")
    folder = keep or Path(tempfile.mkdtemp(prefix="windvane-chaos-"))
    say(f"logs and states in {folder}, seed {seed}")
    warm_up()
    broker = Broker(home, folder / "broker")
    broker.start()
    right = True
    try:
        for name in parts:
            right &= _run(name, Request(seed, rows, kills, books, rate, folder, broker))
    finally:
        broker.stop()
    if not right:
        raise typer.Exit(1)
    say("nothing lost, nothing doubled, nothing different")


def _run(name: str, request: Request) -> bool:
    """Run a part of the suite, print its tables, and return whether everything was right."""
    part = PARTS[name]
    verdicts: list[Verdict] = []
    say(f"part {name}")
    settings = KafkaSettings(
        bootstrap=request.broker.bootstrap, prefix=f"chaos-{name}", control_key=_CONTROL_KEY
    )
    kills: list[Kill] = []
    deaths: list[str] = []
    with Cluster(settings, request.folder / name, **part.cluster) as cluster:
        try:
            for verdict in part.run(cluster, request):
                verdicts.append(verdict)
        except ChaosError as error:
            deaths.append(str(error))
        kills, deaths = cluster.kills, cluster.deaths + deaths
    say(f"part {name}\n\n{clusters.table(kills)}\n\n{compare.table(verdicts)}\n")
    for death in deaths:
        say(f"wrong: {death}")
    return not deaths and bool(verdicts) and all(v.right for v in verdicts)


if __name__ == "__main__":
    typer.run(main)
