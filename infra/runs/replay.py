"""The inputs of a journal sent through the pipeline again."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from windvane.agents.roster import foreign
from windvane.infra.runs import journal
from windvane.infra.runs.backtest import RUN, clear, opened_as, part, run_info
from windvane.infra.runs.files import replace_file
from windvane.infra.runs.kept import keeping
from windvane.infra.runs.snapshots import SNAPSHOT, START, RunError, read_snapshot
from windvane.metamodel.base.config import TradingConfig
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    Control,
    Decisions,
    Event,
    LearnerUpdate,
    Model,
    Proposals,
    Shadows,
    Ticks,
)
from windvane.streams.recorded import RecordedChoices, RecordedProposals, told_of, untrained
from windvane.streams.stage import Trainer
from windvane.streams.topics import DEAD_LETTERS, Topic


def replay(
    folder: Path,
    out: Path,
    *,
    wire: bool = False,
    full: bool = False,
    as_recorded: bool = False,
    trainer: Trainer | None = None,
    progress: Callable[[int], None] = lambda r: None,
) -> tuple[int, float, BookOpened]:
    """Send the inputs of a journal through the pipeline again, into OUT/journal; returns rows, seconds and the opening.

    Inputs are the events on ticks, models and control; all others are computed again, but for the proposals of agents
    that are not built in: a journal names no code, so these are played as they were recorded. as_recorded: with the
    choices that depended on time in the run and the versions learned in it; else as a backtest of the same ticks makes
    them. full: journal features and proposals too; trainer: needed where the book is retrained. Raises RunError where
    `out` holds another run, or the journal is cut short or lacks such proposals.
    """
    target = out / "journal"
    if (target / SNAPSHOT).is_file():
        raise RunError(f"{out} holds an unfinished run: choose another --out, or finish it first")
    if target.resolve() == folder.resolve():
        raise RunError(f"{out} holds the journal to replay: choose another --out")
    clear(target)
    opened: BookOpened | None = None
    rows, seconds, whole = 0, 0.0, False
    config = opened_as(folder)
    keep, unasked = keeping(full=full), foreign(config.shadows, config.kinds_of_shadows)
    with journal.JournalWriter(target) as writer:

        def listen(topic: Topic, event: Event) -> None:
            if keep(topic, event):
                writer.write(topic, event)

        runner = EmbeddedRunner(
            listen, wire=wire, snapshot=_start(folder), trainer=untrained if as_recorded else trainer
        )
        choices = _choices(folder, runner) if as_recorded else None
        proposals = _proposals(folder, runner)
        for topic, event in journal.read(folder):
            began = time.monotonic()
            if isinstance(event, BookOpened | Ticks | BookClosed) and topic.name == "ticks":
                opened = event if isinstance(event, BookOpened) else opened
                whole = isinstance(event, BookClosed)
                if choices is not None and isinstance(event, Ticks):
                    choices.follow(event.last)
                if isinstance(event, Ticks):
                    proposals.follow(event.last)
                runner.feed([event])
                rows += len(event) if isinstance(event, Ticks) else 0
            elif isinstance(event, Control | Model):
                runner.control([event])
            elif isinstance(event, Shadows):
                told = told_of(event, unasked)
                if told is not None:  # of shadows whose code nothing here may run
                    listen(topic, told)
            elif topic.name == DEAD_LETTERS.name and rows == 0:
                listen(topic, event)  # the reader wrote it: the pipeline itself finds all others again
            seconds += time.monotonic() - began
            progress(rows)
    if opened is None:
        raise RunError(f"{folder} opens no book: its run was stopped before the first row, run it again")
    info = run_info(folder)
    silent = proposals.silent_from(rows)
    if info["finished"] and silent and not as_recorded:
        raise RunError(f"{folder} {_lacks(silent)}: replay it --as-recorded, where they were late then")
    if info["finished"] and not whole:
        raise RunError(f"{folder} is cut short: its run was finished but its log is not, so run it again")
    replace_file(
        target / RUN,
        json.dumps(
            {**info, "seconds": seconds, "replay_of": str(folder), "computed_by": [part(0)]}, indent=2
        ).encode(),
    )
    return rows, seconds, opened


def played(config: TradingConfig) -> str:
    """Which agents a replay does not ask, in a sentence; "" where it asks all."""
    names = (*config.agents, *config.shadows)
    kinds = dict(zip(names, (*config.kinds_of_agents, *config.kinds_of_shadows), strict=True))
    versions = (
        *(config.versions or ("",) * len(config.agents)),
        *(config.shadow_versions or ("",) * len(config.shadows)),
    )
    told = [
        f"{name} ({kinds[name]}, version {version or 'unknown'})"
        for name, version in zip(names, versions, strict=True)
        if name in foreign(kinds, kinds.values())
    ]
    if not told:
        return ""
    who = ", ".join(told)
    return f"what {who} proposed is played as it was recorded: a journal names no code, so none of it runs"


def _lacks(silent: Mapping[str, int]) -> str:
    """Which proposals a journal lacks, in words."""
    return "lacks " + ", ".join(f"what {agent} proposed from row {row:,} on" for agent, row in silent.items())


def _proposals(folder: Path, runner: EmbeddedRunner) -> RecordedProposals:
    """What a journal has of agents that are not built in, read along in a pass of its own."""
    config = opened_as(folder)
    events = (event for _, event in journal.read(folder) if isinstance(event, Proposals))
    return RecordedProposals(foreign(config.agents, config.kinds_of_agents), events, runner)


def _start(folder: Path) -> bytes | None:
    """The state before the first row of a journal whose first days were removed; None where it has its first row."""
    path = journal.parts(folder)[0] / START
    state: bytes | None = read_snapshot(path)["state"] if path.is_file() else None
    return state


def _choices(folder: Path, runner: EmbeddedRunner) -> RecordedChoices:
    """The choices in a journal, each kind read along in a pass of its own."""
    decisions = (event for _, event in journal.read(folder) if isinstance(event, Decisions))
    updates = (event for _, event in journal.read(folder) if isinstance(event, LearnerUpdate))
    return RecordedChoices(decisions, updates, runner)
