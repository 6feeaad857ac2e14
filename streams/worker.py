"""One stage on one partition, without I/O: records in, records out, and a state that survives any crash.

A runner reads records from where `positions` says, hands them to `receive`, sends what `step` gives, and, once that is
acknowledged, may store `save`. After a crash, whoever has the partition next builds a worker from the last stored state
and goes on. Two ways to write:

- Stages that are functions of the log (features, proposals, feedback) may send a row twice; readers trim by seq.
- The ensemble writes each step in one transaction. After a crash it is told what it had published since the stored
  state (`follow`): it computes those rows again, stops if one differs, and sends only what comes after.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from windvane.streams.codec import WireError, cuts, from_json, pack, to_json, unpack
from windvane.streams.events import Batch, BookClosed, DeadLetter, Decisions, Event, Statements, cut, join
from windvane.streams.stage import Stage, StateError
from windvane.streams.topics import DEAD_LETTERS, Topic


class _Held(NamedTuple):
    """A record of which something is not used yet."""

    offset: int
    book: str
    last: int  # it is used once the book has worked off this row


class StageWorker:
    """A stage on one partition; `layout` is the digest of what all workers must agree on."""

    def __init__(self, stage: Stage, layout: str, saved: bytes | None = None) -> None:
        self.stage = stage
        self._layout = layout
        self._held: dict[str, list[_Held]] = {topic.name: [] for topic in stage.reads}
        self._next = {topic.name: 0 for topic in stage.reads}
        self._outputs: dict[str, int] = {}
        self._inbox: list[Event] = []
        self._letters: list[DeadLetter] = []
        self._published: dict[tuple[str, str], Batch] = {}
        self._decided: dict[str, int] = {}
        state = None if saved is None else self._load(saved)
        self._logic = stage.build(state)

    def _load(self, saved: bytes) -> bytes:
        size = int.from_bytes(saved[:4], "little")
        head = unpack(saved[4 : 4 + size])
        if head["layout"] != self._layout:
            raise StateError(
                f"the stored state of {self.stage.name} is of another layout or version: "
                "remove it, and the stage starts from the first record"
            )
        self._next = {name: int(offset) for name, offset in head["positions"].items()}
        self._outputs = {name: int(offset) for name, offset in head["outputs"].items()}
        return saved[4 + size :]

    @property
    def positions(self) -> Mapping[str, int]:
        """For every source topic the offset to read from next."""
        return dict(self._next)

    @property
    def outputs(self) -> Mapping[str, int]:
        """For every topic written, the offset from which on the stored state knows nothing of it."""
        return dict(self._outputs)

    def receive(self, topic: Topic, offset: int, raw: bytes) -> None:
        """Take in a record; one that was seen before, or is no event, does no harm."""
        self._next[topic.name] = max(self._next[topic.name], offset + 1)
        try:
            event = from_json(raw)
        except WireError as error:
            self._letters.append(
                DeadLetter(
                    book="", source=f"{topic.name}, offset {offset}", reason=str(error), payload=_text(raw)
                )
            )
            return
        if type(event) not in topic.carries:
            reason = f"{type(event).__name__} does not belong on {topic.name}"
            self._letters.append(
                DeadLetter(
                    book=event.book,
                    source=f"{topic.name}, offset {offset}",
                    reason=reason,
                    payload=_text(raw),
                )
            )
            return
        self._held[topic.name].append(_Held(offset, event.book, _until(event)))
        self._inbox.append(event)

    def step(self) -> list[tuple[Topic, Event]]:
        """What follows from all that was received, in order, less what is known to be published."""
        events, self._inbox = self._inbox, []
        letters, self._letters = self._letters, []
        made: list[Event] = [*letters, *self._logic.step(events)]
        out: list[tuple[Topic, Event]] = []
        for event in made:
            topic = DEAD_LETTERS if isinstance(event, DeadLetter) else self.stage.route(event)
            fresh = self._unpublished(topic, event) if isinstance(event, Batch) else event
            if fresh is not None:
                out.append((topic, fresh))
        return out

    def follow(self, topic: Topic, raw: bytes) -> None:
        """Tell the worker a record of its own that was committed after the stored state."""
        event = from_json(raw)
        if not isinstance(event, Batch):
            return
        key = (topic.name, event.book)
        self._published[key] = join([self._published[key], event]) if key in self._published else event
        if isinstance(event, Decisions):
            self._decided[event.book] = event.last

    def _unpublished(self, topic: Topic, batch: Batch) -> Batch | None:
        """The rows of a batch that are not published yet; those that are must be the same to the last bit.

        What a row gives on several topics was committed at once, so up to the last decision nothing may be missing;
        only the statement of a closed book may follow in a step of its own.
        """
        decided = self._decided.get(batch.book, -1)
        old = self._published.get((topic.name, batch.book))
        last = -1 if old is None else old.last
        known = int(np.searchsorted(batch.seq, last, side="right"))
        if known and old is not None:
            _same(topic, old, cut(batch, 0, known))
            if int(batch.seq[known - 1]) == last:
                del self._published[topic.name, batch.book]  # all of it was met again
        must = (
            known if isinstance(batch, Statements) else int(np.searchsorted(batch.seq, decided, side="right"))
        )
        if must > known:
            raise StateError(
                f"{topic.name} of {batch.book} lack seq {int(batch.seq[known])}, though seq {decided} was decided: "
                "the topic was changed, so start a new book"
            )
        return None if known == len(batch) else cut(batch, known, len(batch))

    def save(self, outputs: Mapping[str, int]) -> bytes:
        """The state to store once all that was sent is acknowledged.

        outputs: for every topic written, the end of what this worker itself followed or wrote. The end of the log may
        be further, by another's hand. Before all that was followed is computed again, the old ends stay.
        """
        met = not self._published and all(self._logic.used(*decided) for decided in self._decided.items())
        positions = {}
        for name, held in self._held.items():
            held[:] = [h for h in held if not self._logic.used(h.book, h.last)]
            positions[name] = min((h.offset for h in held), default=self._next[name])
        head = pack(
            {
                "layout": self._layout,
                "positions": positions,
                "outputs": dict(outputs) if met else self._outputs,
            }
        )
        return len(head).to_bytes(4, "little") + head + self._logic.snapshot()


def _until(event: Event) -> int:
    """The row after which a record is used; a closing is when the book is gone, what has no rows when it is open."""
    if isinstance(event, Batch):
        return event.last
    return event.last + 1 if isinstance(event, BookClosed) else -1


def _same(topic: Topic, old: Batch, new: Batch) -> None:
    """Raises StateError unless the rows of `new` stand in `old`, in every bit."""
    places = np.searchsorted(old.seq, new.seq)
    for name in new.__struct_fields__:
        value = getattr(new, name)
        if not isinstance(value, np.ndarray):
            continue
        was = getattr(old, name)[np.minimum(places, len(old) - 1)]
        if np.ascontiguousarray(value).tobytes() != np.ascontiguousarray(was).tobytes():
            raise StateError(
                f"{topic.name} of {new.book} from seq {new.first} differ in column {name} from what was published: "
                "the settings or the program have changed, so start a new book"
            )


def _text(raw: bytes) -> str:
    return raw[:1000].decode(errors="replace")


def records(out: Sequence[tuple[Topic, Event]]) -> Sequence[tuple[Topic, str, bytes]]:
    """Topic, key and bytes of every record to send."""
    return [(topic, event.book, to_json(piece)) for topic, event in out for piece in cuts(event)]
