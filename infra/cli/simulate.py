"""windvane simulate: writes a market whose true regimes are known to a file of ticks."""

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    ticks: Annotated[int, typer.Option(help="Number of 15-minute ticks.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of the market.")] = 0,
    market: Annotated[str, typer.Option(help="standard, mild, hard, swapped or null.")] = "standard",
    out: Annotated[Path, typer.Option(help="Parquet file to write.")] = Path("market.parquet"),
    randomised: Annotated[bool, typer.Option("--randomised", help="As training markets are.")] = False,
) -> None:
    """Write a SIMULATED market to a file: ts, price, size, bid, ask, sizes and the true regime of every tick.

    Example:\n
      windvane simulate --ticks 100000 --seed 7 --market standard --out market.parquet
    """
    from windvane.infra.runs.progress import say
    from windvane.infra.training.simulated import write_market
    from windvane.metamodel.base.config import ConfigError, check

    other = out.suffix in (".csv", ".gz", ".zip", ".json", ".feather")
    check(not other and not out.is_dir(), f"--out is {str(out)!r}: give a file that ends in .parquet")
    try:
        write_market(out, market, ticks, seed, randomised)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    say(f"wrote {ticks:,} ticks of a SIMULATED market to {out}")
