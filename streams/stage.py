"""What a stage is: its place in the pipeline as data, and the pure logic that steps from events to events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from windvane.agents.errors import WindvaneError
from windvane.agents.roster import UNBOUND, Bindings
from windvane.metamodel.base.config import TradingConfig
from windvane.streams.events import (
    BookOpened,
    DeadLetter,
    Decisions,
    Event,
    Features,
    TrainRequest,
    TrainResult,
)
from windvane.streams.snapshot import Snapshot
from windvane.streams.summaries import BookSummary
from windvane.streams.topics import Topic
from windvane.streams.troubles import Lasting, Troubles


class Progress(NamedTuple):
    """How far a stage has come with one book."""

    state: Literal["unknown", "early", "open", "closed"]  # early: it is not open, and records of it are kept
    next_seq: int  # of the next row to work off; 0 unless the book is open
    opened: BookOpened | None  # None unless it was ever opened

    def has_used(self, last: int) -> bool:
        """Whether a record that ends with row `last` will never be needed again."""
        return self.next_seq > last if self.state == "open" else self.state != "early"


class Waiting(NamedTuple):
    """A book whose next row lacks something."""

    seq: int  # of that row
    topics: tuple[str, ...]  # names of the topics that can bring what it lacks, the one to report first


class OpenRounds(NamedTuple):
    """Rounds of a timed book that are open though their features are there."""

    start: int  # seq of the first
    stop: int  # seq after the last
    config: TradingConfig  # of the book: `round_timeout` and `quorum_lag` say how long they may stay open


class Hole(NamedTuple):
    """Rows of a timed book that are missing, though later ones came."""

    start: int  # seq of the first
    stop: int  # seq after the last


class Logic(Protocol):
    """The pure part of a stage: no I/O and no clock. A runner calls it from one thread, and no method ever blocks."""

    def step(self, events: Sequence[Event]) -> list[Event]:
        """What follows from these events and all before them.

        Called by a runner whenever records have come; the runner sends what is returned. Its cost grows with the rows.
        """
        ...

    def snapshot(self) -> bytes:
        """The state after all rows that were used; rows that were not are to be read again after a restart.

        Called by a runner between two steps, once what they returned is acknowledged. It copies every open book.
        """
        ...

    def begin_snapshot(self) -> Snapshot:
        """As `snapshot`, but no book is copied yet: the runner copies some at a time, and steps go on meanwhile.

        Called by a runner as `snapshot` is, and not again before all books are copied.
        """
        ...

    def progress(self, book: str) -> Progress:
        """How far a book has come. Called by a worker for every record that it writes or may forget."""
        ...

    def next_seq(self, book: str) -> int:
        """As `progress` says it. Called by a worker for every record that it receives."""
        ...

    def summaries(self) -> list[BookSummary]:
        """What people want to know of every book that was ever opened, from the state alone.

        Called by a worker between two steps, every few seconds; it may take some microseconds a book.
        """
        ...

    def books(self) -> frozenset[str]:
        """Names of all books that were ever opened. Called by a worker once, before its first step."""
        ...

    def waiting(self) -> Mapping[str, Waiting]:
        """Books whose next row lacks something. Called by a worker between steps, to pause sources and to report."""
        ...

    def waits_for(self, book: str) -> tuple[str, ...]:
        """Names of the topics that can bring what a book's next row lacks, the one to report first; () where none can.

        Called by a worker after each step, for the books that it had records of.
        """
        ...

    def give_up_early(self) -> list[DeadLetter]:
        """Reject rows of books that were not opened before them.

        Called by a worker before a step, when the source that opens books was read to its end.
        """
        ...

    def restore(self, snapshot: bytes) -> None:
        """Take over the books of a snapshot beside those that are there, of which it must hold none.

        Called by a worker before its first step. Raises StateError, with the book, where one cannot be read.
        """
        ...

    def openings_lost(self) -> None:
        """Take note that the source that opens books begins after its first record. Called by a worker before its
        first step."""
        ...

    def troubles(self) -> Troubles:
        """What is wrong with books, by book. Called by a worker between steps, to report."""
        ...

    def lasting(self) -> Mapping[str, Lasting]:
        """What is a trouble once it has lasted, by book. Called by a worker between steps, to report."""
        ...

    def calm(self) -> None:
        """Forget troubles that nothing has renewed since the last call. Called by the runner now and then."""
        ...


@runtime_checkable
class Following(Protocol):
    """What the logic of a stage has besides `Logic` where rows record a choice of time that it made."""

    def follow(self, rows: Decisions | Features) -> None:
        """Make the choices of time again that were recorded for these rows.

        Called by a worker that recovers, with what its stage had published, and by a replay as recorded, with
        decisions, before the step that brings the rows.
        """
        ...


@runtime_checkable
class Gapped(Protocol):
    """What the logic of a stage has besides `Logic` where time decides how long a missing row is waited for."""

    def holes(self) -> Mapping[str, Hole]:
        """Rows that timed books lack, by book. Called by the runner before each step, for its gap timer."""
        ...

    def give_up(self, book: str, stop: int) -> None:
        """In the next step, go on without the rows below `stop` that are missing.

        Called by the runner when its gap timer says so.
        """
        ...


@runtime_checkable
class Timed(Protocol):
    """What the logic of a stage has besides `Logic` where time closes rounds; no method blocks."""

    def open_rounds(self) -> Mapping[str, OpenRounds]:
        """Rounds that are open, by book. Called by the runner before each step, for its round timer."""
        ...

    def close_rounds(self, book: str, stop: int) -> None:
        """In the next step, close the rounds below `stop` with the agents that have answered.

        Called by the runner when its round timer says so.
        """
        ...


class Training(Protocol):
    """A training under way; a concurrent.futures.Future is one."""

    def done(self) -> bool:
        """Whether `result` returns at once. Called by a worker between two steps; it must not block."""
        ...

    def result(self) -> TrainResult:
        """What the training came to. It blocks until that is there: workers call it only once `done` says so."""
        ...


Trainer = Callable[[TrainRequest], Training]
"""Begins a training and returns at once. The same request gives the same result."""

Build = Callable[[bytes | None], Logic]
"""Makes a stage's logic from its stored snapshot; None starts it empty."""


