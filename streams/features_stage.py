"""Stage "features": what is known of the market at each row."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from windvane.metamodel.base.upgrading import as_new
from windvane.metamodel.features.extractor import REASONS, FeatureRows, MarketFeatureExtractor
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier
from windvane.streams.books import FARTHEST_ROWS, Book, BookStage, letter
from windvane.streams.events import (
    BAD,
    GAP,
    HEARTBEAT,
    LEVEL,
    BookClosed,
    BookOpened,
    DeadLetter,
    Event,
    Features,
    Ticks,
)
from windvane.streams.joining import MOST_BEYOND, Source
from windvane.streams.stage import StateError


class FeaturesBook(Book):
    """Memory of the features of one book, and ticks not worked off yet."""

    def __init__(self, opened: BookOpened) -> None:
        self.name = opened.book
        self.extractor = MarketFeatureExtractor(opened.config.stale_after, opened.config.most_ahead)
        self.live = opened.config.closing == "timed"
        self.classifier = MarketRegimeClassifier()
        self.ticks: Source[Ticks] = Source()

    @property
    def next_seq(self) -> int:
        """As `Book` says."""
        return self.ticks.next_seq

    @property
    def reached(self) -> int:
        """As `Book` says, with rows beyond a hole that is waited for."""
        return self.ticks.reached

    def told(self) -> tuple[int, None]:
        """As `Book` says."""
        return self.extractor.last_ts, None

    def save(self) -> dict[str, Any]:
        """As `Book` says."""
        return {
            "taken": self.ticks.next_seq,
            "model": self.classifier.model.version,
            **self.extractor.state(),
            **self.classifier.state(),
        }

    def load(self, saved: dict[str, Any]) -> None:
        """As `Book` says; raises StateError where another regime model wrote it."""
        if saved["model"] != self.classifier.model.version:
            raise StateError(
                f"the snapshot of book {self.name} is of regime model {saved['model']}, this program has "
                f"{self.classifier.model.version}: remove the snapshot, or run the version that wrote it"
            )
        self.ticks = Source(saved["taken"])
        self.extractor.restore(saved)
        self.classifier.restore(saved)

    def begin(self, opened: BookOpened) -> Sequence[Event]:
        """The opening itself: the other stages learn the settings of the book from it."""
        return (opened,)

    def receive(self, event: Event) -> Sequence[Event]:
        """Keep ticks."""
        if not isinstance(event, Ticks):
            return ()
        if int(event.seq[-1]) > self.ticks.covers + FARTHEST_ROWS:
            why = f"book {self.name} is at seq {self.ticks.covers}: seq {event.last} is too far ahead"
            return (letter(event, why),)
        self.ticks.add(event)
        return ()

    def advance(self, last_seq: int | None) -> Sequence[Event]:
        """Features of all rows that are there; rows that will not come any more are filled in."""
        out: list[Event] = []
        while True:
            for rows in self.ticks.pop_all():
                out += self._features(rows)
            missing = self._missing(last_seq)
            if missing is None:
                return out
            self.ticks.add(missing)

    def _missing(self, last_seq: int | None) -> Ticks | None:
        """Rows in place of those that are given up next, None where none are.

        A hole is given up once too many rows lie beyond it, or once the end of the book is known.
        """
        ticks = self.ticks
        start = ticks.covers
        if ticks.beyond:
            if ticks.beyond <= MOST_BEYOND and last_seq is None:
                return None
            after = ticks.first_beyond
            return _gap(after, start, min(after.first, start + MOST_BEYOND))
        if last_seq is None or start > last_seq:
            return None
        row = Ticks(
            book=self.name,
            seq=np.zeros(1, np.int64),
            ts=np.zeros(1, np.int64),
            flags=np.zeros(1, np.int64),
            price=np.ones(1),
        )
        return _gap(row, start, min(last_seq + 1, start + MOST_BEYOND))

    def _features(self, ticks: Ticks) -> list[Event]:
        """Features of rows, and a letter for each that is refused.

        A lockstep book replays history: whoever read it vouches for its levels of price, and its rows may be of any
        time. In a timed book nobody vouches for a feed, and no row may come from the future.
        """
        rows = self.extractor.step(
            ticks.ts,
            ticks.flags & ~LEVEL if self.live else ticks.flags,
            ticks.price,
            size=ticks.size,
            bid=ticks.bid,
            ask=ticks.ask,
            bid_size=ticks.bid_size,
            ask_size=ticks.ask_size,
            buy_size=ticks.buy_size,
            received=ticks.received if self.live else None,
        )
        features = Features(
            book=self.name,
            seq=ticks.seq,
            ts=rows.ts,
            flags=rows.flags,
            x=rows.x,
            price=rows.price,
            mid=rows.mid,
            bid=rows.bid if rows.bid.size else None,
            ask=rows.ask if rows.ask.size else None,
            size=rows.size if rows.size.size else None,
            regime=self.classifier.step(rows.x, rows.flags),
            model=self.classifier.model.version,
        )
        if not int(np.bitwise_or.reduce(rows.flags)) & BAD:
            return [features]
        return [features, *self._refused(ticks, rows)]

    def _refused(self, ticks: Ticks, rows: FeatureRows) -> Iterator[DeadLetter]:
        """A letter for each row that is bad; a heartbeat is no row of the market."""
        for row in np.flatnonzero((rows.flags & (BAD | HEARTBEAT)) == BAD):
            yield DeadLetter(
                book=self.name,
                source=f"ticks of {self.name}, seq {int(ticks.seq[row])}",
                reason=REASONS[rows.reason[row]] or "its source flags it as bad",
                payload=f"ts {int(ticks.ts[row])}, price {float(ticks.price[row])}",
            )

    def end(self, closed: BookClosed) -> Sequence[Event]:
        """The closing itself, after the features of the last row."""
        return (closed,)


def _gap(like: Ticks, start: int, stop: int) -> Ticks:
    """Rows that never came; their columns are not read."""
    n = stop - start
    columns: dict[str, np.ndarray] = {
        name: np.ones(n, value.dtype)
        for name in like.__struct_fields__
        if isinstance(value := getattr(like, name), np.ndarray)
    }
    columns |= {
        "seq": np.arange(start, stop),
        "ts": np.zeros(n, np.int64),
        "flags": np.full(n, GAP, np.int64),
    }
    return msgspec.structs.replace(like, **columns)


class FeaturesStage(BookStage[FeaturesBook]):
    """Ticks in, Features out; rows that never came are given up in the end and flagged."""

    upcasts = (as_new("refused.n", "refused.price"),)

    def new_book(self, opened: BookOpened) -> FeaturesBook:
        """A book at its first row."""
        return FeaturesBook(opened)
