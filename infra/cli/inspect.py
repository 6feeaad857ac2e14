"""windvane inspect: how a file would be read, without a run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from windvane.infra.cli import options
from windvane.infra.cli.reading import takes_reading

if TYPE_CHECKING:
    from windvane.infra.files.reading import Reading

EXAMPLES = """
Examples:\n
  windvane inspect candles.json\n
  windvane inspect candles.csv --columns ts,low,high,open,close,volume --json\n
  windvane inspect bars.csv --stamp close --symbol BTCEUR --symbol-column tic
"""


@takes_reading
def inspect(
    file: Annotated[Path, typer.Argument(help="A market file, as a backtest reads it.")],
    reading: "Reading",
    symbol: options.Symbol = "BTCUSD",
    bars: options.Bars = None,
    start: options.From = None,
    end: options.To = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how a FILE would be read: layout and why, interval, first and last row, volume, sides, what is rejected."""
    import orjson

    from windvane.infra.files.inspection import facts_of, told

    facts = facts_of(file, bars=bars, start=start, end=end, reading=reading)
    if as_json:
        sys.stdout.write(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())
    else:
        sys.stdout.write(told(facts))


inspect.__doc__ = f"{inspect.__doc__}\n\n{EXAMPLES}"
