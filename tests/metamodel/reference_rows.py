"""What the slow reference of a round reads and gives, and its arithmetic in whole lots and fractions."""

from fractions import Fraction
from typing import NamedTuple

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
MIDNIGHT = 11_600 * DAY


class Row(NamedTuple):
    """What one row brings; bid, ask and size are None where the source has none."""

    seq: int
    ts: int
    flag: int
    mid: float
    bid: float | None
    ask: float | None
    size: float | None
    wanted: float
    confidence: float
    control: int


class Scaling:
    """What is wanted times max(0, 2p - 1) over the mean of that so far."""

    def __init__(self) -> None:
        self.count, self.mean = 0, 0.0

    def of(self, row: Row) -> Row:
        """The row with what is wanted scaled."""
        if row.wanted == 0.0:
            return row
        surplus = max(2 * row.confidence - 1, 0.0)
        self.count += 1
        self.mean += max(1 - 0.5 ** (1 / 4000), 1 / self.count) * (surplus - self.mean)
        return row._replace(wanted=row.wanted * (min(surplus / self.mean, 3.0) if surplus else 0.0))


Fill = tuple[int, int, Fraction, Fraction]


class Seen(NamedTuple):
    """What one row left; fills: seq of the order, lots, price, fee of each; aim: what the order was for."""

    verdict: frozenset[str]
    state: int
    order: int
    fills: list[Fill]
    aim: int
    lots: int
    equity: Fraction
    mid: float  # what it is marked at


def exact(value: float) -> Fraction:
    """The decimal number that a person wrote."""
    return Fraction(repr(value))


def reduction(want: int, held: int) -> int:
    """The part of a wanted position that lies between 0 and the one held."""
    if held >= 0:
        return max(0, min(want, held))
    return min(0, max(want, held))


def near(mid: float, last: float) -> bool:
    """Whether two mids are on one level."""
    return max(exact(mid), exact(last)) <= 2 * min(exact(mid), exact(last))


def nearest(positions: list[int]) -> int:
    """The one nearest to 0 of positions that are all long or all short; else 0."""
    if all(held > 0 for held in positions):
        return min(positions)
    return max(positions) if all(held < 0 for held in positions) else 0
