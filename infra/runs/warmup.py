"""Every kernel is compiled, or loaded from the cache, before time counts."""

import numpy as np

from windvane.agents.factory import AGENTS
from windvane.agents.kernel import mark_compiled
from windvane.agents.state import FEATURES
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, BookOpened, Ticks

_ROWS = 8


def warm_up() -> None:
    """Send a few rows through a pipeline of all agents: kernels are compiled for types, which no setting changes."""
    config = TradingConfig(agents=tuple(AGENTS))
    runner = EmbeddedRunner()
    runner.feed([BookOpened(book="warm-up", config=config, digest=digest(config))])
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
    # The weighing alone, as a swap of weights is tried: its kernels are others, and no book may wait for them.
    empty = np.zeros((_ROWS, len(AGENTS)))
    MetaLearningEnsembleManager(tuple(AGENTS)).step(
        np.zeros((_ROWS, FEATURES)), np.ones(_ROWS), empty, np.zeros(_ROWS), np.ones(_ROWS, np.int64)
    )
    mark_compiled()


if __name__ == "__main__":
    warm_up()
