"""TOPOLOGY: the only list of stages; every runner executes it."""

from windvane.streams import topics
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.features_stage import FeaturesStage
from windvane.streams.feedback_stage import FeedbackStage
from windvane.streams.proposals_stage import ProposalsStage
from windvane.streams.stage import Stage

TOPOLOGY: tuple[Stage, ...] = (
    Stage("features", (topics.TICKS,), (topics.FEATURES, topics.DEAD_LETTERS), FeaturesStage),
    Stage("proposals", (topics.FEATURES,), (topics.PROPOSALS, topics.DEAD_LETTERS), ProposalsStage),
    Stage(
        "feedback",
        (topics.FEATURES, topics.PROPOSALS, topics.LEARNER),
        (topics.LEARNER, topics.DEAD_LETTERS),
        FeedbackStage,
    ),
    Stage(
        "ensemble",
        (topics.FEATURES, topics.PROPOSALS, topics.LEARNER, topics.MODELS, topics.CONTROL),
        (topics.DECISIONS, topics.ORDERS, topics.FILLS, topics.STATEMENTS, topics.DEAD_LETTERS),
        EnsembleStage,
    ),
)
