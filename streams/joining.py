"""Joining: rows of several sources in step, whatever the order, overlap and cut in which they arrive.

A source gives its rows once each, in order of seq: what overlaps is trimmed, what comes early is held. A stage
advances to the smallest seq that all its sources cover.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

import numpy as np

from windvane.streams.events import Batch, Features, Proposals, cut
from windvane.streams.topics import FEATURES, PROPOSALS

HELD_ROWS = 16_384
"""Rows held past a missing one before it is given up."""

B = TypeVar("B", bound=Batch)


def _first(batch: Batch) -> int:
    return batch.first


class Source(Generic[B]):
    """The rows of one topic and book, in order."""

    def __init__(self, taken: int = 0) -> None:
        self.taken = taken  # rows below have been given out
        self.covers = taken  # rows below have arrived without a gap, or are not waited for any more
        self.answered = 0  # rows below have arrived, as far as is known: never more than `covers`
        self._ready: deque[B] = deque()
        self._early: list[B] = []  # past a hole: by seq, no row twice
        self.held = 0  # rows in it

    def add(self, batch: B) -> None:
        """Take in rows; those seen before are dropped."""
        seq = batch.seq
        first, last = int(seq[0]), int(seq[-1])
        if first == self.covers and last - first + 1 == len(seq):  # nearly always: the next rows, whole
            self._ready.append(batch)
            self.covers = self.answered = last + 1
            if self._early:
                self._release()
            return
        if last - first + 1 != len(seq):
            breaks = np.flatnonzero(np.diff(batch.seq) != 1) + 1
            edges = [0, *breaks.tolist(), len(batch)]
            for start, stop in pairwise(edges):
                self.add(cut(batch, start, stop))
            return
        if batch.last < self.covers:
            self.answered = max(self.answered, batch.last + 1)
            return
        if batch.first > self.covers:
            self._hold(batch)
            return
        self._append(batch)
        self._release()

    def _hold(self, batch: B) -> None:
        """Keep the rows of a batch that are not held yet, in their places."""
        early, first, stop = self._early, batch.first, batch.last + 1
        place = bisect_right(early, first, key=_first)
        start = max(first, early[place - 1].last + 1) if place else first
        while start < stop:
            upto = min(stop, early[place].first) if place < len(early) else stop
            if upto > start:
                early.insert(place, cut(batch, start - first, upto - first))
                self.held += upto - start
                place += 1
            start = early[place].last + 1 if place < len(early) else stop
            place += 1

    def _release(self) -> None:
        """Take up what was held and is next now."""
        while self._early and self._early[0].first <= self.covers:
            early = self._early.pop(0)
            self.held -= len(early)
            if early.last >= self.covers:
                self._append(early)

    def _append(self, batch: B) -> None:
        self._ready.append(cut(batch, self.covers - batch.first, len(batch)))
        self.covers = self.answered = batch.last + 1

    @property
    def missing(self) -> tuple[int, int] | None:
        """The first hole, from (inclusive) and to (exclusive), where rows beyond it are held."""
        return (self.covers, self._early[0].first) if self._early else None

    @property
    def early(self) -> B:
        """The first batch held."""
        return self._early[0]

    @property
    def head(self) -> B:
        """The next rows, those of one batch; there must be some."""
        first = self._ready[0]
        return cut(first, self.taken - first.first, len(first))

    def end_of_piece(self, stop: int) -> int:
        """Where the piece that starts at `taken` ends: a batch's end, or `stop`."""
        return min(stop, self._ready[0].last + 1)

    def take(self, stop: int) -> B:
        """The rows from `taken` to `stop`, which must not pass the end of the piece."""
        head = self._ready[0]
        if head.first == self.taken and head.last + 1 == stop:
            self._ready.popleft()
            self.taken = stop
            return head
        piece = cut(head, self.taken - head.first, stop - head.first)
        self.drop(stop)
        return piece

    def drop(self, stop: int) -> None:
        """Forget rows below `stop`."""
        self.taken = max(self.taken, stop)
        if self.covers < self.taken:  # another source was followed past what this one has
            self.covers = self.taken
            self._release()
        while self._ready and self._ready[0].last < self.taken:
            self._ready.popleft()


