"""One stage on one partition, without I/O: records in, records out, and a state that survives any crash.

A runner reads records from where `positions` says, hands them to `receive`, sends what `step` gives, and, once that is
acknowledged, may store `save`. After a crash, whoever has the partition next builds a worker from the last stored state
and goes on. Two ways to write:

- Stages that are functions of the log (features, proposals, feedback) may send a row twice; readers trim by seq.
- The ensemble writes each step in one transaction. After a crash it is told what it had published since the stored
  state (`follow`): it computes those rows again, stops if one differs, and sends only what comes after.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from windvane.agents.kernel import this_program
from windvane.agents.program import Program
from windvane.metamodel.base.rows import LEAST_PRICE, MOST_PRICE, REPEATED
from windvane.streams import stored
from windvane.streams.books import FARTHEST_ROWS
from windvane.streams.coalesce import coalesced
from windvane.streams.codec import WireError, cuts, from_json, to_json
from windvane.streams.events import (
    Batch,
    BookClosed,
    Control,
    DeadLetter,
    Event,
    Features,
    Fills,
    Model,
    Orders,
    TrainRequest,
    TrainResult,
)
from windvane.streams.published import Published, published
from windvane.streams.stage import Stage, StateError
from windvane.streams.topics import DEAD_LETTERS, MODELS, Topic

AHEAD = 64
"""Records of a source held unused before it is paused, where what is waited for comes from another."""

_MOST_BYTES = 600_000
MOST_MODEL_BYTES = 8_000_000
"""Largest record of the topic models."""

_LONGEST_NAME = 200
_LONGEST_REASON = 1000


class Record(NamedTuple):
    """What to write; the key is the book."""

    topic: Topic
    book: str
    raw: bytes


class Checks(NamedTuple):
    """What the place of a worker knows of a record and its event cannot know itself."""

    partition: int = 0
    owns: Callable[[str], bool] = lambda book: True  # whether a book belongs on this partition
    signed: Callable[[Control | Model], bool] = lambda said: True  # whether a person who may has ordered this


class _Held(NamedTuple):
    """A record of which something is not used yet."""

    offset: int
    book: str
    last: int  # it is used once the book has worked off this row


class StageWorker:
    """A stage on one partition.

    layout: what all workers must agree on; observe: told of every event that gives records; program: which computes,
    stored with the state.
    """

    def __init__(
        self,
        stage: Stage,
        layout: str,
        saved: bytes | None = None,
        checks: Checks | None = None,
        observe: Callable[[Event], None] = lambda event: None,
        program: Program | None = None,
    ) -> None:
        self.stage = stage
        self._observe = observe
        self._layout = layout
        self._checks = checks or Checks()
        self._held: dict[str, list[_Held]] = {topic.name: [] for topic in stage.reads}
        self._next = {topic.name: 0 for topic in stage.reads}
        self._told: dict[str, int] = {}  # what lies below was received before the state was stored
        self._outputs: dict[str, int] = {}
        self._inbox: list[Event] = []
        self._letters: list[DeadLetter] = []
        self._reach: dict[tuple[str, str], int] = {}  # last row received of a topic and book
        self._published = Published()
        self._requests: list[TrainRequest] = []
        self._program = program or this_program()
        self.handed_over: Program | None = None  # which stored the state, where it was another
        state = None if saved is None else self._load(saved)
        self.logic = stage.build(state)
        self._settled = self.logic.books()

    def _load(self, raw: bytes) -> bytes:
        saved = stored.from_bytes(raw)
        if saved.layout != self._layout:
            raise StateError(
                f"the stored state of {self.stage.name} is of another layout, {saved.layout}, and this worker is "
                f"{self._layout}: remove it, and the stage starts from the first record"
            )
        self._next |= {name: at for name, at in saved.positions.items() if name in self._next}
        self._outputs = dict(saved.outputs)
        self._told = dict(saved.told)
        self._published = Published(saved.letters)
        self.handed_over = None if saved.program.code == self._program.code else saved.program
        return saved.state

    @property
    def positions(self) -> Mapping[str, int]:
        """For every source topic the offset to read from next."""
        return dict(self._next)

    def next_offset(self, topic: Topic) -> int:
        """Offset after the last record received of a topic, 0 where it is no source."""
        return self._next.get(topic.name, 0)

    @property
    def outputs(self) -> Mapping[str, int]:
        """For every topic written, the offset from which on the stored state knows nothing of it."""
        return dict(self._outputs)

    def begin_at(self, topic: Topic, offset: int) -> None:
        """The log of a source begins there: what was before is gone, and the next start must not ask for it."""
        self._next[topic.name] = max(self._next[topic.name], offset)

    def receive(self, topic: Topic, offset: int, raw: bytes, received: int | None = None) -> None:
        """Take in a record; one that was seen before, or is no event, does no harm.

        received: the broker's time of the record, UNIX ns, the same whenever the record is read.
        """
        self._next[topic.name] = max(self._next[topic.name], offset + 1)
        told = offset < self._told.get(topic.name, 0)
        source = f"{topic.name}, partition {self._checks.partition}, offset {offset}"
        try:
            if topic is MODELS and len(raw) > MOST_MODEL_BYTES:
                raise WireError(f"the record has {len(raw)} bytes: models have at most {MOST_MODEL_BYTES}")
            if topic is not MODELS and len(raw) > _MOST_BYTES:
                raise WireError(f"the record has {len(raw)} bytes: cut it to at most 256 rows")
            event = from_json(raw, received)
        except WireError as error:
            if not told:
                self._reject("", source, str(error), raw)
            return
        reason = self._refusal(topic, event)
        if reason and not told:
            self._reject(event.book[:_LONGEST_NAME], source, reason, raw)
        if reason or (told and isinstance(event, Control | Model) and event.book in self._settled):
            return  # what a person ordered is in the stored state, or done with
        self._held[topic.name].append(_Held(offset, event.book, _until(event)))
        self._inbox.append(event)

    def _refusal(self, topic: Topic, event: Event) -> str:
        """Why an event must not be believed, or nothing."""
        if type(event) not in topic.carries:
            return f"{type(event).__name__} does not belong on {topic.name}"
        if not 0 < len(event.book) <= _LONGEST_NAME:
            return f"a book's name has 1 to {_LONGEST_NAME} characters, this one {len(event.book)}"
        if not self._checks.owns(event.book):
            return f"book {event.book} belongs on another partition: give its name as the record's key"
        if isinstance(event, Control | Model) and not self._checks.signed(event):
            what = type(event).__name__.lower()
            return f"{what} {event.number} is not signed by who may: set the key that the workers have"
        if isinstance(event, Features) and not _priced(event):
            return "a good row has a mid that is no price"
        return self._astray(topic, event) if isinstance(event, Batch | BookClosed) else ""

    def _astray(self, topic: Topic, event: Batch | BookClosed) -> str:
        """What is too far ahead would be held for ever, and with it the place to read from after a restart."""
        key = (topic.name, event.book)
        near = max(self._reach.get(key, -1) + 1, self.logic.reached(event.book))
        if event.last > near + FARTHEST_ROWS:
            return f"book {event.book} is at seq {near}: seq {event.last} is too far ahead"
        if isinstance(event, Batch):
            self._reach[key] = max(self._reach.get(key, -1), event.last)
        return ""

    def _reject(self, book: str, source: str, reason: str, raw: bytes) -> None:
        payload = raw[:1000].decode(errors="replace")
        letter = DeadLetter(book=book, source=source, reason=reason[:_LONGEST_REASON], payload=payload)
        self._letters.append(letter)

    def step(self) -> list[Record]:
        """What follows from all that was received, in order, less what is known to be published."""
        events, self._inbox = self._inbox, []
        letters, self._letters = self._letters, []
        going = {book for book in {e.book for e in events} if self.logic.reached(book)}
        fresh_books = [
            e for e in events if e.book not in going
        ]  # what comes before an opening is counted in records
        joined = [*fresh_books, *coalesced(e for e in events if e.book in going)]
        made: list[Event] = [*letters, *coalesced(self.logic.step(joined))]
        out: list[Record] = []
        for event in made:
            if isinstance(event, TrainRequest):
                self._requests.append(event)
                continue
            fresh = list(self._records(event))
            if fresh:
                self._observe(event)
                out.extend(fresh)
        return out

    def requests(self) -> list[TrainRequest]:
        """What the steps since the last call want to be trained; after a restart, what was not answered before."""
        requests, self._requests = self._requests, []
        return requests

    def answer(self, result: TrainResult) -> None:
        """Take in what a request came to; it is worked off in the next step, before the state is saved."""
        self._inbox.append(result)

    def give_up_early(self) -> None:
        """Nobody will open the books of records that came before their book was opened: reject them in the next step.

        For the runner to say once it has read the source that opens books to its end.
        """
        self._letters.extend(self.logic.give_up_early())

    def ahead(self) -> set[str]:
        """Sources to pause: more than AHEAD of their records are unused, and nobody waits for them."""
        if len(self.stage.reads) == 1:
            return set()  # what is waited for can come from nowhere else
        full = {name for name, held in self._held.items() if len(held) > AHEAD}
        if full:
            self._prune()
            full = {name for name in full if len(self._held[name]) > AHEAD}
        return full - self.logic.waits() if full else full

    def _prune(self) -> None:
        if self._inbox:
            raise RuntimeError("records were received and not worked off: step first")
        used = self.logic.used
        for held in self._held.values():
            held[:] = [h for h in held if not used(h.book, h.last)]

    def refuse_unclean(self, topic: Topic, raw: bytes) -> None:
        """Told a record of the stage's own topics before the first step: raises StateError where another program
        stored the state, and had published what the state does not know.
        """
        event = None if self.handed_over is None else published(topic, raw)
        if event is not None and self.handed_over is not None:
            stored.refuse_unclean(self.logic, topic, event, self.handed_over, self._program)

    def follow(self, topic: Topic, raw: bytes) -> None:
        """Tell the worker a record of its own that was committed after the stored state; of garbage nothing follows."""
        self.refuse_unclean(topic, raw)
        decided = self._published.add(topic, raw)
        if decided is not None:
            self.logic.follow(decided)

    def _records(self, event: Event) -> Iterator[Record]:
        """The records of an event that are not published yet; those that are must be the same to the last bit."""
        topic = DEAD_LETTERS if isinstance(event, DeadLetter) else self.stage.route(event)
        if isinstance(event, Orders | Fills):  # one a record: people and venues read those
            symbol = self.logic.opened_as(event.book).config.symbol
            for raw in self._published.fresh_lines(topic, event, symbol):
                yield Record(topic, event.book, raw)
            return
        fresh = self._published.fresh_rows(topic, event) if isinstance(event, Batch) else event
        if fresh is not None:
            for piece in cuts(fresh):
                raw = to_json(piece)
                if not isinstance(event, DeadLetter) or self._published.fresh_letter(event, raw):
                    yield Record(topic, event.book, raw)

    def save(self, outputs: Mapping[str, int]) -> bytes:
        """The state to store once all that was sent is acknowledged.

        outputs: for every topic written, the end of what this worker itself followed or wrote. The end of the log may
        be further, by another's hand. Before all that was followed is computed again, the old ends stay.
        """
        met = self._published.met(self.logic.used)
        self._prune()
        positions = {
            name: min((h.offset for h in held), default=self._next[name]) for name, held in self._held.items()
        }
        told = {name: max(at, self._told.get(name, 0)) for name, at in self._next.items()}
        ends = outputs if met else self._outputs
        letters = self._published.letters
        head = stored.Stored(
            self._layout, self._program, positions, ends, told, letters, self.logic.snapshot()
        )
        return head.to_bytes()


def _until(event: Event) -> int:
    """The row after which a record is used; a closing is when the book is gone, what has no rows when it is open."""
    if isinstance(event, Batch):
        return event.last
    return event.last + 1 if isinstance(event, BookClosed) else -1


def _priced(rows: Features) -> bool:
    """Whether what is divided by is a price in every row that is good."""
    mid = rows.mid[(rows.flags & REPEATED) == 0]
    return bool(((mid >= LEAST_PRICE) & (mid <= MOST_PRICE)).all())
