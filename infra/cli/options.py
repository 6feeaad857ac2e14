"""Options that several commands share, and the run that those of a book ask for."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from windvane.agents.roster import Bindings
    from windvane.infra.files.market_data import MarketData
    from windvane.infra.runs.backtest import Plan
    from windvane.metamodel.base.config import Costs, TradingConfig

Bootstrap = Annotated[str | None, typer.Option(help="HOST:PORT of the broker. Default: 127.0.0.1:9092.")]
Prefix = Annotated[str | None, typer.Option(help="What all topics and groups start with. Default: windvane.")]

Book = Annotated[str, typer.Option(help="Name of the book.")]
Symbol = Annotated[str, typer.Option(help="What is traded.")]
Bars = Annotated[str | None, typer.Option(help="Resample to bars of 30s, 15m, 1h, 1d ...")]
Agents = Annotated[
    str | None,
    typer.Option(
        help="Agents, separated by commas: NAME, NAME=KIND, NAME=module:Class, NAME=FOLDER of a policy, NAME=remote. "
        "Default: all that are built in."
    ),
]
Shadow = Annotated[
    list[str] | None,
    typer.Option(
        help="An agent, as --agents takes it, that has an account of its own and no part in anything else. May be "
        "given again, or several with commas."
    ),
]
Seats = Annotated[
    str | None,
    typer.Option(help="Those of the agents that are not there yet: `windvane control wake` seats them."),
]
Keyed = Annotated[
    bool, typer.Option("--keyed", help="Believe only proposals that are signed with their agents' keys.")
]
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
LongOnly = Annotated[
    bool,
    typer.Option("--long-only", help="Sell only what is held, as on spot markets. Default: shorts, too."),
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
    """Raises ConfigError for a name that cannot be a folder or a part of an order's id."""
    from windvane.metamodel.base.config import check

    check(book not in ("", ".", "..") and "/" not in book, f"--book is {book!r}: give a name without slashes")
    check(book.isprintable(), f"--book is {book!r}: give a name of letters that can be printed")


def interval_of(bars: str) -> int:
    """ns of a bar of a live book, 0 for a row a trade; raises ConfigError for what is no interval."""
    from windvane.metamodel.base.config import ConfigError
    from windvane.metamodel.data.sampler import parse_interval

    if bars == "none":
        return 0
    try:
        return parse_interval(bars)
    except ValueError as error:
        raise ConfigError(f"--bars: {error}, or none") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class BookOptions:
    """What the options of a backtest, and of a file's replay through Kafka, say of the book that they run."""

    book: str
    costs: "Costs"
    symbol: str = "BTCUSD"
    agents: str | None = None  # names separated by commas, None: those of the preset
    shadow: Sequence[str] | None = None  # as agents, once or more
    seats: str | None = None  # ids separated by commas
    keyed: bool = False
    preset: str = "balanced"
    capital: float = 1_000_000.0
    seed: int = 0
    on_halt: str = "next-day"  # stop, next-day, or resume-after N
    retraining: str | None = None  # on or off, None: as the preset says
    long_only: bool = False  # True: no position below 0; False: as the preset says


class Chosen(NamedTuple):
    """What the options of a book come to."""

    config: "TradingConfig"
    detailed: bool  # the preset's `detailed_logging`
    bindings: "Bindings"  # what makes the agents that are not built in


def plan_for(
    market: "MarketData",
    options: BookOptions,
    *,
    lockstep: bool = True,
    batch: int = 4096,
    wire: bool = False,
    full: bool | None = False,
) -> "Plan":
    """The run that these options ask for on a market; raises ConfigError or LimitError for what cannot be.

    batch: rows a step; wire: send every event through its bytes; full: journal features and proposals, None: as the
    preset's `detailed_logging` says.
    """
    from windvane.infra.runs.backtest import Plan
    from windvane.metamodel.base.config import ConfigError

    if options.costs.participation > 0 and market.columns.size is None:
        raise ConfigError(f"--participation needs sizes, and {market.file} has none: leave it out")
    chosen = config_for(
        options,
        closing="lockstep" if lockstep else "timed",
        interval=market.interval,
        stale_after=market.stale_after,
    )
    return Plan(
        book=options.book,
        config=chosen.config,
        preset=options.preset,
        batch=batch,
        wire=wire,
        full=chosen.detailed if full is None else full,
        bindings=chosen.bindings,
    )


def config_for(options: BookOptions, **others: Any) -> Chosen:
    """What these options ask for; raises as `plan_for`. others: fields of TradingConfig that no option says."""
    from windvane.agents.naming import REMOTE
    from windvane.agents.roster import roster
    from windvane.infra.runs.configuration import create_meta_learning_config
    from windvane.metamodel.base.config import ConfigError, check

    symbol = options.symbol
    check(symbol.isprintable(), f"--symbol is {symbol!r}: give a name of letters that can be printed")
    preset, named, retraining = (
        create_meta_learning_config(options.preset),
        options.agents,
        options.retraining,
    )
    find_modules_here()
    if named is not None:
        preset.agents = words(named)
    agents, shadows = preset.roster(), roster(words(",".join(options.shadow or ())))
    for name, binding in shadows.bindings.items():
        check(binding.kind != REMOTE, f"--shadow {name} is remote: a shadow is computed, so name its class")
    if retraining is not None:
        if retraining not in ("on", "off"):
            raise ConfigError(f"--retraining is {retraining!r}: give on or off")
        preset.performance_prediction_enabled = retraining == "on"
    preset.long_only = preset.long_only or options.long_only
    on_halt, resume_after = _on_halt(options.on_halt)
    config = preset.trading(
        symbol=symbol,
        capital=options.capital,
        seed=options.seed,
        on_halt=on_halt,
        resume_after=resume_after,
        costs=options.costs,
        **shadows.shadowing(),
        seats=tuple(words(options.seats or "")),
        keyed=options.keyed,
        **others,
    )
    return Chosen(config, preset.detailed_logging, {**agents.bindings, **shadows.bindings})


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def find_modules_here() -> None:
    """Let module:Class name modules of the folder that the command runs in, behind all that are installed."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def _on_halt(text: str) -> tuple[str, int]:
    from windvane.metamodel.base.config import ConfigError

    words = text.replace("=", " ").split()
    if words in (["stop"], ["next-day"]):
        return words[0], 0
    if len(words) == 2 and words[0] == "resume-after" and words[1].isdigit() and int(words[1]) > 0:
        return "resume-after", int(words[1])
    raise ConfigError(f"--on-halt is {text!r}: give stop, next-day, or 'resume-after N' with N ticks")
