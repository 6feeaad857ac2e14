"""A clean book on every partition: sent, decided, and compared with its backtest."""

from collections.abc import Sequence

import numpy as np
from running import PARTITIONS, put, records

from simulated_book import config, opening, plain_run, ticks
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import BookClosed, Decisions, Orders, cut
from windvane.streams.records import order_lines
from windvane.streams.topics import DECISIONS, ORDERS, TICKS

ROWS = 700
BOOKS = tuple(
    next(name for k in range(99) if partition_of(name := f"book{k}", PARTITIONS) == p)
    for p in range(PARTITIONS)
)


async def send(settings: KafkaSettings, books: Sequence[str], start: int, stop: int) -> None:
    """Rows of every book, with its opening before the first and its end after the last."""
    for book in books:
        raws = [to_json(cut(ticks(ROWS, book=book), at, at + 20)) for at in range(start, stop, 20)]
        raws[:0] = [to_json(opening(config(), book))] if start == 0 else []
        raws += [to_json(BookClosed(book=book, last=ROWS - 1))] if stop == ROWS else []
        await put(settings, TICKS, raws, book)


async def decided(settings: KafkaSettings, books: Sequence[str], upto: int) -> bool:
    """Whether all rows below `upto` are decided, each once."""
    found = [from_json(raw) for raw in await records(settings, DECISIONS)]
    for book in books:
        seqs = [e.seq for e in found if isinstance(e, Decisions) and e.book == book]
        if not seqs or len(np.concatenate(seqs)) < upto:
            return False
        assert np.array_equal(np.concatenate(seqs), np.arange(len(np.concatenate(seqs))))
    return True


def backtest(book: str) -> list[bytes]:
    seen = plain_run([opening(config(), book), ticks(ROWS, book=book), BookClosed(book=book, last=ROWS - 1)])
    return [line for _, e in seen if isinstance(e, Orders) for _, line in order_lines(e, config().symbol)]


async def orders_are_right(settings: KafkaSettings, books: Sequence[str]) -> None:
    for book in books:
        found = await records(settings, ORDERS, partition_of(book, PARTITIONS))
        assert found == backtest(book), book
        assert found