class Stage(NamedTuple):
    """One hop of the pipeline, as data that every runner executes."""

    name: str
    reads: tuple[Topic, ...]
    emits: tuple[Topic, ...]
    build: Build
    build_for: Callable[[Sequence[str] | None, Bindings], Build] | None = (
        None  # of the stage that makes agents, which its workers may share; None: the stage makes none
    )
    agents: tuple[str, ...] | None = None  # those that this worker computes for; None: all of every book
    transactional: bool = (
        False  # its records must be on the topics once, so each step is written in one transaction
    )
    patient: bool = (
        False  # no row waits for its records, so its runner may let inputs gather before it reads them
    )
    trains: bool = False  # it asks for trainings, so its runner needs a trainer
    records: bool = False  # its rows record choices of time, which whoever recovers must read and make again

    def run_by(self, agents: Sequence[str], bindings: Bindings = UNBOUND) -> "Stage":
        """The stage as a worker runs it that computes for these agents only; bindings: what makes them."""
        if self.build_for is None:
            raise TypeError(f"the workers of stage {self.name} cannot share agents")
        return self._replace(build=self.build_for(agents, bindings), agents=tuple(agents))

    def route(self, event: Event) -> Topic:
        """The topic that an event of this stage belongs on; raises TypeError for what it must not emit."""
        for topic in self.emits:
            if type(event) in topic.carries:
                return topic
        raise TypeError(f"stage {self.name} must not emit {type(event).__name__}")


class StateError(WindvaneError):
    """A snapshot or an event that contradicts what is there; the message says what to do.

    book: the one that it concerns, so that a runner can go on with the others; "" where it concerns all of them.
    """

    def __init__(self, message: str, book: str = "") -> None:
        super().__init__(message)
        self.book = book
