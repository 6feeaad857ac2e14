"""Two small books in the midst of everything, run as a release runs them: one process a stage, on a log with offsets.

Both the script that made the fixtures and the tests that go on from them use this, so it calls nothing but what a
release had in 0.1.0 already.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from windvane.metamodel.base import weights
from windvane.metamodel.base.config import Costs, TradingConfig, WeighingConfig, default_stale_after, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.learning.learned import to_bytes
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import predictor
from windvane.metamodel.simulation.market import BAR, simulate
from windvane.streams.codec import to_json
from windvane.streams.events import (
    HEARTBEAT,
    BookClosed,
    BookOpened,
    Control,
    Event,
    Model,
    Ticks,
    TrainRequest,
    TrainResult,
    cut,
)
from windvane.streams.models import swap_to
from windvane.streams.stage import Stage
from windvane.streams.topics import CONTROL, MODELS, TICKS, TOPICS, Topic
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

ROWS, EARLIER, STOP = 800, 640, 680
"""Rows of each book; where states were stored once, and where the release was stopped."""

RECORD = 40
AGENTS = {"steady": ("vol_trend", "ema_momentum", "buy_and_hold"), "clock": ("zscore_reversion", "vol_trend")}
TRANSACTIONAL = "ensemble"


class Stored(NamedTuple):
    """A record of a topic."""

    offset: int
    raw: bytes


@dataclass
class Log:
    """One partition of every topic; the end of a transaction takes an offset, as in Kafka."""

    records: dict[str, list[Stored]] = field(default_factory=lambda: {t.name: [] for t in TOPICS})
    ends: dict[str, int] = field(default_factory=lambda: {t.name: 0 for t in TOPICS})

    def append(self, topic: str, raw: bytes) -> None:
        """Write one record."""
        self.records[topic].append(Stored(self.ends[topic], raw))
        self.ends[topic] += 1

    def read(self, topic: str, start: int) -> list[Stored]:
        """All records from an offset on."""
        return [record for record in self.records[topic] if record.offset >= start]


def opening(book: str) -> BookOpened:
    """A lockstep book that retrains, and one whose rounds close by the clock."""
    steady = book == "steady"
    settings = TradingConfig(
        closing="lockstep" if steady else "timed",
        interval=BAR,
        stale_after=default_stale_after(BAR),
        agents=AGENTS[book],
        costs=Costs(fee_bp=1.0, slippage_bp=0.5, delay=2),
        limits=RiskLimits(price_collar=0.5, max_turnover=8.0, max_drawdown=0.3, max_orders=50),
        weighing=WeighingConfig(
            meta_training_frequency=3,
            learner_lag=7,
            retraining=steady,
            meta_lookback=8,
            features=4,
            min_diversification_agents=1,
        ),
    )
    return BookOpened(book=book, config=settings, digest=digest(settings))


def ticks(book: str) -> Ticks:
    """Rows of a simulated market; one of them is a heartbeat, one has no price."""
    m = simulate("standard", ROWS, 1 if book == "steady" else 2)
    flags, price = np.zeros(ROWS, np.int64), m.price.copy()
    flags[620], price[630], price[695] = HEARTBEAT, -1.0, -1.0
    return Ticks(
        book=book,
        seq=np.arange(ROWS),
        ts=m.ts.copy(),
        flags=flags,
        price=price,
        size=m.size.copy(),
        bid=m.bid.copy(),
        ask=m.ask.copy(),
    )


def learner_weights() -> bytes:
    """What a learner of the lockstep book knows that has seen other rows."""
    manager = MetaLearningEnsembleManager(AGENTS["steady"], opening("steady").config.weighing, delay=2)
    rng, rows = np.random.default_rng(5), 200
    manager.step(
        rng.normal(size=(rows, 50)),
        100.0 * np.exp(0.003 * rng.normal(size=rows).cumsum()),
        rng.uniform(-1.0, 1.0, size=(rows, 3)),
        np.full(rows, 1e-4),
        np.ones(rows, np.int64),
    )
    return to_bytes(manager, {})


def trained(request: TrainRequest) -> TrainResult:
    """Weights that follow from the version alone, of few different numbers, so that they compress well."""
    rng = np.random.default_rng(request.version)
    made = {
        name: (0.05 * rng.integers(-1, 2, shape)).astype(np.float16)
        for name, shape in predictor.shapes(4, 3).items()
    }
    new, old = (2.0, 1.0) if request.version % 7 == 0 else (1.0, 2.0)
    raw = weights.to_bytes(made, {"score_new": repr(new), "score_old": repr(old)})
    return TrainResult(book=request.book, version=request.version, raw=raw)


def controls() -> list[Control | Model]:
    """Before the stop: obeyed ones and a swap that is in use; after it: a roll-back, a halt, and a swap that waits."""
    other = trained(TrainRequest(book="steady", version=101, raw=b"")).raw
    ordered = (("reduce-only", 560), ("resume", 580))
    after = ((4, "roll-back", STOP + 10), (5, "halt", STOP + 40), (6, "resume", STOP + 60))

    def control(number: int, action: str, row: int, book: str = "steady") -> Control:
        return Control(book=book, number=number, action=action, effective_from=row)

    return [
        *(control(i + 1, *order) for i, order in enumerate(ordered)),
        *swap_to(learner_weights(), book="steady", number=3, effective_from=600),
        *(control(*order) for order in after),
        *swap_to(other, book="steady", number=7, effective_from=STOP + 80),
        control(8, "roll-back", STOP + 100),
        control(1, "halt", STOP + 30, "clock"),
        control(2, "resume", STOP + 50, "clock"),
    ]


def inputs(start: int = 0, stop: int = ROWS) -> Iterator[tuple[Topic, Event]]:
    """What feeds and people write, rows start <= seq < stop of both books by turns."""
    if start == 0:
        for event in controls():
            yield MODELS if isinstance(event, Model) else CONTROL, event
        yield from ((TICKS, opening(book)) for book in AGENTS)
    rows = {book: ticks(book) for book in AGENTS}
    for at in range(start, stop, RECORD):
        yield from ((TICKS, cut(batch, at, at + RECORD)) for batch in rows.values())
    if stop == ROWS:
        yield from ((TICKS, BookClosed(book=book, last=ROWS - 1)) for book in AGENTS)


class Pipeline:
    """Every stage as a worker on the log; make: a worker of a stage from its stored state."""

    def __init__(
        self,
        log: Log,
        make: Callable[[Stage, bytes | None], StageWorker],
        states: Mapping[str, bytes] | None = None,
        stages: Sequence[Stage] = TOPOLOGY,
    ) -> None:
        self.log, states = log, states or {}
        self.workers = {stage.name: make(stage, states.get(stage.name)) for stage in stages}
        self.ends: dict[str, dict[str, int]] = {}
        self._asked: list[dict[str, list[TrainRequest]]] = [{}, {}]
        for name, worker in self.workers.items():
            self.ends[name] = {}
            if name == TRANSACTIONAL:
                for topic in worker.stage.emits:
                    for record in log.read(topic.name, worker.outputs.get(topic.name, 0)):
                        worker.follow(topic, record.raw)
                self.ends[name] = {topic.name: log.ends[topic.name] for topic in worker.stage.emits}

    def send(self, events: Iterator[tuple[Topic, Event]]) -> None:
        """Write inputs, and work them off as they come."""
        for topic, event in events:
            self.log.append(topic.name, to_json(event))
            if topic is TICKS:
                self.pump()

    def pump(self) -> None:
        """Until every stage has read everything and says nothing more.

        What is to be trained is trained two pumps later: a stop may come in between.
        """
        for name, worker in self.workers.items():
            for request in self._asked[0].get(name, ()):
                worker.answer(trained(request))
        while sum(self._step(name) for name in self.workers):
            pass
        self._asked = [self._asked[1], {name: worker.requests() for name, worker in self.workers.items()}]

    def _step(self, name: str) -> bool:
        worker = self.workers[name]
        first = [
            t for t in worker.stage.reads if t in (CONTROL, MODELS)
        ]  # as a worker does: people's records first
        for topic in (*first, *(t for t in worker.stage.reads if t not in first)):
            for record in self.log.read(topic.name, worker.positions[topic.name]):
                worker.receive(topic, record.offset, record.raw)
        sent = worker.step()
        for topic, _, raw in sent:
            self.log.append(topic.name, raw)
            self.ends[name][topic.name] = self.log.ends[topic.name]
        if name == TRANSACTIONAL:
            for topic_name in {topic.name for topic, _, _ in sent}:
                self.log.ends[topic_name] += 1  # the marker
        return bool(sent)

    def states(self) -> dict[str, bytes]:
        """What a stop stores, a stage at a time."""
        return {name: worker.save(self.ends[name]) for name, worker in self.workers.items()}
