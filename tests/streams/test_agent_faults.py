"""A remote agent that is late, silent, doubled, sends NaN, dies and comes back, and claims another's name.

Under the scheduler of faults, no row is lost, doubled or different, and a timed book never waits for it.
"""

import json
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from as_recorded import as_recorded
from simulated_book import config, opening, plain_run, same, spoil, table, ticks
from windvane.agents.benching import NO_NUMBER
from windvane.streams.answers import part_of
from windvane.streams.checks import Checks, decoded
from windvane.streams.codec import cuts, from_json, to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    DeadLetter,
    Decisions,
    Event,
    Proposals,
    Statements,
    cut,
    join,
)
from windvane.streams.records import seq_of_line
from windvane.streams.stage import Stage
from windvane.streams.testing.faults import Faults, FaultyRunner
from windvane.streams.topics import (
    CONTROL,
    DEAD_LETTERS,
    DECISIONS,
    FEATURES,
    LEARNER,
    MODELS,
    ORDERS,
    PROPOSALS,
    STATEMENTS,
    TICKS,
    Topic,
)
from windvane.streams.topology import TOPOLOGY

ROWS = 1300
AGENTS = ("vol_trend", "js", "buy_and_hold")
OURS = ("vol_trend", "buy_and_hold")
PLACE = 1
STRUCK = Faults(crash=0.01, lost_commit=0.01, zombie=0.01, away=0.02, late=True, most=30)


def proven(agents: tuple[str, ...], raw: bytes, signature: bytes) -> bool:
    return set(agents) <= set(signature.decode().split())


CHECKS = Checks(proven=proven)


def opened(kind: str = "remote", **changes: Any) -> BookOpened:
    kinds = ("vol_trend", kind, "buy_and_hold")
    return opening(config(agents=AGENTS, kinds=kinds, keyed=True, **changes))


TIMED = opened(closing="timed", round_timeout=250_000_000, quorum_lag=150)


@cache
def topology() -> tuple[Stage, ...]:
    return tuple(stage.run_by(OURS) if stage.name == "proposals" else stage for stage in TOPOLOGY)


@cache
def true() -> Proposals:
    seen = plain_run(
        [opened("donchian_breakout"), spoil(ticks(ROWS)), BookClosed(book="book", last=ROWS - 1)]
    )
    return part_of(join([e for _, e in seen if isinstance(e, Proposals)]), ("js",))


def told(rows: Proposals, seed: int) -> bytes:
    """The record of an agent in another language; where its answer is NaN, it writes NaN, null or the bytes of NaN."""
    if not np.isnan(rows.target).any():
        return to_json(rows)
    head = {
        "type": "Proposals",
        "book": "book",
        "seq": rows.seq.tolist(),
        "agents": ["js"],
        "versions": ["1"],
    }
    target = rows.target.tolist()
    if seed % 2:
        target = [[None if np.isnan(v) else v for v in row] for row in target]
    columns = {"target": target, "action": rows.action.tolist(), "confidence": rows.confidence.tolist()}
    return json.dumps(head | columns).encode()


def sick(seed: int) -> Proposals:
    """The agent's answers, some of which are NaN."""
    target = true().target.copy()
    for start in np.random.default_rng(seed).integers(0, ROWS, 3).tolist():
        target[start : start + 20] = np.nan
    return replace(true(), target=target)


def run(start: BookOpened, seed: int) -> FaultyRunner:
    """Ticks and answers come by a clock of their own; answers are doubled, missing for a while, or out of turn."""
    runner = FaultyRunner(seed, STRUCK, topology(), CHECKS, b" ".join(name.encode() for name in OURS))
    random, timed = np.random.default_rng(seed), start.config.closing == "timed"
    whole, answers = spoil(ticks(ROWS)), sick(seed)
    edges = sorted({0, ROWS, *random.integers(1, ROWS, 40).tolist()})
    runner.send_later(0, TICKS, to_json(start))
    coming: list[tuple[int, int, Topic, bytes, bytes]] = []
    now = 0
    for a, b in pairwise(edges):
        now += int(random.integers(200_000_000))
        coming += [(now, 0, TICKS, to_json(p), b"") for p in cuts(cut(whole, a, b))]
        coming += [
            (now + int(lag), 1, PROPOSALS, told(p, seed), b"js")
            for p, lag in zip(cuts(cut(answers, a, b)), random.integers(0, 2_000_000_000, 9), strict=False)
            if not (timed and random.random() < 0.3)  # silent: it never answers these rows
            for _ in range(1 + int(random.random() < 0.2))
        ]
        lie = cut(replace(answers, target=np.full((ROWS, 1), -1.0)), a, b)
        if random.random() < 0.4:  # a forger has no key, or that of another agent
            signature = random.choice([b"", b"other", b"vol_trend"]).tobytes()
            coming.append((now, 1, PROPOSALS, to_json(lie), signature.rstrip(b"\0")))
        if random.random() < 0.4:
            coming.append((now, 1, PROPOSALS, to_json(replace(lie, agents=("vol_trend",))), b"js"))
    if not timed:  # killed and back: it answers everything again, with what it says by now
        again = cuts(replace(answers, target=np.zeros((ROWS, 1))))
        coming += [(now + 4_000_000_000, 1, PROPOSALS, to_json(piece), b"js") for piece in again]
    for at, _, topic, raw, signature in sorted(coming, key=lambda one: one[0]):
        runner.send_later(at, topic, raw, signature)
    runner.send_later(now + 5_000_000_000, TICKS, to_json(BookClosed(book="book", last=ROWS - 1)))
    runner.run(40_000)
    return runner


