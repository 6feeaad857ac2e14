"""An agent whose answer cannot be used takes no part in that row: its reason is recorded, and the others trade on."""

import re
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from moody import Moody
from simulated_book import Recorded, config, opening, plain_run, same, spoil, table, ticks
from windvane.agents.benching import MISSHAPEN, NO_NUMBER, OUT_OF_RANGE, PASSED, REASONS, faults_of
from windvane.agents.factory import RULES, Binding
from windvane.agents.guest import GuestAgent
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.infra.telemetry.names import reason_class
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    BENCHED,
    REPEATED,
    BookClosed,
    DeadLetter,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    cut,
    join,
)
from windvane.streams.feedback_stage import FeedbackStage
from windvane.streams.topology import bound

ROWS = 1300
NAMES = tuple(RULES)
ODD = 2  # place of the agent that misbehaves
LOCKSTEP = opening(config())
TIMED = opening(config(closing="timed"))
BAD = {NO_NUMBER: (np.nan, 0.5), OUT_OF_RANGE: (1.5, 0.5), PASSED: (0.0, 0.0)}


@cache
def seen() -> Recorded:
    return plain_run([LOCKSTEP, spoil(ticks(ROWS)), BookClosed(book="book", last=ROWS - 1)])


def of(kind: type[Any]) -> Any:
    return join([e for _, e in seen() if isinstance(e, kind)])


def misbehaving(rows: dict[int, int]) -> Proposals:
    """What all agents propose, but that one of them has no usable answer at some rows, for these reasons."""
    whole: Proposals = of(Proposals)
    target, confidence = whole.target.copy(), whole.confidence.copy()
    told = np.zeros(whole.action.shape, np.int64)
    for row, reason in rows.items():
        target[row, ODD], confidence[row, ODD] = BAD[reason]
        told[row, ODD] = PASSED if reason == PASSED else 0
    return replace(whole, target=target, confidence=confidence, benched=told if told.any() else None)


def pieces(whole: Proposals, by: int, rng: np.random.Generator) -> list[Event]:
    """Cut at random; by 2: of two workers that share the agents, by 3: one of them speaks for the odd one as well."""
    if by == 1:
        return cuts(whole, rng)
    first = cuts(columns(whole, NAMES[:3]), rng)
    return first + cuts(columns(whole, NAMES[3:] if by == 2 else NAMES[2:]), rng)


def cuts(whole: Proposals, rng: np.random.Generator) -> list[Event]:
    edges = sorted({0, len(whole), *rng.integers(1, len(whole), 20).tolist()})
    return [cut(whole, a, b) for a, b in pairwise(edges)]


def columns(whole: Proposals, agents: tuple[str, ...]) -> Proposals:
    at = [whole.agents.index(a) for a in agents]
    changed = {n: np.ascontiguousarray(getattr(whole, n)[:, at]) for n in ("target", "action", "confidence")}
    told = None if whole.benched is None else np.ascontiguousarray(whole.benched[:, at])
    return replace(
        whole, agents=agents, versions=tuple(whole.versions[i] for i in at), benched=told, **changed
    )


def decided(opened: Event, answers: list[Event], snapshot_at: int | None = None) -> list[Event]:
    """All that the ensemble says; where a state is stored on the way, another stage goes on from it."""
    stage = EnsembleStage(None)
    out = stage.step([opened, *[e for _, e in seen() if isinstance(e, LearnerUpdate)]])
    rows: Features = of(Features)
    for place, answer in enumerate(answers):
        if place == snapshot_at:
            stage = EnsembleStage(stage.snapshot())
            out += stage.step(answers[:place])
            out += stage.step([cut(rows, 0, stage.progress("book").next_seq + 1)])
        assert isinstance(answer, Proposals)
        out += stage.step([answer, cut(rows, 0, answer.last + 1)])
    return out


def results(out: list[Event]) -> Any:
    return table(e for e in out if isinstance(e, Decisions))


rows_and_reasons = st.dictionaries(
    st.one_of(st.integers(0, ROWS - 1), st.integers(700, 720)), st.sampled_from(sorted(BAD)), max_size=30
)


class TestFaultsOf:
    """Which answers can be used."""

    def test_only_what_is_in_range_is_fit(self) -> None:
        target = np.array([-1.0, 1.0, 1.0 + 1e-15, -np.inf, np.nan, 0.0, 0.0, 0.0])
        confidence = np.array([0.0, 1.0, 0.5, 0.5, 0.5, np.nan, -1e-300, 1.0 + 1e-15])
        faults = faults_of(target, confidence)
        assert faults is not None
        assert faults.tolist() == [0, 0, OUT_OF_RANGE, *[NO_NUMBER] * 3, OUT_OF_RANGE, OUT_OF_RANGE]
        assert faults_of(target[:2], confidence[:2]) is None


