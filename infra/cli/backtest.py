"""windvane backtest: runs the whole pipeline over a file of market data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windvane.infra.cli import options
from windvane.infra.cli.reading import takes_reading

if TYPE_CHECKING:
    from windvane.infra.files.reading import Reading

EXAMPLES = """
Examples:\n
  windvane backtest bars.csv --out runs/bars\n
  windvane backtest BTCUSDT-1m-2024-01.zip --bars 15m --delay 1\n
  windvane backtest ticks.parquet --agents vol_trend,buy_and_hold --json
"""


@takes_reading
def backtest(
    file: Annotated[Path, typer.Argument(help="CSV, CSV.gz, zip or Parquet of bars, trades or ticks.")],
    reading: "Reading",
    book: options.Book = "main",
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
    batch: Annotated[int, typer.Option(help="Rows a step; changes speed, never results.")] = 4096,
    wire: Annotated[bool, typer.Option("--wire", help="Send every event through its bytes.")] = False,
    journal: Annotated[
        str | None,
        typer.Option(help="inputs, or full: features and proposals too. Default: as the preset says."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results. Default: runs/BOOK.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json on stdout.")] = False,
) -> None:
    """Backtest the whole pipeline on a FILE of Bitcoin bars, trades or ticks, and write a report."""
    from windvane.agents.roster import check_made_here
    from windvane.infra.files.market_data import load_market
    from windvane.infra.runs.backtest import claimed, run
    from windvane.infra.runs.files import naming
    from windvane.infra.runs.latency import measure
    from windvane.infra.runs.progress import bar, interruptible, say
    from windvane.infra.runs.summary import finish, prepare
    from windvane.infra.training.trainer import trainer_for
    from windvane.metamodel.base.config import Costs, check

    check(batch >= 1, f"--batch is {batch}: give 1 or more rows")
    check(journal in (None, "inputs", "full"), f"--journal is {journal!r}: give inputs or full")
    options.check_book(book)
    market = load_market(file, bars=bars, start=start, end=end, reading=reading)
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
    plan = options.plan_for(
        market, chosen, batch=batch, wire=wire, full=None if journal is None else journal == "full"
    )
    check_made_here(plan.bindings, "a backtest has no topic that others write to")
    target = out or Path("runs") / book
    with claimed(target), trainer_for(plan.config) as trainer:
        with interruptible() as stopping, bar(f"{book}", len(market.columns)) as progress:
            prepare()
            with naming(target):
                result = run(plan, market, target, trainer=trainer, progress=progress, stopping=stopping)
        if result.resumed:
            by = "" if result.before is None else f", which {result.before} had computed up to there"
            say(f"went on from row {result.resumed:,} of an unfinished run in {target}{by}")
        if not result.finished:
            say(
                f"stopped at row {result.rows:,} of {len(market.columns):,}: run the same command again to go on"
            )
            raise typer.Exit(130)
        finish(target, plan.config, result.seconds, latency=measure(plan, market, trainer), as_json=as_json)


backtest.__doc__ = f"{backtest.__doc__}\n\n{EXAMPLES}"
