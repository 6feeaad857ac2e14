"""A small book of a simulated market, its stages run once, and what two runs of it must agree on."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest

from windvane.agents.factory import RULES
from windvane.metamodel.base.config import Costs, TradingConfig, WeighingConfig, default_stale_after, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.learning.learned import to_bytes
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.simulation.market import BAR, simulate
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    HEARTBEAT,
    Batch,
    BookClosed,
    BookOpened,
    Control,
    Event,
    Proposals,
    Ticks,
    cut,
)
from windvane.streams.models import swap_to
from windvane.streams.topics import Topic

Recorded = list[tuple[Topic, Event]]


def config(**changes: Any) -> TradingConfig:
    """All rule agents, limits that act now and then, and a learner version every 96 good rows."""
    usual: dict[str, Any] = {
        "interval": BAR,
        "stale_after": default_stale_after(BAR),
        "agents": tuple(RULES),
        "costs": Costs(fee_bp=1.0, slippage_bp=0.5, delay=2),
        "limits": RiskLimits(
            max_spread_bp=50.0, price_collar=0.2, max_turnover=8.0, max_drawdown=0.2, volatility_target=0.6
        ),
        "weighing": WeighingConfig(meta_training_frequency=3, learner_lag=7),
    }
    return TradingConfig(**usual | changes)


def opening(settings: TradingConfig, book: str = "book") -> BookOpened:
    return BookOpened(book=book, config=settings, digest=digest(settings))


def ticks(rows: int, seed: int = 1, book: str = "book") -> Ticks:
    """Clean rows with every column."""
    m = simulate("standard", rows, seed)
    return Ticks(
        book=book,
        seq=np.arange(rows),
        ts=m.ts.copy(),
        flags=np.zeros(rows, np.int64),
        price=m.price.copy(),
        size=m.size.copy(),
        bid=m.bid.copy(),
        ask=m.ask.copy(),
        bid_size=m.bid_size.copy(),
        ask_size=m.ask_size.copy(),
        buy_size=m.buy_size.copy(),
    )


def spoil(rows: Ticks) -> Ticks:
    """Heartbeats and every kind of bad row, also among the rows that warm up; 1,200 rows or more."""
    bid, ask, price = rows.bid, rows.ask, rows.price
    if bid is None or ask is None:
        raise TypeError("only rows with quotes are spoiled")
    for row in (3, 40, 41, 600, 803, 804, 805):
        rows.flags[row] = HEARTBEAT
    price[[0, 20, 710]] = -1.0
    price[720] *= 3.0
    bid[730], ask[730] = ask[730] * 1.01, bid[730]
    rows.ts[740] -= 3600 * 10**9
    rows.ts[750] = rows.ts[749] - 2 * 10**9
    rows.ts[900:] += 20 * BAR  # a hole in time: the book is stale
    for column in (price, bid, ask):
        column[1100:] *= 2.5  # refused, then believed
    return rows


def controls(book: str = "book") -> list[Control]:
    """One of each, some at one row, some before warm-up, one at a heartbeat; a halt passes a resume."""
    rows = (
        ("reduce-only", 100),
        ("resume", 560),
        ("resume", 1250),
        ("halt", 804),
        ("flatten", 804),
        ("resume", 860),
        ("reduce-only", 1000),
        ("resume", 1000),
    )
    return [
        Control(book=book, number=i + 1, action=action, effective_from=row)
        for i, (action, row) in enumerate(rows)
    ]


def crossed(book: str = "book") -> list[Control]:
    """Numbers and rows that do not rise together, copies, and some that are never applied: 1, 3 again, 0, 8, 9, 11."""
    rows = (
        (2, "halt", 300),
        (1, "resume", 900),  # planned for later: passed
        (3, "resume", 400),
        (3, "flatten", 500),  # a number that is taken
        (2, "halt", 300),  # a copy
        (0, "halt", 0),
        (4, "reduce-only", 700),
        (5, "halt", 700),
        (7, "resume", 760),
        (6, "flatten", 760),
        (8, "freeze", 100),
        (9, "halt", 1200),
        (10, "reduce-only", 1000),
        (11, "resume", 5000),  # the book has no such row
    )
    return [Control(book=book, number=n, action=action, effective_from=row) for n, action, row in rows]


def controls_and_swaps(book: str = "book") -> list[Event]:
    """What people want of each of two books."""
    return [*crossed(book)] if book == "other" else [*controls(book), *swaps(book)]


@cache
def learner(weighing: WeighingConfig | None = None, predictor: bytes = b"") -> bytes:
    """What a learner knows that has seen other rows; predictor: the weights that it has predicted with."""
    manager = MetaLearningEnsembleManager(tuple(RULES), weighing or config().weighing, delay=2)
    if predictor:
        manager.swap_predictor(predictor)
    rng, rows = np.random.default_rng(5), 300
    manager.step(
        rng.normal(size=(rows, 50)),
        100.0 * np.exp(0.003 * rng.normal(size=rows).cumsum()),
        rng.uniform(-1.0, 1.0, size=(rows, len(RULES))),
        np.full(rows, 1e-4),
        np.ones(rows, np.int64),
    )
    return to_bytes(manager, {})


def swaps(book: str = "book") -> list[Event]:
    """After `controls`: another learner from a row on, back again, and one that cannot be used."""
    first = swap_to(learner(), book=book, number=9, effective_from=1010)
    back = Control(book=book, number=10, action="roll-back", effective_from=1060)
    bad = swap_to(b"no weights", book=book, number=11, effective_from=1070)
    return [*first, back, *bad]


def without(rows: Ticks, missing: Iterable[int]) -> list[Ticks]:
    """The rows around those that never came, as one batch a stretch."""
    lost = set(missing)
    kept = [row for row in range(len(rows)) if row not in lost]
    edges = [0, *(i for i in range(1, len(kept)) if kept[i] != kept[i - 1] + 1), len(kept)]
    return [cut(rows, kept[a], kept[b - 1] + 1) for a, b in pairwise(edges)]


def plain_run(events: Sequence[Event], controls: Sequence[Event] = (), *, wire: bool = False) -> Recorded:
    """Everything that was on a topic of an embedded run: opening, controls, then the rest at once."""
    seen: Recorded = []
    runner = EmbeddedRunner(lambda topic, event: seen.append((topic, event)), wire=wire)
    runner.feed(events[:1])
    runner.control(controls)
    runner.feed(events[1:])
    return seen


def full_book(rows: int = 1500) -> tuple[list[Event], list[Control]]:
    """A book with all that can happen to it: bad rows, missing rows, controls, and columns that stop half way."""
    whole = spoil(ticks(rows))
    first, second = cut(whole, 0, 1250), cut(whole, 1250, rows)
    bare = msgspec.structs.replace(second, bid=None, ask=None, size=None, buy_size=None)
    events: list[Event] = [opening(config()), *without(first, [1150, 1151, 1201]), bare]
    return [*events, BookClosed(book="book", last=rows + 1)], controls()


Table = dict[str, dict[str, np.ndarray] | list[bytes]]


def table(events: Iterable[Event]) -> Table:
    """Canonical form: rows sorted by seq, a column a name; NaN is a column that a row does not have."""
    batches: dict[str, list[Batch]] = {}
    found: Table = {}
    for event in events:
        name = type(event).__name__
        if isinstance(event, Batch):
            name += f" {','.join(event.agents)}" if isinstance(event, Proposals) else ""
            batches.setdefault(f"{event.book} {name}", []).append(event)
        else:
            singles = found.setdefault(name, [])
            if isinstance(singles, list):
                singles.append(msgspec.json.encode(event))
    for name, parts in batches.items():
        found[name] = _columns(parts)
    for singles in found.values():
        if isinstance(singles, list):
            singles.sort()
    return found


def _columns(parts: Sequence[Batch]) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    order = np.argsort(np.concatenate([p.seq for p in parts]), kind="stable")
    for name in parts[0].__struct_fields__:
        values = [getattr(p, name) for p in parts]
        arrays = [v for v in values if isinstance(v, np.ndarray)]
        if arrays:
            shape = arrays[0].shape[1:]
            filled = [
                np.full((len(p), *shape), np.nan) if v is None else v
                for p, v in zip(parts, values, strict=True)
            ]
            columns[name] = np.concatenate(filled)[order]
        else:
            columns[name] = np.array(sorted({repr(v) for v in values}))
    return columns


def difference(got: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first place where two tables differ in a bit, in words."""
    if got.keys() != wanted.keys():
        return f"kinds are {sorted(got)}, wanted {sorted(wanted)}"
    for kind, columns in wanted.items():
        other = got[kind]
        if isinstance(columns, list):
            odd = set(columns) ^ set(other)
            if columns != other:
                return f"{kind}: {len(other)} events, wanted {len(columns)}; only in one: {sorted(odd)[:2]}"
            continue
        for name, values in columns.items():
            mine = other[name]
            if mine.shape != values.shape or mine.dtype != values.dtype:
                return f"{kind}.{name} is {mine.dtype}{mine.shape}, wanted {values.dtype}{values.shape}"
            if mine.tobytes() != values.tobytes():
                unlike = (mine != values).reshape(len(values), -1).any(axis=1)
                row = int(np.argmax(unlike))
                return f"{kind}.{name} differs first in row {row}: {mine[row]}, wanted {values[row]}"
    return None


def same(got: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Fail with one sentence where two tables differ."""
    found = difference(got, wanted)
    if found is not None:
        pytest.fail(found, pytrace=False)


def outputs(seen: Recorded, *topics: Topic) -> Table:
    """Canonical form of what lies on some topics."""
    names = {topic.name for topic in topics}
    return table(event for topic, event in seen if topic.name in names)
