"""Compares what is on the topics with an embedded run of the same file: lost, doubled and different rows and lines."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from aiokafka import TopicPartition

from windvane.infra.cli.options import BookOptions, plan_for
from windvane.infra.files.market_data import load_market
from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.runs import journal
from windvane.infra.runs.backtest import run
from windvane.metamodel.base.config import Costs
from windvane.streams.codec import from_json
from windvane.streams.events import Batch, Decisions, Event, Fills, Orders, Statements, join
from windvane.streams.records import fill_lines, order_lines
from windvane.streams.topics import DECISIONS, FILLS, ORDERS, STATEMENTS, Topic

OUTPUTS = (DECISIONS, STATEMENTS, ORDERS, FILLS)
Raws = Mapping[Topic, list[bytes]]
"""The values of a book's records by topic, each in the order of its log."""


class Outputs(NamedTuple):
    """Everything that a book has put out: batches of rows, and lines of orders and fills, in the order of the log."""

    decisions: Sequence[Batch]
    statements: Sequence[Batch]
    orders: Sequence[bytes]
    fills: Sequence[bytes]


class Verdict(NamedTuple):
    """How a book on the topics differs from the embedded one; lost, doubled and different must be 0."""

    book: str
    rows: int
    orders: int
    fills: int
    lost: int
    doubled: int
    different: int
    words: str  # the first difference

    @property
    def right(self) -> bool:
        """Whether nothing is lost, doubled or different."""
        return not (self.lost or self.doubled or self.different or self.words)


def embedded(file: Path, book: str, out: Path) -> Outputs:
    """Run a file through the embedded pipeline with the default options, and return its outputs.

    out: the folder that the run is written to.
    """
    market = load_market(file)
    plan = plan_for(market, BookOptions(book=book, costs=Costs(), retraining="off"))
    run(plan, market, out)
    return of_journal(out / "journal", plan.config.symbol)


def of_journal(folder: Path, symbol: str = "BTCUSD") -> Outputs:
    """Return the outputs in the journal of a run."""
    return outputs_in((event for _, event in journal.read(folder)), symbol)


def outputs_in(events: Iterable[Event], symbol: str) -> Outputs:
    """Return the outputs among the events of one book, in their order."""
    decisions: list[Batch] = []
    statements: list[Batch] = []
    orders: list[bytes] = []
    fills: list[bytes] = []
    for event in events:
        if isinstance(event, Decisions):
            decisions.append(event)
        elif isinstance(event, Statements):
            statements.append(event)
        elif isinstance(event, Orders):
            orders.extend(raw for _, raw in order_lines(event, symbol))
        elif isinstance(event, Fills):
            fills.extend(raw for _, raw in fill_lines(event, symbol))
    return Outputs(decisions, statements, orders, fills)


def on_topics(settings: KafkaSettings, partitions: int, book: str) -> Outputs:
    """Return the committed outputs of a book on its topics, in the order of the log."""
    return outputs_of(records(settings, OUTPUTS, partition_of(book, partitions))[book])


def outputs_of(raws: Raws) -> Outputs:
    """Return the outputs among the records of one book."""

    def batches(topic: Topic) -> list[Batch]:
        return [event for raw in raws[topic] if isinstance(event := from_json(raw), Batch)]

    return Outputs(batches(DECISIONS), batches(STATEMENTS), raws[ORDERS], raws[FILLS])


def records(settings: KafkaSettings, topics: Sequence[Topic], partition: int) -> Mapping[str, Raws]:
    """Return the values of all committed records of a partition by book, none for a book that has none there."""
    return asyncio.run(_read(settings, {TopicPartition(settings.topic(t), partition): t for t in topics}))


async def _read(settings: KafkaSettings, places: Mapping[TopicPartition, Topic]) -> Mapping[str, Raws]:
    raws: dict[str, Raws] = defaultdict(lambda: {topic: [] for topic in places.values()})
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, tuple(places))
        reader.assign(tuple(places))
        for place in places:
            reader.seek(place, first[place])
        while any([await reader.position(place) < ends[place] for place in places]):
            for place, batch in (await reader.getmany(timeout_ms=100)).items():
                for record in batch:
                    raws[record.key.decode()][places[place]].append(record.value)
    return raws


