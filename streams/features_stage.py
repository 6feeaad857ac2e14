"""Stage "features": what is known of the market at each row."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from windvane.metamodel.base.upgrading import as_new
from windvane.metamodel.features.extractor import REASONS, MarketFeatureExtractor
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier
from windvane.streams.books import FARTHEST_ROWS, BookStage, letter
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
from windvane.streams.joining import HELD_ROWS, Source
from windvane.streams.stage import StateError


class _Book:
    def __init__(self, opened: BookOpened, taken: int = 0) -> None:
        self.name = opened.book
        self.extractor = MarketFeatureExtractor(opened.config.stale_after, opened.config.most_ahead)
        self.live = opened.config.closing == "timed"
        self.classifier = MarketRegimeClassifier()
        self.ticks: Source[Ticks] = Source(taken)

    def save(self) -> dict[str, Any]:
        return {
            "taken": self.ticks.taken,
            "model": self.classifier.model.version,
            **self.extractor.state(),
            **self.classifier.state(),
        }

    def load(self, saved: dict[str, Any]) -> None:
        if saved["model"] != self.classifier.model.version:
            raise StateError(
                f"the snapshot of book {self.name} is of regime model {saved['model']}, this program has "
                f"{self.classifier.model.version}: remove the snapshot, or run the version that wrote it"
            )
        self.extractor.restore(saved)
        self.classifier.restore(saved)


class FeaturesStage(BookStage[_Book]):
    """Ticks in, Features out; rows that never came are given up in the end and flagged."""

    upcasts = (as_new("refused.n", "refused.price"),)

    def open(self, opened: BookOpened) -> _Book:
        """A new book."""
        return _Book(opened)

    def opened(self, event: BookOpened) -> Iterator[Event]:
        """Pass it on: the other stages take the book's settings from here."""
        yield event

    def restore(self, opened: BookOpened, saved: dict[str, Any]) -> _Book:
        """A book from its snapshot."""
        book = _Book(opened, saved["taken"])
        book.load(saved)
        return book

    def take(self, state: _Book, event: Event) -> Iterator[Event]:
        """Hold ticks."""
        if not isinstance(event, Ticks):
            return
        if event.last > state.ticks.covers + FARTHEST_ROWS:
            yield letter(
                event, f"book {state.name} is at seq {state.ticks.covers}: seq {event.last} is too far ahead"
            )
        else:
            state.ticks.add(event)

    def done(self, state: _Book) -> int:
        """Next seq."""
        return state.ticks.taken

    def advance(self, state: _Book, closing: int | None) -> Iterator[Event]:
        """Features of all rows that are there."""
        ticks = state.ticks
        while True:
            while ticks.covers > ticks.taken:
                yield from _features(state, ticks.take(ticks.end_of_piece(ticks.covers)))
            hole = ticks.missing
            if hole is not None and (ticks.held > HELD_ROWS or closing is not None):
                ticks.add(_gap(ticks.early, hole[0], min(hole[1], hole[0] + HELD_ROWS)))
            elif hole is None and closing is not None and ticks.covers <= closing:
                start = Ticks(
                    book=state.name,
                    seq=np.zeros(1, np.int64),
                    ts=np.zeros(1, np.int64),
                    flags=np.zeros(1, np.int64),
                    price=np.ones(1),
                )
                ticks.add(_gap(start, ticks.covers, min(closing + 1, ticks.covers + HELD_ROWS)))
            else:
                return

    def closed(self, state: _Book, event: BookClosed) -> Iterator[Event]:
        """Pass it on, after the last row."""
        yield event


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


def _features(book: _Book, ticks: Ticks) -> Iterator[Event]:
    """Features of rows, and a letter for each that is refused.

    A lockstep book replays history: whoever read it vouches for its levels of price, and its rows may be of any time.
    In a timed book nobody vouches for a feed, and no row may come from the future.
    """
    rows = book.extractor.step(
        ticks.ts,
        ticks.flags & ~LEVEL if book.live else ticks.flags,
        ticks.price,
        size=ticks.size,
        bid=ticks.bid,
        ask=ticks.ask,
        bid_size=ticks.bid_size,
        ask_size=ticks.ask_size,
        buy_size=ticks.buy_size,
        received=ticks.received if book.live else None,
    )
    yield Features(
        book=book.name,
        seq=ticks.seq,
        ts=rows.ts,
        flags=rows.flags,
        x=rows.x,
        price=rows.price,
        mid=rows.mid,
        bid=rows.bid if rows.bid.size else None,
        ask=rows.ask if rows.ask.size else None,
        size=rows.size if rows.size.size else None,
        regime=book.classifier.step(rows.x, rows.flags),
        model=book.classifier.model.version,
    )
    if not int(np.bitwise_or.reduce(rows.flags)) & BAD:
        return
    for row in np.flatnonzero((rows.flags & (BAD | HEARTBEAT)) == BAD):
        yield DeadLetter(
            book=book.name,
            source=f"ticks of {book.name}, seq {int(ticks.seq[row])}",
            reason=REASONS[rows.reason[row]] or "its source flags it as bad",
            payload=f"ts {int(ticks.ts[row])}, price {float(ticks.price[row])}",
        )
