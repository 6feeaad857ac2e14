"""windvane replay: the inputs of a journal through the pipeline again, and a comparison to the last bit."""

from pathlib import Path
from typing import Annotated

import typer


def replay(
    journal: Annotated[Path, typer.Argument(help="A run's folder, or its journal folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("runs/replay"),
    as_recorded: Annotated[
        bool, typer.Option("--as-recorded", help="Follow who was awake and what came late, as the run did.")
    ] = False,
    wire: Annotated[bool, typer.Option("--wire", help="Send every event through its bytes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json on stdout.")] = False,
) -> None:
    """Replay a JOURNAL: decisions, orders and fills must come out the same, byte for byte; exit code 1 if not.

    Without --as-recorded it is what a backtest of the same ticks gives, which waits for every agent: a live run in
    which one was late differs from that.

    Example:\n
      windvane replay runs/bars --out runs/again\n
      windvane replay runs/live --out runs/audit --as-recorded
    """
    from windvane.infra import journal as journals
    from windvane.infra.compare import differences
    from windvane.infra.progress import bar, say
    from windvane.infra.session import claimed, story_of
    from windvane.infra.session import replay as run_again
    from windvane.infra.summary import finish, prepare

    folder = journals.find(journal)
    story = story_of(folder)
    prepare()
    with claimed(out):
        with bar("replay", 0) as progress:
            rows, seconds, opened = run_again(
                folder, out, wire=wire, full=story["full"], as_recorded=as_recorded, progress=progress
            )
        finish(out, opened.config, seconds, latency=None, as_json=as_json)
    found = differences(folder, out / "journal", whole=story["finished"])
    if found is not None:
        say(f"the replay differs: {found}")
        raise typer.Exit(1)
    say(f"replayed {rows:,} rows: decisions, orders and fills are the same to the last bit")
