"""The event types: columnar batches of one book, and single events that people and venues read.

Times are UNIX nanoseconds UTC, event time. The arrays of a batch have one length n >= 1, int64 or float64,
C-contiguous; a column that the source does not have is None and absent on the wire. NaN and inf never travel.
"""

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.base.rows import BAD, BENCHED, GAP, HEARTBEAT, LEVEL, REPEATED, STRAY, WARMUP
from windvane.metamodel.trading.columns import STATEMENT
from windvane.streams.batches import B, Batch, Event, column, column_of, cut, join

__all__ = ["BAD", "BENCHED", "GAP", "HEARTBEAT", "LEVEL", "REPEATED", "STRAY", "WARMUP"]
__all__ += ["B", "Batch", "Event", "column_of", "cut", "join"]

Times = np.ndarray[tuple[int], np.dtype[np.int64]]
"""A column of times that others write: on the wire whole numbers, or texts of their digits, for JavaScript's numbers
end at 2^53."""


class BookOpened(Event, frozen=True, kw_only=True):
    """First event of a book: all that decides what its stages compute, so the log alone says what was run."""

    config: Annotated[
        TradingConfig, Meta(description="who feeds a book gives what differs from the defaults")
    ]
    digest: Annotated[
        str,
        Meta(
            description="of config: the same digest again resumes, another is refused; whoever feeds a book leaves it "
            "out, and the features stage completes config and digest"
        ),
    ]


class BookClosed(Event, frozen=True, kw_only=True):
    """Last event of a book: stages drop its state once they have worked off row `last`."""

    last: Annotated[int, Meta(description="seq of the last row, -1 where there is none")]


class Ticks(Batch, frozen=True, kw_only=True):
    """What the market did; a bar is a row at its close."""

    ts: Annotated[Times, column("event time, UNIX ns; a whole number, or a text of its digits")]
    flags: Annotated[
        Ints, column("1 heartbeat, 32 where the reader of a file vouches for another level of price, or 0")
    ]
    price: Annotated[Floats, column("last trade or close, quote currency")]
    size: Annotated[Floats | None, column("volume since the last row, base currency")] = None
    bid: Annotated[Floats | None, column("best bid")] = None
    ask: Annotated[Floats | None, column("best ask")] = None
    bid_size: Annotated[Floats | None, column("base currency at the best bid")] = None
    ask_size: Annotated[Floats | None, column("base currency at the best ask")] = None
    buy_size: Annotated[Floats | None, column("part of size whose aggressor bought")] = None
    regime: Annotated[
        Ints | None,
        column("true label of a simulated market, -1 unknown; for scoring only, no stage reads it"),
    ] = None
    received: Annotated[
        Ints | None, column("broker's time of the record, UNIX ns; set by who reads it, not by who sends it")
    ] = None


class Features(Batch, frozen=True, kw_only=True):
    """What is known of the market at each row."""

    matrices: ClassVar[dict[str, str]] = {"x": "", "regime": ""}
    in_base64: ClassVar[frozenset[str]] = frozenset({"x", "regime"})

    ts: Annotated[Ints, column("UNIX ns")]
    flags: Annotated[Ints, column("bits of windvane.metamodel.base.rows")]
    x: Annotated[Floats, column("raw features, columns of windvane.metamodel.features.extractor.NAMES", "50")]
    price: Annotated[Floats, column("last good price")]
    mid: Annotated[Floats, column("(bid + ask) / 2, or price where there are no quotes")]
    bid: Annotated[Floats | None, column()] = None
    ask: Annotated[Floats | None, column()] = None
    size: Annotated[Floats | None, column("base currency")] = None
    regime: Annotated[Floats | None, column("posterior, where a regime classifier runs", "7")] = None
    model: Annotated[str, Meta(description="version of the regime classifier")] = "none"


class Proposals(Batch, frozen=True, kw_only=True):
    """What the agents of one worker want."""

    matrices: ClassVar[dict[str, str]] = {
        "target": "agents",
        "action": "agents",
        "confidence": "agents",
        "benched": "agents",
    }
    in_base64: ClassVar[frozenset[str]] = frozenset({"target", "confidence"})
    absent: ClassVar[dict[str, int]] = {"benched": 0}

    agents: Annotated[tuple[str, ...], Meta(description="(A,) names")]
    versions: Annotated[tuple[str, ...], Meta(description="(A,)")]
    target: Annotated[Floats, column("target position in [-1, 1]", "A")]
    action: Annotated[Ints, column("-1 sell, 0 hold, 1 buy", "A")]
    confidence: Annotated[Floats, column("in [0, 1]", "A")]
    benched: Annotated[
        Ints | None,
        column("0, or why the agent takes no part: place in windvane.agents.benching.REASONS; None: 0", "A"),
    ] = None
    unproven: Annotated[
        bool,
        Meta(description="whether no signature proves who sent it; set by who reads it, not by who sends it"),
    ] = False


