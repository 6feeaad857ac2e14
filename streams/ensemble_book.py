"""A book of the ensemble stage: one round a row, of which come decisions, orders, fills and statements.

A row is decided with a learner version, with at most one new control, and in a timed book with the agents that are
awake. Where a row was published before, what was chosen for it then is chosen again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning import swapping
from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.control import CONTROLS, OF_SEATS
from windvane.metamodel.trading.ensemble import Ensemble, Round
from windvane.streams import ensemble_results as results
from windvane.streams.book import Book, letter
from windvane.streams.book_controls import BookControls
from windvane.streams.choices import Choice, Recorded
from windvane.streams.control_log import CLOSED, refusal, unapplied
from windvane.streams.events import (
    BENCHED,
    BookClosed,
    BookOpened,
    Control,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Model,
    Proposals,
)
from windvane.streams.joining import Joint, Step
from windvane.streams.learner_versions import LearnerVersions
from windvane.streams.retraining import weights_of
from windvane.streams.schedule import Schedule
from windvane.streams.seats import Seats
from windvane.streams.summaries import Trading, state_of
from windvane.streams.timed import TimedJoint
from windvane.streams.topics import CONTROL, LEARNER, MODELS, PROPOSALS
from windvane.streams.troubles import Lasting, Trouble


class EnsembleBook(Book):
    """State of a book between two steps, and what follows from its events."""

    def __init__(self, opened: BookOpened) -> None:
        self.opened = opened
        self.ensemble = Ensemble(opened.config)
        self.recorded = Recorded()
        self.seats = Seats(opened.config) if opened.config.seats else None
        self.timed: TimedJoint | None = None  # `joint`, where the book is timed
        self.joint = self._new_joint()
        self.schedule = Schedule(opened.config.weighing)
        self.versions = LearnerVersions(timed=self.timed is not None)
        self.controls = BookControls()
        self._replaced = b""  # what was learned before the last swap of the whole learner, for a roll-back
        self._models = ("", "")  # SHA-256 of the swapped-in weights in use, and before the last swap; "": own
        self._verdict: int | None = None  # of the last row, None before the first of this process

    def _new_joint(self, next_seq: int = 0, saved: Mapping[str, Any] | None = None) -> Joint:
        config, saved = self.opened.config, saved or {}
        if config.closing != "timed":
            return Joint(config.agents, next_seq, saved.get("last"), keyed=config.keyed)
        self.timed = TimedJoint(
            config.agents,
            self.recorded,
            config.quorum_lag,
            next_seq,
            saved.get("awake"),
            saved.get("last"),
            keyed=config.keyed,
        )
        return self.timed

    @property
    def next_seq(self) -> int:
        """As `Book` says."""
        return self.joint.next_seq

    def told(self) -> tuple[int, Trading]:
        """As `Book` says."""
        now, controls = self.ensemble.present, self.controls
        trading = Trading(
            state_of(now),
            controls.applied,
            controls.action,
            controls.applied_at,
            self.versions.used,
            self._models[0],
            now.position,
            now.equity,
            now.day,
            self._verdict,
        )
        return now.ts, trading

    def save(self) -> dict[str, Any]:
        """As `Book` says."""
        return {
            "taken": self.joint.next_seq,
            "good": self.schedule.good,
            **self.versions.save(),
            **self.controls.save(),
            "before": np.frombuffer(self._replaced, np.uint8),
            "models": list(self._models),
            **self.controls.save_models(),
            "last": self.joint.last,
            **({} if self.timed is None else {"awake": self.timed.awake}),
            **({} if self.seats is None else self.seats.save()),
            **self.ensemble.state(),
        }

    def load(self, saved: dict[str, Any]) -> None:
        """As `Book` says."""
        self.recorded = Recorded(saved["taken"])
        self.joint = self._new_joint(saved["taken"], saved)
        self.seats = Seats(self.opened.config, saved) if self.opened.config.seats else None
        self.schedule = Schedule(self.opened.config.weighing, saved["good"])
        self.versions = LearnerVersions(timed=self.timed is not None, saved=saved)
        self.controls = BookControls(saved)
        self._replaced = saved["before"].tobytes()
        self._models = saved["models"][0], saved["models"][1]
        self.ensemble.restore(saved)

    def receive(self, event: Event) -> Sequence[Event]:
        """Keep rows, learner versions, models and controls; the first of every number counts."""
        if isinstance(event, Features | Proposals):
            why = self.joint.add(event)
            return (letter(event, why),) if why else ()
        if isinstance(event, LearnerUpdate):
            return self._receive_update(event) if self.versions.expects(event) else ()
        if isinstance(event, Model):
            try:
                self.controls.stage(event)
            except WeightsError as error:
                why = f"model {event.number} of book {event.book} is left out: {error}"
                return (letter(event, why),)
        elif isinstance(event, Control):
            why = self.controls.receive(event)
            return (unapplied(event, why),) if why else ()
        return ()

    def _receive_update(self, update: LearnerUpdate) -> Sequence[Event]:
        """Keep a version; one whose weights cannot be used changes no weights, and has a dead letter."""
        letters: list[Event] = []
        if update.outcome == "swapped":
            try:
                self.ensemble.manager.check_predictor(weights_of(update))
            except WeightsError as error:
                why = f"learner version {update.version} of book {update.book} is kept: {error}"
                letters.append(letter(update, why))
                update = msgspec.structs.replace(update, outcome="kept", weights="")
        self.versions.updates[update.version] = update
        return letters

    def advance(self, last_seq: int | None) -> Sequence[Event]:
        """Rounds for all rows that are there, up to one that must wait for a learner version or a recorded choice."""
        out: list[Event] = []
        while True:
            if self.seats is not None:
                self.joint.there = self.seats.there(self._next_control(), self.next_seq)
            if self.timed is not None:
                self.timed.choose_awake()
            start, stop = self.joint.ready()
            if stop <= start:
                break
            choice = None if self.recorded.empty else self.recorded.at(start)
            if self.versions.updates:
                self._use_versions(start, choice)
            stop = self._limit(start, stop, choice)
            if stop <= start:
                break
            control = self.controls.at(start, choice) if self.controls.known else None
            out += self._round(self.joint.pop(stop), control)
        if self.controls.known:
            out += self._lacking_models()
        return out

    def _next_control(self) -> Control | None:
        """The control that will be applied at the next row, None where none will, or it is not here yet."""
        row = self.next_seq
        choice = None if self.recorded.empty else self.recorded.at(row)
        if choice is not None and self.controls.lacks(choice):
            return None
        return self.controls.at(row, choice)

    def _limit(self, start: int, stop: int, choice: Choice | None) -> int:
        """Seq below which the step that begins at `start` must end, `start` itself where the row must wait."""
        if self.timed is None:
            # A step ends with the row that trains a version, so that its row is in `due` before it is reached.
            stop = min(stop, start + self.schedule.left)
        if self.versions.due or self.versions.updates or choice is not None:
            stop = min(stop, self.versions.limit(start, stop, choice))
        if self.controls.known or choice is not None:
            stop = min(stop, self.controls.limit(start, stop, choice))
        return stop if self.seats is None else self.seats.limit(self._next_control(), start, stop)

    def _use_versions(self, row: int, choice: Choice | None) -> None:
        """Go on with the learner versions that are in use from a row on."""
        while (update := self.versions.use(row, choice)) is not None:
            if update.outcome == "swapped":
                self.ensemble.manager.swap_predictor(weights_of(update))
                self._replaced, self._models = b"", ("", self._models[0])

    def _round(self, step: Step, control: Control | None) -> list[Event]:
        """Decide rows, the first of them under a new control where there is one."""
        rows, codes = step.features, None
        out: list[Event] = []
        if control is not None:
            codes = np.zeros(len(rows), np.int64)
            codes[0] = CONTROLS.index(control.action) + 1
            out += self._apply(control, rows.first)
        awake = step.awake
        if self.seats is not None:
            weighed = self.seats.weighed(rows.first)
            awake = weighed if awake is None else awake * weighed
        optional: dict[str, Any] = {
            "bid": rows.bid,
            "ask": rows.ask,
            "size": rows.size,
            "regime": rows.regime,
            "control": codes,
            "awake": awake,
        }
        columns = {name: column for name, column in optional.items() if column is not None}
        result = self.ensemble.step(
            Inputs(rows.seq, rows.ts, rows.flags, rows.x, rows.mid, step.target, step.confidence, **columns)
        )
        if result.outputs.strayed.any():
            out += results.strays(self.opened, rows, result.outputs.strayed)
        self.schedule.left -= result.good
        if self.schedule.left == 0 and self.timed is None:
            self.schedule.train()
            self.versions.due.append(rows.last + self.schedule.lag)
        out.append(self._decisions(step, result))
        if result.orders:
            out.append(results.orders(self.opened, rows, result))
        if result.fills:
            out.append(results.fills(self.opened, rows, result))
        if result.statements:
            out.append(results.statements(self.opened, self.ensemble.accounts, result))
        return out

    def _decisions(self, step: Step, result: Round) -> Decisions:
        rows, out, n = step.features, result.outputs, len(step.target)
        self._verdict = int(out.verdict[-1])
        return Decisions(
            book=self.opened.book,
            seq=rows.seq,
            ts=rows.ts,
            flags=rows.flags if step.benched is None else rows.flags | BENCHED,
            mid=rows.mid,
            weights=out.weights,
            members=out.members,
            member_targets=out.member_targets,
            wanted=out.wanted,
            target=out.target,
            verdicts=out.verdict,
            state=out.state,
            position=out.position,
            equity=out.equity,
            equities=out.equities,
            learner=np.full(n, self.versions.used, np.int64),
            controls=np.full(n, self.controls.applied, np.int64),
            agents=self.opened.config.agents,
            accounts=self.ensemble.accounts,
            regime=rows.regime,
            awake=None if step.answered is None else np.tile(step.answered, (n, 1)),
            benched=None if step.benched is None else np.tile(step.benched, (n, 1)),
        )

    def _apply(self, control: Control, row: int) -> Iterator[Event]:
        """Apply a control; a dead letter where it cannot change what was learned, and for each one that it passes."""
        manager = self.ensemble.manager
        try:
            if control.action == "swap":
                raw = self.controls.staged[control.number, control.model]
                self._replaced = swapping.swap(manager, raw).before
                self._models = control.model, self._models[0]
            elif control.action in OF_SEATS:
                why = "the book has no seats" if self.seats is None else self.seats.refusal(control)
                if why:
                    yield refusal(
                        control, f"control {control.number} of book {control.book} changes nothing: {why}"
                    )
                elif self.seats is not None:
                    self.seats.obey(control, row)
            elif control.action == "roll-back":
                replaced, self._replaced = self._replaced, b""
                if swapping.take_back(manager, replaced):
                    self._models = self._models[1], ""
                else:
                    why = f"book {control.book} has no weights to roll back to: nothing is changed"
                    yield refusal(control, why)
        except WeightsError as error:
            why = f"control {control.number} of book {control.book} changes nothing: {error}"
            yield refusal(control, why)
        for passed in self.controls.apply(control, row):
            yield unapplied(passed, self.controls.log.passed(passed.number))

    def _lacking_models(self) -> Iterator[Event]:
        """A dead letter for each swap that rows were decided without since its model is not there."""
        for control in self.controls.lacking(self.joint.next_seq):
            yield refusal(
                control,
                f"control {control.number} of book {control.book} swaps to model {control.model[:16]}, which is not "
                "there: it waits, rows do not, and a later control passes it",
            )

    def end(self, closed: BookClosed) -> Sequence[Event]:
        """The statement of the unfinished day, and a dead letter for each control of a row that the book never had."""
        day = self.ensemble.close()
        statement = [] if day is None else [results.statements(self.opened, self.ensemble.accounts, day)]
        return [*statement, *(unapplied(control, CLOSED) for control in self.controls.known.values())]

    def waits_for(self) -> tuple[str, ...]:
        """Topics of the next row's sources; where those are complete, of the version or control that it needs."""
        row = self.joint.next_seq
        choice = None if self.recorded.empty else self.recorded.at(row)
        chosen = "" if choice is None else self.controls.lacks(choice)
        lacks = self.joint.lacks() or (LEARNER.name, CONTROL.name, MODELS.name)
        return (chosen, *lacks) if chosen else lacks

    def lasting(self) -> Lasting | None:
        """Agents whose proposals do not come: a lockstep book waits for them, a timed one goes on without."""
        timed = self.timed is not None
        silent = self.joint.silent()
        if not silent or (not timed and PROPOSALS.name not in self.joint.lacks()):
            return None
        name, remote = self.opened.book, self.opened.config.remote_agents
        effect = "is decided without them" if timed else f"waits at seq {self.joint.next_seq}"
        if len(silent) == len(self.joint.agents):
            effect = effect.replace("without them", "without any agent")
        here = [agent for agent in silent if agent not in remote]
        away = [agent for agent in silent if agent in remote]
        mend = [f"start `windvane worker proposals:{','.join(here)}`, or look at the worker that has them"]
        start = f"start what answers for {', '.join(away)} from elsewhere"
        todo = "; ".join([*(mend if here else ()), *([start] if away else ())])
        why = f"no worker proposes for agents {', '.join(silent)}, so book {name} {effect}: {todo}"
        return Lasting(-1 if timed else self.joint.next_seq, Trouble("no_proposals", why))
