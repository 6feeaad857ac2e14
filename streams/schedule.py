"""When slow learning happens: version m is trained once good row m T is there, and is used `learner_lag` rows later.

Every stage finds these rows by counting good rows itself, so the schedule needs no message.
"""

import numpy as np

from windvane.agents.base import Ints
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.learning.members.contextual import HORIZON
from windvane.streams.events import REPEATED


class Schedule:
    """Counts good rows, to say which of them train a version. good: how many there were before."""

    def __init__(self, config: WeighingConfig, good: int = 0) -> None:
        self.every = HORIZON * config.meta_training_frequency
        self.lag = config.learner_lag  # rows from the one that trains a version to the first that uses it
        self.good = good  # good rows so far
        self.left = (
            self.every - good % self.every
        )  # good rows up to the next one that trains, that one included

    def advance(self, seq: Ints, flags: Ints) -> list[tuple[int, int]]:
        """Count rows, both (n,); returns (version, seq of good row version x T) for every version that they train."""
        if len(flags) == 1:  # a live feed sends row by row
            fresh = int(flags[0]) & REPEATED == 0
            self.good += fresh
            self.left -= fresh
            if self.left:
                return []
            self.left = self.every
            return [(self.good // self.every, int(seq[0]))]
        rows = np.flatnonzero((flags & REPEATED) == 0)
        before, self.good = self.good, self.good + len(rows)
        self.left = self.every - self.good % self.every
        first = before // self.every + 1
        return [
            (version, int(seq[rows[version * self.every - before - 1]]))
            for version in range(first, self.good // self.every + 1)
        ]
