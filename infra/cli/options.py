"""The options that say what is traded and how: the same for a backtest and for a replay through Kafka."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from windvane.infra.files.market_data import Market
    from windvane.infra.runs.backtest import Plan

Book = Annotated[str, typer.Option(help="Name of the book.")]
Symbol = Annotated[str, typer.Option(help="What is traded.")]
Bars = Annotated[str | None, typer.Option(help="Resample to bars of 30s, 15m, 1h, 1d ...")]
Agents = Annotated[str | None, typer.Option(help="Agents, separated by commas. Default: all.")]
Preset = Annotated[str, typer.Option(help="conservative, balanced, aggressive or research.")]
FeeBp = Annotated[float, typer.Option(help="Fee, basis points of the notional.")]
SlippageBp = Annotated[float, typer.Option(help="Slippage beyond the quote, basis points.")]
HalfSpreadBp = Annotated[float, typer.Option(help="Half spread where data have no quotes.")]
Participation = Annotated[float, typer.Option(help="Largest share of a row's volume a fill takes; 0: any.")]
Delay = Annotated[int, typer.Option(help="Ticks from decision to fill; 0 fills at the price decided on.")]
Capital = Annotated[float, typer.Option(help="Fixed capital; gains are not compounded.")]
From = Annotated[str | None, typer.Option("--from", help="First date or time, UTC.")]
To = Annotated[str | None, typer.Option("--to", help="Date or time to stop before, UTC.")]
Seed = Annotated[int, typer.Option(help="Seed of all that is drawn at random.")]
OnHalt = Annotated[
    str, typer.Option(help="After a limit halts trading: stop, next-day or 'resume-after N' (ticks).")
]

Retraining = Annotated[
    str | None,
    typer.Option(help="on: retrain the predictor, needs windvane[train]; off. Default: the preset's, on."),
]

State = Annotated[
    Path | None,
    typer.Option(
        envvar="WINDVANE_STATE",
        help="Folder of the stages' states; `topic` keeps them on Kafka. Default: the one that doctor names.",
    ),
]


def check_book(book: str) -> None:
    """Refuse a name that cannot be a folder or part of an id."""
    from windvane.metamodel.base.config import check

    check(book not in ("", ".", "..") and "/" not in book, f"--book is {book!r}: give a name without slashes")


def plan_for(
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
    batch: int = 4096,
    wire: bool = False,
    full: bool | None = False,
    lockstep: bool = True,
    retraining: str | None = None,
) -> "Plan":
    """What to run on a market. costs: fee, slippage and half spread in bp, delay in rows, participation.

    full: journal features and proposals, None: as the preset's `detailed_logging` says.
    """
    from windvane.agents.factory import create_agents
    from windvane.infra.runs.backtest import Plan
    from windvane.infra.runs.configuration import create_meta_learning_config
    from windvane.metamodel.base.config import ConfigError, Costs

    chosen = create_meta_learning_config(preset)
    names = chosen.agents if agents is None else tuple(a.strip() for a in agents.split(",") if a.strip())
    try:
        create_agents(names)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if retraining is not None:
        if retraining not in ("on", "off"):
            raise ConfigError(f"--retraining is {retraining!r}: give on or off")
        chosen.performance_prediction_enabled = retraining == "on"
    action, resume_after = _on_halt(on_halt)
    fee, slippage, half_spread, delay, participation = costs
    if participation > 0 and market.columns.size is None:
        raise ConfigError(f"--participation needs sizes, and {market.file} has none: leave it out")
    config = chosen.trading(
        symbol=symbol,
        closing="lockstep" if lockstep else "timed",
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
    )
    return Plan(
        book=book,
        config=config,
        preset=preset,
        batch=batch,
        wire=wire,
        full=chosen.detailed_logging if full is None else full,
    )


def _on_halt(text: str) -> tuple[str, int]:
    from windvane.metamodel.base.config import ConfigError

    words = text.replace("=", " ").split()
    if words in (["stop"], ["next-day"]):
        return words[0], 0
    if len(words) == 2 and words[0] == "resume-after" and words[1].isdigit() and int(words[1]) > 0:
        return "resume-after", int(words[1])
    raise ConfigError(f"--on-halt is {text!r}: give stop, next-day, or 'resume-after N' with N ticks")
