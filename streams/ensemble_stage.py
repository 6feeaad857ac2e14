"""Stage "ensemble": one round a row; decisions, orders and fills come from here and nowhere else."""

from collections.abc import Mapping, Sequence

from windvane.metamodel.learning.learned import to_bytes
from windvane.streams.books import BookStage
from windvane.streams.control_log import CLOSED, unapplied
from windvane.streams.ensemble_book import EnsembleBook
from windvane.streams.ensemble_upcasts import UPCASTS
from windvane.streams.events import BookOpened, Control, Decisions, Event, Features
from windvane.streams.stage import OpenRounds


class EnsembleStage(BookStage[EnsembleBook]):
    """Features, Proposals, LearnerUpdates, Models and Controls in; Decisions, Orders, Fills and Statements out.

    Its logic is `Timed`: of a timed book, time decides which agents a round waits for, and what it is decided with.
    """

    upcasts = UPCASTS

    def __init__(self, snapshot: bytes | None) -> None:
        self._followed: dict[str, list[Decisions]] = {}  # choices of books that are not open yet
        self._rounds: dict[str, OpenRounds] = {}  # rounds that are open, by book
        super().__init__(snapshot)

    def new_book(self, opened: BookOpened) -> EnsembleBook:
        """A book at its first row, with the choices that were recorded of it."""
        book = EnsembleBook(opened)
        for decisions in self._followed.pop(opened.book, ()):
            book.recorded.add(decisions)
        return book

    def step(self, events: Sequence[Event]) -> list[Event]:
        """As `Logic` says; it notes which rounds are open now, so that nobody need look at every book."""
        touched = {event.book for event in events} | self._moved.keys()
        out = super().step(events)
        for name in touched:
            self._note_rounds(name)
        return out

    def _note_rounds(self, name: str) -> None:
        book = self._books.get(name)
        span = None if book is None or book.timed is None else book.timed.open
        if book is None or span is None:
            self._rounds.pop(name, None)
        else:
            self._rounds[name] = OpenRounds(*span, book.opened.config)

    def learned(self, book: str, about: dict[str, str]) -> bytes:
        """What the learner of an open book knows, safetensors, b"" where it is not open.

        about: texts by name that the file is to say of it.
        """
        state = self._books.get(book)
        return b"" if state is None else to_bytes(state.ensemble.manager, about)

    def late(self, event: Event) -> Sequence[Event]:
        """The refusal of a control of a closed book."""
        return (unapplied(event, CLOSED),) if isinstance(event, Control) else ()

    def follow(self, rows: Decisions | Features) -> None:
        """As `Following` says; choices of a lockstep book are those of its controls. Features are passed over."""
        if not isinstance(rows, Decisions):
            return
        if rows.book in self._books:
            self._books[rows.book].recorded.add(rows)
            self._note_rounds(rows.book)
        elif rows.book not in self._closed:
            self._followed.setdefault(rows.book, []).append(rows)

    def open_rounds(self) -> Mapping[str, OpenRounds]:
        """As `Timed` says; lockstep books have none."""
        return dict(self._rounds)

    def close_rounds(self, book: str, stop: int) -> None:
        """As `Timed` says; a book that is not open or not timed has no rounds to close."""
        state = self._books.get(book)
        if state is not None and state.timed is not None:
            state.timed.close_rounds(stop)
            self._moved[book] = None
