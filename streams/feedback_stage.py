"""Stage "feedback": scores every agent on what its own proposals would have earned, and says what learning came to.

It learns from features and proposals only, never from decisions, so every run of the same ticks learns the same.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from windvane.agents.base import Floats
from windvane.metamodel.base.upgrading import as_new
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.counterfactual import Counterfactual, Rows
from windvane.streams.book import Book, letter
from windvane.streams.books import BookStage
from windvane.streams.events import BookOpened, Event, Features, LearnerUpdate, Proposals, TrainResult
from windvane.streams.joining import Joint
from windvane.streams.retraining import Retraining, weights_of
from windvane.streams.schedule import Schedule


class FeedbackBook(Book):
    """Scores of one book since its last learner version, and versions that wait for their training."""

    def __init__(self, opened: BookOpened) -> None:
        config = opened.config
        self.name = opened.book
        self.config = config
        self.joint = self._new_joint()
        self.schedule = Schedule(config.weighing)
        self.scores = Counterfactual(
            len(config.agents), config.costs, config.capital, config.lot, config.weighing
        )
        self.retraining = Retraining(opened.book, config) if config.weighing.retraining else None
        self.results: list[TrainResult] = []

    def _new_joint(self, next_seq: int = 0, last: Floats | None = None) -> Joint:
        """What waits for nobody who may be silent for ever: a seat, and in a timed book a remote agent.

        Those are scored with nothing here; what they earn is learned by the ensemble alone.
        """
        config = self.config
        joint = Joint(config.agents, next_seq, last, keyed=config.keyed)
        outside = {*config.seats, *(config.remote_agents if config.closing == "timed" else ())}
        if outside:
            joint.there = np.array([agent not in outside for agent in config.agents], np.int64)
        return joint

    @property
    def next_seq(self) -> int:
        """As `Book` says."""
        return self.joint.next_seq

    def save(self) -> dict[str, Any]:
        """As `Book` says."""
        return {
            "taken": self.joint.next_seq,
            "last": self.joint.last,
            "good": self.schedule.good,
            **self.scores.state(),
            **({} if self.retraining is None else self.retraining.save()),
        }

    def load(self, saved: dict[str, Any]) -> None:
        """As `Book` says; the next step asks again for what was asked for before."""
        self.joint = self._new_joint(saved["taken"], saved["last"])
        self.schedule = Schedule(self.config.weighing, saved["good"])
        self.scores.restore(saved)
        if self.retraining is not None:
            self.retraining.restore(saved)

    def receive(self, event: Event) -> Sequence[Event]:
        """Keep rows, what trainings came to, and versions that are in the log."""
        if isinstance(event, Features | Proposals):
            why = self.joint.add(event)
            return (letter(event, why),) if why else ()
        if isinstance(event, TrainResult):
            self.results.append(event)
        elif isinstance(event, LearnerUpdate) and self.retraining is not None:
            self._adopt(self.retraining, event)
        return ()

    def _adopt(self, retraining: Retraining, update: LearnerUpdate) -> None:
        """Take a version from the log; one whose weights cannot be used counts as kept, as in the ensemble."""
        try:
            if update.outcome == "swapped":
                retraining.verify(weights_of(update))
        except WeightsError:
            update = msgspec.structs.replace(update, outcome="kept", weights="")
        retraining.adopt(update)

    @property
    def settled(self) -> bool:
        """Not while a version waits for its training: the ensemble may wait for that version."""
        return self.retraining is None or self.retraining.idle

    def waits_for(self) -> tuple[str, ...]:
        """The topics of the next row's sources."""
        return self.joint.lacks()

    def advance(self, last_seq: int | None) -> Sequence[Event]:
        """Score all rows that are there, unless too many versions wait for their training."""
        out: list[Event] = []
        if self.retraining is not None:
            results, self.results = self.results, []
            for result in (*results, None):
                out += self.retraining.step(result)
        while self.retraining is None or not self.retraining.full:
            start, stop = self.joint.ready()
            stop = min(stop, start + self.schedule.left)  # a step ends with the row that trains a version
            if stop <= start:
                break
            step = self.joint.pop(stop)
            rows = Rows.of(step.features, step.features.regime, step.target, step.awake)
            self.schedule.left -= self.scores.step(rows, 0, stop - start)
            if self.schedule.left == 0:
                out += self._train(stop - 1)
        return out

    def _train(self, seq: int) -> Sequence[Event]:
        """The version that row `seq` trains: the update itself, or the request where the book retrains."""
        samples, means = self.scores.harvest()
        update = LearnerUpdate(
            book=self.name,
            version=self.schedule.train(),
            trained_at=seq,
            effective_from=seq + self.schedule.lag,
            outcome="kept",
            samples=samples,
            agents=self.joint.agents,
            scores=tuple(np.asarray(means).tolist()),
        )
        if self.retraining is None:
            return (update,)
        self.retraining.add_draft(update, self.scores.samples())
        return [*self.retraining.step()]


class FeedbackStage(BookStage[FeedbackBook]):
    """Features, Proposals and the versions in the log in; LearnerUpdates out, one for every version.

    Where a book retrains, TrainRequests go to the runner's trainer, whose TrainResults come in like any event.
    """

    upcasts = (as_new("last"),)

    def new_book(self, opened: BookOpened) -> FeedbackBook:
        """A book at its first row."""
        return FeedbackBook(opened)
