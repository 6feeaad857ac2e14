"""Kills while rounds close by the clock.

Kills delay agents, so they change what is decided. The decisions must still follow from what the log has recorded.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from broker import Broker

from as_recorded import as_recorded
from chaos.cluster import Cluster
from chaos.compare import OUTPUTS, Outputs, Raws, Verdict, compare, outputs_in, outputs_of, records
from chaos.markets import market
from chaos.report import say
from windvane.infra.kafka.broker.settings import partition_of
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.simulation.market import BAR
from windvane.streams.codec import from_json
from windvane.streams.events import BookOpened, Decisions, Event
from windvane.streams.topics import CONTROL, FEATURES, LEARNER, MODELS, PROPOSALS

_TICKS_A_SECOND = 100
_NEAR = 1e-9
_ROUNDS = 2
_INPUTS = (FEATURES, PROPOSALS, LEARNER, MODELS, CONTROL)
TOPICS = (*OUTPUTS, *_INPUTS)
"""What a book is compared by: what its ensemble wrote, and what it has read."""


class _Filled(msgspec.Struct):
    """The part of a fill that moves the position."""

    seq: int
    side: str
    qty: float


def run(
    cluster: Cluster, broker: Broker, folder: Path, *, seed: int, rows: int, book: str = "timed"
) -> list[Verdict]:
    """Send a book by the clock, kill every stage again and again meanwhile, and the broker; return the comparison."""
    file = market(folder, rows, seed)
    cluster.all_stages()
    cluster.send(file, book, f"{BAR / 1e9 * _TICKS_A_SECOND:.0f}x", records=4)
    cluster.until(lambda: cluster.watch.last("decisions", book) > 50, 90, "the first decisions")
    rng = np.random.default_rng(seed)
    for stage in (
        str(s) for _ in range(_ROUNDS) for s in rng.permutation(["proposals", "features", "ensemble"])
    ):
        worker = cluster.workers[stage]
        since = worker.kill()
        written = cluster.landed(stage)
        worker.start()
        took = cluster.recovered(f"timed: kill -9 {stage}", stage, since, written)
        say(f"timed: kill -9 {stage} at row {cluster.watch.last('decisions', book):,}: {took:.2f} s")
    cluster.broker_dies(broker)
    cluster.send(file, book, records=64)
    cluster.all_decided({book: rows})
    cluster.closed(book)
    cluster.stop()
    raws = records(cluster.settings, TOPICS, partition_of(book, cluster.partitions))[book]
    got = outputs_of(raws)
    opened, again = recorded(raws, got)
    say(f"timed: in {late(got):,} of {rows:,} rows an agent had no weight")
    verdict = compare(book, got, again)
    return [verdict._replace(words=verdict.words or account(got, opened.config, rows))]


def recorded(raws: Raws, got: Outputs) -> tuple[BookOpened, Outputs]:
    """Compute a book again from the records that its ensemble has read, with the choices of time in its decisions.

    raws: of all TOPICS; got: the outputs among them.
    """
    inputs: list[Event] = [from_json(raw) for topic in _INPUTS for raw in raws[topic]]
    opened = next(event for event in inputs if isinstance(event, BookOpened))
    decisions: Iterable[Decisions] = (d for d in got.decisions if isinstance(d, Decisions))
    return opened, outputs_in(as_recorded(opened, decisions, inputs), opened.config.symbol)


def late(got: Outputs) -> int:
    """Rows that were decided without some agent."""
    return sum(int((d.weights == 0.0).any(axis=1).sum()) for d in got.decisions if isinstance(d, Decisions))


def account(got: Outputs, config: TradingConfig, rows: int) -> str:
    """Check that the position after every row is the sum of the fills up to it; returns "" or the first error."""
    filled = np.zeros(rows)
    for fill in (msgspec.json.decode(raw, type=_Filled) for raw in got.fills):
        filled[fill.seq] += fill.qty if fill.side == "buy" else -fill.qty
    position, mid = (_column(got.decisions, name) for name in ("position", "mid"))
    off = np.abs(np.cumsum(filled) * mid / config.capital - position)
    row = int(off.argmax())
    return "" if off[row] < _NEAR else f"after row {row} the fills add up to another position, by {off[row]}"


def _column(batches: Sequence[object], name: str) -> np.ndarray:
    return np.concatenate([getattr(batch, name) for batch in batches])
