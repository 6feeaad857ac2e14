"""A book of the ensemble stage: its state, and which learner version and control its next rows are decided with.

What was published with a row is chosen again for it. Otherwise a lockstep book waits for the learner version that is
due, and a timed book takes what is there.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np

from windvane.metamodel.base.upgrading import Saved
from windvane.metamodel.learning import swapping
from windvane.metamodel.trading.ensemble import Ensemble
from windvane.streams.choices import Choice, Recorded
from windvane.streams.control_log import ControlLog
from windvane.streams.events import BookOpened, Control, LearnerUpdate, Model
from windvane.streams.joining import Joint
from windvane.streams.models import bytes_of
from windvane.streams.retraining import weights_of
from windvane.streams.schedule import Schedule
from windvane.streams.timed import TimedJoint
from windvane.streams.topics import CONTROL, MODELS


class EnsembleBook:
    """State of a book between two steps."""

    def __init__(self, opened: BookOpened) -> None:
        self.name = opened.book
        self.config = opened.config
        self.ensemble = Ensemble(opened.config)
        self.recorded = Recorded()
        self.timed: TimedJoint | None = None
        self.joint = self._joint()
        self.schedule = Schedule(opened.config.weighing)
        self.due: list[int] = []  # rows that must not be passed before the next learner version is known
        self.updates: dict[int, LearnerUpdate] = {}  # known, not in effect yet
        self.version = 0
        self.controls: dict[int, Control] = {}  # known, not applied yet
        self.control = 0  # number of the last one applied
        self.control_row = -1  # seq it was applied at
        self.log = ControlLog()
        self.ordered: Control | None = None  # to be applied at the first row of the next step
        self.models: dict[tuple[int, str], bytes] = {}  # by number and SHA-256, for controls not applied yet
        self.before = b""  # what a roll-back takes a swap of the whole learner back with
        self._lacking: dict[int, int] = {}  # swaps whose model is not there, and the row when that was seen

    def _joint(self, taken: int = 0, saved: Mapping[str, Any] | None = None) -> Joint:
        config, saved = self.config, saved or {}
        if config.closing != "timed":
            return Joint(config.agents, taken)
        self.timed = TimedJoint(
            config.agents, self.recorded, config.quorum_lag, taken, saved.get("awake"), saved.get("last")
        )
        return self.timed

    def save(self) -> dict[str, Any]:
        """Its state as arrays and JSON values."""
        return {
            "taken": self.joint.taken,
            "good": self.schedule.good,
            "due": self.due,
            "updates": [msgspec.to_builtins(u) for u in self.updates.values()],
            "version": self.version,
            "controls": [msgspec.to_builtins(c) for c in self.controls.values()],
            "control": self.control,
            "control_row": self.control_row,
            **self.log.save(),
            "lacking": list(self._lacking.items()),
            "before": np.frombuffer(self.before, np.uint8),
            **{f"model.{n}.{sha}": np.frombuffer(raw, np.uint8) for (n, sha), raw in self.models.items()},
            **({} if self.timed is None else {"awake": self.timed.awake, "last": self.timed.last}),
            **self.ensemble.state(),
        }

    def load(self, saved: dict[str, Any]) -> None:
        """Go on from what `save` gave."""
        self.recorded = Recorded(saved["taken"])
        self.joint = self._joint(saved["taken"], saved)
        self.schedule.good = saved["good"]
        self.due = list(saved["due"])
        updates = [msgspec.convert(u, LearnerUpdate) for u in saved["updates"]]
        self.updates = {u.version: u for u in updates}
        self.version = saved["version"]
        controls = [msgspec.convert(c, Control) for c in saved["controls"]]
        self.controls = {c.number: c for c in controls}
        self.control, self.control_row = saved["control"], saved["control_row"]
        self.log = ControlLog(saved)
        self._lacking = dict(saved["lacking"])
        self.before = saved["before"].tobytes()
        for name in (name for name in saved if name.startswith("model.")):
            _, number, sha256 = name.split(".")
            self.models[int(number), sha256] = saved[name].tobytes()
        self.ensemble.restore(saved)

    def next_control(self) -> Control | None:
        """The control to apply next, one from one row: the first that is due, else the first there is.

        What is due passes an earlier order that is for later, and cancels it: a halt must not wait behind a resume
        that was planned for tomorrow.
        """
        numbers = sorted(n for n, c in self.controls.items() if self.ready(c))
        due = (n for n in numbers if self.controls[n].effective_from <= self.joint.taken)
        number = next(due, numbers[0] if numbers else None)
        return None if number is None else self.controls[number]

    def next_time(self) -> int | None:
        """The first row at which a control that is known is due, None where there is none."""
        return min((self.control_seq(c) for c in self.controls.values() if self.ready(c)), default=None)

    def hear(self, control: Control) -> str:
        """Keep a control for its row; gives why it is never applied, "" where it is kept or a copy."""
        why = self.log.hear(control)
        if why == "" and control.number <= self.control:
            return self.log.passed(control.number)
        if why == "":
            self.controls.setdefault(control.number, control)
        return why or ""

    def hold(self, model: Model) -> None:
        """Keep the weights of a control that is not applied yet; raises WeightsError where they are others."""
        if model.number > self.control:
            self.models.setdefault((model.number, model.sha256), bytes_of(model))

    def ready(self, control: Control) -> bool:
        """Whether a control can be applied: a swap whose model is not there yet is as if not there itself."""
        return control.action != "swap" or (control.number, control.model) in self.models

    def lacking(self) -> Iterator[Control]:
        """Swaps that rows were decided without, since their model is not there; each once."""
        for number, control in self.controls.items():
            seen = self._lacking.setdefault(number, self.joint.taken) if not self.ready(control) else -1
            if seen >= 0 and max(seen, control.effective_from) < self.joint.taken:
                self._lacking[number] = -1
                yield control

    def swap(self, control: Control) -> None:
        """Go on with the weights that a control names; raises WeightsError and keeps the old ones."""
        raw = self.models[control.number, control.model]
        self.before = swapping.swap(self.ensemble.manager, raw).before

    def roll_back(self) -> bool:
        """Go on with what was known before the last swap; gives whether there was one."""
        before, self.before = self.before, b""
        return swapping.take_back(self.ensemble.manager, before)

    def applied(self, control: Control, row: int) -> list[Control]:
        """A control rules from this row on; it and those before it are done with. Gives those that it passes."""
        passed = sorted(n for n in self.controls if n < control.number)
        given = [self.controls[n] for n in passed]
        self.log.obey(control.number, row)
        self.control, self.control_row = control.number, row
        self.controls = {n: c for n, c in self.controls.items() if n > control.number}
        self.models = {key: raw for key, raw in self.models.items() if key[0] > control.number}
        self._lacking = {n: row for n, row in self._lacking.items() if n > control.number}
        self.ordered = None
        return given

    def lacks(self) -> str:
        """Topic of the control, or of its model, that the next row was decided with and that is not here; else ""."""
        choice = self.recorded.at(self.joint.taken)
        if choice is None or choice.control <= self.control:
            return ""
        control = self.controls.get(choice.control)
        if control is None:  # or it is here, but not signed by a key that is believed
            return CONTROL.name
        return "" if self.ready(control) else MODELS.name

    def control_seq(self, control: Control) -> int:
        """The row a control is applied at: never in the past, one a row."""
        return max(control.effective_from, self.joint.taken, self.control_row + 1)


def upcast_v1_v2(saved: Saved, fresh: Saved) -> Saved:
    """0.2.0 knows whether the price is away from what accounts believe, and which controls it has heard of."""
    log = ControlLog()
    for control in saved["controls"]:
        log.hear(msgspec.convert(control, Control))
    return saved | {name: fresh[name] for name in ("clock.away", "lacking")} | log.save()


def barrier(state: EnsembleBook, start: int, stop: int) -> int:
    """How far the next step may go: one learner version and at most one control in it, at its first row."""
    choice = state.recorded.at(start)
    stop = _version(state, choice, start, stop)
    return _control(state, choice, start, stop)


def _version(state: EnsembleBook, choice: Choice | None, start: int, stop: int) -> int:
    """Use the learner version that row `start` is to be decided with; gives how far it holds, or `start`: wait.

    A lockstep book waits for a version that is due. A timed book uses it from the row at which it is there.
    """
    update = state.updates.get(state.version + 1)
    if state.timed is None:
        if state.due and state.due[0] == start and update is not None:
            state.due.pop(0)
            _use(state, update)
        if state.due:
            stop = min(stop, state.due[0])
        return min(
            stop, start + state.schedule.left
        )  # what trains a version ends its step: `due` is known in time
    while update is not None:
        wanted = state.version < choice.learner if choice is not None else update.effective_from <= start
        if not wanted:
            break
        _use(state, update)
        update = state.updates.get(state.version + 1)
    if choice is not None:
        return min(stop, choice.stop) if state.version >= choice.learner else start
    return stop if update is None else min(stop, update.effective_from)


def _use(state: EnsembleBook, update: LearnerUpdate) -> None:
    state.version = update.version
    del state.updates[update.version]
    if update.outcome == "swapped":
        state.ensemble.manager.swap_predictor(weights_of(update))
        state.before = b""


def _control(state: EnsembleBook, choice: Choice | None, start: int, stop: int) -> int:
    """Find what was ordered for row `start`; gives how far a step may go with it, or `start`: wait."""
    state.ordered = None
    if choice is not None:
        if choice.control > state.control:
            control = state.controls.get(choice.control)
            if control is None or not state.ready(control):
                return start
            state.ordered = control
        return min(stop, choice.stop)
    control, at = state.next_control(), state.next_time()
    if control is None or at is None:
        return stop
    if at > start:
        return min(stop, at)
    state.ordered = control
    return min(stop, start + 1)
