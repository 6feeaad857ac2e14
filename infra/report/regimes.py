"""Counts which regimes the classifier showed during a run, and scores them where the input has the true ones."""

from typing import Any

import numpy as np

from windvane.agents.base import Ints
from windvane.infra.report.curves import Curves
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.regimes.classifier import shown_labels
from windvane.metamodel.regimes.scores import UNKNOWN, RegimeScores
from windvane.streams import events as ev


class RegimeTally:
    """Counts and scores of the regime labels of one book.

    It is fed the book's events in order. Ticks come before the decisions on them, so it keeps the true regimes of rows
    that are not decided yet.
    """

    def __init__(self) -> None:
        self.scores = RegimeScores()
        self.label = np.zeros(0, np.int64)  # of every row of the last block
        self.shown = np.zeros(len(REGIMES), np.int64)  # good rows that showed each label
        self.curves = Curves({"posterior": "mean", "truth": "mean"})
        self._ahead: list[tuple[Ints, Ints]] = []  # seq and true regime

    def ticks(self, event: ev.Ticks) -> None:
        """Keep the true regimes of these rows, if the input has any, until the decisions on them come."""
        if event.regime is not None:
            self._ahead.append((event.seq, event.regime))

    def show(self, block: ev.Decisions) -> None:
        """Set `label` to the labels (n,) of the next decisions; call it for every block from the book's first on.

        Every label depends on the one before it, since the shown regime changes only when it is clear enough.
        """
        if block.regime is None:
            return
        self.label = shown_labels(block.regime, int(self.label[-1]) if len(self.label) else None)

    def decisions(self, block: ev.Decisions) -> None:
        """Count and score the next decisions after the warm-up; they are the last rows of the block last shown."""
        if block.regime is None:
            return
        truth = self._truth(block.seq)
        one_hot = (truth[:, None] == np.arange(len(REGIMES))).astype(np.float64)
        self.curves.add(block.ts, posterior=block.regime, truth=one_hot)
        good = (block.flags & ev.REPEATED) == 0
        label = self.label[len(self.label) - len(block) :][good]
        self.shown += np.bincount(label, minlength=len(REGIMES))
        self.scores.add(truth[good], label)

    def _truth(self, seq: Ints) -> Ints:
        """The true regimes (n,) of rows, -1 where unknown; the truth of these and earlier rows is then dropped."""
        truth = np.full(len(seq), UNKNOWN, np.int64)
        if not self._ahead:
            return truth
        known, regime = (np.concatenate(part) for part in zip(*self._ahead, strict=True))
        place = np.minimum(np.searchsorted(known, seq), len(known) - 1)
        matched = known[place] == seq
        truth[matched] = regime[place[matched]]
        rest = known > seq[-1]
        self._ahead = [(known[rest], regime[rest])] if rest.any() else []
        return truth

    def figures(self) -> dict[str, Any] | None:
        """Return the scores of the labels for metrics.json; None where no row of the input has a true regime."""
        return self.scores.figures() if self.scores.scored else None
