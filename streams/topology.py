"""TOPOLOGY: the only list of stages. Runners execute it; commands, status and documents derive from it."""

from windvane.agents.roster import Bindings
from windvane.streams import topics
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.features_stage import FeaturesStage
from windvane.streams.feedback_stage import FeedbackStage
from windvane.streams.proposals_stage import ProposalsStage, proposals_of
from windvane.streams.stage import Stage

TOPOLOGY: tuple[Stage, ...] = (
    Stage("features", (topics.TICKS,), (topics.FEATURES, topics.DEAD_LETTERS), FeaturesStage, records=True),
    Stage(
        "proposals",
        (topics.FEATURES,),
        (topics.PROPOSALS, topics.SHADOWS, topics.DEAD_LETTERS),
        ProposalsStage,
        build_for=proposals_of,
    ),
    Stage(
        "feedback",
        (topics.FEATURES, topics.PROPOSALS, topics.LEARNER),
        (topics.LEARNER, topics.DEAD_LETTERS),
        FeedbackStage,
        patient=True,
        trains=True,
    ),
    Stage(
        "ensemble",
        (topics.FEATURES, topics.PROPOSALS, topics.LEARNER, topics.MODELS, topics.CONTROL),
        (topics.DECISIONS, topics.ORDERS, topics.FILLS, topics.STATEMENTS, topics.DEAD_LETTERS),
        EnsembleStage,
        transactional=True,
    ),
)


def bound(bindings: Bindings) -> tuple[Stage, ...]:
    """TOPOLOGY for a runner of all agents of its books; bindings: what makes those that are not built in."""
    return tuple(
        s if s.build_for is None else s._replace(build=s.build_for(None, bindings)) for s in TOPOLOGY
    )
