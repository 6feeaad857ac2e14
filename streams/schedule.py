"""When slow learning happens: version m is trained once good row m T is there, and is used `learner_lag` rows later.

Every stage finds these rows by counting good rows itself, so the schedule needs no message.
"""

from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.learning.members.contextual import HORIZON


class Schedule:
    """Counts down to the good row that trains the next version. good: how many there were before.

    Who works off rows takes the good ones among them from `left`, and calls `train` once nothing is left. Of at most
    `left` rows none but the last can be the one that trains.
    """

    def __init__(self, config: WeighingConfig, good: int = 0) -> None:
        self.every = HORIZON * config.meta_training_frequency
        self.lag = config.learner_lag  # rows from the one that trains a version to the first that uses it
        self.left = self.every - good % self.every  # good rows up to the next that trains, that one included
        self._trained = good // self.every  # versions so far

    @property
    def good(self) -> int:
        """Good rows so far."""
        return (self._trained + 1) * self.every - self.left

    def train(self) -> int:
        """The number of the version that the last row trains; the countdown begins anew."""
        self._trained += 1
        self.left = self.every
        return self._trained
