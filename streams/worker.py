"""One stage on one partition, without I/O: records in, records out, and a state that survives any crash.

A runner reads records from where `positions` says and hands them to `receive`. It sends what `step` returns and may
store `save` once that is acknowledged. After a crash, whoever has the partition next builds a worker from the last
stored state and goes on. There are two ways to write:

- Stages that are functions of the log (features, proposals, feedback) may send a row twice; readers trim by seq.
- A stage that is transactional (the ensemble) writes each step in one transaction. After a crash, the runner hands the
  worker what the stage had published since the stored state (`follow`). The worker computes those rows again, stops if
  one of them differs, and sends only what comes after them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from windvane.agents.kernel import this_program
from windvane.agents.program import Program
from windvane.streams import reports, stored
from windvane.streams.checks import LONGEST_NAME, Checks, Gatekeeper
from windvane.streams.coalesce import coalesced
from windvane.streams.codec import WireError, cuts, to_json
from windvane.streams.events import (
    Batch,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Fills,
    Model,
    Orders,
    TrainRequest,
    TrainResult,
)
from windvane.streams.many_rows import Delivered, events_of
from windvane.streams.published import Published, published
from windvane.streams.resuming import Resumed
from windvane.streams.stage import Following, Gapped, Hole, OpenRounds, Stage, StateError, Timed
from windvane.streams.topics import DEAD_LETTERS, Topic
from windvane.streams.troubles import Troubles
from windvane.streams.unused import Unused

_LONGEST_REASON = 1000


class Record(NamedTuple):
    """What to write; the key is the book."""

    topic: Topic
    book: str
    raw: bytes


class StageWorker:
    """A stage on one partition. One thread calls it, and no method blocks.

    layout: what all workers must agree on; observe: called with every event that becomes records; program: the one that
    computes, stored with the state; stopped: books to leave as they are stored, and why. Raises StateError where
    `saved` cannot be gone on with.
    """

    def __init__(
        self,
        stage: Stage,
        layout: str,
        saved: bytes | None = None,
        checks: Checks | None = None,
        observe: Callable[[Event], None] = lambda event: None,
        program: Program | None = None,
        stopped: Mapping[str, str] | None = None,
    ) -> None:
        self.stage = stage
        self._observe = observe
        self._layout = layout
        self._partition = (checks or Checks()).partition
        self._gatekeeper = Gatekeeper(checks or Checks())
        self._unused = Unused(stage.reads)
        self._next = {topic.name: 0 for topic in stage.reads}
        self._inbox: list[Event] = []
        self._letters: list[DeadLetter] = []
        self._requests: list[TrainRequest] = []
        self.stepped: set[str] = set()  # books that the last step had records of
        self._program = program or this_program()
        resumed = Resumed(stage, layout, self._program, saved, stopped or {})
        self._resumed = resumed
        self.handed_over = resumed.handed_over  # the program that stored the state, where it was another one
        self._next |= resumed.positions
        self._outputs = resumed.outputs
        self._published = Published(resumed.letters)
        self.logic = resumed.logic
        self._timed = self.logic if isinstance(self.logic, Timed) else None
        self._gapped = self.logic if isinstance(self.logic, Gapped) else None

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
        """Read a source from this offset on at least: the log has lost what was before, and will not have it again."""
        if offset > self._next[topic.name] == 0 and topic is self.stage.reads[0]:
            self.logic.openings_lost()
        self._resumed.begin_at(topic.name, offset)
        self._next[topic.name] = max(self._next[topic.name], offset)

    def receive_all(self, topic: Topic, records: Sequence[Delivered]) -> None:
        """As `receive` for each of the records, in order; many of one row each take about half the time so."""
        for record, read in zip(records, events_of(records), strict=True):
            raw = record.value or b""
            self.receive(topic, record.offset, raw, record.received, record.signature, read)

    def receive(
        self,
        topic: Topic,
        offset: int,
        raw: bytes,
        received: int | None = None,
        signature: bytes = b"",
        read: Event | None = None,
    ) -> None:
        """Keep a record for the next step; one that was seen before, or is no event, does no harm.

        received: the broker's time of the record, UNIX ns; signature: what its header says. Both never change.
        read: the event, where the record was read already.
        """
        self._next[topic.name] = max(self._next[topic.name], offset + 1)
        try:
            event = self._gatekeeper.decoded(topic, raw, received, signature, read)
        except WireError as error:
            if offset >= self._resumed.received(topic.name, ""):
                self._reject("", topic, offset, str(error), raw)
            return
        if event.book in self._resumed.stopped:
            return
        again = offset < self._resumed.received(topic.name, event.book)  # so its dead letter was published
        reason = self._gatekeeper.refusal(topic, event, self.logic.next_seq(event.book))
        if reason and not again:
            self._reject(event.book[:LONGEST_NAME], topic, offset, reason, raw)
        if reason or (
            isinstance(event, Control | Model) and offset < self._resumed.known_below(topic.name, event.book)
        ):
            return
        self._unused.add(topic, offset, event)
        self._inbox.append(event)

    def _reject(self, book: str, topic: Topic, offset: int, reason: str, raw: bytes) -> None:
        source = f"{topic.name}, partition {self._partition}, offset {offset}"
        text, why = raw[:1000].decode(errors="replace"), reason[:_LONGEST_REASON]
        self._letters.append(DeadLetter(book=book, source=source, reason=why, payload=text))

    def step(self) -> list[Record]:
        """What follows from all records received since the last step, in order, less what is known to be published.

        Called by the runner after each reading, also where nothing was read. Its cost grows with the rows.
        """
        events, self._inbox = self._inbox, []
        letters, self._letters = self._letters, []
        self.stepped = {e.book for e in events}
        going = {book for book in self.stepped if self.logic.next_seq(book)}
        # Records that come before the opening of their book are counted by the logic, so they are not joined.
        beginning = [e for e in events if e.book not in going]
        joined = [*beginning, *coalesced(e for e in events if e.book in going)]
        out: list[Record] = []
        for event in (*letters, *coalesced(self.logic.step(joined))):
            if isinstance(event, TrainRequest):
                self._requests.append(event)
                continue
            records = list(self._records(event))
            if records:
                self._observe(event)
                out.extend(records)
        return out

    def requests(self) -> list[TrainRequest]:
        """The trainings that the steps since the last call ask for; after a restart, those not answered before too.

        Called by the runner after each step.
        """
        requests, self._requests = self._requests, []
        return requests

    def answer(self, result: TrainResult) -> None:
        """Keep what a training came to for the next step. Called by the runner before a step, never before `save`."""
        self._inbox.append(result)

    def give_up_early(self) -> None:
        """Reject, in the next step, records of books that were not opened before them.

        Called by the runner when it has read the source that opens books to its end.
        """
        self._letters.extend(self.logic.give_up_early())

    def open_rounds(self) -> Mapping[str, OpenRounds]:
        """Rounds of timed books that are open, by book. Called by the runner before each step, for its round timer."""
        return {} if self._timed is None else self._timed.open_rounds()

    def close_rounds(self, book: str, stop: int) -> None:
        """In the next step, close the rounds of a book below `stop`. Called by the runner when its timer says so."""
        if self._timed is not None:
            self._timed.close_rounds(book, stop)

    def holes(self) -> Mapping[str, Hole]:
        """Rows that timed books lack, by book. Called by the runner before each step, for its gap timer."""
        return {} if self._gapped is None else self._gapped.holes()

    def give_up(self, book: str, stop: int) -> None:
        """In the next step, go on without the rows below `stop`. Called by the runner when its gap timer says so."""
        if self._gapped is not None:
            self._gapped.give_up(book, stop)

    def troubles(self) -> Troubles:
        """What is wrong with books, by book; no clock is asked. Called by the runner between steps, to report."""
        return reports.troubles(self.logic, ((b, kept.why) for b, kept in self._resumed.stopped.items()))

    def lost(self, begins: Mapping[str, int]) -> str:
        """The name of a book that goes on from records which its log has lost, "" where there is none.

        begins: by topic the offset of its first record. Called by the runner before it reads anything.
        """
        return self._resumed.lost(begins)

    def ahead(self) -> set[str]:
        """Names of sources to pause: more than AHEAD of their records are unused, and no book waits for them.

        Called by the runner after each step.
        """
        if len(self.stage.reads) == 1:
            return set()  # what is waited for can come from nowhere else
        if self._unused.ahead():
            self._prune()
        full = self._unused.ahead()
        return full and full - {name for lacking in self.logic.waiting().values() for name in lacking.topics}

    def _prune(self) -> None:
        """Forget records that are used."""
        if self._inbox:
            raise RuntimeError("records were received and not worked off: step first")
        self._unused.forget(self.logic.progress)

    def _has_used(self, book: str, last: int) -> bool:
        return self.logic.progress(book).has_used(last)

    def refuse_unclean(self, topic: Topic, raw: bytes) -> None:
        """Check a record of the stage's own topics, where another program stored the state.

        Called by the runner for every record since the stored state, before the first step. Raises StateError where the
        state does not know the event: the other program was killed after it had published it, and what one program
        computed is not to be computed again by another.
        """
        event = None if self.handed_over is None else published(topic, raw)
        if event is not None and not stored.knows(self.stage, self.logic.progress(event.book), event):
            raise StateError(
                f"{self.handed_over} was not stopped cleanly, topic {topic.name} holds more of book {event.book} than "
                "its stored state knows: run that version until it has caught up, stop it by SIGTERM, and then start "
                f"{self._program}"
            )

    def follow(self, topic: Topic, raw: bytes) -> None:
        """Learn a record of the stage's own topics that was written after the stored state; garbage is passed over.

        Called by the runner for every such record, before the first step. Raises StateError as `refuse_unclean` does.
        """
        self.refuse_unclean(topic, raw)
        rows: Event | None = None
        if self.stage.transactional:
            rows = self._published.add(topic, raw, self._is_needed)
        elif self.stage.records:
            rows = published(topic, raw)
        if (
            isinstance(rows, Decisions | Features)
            and isinstance(self.logic, Following)
            and rows.book not in self._resumed.stopped
        ):
            self.logic.follow(rows)

    def _is_needed(self, book: str, seq: int) -> bool:
        """Whether a published row of a book is to be compared with one that is computed again."""
        return book not in self._resumed.stopped and (
            self.logic.progress(book).state != "open" or not self._has_used(book, seq)
        )

    def _records(self, event: Event) -> Iterator[Record]:
        """The records of an event that are not published yet; those that are must be the same to the last bit."""
        topic = DEAD_LETTERS if isinstance(event, DeadLetter) else self.stage.route(event)
        if isinstance(event, Orders | Fills):  # one a record: people and venues read those
            opened = self.logic.progress(event.book).opened
            symbol = "" if opened is None else opened.config.symbol
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
        """The state to store, whole: as `begin_save`, but every book is copied at once."""
        saving = self.begin_save(outputs)
        while not saving.copy_some(len(self.logic.books())):
            pass
        return b"".join(saving.parts())

    def begin_save(self, outputs: Mapping[str, int]) -> stored.Saving:
        """The state to store. Called by the runner between steps, once all records sent are acknowledged.

        Its books are not copied yet: the runner copies them between the steps that follow. Not called again before.

        outputs: for every topic written, the end of what this worker itself followed or wrote. The end of the log may
        be further, by another's hand. Before all that was followed is computed again, the old ends stay.
        """
        met = self._published.met(self._has_used)
        self._prune()
        positions = self._unused.positions(self._next)
        ends = outputs if met else self._outputs
        head = stored.Stored(
            self._layout,
            self._program,
            positions,
            ends,
            self._resumed.all_received(self._next),
            self._published.letters,
            b"",  # the state of the stage follows, as it is copied
            self._resumed.known_now(self._next),
            self._resumed.stopped,
        )
        return stored.Saving(head, self.logic.begin_snapshot())
