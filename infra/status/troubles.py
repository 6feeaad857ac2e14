"""What should wake a person, as sentences that say what to do; many books with the same trouble share one."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from windvane.infra.kafka.broker.groups import Group
from windvane.infra.status.books import Book, BookTrouble
from windvane.infra.status.workers import Worker
from windvane.metamodel.trading.control import STATES
from windvane.streams.summaries import FLATTENING
from windvane.streams.topology import TOPOLOGY

_NAMED = 3
"""Books that a sentence about many names."""

_MANY = {
    "halted": ("are halted", "find out why, then `windvane control resume --book NAME` each"),
    "silent": ("get no rows", "look at their feed, or `windvane books close NAME` each"),
    "behind": ("are behind", "look at the first stage that is, and give it another worker"),
    "undecided": ("have rows and no decision on them", "look at the stage that they wait for"),
}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The thresholds above which something is a trouble."""

    silence: float = 60.0  # s without a row of an open book
    behind: int = 10_000  # rows of a book, or records of a group


def with_troubles(book: Book, limits: Limits) -> Book:
    """The book with its own troubles before those that workers told."""
    return msgspec.structs.replace(book, troubles=[*_of_book(book, limits), *book.troubles])


def _of_book(book: Book, limits: Limits) -> Iterator[BookTrouble]:
    name = book.book
    if book.state in (STATES[2], FLATTENING):
        by = "" if book.last_control is None else f", last control {book.last_control.number}"
        resume = f"find out why, then `windvane control resume --book {name}`"
        yield BookTrouble(code="halted", text=f"book {name} is halted{by}: {resume}")
    if not book.closed and book.row_age is not None and book.row_age > limits.silence:
        what = f"look at its feed, or `windvane books close {name}`"
        yield BookTrouble(code="silent", text=f"book {name} has had no row for {book.row_age:,.0f} s: {what}")
    behind = book.behind or 0
    if behind > limits.behind:
        text = f"the decisions of book {name} are {behind:,} rows behind its ticks: {_stage_to_look_at(book)}"
        yield BookTrouble(code="behind", text=text)
    elif behind and (book.row_age or 0.0) > limits.silence:
        text = f"book {name} has {behind:,} rows and no decision on them: {_stage_to_look_at(book)}"
        yield BookTrouble(code="undecided", text=text)


def _stage_to_look_at(book: Book) -> str:
    """The first stage that is behind, as what to do."""
    ticks = book.ticks or 0
    if (book.features or 0) < ticks:
        return "rows are missing before them, or stage features is behind: look at the feed, then at its log"
    if (book.proposals or 0) < ticks:
        return "look at the workers of stage proposals, whose answers are missing"
    return "look at the log of stage ensemble, which says what it waits for"


def of_books(books: Iterable[Book]) -> Iterator[str]:
    """The troubles of all books; of more than three with the same, one sentence."""
    by_code: dict[str, list[tuple[str, str]]] = {}
    for book in books:
        for trouble in book.troubles:
            by_code.setdefault(trouble.code, []).append((book.book, trouble.text))
    for code, found in by_code.items():
        if len(found) <= _NAMED:
            yield from (text for _, text in found)
            continue
        names = ", ".join(name for name, _ in found[:_NAMED])
        said, what = _MANY.get(code, (f"have trouble {code}", f"the first: {found[0][1]}"))
        yield f"{len(found)} books {said} ({names} and {len(found) - _NAMED} more): {what}"


def of_workers(workers: Iterable[Worker], groups: Iterable[Group]) -> Iterator[str]:
    """Workers that have stopped telling though their group still has members, and partitions that do not move."""
    working = {group.stage for group in groups}
    for worker in workers:
        where = f"worker {worker.pid} of {worker.name} on {worker.host}"
        if not worker.silent:
            for trouble in worker.troubles:
                yield f"{where}: {trouble}: look at its log"
        elif worker.stage in working:
            yield (
                f"{where} has told nothing for {worker.age:,.0f} s: it was killed, hangs or has no network, and "
                f"nobody has taken over partitions {', '.join(map(str, worker.partitions))}: look at it, start it again"
            )


def of_groups(groups: Iterable[Group], limits: Limits) -> Iterator[str]:
    """Groups that are too far behind."""
    for group in groups:
        if group.lag > limits.behind:
            more = "another worker of it, or books on more partitions, would help"
            yield f"the workers of {group.name} are {group.lag:,} records behind: {more}"


def of_stages(
    books: Iterable[Book], workers: Iterable[Worker], groups: Iterable[Group], waiting: Mapping[str, int]
) -> Iterator[str]:
    """Stages, and agents of open books, that nobody runs; waiting: records that a stage has not read, by stage."""
    agents = {agent for book in books if not book.closed for agent in book.agents if agent not in book.remote}
    working = {group.stage for group in groups}
    for stage in TOPOLOGY:
        if stage.name not in working:
            left = waiting.get(stage.name, 0)
            wait = f", and {left:,} records wait for it" if left else ""
            word = (
                stage.name
                if stage.build_for is None
                else f"{stage.name}:{','.join(sorted(agents)) or 'AGENT'}"
            )
            start = f"start `windvane worker {word}`, or all with `windvane up`"
            yield f"no worker of stage {stage.name} is running{wait}: {start}"
        elif stage.build_for is not None:
            run = {
                agent for one in workers if one.stage == stage.name and not one.silent for agent in one.agents
            }
            missing = sorted(agents - run)
            if missing and run:
                names = ", ".join(missing)
                start = f"start `windvane worker {stage.name}:{','.join(missing)}`"
                yield f"nobody runs {names} of open books, so their rows are not decided: {start}"
