"""LiveBook: one timed book in this process, whose journal has what follows from a row before anybody is told."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from windvane.agents.roster import UNBOUND, Bindings
from windvane.infra.live.resuming import (
    Press,
    Pressed,
    Records,
    Stopped,
    check_same,
    go_on,
    told_before,
)
from windvane.infra.live.rows import Mark
from windvane.infra.live.saving import Saver
from windvane.infra.runs import journal
from windvane.infra.runs.backtest import clear_day
from windvane.infra.runs.kept import keeping
from windvane.infra.runs.learned import write_learned
from windvane.infra.runs.snapshots import SNAPSHOT, START, write_snapshot
from windvane.metamodel.base.times import DAY
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Fills,
    LearnerUpdate,
    Model,
    Orders,
    Ticks,
)
from windvane.streams.records import Fill, Order, each_fill, each_order
from windvane.streams.stage import Trainer
from windvane.streams.topics import DEAD_LETTERS, LEARNER, TICKS, Topic
from windvane.streams.topology import bound

_MOST_PRESSES = 1_000


class LiveBook:
    """A book's pipeline and journal. `rows` and `control` return when all that follows is written.

    The last decisions, order and fill are kept for whoever shows them, `letters` for whoever answers.
    """

    def __init__(
        self,
        folder: Path,
        opened: BookOpened,
        saver: Saver,
        trainer: Trainer | None = None,
        before: Stopped | None = None,
        keep_days: int = 0,
        watch: Callable[[Event], None] | None = None,
        bindings: Bindings = UNBOUND,
    ) -> None:
        """folder: of the journal; before: how an earlier session of this book was left, None of a new book; keep_days:
        so many days that are over are kept, 0: all; watch: gets every event, and first those of an earlier session;
        bindings: what makes the agents that are not built in.
        """
        self.opened = opened
        self.mark = Mark() if before is None else before.mark
        self.decisions: Decisions | None = None  # the last ones
        self.order: Order | None = None
        self.fill: Fill | None = None
        self.orders = 0  # of this process
        self.kept = 0  # trainings in a row whose result was refused
        self.letters: deque[DeadLetter] = deque(maxlen=1000)  # since the last control
        self.control_number = 0  # of the last control that was sent
        self.seconds = 0.0 if before is None else float(before.head["seconds"])  # that the pipeline took
        presses = () if before is None else before.presses
        self.presses = deque(
            presses, maxlen=_MOST_PRESSES
        )  # outcomes by nonce, in the journal with their rows
        self.press: Callable[[], Press] | None = None  # asked what became of one, once rows have obeyed it
        self.told: dict[str, Any] = {}  # what the session wants to find again in `before.head`
        self._folder = folder
        self._saver = saver
        self._keep_days = keep_days
        self._watch = watch
        self._keep = keeping(full=False)
        self._day: int | None = None  # of the rows in the file that is written to
        self._over = max(
            (part.name for part in journal.days(folder)), default=""
        )  # the last day that is over
        self._computed: Records | None = None if before is None else []  # again, of an earlier session
        state = None if before is None else before.state
        self._runner = EmbeddedRunner(
            self._listen, snapshot=state, topology=bound(bindings), trainer=trainer, waits=False
        )
        if before is None:
            self._writer = journal.JournalWriter(folder)
            self._runner.feed([opened])
            self._commit(self.mark)
        else:
            learned = self._go_on(before)
            self._writer = journal.JournalWriter(folder, before.at)
            if watch is not None:
                for event in (opened, *(told_before(folder) if before.at is not None else ())):
                    watch(event)
            if before.at is None:
                self._begin_file()
            for update in learned:
                self._writer.write(LEARNER, update)

    def _go_on(self, before: Stopped) -> list[LearnerUpdate]:
        """Compute the rows after the snapshot again; returns the versions that this came to and the journal lacks."""
        go_on(self._runner, before.tail)
        computed, self._computed = self._computed or [], None
        check_same(computed, before.tail, self._folder)
        numbers = [event.number for _, event in before.tail if isinstance(event, Control)]
        self.control_number = max([int(before.head["control"]), *numbers])
        last = self.decisions
        self._day = before.head["day"] if last is None else _day(int(last.ts[-1]))
        if self._day is not None and _name(self._day) <= self._over:
            self._day = None  # that day is over, and the next row begins another
        known = {event.version for _, event in before.tail if isinstance(event, LearnerUpdate)}
        updates = (event for _, event in computed if isinstance(event, LearnerUpdate))
        return [update for update in updates if update.version not in known]

    def rows(self, ticks: Sequence[Ticks], mark: Mark, letters: Sequence[DeadLetter] = ()) -> None:
        """Work off rows, and the letters of what was rejected before them. mark: where a restart goes on after them."""
        began = time.perf_counter()
        for letter in letters:
            self._listen(DEAD_LETTERS, letter)
        day = _day(int(ticks[0].ts[0])) if ticks else self._day
        if self._day is not None and day is not None and day > self._day:
            self._end_day(self._day)
        self._day = day if self._day is None else self._day
        for event in ticks:
            self._runner.feed([event])
        self.mark = mark
        self._commit(mark, self._pressed())
        self.seconds += time.perf_counter() - began

    def control(self, control: Control, model: Model | None = None) -> None:
        """Send a control, with the weights of a swap before it; it rules the next row."""
        self.letters.clear()
        self.control_number = control.number
        self._runner.control([control] if model is None else [model, control])

    @property
    def training(self) -> bool:
        """Whether a training is under way, for `settle`."""
        return self._runner.training

    def settle(self) -> None:
        """Hand on trainings that are done; returns at once where none is."""
        self._runner.pump()

    def begin_save(self, *, start: bool = False) -> Callable[[], None]:
        """Copy the state; what is returned brings journal and state to disk, in any thread.

        start: keep the state as that of the start of this day's file, too.
        """
        writer = self._writer
        head: dict[str, Any] = {
            "offset": writer.flush(),
            "after": self._over,
            "day": self._day,
            "mark": msgspec.to_builtins(self.mark),
            "control": self.control_number,
            "seconds": self.seconds,
            "presses": list(self.presses),
            **self.told,
        }
        state = self._runner.begin_snapshot()

        def save() -> None:
            raw = state()
            writer.bring_to_disk()
            if start:
                write_snapshot(self._folder / START, head, raw)
            write_snapshot(self._folder / SNAPSHOT, head, raw)

        return save

    def close(self) -> None:
        """Leave what was learned, close the book after its last row, and the journal, whose end a restart cuts off."""
        write_learned(self._folder.parent, self._runner, self.opened.book)
        self._runner.feed([BookClosed(book=self.opened.book, last=self.mark.seq - 1)])
        self._writer.close()

    def abandon(self) -> None:
        """Close the journal as it is, unless it is closed."""
        self._writer.close()

    def _listen(self, topic: Topic, event: Event) -> None:
        """Called by the runner with every event."""
        if isinstance(event, Decisions):
            self.decisions = event
        elif isinstance(event, Orders):
            *_, self.order = each_order(event, self.opened.config.symbol)
            self.orders += len(event)
        elif isinstance(event, Fills):
            *_, self.fill = (self.fill, *each_fill(event, self.opened.config.symbol))
        elif isinstance(event, LearnerUpdate):
            refused = event.outcome == "kept" and self.opened.config.weighing.retraining
            self.kept = self.kept + 1 if refused else 0
        elif isinstance(event, DeadLetter):
            self.letters.append(event)
        if self._computed is not None:
            self._computed.append((topic, event))
            return
        if self._keep(topic, event):
            self._writer.write(topic, event)
        if self._watch is not None:
            self._watch(event)

    def _pressed(self) -> Press | None:
        """What became of the press that these rows were made for, where they were made for one."""
        press, self.press = self.press, None
        if press is None:
            return None
        self.presses.append(press())
        return self.presses[-1]

    def _commit(self, mark: Mark, press: Press | None = None) -> None:
        """Rows up to here and what follows from them stay in the journal, whatever becomes of this process."""
        self.mark = mark
        told = mark if press is None else Pressed(mark.seq, mark.trade, mark.ts, mark.columns, press)
        self._writer.mark(msgspec.json.encode(told))
        self._writer.flush()

    def _end_day(self, day: int) -> None:
        """Put the file of a day that is over into a folder of its own, and begin the next one."""
        self._saver.wait()
        self._writer.close()
        folder = self._folder / _name(day)
        folder.mkdir(exist_ok=True)
        for name in (journal.FILE, START):
            if (self._folder / name).is_file():
                (self._folder / name).rename(folder / name)
        self._writer = journal.JournalWriter(self._folder)
        self._begin_file()
        self._day, self._over = None, folder.name
        self._saver.save(self.begin_save(start=True))
        self._forget_days()

    def _forget_days(self) -> None:
        """Remove the oldest days; what is left begins with the state that a replay needs."""
        parts = journal.parts(self._folder)
        spare = len(parts) - 1 - self._keep_days if self._keep_days else 0
        for place in range(spare):
            if (parts[place + 1] / START).is_file():
                clear_day(parts[place])

    def _begin_file(self) -> None:
        """Every file of a journal opens the book, which says nothing new to whoever knows it."""
        self._writer.write(TICKS, self.opened)
        self._commit(self.mark)


def _day(ts: int) -> int:
    """Days since 1970-01-01 of a row, which belongs to the day that it ends."""
    return (ts - 1) // DAY


def _name(day: int) -> str:
    return str(np.datetime64(day, "D"))
