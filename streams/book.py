"""What one stage keeps of one book: what every kind of book answers, and the dead letter of what it cannot use."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from windvane.streams.events import BookClosed, BookOpened, DeadLetter, Event
from windvane.streams.summaries import Trading
from windvane.streams.troubles import Lasting

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

    def fixed(self, fresh: dict[str, Any]) -> dict[str, Any]:
        """Those fields of what `save` returns of a new book whose form no stored state may depart from: all of them."""
        return fresh

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

    @property
    def reached(self) -> int:
        """Seq after the highest row received; a stage that others feed need not say."""
        return self.next_seq

    def told(self) -> tuple[int, Trading | None]:
        """What people want to know beside rows: the last row's event time, UNIX ns, and what the book holds and obeys.

        0 and None where the stage does not know it.
        """
        return 0, None

    def waits_for(self) -> tuple[str, ...]:
        """Names of the topics that can bring what the next row lacks, the one to report first; () where none can.

        Only stages that read several topics need to say.
        """
        return ()

    def lasting(self) -> Lasting | None:
        """What is a trouble once it has lasted; None where nothing is."""
        return None

    def ends(self) -> Mapping[str, Any] | None:
        """What to remember of the book once it is closed, JSON values; None where `late` needs nothing of it."""
        return None


def letter(event: Event, reason: str) -> DeadLetter:
    """The dead letter of an event that cannot be used."""
    return DeadLetter(
        book=event.book,
        source=f"{type(event).__name__} of book {event.book}",
        reason=reason,
        payload="",
    )
