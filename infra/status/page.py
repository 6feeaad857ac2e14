"""The status page as text and tables for a terminal: those with troubles first, however many books there are."""

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from windvane.infra.status.books import Book
from windvane.infra.status.status import Status
from windvane.infra.status.workers import Worker
from windvane.metamodel.trading.control import STATES
from windvane.streams.summaries import FLATTENING

MOST_BOOKS = 20
"""Books that the page shows unless all are asked for."""

_STYLES = {STATES[0]: "green", STATES[1]: "yellow", STATES[2]: "bold red", FLATTENING: "bold red"}
_COLUMNS = (
    *("book", "state", "rows", "behind", "last row", "last control", "learner", "model"),
    *("position", "equity", "today", "verdicts"),
)
_RIGHT = ("rows", "behind", "last row", "learner", "position", "equity", "today")


def page(status: Status, most: int | None = MOST_BOOKS) -> RenderableType:
    """Return the status as one screen for a `rich` console; most: books to show, None: all."""
    moment = datetime.datetime.fromtimestamp(status.time, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Lines(
        Text(f"{status.prefix} at {status.bootstrap}, {moment}", style="bold"),
        *_books(status, most),
        *_workers(status),
        Text(f"orders kept: at most {status.orders:,}"),
        Text(_letters(status)),
        *(
            [Text(f"! {sentence}", style="bold red") for sentence in status.troubles]
            or [Text("healthy", style="green")]
        ),
    )


def one_book(book: Book, weights: Sequence[str] = ()) -> RenderableType:
    """Return all that is known of one book; weights: lines of what the last decisions say of them."""
    return Lines(
        *(Text(f"{name:<14}{value}") for name, value in _details(book)),
        *(Text(line) for line in weights),
        *(Text(f"! {trouble.text}", style="bold red") for trouble in book.troubles),
    )


def _details(book: Book) -> Iterator[tuple[str, str]]:
    """What is known of a book, by name."""
    cells = dict(zip(_COLUMNS, map(str, _cells(book)), strict=True))
    yield from cells.items()
    yield (
        "rows by stage",
        ", ".join(
            f"{stage} {_number(rows)}"
            for stage, rows in (
                ("ticks", book.ticks),
                ("features", book.features),
                ("proposals", book.proposals),
                ("decisions", book.rows),
            )
        ),
    )
    yield "symbol", book.symbol or "-"
    yield "agents", ", ".join(book.agents) or "-"
    yield "closing", book.closing or "-"
    yield "settings", book.digest or "-"
    yield "partition", str(book.partition)


def _books(status: Status, most: int | None) -> Iterator[RenderableType]:
    """A line that counts the books, and a table of those with troubles and then the others."""
    books = list(status.books.values())
    if not books:
        yield Text("no worker has told of a book yet")
        return
    counts = Counter(
        "closed" if b.closed and b.state != FLATTENING else b.state or "not decided" for b in books
    )
    troubled = sum(bool(book.troubles) for book in books)
    said = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    noun = "book" if len(books) == 1 else "books"
    yield Text(f"{len(books):,} {noun}: {said}; {troubled or 'none'} with troubles")
    books.sort(key=lambda book: (not book.troubles, book.closed, book.book))
    table = Table()
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=name != "verdicts")
    shown = books if most is None else books[:most]
    for book in shown:
        table.add_row(*_cells(book))
    yield table
    if len(books) > len(shown):
        yield Text(
            f"and {len(books) - len(shown):,} more: --all shows every one, --book NAME one with its details"
        )


def _cells(book: Book) -> Iterator[Text]:
    """The cells of a book in the table."""
    state = book.state or ("closing" if book.closed else "not decided")
    control = book.last_control
    yield Text(f"! {book.book}" if book.troubles else book.book)
    yield Text(state, style=_STYLES.get(state, ""))
    yield Text(_number(book.rows))
    yield Text(_number(book.behind))
    yield Text(_age(book))
    yield Text(
        "none" if control is None else f"{control.number} {control.action or '?'} at row {control.row:,}"
    )
    yield Text(_number(book.learner))
    yield Text("-" if book.model is None else book.model[:12])
    yield Text("-" if book.position is None else f"{book.position:+.4f}")
    yield Text("-" if book.equity is None else f"{book.equity:,.2f}")
    yield Text("-" if book.day is None else f"{book.day:+,.2f}")
    yield Text("-" if book.verdicts is None else ", ".join(book.verdicts) or "none")


def _age(book: Book) -> str:
    if book.row_age is not None:
        return f"{span(book.row_age)} ago"
    return "not known" if book.ticks or book.rows or book.closed else "never"


def _workers(status: Status) -> Iterator[RenderableType]:
    """The table of the processes: what they run, how far they are, and what they listen on."""
    if status.workers:
        table = Table()
        for name in ("worker", "partitions", "is", "told", "records behind", "metrics", "where", "version"):
            table.add_column(name, justify="right" if name in ("told", "records behind") else "left")
        for worker in status.workers:
            table.add_row(*_worker(worker))
        yield table
    elif not status.groups:
        yield Text("no worker runs")
    for group in status.groups:
        if group.spares:
            only = "more workers than partitions are of no use, so give their stage fewer or books more partitions"
            noun = "worker has" if group.spares == 1 else "workers have"
            yield Text(f"{group.spares} of {group.members} {noun} no partition in {group.name}: {only}")


def _worker(worker: Worker) -> Iterator[Text]:
    yield Text(worker.name)
    yield Text(", ".join(map(str, worker.partitions)))
    yield Text("silent" if worker.silent else worker.phase, style="bold red" if worker.silent else "")
    yield Text(f"{span(worker.age)} ago")
    yield Text(f"{worker.lag:,}")
    yield Text(worker.listens or "none")
    yield Text(f"{worker.host}, pid {worker.pid}")
    yield Text(f"{worker.version} (code {worker.code[:8]})")


def _letters(status: Status) -> str:
    """A sentence about the dead letters: how many came in the last hour, and the last one's reason."""
    if status.last_dead_letter is None:
        return "dead letters: none"
    return (
        f"dead letters in the last hour: at most {status.dead_letters:,}; the last "
        f"{span(status.last_dead_letter_age or 0.0)} ago: {status.last_dead_letter}"
    )


def _number(value: int | None) -> str:
    """A number with commas between thousands, a dash for None."""
    return "-" if value is None else f"{value:,}"


def span(seconds: float) -> str:
    """A time span in the largest unit of which it has two or more."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
