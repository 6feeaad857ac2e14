"""Timed closing of rounds: a round does not wait for an agent that sleeps.

A round closes when every agent that is awake has answered, or when the runner says that it was waited for long enough:
then those who have not answered fall asleep. A sleeper is awake again once it has answered nearly all rows that are
closed. Until then its last target stands, with confidence 0.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.streams.choices import Recorded
from windvane.streams.events import Proposals
from windvane.streams.joining import Joint, Source, Step
from windvane.streams.topics import FEATURES, PROPOSALS

NEAR_ROWS = 32
"""A sleeper this near is waited for again once it has answered anything: answers take a moment, and where nobody is
awake, rounds close as fast as features come."""

Owners = Sequence[tuple[tuple[str, ...], Source[Proposals]] | None]


class TimedJoint(Joint):
    """Features joined with the proposals of the agents that are awake; recorded: rows whose sleepers are known."""

    def __init__(
        self,
        agents: Sequence[str],
        recorded: Recorded,
        quorum_lag: int,
        taken: int = 0,
        awake: Ints | None = None,
        last: Floats | None = None,
    ) -> None:
        super().__init__(agents, taken)
        self.awake = np.ones(len(self.agents), np.int64) if awake is None else awake
        self.last = (
            np.zeros(len(self.agents)) if last is None else last
        )  # (N,) targets in the last row given out
        self._recorded = recorded
        self._quorum_lag = quorum_lag
        self._slept = np.zeros(len(self.agents), np.int64)  # rows that a sleeper had answered
        self._late = 0  # rounds below are closed without those who have not answered

    def close(self, stop: int) -> None:
        """Close the rounds below `stop` whose features are there."""
        self._late = max(self._late, min(stop, self.features.covers))

    @property
    def open(self) -> tuple[int, int] | None:
        """Rounds that are open though their features are there, from (inclusive) and to (exclusive)."""
        start, stop = self.taken, self.features.covers
        return (start, stop) if start < stop and self._recorded.at(start) is None else None

    @property
    def lacks(self) -> tuple[str, ...]:
        """Names of the topics that the next row must come from; none where it is there."""
        start = self.taken
        if self.features.covers <= start:
            return (FEATURES.name,)
        choice = self._recorded.at(start)
        if choice is None:
            near = self.features.covers <= start + self._quorum_lag  # more of them would close the round
            return (PROPOSALS.name, FEATURES.name) if near else (PROPOSALS.name,)
        waited = self.awake if choice.awake is None else choice.awake
        return (PROPOSALS.name,) if ((self._answered(self._owners()) <= start) & (waited != 0)).any() else ()

    def steps(self, barrier: Callable[[int, int], int]) -> Iterator[Step]:
        """All rows whose rounds are closed, cut where somebody falls asleep or wakes."""
        features = self.features
        while features.covers > features.taken:
            start, owners = features.taken, self._owners()
            stop = features.end_of_piece(self._closed(start, self._answered(owners)))
            using = {
                owner[0]: owner[1] for i, owner in enumerate(owners) if owner is not None and self.awake[i]
            }
            for source in using.values():
                stop = min(stop, source.end_of_piece(stop)) if stop > start else stop
            if stop > start:
                stop = barrier(start, stop)
            if stop <= start:
                return
            pieces = {names: source.take(stop) for names, source in using.items()}
            for source in self._proposals.values():
                source.drop(stop)
            yield self._step(pieces, owners, stop)
        self._wake(features.taken, self._answered(self._owners()))

    def _closed(self, start: int, answered: Ints) -> int:
        """Decide who is awake at row `start`; gives how far the rounds are closed with the same agents."""
        choice = self._recorded.at(start)
        if choice is not None:
            self.awake = np.ones(len(self.agents), np.int64) if choice.awake is None else choice.awake.copy()
            stop = min(self.features.covers, choice.stop)
        else:
            self._wake(start, answered)
            if start < self._late:
                late = (self.awake != 0) & (answered <= start)
                self.awake[late] = 0
                self._slept[late] = answered[late]
            stop = self.features.covers
        waited = answered[self.awake != 0]
        return min(stop, int(waited.min())) if len(waited) else stop

    def _wake(self, start: int, answered: Ints) -> None:
        """Whoever has answered again, and nearly all rows below `start`, is waited for."""
        near = (answered >= start - NEAR_ROWS) & (answered > self._slept)
        self.awake = np.where(near | (answered >= start), 1, self.awake)

    def _owners(self) -> Owners:
        """For every agent the worker that has answered most, and None while it has none."""
        sources = list(self._proposals.items())
        if len(sources) == 1 and sources[0][0] == self.agents:
            return sources * len(self.agents)
        return [
            max((s for s in sources if agent in s[0]), key=lambda s: s[1].answered, default=None)
            for agent in self.agents
        ]

    def _answered(self, owners: Owners) -> Ints:
        """Rows below have been answered by every agent, as far as is known; (N,)."""
        return np.array([0 if owner is None else owner[1].answered for owner in owners], np.int64)

    def _step(self, pieces: dict[tuple[str, ...], Proposals], owners: Owners, stop: int) -> Step:
        """The next rows; a sleeper's last target is repeated."""
        rows = self.features.take(stop)
        awake = self.awake
        if len(pieces) == 1 and self.agents in pieces and awake.all():
            whole = pieces[self.agents]
            target, confidence = whole.target, whole.confidence
        else:
            target, confidence = np.empty((2, len(rows), len(self.agents)))
            for i, (agent, owner) in enumerate(zip(self.agents, owners, strict=True)):
                if awake[i] and owner is not None:
                    piece = pieces[owner[0]]
                    place = piece.agents.index(agent)
                    target[:, i], confidence[:, i] = piece.target[:, place], piece.confidence[:, place]
                else:
                    target[:, i], confidence[:, i] = self.last[i], 0.0
        self.last = target[-1].copy()
        return Step(rows, target, confidence, awake)
