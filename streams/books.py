"""What the four stages share: one `Book` each, opened once, resumed by its digest, dropped when it is closed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
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
    Event,
    Features,
    Ticks,
)
from windvane.streams.snapshot import Snapshot, load_books
from windvane.streams.stage import Progress, StateError, Waiting
from windvane.streams.topics import FEATURES

EARLY_RECORDS = 64
"""Records that are kept of a book that is not open yet; further ones become dead letters.

Proposals are kept until `give_up_early`: a worker that starts anew may read many of them before it reads the opening.
"""

FARTHEST_ROWS = 1 << 20
"""A row or a closing that is farther ahead than this is a mistake, and not beyond a hole to be filled."""


class Book(ABC):
    """What one stage keeps of one book, and what it does with it. Only BookStage calls it, from the top down."""

    @property
    @abstractmethod
    def next_seq(self) -> int:
        """Seq of the next row to work off. Asked between steps, and after each step of a book that ends."""

    @abstractmethod
    def save(self) -> dict[str, Any]:
        """The state as arrays and JSON values. Called for every snapshot, and once of a new book before `load`."""

    @abstractmethod
    def load(self, saved: dict[str, Any]) -> None:
        """Go on from what `save` returned. Called at most once, right after the book was made."""

    def begin(self, opened: BookOpened) -> Sequence[Event]:
        """What to emit when the book is opened; not called when it is restored."""
        return ()

    @abstractmethod
    def receive(self, event: Event) -> Sequence[Event]:
        """Keep an event for the next `advance`; returns dead letters where it cannot be used."""

    @abstractmethod
    def advance(self, last_seq: int | None) -> Sequence[Event]:
        """Work off all rows that can be. Called in every step that brought the book an event.

        last_seq: of the book's last row, None while that is not known.
        """

    @property
    def settled(self) -> bool:
        """Whether the book may be closed; asked once all of its rows are worked off."""
        return True

    def end(self, closed: BookClosed) -> Sequence[Event]:
        """What to emit when the book is closed, before it is dropped."""
        return ()

    def waits_for(self) -> tuple[str, ...]:
        """Names of the topics that can bring what the next row lacks, the one to report first; () where none can.

        Only stages that read several topics need to say.
        """
        return ()


B = TypeVar("B", bound=Book)


class BookStage(ABC, Generic[B]):
    """Logic that treats books independently; a subclass says how a book is made."""

    upcasts: ClassVar[tuple[Upcast, ...]] = ()
    """What turns a book's state of an older version into one of this: `windvane.metamodel.base.upgrading` says how."""

    def __init__(self, snapshot: bytes | None) -> None:
        self._books: dict[str, B] = {}
        self._opened: dict[str, BookOpened] = {}  # of the open ones
        self._closed: dict[str, BookOpened] = {}
        self._last: dict[str, BookClosed] = {}  # of open books whose end is known
        self._early: dict[str, list[Event]] = {}  # of books that are not open yet
        self._stray: dict[str, int] = {}  # how many of those were there when `give_up_early` was called last
        self._awaiting: dict[str, int] = {}  # how many of the controls among them have a dead letter
        self._moved: dict[str, None] = {}  # books to advance in the next step, whatever comes
        self._snapshot: Snapshot | None = None  # of which books may be left to copy
        if snapshot is not None:
            self._load(snapshot)

    @abstractmethod
    def new_book(self, opened: BookOpened) -> B:
        """A book at its first row."""

    def late(self, event: Event) -> Sequence[Event]:
        """What to emit for an event of a book that is closed."""
        return ()

    def _load(self, snapshot: bytes) -> None:
        """Raises StateError where this release cannot read what was stored."""
        stored = load_books(snapshot)
        try:
            for fields, saved in stored.open:
                opened = msgspec.convert(fields, BookOpened)
                book, what = self.new_book(opened), f"the stored state of book {opened.book}"
                fresh = book.save()
                now = upcast(
                    saved, fresh, self.upcasts, version=stored.version, what=what, writer=stored.writer
                )
                check_fields(now, fresh, what, stored.writer)
                book.load(now)
                self._opened[opened.book], self._books[opened.book] = opened, book
            closed = [msgspec.convert(fields, BookOpened) for fields in stored.closed]
            self._closed = {opened.book: opened for opened in closed}
        except UpgradeError as error:
            raise StateError(str(error)) from error
        except msgspec.ValidationError as error:
            raise StateError(
                f"a stored state, written by windvane {stored.writer}, cannot be read ({error}): "
                f"run windvane {stored.writer} or newer"
            ) from error
        self._moved = dict.fromkeys(self._books)  # a training that was asked for is asked for again

    def snapshot(self) -> bytes:
        """As `Logic` says: the state of every open book, and which are closed."""
        snapshot = self.begin_snapshot()
        snapshot.copy(*self._books)
        return b"".join(snapshot.parts())

    def begin_snapshot(self) -> Snapshot:
        """As `Logic` says; every step copies the books first that it is about to change."""
        self._snapshot = Snapshot(version_of(self.upcasts), self._opened, self._closed, self._books)
        return self._snapshot

    def step(self, events: Sequence[Event]) -> list[Event]:
        """As `Logic` says: every event is kept by its book, then each book that got one advances."""
        if self._snapshot is not None:
            self._snapshot.copy(*{event.book for event in events}, *self._moved)
            self._snapshot = None if self._snapshot.copied else self._snapshot
        out: list[Event] = []
        touched: dict[str, None] = {}
        for event in events:
            touched[event.book] = None
            book = self._books.get(event.book)
            if isinstance(event, BookOpened):
                out += self._open(event)
            elif book is not None:
                out += self._end_at(book, event) if isinstance(event, BookClosed) else book.receive(event)
            elif event.book in self._closed:
                out += self.late(event)
            else:
                out += self._keep_early(event)
        moved, self._moved = self._moved, {}
        for name in touched | moved:
            book = self._books.get(name)
            if book is not None:
                closed = self._last.get(name)
                out += book.advance(None if closed is None else closed.last)
                if closed is not None:
                    out += self._close(name, book, closed)
        return out

    def _open(self, opened: BookOpened) -> list[Event]:
        name = opened.book
        known = self._opened.get(name) or self._closed.get(name)
        if known is not None:
            if known.digest == opened.digest:
                return []
            names = self._opened.keys() | self._closed.keys()
            free = next(other for k in count(2) if (other := f"{name}-{k}") not in names)
            why = f"book {name} is open with other settings: open {free} instead, or give the same"
            return [letter(opened, why)]
        if opened.digest != digest(opened.config):
            return [letter(opened, f"the digest of book {name} is not that of its settings")]
        try:
            create_agents(opened.config.agents)
        except ValueError as error:  # the book would wait for ever for an agent that nobody runs
            return [letter(opened, f"book {name} cannot be opened: {error}")]
        book = self.new_book(opened)
        self._opened[name], self._books[name] = opened, book
        out = [*book.begin(opened)]
        for event in self._early.pop(name, ()):
            out += self._end_at(book, event) if isinstance(event, BookClosed) else book.receive(event)
        return out

    def _end_at(self, book: B, closed: BookClosed) -> list[Event]:
        """Take note of a book's last row, unless the book cannot end there."""
        if book.next_seq - 1 <= closed.last <= book.next_seq + FARTHEST_ROWS:
            self._last[closed.book] = closed
            return []
        why = f"book {closed.book} is at seq {book.next_seq}: it cannot end with seq {closed.last}"
        return [letter(closed, why)]

    def _close(self, name: str, book: B, closed: BookClosed) -> Sequence[Event]:
        """Drop a book that has worked off its last row."""
        if book.next_seq <= closed.last or not book.settled:
            return ()
        self._closed[name] = self._opened.pop(name)
        del self._books[name], self._last[name]
        return book.end(closed)

    def _keep_early(self, event: Event) -> Sequence[Event]:
        early = self._early.setdefault(event.book, [])
        if len(early) < EARLY_RECORDS or not isinstance(event, Ticks | Features):
            early.append(event)
            return ()
        return [_never_opened(event)]

    def give_up_early(self) -> list[DeadLetter]:
        """As `Logic` says; controls and models are kept, and each control gets one dead letter.

        Only those events are rejected that were there at the last call: the opening of a book may be on its way while
        what follows it has come.
        """
        letters: list[DeadLetter] = []
        remaining: dict[str, list[Event]] = {}
        for book, events in self._early.items():
            old = events[: self._stray.get(book, 0)]
            kept = [event for event in old if not isinstance(event, Batch | BookClosed)]
            letters += [_never_opened(event) for event in old if isinstance(event, Batch | BookClosed)]
            letters += [_never_opened(event) for event in kept[EARLY_RECORDS:]]
            remaining[book] = [*kept[:EARLY_RECORDS], *events[len(old) :]]
            controls = [event for event in remaining[book][: len(kept)] if isinstance(event, Control)]
            letters += [_not_open(control) for control in controls[self._awaiting.get(book, 0) :]]
            self._awaiting[book] = len(controls)
        self._early = {book: events for book, events in remaining.items() if events}
        self._awaiting = {book: number for book, number in self._awaiting.items() if book in self._early}
        self._stray = {book: len(events) for book, events in self._early.items()}
        return letters

    def progress(self, book: str) -> Progress:
        """As `Logic` says."""
        state = self._books.get(book)
        if state is not None:
            return Progress("open", state.next_seq, self._opened[book])
        if book in self._closed:
            return Progress("closed", 0, self._closed[book])
        return Progress("early" if book in self._early else "unknown", 0, None)

    def books(self) -> frozenset[str]:
        """As `Logic` says."""
        return frozenset((*self._opened, *self._closed))

    def waiting(self) -> Mapping[str, Waiting]:
        """As `Logic` says; a book of which rows came before its opening waits for the features, which open it."""
        waiting = {name: Waiting(b.next_seq, b.waits_for()) for name, b in self._books.items()}
        for name, events in self._early.items():
            if any(isinstance(event, Batch) for event in events):
                waiting[name] = Waiting(0, (FEATURES.name,))
        return {name: lacking for name, lacking in waiting.items() if lacking.topics}


def letter(event: Event, reason: str) -> DeadLetter:
    """The dead letter of an event that cannot be used."""
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
