"""What a stage is: data, and logic that steps from events to events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from windvane.agents.errors import WindvaneError
from windvane.agents.program import FIRST, VERSION
from windvane.streams.codec import pack, unpack
from windvane.streams.events import BookOpened, DeadLetter, Decisions, Event, TrainRequest, TrainResult
from windvane.streams.topics import Topic


class Logic(Protocol):
    """The pure part of a stage: no I/O, no clock. `step` returns events; it never sends them."""

    def step(self, events: Sequence[Event]) -> list[Event]:
        """What follows from these events and all before them."""
        ...

    def used(self, book: str, last: int) -> bool:
        """Whether a record of a book that ends with row `last` will never be needed again."""
        ...

    def books(self) -> frozenset[str]:
        """Names of all books that were ever opened."""
        ...

    def reached(self, book: str) -> int:
        """Seq of the next row of a book to work off, 0 where it is not open."""
        ...

    def snapshot(self) -> bytes:
        """Its state after all rows it has used; rows not used yet are read again after a restart."""
        ...

    def opened_as(self, book: str) -> BookOpened:
        """How a book was opened that is open, or closed in the last step."""
        ...

    def waits(self) -> set[str]:
        """Names of the topics from which the next row of some book must come."""
        ...

    def stalled(self) -> Mapping[str, tuple[int, str]]:
        """Books whose next row is known and lacks something: its seq, and the topic that it must come from."""
        ...

    def give_up_early(self) -> list[DeadLetter]:
        """Reject rows of books that were not opened before them."""
        ...

    def follow(self, decisions: Decisions) -> None:
        """Choices of time that were recorded: make the same again."""
        ...

    def waiting(self) -> Mapping[str, tuple[int, int]]:
        """Timed books: rows start <= seq < stop whose features are there and whose round is open."""
        ...

    def close(self, book: str, stop: int) -> None:
        """Timed books: in the next step, close the rounds below `stop` with the agents that have answered."""
        ...

    def knows(self, event: Event) -> bool:
        """Whether an event that lies on one of the stage's topics was published before its state was stored.

        Asked by a worker that goes on from another program's state, before its first step.
        """
        ...


class Training(Protocol):
    """A training under way; a concurrent.futures.Future is one."""

    def done(self) -> bool:
        """Whether `result` returns at once."""
        ...

    def result(self) -> TrainResult:
        """What it came to, waited for."""
        ...


Trainer = Callable[[TrainRequest], Training]
"""Begins a training. The same request gives the same result."""


class Stage(NamedTuple):
    """One hop of the pipeline, as data that every runner executes."""

    name: str
    reads: tuple[Topic, ...]
    emits: tuple[Topic, ...]
    build: Callable[[bytes | None], Logic]

    def route(self, event: Event) -> Topic:
        """The topic that an event of this stage belongs on."""
        for topic in self.emits:
            if type(event) in topic.carries:
                return topic
        raise TypeError(f"stage {self.name} must not emit {type(event).__name__}")


class BookState(Protocol):
    """What a stage keeps for one book."""

    def save(self) -> Mapping[str, Any]:
        """Its state as arrays and JSON values."""
        ...


class StateError(WindvaneError):
    """A snapshot or an event that contradicts what is there; the message says what to do."""


class Books(NamedTuple):
    """A stage's snapshot as it was stored."""

    version: int  # of the fields of a book's state
    writer: str  # the release that stored it
    open: list[tuple[dict[str, Any], dict[str, Any]]]  # how each was opened, and its state
    closed: list[dict[str, Any]]  # how each was opened


def save_books(
    version: int,
    opened: Mapping[str, BookOpened],
    states: Mapping[str, BookState],
    closed: Mapping[str, BookOpened],
) -> bytes:
    """A stage's snapshot: for every book how it was opened, and its state unless it is closed."""
    books: dict[str, Any] = {"stage|version": version, "stage|writer": VERSION}
    books |= {f"closed|{name}": event for name, event in closed.items()}
    for place, (book, state) in enumerate(states.items()):
        books[f"{place}|opened"] = opened[book]
        for name, value in state.save().items():
            books[f"{place}|{name}"] = value
    return pack(books)


def load_books(snapshot: bytes) -> Books:
    """What `save_books` was given, by this release or an older one."""
    books: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    closed: list[dict[str, Any]] = []
    about: dict[str, Any] = {"version": 1, "writer": FIRST}  # 0.1.0 stored neither
    for name, value in unpack(snapshot).items():
        place, key = name.split("|", 1)
        if place == "stage":
            about[key] = value
        elif place == "closed":
            closed.append(value)
        else:
            opened, state = books.setdefault(place, ({}, {}))
            if key == "opened":
                opened.update(value)
            else:
                state[key] = value
    return Books(int(about["version"]), str(about["writer"]), list(books.values()), closed)
