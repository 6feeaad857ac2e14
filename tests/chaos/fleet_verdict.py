"""Compares many books on the topics with what they had to become, each in the strictest way that there is."""

from collections.abc import Mapping, Sequence

from chaos.compare import Outputs, Raws, Verdict, compare, outputs_in, outputs_of, records
from chaos.fleet_books import FleetBook
from chaos.fleet_controls import unanswered
from chaos.report import say
from chaos.timed import TOPICS, account, late, recorded
from simulated_book import plain_run
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.events import BookClosed, Control, cut
from windvane.streams.topics import DEAD_LETTERS


def compared(
    settings: KafkaSettings,
    partitions: int,
    books: Sequence[FleetBook],
    rows: Mapping[str, int],
    sent: Mapping[str, Sequence[Control]],
) -> list[Verdict]:
    """Read every topic once, compare each book, and return a verdict for each kind of book.

    rows: sent of each book; sent: the controls of those that had some.
    """
    found: dict[str, list[Verdict]] = {}
    without = 0
    for partition in range(partitions):
        raws = records(settings, (*TOPICS, DEAD_LETTERS), partition)
        for book in (b for b in books if partition_of(b.name, partitions) == partition):
            controls, got = sent.get(book.name, ()), outputs_of(raws[book.name])
            without += late(got) if book.timed else 0
            kind = f"{book.opened.config.closing}{', controlled' if controls else ''}"
            found.setdefault(kind, []).append(judged(book, raws[book.name], got, rows[book.name], controls))
    say(f"in {without:,} rows of the timed books an agent had no weight")
    return [_summed(kind, found[kind]) for kind in sorted(found)]


def judged(book: FleetBook, raws: Raws, got: Outputs, rows: int, sent: Sequence[Control]) -> Verdict:
    """Compare one book: with an embedded run, or as recorded where the clock or a person had a say.

    raws: of `TOPICS` and dead letters; got: the outputs in them; rows: that were sent; sent: the controls.
    """
    if sum(map(len, got.decisions)) == 0:
        return Verdict(book.name, 0, len(got.orders), len(got.fills), rows, 0, 0, "no row is decided")
    wanted = recorded(raws, got)[1] if book.timed or sent else _embedded(book, rows)
    verdict = compare(book.name, got, wanted)
    config = book.opened.config
    words = verdict.words or ("" if verdict.rows == rows else f"{verdict.rows} of {rows} rows are decided")
    words = words or account(got, config, rows) or unanswered(sent, got.decisions, raws[DEAD_LETTERS])
    return verdict._replace(words=words)


def _embedded(book: FleetBook, rows: int) -> Outputs:
    end = BookClosed(book=book.name, last=rows - 1)
    seen = plain_run([book.opened, cut(book.market, 0, rows), end])
    return outputs_in((event for _, event in seen), book.opened.config.symbol)


def _summed(kind: str, verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for several books, with the words of the first that is wrong."""
    wrong = [v for v in verdicts if not v.right]
    words = f"{wrong[0].book}: {wrong[0].words}; wrong are {len(wrong)}" if wrong else ""
    rows, orders, fills, lost, doubled, different = (
        sum(column) for column in zip(*(v[1:7] for v in verdicts), strict=True)
    )
    return Verdict(f"{len(verdicts)} {kind}", rows, orders, fills, lost, doubled, different, words)
