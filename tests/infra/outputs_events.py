"""Events of a fabricated run, for the tests of what is written from them."""

from collections.abc import Iterator

import numpy as np

from windvane.infra.report import Facts
from windvane.metamodel.base.config import TradingConfig
from windvane.streams import events as ev

DAY = 86_400_000_000_000
AGENTS = ("momentum", "reversion", "trend")
MEMBERS = ("equal", "prod")
ACCOUNTS = ("ensemble", "equal_weights", "buy_and_hold", *(f"agent:{a}" for a in AGENTS))
CONFIG = TradingConfig(agents=AGENTS, seed=3)
FACTS = Facts(
    file="ticks <b>&.csv",
    kind="simulated",
    config=CONFIG,
    preset="balanced",
    members=MEMBERS,
    rejected={"duplicate": 2, "crossed book: bid above ask": 0},
    notes=["</script><script>alert(1)</script>"],
    pipeline_seconds=0.5,
    latency_us={"p50": 10.0, "p99": 40.0},
)


def rounds(n: int, warm: int, days: float = 50.0, seed: int = 0) -> ev.Decisions:
    """n rows over some days, `warm` of them warming up."""
    rng = np.random.default_rng(seed)
    ts = 19_700 * DAY + np.sort(rng.integers(1, int(days * DAY), n))
    steps = rng.normal(1e-4, 1e-3, (n, len(ACCOUNTS)))
    steps[:warm] = 0.0
    equities = CONFIG.capital * (1 + np.cumsum(steps, axis=0))
    flags = np.where(np.arange(n) < warm, ev.WARMUP, 0)
    flags[5::97] |= ev.BAD
    weights = rng.dirichlet(np.ones(3), n)
    return ev.Decisions(
        book="b",
        seq=np.arange(n),
        ts=ts,
        flags=flags,
        mid=40_000 + rng.normal(size=n).cumsum(),
        weights=weights,
        members=rng.dirichlet(np.ones(2), n),
        member_targets=np.zeros((n, 2)),
        wanted=rng.uniform(-1, 1, n),
        target=rng.uniform(-1, 1, n),
        verdicts=rng.choice([0, 0, 1, 1 << 4 | 1 << 15], n),
        state=rng.choice([0, 0, 0, 1, 2], n),
        position=rng.uniform(-1, 1, n),
        equity=equities[:, 0].copy(),
        equities=equities,
        learner=np.arange(n) // 100,
        controls=np.zeros(n, np.int64),
        agents=AGENTS,
        accounts=ACCOUNTS,
    )


def orders_of(made: ev.Decisions) -> tuple[ev.Orders, ev.Fills]:
    """An order at every tenth row, filled a row later."""
    at = np.arange(0, len(made) - 1, 10)
    qty = np.where(at % 20 == 0, 0.5, -0.25)
    orders = ev.Orders(
        book="b",
        seq=made.seq[at],
        ts=made.ts[at],
        qty=qty,
        price=made.mid[at],
        reduce_only=at % 3 % 2,
        valid_until=made.ts[at] + 1,
        target_after=made.target[at],
        reason=at % 4,
    )
    filled = np.where(at % 50 == 0, 0.0, qty)
    fills = ev.Fills(
        book="b",
        seq=made.seq[at + 1],
        order_seq=made.seq[at],
        ts=made.ts[at + 1],
        qty=filled,
        price=made.mid[at + 1],
        fee=np.abs(filled),
    )
    return orders, fills


def statements(made: ev.Decisions) -> ev.Statements:
    """One row a day, and one more for the end of the book."""
    day = (made.ts - 1) // DAY
    at = np.append(np.flatnonzero(np.diff(day)), [len(day) - 1, len(day) - 1])
    count = np.repeat((at + 1.0)[:, None], len(ACCOUNTS), axis=1)
    return ev.Statements(
        book="b",
        seq=np.arange(len(at)),
        ts=made.ts[at],
        day=day[at],
        pnl=made.equities[at] - CONFIG.capital,
        position=count * 0,
        turnover=count / 100,
        fees=count,
        orders=count,
        exposure=count / 2,
        rows=count,
        drawdown=count * 0,
        halts=count * 0 + 1,
        accounts=ACCOUNTS,
    )


def run(made: ev.Decisions | None, cut: int = 256) -> Iterator[ev.Event]:
    """The events of a run in the order of a journal."""
    yield ev.BookOpened(book="b", config=CONFIG, digest="d")
    yield ev.DeadLetter(book="b", source="row 3", reason="price is not a positive number", payload="3,\x00é")
    if made is not None:
        orders, fills = orders_of(made)
        for batch in (made, orders, fills, statements(made)):
            for at in range(0, len(batch), cut):
                yield ev.cut(batch, at, at + cut)
        yield ev.LearnerUpdate(
            book="b",
            version=1,
            trained_at=99,
            effective_from=131,
            outcome="kept",
            samples=9,
            agents=AGENTS,
            scores=(0.1, 0.3, 0.2),
        )
        yield ev.Control(book="b", number=1, action="halt", effective_from=50, reason="<i>drill</i>")
    yield ev.BookClosed(book="b", last=len(made) - 1 if made is not None else -1)
