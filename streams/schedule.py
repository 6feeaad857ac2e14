"""When slow learning happens: version m is trained on what good row m T shows, and works `learner_lag` rows later.

Every stage finds these rows by counting good rows itself, so the schedule needs no message.
"""

import numpy as np

from windvane.agents.base import Ints
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.learning.members.contextual import HORIZON
from windvane.streams.events import REPEATED


class Schedule:
    """Counts good rows and tells which of them train a version."""

    def __init__(self, config: WeighingConfig, good: int = 0) -> None:
        self.every = HORIZON * config.meta_training_frequency
        self.lag = config.learner_lag
        self.good = good  # good rows so far

    @property
    def left(self) -> int:
        """Good rows from here to the one that trains the next version, that one included."""
        return self.every - self.good % self.every

    def advance(self, seq: Ints, flags: Ints) -> list[tuple[int, int]]:
        """Count rows (n,); gives (version, seq of good row version x T) for every version they train."""
        if len(flags) == 1:  # a live feed sends row by row
            fresh = int(flags[0]) & REPEATED == 0
            self.good += fresh
            fresh = fresh and self.good % self.every == 0
            return [(self.good // self.every, int(seq[0]))] if fresh else []
        rows = np.flatnonzero((flags & REPEATED) == 0)
        before, self.good = self.good, self.good + len(rows)
        first = before // self.every + 1
        return [
            (version, int(seq[rows[version * self.every - before - 1]]))
            for version in range(first, self.good // self.every + 1)
        ]