class Step:
    """Rows of one step: features and the proposals of all agents of the book, aligned."""

    __slots__ = ("awake", "confidence", "features", "target")

    def __init__(
        self,
        features: Features,
        target: np.ndarray,
        confidence: np.ndarray,
        awake: np.ndarray | None = None,
    ) -> None:
        self.features = features
        self.target = target  # (n, N) in the order of the book's agents
        self.confidence = confidence  # (n, N)
        self.awake = awake  # (N,) 1 or 0; None: all


class Joint:
    """Features joined with the proposals of every agent of a book."""

    def __init__(self, agents: Sequence[str], taken: int = 0) -> None:
        self.agents = tuple(agents)
        self.features: Source[Features] = Source(taken)
        self._proposals: dict[tuple[str, ...], Source[Proposals]] = {}

    @property
    def taken(self) -> int:
        """Rows below have been given out."""
        return self.features.taken

    def add(self, batch: Features | Proposals) -> None:
        """Take in rows of either source."""
        if isinstance(batch, Features):
            self.features.add(batch)
            return
        if batch.agents not in self._proposals:
            self._proposals[batch.agents] = Source(self.features.taken)
        self._proposals[batch.agents].add(batch)

    @property
    def waits(self) -> str:
        """Name of the topic that the next row must come from, or nothing where it is there."""
        if self.features.covers <= self.features.taken:
            return FEATURES.name
        using = self._choose()
        there = using is not None and all(s.covers > self.features.taken for s in using.values())
        return "" if there else PROPOSALS.name

    def _choose(self) -> dict[tuple[str, ...], Source[Proposals]] | None:
        """For every agent the source that covers most; None while an agent has none."""
        if len(self._proposals) == 1 and self.agents in self._proposals:
            return self._proposals
        chosen: dict[tuple[str, ...], Source[Proposals]] = {}
        for agent in self.agents:
            sources = [(names, s) for names, s in self._proposals.items() if agent in names]
            if not sources:
                return None
            names, best = max(sources, key=lambda pair: pair[1].covers)
            chosen[names] = best
        return chosen

    def steps(self, barrier: Callable[[int, int], int]) -> Iterator[Step]:
        """All rows that every source covers; barrier(start, stop) says how far a step may go (start: wait)."""
        features = self.features
        while features.covers > features.taken:
            using = self._choose()
            if using is None:
                return
            start, stop = features.taken, features.covers
            for source in using.values():
                stop = min(stop, source.covers)
            if stop <= start:
                return
            stop = features.end_of_piece(stop)
            for source in using.values():
                stop = source.end_of_piece(stop)
            stop = barrier(start, stop)
            if stop <= start:
                return
            pieces = {names: source.take(stop) for names, source in using.items()}
            if len(using) < len(self._proposals):
                for source in self._proposals.values():
                    source.drop(stop)
            target, confidence = self._columns(pieces)
            yield Step(features.take(stop), target, confidence)

    def _columns(self, pieces: dict[tuple[str, ...], Proposals]) -> tuple[np.ndarray, np.ndarray]:
        """Targets and confidences (n, N) in the order of the book's agents."""
        if self.agents in pieces:
            whole = pieces[self.agents]
            return whole.target, whole.confidence
        owners = [next(p for names, p in pieces.items() if agent in names) for agent in self.agents]
        places = [(p, p.agents.index(a)) for p, a in zip(owners, self.agents, strict=True)]
        return (
            np.column_stack([p.target[:, i] for p, i in places]),
            np.column_stack([p.confidence[:, i] for p, i in places]),
        )
