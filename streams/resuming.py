"""From a stored state to a worker's beginning: the logic with its books, where to read on, and what is known."""

from collections.abc import Mapping, Sequence

from windvane.agents.program import Program
from windvane.streams import stored
from windvane.streams.snapshot import take_out
from windvane.streams.stage import Logic, Stage, StateError
from windvane.streams.stopped import MOST_AGAIN, Stopped
from windvane.streams.topics import CONTROL, MODELS

GONE = (
    f"more than {MOST_AGAIN:,} records came since it was stopped, so they are not read again: "
    "open a book of another name"
)


class Resumed:
    """What a worker begins with.

    saved: None begins empty; stopped: books that are not worked on, and why. A book whose state cannot be read is
    stopped, too. Raises StateError where nothing of the state can be gone on with.
    """

    def __init__(
        self, stage: Stage, layout: str, program: Program, saved: bytes | None, stopped: Mapping[str, str]
    ) -> None:
        state = None if saved is None else _of_layout(stage, layout, saved)
        self._stored = state
        self._sources = tuple(topic.name for topic in stage.reads)
        self._resumed: dict[str, Stopped] = {}  # books that were stopped and are worked on again
        self.stopped: dict[str, Stopped] = {}
        self.handed_over = None if state is None or state.program.code == program.code else state.program
        self.letters = () if state is None else state.letters
        self.logic = self._logic(stage, stopped)
        again = list(self._resumed.values())
        self.positions = _least(self._begin(), [kept.positions for kept in again])
        self.outputs = _least(self._of("outputs"), [kept.outputs for kept in again])
        self._stored_books = self.logic.books()

    def _begin(self) -> dict[str, int]:
        """By source where the stored state ends."""
        return {name: self._of("positions").get(name, 0) for name in self._sources}

    def begin_at(self, source: str, offset: int) -> None:
        """Take note that a source begins at an offset, where nothing was stored that would need what was before."""
        if self._stored is None:
            self.stopped = {
                book: kept._replace(positions={**kept.positions, source: offset})
                for book, kept in self.stopped.items()
            }

    def _of(self, name: str) -> Mapping[str, int]:
        return {} if self._stored is None else getattr(self._stored, name)

    def _logic(self, stage: Stage, stopped: Mapping[str, str]) -> Logic:
        """The stage with all books that can be worked on."""
        raw = None if self._stored is None else self._stored.state
        before = {} if self._stored is None else self._stored.stopped
        for book, why in stopped.items():
            if book not in before:
                raw = self._stop(book, why, raw)
        while True:
            try:
                logic = stage.build(raw)
                break
            except StateError as error:
                if not error.book:
                    raise
                raw = self._stop(error.book, str(error), raw)
        for book, kept in before.items():
            why = stopped.get(book, "") or (GONE if kept.too_far(self._of("positions")) else "")
            try:
                if not why and kept.state:
                    logic.restore(kept.state)
            except StateError as error:
                why = str(error)
            if why:
                self.stopped[book] = kept._replace(why=why)
            else:
                self._resumed[book] = kept
        return logic

    def _stop(self, book: str, why: str, raw: bytes | None) -> bytes | None:
        """Leave a book as it is stored; returns the state of the others."""
        rest, mine = (raw, b"") if raw is None else take_out(raw, book)
        known = {source: self._known_as_stored(source, book, bool(mine)) for source in _NUMBERED}
        outputs, received = dict(self._of("outputs")), dict(self._of("received"))
        self.stopped[book] = Stopped(why, self._begin(), outputs, received, known, mine)
        return rest

    def _known_as_stored(self, source: str, book: str, there: bool) -> int:
        known = {} if self._stored is None else self._stored.known
        at = known.get(source, stored.Known(0))
        return max(at.read if there else 0, at.later.get(book, 0))

    def lost(self, begins: Mapping[str, int]) -> str:
        """A book that was stopped before and needs records that its log has lost since; "" where there is none."""
        for book, kept in self._resumed.items():
            places = {**kept.positions, **kept.outputs}
            if any(offset < begins.get(name, 0) for name, offset in places.items()):
                return book
        return ""

    def received(self, source: str, book: str) -> int:
        """Offset before which records of a book were received, and their dead letters published."""
        mine = self._resumed.get(book)
        return (self._of("received") if mine is None else mine.received).get(source, 0)

    def all_received(self, next_offsets: Mapping[str, int]) -> dict[str, int]:
        """What a state that is stored now has as `received`."""
        before = self._of("received")
        return {source: max(at, before.get(source, 0)) for source, at in next_offsets.items()}

    def known_below(self, source: str, book: str) -> int:
        """Offset below which the stored state has the controls and models of a book, or is done with them."""
        mine = self._resumed.get(book)
        if mine is not None:
            return mine.known.get(source, 0)
        return self._known_as_stored(source, book, book in self._stored_books)

    def known_now(self, next_offsets: Mapping[str, int]) -> dict[str, stored.Known]:
        """What a state that is stored now has of the controls and models of each source."""
        now: dict[str, stored.Known] = {}
        for source in (name for name in _NUMBERED if name in next_offsets):
            read = next_offsets[source]
            below = {book: self.known_below(source, book) for book in self._stored_books}
            now[source] = stored.Known(
                read, {book: offset for book, offset in below.items() if offset > read}
            )
        return now


_NUMBERED = (CONTROL.name, MODELS.name)


def _of_layout(stage: Stage, layout: str, raw: bytes) -> stored.Stored:
    saved = stored.from_bytes(raw)
    if saved.layout != layout:
        raise StateError(
            f"the stored state of {stage.name} is of another layout, {saved.layout}, and this worker is "
            f"{layout}: remove it, and the stage starts from the first record"
        )
    return saved


def _least(at: Mapping[str, int], again: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """By topic the offset where the state ends, or where a book goes on that was stopped before.

    Where such a book has none, the topic is left out: then it is read from its first record on.
    """
    return {
        name: min(offset, *(mine[name] for mine in again)) if again else offset
        for name, offset in at.items()
        if all(name in mine for mine in again)
    }
