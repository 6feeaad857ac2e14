"""The event types: columnar batches of one book, and single events that people and venues read.

Times are UNIX nanoseconds UTC, event time. The arrays of a batch have one length n >= 1, int64 or float64,
C-contiguous; a column that the source does not have is None and absent on the wire. NaN and inf never travel.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import msgspec
import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.base.rows import BAD, BENCHED, GAP, HEARTBEAT, LEVEL, REPEATED, STRAY, WARMUP
from windvane.metamodel.trading.columns import STATEMENT

__all__ = ["BAD", "BENCHED", "GAP", "HEARTBEAT", "LEVEL", "REPEATED", "STRAY", "WARMUP"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Anything that travels on a topic; the key is always the book."""

    book: str


class Batch(Event, frozen=True, kw_only=True):
    """A columnar event: n >= 1 rows, one a sequence number."""

    seq: Ints  # (n,) row numbers of the book, without gaps

    matrices: ClassVar[dict[str, str]] = {}
    """Columns that are (n, k), and the field that names their k columns, or "" where it is a constant."""

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def first(self) -> int:
        return int(self.seq[0])

    @property
    def last(self) -> int:
        return int(self.seq[-1])


B = TypeVar("B", bound=Batch)


def cut(batch: B, start: int, stop: int) -> B:
    """Rows start <= i < stop of a batch, as views."""
    if start == 0 and stop >= len(batch):
        return batch
    changed = {
        name: value[start:stop]
        for name in batch.__struct_fields__
        if isinstance(value := getattr(batch, name), np.ndarray)
    }
    return msgspec.structs.replace(batch, **changed)


def join(batches: Sequence[B]) -> B:
    """One batch of the rows of several, in the order given; what is not a column is taken from the first."""
    head = batches[0]
    if len(batches) == 1:
        return head
    changed: dict[str, Any] = {
        name: np.concatenate([getattr(b, name) for b in batches])
        for name in head.__struct_fields__
        if isinstance(getattr(head, name), np.ndarray)
    }
    return msgspec.structs.replace(head, **changed)


class BookOpened(Event, frozen=True, kw_only=True):
    """First event of a book: all that decides what its stages compute, so the log alone says what was run."""

    config: TradingConfig
    digest: str  # of config: the same digest again resumes, another is refused


class BookClosed(Event, frozen=True, kw_only=True):
    """Last event of a book: stages drop its state once they have worked off row `last`."""

    last: int  # seq of the last row, -1 where there is none


class Ticks(Batch, frozen=True, kw_only=True):
    """What the market did; a bar is a row at its close."""

    ts: Ints  # (n,) event time, UNIX ns
    flags: Ints  # (n,) 1 heartbeat, 32 where the reader of a file vouches for another level of price, or 0
    price: Floats  # (n,) last trade or close, quote currency
    size: Floats | None = None  # (n,) volume since the last row, base currency
    bid: Floats | None = None  # (n,) best bid
    ask: Floats | None = None  # (n,) best ask
    bid_size: Floats | None = None  # (n,) base currency at the best bid
    ask_size: Floats | None = None  # (n,) base currency at the best ask
    buy_size: Floats | None = None  # (n,) part of size whose aggressor bought
    regime: Ints | None = (
        None  # (n,) true label of a simulated market, -1 unknown; for scoring only, no stage reads it
    )
    received: Ints | None = (
        None  # (n,) broker's time of the record, UNIX ns; set by who reads it, not by who sends it
    )


class Features(Batch, frozen=True, kw_only=True):
    """What is known of the market at each row."""

    matrices: ClassVar[dict[str, str]] = {"x": "", "regime": ""}

    ts: Ints  # (n,) UNIX ns
    flags: Ints  # (n,) bits of windvane.metamodel.base.rows
    x: Floats  # (n, 50) raw features, columns of windvane.metamodel.features.extractor.NAMES
    price: Floats  # (n,) last good price
    mid: Floats  # (n,) (bid + ask) / 2, or price where there are no quotes
    bid: Floats | None = None  # (n,)
    ask: Floats | None = None  # (n,)
    size: Floats | None = None  # (n,) base currency
    regime: Floats | None = None  # (n, 7) posterior, where a regime classifier runs
    model: str = "none"  # version of the regime classifier


class Proposals(Batch, frozen=True, kw_only=True):
    """What the agents of one worker want."""

    matrices: ClassVar[dict[str, str]] = {"target": "agents", "action": "agents", "confidence": "agents"}

    agents: tuple[str, ...]  # (A,) names
    versions: tuple[str, ...]  # (A,)
    target: Floats  # (n, A) target position in [-1, 1]
    action: Ints  # (n, A) -1 sell, 0 hold, 1 buy
    confidence: Floats  # (n, A) in [0, 1]


