"""Timeline: the bounded history of one book in memory, fed with the events of its topics."""

from collections import deque
from typing import Any

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.cockpit.results import Holding, Today
from windvane.infra.cockpit.ring import Ring
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.learning.members import MEMBERS
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    DeadLetter,
    Decisions,
    Event,
    Fills,
    LearnerUpdate,
    Orders,
    Proposals,
    Statements,
    cut,
)

ROWS = 10_080
"""Rows that are kept: a week of minutes."""

ORDER, FILL = 0, 1
"""Kinds of marks, which are orders and fills in the order in which they came."""

_MARKS = 4_000
_LETTERS = 100
_EARLY = 1_000

COLUMNS: dict[str, tuple[type, int]] = {
    **dict.fromkeys(("seq", "ts", "flags", "state", "verdicts", "learner", "controls"), (np.int64, 0)),
    **dict.fromkeys(("price", "position", "target", "wanted", "equity", "equal", "hold"), (np.float64, 0)),
    "late": (np.float32, 0),
    "members": (np.float32, len(MEMBERS)),
    "regime": (np.float32, len(REGIMES)),
}
MARK_COLUMNS: dict[str, tuple[type, int]] = {
    **dict.fromkeys(("seq", "ts", "kind", "order_seq", "reason"), (np.int64, 0)),
    **dict.fromkeys(("qty", "price", "fee"), (np.float64, 0)),
}


