"""Joining: rows of several sources in step, whatever the order, overlap and cut in which they arrive.

A source hands out its rows once each, in order of seq. What overlaps is trimmed; rows beyond a hole are kept until the
hole is filled. A stage advances to the smallest seq that all of its sources cover.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.streams import answers
from windvane.streams.events import Batch, Features, Proposals, cut
from windvane.streams.topics import FEATURES, PROPOSALS

MOST_BEYOND = 16_384
"""Rows that are kept beyond a missing one before the missing one is given up."""

B = TypeVar("B", bound=Batch)


class _Ready(NamedTuple, Generic[B]):
    """Rows of one batch that can be handed out."""

    start: int  # seq of the first
    stop: int  # seq after the last
    batch: B


def _first(batch: Batch) -> int:
    return batch.first


class Source(Generic[B]):
    """The rows of one topic and book, in order."""

    def __init__(self, next_seq: int = 0) -> None:
        self.next_seq = next_seq  # rows below have been handed out
        self.covers = next_seq  # rows below have arrived without a hole, or are not waited for any more
        self.answered = 0  # rows below have arrived, as far as is known: never more than `covers`
        self.beyond = 0  # rows that are kept beyond a hole
        self._ready: deque[_Ready[B]] = deque()
        self._beyond: list[B] = []  # by seq, no row twice

    def add(self, batch: B) -> None:
        """Keep rows to be handed out; those that came before are dropped."""
        seq = batch.seq
        first, last = int(seq[0]), int(seq[-1])
        if first == self.covers and last - first + 1 == len(seq) and not self._beyond:  # nearly always
            self._ready.append(_Ready(first, last + 1, batch))
            self.covers = self.answered = last + 1
            return
        if last - first + 1 != len(seq):
            breaks = np.flatnonzero(np.diff(seq) != 1) + 1
            edges = [0, *breaks.tolist(), len(seq)]
            for start, stop in pairwise(edges):
                self.add(cut(batch, start, stop))
        elif last < self.covers:
            self.answered = max(self.answered, last + 1)
        elif first > self.covers:
            self._keep_beyond(batch)
        elif self._beyond:  # of rows that are there already, what came first counts
            self._keep_beyond(cut(batch, self.covers - first, len(batch)))
            self._release()
        else:
            self._append(batch)

    def _keep_beyond(self, batch: B) -> None:
        """Keep those rows of a batch beyond a hole that are not kept yet, in their places."""
        beyond, first, stop = self._beyond, batch.first, batch.last + 1
        place = bisect_right(beyond, first, key=_first)
        start = max(first, beyond[place - 1].last + 1) if place else first
        while start < stop:
            upto = min(stop, beyond[place].first) if place < len(beyond) else stop
            if upto > start:
                beyond.insert(place, cut(batch, start - first, upto - first))
                self.beyond += upto - start
                place += 1
            start = beyond[place].last + 1 if place < len(beyond) else stop
            place += 1

    def _release(self) -> None:
        """Make those rows ready that were beyond a hole and are the next ones now."""
        while self._beyond and self._beyond[0].first <= self.covers:
            batch = self._beyond.pop(0)
            self.beyond -= len(batch)
            if batch.last >= self.covers:
                self._append(batch)

    def _append(self, batch: B) -> None:
        """Make the rows of a batch ready that begins at or before the next row, and ends beyond it."""
        start, stop = self.covers, batch.last + 1
        self._ready.append(_Ready(start, stop, cut(batch, start - batch.first, len(batch))))
        self.covers = self.answered = stop

    @property
    def first_beyond(self) -> B:
        """The first batch beyond the hole that begins at `covers`; there must be one."""
        return self._beyond[0]

    @property
    def reached(self) -> int:
        """Seq after the highest row that has arrived, beyond holes too."""
        return self._beyond[-1].last + 1 if self._beyond else self.covers

    @property
    def head(self) -> B:
        """The next rows of one batch, which stay where they are; there must be some."""
        start, _, batch = self._ready[0]
        return cut(batch, self.next_seq - start, len(batch))

    def ready_from(self, seq: int) -> Iterator[B]:
        """The batches of rows that can be handed out and begin at `seq` or after it; they stay where they are."""
        return (ready.batch for ready in self._ready if ready.start >= seq)

    def piece_end(self, stop: int) -> int:
        """Seq after the rows that one `pop` can hand out: the end of a batch, or `stop` where that is sooner."""
        return min(stop, self._ready[0].stop)

    def pop(self, stop: int) -> B:
        """Hand out the rows below `stop`, which must not be more than `piece_end` says."""
        start, end, batch = self._ready[0]
        if start == self.next_seq and end == stop:
            self._ready.popleft()
            self.next_seq = stop
            return batch
        piece = cut(batch, self.next_seq - start, stop - start)
        self.drop(stop)
        return piece

    def pop_all(self) -> list[B]:
        """Hand out all rows that are ready, a batch each."""
        batches = []
        while self.covers > self.next_seq:
            batches.append(self.pop(self._ready[0].stop))
        return batches

    def mapped(self, change: Callable[[B], B]) -> "Source[B]":
        """A source in the same state with each batch changed, none of them in its rows."""
        other: Source[B] = Source(self.next_seq)
        other.covers, other.answered, other.beyond = self.covers, self.answered, self.beyond
        other._ready.extend(_Ready(r.start, r.stop, change(r.batch)) for r in self._ready)
        other._beyond.extend(map(change, self._beyond))
        return other

    def drop(self, stop: int) -> None:
        """Forget rows below `stop`."""
        self.next_seq = max(self.next_seq, stop)
        if self.covers < self.next_seq:  # another source was followed past what this one has
            self.covers = self.next_seq
            self._release()
        while self._ready and self._ready[0].stop <= self.next_seq:
            self._ready.popleft()


class Step(NamedTuple):
    """Rows of one step: features and the proposals of all agents of the book, aligned."""

    features: Features
    target: Floats  # (n, N) in the order of the book's agents; of one that is not awake its last target
    confidence: Floats  # (n, N)
    awake: Ints | None = None  # (N,) 1 or 0, whether an agent takes part in these rows; None: all
    answered: Ints | None = None  # (N,) of a timed book, 1 where the answer was in when the round closed
    benched: Ints | None = (
        None  # (N,) why an answer that is there cannot be used, 0 where it can; None: all can
    )


Owned = dict[tuple[str, ...], Source[Proposals]]
"""Sources of proposals by the agents that they speak for; no agent is in two of them."""


def _keep(source: Source[Proposals], batch: Proposals) -> None:
    """Judge answers and keep them, cut where other agents are benched."""
    for piece in answers.judged(batch):
        source.add(piece)


class Joint:
    """Features joined with the proposals of every agent of a book.

    Whoever speaks for an agent, of each of its rows the first answer on the topic counts. last: (N,) targets in the
    row before `next_seq`, None of a new book. keyed: whether answers count only where it is proven who sent them.
    """

    def __init__(
        self, agents: Sequence[str], next_seq: int = 0, last: Floats | None = None, *, keyed: bool = False
    ) -> None:
        self.agents = tuple(agents)
        self._keyed = keyed
        self.there: Ints | None = None  # (N,) 1 for an agent that rows wait for; None: for all
        self.features: Source[Features] = Source(next_seq)
        self.last = np.zeros(len(self.agents)) if last is None else last
        self._proposals: Owned = {}
        self._owner: dict[str, tuple[str, ...]] = {}  # by agent the key of its source

    @property
    def next_seq(self) -> int:
        """Rows below have been handed out."""
        return self.features.next_seq

    def add(self, batch: Features | Proposals) -> str:
        """Keep rows of either source; returns why they cannot be used, "" where they can."""
        if isinstance(batch, Features):
            self.features.add(batch)
            return ""
        if self._keyed and batch.unproven:
            return answers.unproven(batch)
        why = "" if batch.agents in self._proposals else answers.refusal(batch, self.agents)
        if why or not batch.agents:
            return why
        source = self._proposals.get(batch.agents)
        if source is None and not any(agent in self._owner for agent in batch.agents):
            source = self._own(batch.agents, Source(self.next_seq))
        if source is not None:
            _keep(source, batch)
            return ""
        for agent in batch.agents:
            owner = self._owner.get(agent)
            if owner is None:
                self._own((agent,), Source(self.next_seq))
            elif len(owner) > 1:
                self._take_apart(owner)
            _keep(self._proposals[agent,], answers.part_of(batch, (agent,)))
        return ""

    def _own(self, agents: tuple[str, ...], source: Source[Proposals]) -> Source[Proposals]:
        self._proposals[agents] = source
        self._owner |= dict.fromkeys(agents, agents)
        return source

    def _take_apart(self, owner: tuple[str, ...]) -> None:
        """Give each agent of a source one of its own: another record speaks for some of them only."""
        whole = self._proposals.pop(owner)
        for agent in owner:
            self._own((agent,), whole.mapped(partial(answers.part_of, agents=(agent,))))

    def lacks(self) -> tuple[str, ...]:
        """Names of the topics that can bring the next row; () where the row is complete."""
        row = self.features.next_seq
        if self.features.covers <= row:
            return (FEATURES.name,)
        sources = self._sources()
        complete = sources is not None and all(source.covers > row for source in sources.values())
        return () if complete else (PROPOSALS.name,)

    def silent(self) -> tuple[str, ...]:
        """Names of the agents that have not answered the next row."""
        row = self.features.next_seq
        answered = {
            agent for names, source in self._proposals.items() if source.covers > row for agent in names
        }
        return tuple(agent for agent in self._waited_for if agent not in answered)

    @property
    def _waited_for(self) -> Sequence[str]:
        """The agents that rows wait for."""
        if self.there is None:
            return self.agents
        return [agent for agent, there in zip(self.agents, self.there.tolist(), strict=True) if there]

    def _sources(self) -> Owned | None:
        """The sources of all agents that rows wait for; None while one has none."""
        if self.there is None:
            return self._proposals if len(self._owner) == len(self.agents) else None
        owners = [self._owner.get(agent) for agent in self._waited_for]
        return None if None in owners else {names: self._proposals[names] for names in owners if names}

    def ready(self) -> tuple[int, int]:
        """Rows start <= seq < stop that `pop` can hand out now; start >= stop where the next row lacks something.

        It changes nothing.
        """
        features, sources = self.features, self._sources()
        start, stop = features.next_seq, features.covers
        if sources is None or stop <= start:
            return start, start
        for source in sources.values():
            stop = min(stop, source.covers)
        if stop > start:
            stop = features.piece_end(stop)
            for source in sources.values():
                stop = source.piece_end(stop)
        return start, stop

    def pop(self, stop: int) -> Step:
        """Hand out the rows below `stop`, which must be above `next_seq` and not be more than `ready` says."""
        pieces = {names: source.pop(stop) for names, source in (self._sources() or {}).items()}
        if len(pieces) < len(self._proposals):
            for source in self._proposals.values():
                source.drop(stop)
        step = self._joined(self.features.pop(stop), pieces, self.there)
        return step if self.there is None else step._replace(answered=self.there)

    def _joined(
        self, rows: Features, pieces: Mapping[tuple[str, ...], Proposals], awake: Ints | None
    ) -> Step:
        """Rows and the pieces of proposals for them. Who is not awake, or benched, keeps its last target.

        awake: (N,) 1 or 0, None: all. Confidence is 0 beside a target that is kept.
        """
        whole = pieces.get(self.agents)
        if whole is not None and whole.benched is None and (awake is None or awake.all()):
            self.last = whole.target[-1].copy()
            return Step(rows, whole.target, whole.confidence, awake)
        n, count = len(rows), len(self.agents)
        target, confidence = np.tile(self.last, (n, 1)), np.zeros((n, count))
        benched = np.zeros(count, np.int64)
        for i, agent in enumerate(self.agents):
            if awake is not None and not awake[i]:
                continue
            piece = pieces[self._owner[agent]]
            place = piece.agents.index(agent)
            benched[i] = 0 if piece.benched is None else piece.benched[0, place]
            if benched[i] == 0:
                target[:, i], confidence[:, i] = piece.target[:, place], piece.confidence[:, place]
        self.last = target[-1].copy()
        if not benched.any():
            return Step(rows, target, confidence, awake)
        part = np.where(benched != 0, 0, 1 if awake is None else awake)
        return Step(rows, target, confidence, part, benched=benched)
