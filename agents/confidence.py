"""Confidence: the probability that a proposal, held, earns more than it costs over the next 32 good rows.

A logistic model, fitted before, says how probable that is by what is known of the market at the row. How far it is
believed follows from what came of the agent's own proposals: its probability and the plain frequency of the outcome are
averaged by how well each has foretold it (Bayesian model averaging: Hoeting, Madigan, Raftery and Volinsky 1999). So
where nothing can be foretold, the probability hardly moves.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from windvane.agents.base import Floats, Ints
from windvane.agents.errors import WindvaneError
from windvane.agents.kernel import inlined, kernel
from windvane.agents.state import FEATURES

HORIZON = 32
"""Good rows over which a proposal is judged."""

_MOST = 5.0
"""Largest log odds of the model, so that no single outcome decides whether it is believed."""

_KEEP = 0.5 ** (1.0 / 50_000.0)
"""Of the evidence from row to row: markets change, so what was foretold 50,000 rows ago counts half."""

Weights = tuple[tuple[int, float], ...]


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The probability that a proposal pays, as a logistic model; raises WindvaneError for what cannot be.

    The log odds are `intercept`, and the raw features of a row times their weights; those of `sided` are multiplied by
    the side of the target, 1 or -1, too.
    """

    sided: Annotated[Weights, Meta(description="[column of x, weight] of features times the target's side")]
    plain: Annotated[Weights, Meta(description="[column of x, weight] of features whatever the side")]
    intercept: float
    base: Annotated[float, Meta(description="how often proposals paid where this was fitted")]
    cost: Annotated[float, Meta(description="of a unit traded, share of price, at which they were judged")]

    def __post_init__(self) -> None:
        columns = [column for column, _ in (*self.sided, *self.plain)]
        numbers = [self.intercept, self.cost, *(weight for _, weight in (*self.sided, *self.plain))]
        if not all(0 <= column < FEATURES for column in columns):
            raise WindvaneError(f"its confidence reads column {max(columns)}: give 0 to {FEATURES - 1}")
        if not (np.isfinite(numbers).all() and 0.0 < self.base < 1.0 and self.cost >= 0.0):
            raise WindvaneError(
                "its confidence has a number that is not finite, a base outside 0 to 1, or a cost below 0: fit it again"
            )


UNKNOWN = Calibration(sided=(), plain=(), intercept=0.0, base=0.5, cost=0.0)
"""Of an agent that was never calibrated: half, whatever happens."""

_COUNT, _TARGET, _EVIDENCE, _RING = range(4)
_FIRST, _HELD, _PAID, _PRICE, _WIDTH = range(5)
_SIZE = _RING + _WIDTH * HORIZON
"""Memory: good rows so far, the last target, the log odds that the model foretells more than the base does; and of the
last 32 good rows the model's probability, the target, the cost of the change to it, and the price."""

_INTERCEPT, _BASE, _COST, _WEIGHTS = range(4)


class Confidence:
    """The confidence of one agent: its calibration, and what is remembered of its proposals."""

    def __init__(self, calibration: Calibration | None) -> None:
        known = UNKNOWN if calibration is None else calibration
        weighed = (*known.sided, *known.plain)
        self._sided = len(known.sided)
        self._columns = np.array([column for column, _ in weighed], np.int64)
        self._numbers = np.array(
            [known.intercept, known.base, known.cost, *(weight for _, weight in weighed)]
        )
        self.memory = np.zeros(_SIZE)

    def step(self, x: Floats, price: Floats, good: Ints, target: Floats) -> Floats:
        """Return the confidence (n,) in targets (n,); 0 where the target is 0, or the row brings nothing new.

        x: (n, 50); price, good: (n,); all as in `windvane.agents.base.Agent.propose`.
        """
        confidence = np.empty(len(target))
        _step(self._columns, self._sided, self._numbers, x, price, good, target, self.memory, confidence)
        return confidence

    def restore(self, memory: Floats | None) -> None:
        """Go on from a `memory`, None: of a release that knew none; raises ValueError where it does not fit."""
        known = np.zeros(_SIZE) if memory is None else np.array(memory, np.float64)
        if known.shape != (_SIZE,) or not (np.isfinite(known[:_RING]).all() and known[_COUNT] >= 0.0):
            raise ValueError(
                f"what is remembered of proposals has shape {known.shape}, or numbers that cannot be: restore the "
                "state of the same agent and version"
            )
        self.memory = known


