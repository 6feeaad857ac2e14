"""Slow learning is due at every 32nd good row of a book that says so, whatever the flags, the cuts and the restarts."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_book import opening
from windvane.metamodel.base.config import TradingConfig, WeighingConfig
from windvane.streams.events import (
    BAD,
    GAP,
    HEARTBEAT,
    STRAY,
    WARMUP,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    cut,
)
from windvane.streams.feedback_stage import FeedbackStage
from windvane.streams.schedule import Schedule

EVERY, LAG = 32, 40
AGENT = ("buy_and_hold",)
BOOK = opening(
    TradingConfig(
        agents=AGENT,
        weighing=WeighingConfig(retraining=False, meta_training_frequency=1, learner_lag=LAG),
    )
)
FLAGS = st.sampled_from((0, 0, 0, 0, WARMUP, STRAY, HEARTBEAT, BAD, GAP, GAP | WARMUP))


def rows(flags: list[int]) -> tuple[Features, Proposals]:
    n = len(flags)
    market, seq = 100.0 + np.arange(n, dtype=float), np.arange(n)
    return (
        Features(
            book="book",
            seq=seq,
            ts=seq * 10**9,
            flags=np.array(flags),
            x=np.zeros((n, 50)),
            price=market,
            mid=market,
        ),
        Proposals(
            book="book",
            seq=seq,
            agents=AGENT,
            versions=("1",),
            target=np.ones((n, 1)),
            action=np.zeros((n, 1), np.int64),
            confidence=np.ones((n, 1)),
        ),
    )


@settings(deadline=None)
@given(
    st.lists(FLAGS, min_size=120, max_size=200), st.sets(st.integers(1, 199)), st.sets(st.integers(0, 199))
)
def test_a_version_is_trained_at_every_32nd_good_row(
    flags: list[int], edges: set[int], restarts: set[int]
) -> None:
    features, proposals = rows(flags)
    good = [row for row, flag in enumerate(flags) if not flag & (HEARTBEAT | BAD | GAP)]
    stage, made = FeedbackStage(None), list[Event]()
    stage.step([BOOK])
    for start, stop in pairwise([0, *sorted(edge for edge in edges if edge < len(flags)), len(flags)]):
        made += stage.step([cut(features, start, stop), cut(proposals, start, stop)])
        if start in restarts:
            stage = FeedbackStage(stage.snapshot())
    trained = [(e.version, e.trained_at, e.effective_from) for e in made if isinstance(e, LearnerUpdate)]
    wanted = enumerate(good[EVERY - 1 :: EVERY], 1)
    assert trained == [(version, row, row + LAG) for version, row in wanted]


@given(st.integers(0, 10**6), st.integers(0, 300))
def test_a_schedule_goes_on_from_the_good_rows_that_it_has_counted(good: int, more: int) -> None:
    schedule = Schedule(BOOK.config.weighing, good)
    assert schedule.good == good
    for counted in range(good + 1, good + more + 1):
        schedule.left -= 1
        assert (schedule.left == 0) == (counted % EVERY == 0)
        if schedule.left == 0:
            assert schedule.train() == counted // EVERY
        assert schedule.good == counted
        assert Schedule(BOOK.config.weighing, counted).left == schedule.left
