"""What the four stages share: one state a book, opened once, resumed by its digest, dropped when it is closed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from windvane.agents.factory import create_agents
from windvane.metamodel.base.config import digest
from windvane.metamodel.base.upgrading import Upcast, UpgradeError, check_fields, upcast, version_of
from windvane.streams.events import (
    Batch,
    BookClosed,
    BookOpened,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Ticks,
)
from windvane.streams.stage import BookState, StateError, load_books, save_books
from windvane.streams.topics import FEATURES

S = TypeVar("S", bound=BookState)

EARLY_RECORDS = 64
"""Records of a book not opened yet that are held before they become dead letters.

Proposals are held until `give_up_early`: a worker that starts anew may read many of them before it reads the opening.
"""

FARTHEST_ROWS = 1 << 20
"""A row or a closing farther ahead than this is a mistake, not a hole to be filled."""


class BookStage(ABC, Generic[S]):
    """Logic that keeps one state a book and treats books independently."""

    upcasts: ClassVar[tuple[Upcast, ...]] = ()
    """What turns a book's state of an older version into one of this: `windvane.metamodel.base.upgrading` says how."""

    def __init__(self, snapshot: bytes | None) -> None:
        self._opened: dict[str, BookOpened] = {}
        self._states: dict[str, S] = {}
        self._closed: dict[str, BookOpened] = {}
        self._last: dict[str, BookClosed] = {}
        self._early: dict[str, list[Event]] = {}
        self._stray: dict[str, int] = {}  # how many early ones were there when last asked to give up
        self._awaiting: dict[str, int] = {}  # early controls that were told of
        self._moved: dict[str, None] = {}  # books to advance in the next step, whatever comes
        if snapshot is not None:
            self._load(snapshot)

    def _load(self, snapshot: bytes) -> None:
        """Raises StateError where this release cannot read what was stored."""
        books = load_books(snapshot)
        try:
            for opened, saved in books.open:
                book = msgspec.convert(opened, BookOpened)
                self._opened[book.book] = book
                fresh, what = self.open(book).save(), f"the stored state of book {book.book}"
                now = upcast(
                    saved, fresh, self.upcasts, version=books.version, what=what, writer=books.writer
                )
                check_fields(now, fresh, what, books.writer)
                self._states[book.book] = self.restore(book, now)
            closed = [msgspec.convert(opened, BookOpened) for opened in books.closed]
            self._closed = {book.book: book for book in closed}
        except UpgradeError as error:
            raise StateError(str(error)) from error
        except msgspec.ValidationError as error:
            raise StateError(
                f"a stored state, written by windvane {books.writer}, cannot be read ({error}): "
                f"run windvane {books.writer} or newer"
            ) from error

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

    def settled(self, state: S) -> bool:
        """Whether a book whose rows are all worked off may be closed."""
        return True

    def closed(self, state: S, event: BookClosed) -> Iterator[Event]:
        """What remains to be said of a book that is done."""
        yield from ()

    def late(self, event: Event) -> Iterator[Event]:
        """What to say of an event of a book that is closed."""
        yield from ()

    def step(self, events: Sequence[Event]) -> list[Event]:
        """What follows from these events."""
        out: list[Event] = []
        touched, self._moved = self._moved, {}
        for event in events:
            touched[event.book] = None
            if isinstance(event, BookOpened):
                out.extend(self._open(event))
            elif event.book in self._states:
                out.extend(self._take(event))
            elif event.book in self._closed:
                out.extend(self.late(event))
            else:
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
                yield letter(
                    event,
                    f"book {event.book} is open with other settings: open {free} instead, or give the same",
                )
            return
        if event.digest != digest(event.config):
            yield letter(event, f"the digest of book {event.book} is not that of its settings")
            return
        try:
            create_agents(event.config.agents)
        except ValueError as error:  # it would wait for ever for what nobody runs
            yield letter(event, f"book {event.book} cannot be opened: {error}")
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
            done = self.done(self._states[event.book])
            if done - 1 <= event.last <= done + FARTHEST_ROWS:
                self._last[event.book] = event
            else:
                yield letter(
                    event, f"book {event.book} is at seq {done}: it cannot end with seq {event.last}"
                )
        else:
            yield from self.take(self._states[event.book], event)

    def _hold(self, event: Event) -> Iterator[Event]:
        early = self._early.setdefault(event.book, [])
        if len(early) < EARLY_RECORDS or not isinstance(event, Ticks | Features):
            early.append(event)
        else:
            yield _never_opened(event)

    def give_up_early(self) -> list[DeadLetter]:
        """Reject rows of books that were not opened before them; what people ordered is kept, and told of once.

        Only what was there when asked the last time: an opening may be on its way while its followers are here.
        """
        letters: list[DeadLetter] = []
        early: dict[str, list[Event]] = {}
        for book, held in self._early.items():
            old = self._stray.get(book, 0)
            kept = [e for e in held[:old] if not isinstance(e, Batch | BookClosed)]
            letters += [_never_opened(e) for e in held[:old] if isinstance(e, Batch | BookClosed)]
            letters += [_never_opened(e) for e in kept[EARLY_RECORDS:]]
            early[book] = [*kept[:EARLY_RECORDS], *held[old:]]
            orders = [e for e in early[book][: len(kept)] if isinstance(e, Control)]
            letters += [_not_open(e) for e in orders[self._awaiting.get(book, 0) :]]
            self._awaiting[book] = len(orders)
        self._early = {book: held for book, held in early.items() if held}
        self._awaiting = {book: told for book, told in self._awaiting.items() if book in self._early}
        self._stray = {book: len(held) for book, held in self._early.items()}
        return letters

    def _advance(self, book: str) -> Iterator[Event]:
        state, last = self._states[book], self._last.get(book)
        yield from self.advance(state, None if last is None else last.last)
        if last is not None and self.done(state) > last.last and self.settled(state):
            yield from self.closed(state, last)
            self._closed[book] = self._opened.pop(book)
            del self._states[book], self._last[book]

    def snapshot(self) -> bytes:
        """State of every open book, and which are closed."""
        return save_books(version_of(self.upcasts), self._opened, self._states, self._closed)

    def used(self, book: str, last: int) -> bool:
        """Whether a record of a book that ends with row `last` will never be needed again."""
        if book in self._states:
            return self.done(self._states[book]) > last
        return book in self._closed or book not in self._early

    def books(self) -> frozenset[str]:
        """Names of all books that were ever opened."""
        return frozenset((*self._opened, *self._closed))

    def reached(self, book: str) -> int:
        """Seq of the next row of a book to work off, 0 where it is not open."""
        return self.done(self._states[book]) if book in self._states else 0

    def opened_as(self, book: str) -> BookOpened:
        """How a book was opened that is open, or closed in the last step."""
        return self._opened[book] if book in self._opened else self._closed[book]

    def waits(self) -> set[str]:
        """Names of the topics from which the next row of some book must come."""
        names = {name for state in self._states.values() for name in self.waits_for(state)}
        early = any(isinstance(e, Batch) for held in self._early.values() for e in held)
        return names | {FEATURES.name} if early else names

    def stalled(self) -> Mapping[str, tuple[int, str]]:
        """Books whose next row is known and lacks something: its seq, and the topic that it must come from."""
        found = {book: next(self.waits_for(state), "") for book, state in self._states.items()}
        return {
            b: (self.done(self._states[b]), topic)
            for b, topic in found.items()
            if topic not in ("", FEATURES.name)
        }

    def waits_for(self, state: S) -> Iterator[str]:
        """Names of the topics from which the next row of a book must come; for stages that read several."""
        yield from ()

    def follow(self, decisions: Decisions) -> None:
        """Choices of time that were recorded: make the same again."""

    def waiting(self) -> Mapping[str, tuple[int, int]]:
        """Timed books: rows start <= seq < stop whose features are there and whose round is open."""
        return {}

    def close(self, book: str, stop: int) -> None:
        """Timed books: in the next step, close the rounds below `stop` with the agents that have answered."""

    def knows(self, event: Event) -> bool:
        """Whether an event that lies on one of the stage's topics was published before its state was stored."""
        if event.book not in self._states:
            return event.book in self._closed
        row = event.trained_at if isinstance(event, LearnerUpdate) else -1
        return self.reached(event.book) > (event.last if isinstance(event, Batch) else row)


def letter(event: Event, reason: str) -> DeadLetter:
    """An event that cannot be used."""
    return DeadLetter(
        book=event.book,
        source=f"{type(event).__name__} of book {event.book}",
        reason=reason,
        payload="",
    )


def _not_open(control: Control) -> DeadLetter:
    return letter(
        control,
        f"control {control.number} of book {control.book} ({control.action}) waits: no book of that name is open",
    )


def _never_opened(event: Event) -> DeadLetter:
    return letter(event, f"book {event.book} was never opened: send BookOpened first")