class TestBenchedAgents:
    """Answers that cannot be used, at rows and for reasons that hypothesis draws."""

    @settings(max_examples=25, deadline=None)
    @given(bad=rows_and_reasons, by=st.integers(1, 3), seed=st.integers(0, 99), timed=st.booleans())
    def test_the_reason_is_recorded_and_no_cut_changes_a_bit(
        self, bad: dict[int, int], by: int, seed: int, timed: bool
    ) -> None:
        opened, whole, rng = TIMED if timed else LOCKSTEP, misbehaving(bad), np.random.default_rng(seed)
        once = decided(opened, [whole])
        rows = join([e for e in once if isinstance(e, Decisions)])
        wanted = np.zeros((ROWS, len(NAMES)), np.int64)
        for row, reason in bad.items():
            wanted[row, ODD] = reason
        told = np.zeros_like(wanted) if rows.benched is None else rows.benched
        assert told.tolist() == wanted.tolist()
        assert ((rows.flags & BENCHED) != 0).tolist() == wanted.any(axis=1).tolist()
        weighed = (rows.flags & REPEATED == 0) & (
            np.arange(ROWS) < 1100
        )  # later the price is not believed for a while
        assert not rows.weights[weighed[:, None] & (wanted != 0)].any(), "who is benched has no weight"
        if by == 1:
            answers = pieces(whole, by, rng)
        else:
            answers = sorted(pieces(whole, by, rng), key=lambda e: e.first)  # type: ignore[attr-defined]
        again = decided(opened, answers, int(rng.integers(len(answers))))
        same(without_cuts(again), without_cuts(once))

    def test_where_nobody_is_benched_no_bit_changes(self) -> None:
        (recorded,) = [table(e for _, e in seen() if isinstance(e, Decisions))]
        same(results(decided(LOCKSTEP, [misbehaving({})])), recorded)

    def test_rows_before_the_first_bad_answer_are_those_of_a_run_without_it(self) -> None:
        rows = join(
            [e for e in decided(LOCKSTEP, [misbehaving({800: NO_NUMBER})]) if isinstance(e, Decisions)]
        )
        plain: Decisions = of(Decisions)
        assert rows.weights[:800].tobytes() == plain.weights[:800].tobytes()
        assert rows.weights[800:].tobytes() != plain.weights[800:].tobytes()

    def test_an_unknown_reason_counts_as_unreadable(self) -> None:
        whole: Proposals = of(Proposals)
        told = np.zeros(whole.action.shape, np.int64)
        told[700, ODD], told[701, ODD] = 99, -(2**60)
        rows = join(
            [e for e in decided(LOCKSTEP, [replace(whole, benched=told)]) if isinstance(e, Decisions)]
        )
        assert rows.benched is not None
        assert rows.benched[700:702, ODD].tolist() == [MISSHAPEN] * 2
        assert 0 < MISSHAPEN < len(REASONS)

    @pytest.mark.parametrize("by", [1, 2, 3])
    def test_feedback_scores_nobody_at_rows_where_it_is_benched(self, by: int) -> None:
        bad = dict.fromkeys(range(640, ROWS), NO_NUMBER)
        features: Features = of(Features)

        def updates(answers: list[Event]) -> list[LearnerUpdate]:
            out = FeedbackStage(None).step([LOCKSTEP, features, *answers])
            return [e for e in out if isinstance(e, LearnerUpdate)]

        whole, rng = misbehaving(bad), np.random.default_rng(by)
        found, plain = updates(pieces(whole, by, rng)), updates([of(Proposals)])
        assert len(found) == len(plain) > 5
        assert [u.scores[ODD] for u in found[-3:]] == [0.0] * 3
        others = [i for i in range(len(NAMES)) if i != ODD]
        assert [[u.scores[i] for i in others] for u in found] == [
            [u.scores[i] for i in others] for u in plain
        ]


def without_cuts(out: list[Event]) -> Any:
    """The decisions; a column that says nothing may be there or not."""
    return table([join([e for e in out if isinstance(e, Decisions)])])


BARE = replace(ticks(ROWS), bid=None, ask=None, bid_size=None, ask_size=None)
MOODS = {**dict.fromkeys(range(700, 720), "raises"), 650: "nan", 651: "short", 900: "greedy"}


def moody(start: dict[int, str]) -> list[Event]:
    """A run in which one of three agents is moody; its rows are fed in unlike chunks, and stored between them."""
    settings = config(agents=("vol_trend", "m", "buy_and_hold"), kinds=("vol_trend", "class", "buy_and_hold"))
    moods = {float(BARE.price[row]): mood for row, mood in start.items()}
    bindings = {"m": Binding("class", "3", lambda: GuestAgent("m", lambda: Moody(moods)), "m")}
    out: list[Event] = []
    rng, runner = (
        np.random.default_rng(len(start)),
        EmbeddedRunner(lambda topic, event: out.append(event), topology=bound(bindings), wire=True),
    )
    runner.feed([opening(settings)])
    for a, b in pairwise(sorted({0, ROWS, *rng.integers(1, ROWS, 30).tolist()})):
        runner.feed([cut(BARE, a, b)])
        runner = EmbeddedRunner(
            lambda topic, event: out.append(event),
            topology=bound(bindings),
            wire=True,
            snapshot=runner.snapshot(),
        )
    return out


def test_a_class_that_fails_is_told_of_and_leaves_the_others_as_they_are() -> None:
    plain, found = moody({}), moody(MOODS)
    letters = [e for e in found if isinstance(e, DeadLetter)]
    assert [(e.source, reason_class(e.reason)) for e in letters] == [
        (f"agent m of book book, seq {row}", "agent_benched") for row in (650, 651, 700, 900)
    ]
    assert not [e for e in plain if isinstance(e, DeadLetter)]
    rows = join([e for e in found if isinstance(e, Decisions)])
    assert rows.benched is not None
    assert np.flatnonzero(rows.benched[:, 1]).tolist() == sorted(MOODS)
    assert not rows.benched[:, [0, 2]].any()
    said = [join([e for e in out if isinstance(e, Proposals)]) for out in (plain, found)]
    for name in ("target", "action", "confidence"):
        theirs, ours = (getattr(proposals, name)[:, [0, 2]] for proposals in said)
        assert theirs.tobytes() == ours.tobytes()
    metrics = WorkerMetrics("ensemble")
    metrics.observe(0, rows)
    told = metrics.expose().decode()
    assert re.search(rf'windvane_agent_benched_total{{.*agent="m".*}} {len(MOODS)}\.0', told)
