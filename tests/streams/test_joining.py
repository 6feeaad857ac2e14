"""The joining law: however the inputs of a stage are cut, repeated, interleaved and mixed up, its rows are the same."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import pytest

from simulated_book import Recorded, Table, config, full_book, opening, outputs, plain_run, same, swaps, table
from windvane.metamodel.base.config import WeighingConfig
from windvane.streams.events import (
    Batch,
    BookClosed,
    BookOpened,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Model,
    Proposals,
    Ticks,
    cut,
)
from windvane.streams.joining import MOST_BEYOND
from windvane.streams.proposals_stage import ProposalsStage, proposals_of
from windvane.streams.stage import Logic, Stage
from windvane.streams.topology import TOPOLOGY

SEEDS = range(12)
WORKERS = (
    ("jump_contrarian", "ema_momentum"),
    ("buy_and_hold",),
    ("vol_trend", "zscore_reversion", "donchian_breakout"),
)
OVERLAPPING = (WORKERS[0], ("ema_momentum", "buy_and_hold"), WORKERS[2], ("vol_trend",))


@cache
def recorded() -> Recorded:
    events, orders = full_book()
    return plain_run(events, [*orders, *swaps()[:3]])  # all but the one that gives a dead letter


def named(name: str) -> Stage:
    return next(stage for stage in TOPOLOGY if stage.name == name)


def inputs(stage: Stage) -> list[list[Event]]:
    """The records on every topic that a stage reads, a list a topic."""
    return [[e for t, e in recorded() if t.name == topic.name] for topic in stage.reads]


def wanted(stage: Stage) -> Table:
    mine = [(t, e) for t, e in recorded() if not isinstance(e, DeadLetter) or _sender(e) == stage.name]
    return outputs(mine, *stage.emits)


def _sender(letter: DeadLetter) -> str:
    """Bad rows are told of by features, controls and levels by the ensemble; no other stage tells of anything here."""
    return "ensemble" if letter.source.startswith(("Control of book ", "decisions of ")) else "features"


def pieces(batch: Batch, rng: np.random.Generator) -> Iterator[Batch]:
    """A batch cut anew, some rows in two pieces."""
    at, most = 0, int(rng.choice([2, 12, 90, 400]))
    while at < len(batch):
        stop = min(len(batch), at + int(rng.integers(1, most + 1)))
        yield cut(batch, max(0, at - int(rng.integers(0, 4))), stop)
        at = stop


def moved(events: Sequence[Event], rng: np.random.Generator, reach: int) -> list[Event]:
    """Every event at most about `reach` places from where it was."""
    places = np.arange(len(events)) + rng.uniform(0, reach, len(events))
    return [events[i] for i in np.argsort(places, kind="stable")]


def disturbed(source: Sequence[Event], rng: np.random.Generator, reach: int) -> list[Event]:
    """One source cut anew, with repeated records, mixed up."""
    cuts: list[Event] = []
    for event in source:
        cuts.extend(pieces(event, rng) if isinstance(event, Batch) else [event])
    repeated = []
    for event in cuts:
        repeated.extend([event] * int(rng.choice([1, 1, 1, 2, 3])))
    mixed = moved(repeated, rng, reach)
    if any(isinstance(e, Ticks) for e in source):  # what is missing when a book closes is given up
        mixed.sort(key=lambda e: isinstance(e, BookClosed))
    return mixed


def interleaved(sources: Sequence[list[Event]], rng: np.random.Generator) -> list[Event]:
    """All records of all sources, each source in its order, some sources far behind others."""
    owners = np.repeat(np.arange(len(sources)), [len(s) for s in sources])
    speed = rng.uniform(0.2, 1.0, len(sources))
    owners = owners[np.argsort(rng.random(len(owners)) ** speed[owners], kind="stable")]
    rest = [iter(s) for s in sources]
    return [next(rest[owner]) for owner in owners]


def opened_in_time(events: list[Event], rng: np.random.Generator) -> list[Event]:
    """Controls and models first, and the book opened among the first records: up to 64 are held before."""
    first = next(e for e in events if isinstance(e, BookOpened))
    rest = [e for e in events if not isinstance(e, Control | Model | BookOpened)]
    orders = [e for e in events if isinstance(e, Control | Model)]
    whole = [*moved(orders, rng, len(orders)), *rest]
    at = int(rng.integers(0, 60 - len(orders))) if rng.random() < 0.7 else 0
    return [*whole[:at], first, *whole[at:], first]


def stepped(logic: Logic, events: Sequence[Event], rng: np.random.Generator) -> list[Event]:
    """What comes of steps over one or more records at a time."""
    out: list[Event] = []
    at, most = 0, int(rng.choice([1, 5, 60]))
    while at < len(events):
        stop = at + int(rng.integers(1, most + 1))
        out.extend(logic.step(events[at:stop]))
        at = stop
    return out


def law(stage: Stage, sources: Sequence[list[Event]], seed: int, build: Callable[..., Logic]) -> Table:
    rng = np.random.default_rng(seed)
    reach = int(rng.choice([0, 3, 12, 50]))
    mixed = interleaved([disturbed(s, rng, reach) for s in sources if s], rng)
    return table(stepped(build(None), opened_in_time(mixed, rng), rng))


def worked(agents: Sequence[str]) -> list[Event]:
    """Proposals of a worker that runs some agents only."""
    features = [e for t, e in recorded() if t.name == "features"]
    return proposals_of(agents)(None).step(features)


class TestJoint:
    """Source and Joint, in the stages that use them."""

    def test_the_recorded_run_is_worth_disturbing(self) -> None:
        seen = recorded()
        updates = [e for _, e in seen if isinstance(e, LearnerUpdate)]
        decisions = wanted(named("ensemble"))["book Decisions"]
        assert isinstance(decisions, dict)
        assert len(updates) > 10
        assert decisions["learner"].max() == len(updates)
        assert decisions["controls"].max() == len(inputs(named("ensemble"))[4])
        assert set(decisions["state"].tolist()) == {0, 1, 2}
        assert {0, 1, 2, 4, 8}.issubset(decisions["flags"].tolist())

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("stage", TOPOLOGY, ids=lambda stage: stage.name)
    def test_any_cut_order_and_repetition_gives_the_same_rows(self, stage: Stage, seed: int) -> None:
        same(law(stage, inputs(stage), seed, stage.build), wanted(stage))

    @pytest.mark.parametrize("agents", [*WORKERS, OVERLAPPING[1]], ids=",".join)
    def test_a_worker_of_some_agents_proposes_what_a_worker_of_all_does(
        self, agents: tuple[str, ...]
    ) -> None:
        (name, whole), *_ = [item for item in wanted(named("proposals")).items() if "Proposals" in item[0]]
        everyone = name.split(" ")[-1].split(",")
        (part,) = (p for p in table(worked(agents)).values() if isinstance(p, dict))
        assert isinstance(whole, dict)
        some = [a for a in everyone if a in agents]
        for column in ("target", "action", "confidence"):
            picked = whole[column][:, [everyone.index(a) for a in some]]
            assert np.ascontiguousarray(picked).tobytes() == part[column].tobytes(), column

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("stage", ["feedback", "ensemble"])
    @pytest.mark.parametrize("workers", [WORKERS, OVERLAPPING], ids=["disjoint", "overlapping"])
    def test_agents_spread_over_workers_give_the_same_rows(
        self, stage: str, workers: tuple[tuple[str, ...], ...], seed: int
    ) -> None:
        sources = inputs(named(stage))
        sources[1:2] = [worked(agents) for agents in workers]
        same(law(named(stage), sources, seed, named(stage).build), wanted(named(stage)))

    def test_a_second_worker_of_an_agent_that_was_behind_and_overtakes_does_not_stop_the_book(self) -> None:
        names = ("ema_momentum", "buy_and_hold")
        start = opening(config(agents=names, weighing=WeighingConfig()))
        rows = next(e for _, e in recorded() if isinstance(e, Features))
        (both,) = (e for e in proposals_of(names)(None).step([start, rows]) if isinstance(e, Proposals))
        (one,) = (e for e in proposals_of(names[:1])(None).step([start, rows]) if isinstance(e, Proposals))
        stage = named("ensemble").build(None)
        out = stage.step([start, cut(rows, 0, 400), cut(one, 0, 50), cut(both, 0, 200)])
        out += stage.step([cut(one, 50, 150), cut(one, 150, 400), cut(both, 200, 400)])
        assert max(e.last for e in out if isinstance(e, Decisions)) == 399

    def test_repeated_early_records_do_not_count_as_more_rows_held(self) -> None:
        stage = named("features")
        source = inputs(stage)[0]
        start, first = source[0], next(e for e in source if isinstance(e, Batch))
        logic = stage.build(None)
        n = len(first)
        early, times = [cut(first, 1 + i, n - i) for i in range(5)], MOST_BEYOND // (5 * (n - 10)) + 2
        out = logic.step([start, *early * times])
        assert [type(e) for e in out] == [BookOpened]
        out += logic.step([cut(first, 0, 1)])
        same(table(out[1:]), table(stage.build(None).step([start, first])[1:]))

    def test_a_source_that_is_waited_for_is_not_passed(self) -> None:
        stage = named("ensemble")
        features, proposals, updates, *_ = inputs(stage)
        logic = stage.build(None)
        out = logic.step([*features[:-1], *proposals, *updates[1:]])
        first = updates[0]
        assert isinstance(first, LearnerUpdate)
        last = max(e.last for e in out if isinstance(e, Batch))
        assert last == first.effective_from - 1
        out = logic.step([first])
        assert min(e.first for e in out if isinstance(e, Batch)) == first.effective_from

    def test_proposals_stage_of_no_agent_says_nothing_that_disturbs(self) -> None:
        features = [e for t, e in recorded() if t.name == "features"]
        out = ProposalsStage(None, ("nobody",)).step(features)
        ensemble = named("ensemble")
        sources = inputs(ensemble)
        everything = [e for s in (*sources[3:], sources[0], out, *sources[1:3]) for e in s]
        same(table(ensemble.build(None).step(everything)), wanted(ensemble))