def compare(book: str, got: Outputs, wanted: Outputs) -> Verdict:
    """Compare the outputs of a book with those wanted.

    Orders and fills are compared line by line and by their ids, decisions and statements row by row in every column, to
    the last bit.
    """
    parts = (
        _lines("orders", got.orders, wanted.orders),
        _lines("fills", got.fills, wanted.fills),
        _rows("decisions", got.decisions, wanted.decisions),
        _rows("statements", got.statements, wanted.statements),
    )
    lost, doubled, different = (sum(part[i] for part in parts) for i in range(3))
    words = next((part[3] for part in parts if part[3]), "")
    rows = sum(map(len, got.decisions))
    return Verdict(book, rows, len(got.orders), len(got.fills), lost, doubled, different, words)


def table(verdicts: Iterable[Verdict]) -> str:
    """Return a table with a line for each book, and a line of sums."""
    verdicts = list(verdicts)
    lines = [
        f"{'book':<28} {'rows':>8} {'orders':>8} {'fills':>8} {'lost':>6} {'doubled':>8} {'different':>10}"
    ]
    lines += [
        f"{v.book:<28} {v.rows:>8} {v.orders:>8} {v.fills:>8} {v.lost:>6} {v.doubled:>8} {v.different:>10}  {v.words}"
        for v in verdicts
    ]
    sums = [
        sum(getattr(v, n) for v in verdicts)
        for n in ("rows", "orders", "fills", "lost", "doubled", "different")
    ]
    lines.append("{:<28} {:>8} {:>8} {:>8} {:>6} {:>8} {:>10}".format("all", *sums))
    return "\n".join(lines)


class _Line(msgspec.Struct):
    id: str


def _lines(kind: str, got: Sequence[bytes], wanted: Sequence[bytes]) -> tuple[int, int, int, str]:
    """Lost, doubled and different lines, and the first difference in words."""
    if list(got) == list(wanted):
        return 0, 0, 0, ""
    ids = [msgspec.json.decode(raw, type=_Line).id for raw in got]
    right = {msgspec.json.decode(raw, type=_Line).id: raw for raw in wanted}
    lost = len(right.keys() - set(ids))
    doubled = sum(n - 1 for n in Counter(ids).values())
    different = sum(right.get(i) != raw for i, raw in zip(ids, got, strict=True))
    first = next(
        (k for k, (a, b) in enumerate(zip(got, wanted, strict=False)) if a != b), min(len(got), len(wanted))
    )
    return lost, doubled, different, f"{kind} differ first at line {first}: {got[first : first + 1]}"


def _rows(kind: str, got: Sequence[Batch], wanted: Sequence[Batch]) -> tuple[int, int, int, str]:
    """Lost, doubled and different rows, and the first difference in words."""
    if not got or not wanted:
        lost = sum(map(len, wanted))
        return lost, 0, sum(map(len, got)), f"{kind}: nothing there" if lost or got else ""
    mine, right = join(got), join(wanted)
    lost = len(np.setdiff1d(right.seq, mine.seq))
    extra = len(np.setdiff1d(mine.seq, right.seq))
    doubled = len(mine.seq) - len(np.unique(mine.seq))
    if lost or extra or doubled or not np.array_equal(mine.seq, right.seq):
        return (
            lost,
            doubled,
            extra,
            f"{kind}: {len(mine)} rows in another order or number, wanted {len(right)}",
        )
    unlike, words = np.zeros(len(mine), bool), ""
    for name in right.__struct_fields__:
        a, b = getattr(mine, name), getattr(right, name)
        if not isinstance(b, np.ndarray):
            if a != b:
                return 0, 0, len(mine), f"{kind}: {name} is {a}, wanted {b}"
            continue
        here = (_bits(a) != _bits(b)).any(axis=1)
        if here.any() and not words:
            words = f"{kind}: {name} differs first at seq {int(right.seq[int(here.argmax())])}"
        unlike |= here
    return 0, 0, int(unlike.sum()), words


def _bits(column: np.ndarray) -> np.ndarray:
    """A column as integers (n, C), so that NaN equals NaN and 0 differs from -0."""
    return np.ascontiguousarray(column).view(np.int64).reshape(len(column), -1)
