"""windvane backtest: the whole pipeline over a file of market data."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from windvane.infra.market import Market
    from windvane.infra.session import Plan

EXAMPLES = """
Examples:\n
  windvane backtest bars.csv --out runs/bars\n
  windvane backtest BTCUSDT-1m-2024-01.zip --bars 15m --delay 1\n
  windvane backtest ticks.parquet --agents vol_trend,buy_and_hold --json
"""


def backtest(
    file: Annotated[Path, typer.Argument(help="CSV, CSV.gz, zip or Parquet of bars, trades or ticks.")],
    book: Annotated[str, typer.Option(help="Name of the book.")] = "main",
    symbol: Annotated[str, typer.Option(help="What is traded.")] = "BTCUSD",
    bars: Annotated[str | None, typer.Option(help="Resample to bars of 30s, 15m, 1h, 1d ...")] = None,
    agents: Annotated[str | None, typer.Option(help="Agents, separated by commas. Default: all.")] = None,
    preset: Annotated[str, typer.Option(help="conservative, balanced, aggressive or research.")] = "balanced",
    fee_bp: Annotated[float, typer.Option(help="Fee, basis points of the notional.")] = 1.0,
    slippage_bp: Annotated[float, typer.Option(help="Slippage beyond the quote, basis points.")] = 0.0,
    half_spread_bp: Annotated[float, typer.Option(help="Half spread where data have no quotes.")] = 0.0,
    participation: Annotated[
        float, typer.Option(help="Largest share of a row's volume a fill takes; 0: any.")
    ] = 0.0,
    delay: Annotated[
        int, typer.Option(help="Ticks from decision to fill; 0 fills at the price decided on.")
    ] = 1,
    capital: Annotated[float, typer.Option(help="Fixed capital; gains are not compounded.")] = 1_000_000.0,
    start: Annotated[str | None, typer.Option("--from", help="First date or time, UTC.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Date or time to stop before, UTC.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn at random.")] = 0,
    on_halt: Annotated[
        str, typer.Option(help="After a limit halts trading: stop, next-day or 'resume-after N' (ticks).")
    ] = "next-day",
    batch: Annotated[int, typer.Option(help="Rows a step; changes speed, never results.")] = 4096,
    wire: Annotated[bool, typer.Option("--wire", help="Send every event through its bytes.")] = False,
    journal: Annotated[str, typer.Option(help="inputs, or full: features and proposals too.")] = "inputs",
    out: Annotated[Path | None, typer.Option(help="Folder for the results. Default: runs/BOOK.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json on stdout.")] = False,
) -> None:
    """Backtest the whole pipeline on a FILE of Bitcoin bars, trades or ticks, and write a report."""
    from windvane.infra.latency import measure
    from windvane.infra.market import load_market
    from windvane.infra.progress import bar, interruptible, say
    from windvane.infra.session import claimed, run
    from windvane.infra.summary import finish, prepare
    from windvane.metamodel.config import check

    check(batch >= 1, f"--batch is {batch}: give 1 or more rows")
    check(journal in ("inputs", "full"), f"--journal is {journal!r}: give inputs or full")
    check(book not in ("", ".", "..") and "/" not in book, f"--book is {book!r}: give a name without slashes")
    market = load_market(file, bars=bars, start=start, end=end)
    plan = _plan(
        market,
        book=book,
        symbol=symbol,
        agents=agents,
        preset=preset,
        costs=(fee_bp, slippage_bp, half_spread_bp, delay, participation),
        capital=capital,
        seed=seed,
        on_halt=on_halt,
        batch=batch,
        wire=wire,
        full=journal == "full",
    )
    target = out or Path("runs") / book
    with claimed(target):
        with interruptible() as stopping, bar(f"{book}", len(market.columns)) as progress:
            prepare()
            result = run(plan, market, target, progress=progress, stopping=stopping)
        if result.resumed:
            say(f"went on from row {result.resumed:,} of an unfinished run in {target}")
        if not result.finished:
            say(
                f"stopped at row {result.rows:,} of {len(market.columns):,}: run the same command again to go on"
            )
            raise typer.Exit(130)
        finish(target, plan.config, result.seconds, latency=measure(plan, market), as_json=as_json)


def _plan(
    market: "Market",
    *,
    book: str,
    symbol: str,
    agents: str | None,
    preset: str,
    costs: tuple[float, float, float, int, float],
    capital: float,
    seed: int,
    on_halt: str,
    batch: int,
    wire: bool,
    full: bool,
) -> "Plan":
    from windvane.agents.factory import AGENTS, create_agents
    from windvane.infra.presets import preset as chosen
    from windvane.infra.session import Plan
    from windvane.metamodel.config import ConfigError, Costs, TradingConfig

    names = tuple(AGENTS) if agents is None else tuple(a.strip() for a in agents.split(",") if a.strip())
    try:
        create_agents(names)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    weighing, limits = chosen(preset)
    action, resume_after = _on_halt(on_halt)
    fee, slippage, half_spread, delay, participation = costs
    if participation > 0 and market.columns.size is None:
        raise ConfigError(f"--participation needs sizes, and {market.file} has none: leave it out")
    config = TradingConfig(
        symbol=symbol,
        interval=market.interval,
        stale_after=market.stale_after,
        agents=names,
        capital=capital,
        seed=seed,
        on_halt=action,
        resume_after=resume_after,
        costs=Costs(
            fee_bp=fee,
            slippage_bp=slippage,
            half_spread_bp=half_spread,
            delay=delay,
            participation=participation,
        ),
        limits=limits,
        weighing=weighing,
    )
    return Plan(book=book, config=config, preset=preset, batch=batch, wire=wire, full=full)


def _on_halt(text: str) -> tuple[str, int]:
    from windvane.metamodel.config import ConfigError

    words = text.replace("=", " ").split()
    if words in (["stop"], ["next-day"]):
        return words[0], 0
    if len(words) == 2 and words[0] == "resume-after" and words[1].isdigit() and int(words[1]) > 0:
        return "resume-after", int(words[1])
    raise ConfigError(f"--on-halt is {text!r}: give stop, next-day, or 'resume-after N' with N ticks")


backtest.__doc__ = f"{backtest.__doc__}\n\n{EXAMPLES}"
