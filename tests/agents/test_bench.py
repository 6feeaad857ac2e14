"""A guest that fails at some rows is left out of those alone, however rows are cut into calls."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guests import Drift
from moody import FAULTS, Moody
from windvane.agents.base import Floats
from windvane.agents.bench import QUIET_ROWS, Answer, Bench
from windvane.agents.benching import RAISED
from windvane.agents.guest import GuestAgent, GuestError

ROWS = 60
X = np.zeros((ROWS, 50))
PRICE = 100.0 * np.exp(0.01 * np.random.default_rng(4).normal(size=ROWS).cumsum())
GOOD = (np.arange(ROWS) % 7 != 3).astype(np.int64)


def bench(moods: dict[int, str]) -> Bench:
    by_price = {float(PRICE[row]): mood for row, mood in moods.items()}
    return Bench(GuestAgent("moody", lambda: Moody(by_price)))


def asked(agent: Bench, start: int, stop: int) -> Answer:
    return agent.answer(X[start:stop], PRICE[start:stop], GOOD[start:stop])


def whole(answers: list[Answer]) -> tuple[bytes, ...]:
    columns = [np.concatenate([a.proposal[k] for a in answers]) for k in range(3)]
    told = [np.zeros(len(a.proposal.target), np.int64) if a.benched is None else a.benched for a in answers]
    return tuple(column.tobytes() for column in (*columns, np.concatenate(told)))


moods = st.dictionaries(st.integers(0, ROWS - 1), st.sampled_from(sorted(FAULTS)), max_size=12)
cuts = st.lists(st.integers(1, ROWS - 1), max_size=8)


class TestBench:
    @settings(max_examples=200, deadline=None)
    @given(moods=moods, cut=cuts, stored=st.integers(0, 8))
    def test_the_rows_that_fail_are_benched_whatever_the_cut(
        self, moods: dict[int, str], cut: list[int], stored: int
    ) -> None:
        rows = [asked(one, t, t + 1) for one in (bench(moods),) for t in range(ROWS)]
        told = [0 if answer.benched is None else int(answer.benched[0]) for answer in rows]
        assert told == [FAULTS[moods[t]] if t in moods else 0 for t in range(ROWS)]
        agent, answers = bench(moods), []
        for place, (start, stop) in enumerate(pairwise(sorted({0, ROWS, *cut}))):
            if place == stored:
                state, agent = agent.state(), bench(moods)
                agent.restore(state)
            answers.append(asked(agent, start, stop))
        assert whole(answers) == whole(rows)
        said = [fault.why for answer in answers for fault in answer.faults]
        assert said == [fault.why for answer in rows for fault in answer.faults]

    @settings(max_examples=50, deadline=None)
    @given(moods=moods)
    def test_between_its_faults_it_is_the_agent_that_never_saw_those_rows(
        self, moods: dict[int, str]
    ) -> None:
        kept = [t for t in range(ROWS) if t not in moods]
        if not kept:
            return
        found, alone = asked(bench(moods), 0, ROWS).proposal, Drift()
        wanted = alone.propose(X[kept], PRICE[kept], GOOD[kept])
        for part, of in zip(found, wanted, strict=True):
            assert part[kept].tobytes() == of.tobytes()

    def test_at_a_fault_its_last_target_stands_without_confidence(self) -> None:
        proposal = asked(bench({20: "raises", 21: "nan"}), 0, ROWS).proposal
        assert proposal.target[20] == proposal.target[21] == proposal.target[19] != 0.0
        assert proposal.confidence[20:22].tolist() == [0.0, 0.0]
        assert proposal.action[20:22].tolist() == [0, 0]

    def test_a_fault_is_told_of_once_in_many_rows(self) -> None:
        agent = bench(dict.fromkeys(range(ROWS), "raises"))
        told = [t for k in range(10) for t in asked(agent, 0, ROWS).faults]
        assert len(told) == 1 + (10 * ROWS - 1) // QUIET_ROWS
        assert told[0].why == (
            "agent moody cannot propose (KeyError: 'no such price'): mend its class, or leave it out"
        )

    def test_an_agent_that_cannot_go_back_is_benched_until_it_can(self) -> None:
        class Stuck(Moody):
            stuck = True

            def restore(self, state: dict[str, Floats]) -> None:
                if self.stuck:
                    raise ValueError("not now")
                super().restore(state)

        agent = Bench(GuestAgent("stuck", lambda: Stuck({float(PRICE[5]): "raises"})))
        answer = asked(agent, 0, 30)
        assert answer.benched is not None
        assert answer.benched.tolist() == [RAISED] * 30
        agent.guest.agent.stuck = False  # type: ignore[attr-defined]
        assert asked(agent, 30, ROWS).benched is None

    def test_an_agent_that_cannot_tell_its_first_state_is_refused(self) -> None:
        class Mute(Drift):
            def state(self) -> dict[str, Floats]:
                raise RuntimeError("mute")

        with pytest.raises(GuestError, match="agent m cannot tell its state"):
            Bench(GuestAgent("m", Mute))
