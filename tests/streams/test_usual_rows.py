"""The usual row of a timed book, with one worker for all agents that are all awake, is no exception to the rule."""

from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from test_codec import random_batch

from windvane.streams import events as ev
from windvane.streams.choices import Recorded
from windvane.streams.timed import TimedJoint

AGENTS = ("agent-0", "agent-1")


class EveryAgent(TimedJoint):
    """Looks at every agent alone, whoever speaks for it."""

    _usual = None


BENCHED = np.array([[k in (5, 6, 20), 2 * (k % 7 == 6)] for k in range(64)], np.int64)
IN_RANGE = {"target": np.tile([0.5, -0.25], (64, 1)), "confidence": np.tile([0.0, 1.0], (64, 1))}


def rows(kind: type[ev.Batch], start: int, n: int, **columns: Any) -> Any:
    whole = msgspec.structs.replace(random_batch(kind, 64, 2), seq=np.arange(64), **columns)
    return ev.cut(whole, start, start + n)


def decided(start: int, n: int, awake: tuple[int, int] | None) -> ev.Decisions:
    same = {"learner": np.zeros(64, np.int64), "controls": np.zeros(64, np.int64)}
    whole = None if awake is None else np.tile(np.array(awake), (64, 1))
    return rows(ev.Decisions, start, n, awake=whole, **same)  # type: ignore[no-any-return]


spans = st.tuples(st.integers(0, 40), st.integers(1, 12))
moves = st.one_of(
    st.tuples(st.just("features"), spans),
    st.tuples(st.just("proposals"), spans),
    st.tuples(st.just("close"), st.integers(0, 50)),
    st.tuples(st.just("decided"), spans, st.sampled_from([None, (1, 1), (1, 0), (0, 0)])),
)


def followed(kind: type[TimedJoint], drawn: list[tuple[Any, ...]]) -> list[Any]:
    """All that a joint hands out and says of itself, move by move; the next rows of both sources come in between."""
    recorded = Recorded()
    joint, told = kind(AGENTS, recorded, quorum_lag=3), []
    for what, *how in drawn:
        if what == "features":
            joint.add(rows(ev.Features, min(how[0][0], joint.features.covers), how[0][1]))
        elif what == "proposals":
            told_by = {"agents": AGENTS, "benched": BENCHED, **IN_RANGE}
            joint.add(rows(ev.Proposals, min(how[0][0], joint.next_seq), how[0][1], **told_by))
        elif what == "close":
            joint.close_rounds(how[0])
        else:
            recorded.add(decided(*how[0], how[1]))
        while True:
            joint.choose_awake()
            start, stop = joint.ready()
            if stop <= start:
                break
            step = joint.pop(stop)
            same = [None if of is None else of.tolist() for of in (step.awake, step.answered, step.benched)]
            rows_of = zip(
                step.features.seq.tolist(), step.target.tolist(), step.confidence.tolist(), strict=True
            )
            told += [(*row, *same) for row in rows_of]
        told.append((joint.open, joint.awake.tolist(), joint.last.tolist(), joint.lacks(), joint.next_seq))
    return told


@settings(max_examples=300, deadline=None)
@given(drawn=st.lists(moves, max_size=25))
def test_it_is_decided_as_if_every_agent_had_been_looked_at(drawn: list[tuple[Any, ...]]) -> None:
    assert followed(TimedJoint, drawn) == followed(EveryAgent, drawn)
