"""Stage "features": what is known of the market at each row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from windvane.metamodel.base.upgrading import as_new
from windvane.metamodel.features.extractor import REASONS, FeatureRows, MarketFeatureExtractor
from windvane.metamodel.features.memory import TIME
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier
from windvane.streams.book import FARTHEST_ROWS, Book, letter
from windvane.streams.books import BookStage
from windvane.streams.events import (
    BAD,
    GAP,
    HEARTBEAT,
    LEVEL,
    BookClosed,
    BookOpened,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Ticks,
    cut,
)
from windvane.streams.joining import MOST_BEYOND, Source
from windvane.streams.recorded_gaps import RecordedGaps
from windvane.streams.seen import Seen
from windvane.streams.stage import Hole, StateError
from windvane.streams.topics import TICKS
from windvane.streams.troubles import Lasting, Refused, Trouble


class FeaturesBook(Book):
    """Memory of the features of one book, and ticks not worked off yet.

    refused: where it is noted that rows of the book are refused again and again; recorded: of rows that are computed
    again, which were given up.
    """

    def __init__(self, opened: BookOpened, refused: Refused, recorded: RecordedGaps) -> None:
        self.name = opened.book
        self.extractor = MarketFeatureExtractor(opened.config.stale_after, opened.config.most_ahead)
        self.live = opened.config.closing == "timed"
        self.classifier = MarketRegimeClassifier()
        self.ticks: Source[Ticks] = Source()
        self.seen = Seen()
        self._refusals = refused
        self._noted = 0  # rows below are in `seen`, also where they are not worked off yet
        self._given_up = 0  # missing rows below are not waited for
        self._recorded = recorded if self.live else RecordedGaps()

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
            **self.seen.save(),
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
        self.seen = Seen(saved)
        self._recorded = RecordedGaps(saved["taken"], int(saved["seen"][TIME]))

    def begin(self, opened: BookOpened) -> Sequence[Event]:
        """The opening itself: the other stages learn the settings of the book from it."""
        return (opened,)

    def receive(self, event: Event) -> Sequence[Event]:
        """Keep ticks; returns a dead letter for rows that came too late, or that are none of this series."""
        if not isinstance(event, Ticks):
            return ()
        if int(event.seq[-1]) > self.ticks.covers + FARTHEST_ROWS:
            why = f"book {self.name} is at seq {self.ticks.covers}: seq {event.last} is too far ahead"
            return (letter(event, why),)
        letters = [] if event.first >= self.ticks.covers else self._judge(event)
        kept = self._recorded.without(event) if self._recorded else event
        if kept is not event:
            letters.append(self._late(event))
        if kept is not None:
            self.ticks.add(kept)
        return letters

    def _late(self, rows: Ticks) -> DeadLetter:
        span = f"seq {rows.first}" if rows.first == rows.last else f"seq {rows.first} to {rows.last}"
        return letter(rows, f"{span} of book {self.name} came after missing rows had been given up")

    def _judge(self, rows: Ticks) -> list[Event]:
        """A dead letter where rows that came before are no copies of those."""
        n = self.ticks.covers
        for ready in self.ticks.ready_from(max(self._noted, self.ticks.next_seq)):
            self.seen.keep(ready)
        self._noted = n
        old = cut(rows, 0, int(np.searchsorted(rows.seq, n)))
        if self.seen.late(old):
            return [self._late(old)]
        if not self.seen.others(old, n):
            return []
        why = (
            f"seq {old.first} of book {self.name} came again with another time or price, and the book is at seq {n}: a "
            "feed that starts again goes on after the last seq on the topic, or opens a book of another name"
        )
        return [letter(rows, why)] if self._refusals.add(self.name, Trouble("feed_restarted", why)) else []

    @property
    def hole(self) -> Hole | None:
        """The next rows of a timed book, where they are missing and later ones are there; None otherwise."""
        ticks = self.ticks
        if not self.live or not ticks.beyond or ticks.covers < self._given_up:
            return None
        return Hole(ticks.covers, ticks.first_beyond.first)

    def give_up(self, stop: int) -> None:
        """Go on without the rows below `stop` that are missing."""
        self._given_up = max(self._given_up, stop)

    def follow(self, rows: Decisions | Features) -> None:
        """Do without the rows again that published ones were made up for."""
        if self.live:
            self._recorded.follow(rows)

    def waits_for(self) -> tuple[str, ...]:
        """The ticks, where later rows are there than the next one."""
        return (TICKS.name,) if self.ticks.beyond else ()

    def lasting(self) -> Lasting | None:
        """A row that is missing for long: a lockstep book waits for it."""
        ticks = self.ticks
        if not ticks.beyond:
            return None
        why = (
            f"book {self.name} waits for seq {ticks.covers}, which is missing, though {ticks.beyond:,} later rows are "
            f"there: send it, or close the book"
        )
        return Lasting(ticks.covers, Trouble("hole", why))

    def ends(self) -> Mapping[str, Any]:
        """The first rows and the last one, by which copies are told from the rows of a book of the same name."""
        return self.seen.save_ends(self.ticks.next_seq)

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

        A hole is given up once too many rows lie beyond it, once the end of the book is known, or once the runner says
        so of a timed book.
        """
        ticks = self.ticks
        start = ticks.covers
        if ticks.beyond:
            after = ticks.first_beyond
            recorded = self._recorded.stop(start)
            if recorded > start:
                stop = min(after.first, recorded, start + MOST_BEYOND)
                self._recorded.forget(stop)
                return _gap(after, start, stop)
            if ticks.beyond <= MOST_BEYOND and last_seq is None and start >= self._given_up:
                return None
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
        if int(ticks.flags[0]) & GAP and not ticks.ts[0]:
            self.seen.give_up(ticks.first, ticks.last)
        else:
            self.seen.keep(ticks)
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
    """Ticks in, Features out; rows that never came are given up in the end and flagged.

    Its logic is `Gapped`: of a timed book, time decides how long a missing row is waited for.
    """

    upcasts = (
        as_new("refused.n", "refused.price"),
        as_new("seen.first_ts", "seen.first_price", "seen.ts", "seen.price", "seen.given_up"),
    )

    def __init__(self, snapshot: bytes | None) -> None:
        self._followed: dict[str, RecordedGaps] = {}  # of books that are not open yet
        super().__init__(snapshot)

    def new_book(self, opened: BookOpened) -> FeaturesBook:
        """A book at its first row, with the choices that were recorded of it."""
        return FeaturesBook(opened, self._refused, self._followed.pop(opened.book, RecordedGaps()))

    def late(self, event: Event) -> Sequence[Event]:
        """A dead letter for rows that are no copies of those of the closed book that had their name."""
        ends = self._ends.get(event.book)
        if not isinstance(event, Ticks) or ends is None:
            return ()
        stop = int(ends["next_seq"])
        if event.last < stop and not Seen.of_ends(ends).others(event, stop):
            return ()
        why = (
            f"book {event.book} is closed, and rows come that are none of it: a name is used once, so open a book of "
            "another name"
        )
        trouble = Trouble("name_used_again", why)
        return (letter(event, why),) if self._refused.add(event.book, trouble) else ()

    def follow(self, rows: Decisions | Features) -> None:
        """As `Following` says."""
        if rows.book in self._books:
            self._books[rows.book].follow(rows)
        elif rows.book not in self._closed:
            self._followed.setdefault(rows.book, RecordedGaps()).follow(rows)

    def holes(self) -> Mapping[str, Hole]:
        """As `Gapped` says; lockstep books wait."""
        found = {name: book.hole for name, book in self._books.items()}
        return {name: hole for name, hole in found.items() if hole is not None}

    def give_up(self, book: str, stop: int) -> None:
        """As `Gapped` says; of a book that is not open, nothing is given up."""
        state = self._books.get(book)
        if state is not None:
            state.give_up(stop)
            self._moved[book] = None