class Decisions(Batch, frozen=True, kw_only=True):
    """One round a row: who was believed, what came of it, and every choice that time made."""

    matrices: ClassVar[dict[str, str]] = {
        "weights": "agents",
        "members": "",
        "member_targets": "",
        "equities": "accounts",
        "regime": "",
        "awake": "agents",
        "benched": "agents",
    }
    absent: ClassVar[dict[str, int]] = {"awake": 1, "benched": 0}

    ts: Annotated[Ints, column("UNIX ns")]
    flags: Annotated[Ints, column("of the features, and 16 where an agent is benched")]
    mid: Annotated[Floats, column("what the account is marked at")]
    weights: Annotated[
        Floats, column("on the capped simplex; with the cash expert they sum to what is not cash", "A")
    ]
    members: Annotated[Floats, column("Fixed-Share weight of every member", "M")]
    member_targets: Annotated[Floats, column("target position of every member alone", "M")]
    wanted: Annotated[Floats, column("weighted sum of the agents' targets, but for moves too small to trade")]
    target: Annotated[Floats, column("after risk, in units of capital")]
    verdicts: Annotated[Ints, column("bit k: gate k of windvane.metamodel.trading.risk.GATES acted")]
    state: Annotated[Ints, column("0 active, 1 reduce-only, 2 halted")]
    position: Annotated[Floats, column("qty x mid / capital")]
    equity: Annotated[Floats, column("currency")]
    equities: Annotated[Floats, column("of every account of `accounts`, the ensemble's first", "K")]
    learner: Annotated[Ints, column("version of the learner in use")]
    controls: Annotated[Ints, column("number of the last control applied, 0 for none")]
    agents: Annotated[tuple[str, ...], Meta(description="(A,)")]
    accounts: Annotated[tuple[str, ...], Meta(description="(K,)")]
    regime: Annotated[Floats | None, column("posterior that came with the features", "7")] = None
    awake: Annotated[
        Ints | None, column("1 where the agent's answer was in when the round closed; None: all, always", "A")
    ] = None
    benched: Annotated[
        Ints | None, column("0, or why the agent took no part, as in the proposals; None: 0", "A")
    ] = None


class Orders(Batch, frozen=True, kw_only=True):
    """Orders as columns; `each_order` makes them single events."""

    ts: Annotated[Ints, column("UNIX ns")]
    qty: Annotated[Floats, column("base currency, > 0 buys")]
    price: Annotated[Floats, column("reference: the mid it was decided at")]
    reduce_only: Annotated[Ints, column("1 if it may only reduce")]
    valid_until: Annotated[Ints, column("UNIX ns")]
    target_after: Annotated[
        Floats, column("position once it and all in flight are filled, in units of capital")
    ]
    reason: Annotated[Ints, column("index of windvane.metamodel.base.account.REASONS")]


class Fills(Batch, frozen=True, kw_only=True):
    """Fills as columns; a row has two where an urgent order is filled beside one that was due."""

    most_a_row: ClassVar[int] = 2

    order_seq: Annotated[Ints, column("seq of the order filled")]
    ts: Annotated[Ints, column("UNIX ns")]
    qty: Annotated[Floats, column("base currency, > 0 bought; 0 where participation left nothing")]
    price: Annotated[Floats, column("with half spread and slippage in it")]
    fee: Annotated[Floats, column("currency")]


class Statements(Batch, frozen=True, kw_only=True):
    """Where every account stood at the end of a UTC day, or of the book; sums since the book was opened."""

    matrices: ClassVar[dict[str, str]] = dict.fromkeys(STATEMENT, "accounts")

    ts: Annotated[Ints, column("of the last row of the day")]
    day: Annotated[Ints, column("days since 1970-01-01")]
    pnl: Annotated[Floats, column("currency", "K")]
    position: Annotated[Floats, column("units of capital", "K")]
    turnover: Annotated[Floats, column("sum of |qty x price| / capital", "K")]
    fees: Annotated[Floats, column("currency", "K")]
    orders: Annotated[Floats, column("number of fills", "K")]
    exposure: Annotated[Floats, column("sum of |position| over good rows after warm-up", "K")]
    rows: Annotated[Floats, column("good rows after warm-up", "K")]
    drawdown: Annotated[Floats, column("largest fall of pnl / capital so far", "K")]
    halts: Annotated[Floats, column("times trading was halted", "K")]
    accounts: Annotated[tuple[str, ...], Meta(description="(K,)")]


