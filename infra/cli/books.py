"""windvane books: all books of a prefix are listed; one is closed by hand, or taken out of the lists."""

from typing import Annotated

import typer

from windvane.infra.cli import options

app = typer.Typer(no_args_is_help=True, help="List books, close one, or take a closed one out of the lists.")

Name = Annotated[str, typer.Argument(help="Name of the book.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]


@app.command("list")
def list_books(
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """List every book that a worker has told of, open or closed: rows, symbol, agents and settings.

    Example:\n
      windvane books list --json
    """
    import asyncio
    import sys

    import msgspec

    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.status.listing import listed, table

    books = asyncio.run(listed(KafkaSettings.load(bootstrap, prefix)))
    sys.stdout.write(f"{msgspec.json.encode(books).decode() if as_json else table(books)}\n")


@app.command()
def close(
    name: Name, yes: Yes = False, bootstrap: options.Bootstrap = None, prefix: options.Prefix = None
) -> None:
    """End a book after the last row that was sent of it, as its feed would. Stop its feed first.

    Example:\n
      windvane books close main --yes
    """
    import asyncio

    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.tools.book_ends import BookError, busy, close_book, end_of
    from windvane.infra.runs.progress import say

    settings = KafkaSettings.load(bootstrap, prefix)
    end = asyncio.run(end_of(settings, name))
    if busy(end) and not yes:
        raise BookError(f"book {name} has had a row {end.age:.0f} s ago: stop its feed first, or give --yes")
    holds = ""
    if end.position:
        holds = f"; it holds {end.position:+.4f} units of capital, and nothing will close that any more"
    _ask(f"close book {name} after {end.rows:,} rows{holds}", yes)
    asyncio.run(close_book(settings, end))
    say(
        f"book {name} ends after {end.rows:,} rows{holds}: `windvane status --book {name}` shows when it is closed"
    )


@app.command()
def remove(
    name: Name, yes: Yes = False, bootstrap: options.Bootstrap = None, prefix: options.Prefix = None
) -> None:
    """Take a closed book out of lists and status. Its records stay as long as their topics keep them.

    Example:\n
      windvane books remove main --yes
    """
    import asyncio

    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.tools.book_ends import remove_book
    from windvane.infra.runs.progress import say

    settings = KafkaSettings.load(bootstrap, prefix)
    _ask(f"take book {name} out of the lists for good (its records stay, and its name stays taken)", yes)
    asyncio.run(remove_book(settings, name))
    say(
        f"book {name} is out of the lists: its records stay as long as their topics keep them, its name stays taken"
    )


def _ask(what: str, yes: bool) -> None:
    """Ask a person on a terminal; raises ConfigError where there is none and nobody has said yes."""
    import sys

    from windvane.metamodel.base.config import check

    if yes:
        return
    check(sys.stdin.isatty(), f"this would {what}: give --yes where nobody can be asked")
    if not typer.confirm(f"{what[0].upper()}{what[1:]}?", err=True):
        raise typer.Exit(1)
