"""Whether an agent keeps what `windvane.Agent` promises: every law is tried on a simulated market.

A law is a function that returns "" where it is kept, and else in words how it is broken.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.guest import GuestError
from windvane.metamodel.features.extractor import MarketFeatureExtractor
from windvane.metamodel.simulation.market import BAR, simulate

ROWS = 1600
_SEED = 7
_IDLE = 11  # every so many rows, one carries no new information
_CUT = 1100  # a row past the warm-up of the features, at which a market is cut, stored or changed
_SCALE = 8.0
_NEAR = 1e-9  # by which proposals may differ where prices are scaled

Make = Callable[[], Agent]
"""Makes the agent anew."""


class Market(NamedTuple):
    """n rows as agents get them."""

    x: Floats  # (n, 50)
    price: Floats  # (n,)
    good: Ints  # (n,)

    def part(self, start: int, stop: int) -> "Market":
        """Copies of rows start <= t < stop."""
        return Market._make(column[start:stop].copy() for column in self)


class Verdict(NamedTuple):
    """What became of a law. broken: how it is broken, in words; "" where it is kept."""

    law: str
    broken: str


def market(scale: float = 1.0) -> Market:
    """A simulated market whose prices and volumes are all multiplied by `scale`."""
    m = simulate("standard", ROWS, _SEED)
    columns = {
        name: getattr(m, name) * scale
        for name in ("price", "size", "bid", "ask", "bid_size", "ask_size", "buy_size")
    }
    rows = MarketFeatureExtractor(stale_after=10 * BAR).step(m.ts, np.zeros(ROWS, np.int64), **columns)
    good = np.ones(ROWS, np.int64)
    good[_IDLE::_IDLE] = 0
    idle = np.flatnonzero(good == 0)
    x, price = rows.x.copy(), rows.mid.copy()
    x[idle], price[idle] = x[idle - 1], price[idle - 1]
    return Market(x, price, good)


def verdicts(make: Make) -> Iterator[Verdict]:
    """Try every law; a GuestError that an agent ends with breaks the law that is tried."""
    rows = market()
    for name, law in LAWS.items():
        try:
            yield Verdict(name, law(make, rows))
        except GuestError as error:
            yield Verdict(name, str(error))


def microseconds(make: Make) -> tuple[float, float]:
    """Time that a row takes, in one call with all rows and in calls of one row each, µs; compiling is not counted."""
    rows, agent = market(), make()
    agent.propose(*rows.part(0, 1))
    agent = make()
    began = time.perf_counter()
    agent.propose(*rows)
    whole, agent = time.perf_counter() - began, make()
    began = time.perf_counter()
    for t in range(ROWS):
        agent.propose(*rows.part(t, t + 1))
    return whole / ROWS * 1e6, (time.perf_counter() - began) / ROWS * 1e6


def _in_range(make: Make, rows: Market) -> str:
    said = make().propose(*rows)
    for name, low, high in (("target", -1, 1), ("action", -1, 1), ("confidence", 0, 1)):
        values = getattr(said, name)
        if not ((values >= low) & (values <= high)).all():
            return f"a {name} is not in [{low}, {high}]"
    moved = np.sign(np.diff(said.target, prepend=0.0)).astype(np.int64)
    row = _first_unlike(moved, said.action)
    return "" if row is None else f"the action of row {row} is not the sign of the change of target"


def _same_again(make: Make, rows: Market) -> str:
    return _unlike(
        make().propose(*rows), make().propose(*rows), "asked again, it proposes otherwise from row {row}"
    )


def _causal(make: Make, rows: Market) -> str:
    other = rows.part(0, ROWS)
    other.x[_CUT:], other.price[_CUT:] = rows.x[::-1][: ROWS - _CUT], rows.price[_CUT:] * 3.0
    first, second = (make().propose(*each) for each in (rows, other))
    return _unlike(_part(first, _CUT), _part(second, _CUT), f"row {{row}} depends on rows from {_CUT} on")


def _scale_free(make: Make, rows: Market) -> str:
    said, scaled = make().propose(*rows), make().propose(*market(_SCALE))
    for name in ("target", "confidence"):
        far = np.abs(getattr(said, name) - getattr(scaled, name)) > _NEAR
        if far.any():
            return (
                f"with prices and volumes times {_SCALE:g}, the {name} of row {int(far.argmax())} is another"
            )
    return ""


def _uncut(make: Make, rows: Market) -> str:
    whole, agent = make().propose(*rows), make()
    single = [agent.propose(*rows.part(t, t + 1)) for t in range(ROWS)]
    joined = Proposal._make(np.concatenate(parts) for parts in zip(*single, strict=True))
    return _unlike(whole, joined, "in calls of one row each, row {row} is another")


def _idle(make: Make, rows: Market) -> str:
    said, agent = make().propose(*rows), make()
    for t in np.flatnonzero(rows.good == 0).tolist():
        if said.target[t] != said.target[t - 1] or said.action[t] or said.confidence[t]:
            return f"row {t} brings nothing new, and its proposal is not the last target with confidence 0"
    agent.propose(*rows.part(0, _CUT))
    before = agent.state()
    row = rows.part(_CUT, _CUT + 1)
    agent.propose(row.x, row.price, np.zeros(1, np.int64))
    return "" if _equal(before, agent.state()) else "a row that brings nothing new changes its state"


def _goes_on(make: Make, rows: Market) -> str:
    whole = make().propose(*rows)
    for cut in (1, _CUT):
        first, second = make(), make()
        first.propose(*rows.part(0, cut))
        state = first.state()
        kept = {name: value.copy() for name, value in state.items()}
        first.propose(*rows.part(cut, ROWS))
        if not _equal(state, kept):
            return "its state changes after it was told: return copies"
        second.restore({name: value.copy() for name, value in kept.items()})
        rest = second.propose(*rows.part(cut, ROWS))
        tail = Proposal._make(column[cut:] for column in whole)
        broken = _unlike(
            tail, rest, f"restored from its state after row {cut - 1}, it differs {{row}} rows later"
        )
        if broken:
            return broken
    return ""


def _equal(one: dict[str, Floats], other: dict[str, Floats]) -> bool:
    return one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


def _part(said: Proposal, stop: int) -> Proposal:
    return Proposal._make(column[:stop] for column in said)


def _unlike(one: Proposal, other: Proposal, sentence: str) -> str:
    """The sentence with the first row in which two proposals differ in a bit, "" where none does."""
    rows = [_first_unlike(a, b) for a, b in zip(one, other, strict=True)]
    found = [row for row in rows if row is not None]
    return sentence.format(row=min(found)) if found else ""


def _first_unlike(one: np.ndarray, other: np.ndarray) -> int | None:
    unlike = np.asarray(one) != np.asarray(other)
    return int(unlike.argmax()) if unlike.any() else None


LAWS: dict[str, Callable[[Make, Market], str]] = {
    "in range": _in_range,
    "the same again": _same_again,
    "causal": _causal,
    "scale-free": _scale_free,
    "however rows are cut": _uncut,
    "rows without news": _idle,
    "state and restore": _goes_on,
}
"""Every law by its name."""
