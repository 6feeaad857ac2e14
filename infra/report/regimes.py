"""What the regime classifier told over a run, beside the truth where the input has it."""

from typing import Any

import numpy as np

from windvane.agents.base import Ints
from windvane.infra.report.curves import Curves
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.regimes.classifier import shown_labels
from windvane.metamodel.regimes.scores import UNKNOWN, RegimeScores
from windvane.streams import events as ev


class RegimeTally:
    """Takes ticks before the decisions on them, both in order; holds the truth of rows not decided yet."""

    def __init__(self) -> None:
        self.scores = RegimeScores()
        self.label = np.zeros(0, np.int64)  # of every row of the last block
        self.shown = np.zeros(len(REGIMES), np.int64)  # good rows that showed each label
        self.curves = Curves({"posterior": "mean", "truth": "mean"})
        self._ahead: list[tuple[Ints, Ints]] = []  # seq and true regime

    def ticks(self, event: ev.Ticks) -> None:
        """Remember the truth of rows to come."""
        if event.regime is not None:
            self._ahead.append((event.seq, event.regime))

    def show(self, block: ev.Decisions) -> None:
        """Label of every row of the next rounds, from the first of the book on."""
        if block.regime is None:
            return
        self.label = shown_labels(block.regime, int(self.label[-1]) if len(self.label) else None)

    def decisions(self, block: ev.Decisions) -> None:
        """The next rounds past the warm-up: the last ones of those that were shown."""
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
        """(n,) true regime of rows, -1 where it is not known."""
        truth = np.full(len(seq), UNKNOWN, np.int64)
        if not self._ahead:
            return truth
        known, regime = (np.concatenate(part) for part in zip(*self._ahead, strict=True))
        place = np.minimum(np.searchsorted(known, seq), len(known) - 1)
        there = known[place] == seq
        truth[there] = regime[place[there]]
        rest = known > seq[-1]
        self._ahead = [(known[rest], regime[rest])] if rest.any() else []
        return truth

    def figures(self) -> dict[str, Any] | None:
        """What metrics.json says of regimes; None where no row of the input has a true one."""
        return self.scores.figures() if self.scores.scored else None
