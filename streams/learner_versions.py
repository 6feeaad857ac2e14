"""Which learner version the rows of one book are decided with.

A lockstep book waits for the version that is due at a row. A timed book uses a version from the first row that is
decided once it has come.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from windvane.streams.choices import Choice
from windvane.streams.events import LearnerUpdate


class LearnerVersions:
    """Versions of one book in order. timed: whether the book is; saved: what `save` returned, None of a new book."""

    def __init__(self, *, timed: bool, saved: Mapping[str, Any] | None = None) -> None:
        self.due: list[int] = []  # lockstep: rows that must not be passed before the next version is known
        self.updates: dict[int, LearnerUpdate] = {}  # by version, known and not in use yet
        self.used = 0  # version in use, 0 before the first
        self._timed = timed
        if saved is not None:
            self.due = list(saved["due"])
            updates = [msgspec.convert(update, LearnerUpdate) for update in saved["updates"]]
            self.updates = {update.version: update for update in updates}
            self.used = saved["version"]

    def save(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "due": self.due,
            "updates": [msgspec.to_builtins(update) for update in self.updates.values()],
            "version": self.used,
        }

    def expects(self, update: LearnerUpdate) -> bool:
        """Whether a version is new: the first update of every version counts."""
        return update.version > self.used and update.version not in self.updates

    def use(self, row: int, choice: Choice | None) -> LearnerUpdate | None:
        """The next version, in use from `row` on; None where that is not due. To be called until it returns None.

        choice: what was chosen for the row, where that is recorded.
        """
        update = self.updates.get(self.used + 1)
        if update is None:
            return None
        if not self._timed:
            wanted = bool(self.due) and self.due[0] == row
        elif choice is not None:
            wanted = self.used < choice.learner
        else:
            wanted = update.effective_from <= row
        if not wanted:
            return None
        if not self._timed:
            self.due.pop(0)
        self.used = update.version
        return self.updates.pop(update.version)

    def limit(self, row: int, stop: int, choice: Choice | None) -> int:
        """Seq below which the step that begins at `row` must end, at most `stop`; `row` itself means to wait.

        All rows of a step are decided with one version.
        """
        if not self._timed:
            return min(stop, self.due[0]) if self.due else stop
        if choice is not None:
            return min(stop, choice.stop) if self.used >= choice.learner else row
        update = self.updates.get(self.used + 1)
        return stop if update is None else min(stop, update.effective_from)
