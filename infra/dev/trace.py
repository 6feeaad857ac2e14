"""How far one row walks: `python -m windvane.infra.dev.trace [AGENTS]` prints the files of a warm embedded tick.

The fewer files a row passes, and the less often it changes file, the sooner a newcomer has read its life. A call of a
compiled kernel counts as a call of its function; what the kernel calls in turn is not seen.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import numpy as np

from windvane.agents.factory import AGENTS
from windvane.infra.runs.warmup import warm_up
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.simulation.market import BAR, simulate
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookOpened, Ticks, cut

_WARM = WARMUP + 200
_MEASURED = 41
_HOME = Path(__file__).parents[2]


class Walk(NamedTuple):
    """The functions of this project that one row calls, in order, each with its file."""

    calls: tuple[tuple[str, str], ...]  # (file, function)

    @property
    def files(self) -> int:
        """How many different files they are in."""
        return len({file for file, _ in self.calls})

    @property
    def functions(self) -> int:
        """How many different functions they are."""
        return len(set(self.calls))

    @property
    def changes(self) -> int:
        """How often a call is in another file than the call before."""
        return sum(1 for _ in groupby(file for file, _ in self.calls)) - 1


def walk(agents: int) -> Walk:
    """The walk of a usual row, the median by changes of file of some dozens, with so many rule agents."""
    config = TradingConfig(interval=BAR, agents=tuple(AGENTS)[:agents])
    rows = _ticks(_WARM + _MEASURED)
    runner = EmbeddedRunner()
    runner.feed([BookOpened(book="book", config=config, digest=digest(config)), cut(rows, 0, _WARM)])
    walks = [_traced(runner, cut(rows, row, row + 1)) for row in range(_WARM, len(rows))]
    return sorted(walks, key=lambda one: one.changes)[len(walks) // 2]


def _ticks(rows: int) -> Ticks:
    market = simulate("standard", rows, 1)
    return Ticks(
        book="book",
        seq=np.arange(rows),
        ts=market.ts,
        flags=np.zeros(rows, np.int64),
        price=market.price,
        size=market.size,
        bid=market.bid,
        ask=market.ask,
    )


def _traced(runner: EmbeddedRunner, row: Ticks) -> Walk:
    calls: list[tuple[str, str]] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(_HOME):
            calls.append((str(path.relative_to(_HOME)), frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        runner.feed([row])
    finally:
        sys.setprofile(None)
    return Walk(tuple(calls))


def main(words: Sequence[str]) -> None:
    """Print the walk with the given number of agents, or with one."""
    parser = argparse.ArgumentParser(prog="trace", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("agents", nargs="?", type=int, default=1, choices=range(1, len(AGENTS) + 1))
    agents: int = parser.parse_args(words).agents
    warm_up()
    one = walk(agents)
    for file, calls in groupby(one.calls, key=lambda call: call[0]):
        sys.stdout.write(f"{file}: {', '.join(function for _, function in calls)}\n")
    sys.stdout.write(
        f"a warm embedded tick with {agents} agents: {one.functions} functions in {one.files} files, "
        f"{one.changes} changes of file\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
