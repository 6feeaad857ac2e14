"""The controls of one book: which are known, which is applied next, at which row, and which model it needs.

A control rules from the row where it is applied on, one control a row. A swap counts as unknown until its model is
there, so no row waits for a model.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from windvane.streams.choices import Choice
from windvane.streams.control_log import ControlLog
from windvane.streams.events import Control, Model
from windvane.streams.models import bytes_of
from windvane.streams.topics import CONTROL, MODELS


class BookControls:
    """What people want of one book. saved: what `save` and `save_models` returned, None of a new book."""

    def __init__(self, saved: Mapping[str, Any] | None = None) -> None:
        self.known: dict[int, Control] = {}  # by number, not applied yet
        self.staged: dict[
            tuple[int, str], bytes
        ] = {}  # models by number and SHA-256, for controls not applied yet
        self.applied = 0  # number of the last one applied, 0 where none was
        self.applied_at = -1  # seq of the row that it was applied at
        self.action = ""  # what it said; "" also where 0.2.0 applied it
        self.log = ControlLog(saved)
        self._lacking: dict[
            int, int
        ] = {}  # by number of a swap, the row where its model lacked first; -1: reported
        if saved is not None:
            controls = [msgspec.convert(control, Control) for control in saved["controls"]]
            self.known = {control.number: control for control in controls}
            self.applied, self.applied_at = saved["control"], saved["control_row"]
            self.action = saved["control_action"]
            self._lacking = dict(saved["lacking"])
            for name in (name for name in saved if name.startswith("model.")):
                _, number, sha256 = name.split(".")
                self.staged[int(number), sha256] = saved[name].tobytes()

    def save(self) -> dict[str, Any]:
        """The state but for the models, as JSON values."""
        return {
            "controls": [msgspec.to_builtins(control) for control in self.known.values()],
            "control": self.applied,
            "control_row": self.applied_at,
            "control_action": self.action,
            **self.log.save(),
            "lacking": list(self._lacking.items()),
        }

    def save_models(self) -> dict[str, np.ndarray]:
        """The models as arrays of bytes by name."""
        return {
            f"model.{number}.{sha256}": np.frombuffer(raw, np.uint8)
            for (number, sha256), raw in self.staged.items()
        }

    def receive(self, control: Control) -> str:
        """Keep a control for its row; returns why it will never be applied, "" where it is kept or is a copy."""
        why = self.log.hear(control)
        if why == "" and control.number <= self.applied:
            return self.log.passed(control.number)
        if why == "":
            self.known.setdefault(control.number, control)
        return why or ""

    def stage(self, model: Model) -> None:
        """Keep the weights of a control that is not applied yet; raises WeightsError where they are other weights."""
        if model.number > self.applied:
            self.staged.setdefault((model.number, model.sha256), bytes_of(model))

    def ready(self, control: Control) -> bool:
        """Whether a control can be applied: a swap can once its model is there."""
        return control.action != "swap" or (control.number, control.model) in self.staged

    def control_seq(self, control: Control, row: int) -> int:
        """The row at which a control is applied if `row` is decided next: never in the past, one control a row."""
        return max(control.effective_from, row, self.applied_at + 1)

    def next_control(self, row: int) -> Control | None:
        """The control to apply next if `row` is decided next: the lowest number that is due, else the lowest number.

        A control that is due passes one with a lower number that is for later, and thereby cancels it: a halt must not
        wait behind a resume that was planned for tomorrow.
        """
        numbers = sorted(number for number, control in self.known.items() if self.ready(control))
        due = (number for number in numbers if self.known[number].effective_from <= row)
        number = next(due, numbers[0] if numbers else None)
        return None if number is None else self.known[number]

    def next_time(self, row: int) -> int | None:
        """The first row from `row` on at which any known control is due, None where there is none."""
        return min((self.control_seq(c, row) for c in self.known.values() if self.ready(c)), default=None)

    def at(self, row: int, choice: Choice | None) -> Control | None:
        """The control to apply at a row, None where there is none. choice: what was chosen, where that is recorded."""
        if choice is not None:
            return self.known[choice.control] if choice.control > self.applied else None
        due = self.next_time(row)
        return self.next_control(row) if due is not None and due <= row else None

    def limit(self, row: int, stop: int, choice: Choice | None) -> int:
        """Seq below which the step that begins at `row` must end, at most `stop`; `row` itself means to wait.

        A step has at most one control, at its first row. Only a recorded choice is waited for.
        """
        if choice is not None:
            return row if self.lacks(choice) else min(stop, choice.stop)
        due = self.next_time(row)
        if due is None:
            return stop
        return min(stop, due) if due > row else min(stop, row + 1)

    def lacks(self, choice: Choice) -> str:
        """Topic that must bring the control that was chosen, or its model; "" where both are there."""
        if choice.control <= self.applied:
            return ""
        control = self.known.get(choice.control)
        if control is None:  # or it is there, but not signed by a key that is believed
            return CONTROL.name
        return "" if self.ready(control) else MODELS.name

    def apply(self, control: Control, row: int) -> list[Control]:
        """A control rules from this row on; it and those before it are done with. Returns those that it passes."""
        passed = [self.known[number] for number in sorted(self.known) if number < control.number]
        self.log.obey(control.number, row)
        self.applied, self.applied_at, self.action = control.number, row, control.action
        self.known = {number: c for number, c in self.known.items() if number > control.number}
        self.staged = {key: raw for key, raw in self.staged.items() if key[0] > control.number}
        self._lacking = {number: at for number, at in self._lacking.items() if number > control.number}
        return passed

    def lacking(self, row: int) -> Iterator[Control]:
        """Swaps that rows below `row` were decided without since their model is not there, each swap once."""
        for number, control in self.known.items():
            seen = self._lacking.setdefault(number, row) if not self.ready(control) else -1
            if seen >= 0 and max(seen, control.effective_from) < row:
                self._lacking[number] = -1
                yield control
