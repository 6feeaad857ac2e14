"""The list of books: what is known of each, open or closed, for people and for scripts."""

import time
from collections.abc import Sequence

import msgspec

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import reading
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.summaries import read_summaries
from windvane.infra.status.books import books_of

_DIGITS = 16


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One book in the list."""

    book: str
    closed: bool
    state: str | None  # as in the status
    rows: int | None  # decided; None where no ensemble has told it
    symbol: str | None
    agents: tuple[str, ...]
    digest: str | None  # of its settings
    partition: int


async def listed(settings: KafkaSettings) -> list[Listed]:
    """Every book that a worker has told of, by name; raises LayoutError where there is nothing that it is told on."""
    partitions = await layout.check(settings)
    if not await layout.has_summaries(settings):
        topic, mend = settings.topic(layout.SUMMARIES), layout.mending(settings, partitions)
        raise layout.LayoutError(f"topic {topic} is missing, so no worker can tell of its books: run {mend}")
    async with reading(settings) as reader:
        summaries = await read_summaries(reader, settings, range(partitions))
    books = books_of(summaries, time.time()).values()
    return [msgspec.convert(book, Listed, from_attributes=True) for book in books]


def table(books: Sequence[Listed]) -> str:
    """The list as lines of text with a heading, in aligned columns."""
    if not books:
        return "no worker has told of a book yet"
    cells = [("book", "state", "rows", "symbol", "settings", "agents")]
    cells += [
        (
            book.book,
            book.state or ("closing" if book.closed else "not decided"),
            "-" if book.rows is None else f"{book.rows:,}",
            book.symbol or "-",
            (book.digest or "-")[:_DIGITS],
            ", ".join(book.agents) or "-",
        )
        for book in books
    ]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return "\n".join(
        "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip() for line in cells
    )
