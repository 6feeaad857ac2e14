"""`python tests/bench_kafka throughput|hop|latency|soak|books`: measures the pipeline on Kafka with simulated data.

The figures depend on the machine and on its load: compare ratios, and look at the load average beside them.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_kafka", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("throughput", "hop", "latency", "soak", "books"):
        one = commands.add_parser(name)
        one.add_argument("--bootstrap", help="HOST:PORT of a broker; else one is started from KAFKA_HOME")
        one.add_argument("--binding", type=_words, default=["aiokafka", "faust"], help="aiokafka,faust")
        one.add_argument("--folder", type=Path, help="for logs and states; else one that is removed")
    one = commands.choices["throughput"]
    one.add_argument("--ticks", type=int, default=200_000)
    one.add_argument("--books", type=_words, default=["1", "4"], help="how many at once, one after the other")
    one = commands.choices["hop"]
    one.add_argument("--quix", help="python that has quixstreams; without it Quix Streams is left out")
    one.add_argument("--records", type=_words, default=["256:1000", "1:20000"], help="ROWS:NUMBER of records")
    one = commands.choices["latency"]
    one.add_argument("--rates", type=_words, default=["1", "10", "50", "200"], help="ticks/s of all books")
    one.add_argument("--books", type=_words, default=["1", "4"])
    one.add_argument("--seconds", type=float, default=60.0, help="of every rate")
    one.add_argument(
        "--warm", type=float, default=30.0, help="seconds at the highest rate before, shown apart"
    )
    one.add_argument("--closing", default="lockstep", help="lockstep or timed")
    one = commands.choices["soak"]
    one.add_argument("--minutes", type=float, default=30.0)
    one.add_argument("--rate", type=float, default=500.0, help="ticks/s of all books")
    one.add_argument("--books", type=int, default=4)
    one.add_argument("--closing", default="lockstep", help="lockstep or timed")
    one = commands.choices["books"]
    one.set_defaults(binding=["aiokafka"], closing="timed")
    one.add_argument("--counts", type=_words, default=["1", "10", "100", "500", "1000"], help="of books")
    one.add_argument("--rate", type=float, default=1.0, help="ticks/s of every book")
    one.add_argument("--seconds", type=float, default=60.0, help="of every count")
    one.add_argument("--partitions", type=int, default=1, help="on two cores more of them only cost")
    one.add_argument("--timed", dest="closing", action="store_const", const="timed", help="the default")
    one.add_argument("--lockstep", dest="closing", action="store_const", const="lockstep")
    one.add_argument("--no-recovery", dest="recovery", action="store_false", help="kill nothing")
    one.add_argument("--json", action="store_true", help="print everything as JSON, too")
    for name, words in {
        "send": ("load",),
        "loop": ("bootstrap", "source", "target", "size", "identity"),
    }.items():
        one = commands.add_parser(name)  # processes of the others
        for word in words:
            one.add_argument(word)
    return parser.parse_args()


def main() -> None:
    """Run the measurement that the command line names, and print its tables."""
    options = _options()
    if options.command == "send":
        from sender import Load, send

        load = msgspec.json.decode(options.load, type=Load)
        sys.stdout.write(msgspec.json.encode(asyncio.run(send(load))._asdict()).decode())
        return
    if options.command == "loop":
        from loops import loop

        asyncio.run(
            loop(
                options.bootstrap, options.source, options.target, int(options.size), options.identity or None
            )
        )
        return
    import tables
    from rig import broker

    with (
        tempfile.TemporaryDirectory(prefix="bench-kafka-") as temporary,
        broker(options.bootstrap) as bootstrap,
    ):
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        getattr(tables, options.command)(options, bootstrap, folder)


if __name__ == "__main__":
    main()
