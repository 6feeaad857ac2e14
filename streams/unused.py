"""Records that a worker has received and not used up; after a restart a source is read from the first of them on."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from windvane.streams.events import Batch, BookClosed, Event
from windvane.streams.stage import Progress
from windvane.streams.topics import Topic

AHEAD = 64
"""Unused records of a source above which it is paused, where what is waited for comes from another."""


class _Record(NamedTuple):
    offset: int
    book: str
    last: int  # the record is used once the book has worked off this row


class Unused:
    """The records of each source of a worker of which something is not used yet, by the source's name."""

    def __init__(self, reads: Iterable[Topic]) -> None:
        self._records: dict[str, list[_Record]] = {topic.name: [] for topic in reads}

    def add(self, topic: Topic, offset: int, event: Event) -> None:
        """Take note of a record."""
        self._records[topic.name].append(_Record(offset, event.book, _until(event)))

    def forget(self, progress: Callable[[str], Progress]) -> None:
        """Forget the records that are used. progress: of a book."""
        books = {record.book for records in self._records.values() for record in records}
        come = {book: progress(book) for book in books}
        for records in self._records.values():
            records[:] = [r for r in records if not come[r.book].has_used(r.last)]

    def ahead(self) -> set[str]:
        """Names of the sources that have more than AHEAD records here, as `forget` left them."""
        return {name for name, records in self._records.items() if len(records) > AHEAD}

    def positions(self, read: Mapping[str, int]) -> dict[str, int]:
        """For every source the offset of its first record here, else the one that is read next."""
        return {
            name: min((record.offset for record in records), default=read[name])
            for name, records in self._records.items()
        }


def _until(event: Event) -> int:
    """The row after which a record is used: of a closing one that no book reaches, of other single events none."""
    if isinstance(event, Batch):
        return event.last
    return event.last + 1 if isinstance(event, BookClosed) else -1
