"""windvane replay: history through the pipeline again, embedded from a journal, or through Kafka from a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from windvane.infra.cli import options
from windvane.infra.cli.given import refuse_idle
from windvane.infra.cli.reading import OPTIONS as READING
from windvane.infra.cli.reading import takes_reading

if TYPE_CHECKING:
    from windvane.agents.program import Program
    from windvane.infra.files.reading import Reading
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.tools.replayer import History

EXAMPLES = """
Examples:\n
  windvane replay runs/bars --out runs/again\n
  windvane replay bars.csv --bootstrap 127.0.0.1:9092 --prefix history --book bars --lockstep --speed max\n
  windvane replay --as-recorded --book bars\n
  windvane replay --from-topic ticks --from-book btc --bootstrap 127.0.0.1:9092 --book again --lockstep
"""


_BROKER = {"bootstrap", "prefix"}
_RESULTS = {"out", "wire", "as_json"}
_SENT = {*_BROKER, "book", "lockstep", "speed", "records", "wait"}
_PLAN = {"symbol", "agents", "preset", "fee_bp", "slippage_bp", "half_spread_bp", "participation", "delay"}

_WAYS = {
    "run": {"source", "as_recorded", *_RESULTS},
    "audit": {"as_recorded", "book", *_BROKER, *_RESULTS},
    "run through Kafka": {"source", *_SENT},
    "topic": {"from_topic", "from_book", "from_prefix", "start", "end", *_SENT},
    "file": {
        "source",
        "bars",
        "start",
        "end",
        "capital",
        "seed",
        "on_halt",
        "retraining",
        *_PLAN,
        *_SENT,
        *READING,
    },
}
"""What is replayed, and the parameters that each way takes."""

_TOLD = {
    "run": "a run, embedded",
    "audit": "a book on the topics, as recorded",
    "run through Kafka": "a run through Kafka, with the settings that it had",
    "topic": "a book of the topic, with the settings that it had",
    "file": "a market file through Kafka",
}


@takes_reading
def replay(
    context: typer.Context,
    reading: "Reading",
    source: Annotated[
        Path | None,
        typer.Argument(help="A run's folder or journal; or a market file, which goes through Kafka."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("runs/replay"),
    as_recorded: Annotated[
        bool, typer.Option("--as-recorded", help="Follow who was awake and what came late, as the run did.")
    ] = False,
    wire: Annotated[bool, typer.Option("--wire", help="Send every event through its bytes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json on stdout.")] = False,
    bootstrap: Annotated[str | None, typer.Option(help="HOST:PORT of a broker to replay through.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Of all topics and groups.")] = None,
    from_topic: Annotated[str | None, typer.Option(help="ticks: replay what lies there.")] = None,
    from_book: Annotated[str | None, typer.Option(help="Book to take from that topic.")] = None,
    from_prefix: Annotated[str | None, typer.Option(help="Prefix of that topic. Default: --prefix.")] = None,
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="Wait for every agent, as a backtest does; else by the clock.")
    ] = False,
    speed: Annotated[str, typer.Option(help="1x, 100x ... as fast as it happened, or max.")] = "max",
    records: Annotated[int, typer.Option(help="Rows a record at most.")] = 256,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all rows are decided.")] = False,
    book: options.Book = "main",
    symbol: options.Symbol = "BTCUSD",
    bars: options.Bars = None,
    agents: options.Agents = None,
    preset: options.Preset = "balanced",
    fee_bp: options.FeeBp = 1.0,
    slippage_bp: options.SlippageBp = 0.0,
    half_spread_bp: options.HalfSpreadBp = 0.0,
    participation: options.Participation = 0.0,
    delay: options.Delay = 1,
    capital: options.Capital = 1_000_000.0,
    start: options.From = None,
    end: options.To = None,
    seed: options.Seed = 0,
    on_halt: options.OnHalt = "next-day",
    retraining: options.Retraining = None,
) -> None:
    """Replay a run: the same to the last bit, or exit code 1. A market file is sent through Kafka.

    What is replayed is what a backtest of the same ticks gives, which waits for every agent. A live run in which one
    was late differs from that: --as-recorded follows the choices that it recorded, and must equal it; without a run
    it audits --book as it lies on the topics. With --bootstrap or --prefix a run is sent through Kafka, too.
    """
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.runs import journal as journals
    from windvane.metamodel.base.config import check

    way = _way(source, as_recorded, from_topic, bootstrap is not None or prefix is not None)
    idle = [str(p.name) for p in context.command.params if p.name not in _WAYS[way]]
    refuse_idle(context, idle, f"where this replays {_TOLD[way]}")
    if way == "run":
        _embedded(cast(Path, source), out, as_recorded, wire, as_json)
        return
    options.check_book(book)
    settings = KafkaSettings.load(bootstrap, prefix)
    if way == "audit":
        _embedded(_from_topics(settings, book, out), out, True, wire, as_json)
        return
    from windvane.infra.kafka.tools import history as histories
    from windvane.infra.kafka.tools.replayer import speed_of

    check(1 <= records <= 256, f"--records is {records}: give 1 to 256 rows")
    pace = speed_of(speed)
    if way == "topic":
        check(from_topic == "ticks", f"--from-topic is {from_topic!r}: give ticks, the input of all the rest")
        origin = KafkaSettings.load(bootstrap, from_prefix or prefix)
        found = histories.of_topic(origin, from_book, book, start, end, lockstep=lockstep)
    elif way == "run through Kafka":
        found = histories.of_journal(journals.find(cast(Path, source)), book, lockstep=lockstep)
    else:
        import asyncio

        from windvane.infra.files.market_data import load_market
        from windvane.infra.kafka.broker import layout

        asyncio.run(layout.check(settings))  # before a large file is read for nothing
        market = load_market(cast(Path, source), bars=bars, start=start, end=end, reading=reading)
        plan = options.plan_for(
            market,
            book=book,
            symbol=symbol,
            agents=agents,
            preset=preset,
            costs=(fee_bp, slippage_bp, half_spread_bp, delay, participation),
            capital=capital,
            seed=seed,
            on_halt=on_halt,
            retraining=retraining,
            lockstep=lockstep,
        )
        found = histories.of_market(market, plan)
    _through_kafka(settings, found, pace, records, wait)


def _way(source: Path | None, as_recorded: bool, from_topic: str | None, broker: bool) -> str:
    """Which of _WAYS is meant: by what is named, not by whether a broker is configured."""
    from windvane.infra.runs import journal as journals
    from windvane.metamodel.base.config import ConfigError, check

    if from_topic is not None:
        check(source is None, "give a file or --from-topic, not both")
        check(not as_recorded, "--as-recorded audits --book, or a run that is named: leave out --from-topic")
        return "topic"
    if source is None:
        if as_recorded:
            return "audit"
        raise ConfigError("nothing to replay: name a run's folder, a market file, or --from-topic ticks")
    check(source.exists(), f"{source} does not exist: check the path")
    if source.is_dir() or source.name == journals.FILE:
        check(not (broker and as_recorded), "--as-recorded audits --book on the topics: name no file")
        return "run through Kafka" if broker else "run"
    check(
        not as_recorded, f"--as-recorded follows what a run recorded, and {source} is none: name its folder"
    )
    return "file"


def _from_topics(settings: "KafkaSettings", book: str, out: Path) -> Path:
    """The journal of a book as its topics have it, under OUT/topics."""
    import asyncio

    from windvane.infra.kafka.tools.export import export
    from windvane.infra.runs.progress import bar
    from windvane.metamodel.base.config import ConfigError

    folder = out / "topics"
    with bar("read topics", 0) as progress:
        rows = asyncio.run(export(settings, folder, start=None, end=None, book=book, progress=progress))
    if not rows:
        raise ConfigError(
            f"prefix {settings.prefix} has no book {book}: `windvane status` lists those there are"
        )
    return folder / book


def _through_kafka(
    settings: "KafkaSettings", history: "History", speed: float, records: int, wait: bool
) -> None:
    import asyncio
    import time

    from windvane.infra.kafka.tools.replayer import decided, send
    from windvane.infra.runs.progress import bar, interruptible, say

    book, began = history.opened.book, time.monotonic()
    with interruptible() as stopping:
        with bar(f"send {book}", history.rows) as progress:
            done = asyncio.run(
                send(settings, history, speed=speed, rows=records, progress=progress, stopping=stopping)
            )
        if done < history.rows:
            say(f"stopped at row {done:,} of {history.rows:,}: the same command goes on")
            raise typer.Exit(130)
        say(f"sent {history.rows:,} rows of {book} to {settings.prefix}.ticks")
        if not wait:
            return
        with bar(f"decide {book}", history.rows) as progress:
            last = asyncio.run(decided(settings, book, history.rows, progress, stopping))
    if last < history.rows:
        say(f"{last:,} of {history.rows:,} rows are decided: `windvane status` tells what the rest waits for")
        raise typer.Exit(1)
    seconds = time.monotonic() - began
    say(
        f"all rows are decided: {history.rows / seconds:,.0f} ticks/s from the first sent to the last decided"
    )


def _embedded(journal: Path, out: Path, as_recorded: bool, wire: bool, as_json: bool) -> None:
    """The inputs of a journal through the embedded pipeline; as recorded: with the choices that time made."""
    from windvane.agents.kernel import this_program
    from windvane.infra.runs import journal as journals
    from windvane.infra.runs.backtest import claimed, computed_by, opened_as, story_of
    from windvane.infra.runs.compare import differences
    from windvane.infra.runs.progress import bar, say
    from windvane.infra.runs.replay import replay as run_again
    from windvane.infra.runs.summary import finish, prepare
    from windvane.infra.training.trainer import trainer_for

    folder = journals.find(journal)
    story = story_of(folder)
    prepare()
    with claimed(out), trainer_for(*(() if as_recorded else (opened_as(folder),))) as trainer:
        with bar("replay", 0) as progress:
            rows, seconds, opened = run_again(
                folder,
                out,
                wire=wire,
                full=story["full"],
                as_recorded=as_recorded,
                trainer=trainer,
                progress=progress,
            )
        finish(out, opened.config, seconds, latency=None, as_json=as_json)
    found = differences(folder, out / "journal", whole=story["finished"])
    others = _others(computed_by(story))
    if found is not None:
        why = f"; it was computed by {others}, and this is {this_program()}, which computes otherwise"
        say(f"the replay differs: {found}{why if others else ''}")
        raise typer.Exit(1)
    by = f", computed by {others} then and by {this_program()} now" if others else ""
    say(f"replayed {rows:,} rows{by}: decisions, orders and fills are the same to the last bit")


def _others(parts: "list[tuple[int, Program]]") -> str:
    """Who computed a journal in words, where it was not this program alone."""
    from windvane.agents.kernel import this_program

    if all(program == this_program() for _, program in parts):
        return ""
    return ", then ".join(f"{program}" + (f" from row {row:,} on" if row else "") for row, program in parts)


replay.__doc__ = f"{replay.__doc__}\n\n{EXAMPLES}"
