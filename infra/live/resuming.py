"""Where a session that was stopped, or killed, goes on: its last snapshot, and what its journal has after that."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from windvane.infra.live.rows import Mark
from windvane.infra.runs import journal
from windvane.infra.runs.snapshots import SNAPSHOT, RunError, read_snapshot
from windvane.streams.codec import to_packed
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Control, Decisions, Event, LearnerUpdate, Model, Proposals, Ticks
from windvane.streams.recorded import RecordedChoices, RecordedProposals
from windvane.streams.topics import DECISIONS, FILLS, ORDERS, STATEMENTS, Topic

RESULTS = (DECISIONS, ORDERS, FILLS, STATEMENTS)

Records = list[tuple[Topic, Event]]
Press = tuple[str, int, bool, int, str]
"""The nonce of a control, and the fields of its `Outcome`."""

_MOST_SHOWN = 8_000_000
"""Bytes of some 9,000 rows: six days of minutes."""


class Pressed(Mark, frozen=True):
    """A mark after rows that obeyed a control with a nonce."""

    press: Press | None = None


class Stopped(NamedTuple):
    """How a session was left. Rows whose mark the journal lacks were told to nobody, and are made again."""

    head: dict[str, Any]  # of the snapshot
    state: bytes
    tail: Records  # after the snapshot, up to the last mark
    mark: Mark
    at: (
        int | None
    )  # offset of the journal after it; what lies beyond is cut off; None: the file has nothing yet
    presses: list[Press]  # that were obeyed, the newest last


def stopped(folder: Path) -> Stopped | None:
    """How the session with this journal was left, None where it has no snapshot; raises RunError or JournalError."""
    if not (folder / SNAPSHOT).is_file():
        return None
    head = read_snapshot(folder / SNAPSHOT)
    state, mark, offset = head.pop("state"), msgspec.convert(head["mark"], Mark), int(head["offset"])
    parts = [part for part in journal.parts(folder) if part == folder or part.name > head["after"]]
    at = offset if parts == [folder] else None
    tail: Records = []
    waiting: Records = []
    presses: list[Press] = [tuple(press) for press in head.get("presses", ())]
    for part in parts:
        for end, topic, event, told in journal.records(part, offset):
            if topic is not None and event is not None:
                waiting.append((topic, event))
                continue
            tail += waiting
            pressed = msgspec.json.decode(told, type=Pressed)
            waiting, mark = [], Mark(pressed.seq, pressed.trade, pressed.ts, pressed.columns)
            presses += [pressed.press] if pressed.press else []
            at = end if part == folder else at
        offset = 0
    return Stopped(head, state, tail, mark, at, presses)


def told_before(folder: Path) -> Iterator[Event]:
    """What the journal of this day has, for whoever shows it; nothing of a file that takes seconds to read."""
    if (folder / journal.FILE).stat().st_size <= _MOST_SHOWN:
        yield from (event for _, _, event, _ in journal.records(folder) if event is not None)


def go_on(runner: EmbeddedRunner, tail: Records) -> None:
    """Send the inputs of a tail through a runner that has the snapshot, with the choices that time made then.

    What agents proposed whose code is not ours stands as it was recorded, since one may have hung at a row at which it
    does not hang again: of several answers the first counts.

    Raises RunError where the results are not those of the tail: then another program computes here.
    """
    choices = RecordedChoices(
        (event for _, event in tail if isinstance(event, Decisions)),
        (event for _, event in tail if isinstance(event, LearnerUpdate)),
        runner,
    )
    said = [event for _, event in tail if isinstance(event, Proposals)]
    proposals = RecordedProposals(sorted({name for one in said for name in one.agents}), said, runner)
    for _, event in tail:
        if isinstance(event, Ticks):
            choices.follow(event.last)
            proposals.follow(event.last)
            runner.feed([event])
        elif isinstance(event, Control | Model):
            runner.control([event])


def results(records: Records) -> list[bytes]:
    """The results among records, in their order, as bytes."""
    return [to_packed(event) for topic, event in records if topic in RESULTS]


def check_same(computed: Records, tail: Records, folder: Path) -> None:
    """Raises RunError where what was computed again is not what the journal has."""
    if results(computed) != results(tail):
        raise RunError(
            f"the rows after the last snapshot in {folder} come out otherwise than they were sent: go on once with the "
            "version that wrote them and stop it with Ctrl-C, or choose another --out"
        )
