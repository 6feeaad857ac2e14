"""A run on one machine: ticks go through the embedded pipeline into a journal, of which files for people are made.

FOLDER/journal holds events.wvj (the log), snapshot.wvs (the state of all stages at an offset of the log) and run.json
(what was run on what). After a crash or Ctrl-C the same call goes on from the last snapshot.
"""

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windvane.agents.kernel import this_program
from windvane.agents.program import FIRST, Program
from windvane.agents.roster import Bindings
from windvane.infra.files.market_data import MarketData
from windvane.infra.runs import journal
from windvane.infra.runs.files import replace_file
from windvane.infra.runs.kept import keeping
from windvane.infra.runs.learned import LEARNED, write_learned
from windvane.infra.runs.snapshots import SNAPSHOT, START, RunError, read_snapshot, write_snapshot
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, BookOpened, Control, Event, Model
from windvane.streams.stage import Trainer
from windvane.streams.topics import DEAD_LETTERS, Topic
from windvane.streams.topology import bound

SNAPSHOT_SECONDS = 5.0
RUN = "run.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    book: str
    config: TradingConfig
    preset: str
    batch: int = 4096  # rows a step; no result depends on it
    wire: bool = False  # send every event through its bytes
    full: bool = False  # write features and proposals to the journal, too
    controls: tuple[Control | Model, ...] = ()  # a model before the control that names it
    snapshot_seconds: float = SNAPSHOT_SECONDS
    bindings: Bindings = field(default_factory=dict)  # what makes the agents that are not built in


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to."""

    rows: int  # worked off so far
    seconds: float  # spent on them
    resumed: int  # rows that an unfinished run before had worked off
    finished: bool
    before: Program | None = None  # which had computed the resumed rows, where it was another program


def identity(plan: Plan, market: MarketData) -> dict[str, Any]:
    """What run.json must say so that the journal beside it is of this plan and market."""
    return {
        "book": plan.book,
        "config": digest(plan.config),
        "ticks": market.digest(),
        "controls": [
            [c.number, c.action, c.effective_from, *([c.model] if c.model else ())]
            for c in plan.controls
            if isinstance(c, Control)
        ],
        "full": plan.full,
    }


def run(
    plan: Plan,
    market: MarketData,
    out: Path,
    *,
    trainer: Trainer | None = None,
    progress: Callable[[int], None] = lambda rows: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Result:
    """Run a plan on a market, or go on with its unfinished run in `out`.

    trainer: needed where the plan's book is retrained; progress: called with the rows done; stopping: asked after each
    batch. Raises RunError where `out` holds an unfinished run of something else.
    """
    folder, key = out / "journal", identity(plan, market)
    seconds = _finished(out, key)
    if seconds is not None:
        return Result(len(market.columns), seconds, 0, True)
    before = _unfinished(folder, key)
    if before is None:
        clear(folder)
        for old in ("metrics.json", LEARNED):
            (out / old).unlink(missing_ok=True)
        replace_file(
            folder / RUN, json.dumps({**key, "finished": False, **_new_info(plan, market)}, indent=2).encode()
        )
    rows = len(market.columns)
    done = 0 if before is None else int(before["rows"])
    other = None if before is None else handed_over(folder, done)
    spent = 0.0 if before is None else float(before["seconds"])
    resumed = done
    keep = keeping(full=plan.full)
    with journal.JournalWriter(folder, None if before is None else int(before["offset"])) as writer:

        def listen(topic: Topic, event: Event) -> None:
            if keep(topic, event):
                writer.write(topic, event)

        state = None if before is None else before["state"]
        runner = EmbeddedRunner(
            listen, wire=plan.wire, snapshot=state, topology=bound(plan.bindings), trainer=trainer
        )
        if before is None:
            runner.feed([BookOpened(book=plan.book, config=plan.config, digest=digest(plan.config))])
            for letter in market.dead_letters(plan.book):
                listen(DEAD_LETTERS, letter)
            runner.control(plan.controls)
        began = saved = time.monotonic()
        progress(done)
        while done < rows and not stopping():
            upto = min(done + plan.batch, rows)
            runner.feed([market.ticks(plan.book, done, upto)])
            done = upto
            now = time.monotonic()
            if now - saved > plan.snapshot_seconds:
                _save(folder, runner, writer, done, spent + now - began)
                saved = now
            progress(done)
        finished = done >= rows
        if finished:
            write_learned(out, runner, plan.book)
            runner.feed([BookClosed(book=plan.book, last=rows - 1)])
        seconds = spent + time.monotonic() - began
        _save(folder, runner, writer, done, seconds)
    if finished:
        info = json.loads((folder / RUN).read_bytes())
        replace_file(
            folder / RUN, json.dumps({**info, "finished": True, "seconds": seconds}, indent=2).encode()
        )
        (folder / SNAPSHOT).unlink()
    return Result(done, seconds, resumed, finished, other)


def clear(folder: Path) -> None:
    """Make a folder ready for a new journal; only files of an older journal are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in journal.days(folder):
        clear_day(part)
    for name in (RUN, SNAPSHOT, START, journal.FILE):
        (folder / name).unlink(missing_ok=True)


