"""What came late in a run, and what a replay with nobody late makes of the same ticks: sentences for people."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from windvane.infra.runs import journal
from windvane.infra.runs.compare import differences, rows_unlike
from windvane.streams.events import Decisions, LearnerUpdate

_MOST = 12
"""Learner versions that are told one by one, the last ones."""


def lateness(folder: Path) -> list[str]:
    """Which agents were late in which rows, and which learner versions; [] where nobody was."""
    due: dict[int, int] = {}  # by version, the row from which it could have been used
    used = 0
    versions: list[str] = []
    slept: dict[str, list[int]] = {}  # by agent, how many rows, and the first
    for _, event in journal.read(folder):
        if isinstance(event, LearnerUpdate):
            due[event.version] = event.effective_from
        elif isinstance(event, Decisions):
            for version in range(used + 1, int(event.learner[-1]) + 1):
                row = event.first + int(np.searchsorted(event.learner, version))
                behind = row - due.get(version, row)
                if behind > 0:
                    versions.append(
                        f"learner version {version} was used {behind:,} rows late, from row {row:,} on"
                    )
            used = max(used, int(event.learner[-1]))
            for agent, row in _asleep(event):
                slept.setdefault(agent, [0, row])[0] += 1
    sleepers = [f"{agent} was late in {n:,} rows, the first is {row:,}" for agent, (n, row) in slept.items()]
    return sleepers + versions[-_MOST:]


def _asleep(decisions: Decisions) -> Iterator[tuple[str, int]]:
    """Every agent that was late, with the row."""
    if decisions.awake is not None:
        for place, agent in np.argwhere(decisions.awake == 0).tolist():
            yield decisions.agents[agent], decisions.first + place


def compared(run: Path, lockstep: Path, *, whole: bool) -> list[str]:
    """How a run differs from its ticks with nobody late, and why. whole: as `differences` has it."""
    difference = differences(run, lockstep, whole=whole)
    if difference is None:
        return ["with nobody late every decision, order and fill is the same"]
    unlike, rows, first = rows_unlike(run, lockstep)
    told = [f"with nobody late {unlike:,} of {rows:,} rows are decided otherwise, the first is {first:,}"]
    for name, folder in (("in the run", run), ("with nobody late", lockstep)):
        last = _last(folder)
        if last is not None:
            told.append(
                f"{name}: equity {last.equity[-1]:,.2f}, position {last.position[-1]:+.4f} at the end"
            )
    return told + (lateness(run) or [f"nobody was late, and yet {difference}: another program computes here"])


def _last(folder: Path) -> Decisions | None:
    last = None
    for _, event in journal.read(folder):
        last = event if isinstance(event, Decisions) else last
    return last
