"""The ensemble stage on one timed book, fed by hand."""

from functools import cache

from simulated_book import Table, config, controls, opening, plain_run, spoil, table, ticks
from windvane.agents.factory import RULES
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    Batch,
    BookClosed,
    BookOpened,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    cut,
    join,
)
from windvane.streams.proposals_stage import proposals_of

ROWS = 1300
NAMES = tuple(RULES)
FIRST, SECOND = NAMES[:3], NAMES[3:]
TIMED = opening(config(closing="timed", quorum_lag=100))
LOCKSTEP = opening(config())


@cache
def source() -> tuple[Features, Proposals, Proposals, tuple[LearnerUpdate, ...]]:
    """Features, what the two workers propose, and the learner updates."""
    seen = plain_run([LOCKSTEP, spoil(ticks(ROWS)), BookClosed(book="book", last=ROWS - 1)], controls())
    features = join([e for _, e in seen if isinstance(e, Features)])

    def worked(agents: tuple[str, ...]) -> Proposals:
        out = proposals_of(agents)(None).step([LOCKSTEP, features])
        return join([e for e in out if isinstance(e, Proposals)])

    return features, worked(FIRST), worked(SECOND), tuple(e for _, e in seen if isinstance(e, LearnerUpdate))


class Book:
    def __init__(self, opened: BookOpened = TIMED, snapshot: bytes | None = None) -> None:
        self.stage = EnsembleStage(snapshot)
        self.out: list[Event] = self.stage.step([opened])

    def add(self, *events: Event) -> "Book":
        self.out += self.stage.step(events)
        return self

    def features(self, start: int, stop: int) -> "Book":
        return self.add(cut(source()[0], start, stop))

    def first(self, start: int, stop: int) -> "Book":
        return self.add(cut(source()[1], start, stop))

    def second(self, start: int, stop: int) -> "Book":
        return self.add(cut(source()[2], start, stop))

    def close(self, stop: int) -> "Book":
        self.stage.close_rounds("book", stop)
        return self.add()

    @property
    def waiting(self) -> tuple[int, int] | None:
        rounds = self.stage.open_rounds().get("book")
        return None if rounds is None else (rounds.start, rounds.stop)

    @property
    def waits(self) -> set[str]:
        """Topics that can bring what the next row lacks."""
        lacking = self.stage.waiting().get("book")
        return set() if lacking is None else {*lacking.topics}

    @property
    def decided(self) -> Decisions:
        return join([e for e in self.out if isinstance(e, Decisions)])

    @property
    def rows(self) -> int:
        return sum(len(e) for e in self.out if isinstance(e, Decisions))

    def awake(self) -> list[tuple[bool, bool]]:
        """By row, whether the two workers' agents were awake; no worker's agents may differ."""
        mask = self.decided.awake
        assert mask is not None
        first, second = mask[:, : len(FIRST)], mask[:, len(FIRST) :]
        assert (first.min(axis=1) == first.max(axis=1)).all()
        assert (second.min(axis=1) == second.max(axis=1)).all()
        return list(zip(first[:, 0] > 0, second[:, 0] > 0, strict=True))

    def results(self) -> Table:
        return table(e for e in self.out if isinstance(e, Batch))


BOTH, ONE, NONE = (True, True), (True, False), (False, False)
