"""windvane evaluate: compares all ways to weigh agents, on seeds of a simulated market or on a file."""

from pathlib import Path
from typing import Annotated

import typer

from windvane.infra.cli import options
from windvane.infra.cli.idle import refuse_idle
from windvane.infra.cli.reading import MaxRejected

_SIMULATED, _FILE = {"seeds", "ticks", "jobs"}, {"bars", "fee_bp", "half_spread_bp", "max_rejected"}


def evaluate(
    context: typer.Context,
    market: Annotated[
        str | None, typer.Option(help="Simulated market: standard, mild, hard, swapped or null.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="First and last seed, as 4000-4023.")] = "4000-4023",
    ticks: Annotated[int, typer.Option(help="Scored ticks a seed, after 5,000 that are not.")] = 105_000,
    delay: Annotated[
        int | None,
        typer.Option(help="Ticks from decision to fill. Default: 0 on simulated markets, 1 on files."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Market data instead of a simulated market.")] = None,
    bars: options.Bars = None,
    fee_bp: Annotated[float, typer.Option(help="Fee on a file; a simulated market has its own.")] = 1.0,
    half_spread_bp: options.HalfSpreadBp = 0.0,
    max_rejected: MaxRejected = None,
    retraining: Annotated[
        str, typer.Option(help="on: with the predictor, which needs windvane[train]; off: without.")
    ] = "on",
    agents: options.Agents = None,
    jobs: Annotated[int | None, typer.Option(help="Processes. Default: one a core.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for table.json, table.md and table.html.")] = Path(
        "runs/evaluation"
    ),
) -> None:
    """Compare every way to weigh the agents on the same markets, with references; writes a table and a page."""
    from windvane.agents.factory import AGENTS
    from windvane.infra.evaluation.page import markdown, page
    from windvane.infra.evaluation.rows import from_file
    from windvane.infra.evaluation.run import compared, over_seeds
    from windvane.infra.evaluation.table import table
    from windvane.infra.files.reading import reading_of
    from windvane.infra.runs.progress import bar, say
    from windvane.infra.runs.summary import prepare
    from windvane.metamodel.base.config import Costs, check

    check((market is None) != (file is None), "give one of --market NAME and --file FILE")
    if file is None:
        refuse_idle(context, _FILE, "on a simulated market")
    else:
        refuse_idle(context, _SIMULATED, "on a file")
    check(jobs is None or jobs >= 1, f"--jobs is {jobs}: give 1 or more")
    check(retraining in ("on", "off"), f"--retraining is {retraining!r}: give on or off")
    late = (0 if file is None else 1) if delay is None else delay
    costs = Costs(fee_bp=fee_bp, half_spread_bp=half_spread_bp, delay=late)
    chosen = _seeds(seeds)
    names = tuple(AGENTS) if agents is None else options.words(agents)
    prepare()
    if file is None:
        with bar(f"{market}", len(chosen)) as progress:
            results = over_seeds(str(market), chosen, ticks, late, retraining == "on", jobs, progress, names)
        title = (
            f"SIMULATED market {market}, {len(chosen)} seeds ({chosen[0]} to {chosen[-1]}), "
            f"{ticks:,} scored ticks each, delay {late}"
        )
    else:
        reading = reading_of(max_rejected=max_rejected)
        results = [compared(from_file(file, bars, costs, reading, names), retraining == "on", bootstrap=True)]
        spread = f", half spread {half_spread_bp:g} bp" if half_spread_bp else ""
        title = f"{file.name}, {bars or 'as it is'}, fee {fee_bp:g} bp{spread}, filled {late} tick(s) late"
    title += "" if agents is None else f", agents {', '.join(names)}"
    rows = table(results)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "table.json", title, rows)
    text = markdown(title, rows)
    (out / "table.md").write_text(text, encoding="utf-8")
    (out / "table.html").write_text(page(title, rows), encoding="utf-8")
    typer.echo(text)
    say(f"wrote table.json, table.md and table.html to {out}")


def _write(path: Path, title: str, rows: list[dict[str, object]]) -> None:
    import json

    path.write_text(json.dumps([{"data": title, **row} for row in rows], indent=2) + "\n", encoding="utf-8")


def _seeds(text: str) -> range:
    """The seeds that FIRST-LAST names, both included."""
    from windvane.metamodel.base.config import ConfigError

    first, _, last = text.partition("-")
    if not (first.isdigit() and (last or first).isdigit()) or int(last or first) < int(first):
        raise ConfigError(f"--seeds is {text!r}: give the first and the last, as 4000-4023")
    return range(int(first), int(last or first) + 1)
