"""The status page as text and tables for a terminal."""

import datetime
from collections.abc import Iterator

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from windvane.infra.status.books import Book
from windvane.infra.status.status import Status
from windvane.metamodel.trading.control import STATES

_STYLES = {STATES[0]: "green", STATES[1]: "yellow", STATES[2]: "bold red"}


def page(status: Status) -> RenderableType:
    """Return the status as one screen for a `rich` console."""
    moment = datetime.datetime.fromtimestamp(status.time, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Lines(
        Text(f"{status.prefix} at {status.bootstrap}, {moment}", style="bold"),
        *(_books(status) if status.books else [Text("no book was opened yet")]),
        _groups(status),
        Text(f"orders kept: at most {status.orders:,}"),
        Text(_letters(status)),
        *(
            [Text(f"! {sentence}", style="bold red") for sentence in status.troubles]
            or [Text("healthy", style="green")]
        ),
    )


def _books(status: Status) -> Iterator[RenderableType]:
    """Two tables of all books: how far each topic is, and what was decided last."""
    rows = Table(title="rows", title_justify="left")
    for name in ("book", "ticks", "features", "proposals", "decisions", "behind", "last tick", "received"):
        rows.add_column(name, justify="left" if name == "book" else "right", no_wrap=True)
    money = Table(title="decisions", title_justify="left")
    for name in ("book", "state", "equity", "position", "target", "learner", "regime", "weights", "verdicts"):
        right = name in ("equity", "position", "target", "learner")
        money.add_column(
            name, justify="right" if right else "left", no_wrap=name not in ("weights", "verdicts")
        )
    for book in status.books:
        rows.add_row(*_row(book))
        money.add_row(*_money(book))
    yield rows
    yield money


def _row(book: Book) -> Iterator[str]:
    """The cells of a book in the table of rows."""
    yield f"{book.book} (closed)" if book.closed else book.book
    for seq in (book.ticks, book.features, book.proposals, book.decisions, book.behind):
        yield _number(seq)
    yield f"{_span(book.tick_event_age)} ago"
    yield f"{_span(book.tick_age)} ago"


def _money(book: Book) -> Iterator[str | Text]:
    """The cells of a book in the table of decisions."""
    yield book.book
    yield Text(book.state or "-", style=_STYLES.get(book.state or "", ""))
    yield "-" if book.equity is None else f"{book.equity:,.2f}"
    yield "-" if book.position is None else f"{book.position:+.4f}"
    yield "-" if book.target is None else f"{book.target:+.4f}"
    published = "" if book.learner_published in (None, book.learner) else f" ({book.learner_published} out)"
    yield f"{_number(book.learner)}{published}"
    yield book.regime or "-"
    heaviest = sorted(book.weights.items(), key=lambda pair: (-pair[1], pair[0]))
    yield ", ".join(f"{agent} {weight:.2f}" for agent, weight in heaviest) or "-"
    yield ", ".join(f"{gate} {count}" for gate, count in book.verdicts.items()) or "-"


def _groups(status: Status) -> RenderableType:
    """The table of the stages' groups: how many workers each has, their version and their lag."""
    if not status.groups:
        return Text("no worker has ever joined")
    table = Table(title="workers", title_justify="left")
    table.add_column("group", no_wrap=True)
    table.add_column("members", justify="right")
    table.add_column("version", no_wrap=True)
    table.add_column("records not acknowledged", justify="right")
    for group in status.groups:
        versions = ", ".join(group.programs) or "-"
        table.add_row(group.name, str(group.members), versions, f"{group.lag:,}")
    return table


def _letters(status: Status) -> str:
    """A sentence about the dead letters: how many came in the last hour, and the last one's reason."""
    if status.last_dead_letter is None:
        return "dead letters: none"
    return (
        f"dead letters in the last hour: at most {status.dead_letters:,}; the last "
        f"{_span(status.last_dead_letter_age)} ago: {status.last_dead_letter}"
    )


def _number(value: int | None) -> str:
    """A number with commas between thousands, a dash for None."""
    return "-" if value is None else f"{value:,}"


def _span(seconds: float | None) -> str:
    """A time span in the largest unit of which it has two or more, a dash for None."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