class Shadows(Batch, frozen=True, kw_only=True):
    """Where the accounts of agents that take no part stood at the end of a UTC day, or of the book."""

    matrices: ClassVar[dict[str, str]] = dict.fromkeys((*STATEMENT, "score"), "agents")

    ts: Annotated[Ints, column("of the last row of the day")]
    day: Annotated[Ints, column("days since 1970-01-01")]
    pnl: Annotated[Floats, column("currency", "S")]
    position: Annotated[Floats, column("units of capital", "S")]
    turnover: Annotated[Floats, column("sum of |qty x price| / capital", "S")]
    fees: Annotated[Floats, column("currency", "S")]
    orders: Annotated[Floats, column("number of fills", "S")]
    exposure: Annotated[Floats, column("sum of |position| over good rows after warm-up", "S")]
    rows: Annotated[Floats, column("good rows after warm-up", "S")]
    drawdown: Annotated[Floats, column("largest fall of pnl / capital so far", "S")]
    halts: Annotated[Floats, column("times trading was halted", "S")]
    score: Annotated[Floats, column("mean normalised score so far", "S")]
    agents: Annotated[tuple[str, ...], Meta(description="(S,) ids")]
    versions: Annotated[tuple[str, ...], Meta(description="(S,)")]


class LearnerUpdate(Event, frozen=True, kw_only=True):
    """What slow learning came to; one for every version, also where the model in use was kept."""

    version: Annotated[int, Meta(description="m = 1, 2, ...")]
    trained_at: Annotated[int, Meta(description="seq of good row m x T")]
    effective_from: Annotated[int, Meta(description="seq of the first row that uses it")]
    outcome: Annotated[str, Meta(description='"kept" or "swapped"')]
    samples: Annotated[int, Meta(description="scored rows behind it")]
    agents: tuple[str, ...]
    scores: Annotated[
        tuple[float, ...],
        Meta(description="mean normalised score of every agent over the rows since the last version"),
    ]
    weights: Annotated[str, Meta(description="base64 of safetensors, where swapped")] = ""
    score_new: Annotated[
        float, Meta(description="mean squared error on the newest samples of what was trained")
    ] = 0.0
    score_old: Annotated[float, Meta(description="of what was in use")] = 0.0


class TrainRequest(Event, frozen=True, kw_only=True):
    """What a version is to be trained on; for the runner's trainer, on no topic."""

    version: int
    raw: Annotated[bytes, Meta(description="safetensors: samples, the weights to start from, settings")]


class TrainResult(Event, frozen=True, kw_only=True):
    """What a trainer made of a request; on no topic. The same request gives the same bytes."""

    version: int
    raw: Annotated[bytes, Meta(description="safetensors: weights, and both scores")]


class Control(Event, frozen=True, kw_only=True):
    """What a person ordered."""

    number: Annotated[int, Meta(description="1, 2, ... in the order to apply")]
    action: Annotated[
        str, Meta(description="halt, reduce-only, resume, flatten, roll-back, swap, wake, retire")
    ]
    effective_from: Annotated[int, Meta(description="seq of the first row it rules")]
    reason: str = ""
    model: Annotated[str, Meta(description="of a swap: SHA-256 of the safetensors, hex")] = ""
    agent: Annotated[str, Meta(description="of wake and retire: whose seat")] = ""
    signature: Annotated[str, Meta(description="of who ordered it, hex; what has no broker has none")] = ""


class Model(Event, frozen=True, kw_only=True):
    """Weights for one control to swap to; they are there before it, and count for nothing without it."""

    number: Annotated[int, Meta(description="of the control")]
    sha256: Annotated[str, Meta(description="of the safetensors, hex")]
    weights: Annotated[
        str, Meta(description="base64 of safetensors: a predictor's, or all that a learner knows")
    ]
    signature: Annotated[str, Meta(description="as of the control")] = ""


class DeadLetter(Event, frozen=True, kw_only=True):
    """What was rejected and why; nothing is dropped in silence."""

    source: Annotated[
        str, Meta(description="where it came from: file and row, or topic, partition and offset")
    ]
    reason: str
    payload: Annotated[str, Meta(description="what it said, as text")]
