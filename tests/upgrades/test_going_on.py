"""A release is stopped, this version starts from its states and topics, and gives the orders that it would have."""

from contextlib import nullcontext
from pathlib import Path

import msgspec
import numpy as np
import pytest
from release_books import Log, Pipeline
from releases import Release, close_to, of_pipeline

from windvane.agents.kernel import this_program
from windvane.agents.program import Program
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import Batch, Decisions, cut, join
from windvane.streams.stage import Stage, StateError
from windvane.streams.stored import from_bytes
from windvane.streams.topics import DEAD_LETTERS, DECISIONS, FILLS, ORDERS, STATEMENTS
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

AGENTS = ("vol_trend", "ema_momentum", "buy_and_hold", "zscore_reversion")
OLD = Program("0.1.0", (Path(__file__).parent / "v0_1_0" / "code.txt").read_text().strip())
NEWER = Program("9.0.0", "another code")


@pytest.fixture(scope="module")
def release() -> Release:
    return of_pipeline()


def stages(**others: type) -> list[Stage]:
    """The topology as a worker plan builds it; others: classes to build some stages with."""
    found = []
    for stage in TOPOLOGY:
        mine = stage if stage.build_for is None else stage.run_by(AGENTS)
        found.append(mine._replace(build=others.get(stage.name, mine.build)))
    return found


def make(stage: Stage, saved: bytes | None, program: Program | None = None) -> StageWorker:
    name = "proposals.78bd44c4" if stage.name == "proposals" else stage.name
    return StageWorker(stage, f"windvane.{name} of 4", saved, program=program)


def gone_on(release: Release, **others: type) -> Pipeline:
    """This version on the log of the release, from its states, to the end of the ticks."""
    pipeline = Pipeline(release.log(), make, release.states, stages(**others))
    pipeline.send(iter(release.coming))
    for _ in range(4):
        pipeline.pump()
    return pipeline


def tell_all(worker: StageWorker, release: Release) -> int:
    """All records of the stage's own topics before its first step, and how many there are."""
    told = [(topic, record.raw) for topic in worker.stage.emits for record in release.records[topic.name]]
    for topic, raw in told:
        worker.refuse_unclean(topic, raw)
    return len(told)


def after_stop(release: Release, log: Log, name: str) -> list[bytes]:
    return [record.raw for record in log.read(name, release.ends[name])]


def assert_as_the_release(release: Release, log: Log) -> None:
    for topic in (ORDERS, FILLS, STATEMENTS):
        close_to(after_stop(release, log, topic.name), release.wanted[topic.name], topic.name)
    found = [from_json(raw) for raw in after_stop(release, log, DECISIONS.name)]
    for book in ("steady", "clock"):
        rows = join([e for e in found if isinstance(e, Decisions) and e.book == book])
        for column in ("seq", "target", "equity", "verdicts", "learner", "controls"):
            wanted = release.decisions[f"{book}.{column}"]
            np.testing.assert_allclose(getattr(rows, column), wanted, rtol=1e-9, atol=1e-9)


class TestCleanStop:
    @pytest.mark.parametrize("version", ["v0_1_0", "v0_2_0"])
    def test_the_orders_are_those_that_the_release_gave(self, version: str) -> None:
        """From its states and topics nothing is lost, doubled or different."""
        release = of_pipeline(version)
        log = gone_on(release).log
        assert_as_the_release(release, log)
        assert len(release.wanted["orders"]) > 100

    def test_every_state_says_which_program_stored_it(self, release: Release) -> None:
        pipeline = gone_on(release)
        for name, worker in pipeline.workers.items():
            assert worker.handed_over == OLD, name
            assert from_bytes(release.states[name]).program == OLD
        for name, raw in pipeline.states().items():
            assert from_bytes(raw).program == this_program()
            assert make(pipeline.workers[name].stage, raw).handed_over is None

    @pytest.mark.parametrize("name", [stage.name for stage in TOPOLOGY])
    def test_it_knows_all_that_was_published(self, release: Release, name: str) -> None:
        """No record that lies on the topics is beyond a state that SIGTERM stored."""
        stage = next(s for s in stages() if s.name == name)
        assert tell_all(make(stage, release.states[name]), release) > 5


class TestUncleanStop:
    @pytest.mark.parametrize("name", [stage.name for stage in TOPOLOGY])
    def test_a_killed_release_must_recover_first(self, release: Release, name: str) -> None:
        stage = next(s for s in stages() if s.name == name)
        worker = make(stage, release.earlier[name])
        with pytest.raises(StateError) as refused:
            tell_all(worker, release)
        said = str(refused.value)
        assert said.startswith(f"windvane 0.1.0 (code {OLD.code}) was not stopped cleanly, ")
        assert said.endswith(f"stop it by SIGTERM, and then start {this_program()}")
        assert "run that version until it has caught up" in said
        assert "\n" not in said

    def test_the_ensemble_refuses_when_it_follows(self, release: Release) -> None:
        states = release.states | {"ensemble": release.earlier["ensemble"]}
        with pytest.raises(StateError, match="was not stopped cleanly, topic decisions holds more of book"):
            Pipeline(release.log(), make, states, stages())

    def test_the_same_code_recovers_as_ever(self, release: Release) -> None:
        """Of 0.1.0's own code digest the killed stages go on, and what they compute again is compared."""
        pipeline = Pipeline(release.log(), lambda s, raw: make(s, raw, OLD), release.earlier, stages())
        pipeline.send(iter(release.coming))
        for _ in range(4):
            pipeline.pump()
        assert_as_the_release(release, pipeline.log)

    @pytest.mark.parametrize("name", ["features", "proposals", "ensemble"])
    def test_one_row_more_than_the_state_knows_is_too_many(self, release: Release, name: str) -> None:
        worker = make(next(s for s in stages() if s.name == name), release.states[name])
        topic = worker.stage.emits[0]
        last = from_json(release.records[topic.name][-1].raw)
        assert isinstance(last, Batch)
        done = worker.logic.progress(last.book).next_seq
        for row in (done - 1, done):
            one = msgspec.structs.replace(cut(last, 0, 1), seq=np.array([row]))
            with pytest.raises(StateError) if row == done else nullcontext():
                worker.refuse_unclean(topic, to_json(one))

    def test_dead_letters_of_other_stages_are_no_matter(self, release: Release) -> None:
        worker = make(stages()[3], release.states["ensemble"])
        worker.refuse_unclean(
            DEAD_LETTERS, b'{"type":"DeadLetter","book":"x","source":"","reason":"","payload":""}'
        )
        worker.refuse_unclean(ORDERS, b"garbage")
        worker.refuse_unclean(DECISIONS, b"garbage")

    def test_a_book_that_the_state_never_saw_is_beyond_it(self, release: Release) -> None:
        features, proposals = (
            make(stages()[k], release.states[n]) for k, n in enumerate(("features", "proposals"))
        )
        raw = next(r.raw for r in release.records["features"] if b'"BookOpened"' in r.raw[:30])
        with pytest.raises(StateError, match="features holds more of book later"):
            features.refuse_unclean(features.stage.emits[0], raw.replace(b'"steady"', b'"later"', 1))
        raw = release.records["proposals"][-1].raw
        with pytest.raises(StateError, match="proposals holds more of book later"):
            proposals.refuse_unclean(proposals.stage.emits[0], raw.replace(b'"clock"', b'"later"', 1))
        elsewhere = raw.replace(b'"clock"', b'"later"', 1).replace(
            b'"zscore_reversion"', b'"donchian_breakout"'
        )
        proposals.refuse_unclean(proposals.stage.emits[0], elsewhere)  # of agents that run in another worker
