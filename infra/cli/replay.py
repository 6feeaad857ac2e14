"""windvane replay: history through the pipeline again, embedded from a journal, or through Kafka."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windvane.infra.cli import options
from windvane.infra.cli.idle import refuse_idle
from windvane.infra.cli.reading import takes_reading
from windvane.infra.cli.replay_words import ReplayGroup
from windvane.infra.cli.sending import Sending, send_history

if TYPE_CHECKING:
    from windvane.agents.program import Program
    from windvane.infra.files.reading import Reading
    from windvane.infra.kafka.broker.settings import KafkaSettings

HELP = """Replay a run, a market file, or what lies on the topics.

A run's journal is computed again: the same to the last bit, or exit code 1. A market file, or the ticks of a topic,
are sent through Kafka. An audit computes a book again as its topics have it.

Without the word `journal`, `file`, `topic` or `audit`, what is named says which of them is meant: a run's folder, a
market file, --from-topic ticks, or --as-recorded.

Examples:\n
  windvane replay runs/bars --out runs/again\n
  windvane replay file bars.csv --bootstrap 127.0.0.1:9092 --prefix history --book bars --lockstep --speed max\n
  windvane replay topic --from-book btc --bootstrap 127.0.0.1:9092 --book again --lockstep\n
  windvane replay audit --book bars
