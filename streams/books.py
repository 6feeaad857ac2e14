"""What the four stages share: one state a book, opened once, resumed by its digest, dropped when it is closed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any, Generic, TypeVar

import msgspec

from windvane.streams.events import BookClosed, BookOpened, DeadLetter, Event
from windvane.streams.stage import BookState, StateError, load_books, save_books

S = TypeVar("S", bound=BookState)

EARLY_RECORDS = 64
"""Records of a book not opened yet that are held before they become dead letters."""


class BookStage(ABC, Generic[S]):
    """Logic that keeps one state a book and treats books independently."""

    def __init__(self, snapshot: bytes | None) -> None:
        self._opened: dict[str, BookOpened] = {}
        self._states: dict[str, S] = {}
        self._closed: dict[str, BookOpened] = {}
        self._last: dict[str, BookClosed] = {}
        self._early: dict[str, list[Event]] = {}
        if snapshot is not None:
            open_books, closed = load_books(snapshot)
            for opened, saved in open_books:
                book = msgspec.convert(opened, BookOpened)
                self._opened[book.book] = book
                self._states[book.book] = self.restore(book, saved)
            for opened in closed:
                book = msgspec.convert(opened, BookOpened)
                self._closed[book.book] = book

    @abstractmethod
    def open(self, opened: BookOpened) -> S:
        """A new book's state."""

    @abstractmethod
    def restore(self, opened: BookOpened, saved: dict[str, Any]) -> S:
        """A book's state from what its `save` gave."""

    @abstractmethod
    def take(self, state: S, event: Event) -> Iterator[Event]:
        """Take in an event of an open book; may give dead letters at once."""

    @abstractmethod
    def advance(self, state: S, closing: int | None) -> Iterator[Event]:
        """Work off all rows that can be; `closing` is the last seq of the book once that is known."""

    @abstractmethod
    def done(self, state: S) -> int:
        """Seq of the next row to work off."""

    def closed(self, state: S, event: BookClosed) -> Iterator[Event]:
        """What remains to be said of a book that is done."""
        yield from ()

    def step(self, events: Sequence[Event]) -> list[Event]:
        """What follows from these events."""
        out: list[Event] = []
        touched: dict[str, None] = {}
        for event in events:
            touched[event.book] = None
            if isinstance(event, BookOpened):
                out.extend(self._open(event))
            elif event.book in self._states:
                out.extend(self._take(event))
            elif event.book not in self._closed:
                out.extend(self._hold(event))
        for book in touched:
            if book in self._states:
                out.extend(self._advance(book))
        return out

    def _open(self, event: BookOpened) -> Iterator[Event]:
        known = self._opened.get(event.book) or self._closed.get(event.book)
        if known is not None:
            if known.digest != event.digest:
                taken = self._opened.keys() | self._closed.keys()
                free = next(name for k in count(2) if (name := f"{event.book}-{k}") not in taken)
                raise StateError(
                    f"book {event.book} is open with other settings: open {free} instead, or give the same"
                )
            return
        self._opened[event.book] = event
        self._states[event.book] = self.open(event)
        yield from self.opened(event)
        for early in self._early.pop(event.book, ()):
            yield from self._take(early)

    def opened(self, event: BookOpened) -> Iterator[Event]:
        """What to say when a book is opened."""
        yield from ()

    def _take(self, event: Event) -> Iterator[Event]:
        if isinstance(event, BookClosed):
            self._last[event.book] = event
        else:
            yield from self.take(self._states[event.book], event)

    def _hold(self, event: Event) -> Iterator[Event]:
        early = self._early.setdefault(event.book, [])
        if len(early) < EARLY_RECORDS:
            early.append(event)
        else:
            yield DeadLetter(
                book=event.book,
                source=f"{type(event).__name__} of book {event.book}",
                reason=f"book {event.book} was never opened: send BookOpened first",
                payload="",
            )

    def _advance(self, book: str) -> Iterator[Event]:
        state, last = self._states[book], self._last.get(book)
        yield from self.advance(state, None if last is None else last.last)
        if last is not None and self.done(state) > last.last:
            yield from self.closed(state, last)
            self._closed[book] = self._opened.pop(book)
            del self._states[book], self._last[book]

    def snapshot(self) -> bytes:
        """State of every open book, and which are closed."""
        return save_books(self._opened, self._states, self._closed)

    def used(self, book: str, last: int) -> bool:
        """Whether a record of a book that ends with row `last` will never be needed again."""
        if book in self._states:
            return self.done(self._states[book]) > last
        return book in self._closed
