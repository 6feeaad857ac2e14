"""The topics as one table: which events each carries, and who writes them."""

from typing import NamedTuple

from windvane.streams import events as ev


class Topic(NamedTuple):
    name: str  # without the prefix
    carries: tuple[type[ev.Event], ...]
    written_by: str


TICKS = Topic("ticks", (ev.BookOpened, ev.Ticks, ev.BookClosed), "feed")
FEATURES = Topic("features", (ev.BookOpened, ev.Features, ev.BookClosed), "features")
PROPOSALS = Topic("proposals", (ev.Proposals,), "proposals")
DECISIONS = Topic("decisions", (ev.Decisions,), "ensemble")
ORDERS = Topic("orders", (ev.Orders,), "ensemble")
FILLS = Topic("fills", (ev.Fills,), "ensemble")
STATEMENTS = Topic("statements", (ev.Statements,), "ensemble")
SHADOWS = Topic("shadows", (ev.Shadows,), "proposals")
LEARNER = Topic("learner", (ev.LearnerUpdate,), "feedback")
CONTROL = Topic("control", (ev.Control,), "people")
MODELS = Topic("models", (ev.Model,), "people")
DEAD_LETTERS = Topic("dead-letters", (ev.DeadLetter,), "any stage")

TOPICS = (
    TICKS,
    FEATURES,
    PROPOSALS,
    DECISIONS,
    ORDERS,
    FILLS,
    STATEMENTS,
    SHADOWS,
    LEARNER,
    CONTROL,
    MODELS,
    DEAD_LETTERS,
)
"""Every topic. The log of inputs is ticks, control and models; all else follows from them."""
