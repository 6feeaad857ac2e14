"""What a stage published since its stored state: computed again, it must be the same, and it is not sent again."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import numpy as np

from windvane.streams.codec import from_json
from windvane.streams.events import (
    Batch,
    DeadLetter,
    Decisions,
    Event,
    Fills,
    Orders,
    Statements,
    column_of,
    cut,
    join,
)
from windvane.streams.records import fill_lines, order_lines, seq_of_line
from windvane.streams.stage import StateError
from windvane.streams.topics import Topic

_OF_CONTROL = "Control of book "
_RECOVER = (
    "if another version computed those, run it until it has caught up, stop it by SIGTERM and start this one then; "
    "else the settings have changed, so start a new book"
)


def published(topic: Topic, raw: bytes) -> Event | None:
    """The event that a worker has written; None for garbage, and on topics that have one order or fill a record."""
    if _in_lines(topic):
        return None
    try:
        event = from_json(raw)
    except ValueError:
        return None
    return event if type(event) in topic.carries else None


def _in_lines(topic: Topic) -> bool:
    return Orders in topic.carries or Fills in topic.carries


class Published:
    """What was committed to one partition's outputs after the stored state.

    letters: what the property was when the state was stored.
    """

    def __init__(self, letters: Iterable[str] = ()) -> None:
        self._rows: dict[tuple[str, str], list[Batch]] = {}
        self._lines: dict[tuple[str, str], dict[int, list[bytes]]] = {}
        self._decided: dict[str, int] = {}
        self._letters = Counter(letters)  # of digests of dead letters not computed again yet

    def add(
        self, topic: Topic, raw: bytes, needed: Callable[[str, int], bool] = lambda book, seq: True
    ) -> Decisions | None:
        """Keep a record to compare with; returns it if it is a decision. Garbage is passed over.

        needed: whether a row of a book will be computed again; those that will not are passed over, too.
        """
        if _in_lines(topic):
            try:
                book, seq = seq_of_line(raw)
            except ValueError:  # nothing that a worker has written
                return None
            if needed(book, seq):
                self._lines.setdefault((topic.name, book), {}).setdefault(seq, []).append(raw)
            return None
        event = published(topic, raw)
        if isinstance(event, DeadLetter):
            self._letters[_digest(event, raw)] += 1
        # A statement of the last row may be that of the closing, which comes after the row.
        closing = isinstance(event, Statements)
        if not isinstance(event, Batch) or not needed(event.book, event.last + closing):
            return None
        self._rows.setdefault((topic.name, event.book), []).append(event)
        if not isinstance(event, Decisions):
            return None
        self._decided[event.book] = event.last
        return event

    def met(self, used: Callable[[str, int], bool]) -> bool:
        """Whether all of it has been computed again. used: whether a book has worked off a row."""
        return not self._rows and all(used(*decided) for decided in self._decided.items())

    def fresh_letter(self, letter: DeadLetter, raw: bytes) -> bool:
        """Whether a dead letter is not published yet."""
        digest = _digest(letter, raw)
        if self._letters[digest] > 0:
            self._letters[digest] -= 1
            return False
        return True

    @property
    def letters(self) -> list[str]:
        """Digests of letters of controls not computed again yet, to be stored: their book may open after that."""
        return sorted({digest for digest in self._letters.elements() if digest.startswith(_OF_CONTROL)})

    def fresh_lines(self, topic: Topic, batch: Orders | Fills, symbol: str) -> Iterator[bytes]:
        """Return the records of orders or fills that are not published yet."""
        decided = self._decided.get(batch.book, -1)
        known = self._lines.get((topic.name, batch.book), {})
        lines = order_lines(batch, symbol) if isinstance(batch, Orders) else fill_lines(batch, symbol)
        if decided < batch.first:  # none of these rows was published: so it is, but after a crash
            yield from (raw for _, raw in lines)
            return
        met: dict[int, None] = {}
        for seq, raw in lines:
            if seq > decided:
                yield raw
                continue
            if _next_of(known, seq) != raw:
                raise _differs(topic, batch.book, seq)
            met[seq] = None
        for seq in met:
            if seq in known:  # of this row more was published than follows from it
                raise _differs(topic, batch.book, seq)

    def fresh_rows(self, topic: Topic, batch: Batch) -> Batch | None:
        """The rows of a batch that are not published yet.

        All records of a row were committed at once, so up to the last decision none may be missing; only the statement
        of a closed book may follow in a step of its own.
        """
        decided = self._decided.get(batch.book, -1)
        if not self._rows and decided < batch.first:  # nothing is to be compared: so it is, but after a crash
            return batch
        old = self._old(topic, batch.book)
        last = -1 if old is None else old.last
        known = int(np.searchsorted(batch.seq, last, side="right"))
        if known and old is not None:
            _same(topic, old, cut(batch, 0, known))
            if int(batch.seq[known - 1]) == last:
                del self._rows[topic.name, batch.book]  # all of it was met again
        must = (
            known if isinstance(batch, Statements) else int(np.searchsorted(batch.seq, decided, side="right"))
        )
        if must > known:
            raise StateError(
                f"{topic.name} of {batch.book} lack seq {int(batch.seq[known])}, though seq {decided} was decided: "
                "the topic was changed, so start a new book",
                batch.book,
            )
        return None if known == len(batch) else cut(batch, known, len(batch))

    def _old(self, topic: Topic, book: str) -> Batch | None:
        """All rows of a book on a topic, joined when they are first asked for."""
        batches = self._rows.get((topic.name, book))
        if batches is None:
            return None
        batches[:] = [join(batches)]
        return batches[0]


def _differs(topic: Topic, book: str, seq: int) -> StateError:
    return StateError(f"{topic.name} of {book} at seq {seq} differ from what was published: {_RECOVER}", book)


def _next_of(lines: dict[int, list[bytes]], seq: int) -> bytes | None:
    """Take the next line of a row, None where there is none; a row may have two fills."""
    of_row = lines.get(seq, [])
    raw = of_row.pop(0) if of_row else None
    if not of_row:
        lines.pop(seq, None)
    return raw


def _digest(letter: DeadLetter, raw: bytes) -> str:
    return (_OF_CONTROL if letter.source.startswith(_OF_CONTROL) else "") + sha256(raw).hexdigest()


def _same(topic: Topic, old: Batch, new: Batch) -> None:
    """Raises StateError unless the rows of `new` stand in `old`, in every bit."""
    places = np.searchsorted(old.seq, new.seq)
    for name in new.__struct_fields__:
        value, was = getattr(new, name), getattr(old, name)
        of = value if isinstance(value, np.ndarray) else was
        if not isinstance(of, np.ndarray):
            continue
        if name in new.absent:
            value, was = column_of(new, name, of), column_of(old, name, of)
        elif not isinstance(value, np.ndarray):
            continue
        was = was[np.minimum(places, len(old) - 1)]
        if np.ascontiguousarray(value).tobytes() != np.ascontiguousarray(was).tobytes():
            raise StateError(
                f"{topic.name} of {new.book} from seq {new.first} differ in column {name} from what was "
                f"published: {_RECOVER}",
                new.book,
            )
