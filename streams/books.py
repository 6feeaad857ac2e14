"""What the four stages share: one `Book` each, opened once, resumed by its digest, dropped when it is closed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from windvane.agents.roster import check_opened
from windvane.metamodel.base.config import digest
from windvane.metamodel.base.upgrading import Upcast, UpgradeError, check_fields, upcast, version_of
from windvane.streams.book import FARTHEST_ROWS, Book, letter
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
from windvane.streams.opening import unlike
from windvane.streams.snapshot import Books, Snapshot, load_books
from windvane.streams.stage import Progress, StateError, Waiting
from windvane.streams.summaries import BookSummary, closed_summary, key_of
from windvane.streams.topics import FEATURES
from windvane.streams.troubles import Lasting, Refused, Trouble, Troubles

EARLY_RECORDS = 64
"""Records that are kept of a book that is not open yet; further ones become dead letters.

Proposals are kept until `give_up_early`: a worker that starts anew may read many of them before it reads the opening.
"""

B = TypeVar("B", bound=Book)


class BookStage(ABC, Generic[B]):
    """Logic that treats books independently; a subclass says how a book is made."""

    upcasts: ClassVar[tuple[Upcast, ...]] = ()
    """What turns a book's state of an older version into one of this: `windvane.metamodel.base.upgrading` says how."""

    def __init__(self, snapshot: bytes | None) -> None:
        self._books: dict[str, B] = {}
        self._opened: dict[str, BookOpened] = {}  # of the open ones
        self._closed: dict[str, BookOpened] = {}
        self._ended: dict[str, int] = {}  # rows of the closed ones
        self._last: dict[str, BookClosed] = {}  # of open books whose end is known
        self._early: dict[str, list[Event]] = {}  # of books that are not open yet
        self._stray: dict[str, int] = {}  # how many of those were there when `give_up_early` was called last
        self._awaiting: dict[str, int] = {}  # how many of the controls among them have a dead letter
        self._moved: dict[str, None] = {}  # books to advance in the next step, whatever comes
        self._ends: dict[str, Mapping[str, Any]] = {}  # what is remembered of closed books
        self._refused = Refused()
        self._openings_lost = False
        self._lost: dict[str, bool] = {}  # by book that is not open, whether its opening is lost
        self._snapshot: Snapshot | None = None  # of which books may be left to copy
        if snapshot is not None:
            self.restore(snapshot)

    @abstractmethod
    def new_book(self, opened: BookOpened) -> B:
        """A book at its first row."""

    def late(self, event: Event) -> Sequence[Event]:
        """What to emit for an event of a book that is closed."""
        return ()

    def restore(self, snapshot: bytes) -> None:
        """As `Logic` says."""
        stored = load_books(snapshot)
        for fields, saved in stored.open:
            name = str(fields.get("book", ""))
            try:
                self._restore(msgspec.convert(fields, BookOpened), saved, stored)
            except (UpgradeError, StateError) as error:
                newer = stored.version > version_of(self.upcasts)  # which concerns all of its books
                raise StateError(str(error), "" if newer else name) from error
            except msgspec.ValidationError as error:
                raise _unreadable(stored, error, name) from error
        try:
            closed = [msgspec.convert(fields, BookOpened) for fields in stored.closed]
        except msgspec.ValidationError as error:
            raise _unreadable(stored, error) from error
        self._closed |= {opened.book: opened for opened in closed}
        self._ends |= stored.ends
        self._ended |= stored.ended

    def _restore(self, opened: BookOpened, saved: dict[str, Any], stored: Books) -> None:
        book, what = self.new_book(opened), f"the stored state of book {opened.book}"
        fresh = book.save()
        now = upcast(saved, fresh, self.upcasts, version=stored.version, what=what, writer=stored.writer)
        check_fields(now, book.fixed(fresh), what, stored.writer)
        book.load(now)
        self._opened[opened.book], self._books[opened.book] = opened, book
        self._moved[opened.book] = None  # a training that was asked for is asked for again

    def snapshot(self) -> bytes:
        """As `Logic` says: the state of every open book, and which are closed."""
        snapshot = self.begin_snapshot()
        snapshot.copy_all()
        return b"".join(snapshot.parts())

    def begin_snapshot(self) -> Snapshot:
        """As `Logic` says; every step copies the books first that it is about to change."""
        self._snapshot = Snapshot(
            version_of(self.upcasts), self._opened, self._closed, self._ends, self._ended, self._books
        )
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
        if known is not None and known.digest == opened.digest:
            return []
        if opened.digest != digest(opened.config):
            return [letter(opened, f"the digest of book {name} is not that of its settings: leave it out")]
        if known is not None:
            names = self._opened.keys() | self._closed.keys()
            free = next(other for k in count(2) if (other := f"{name}-{k}") not in names)
            others = unlike(known.config, opened.config)
            why = f"book {name} is open with other settings ({others}): open {free} instead, or give the same"
            return [letter(opened, why)]
        try:
            check_opened(opened.config.agents, opened.config.kinds)
            check_opened(opened.config.shadows, opened.config.shadow_kinds)
        except ValueError as error:  # the book would wait for ever for an agent that nobody runs
            return [letter(opened, f"book {name} cannot be opened: {error}")]
        book = self.new_book(opened)
        self._opened[name], self._books[name] = opened, book
        out = [*book.begin(opened)]
        self._lost.pop(name, None)
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
        ends = book.ends()
        if ends is not None:
            self._ends[name] = ends
        self._ended[name] = closed.last + 1
        del self._books[name], self._last[name]
        return book.end(closed)

    def _keep_early(self, event: Event) -> Sequence[Event]:
        if self._openings_lost and isinstance(event, Batch):
            self._lost.setdefault(event.book, event.first > 0)
        early = self._early.setdefault(event.book, [])
        if len(early) < EARLY_RECORDS or not isinstance(event, Ticks | Features):
            early.append(event)
            return ()
        return self._never_opened(event)

    def _never_opened(self, event: Event) -> Sequence[DeadLetter]:
        """A dead letter; where the opening is lost one in all, since it cannot come any more."""
        book = event.book
        if not self._lost.get(book, False):
            return [letter(event, f"book {book} was never opened: send BookOpened first")]
        why = (
            f"the opening of book {book} is no longer on its topic, and no stored state has it: put the stored states "
            "of this stage back, or open a book of another name"
        )
        return [letter(event, why)] if self._refused.add(book, Trouble("opening_lost", why)) else []

    def openings_lost(self) -> None:
        """As `Logic` says."""
        self._openings_lost = True

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
            gone = [*(event for event in old if isinstance(event, Batch | BookClosed)), *kept[EARLY_RECORDS:]]
            letters += [letter for event in gone for letter in self._never_opened(event)]
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

    def next_seq(self, book: str) -> int:
        """As `Logic` says."""
        state = self._books.get(book)
        return 0 if state is None else state.next_seq

    def books(self) -> frozenset[str]:
        """As `Logic` says."""
        return frozenset((*self._opened, *self._closed))

    def summaries(self) -> list[BookSummary]:
        """As `Logic` says."""
        summaries = []
        for name, book in self._books.items():
            ts, trading = book.told()
            key = key_of(self._opened[name])
            summaries.append(BookSummary(name, key, book.next_seq, book.reached, ts, False, trading))
        return summaries + [closed_summary(opened, self._ended) for opened in self._closed.values()]

    def waiting(self) -> Mapping[str, Waiting]:
        """As `Logic` says; a book of which rows came before its opening waits for the features, which open it."""
        waiting = {name: Waiting(b.next_seq, b.waits_for()) for name, b in self._books.items()}
        for name, events in self._early.items():
            if any(isinstance(event, Batch) for event in events):
                waiting[name] = Waiting(0, (FEATURES.name,))
        return {name: lacking for name, lacking in waiting.items() if lacking.topics}

    def waits_for(self, book: str) -> tuple[str, ...]:
        """As `Logic` says; a book that is not open waits for nothing."""
        state = self._books.get(book)
        return () if state is None else state.waits_for()

    def troubles(self) -> Troubles:
        """As `Logic` says."""
        return self._refused.troubles

    def lasting(self) -> Mapping[str, Lasting]:
        """As `Logic` says."""
        found = {name: book.lasting() for name, book in self._books.items()}
        return {name: lasting for name, lasting in found.items() if lasting is not None}

    def calm(self) -> None:
        """As `Logic` says."""
        self._refused.calm()


def _not_open(control: Control) -> DeadLetter:
    return letter(
        control,
        f"control {control.number} of book {control.book} ({control.action}) waits: no book of that name is open",
    )


def _unreadable(stored: Books, error: msgspec.ValidationError, book: str = "") -> StateError:
    what = f"the stored state of book {book}" if book else "a stored state"
    return StateError(
        f"{what}, written by windvane {stored.writer}, cannot be read ({error}): "
        f"run windvane {stored.writer} or newer",
        book,
    )
