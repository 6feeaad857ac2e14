"""An agent in a process of its own: the same bits, and nobody waits for one that hangs or dies."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from guests import Drift
from hanging import DIES_AT, HANGS_AT
from simulated_book import config, opening, plain_run, ticks
from windvane.agents.bench import Bench
from windvane.agents.benching import HUNG, RAISED
from windvane.agents.guest import GuestError
from windvane.agents.roster import roster
from windvane.infra.apart.agent import ApartAgent
from windvane.infra.apart.binding import apart
from windvane.streams.events import DeadLetter, Event, Features, Proposals, cut, join
from windvane.streams.proposals_stage import ProposalsStage

ROWS = 300
X, GOOD = np.random.default_rng(1).normal(size=(ROWS, 50)), (np.arange(ROWS) % 9 != 4).astype(np.int64)
PRICE = 100.0 * np.exp(0.01 * np.random.default_rng(2).normal(size=ROWS).cumsum())
LONGEST = 2.0
"""Seconds that no call may take, however busy the machine: the agent has .3 s."""


@pytest.fixture
def agent() -> Iterator[ApartAgent]:
    made = ApartAgent("h", "h=hanging:Hangs", 0.3)
    yield made
    made.close()


def test_it_says_what_it_says_in_this_process(agent: ApartAgent) -> None:
    wanted, here = Drift().propose(X, PRICE, GOOD), Drift()
    found = agent.propose(X, PRICE, GOOD)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.tobytes() == theirs.tobytes()
    here.propose(X, PRICE, GOOD)
    assert {n: v.tolist() for n, v in agent.state().items()} == {
        n: v.tolist() for n, v in here.state().items()
    }
    fresh = Drift().state()
    agent.restore(fresh)
    again = agent.propose(X[:40], PRICE[:40], GOOD[:40])
    assert again.target.tobytes() == wanted.target[:40].tobytes()
    assert (agent.name, agent.version, agent.warmup) == ("h", "3", 1)


@pytest.mark.parametrize(("at", "fault"), [(HANGS_AT, HUNG), (DIES_AT, RAISED)])
def test_it_is_benched_while_it_hangs_or_is_dead_and_goes_on_from_its_last_state(
    agent: ApartAgent, at: float, fault: int
) -> None:
    price = PRICE.copy()
    price[20] = at
    bench, rows, told = Bench(agent), [], []
    for t in range(ROWS):
        began = time.monotonic()
        answer = bench.answer(X[t : t + 1], price[t : t + 1], np.ones(1, np.int64))
        assert time.monotonic() - began < LONGEST
        told.append(0 if answer.benched is None else int(answer.benched[0]))
        rows.append(float(answer.proposal.target[0]))
        if t > 20 and told[-1]:
            time.sleep(0.1)  # so that the rows last until another process is there
    assert told[:20] == [0] * 20
    assert told[20] == fault
    assert set(told[21:]) <= {0, HUNG}
    assert told[-1] == 0, "it is back"
    kept = [t for t in range(ROWS) if told[t] == 0]
    wanted = Drift().propose(X[kept], price[kept], np.ones(len(kept), np.int64)).target
    assert [rows[t] for t in kept] == wanted.tolist()


def test_what_takes_long_at_the_first_answer_is_done_before_rows_come_and_keys_are_not_handed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WINDVANE_CONTROL_KEY", "of people")
    monkeypatch.setenv("WINDVANE_AGENT_KEYS", "*=of-every-agent-there-is")
    agent = ApartAgent("s", "s=hanging:Slow", 0.3)
    assert agent.propose(X[:3], PRICE[:3], GOOD[:3]).target.shape == (3,)
    agent.close()


def test_a_shadow_that_hangs_holds_up_nobody() -> None:
    found = roster(["h=hanging:Hangs"])
    seen = [e for _, e in plain_run([opening(config()), ticks(60)])]
    features: Features = join([e for e in seen if isinstance(e, Features)])
    features.mid[30] = HANGS_AT * 1.0
    stage = ProposalsStage(None, None, apart(found.bindings))
    began = time.monotonic()
    out = stage.step([opening(config(closing="timed", **found.shadowing()))])
    for t in range(60):
        out += stage.step([cut(features, t, t + 1)])
    assert time.monotonic() - began < 60.0
    assert len(join([e for e in out if isinstance(e, Proposals)])) == 60
    (letter,) = [e for e in out if isinstance(e, DeadLetter)]
    assert "agent h did not propose in time; from seq 30 on this shadow wants nothing" in letter.reason


def test_what_it_prints_is_no_answer_and_what_cannot_be_made_is_refused() -> None:
    loud = ApartAgent("m", "m=hanging:Mute", 5.0)
    assert loud.propose(X[:3], PRICE[:3], GOOD[:3]).target.shape == (3,)
    loud.close()
    with pytest.raises(GuestError, match="agent b cannot be made: its process has ended"):
        ApartAgent("b", "b=guests:Broken", 5.0)


def test_in_a_timed_book_the_others_go_on_and_in_lockstep_there_is_no_process() -> None:
    found = roster(["vol_trend", "h=hanging:Hangs"])
    seen: list[Event] = [e for _, e in plain_run([opening(config()), ticks(60)])]
    features: Features = join([e for e in seen if isinstance(e, Features)])
    features.mid[30] = HANGS_AT * 1.0
    bindings = apart(found.bindings)
    assert bindings["vol_trend"].apart is None
    stage = ProposalsStage(None, None, bindings)
    began = time.monotonic()
    out = stage.step([opening(config(closing="timed", **found.recorded()))])
    for t in range(60):
        out += stage.step([cut(features, t, t + 1)])
    assert time.monotonic() - began < 60.0
    said = join([e for e in out if isinstance(e, Proposals)])
    assert said.benched is not None
    assert not said.benched[:, 0].any()
    assert said.benched[30, 1] == HUNG
    lockstep = ProposalsStage(None, None, bindings)
    lockstep.step([opening(config(**found.recorded()))])
    assert not isinstance(lockstep._books["book"].agents[1].guest, ApartAgent)  # type: ignore[attr-defined]
