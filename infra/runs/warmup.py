"""Every kernel is compiled, or loaded from the cache, before time counts.

Compiling takes a minute or more of one core, so where nothing is compiled yet a child compiles a third of it beside.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numba import config

from windvane.agents.factory import AGENTS
from windvane.agents.kernel import compiled_before, mark_compiled
from windvane.agents.state import FEATURES
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, BookOpened, Ticks

_ROWS = 8
_WEIGHING = "weighing"


def warm_up() -> None:
    """Send a few rows through a pipeline of all agents: kernels are compiled for types, which no setting changes."""
    with _weighing_beside():
        nine = TradingConfig(agents=tuple(AGENTS))
        runner = EmbeddedRunner()
        runner.feed([BookOpened(book="warm-up", config=nine, digest=digest(nine))])
        runner.feed(
            [
                Ticks(
                    book="warm-up",
                    seq=np.arange(_ROWS),
                    ts=np.arange(1, _ROWS + 1) * 1_000_000_000,
                    flags=np.zeros(_ROWS, np.int64),
                    price=np.linspace(100.0, 101.0, _ROWS),
                ),
                BookClosed(book="warm-up", last=_ROWS - 1),
            ]
        )
    warm_up_weighing()
    mark_compiled()


def warm_up_weighing() -> None:
    """The weighing alone, as a swap of weights is tried: its kernels are others, and no book may wait for them."""
    empty = np.zeros((_ROWS, len(AGENTS)))
    MetaLearningEnsembleManager(tuple(AGENTS)).step(
        np.zeros((_ROWS, FEATURES)), np.ones(_ROWS), empty, np.zeros(_ROWS), np.ones(_ROWS, np.int64)
    )


@contextmanager
def _weighing_beside() -> Iterator[None]:
    """Compile the weighing's kernels into the cache in a child, unless all are compiled, or there is one core.

    Whatever becomes of the child, what is not in the cache after it is compiled here.
    """
    compiles = not getattr(config, "DISABLE_JIT")  # noqa: B009 (a setting made at run time)
    if compiled_before() or not compiles or (os.cpu_count() or 1) < 2:
        yield
        return
    # -P: the folder that it runs in may have files of any name, which are no modules of this program.
    words, nowhere = [sys.executable, "-P", "-m", "windvane.infra.runs.warmup", _WEIGHING], subprocess.DEVNULL
    with subprocess.Popen(words, stdin=nowhere, stdout=nowhere, stderr=nowhere) as child:  # noqa: S603 (this program)
        try:
            yield
        except BaseException:
            child.kill()  # nobody waits for the kernels any more
            raise


if __name__ == "__main__":
    if sys.argv[1:] == [_WEIGHING]:
        warm_up_weighing()
    else:
        warm_up()