def clear_day(folder: Path) -> None:
    """Remove the files of a day of a journal, and its folder where it holds nothing else."""
    for name in (START, journal.FILE):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _new_info(plan: Plan, market: MarketData) -> dict[str, Any]:
    """What run.json says of a run that begins, beside its identity."""
    return {
        "preset": plan.preset,
        "file": market.file,
        "kind": market.kind,
        "bars": market.bars,
        "rejected": market.rejected,
        "notes": list(market.notes),
        "computed_by": [part(0)],
    }


def part(row: int) -> dict[str, Any]:
    """The entry of run.json's `computed_by` for this program, which computes from this row on."""
    program = this_program()
    return {"from_row": row, "version": program.version, "code": program.code}


def computed_by(info: dict[str, Any]) -> list[tuple[int, Program]]:
    """(first row, program) of every part of a journal; none of an export of topics, where nobody knows it."""
    if "computed_by" in info:
        return [(p["from_row"], Program(p["version"], p["code"])) for p in info["computed_by"]]
    return [(0, Program(FIRST, info["code"]))] if "code" in info else []  # 0.1.0 recorded its code alone


def handed_over(folder: Path, row: int) -> Program | None:
    """Record that this program computes from a row on; returns the program before it, None where it was this one."""
    info = run_info(folder)
    parts = computed_by(info)
    before = parts[-1][1] if parts else None
    if before is None or before.code == this_program().code:
        return None
    earlier = [{"from_row": at, "version": p.version, "code": p.code} for at, p in parts if at < row]
    replace_file(folder / RUN, json.dumps({**info, "computed_by": [*earlier, part(row)]}, indent=2).encode())
    return before


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Keep other runs away from `out` until the block ends; raises RunError where one writes to it already."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"another run is writing to {out}: wait for it, or choose another --out"
            ) from error
        yield


def _finished(out: Path, key: dict[str, Any]) -> float | None:
    """Seconds that a finished run of the same plan took, where only its report is missing; else None."""
    folder = out / "journal"
    if (out / "metrics.json").exists() or not (folder / RUN).is_file():
        return None
    info = run_info(folder)
    same = all(info.get(name) == value for name, value in key.items())
    return float(info["seconds"]) if same and info["finished"] else None


def _unfinished(folder: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """The snapshot of an unfinished run of the same plan; None where there is nothing to go on with."""
    if not (folder / RUN).is_file():
        return None
    info = run_info(folder)
    if info["finished"]:
        return None
    if not (folder / SNAPSHOT).is_file():
        return None  # the run ended before its first snapshot, so nothing is lost by a new one
    if any(info.get(name) != value for name, value in key.items()):
        raise RunError(
            f"{folder.parent} holds an unfinished run of other data or options: "
            f"choose another --out, or remove {folder} to give that run up"
        )
    return read_snapshot(folder / SNAPSHOT)


def _save(
    folder: Path, runner: EmbeddedRunner, writer: journal.JournalWriter, rows: int, seconds: float
) -> None:
    """Bring the journal to disk, and then the state that follows from it."""
    head = {"rows": rows, "seconds": seconds, "offset": writer.sync()}
    write_snapshot(folder / SNAPSHOT, head, runner.snapshot())


def run_info(folder: Path) -> dict[str, Any]:
    """The content of run.json, which says what was run; raises RunError where it cannot be read."""
    try:
        info = dict(json.loads((folder / RUN).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise RunError(f"{folder} has no readable {RUN}: it is not the journal of a run") from error
    if not {"finished", "file", "kind", "bars", "preset", "rejected", "notes", "full"} <= info.keys():
        raise RunError(f"{folder / RUN} is damaged: choose another --out, or remove {folder}")
    return info


def add_info(folder: Path, **told: Any) -> None:
    """Write further values into run.json."""
    replace_file(folder / RUN, json.dumps({**run_info(folder), **told}, indent=2).encode())


def opened_as(folder: Path) -> TradingConfig:
    """The settings that a journal's book was opened with; raises RunError where the journal opens none."""
    configs = (event.config for _, event in journal.read(folder) if isinstance(event, BookOpened))
    config = next(configs, None)
    if config is None:
        raise RunError(f"{folder} opens no book: its run was stopped before the first row, run it again")
    return config


def events(folder: Path) -> Iterator[Event]:
    """Yield all events of a journal in their order."""
    return (event for _, event in journal.read(folder))