@kernel
def _step(
    columns: Ints,
    sided: int,
    numbers: Floats,
    x: Floats,
    price: Floats,
    good: Ints,
    target: Floats,
    memory: Floats,
    confidence: Floats,
) -> None:
    base = numbers[_BASE]
    for t in range(good.shape[0]):
        confidence[t] = 0.0
        if good[t] == 0:
            continue
        count = int(memory[_COUNT])
        cell = _RING + _WIDTH * (count % HORIZON)
        if count >= HORIZON and memory[cell + _HELD] != 0.0:
            _learn(base, memory, cell, price[t])
        held, first = target[t], base
        if held != 0.0:
            first = _probability(columns, sided, numbers, x[t], 1.0 if held > 0.0 else -1.0)
            confidence[t] = base + (first - base) / (1.0 + np.exp(-memory[_EVIDENCE]))
        memory[cell + _FIRST] = first
        memory[cell + _HELD] = held
        memory[cell + _PAID] = abs(held - memory[_TARGET]) * numbers[_COST]
        memory[cell + _PRICE] = price[t]
        memory[_COUNT] += 1.0
        memory[_TARGET] = held


@inlined
def _probability(columns: Ints, sided: int, numbers: Floats, x: Floats, side: float) -> float:
    """What the model says of a target on this side at one row x (50,)."""
    odds = 0.0
    for i in range(sided):
        odds += numbers[_WEIGHTS + i] * x[columns[i]]
    odds *= side
    for i in range(sided, columns.shape[0]):
        odds += numbers[_WEIGHTS + i] * x[columns[i]]
    odds = min(max(numbers[_INTERCEPT] + odds, -_MOST), _MOST)
    return 1.0 / (1.0 + np.exp(-odds))


@inlined
def _learn(base: float, memory: Floats, cell: int, price: float) -> None:
    """Weigh what model and base had said of the proposal in a cell by what came of it.

    Outcomes of neighbouring rows share all but one of their 32 returns, so each counts a thirty-second.
    """
    first = memory[cell + _FIRST]
    if memory[cell + _HELD] * np.log(price / memory[cell + _PRICE]) > memory[cell + _PAID]:
        said = np.log(first / base)
    else:
        said = np.log((1.0 - first) / (1.0 - base))
    memory[_EVIDENCE] = _KEEP * memory[_EVIDENCE] + said / HORIZON


@inlined
def agreed(weights: Floats | Ints, target: Floats, confidence: Floats, position: float) -> float:
    """Return how probable it is that a position pays, by the agents that it is the weighted sum of; 0 where none is in.

    weights, target, confidence: (N,) of the agents. Each counts by what it adds to the position, and one on the other
    side by how probable it is that its own target does not pay.
    """
    mass, said = 0.0, 0.0
    for i in range(target.shape[0]):
        part = weights[i] * abs(target[i])
        mass += part
        said += part * (confidence[i] if target[i] * position > 0.0 else 1.0 - confidence[i])
    return said / mass if mass > 0.0 else 0.0


@kernel
def agreements(weights: Floats, target: Floats, confidence: Floats, position: Floats) -> Floats:
    """Return `agreed` for n rows, (n,): weights, target and confidence (n, N), position (n,)."""
    out = np.empty(len(position))
    for t in range(len(position)):
        out[t] = agreed(weights[t], target[t], confidence[t], position[t])
    return out
