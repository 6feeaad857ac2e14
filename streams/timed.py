"""Timed closing of rounds: a round does not wait for an agent that sleeps.

A round closes when every agent that is awake has answered, or when the runner says that the round was open for long
enough: then the agents that have not answered fall asleep. A sleeper is awake again once it has answered nearly all
rows that are closed. Until then its last target stands, with confidence 0.
"""

from collections.abc import Sequence

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.streams.choices import Recorded
from windvane.streams.events import Proposals
from windvane.streams.joining import Joint, Owned, Source, Step
from windvane.streams.topics import FEATURES, PROPOSALS

NEAR_ROWS = 32
"""A sleeper that is so near behind is waited for again once it has answered anything: answers take a moment, and where
nobody is awake, rounds close as fast as features come."""

Owners = Sequence[tuple[tuple[str, ...], Source[Proposals]] | None]


class TimedJoint(Joint):
    """Features joined with the proposals of the agents that are awake.

    recorded: of rows that are computed again, who slept; quorum_lag: rows of features after which the runner closes a
    round; awake: (N,) 1 or 0, and last: (N,) targets, as a snapshot has them, None of a new book.
    """

    def __init__(
        self,
        agents: Sequence[str],
        recorded: Recorded,
        quorum_lag: int,
        next_seq: int = 0,
        awake: Ints | None = None,
        last: Floats | None = None,
        *,
        keyed: bool = False,
    ) -> None:
        super().__init__(agents, next_seq, last, keyed=keyed)
        self.awake = np.ones(len(self.agents), np.int64) if awake is None else awake
        self._all_awake = bool(self.awake.all())
        self._recorded = recorded
        self._quorum_lag = quorum_lag
        self._slept = np.zeros(
            len(self.agents), np.int64
        )  # (N,) rows that a sleeper had answered when it fell asleep
        self._late = 0  # rounds below are closed without those who have not answered

    def close_rounds(self, stop: int) -> None:
        """Close the rounds below `stop` whose features are there, with the agents that have answered."""
        self._late = max(self._late, min(stop, self.features.covers))

    @property
    def open(self) -> tuple[int, int] | None:
        """Rounds that are open though their features are there, from (inclusive) and to (exclusive)."""
        start, stop = self.next_seq, self.features.covers
        if start >= stop:
            return None
        return (start, stop) if self._recorded.empty or self._recorded.at(start) is None else None

    def lacks(self) -> tuple[str, ...]:
        """Names of the topics that can bring the next row; () where its round is closed."""
        row = self.next_seq
        if self.features.covers <= row:
            return (FEATURES.name,)
        choice = self._recorded.at(row)
        if choice is None:
            near = self.features.covers <= row + self._quorum_lag  # more of them would close the round
            return (PROPOSALS.name, FEATURES.name) if near else (PROPOSALS.name,)
        awake = self.awake if choice.awake is None else choice.awake
        return (PROPOSALS.name,) if ((self._answered(self._owners()) <= row) & (awake != 0)).any() else ()

    def silent(self) -> tuple[str, ...]:
        """Names of the agents that are asleep."""
        awake = dict(zip(self.agents, self.awake.tolist(), strict=True))
        return tuple(agent for agent in self._waited_for if not awake[agent])

    def choose_awake(self) -> None:
        """Decide which agents the next row waits for. To be called before `ready`."""
        if self._usual is None or self.next_seq < self._late:
            self._choose_awake()
            if self.there is not None:
                self.awake = self.awake * self.there
            self._all_awake = bool(self.awake.all())

    @property
    def _usual(self) -> Source[Proposals] | None:
        """The only source of proposals, where it speaks for all agents, all are awake and no choice is recorded.

        So it is for nearly every row, which then needs no look at each agent.
        """
        if (
            self.there is not None
            or not self._all_awake
            or not self._recorded.empty
            or len(self._proposals) != 1
        ):
            return None
        return self._proposals.get(self.agents)

    def _choose_awake(self) -> None:
        row, answered = self.next_seq, self._answered(self._owners())
        choice = self._recorded.at(row) if row < self.features.covers else None
        if choice is not None:
            self.awake = np.ones(len(self.agents), np.int64) if choice.awake is None else choice.awake.copy()
            return
        self._wake(row, answered)
        if row < self._late:
            late = (self.awake != 0) & (answered <= row)
            self.awake[late] = 0
            self._slept[late] = answered[late]

    def ready(self) -> tuple[int, int]:
        """Rows start <= seq < stop whose rounds are closed with the agents that are awake; start >= stop: none is.

        It changes nothing: `choose_awake` does.
        """
        start, usual = self.next_seq, self._usual
        if self.features.covers <= start:
            return start, start
        if usual is not None:
            stop = min(self.features.covers, usual.answered)
            return start, usual.piece_end(self.features.piece_end(stop)) if stop > start else stop
        owners = self._owners()
        choice = self._recorded.at(start)
        stop = self.features.covers if choice is None else min(self.features.covers, choice.stop)
        answered = self._answered(owners)[self.awake != 0]
        stop = min(stop, int(answered.min())) if len(answered) else stop
        if stop > start:
            stop = self.features.piece_end(stop)
            for source in self._of_awake(owners).values():
                stop = source.piece_end(stop)
        return start, stop

    def pop(self, stop: int) -> Step:
        """Hand out the rows below `stop`; the last target of an agent that sleeps is repeated, with confidence 0."""
        usual = self._usual
        if usual is not None:
            step = self._joined(self.features.pop(stop), {self.agents: usual.pop(stop)}, None)
            return step._replace(awake=self.awake if step.awake is None else step.awake, answered=self.awake)
        awake = self._of_awake(self._owners())
        pieces = {names: source.pop(stop) for names, source in awake.items()}
        for source in self._proposals.values():
            source.drop(stop)
        return self._joined(self.features.pop(stop), pieces, self.awake)._replace(answered=self.awake)

    def _of_awake(self, owners: Owners) -> Owned:
        """Sources of the agents that are awake."""
        return {owner[0]: owner[1] for i, owner in enumerate(owners) if owner is not None and self.awake[i]}

    def _wake(self, start: int, answered: Ints) -> None:
        """Wait again for agents that have answered anything since they fell asleep, and nearly all rows so far."""
        near = (answered >= start - NEAR_ROWS) & (answered > self._slept)
        self.awake = np.where(near | (answered >= start), 1, self.awake)

    def _owners(self) -> Owners:
        """For every agent its source, and None while it has none."""
        named = (self._owner.get(agent) for agent in self.agents)
        return [None if names is None else (names, self._proposals[names]) for names in named]

    def _answered(self, owners: Owners) -> Ints:
        """Rows below have been answered by every agent, as far as is known; (N,)."""
        return np.array([0 if owner is None else owner[1].answered for owner in owners], np.int64)