def events(runner: FaultyRunner, topic: Topic) -> list[Event]:
    return [decoded(topic, r.raw, None, r.signature, proven) for r in runner.log.records(topic)]


def decisions(runner: FaultyRunner) -> Decisions:
    rows = [e for e in events(runner, DECISIONS) if isinstance(e, Decisions)]
    assert np.concatenate([e.seq for e in rows]).tolist() == list(range(ROWS))
    return join(rows)


def plain(seed: int) -> list[Event]:
    """The lockstep book without faults."""
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), topology=topology())
    runner.feed([opened()])
    runner.send(PROPOSALS, sick(seed))
    runner.feed([spoil(ticks(ROWS)), BookClosed(book="book", last=ROWS - 1)])
    return seen


def refusals(runner: FaultyRunner) -> set[str]:
    told_of = {e.reason for e in map(from_json, runner.log.raws(DEAD_LETTERS)) if isinstance(e, DeadLetter)}
    return {reason for reason in told_of if reason.startswith("what was proposed")}


def check_lockstep(seed: int) -> None:
    runner, wanted = run(opened(), seed), plain(seed)
    same(table([decisions(runner)]), table([join([e for e in wanted if isinstance(e, Decisions)])]))
    benched = decisions(runner).benched
    assert benched is not None
    assert benched[:, PLACE].tolist() == np.where(np.isnan(sick(seed).target[:, 0]), NO_NUMBER, 0).tolist()
    assert not benched[:, [0, 2]].any()
    ids = [seq_of_line(raw) for raw in runner.log.raws(ORDERS)]
    assert len(ids) == len(set(ids))
    assert all("is not signed with the key of each" in reason for reason in refusals(runner))


def check_timed(seed: int) -> None:
    runner = run(TIMED, seed)
    rows = decisions(runner)
    assert rows.awake is not None
    assert not (rows.benched is not None and rows.benched[:, [0, 2]].any())
    inputs = [e for t in (MODELS, CONTROL, LEARNER, PROPOSALS, FEATURES) for e in events(runner, t)]
    again = list(as_recorded(TIMED, [rows], inputs))
    found = join([e for e in again if isinstance(e, Decisions)])
    same(table([found]), table([rows]))
    kept = [e for e in events(runner, STATEMENTS) if isinstance(e, Statements)]
    same(table(e for e in again if isinstance(e, Statements)), table(kept))
    plain_rows = [e for e in plain(seed) if isinstance(e, Decisions)]
    assert join(plain_rows).seq.tolist() == rows.seq.tolist()


class TestRemoteAgents:
    @pytest.mark.parametrize("seed", range(6))
    def test_a_lockstep_book_says_what_it_says_without_faults(self, seed: int) -> None:
        check_lockstep(seed)

    @pytest.mark.parametrize("seed", range(6))
    def test_a_timed_book_never_waits_and_follows_from_what_is_recorded(self, seed: int) -> None:
        check_timed(seed)

    def test_the_agent_is_asleep_benched_and_forged(self) -> None:
        """Else the runs above would show nothing."""
        asleep = benched = forged = 0
        for seed in range(3):
            runner = run(TIMED, seed)
            rows = decisions(runner)
            assert rows.awake is not None
            asleep += int((rows.awake[:, PLACE] == 0).sum())
            benched += 0 if rows.benched is None else int((rows.benched[:, PLACE] != 0).sum())
            forged += len(refusals(runner))
        assert min(asleep, forged) > 10
        assert benched > 0

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(1000, 1100))
    def test_two_hundred_schedules(self, seed: int) -> None:
        check_lockstep(seed)
        check_timed(seed)