"""

app = typer.Typer(cls=ReplayGroup, help=HELP)

Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Wire = Annotated[bool, typer.Option("--wire", help="Send every event through its bytes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print metrics.json on stdout.")]
AsRecorded = Annotated[
    bool, typer.Option("--as-recorded", help="Follow who was awake and what came late, as the run did.")
]
Lockstep = Annotated[
    bool, typer.Option("--lockstep", help="Wait for every agent, as a backtest does; else by the clock.")
]
Speed = Annotated[str, typer.Option(help="1x, 100x ... as fast as it happened, or max.")]
Records = Annotated[int, typer.Option(help="Rows a record at most.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when all rows are decided.")]

_EMBEDDED = {"out", "wire", "as_json", "as_recorded"}
_SENT = {"book", "speed", "records", "wait"}


@app.command()
def journal(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A run's folder, or its journal.")],
    out: Out = Path("runs/replay"),
    as_recorded: AsRecorded = False,
    wire: Wire = False,
    as_json: AsJson = False,
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    book: options.Book = "main",
    lockstep: Lockstep = False,
    speed: Speed = "max",
    records: Records = 256,
    wait: Wait = False,
) -> None:
    """Compute a run again: the same to the last bit, or exit code 1.

    What is replayed is what a backtest of the same ticks does, which waits for every agent. A live run in which one
    was late differs from that: --as-recorded follows the choices that it recorded, and must equal it; --lockstep is
    asked for what a backtest does, and tells where and why that differs. With --bootstrap or --prefix the run's inputs
    are sent through Kafka instead, with the settings that it had.
    """
    from windvane.infra.runs import journal as journals
    from windvane.metamodel.base.config import check

    if bootstrap is None and prefix is None:
        refuse_idle(context, _SENT, "where this replays a run, embedded")
        check(not (as_recorded and lockstep), "give --as-recorded or --lockstep: they are two answers")
        _embedded(source, out, as_recorded, wire, as_json, differs=lockstep)
        return
    refuse_idle(context, _EMBEDDED, "where this replays a run through Kafka, with the settings that it had")
    sending = Sending.of(bootstrap, prefix, book=book, speed=speed, records=records, wait=wait)
    from windvane.infra.kafka.tools import history as histories

    send_history(sending, histories.of_journal(journals.find(source), book, lockstep=lockstep))


@app.command()
@takes_reading
def file(
    source: Annotated[Path, typer.Argument(help="A market file, as a backtest reads it.")],
    reading: "Reading",
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    book: options.Book = "main",
    lockstep: Lockstep = False,
    speed: Speed = "max",
    records: Records = 256,
    wait: Wait = False,
    symbol: options.Symbol = "BTCUSD",
    bars: options.Bars = None,
    agents: options.Agents = None,
    shadow: options.Shadow = None,
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
    long_only: options.LongOnly = False,
) -> None:
    """Send a market file through Kafka, as a book of its own; the same command goes on where it was stopped."""
    import asyncio

    from windvane.infra.files.market_data import load_market
    from windvane.metamodel.base.config import Costs

    sending = Sending.of(bootstrap, prefix, book=book, speed=speed, records=records, wait=wait)
    from windvane.infra.kafka.broker import layout
    from windvane.infra.kafka.tools import history as histories

    asyncio.run(layout.check(sending.settings))  # before a large file is read for nothing
    market = load_market(source, bars=bars, start=start, end=end, reading=reading)
    chosen = options.BookOptions(
        book=book,
        costs=Costs(
            fee_bp=fee_bp,
            slippage_bp=slippage_bp,
            half_spread_bp=half_spread_bp,
            participation=participation,
            delay=delay,
        ),
        symbol=symbol,
        agents=agents,
        shadow=shadow,
        preset=preset,
        capital=capital,
        seed=seed,
        on_halt=on_halt,
        retraining=retraining,
        long_only=long_only,
    )
    plan = options.plan_for(market, chosen, lockstep=lockstep)
    send_history(sending, histories.of_market(market, plan))


@app.command()
def topic(
    from_book: Annotated[str | None, typer.Option(help="Book to take from the ticks topic.")] = None,
    from_prefix: Annotated[str | None, typer.Option(help="Prefix of that topic. Default: --prefix.")] = None,
    start: options.From = None,
    end: options.To = None,
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    book: options.Book = "main",
    lockstep: Lockstep = False,
    speed: Speed = "max",
    records: Records = 256,
    wait: Wait = False,
    from_topic: Annotated[str, typer.Option(hidden=True)] = "ticks",
) -> None:
    """Send the ticks of a book that lie on a topic through Kafka again, under another name, with its settings."""
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.metamodel.base.config import check

    sending = Sending.of(bootstrap, prefix, book=book, speed=speed, records=records, wait=wait)
    from windvane.infra.kafka.tools import history as histories

    check(from_topic == "ticks", f"--from-topic is {from_topic!r}: give ticks, the input of all the rest")
    origin = KafkaSettings.load(bootstrap, from_prefix or prefix)
    send_history(sending, histories.of_topic(origin, from_book, book, start, end, lockstep=lockstep))


@app.command()
def audit(
    book: options.Book = "main",
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    out: Out = Path("runs/replay"),
    wire: Wire = False,
    as_json: AsJson = False,
    as_recorded: Annotated[bool, typer.Option("--as-recorded", hidden=True)] = True,
) -> None:
    """Compute a book again as it lies on the topics, with the choices that time made: the same, or exit code 1."""
    from windvane.infra.kafka.broker.settings import KafkaSettings

    options.check_book(book)
    _embedded(_exported(KafkaSettings.load(bootstrap, prefix), book, out), out, True, wire, as_json)


def _exported(settings: "KafkaSettings", book: str, out: Path) -> Path:
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


def _embedded(
    journal: Path, out: Path, as_recorded: bool, wire: bool, as_json: bool, *, differs: bool = False
) -> None:
    """The inputs of a journal through the embedded pipeline; as recorded: with the choices that time made.

    differs: whether results may be others than those of the journal, which is told.
    """
    from windvane.agents.kernel import this_program
    from windvane.infra.runs import journal as journals
    from windvane.infra.runs.backtest import add_info, claimed, computed_by, opened_as, run_info
    from windvane.infra.runs.compare import differences
    from windvane.infra.runs.lateness import compared
    from windvane.infra.runs.progress import bar, say
    from windvane.infra.runs.replay import played
    from windvane.infra.runs.replay import replay as run_again
    from windvane.infra.runs.summary import finish, prepare
    from windvane.infra.training.trainer import trainer_for

    folder = journals.find(journal)
    info = run_info(folder)
    history = played(opened_as(folder))
    if history:
        say(history)
    prepare()
    with claimed(out), trainer_for(*(() if as_recorded else (opened_as(folder),))) as trainer:
        with bar("replay", 0) as progress:
            rows, seconds, opened = run_again(
                folder,
                out,
                wire=wire,
                full=info["full"],
                as_recorded=as_recorded,
                trainer=trainer,
                progress=progress,
            )
        if differs:
            add_info(out / "journal", lateness=compared(folder, out / "journal", whole=info["finished"]))
        finish(out, opened.config, seconds, latency=None, as_json=as_json)
    if differs:
        for sentence in run_info(out / "journal")["lateness"]:
            say(sentence)
        return
    difference = differences(folder, out / "journal", whole=info["finished"])
    others = _others(computed_by(info))
    if difference is not None:
        why = f"; it was computed by {others}, and this is {this_program()}, which computes otherwise"
        say(f"the replay differs: {difference}{why if others else ''}")
        raise typer.Exit(1)
    by = f", computed by {others} then and by {this_program()} now" if others else ""
    say(f"replayed {rows:,} rows{by}: decisions, orders and fills are the same to the last bit")


def _others(parts: "list[tuple[int, Program]]") -> str:
    """Who computed a journal in words, where it was not this program alone."""
    from windvane.agents.kernel import this_program

    if all(program == this_program() for _, program in parts):
        return ""
    return ", then ".join(f"{program}" + (f" from row {row:,} on" if row else "") for row, program in parts)