class Timeline:
    """What happened to one book, for people who look at it. `rows`: how many are kept."""

    def __init__(self, book: str, rows: int = ROWS) -> None:
        self.book = book
        self.symbol = ""
        self.agents: tuple[str, ...] = ()
        self.capital: float | None = None  # currency
        self.closed = False
        self.at = 0.0  # when the last row was decided, UNIX s
        self.letters: deque[DeadLetter] = deque(maxlen=_LETTERS)  # the newest last
        self.letter_count = 0
        self.update: LearnerUpdate | None = None  # the last learner version
        self._rows = rows
        self.today, self.holding = Today(), Holding()
        self.marks = Ring(_MARKS, MARK_COLUMNS)
        self.interval = 0.0  # s, 0 where the opening did not say
        self._early: deque[Proposals] = deque(maxlen=_EARLY)  # came before the names of the agents did
        self._begin(())

    def _begin(self, agents: tuple[str, ...]) -> None:
        """Forget all rows: nothing is known yet, or the agents have changed."""
        self.agents = agents
        self.ring = Ring(self._rows, COLUMNS | {"weights": (np.float32, len(agents))})
        early, self._early = self._early, deque(maxlen=_EARLY)
        self.wanted = Ring(self._rows, {"seq": (np.int64, 0), "targets": (np.float32, len(agents))})
        for rows in early:
            self._proposed(rows)

    def opened(self, symbol: str, agents: tuple[str, ...], capital: float, interval: float = 0.0) -> None:
        """What is known of the book's settings; interval: s between rows, 0 where they are trades."""
        self.symbol, self.capital, self.interval = symbol, capital, interval or self.interval
        if agents != self.agents and not len(self.ring):
            self._begin(agents)

    def add(self, event: Event, at: float) -> None:
        """Take in an event of this book, whatever its type; at: when it was written, UNIX s."""
        if isinstance(event, Decisions):
            self._decided(event, at)
        elif isinstance(event, Proposals):
            self._proposed(event)
        elif isinstance(event, Orders):
            self._mark(ORDER, event, event.seq, event.reason, np.zeros(len(event)))
        elif isinstance(event, Fills):
            self._mark(FILL, event, event.order_seq, np.zeros(len(event), np.int64), event.fee)
            self.holding.add(event.seq, event.qty, event.price)
        elif isinstance(event, Statements) and self.capital is not None:
            self.today.end_of_day(int(event.day[-1]), self.capital + float(event.pnl[-1, 0]))
        elif isinstance(event, LearnerUpdate):
            self.update = event
        elif isinstance(event, DeadLetter):
            self.letters.append(event)
            self.letter_count += 1
        elif isinstance(event, BookOpened):
            config = event.config
            self.opened(config.symbol, config.agents, config.capital, config.interval / 1e9)
        elif isinstance(event, BookClosed):
            self.closed = True

    def _decided(self, rows: Decisions, at: float) -> None:
        if rows.agents != self.agents:
            self._begin(rows.agents)
        known = self.last_seq
        if rows.last <= known:
            return
        rows = cut(rows, max(0, known + 1 - rows.first), len(rows))
        n = len(rows)
        if not self.ring.total and rows.first > 0 and self.capital is not None and rows.mid[0] > 0.0:
            qty = float(rows.position[0] * self.capital / rows.mid[0])
            self.holding.begin(rows.first, qty, float(rows.mid[0]))
            came = (
                self.marks["kind"] == FILL
            )  # topics are read side by side: fills may be ahead of their rows
            self.holding.add(*(self.marks[name][came] for name in ("seq", "qty", "price")))
        self.today.add(rows)
        self.ring.append(
            **{name: getattr(rows, name) for name in ("seq", "ts", "flags", "state", "verdicts", "learner")},
            **{name: getattr(rows, name) for name in ("controls", "position", "target", "wanted", "equity")},
            price=rows.mid,
            equal=_equity(rows, "equal_weights"),
            hold=_equity(rows, "buy_and_hold"),
            late=at - rows.ts / 1e9,
            weights=rows.weights,
            members=_fitting(rows.members, n, len(MEMBERS)),
            regime=_fitting(rows.regime, n, len(REGIMES)),
        )
        self.at = at

    def _proposed(self, rows: Proposals) -> None:
        """Remember what agents wanted; each worker of some agents sends its own columns of a row."""
        if not self.agents:
            self._early.append(rows)
            return
        places = [k for k, agent in enumerate(self.agents) if agent in rows.agents]
        if not places:
            return
        ring = self.wanted
        following = int(ring["seq"][-1]) + 1 if len(ring) else rows.first
        if rows.last >= following:
            seq = np.arange(max(following, rows.last + 1 - ring.most), rows.last + 1)
            ring.append(seq=seq, targets=np.full((len(seq), len(self.agents)), np.nan))
        start = rows.first - int(ring["seq"][0])
        targets, skipped = ring["targets"], max(0, -start)
        for k in places:
            told = rows.target[skipped:, rows.agents.index(self.agents[k])]
            targets[start + skipped : start + skipped + len(told), k] = told

    def _mark(self, kind: int, rows: Orders | Fills, order_seq: Any, reason: Any, fee: Any) -> None:
        self.marks.append(
            seq=rows.seq,
            ts=rows.ts,
            kind=np.full(len(rows), kind),
            order_seq=order_seq,
            reason=reason,
            qty=rows.qty,
            price=rows.price,
            fee=fee,
        )

    @property
    def last_seq(self) -> int:
        """The number of the last row decided, -1 before the first."""
        return int(self.ring["seq"][-1]) if len(self.ring) else -1

    @property
    def last_mark(self) -> int:
        """How many orders and fills have come."""
        return self.marks.total

    def obeyed(self, number: int) -> int | None:
        """The first row that the control of this number ruled, None where no row is known that it did."""
        controls = self.ring["controls"]
        at = int(np.searchsorted(controls, number))
        return int(self.ring["seq"][at]) if at < len(controls) and controls[at] == number else None

    def passed(self, number: int) -> bool:
        """Whether a later control rules already."""
        return len(self.ring) > 0 and int(self.ring["controls"][-1]) > number

    def refusal(self, payload: str, source: str = "") -> str | None:
        """Why the record with this payload, or from this source, was refused; None where it was not."""
        found = (one for one in reversed(self.letters) if one.payload == payload or one.source == source)
        return next((one.reason for one in found), None)


def _equity(rows: Decisions, account: str) -> Floats:
    """The equity (n,) of an account by its name, NaN where the program that decided had none of that name."""
    known = account in rows.accounts
    return rows.equities[:, rows.accounts.index(account)] if known else np.full(len(rows), np.nan)


def _fitting(matrix: Floats | None, rows: int, width: int) -> Floats:
    """A matrix (rows, width), NaN where there is none, or where the program that decided had other columns."""
    if matrix is None or matrix.shape[1] != width:
        return np.full((rows, width), np.nan)
    return matrix