class Decisions(Batch, frozen=True, kw_only=True):
    """One round a row: who was believed, what came of it, and every choice that time made."""

    matrices: ClassVar[dict[str, str]] = {
        "weights": "agents",
        "members": "",
        "member_targets": "",
        "equities": "accounts",
        "regime": "",
        "awake": "agents",
    }

    ts: Ints  # (n,) UNIX ns
    flags: Ints  # (n,)
    mid: Floats  # (n,) what the account is marked at
    weights: Floats  # (n, A) on the capped simplex; with the cash expert they sum to what is not cash
    members: Floats  # (n, M) Fixed-Share weight of every member
    member_targets: Floats  # (n, M) target position of every member alone
    wanted: Floats  # (n,) weighted sum of the agents' targets, but for moves too small to trade
    target: Floats  # (n,) after risk, in units of capital
    verdicts: Ints  # (n,) bit k: gate k of windvane.metamodel.trading.risk.GATES acted
    state: Ints  # (n,) 0 active, 1 reduce-only, 2 halted
    position: Floats  # (n,) qty x mid / capital
    equity: Floats  # (n,) currency
    equities: Floats  # (n, K) of every account of `accounts`, the ensemble's first
    learner: Ints  # (n,) version of the learner in use
    controls: Ints  # (n,) number of the last control applied, 0 for none
    agents: tuple[str, ...]  # (A,)
    accounts: tuple[str, ...]  # (K,)
    regime: Floats | None = None  # (n, 7) posterior that came with the features
    awake: Ints | None = (
        None  # (n, A) 1 where the agent's answer was in when the round closed; None: all, always
    )


class Orders(Batch, frozen=True, kw_only=True):
    """Orders as columns; `each_order` makes them single events."""

    ts: Ints  # (n,) UNIX ns
    qty: Floats  # (n,) base currency, > 0 buys
    price: Floats  # (n,) reference: the mid it was decided at
    reduce_only: Ints  # (n,) 1 if it may only reduce
    valid_until: Ints  # (n,) UNIX ns
    target_after: Floats  # (n,) position once it and all in flight are filled, in units of capital
    reason: Ints  # (n,) index of windvane.metamodel.base.account.REASONS


class Fills(Batch, frozen=True, kw_only=True):
    """Fills as columns."""

    order_seq: Ints  # (n,) seq of the order filled
    ts: Ints  # (n,) UNIX ns
    qty: Floats  # (n,) base currency, > 0 bought; 0 where participation left nothing
    price: Floats  # (n,) with half spread and slippage in it
    fee: Floats  # (n,) currency


class Statements(Batch, frozen=True, kw_only=True):
    """Where every account stood at the end of a UTC day, or of the book; sums since the book was opened."""

    matrices: ClassVar[dict[str, str]] = dict.fromkeys(STATEMENT, "accounts")

    ts: Ints  # (n,) of the last row of the day
    day: Ints  # (n,) days since 1970-01-01
    pnl: Floats  # (n, K) currency
    position: Floats  # (n, K) units of capital
    turnover: Floats  # (n, K) sum of |qty x price| / capital
    fees: Floats  # (n, K) currency
    orders: Floats  # (n, K) number of fills
    exposure: Floats  # (n, K) sum of |position| over good rows after warm-up
    rows: Floats  # (n, K) good rows after warm-up
    drawdown: Floats  # (n, K) largest fall of pnl / capital so far
    halts: Floats  # (n, K) times trading was halted
    accounts: tuple[str, ...]  # (K,)


class LearnerUpdate(Event, frozen=True, kw_only=True):
    """What slow learning came to; one for every version, also where the model in use was kept."""

    version: int  # m = 1, 2, ...
    trained_at: int  # seq of good row m x T
    effective_from: int  # seq of the first row that uses it
    outcome: str  # "kept" or "swapped"
    samples: int  # scored rows behind it
    agents: tuple[str, ...]
    scores: tuple[float, ...]  # mean normalised score of every agent over the rows since the last version
    weights: str = ""  # base64 of safetensors, where swapped
    score_new: float = 0.0  # mean squared error on the newest samples of what was trained
    score_old: float = 0.0  # of what was in use


class TrainRequest(Event, frozen=True, kw_only=True):
    """What a version is to be trained on; for the runner's trainer, on no topic."""

    version: int
    raw: bytes  # safetensors: samples, the weights to start from, settings


class TrainResult(Event, frozen=True, kw_only=True):
    """What a trainer made of a request; on no topic. The same request gives the same bytes."""

    version: int
    raw: bytes  # safetensors: weights, and both scores


class Control(Event, frozen=True, kw_only=True):
    """What a person ordered."""

    number: int  # 1, 2, ... in the order to apply
    action: str  # halt, reduce-only, resume, flatten, roll-back, swap
    effective_from: int  # seq of the first row it rules
    reason: str = ""
    model: str = ""  # of a swap: SHA-256 of the safetensors, hex
    signature: str = ""  # of who ordered it, hex; what has no broker has none


class Model(Event, frozen=True, kw_only=True):
    """Weights for one control to swap to; they are there before it, and count for nothing without it."""

    number: int  # of the control
    sha256: str  # of the safetensors, hex
    weights: str  # base64 of safetensors: a predictor's, or all that a learner knows
    signature: str = ""  # as of the control


class DeadLetter(Event, frozen=True, kw_only=True):
    """What was rejected and why; nothing is dropped in silence."""

    source: str  # where it came from: file and row, or topic, partition and offset
    reason: str
    payload: str  # what it said, as text
