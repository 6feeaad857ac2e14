"""The rows that an environment plays: what it shows of the market, and the prices that belong to exactly those rows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.config import check
from windvane.metamodel.base.rows import REPEATED, WARMUP
from windvane.metamodel.features.extractor import FeatureRows


class Tape(NamedTuple):
    """The good, warm rows of one or several markets, one behind the other.

    Row t of every column is the same row of a market, so a state never meets the price of another row.
    """

    x: NDArray[Any]  # (n, F) what is shown: raw features, or scaled ones as float32
    mid: Floats  # (n,)
    bid: Floats  # (n,) NaN where there are no quotes
    ask: Floats  # (n,)
    size: Floats  # (n,) volume, base currency
    ts: Ints  # (n,) UNIX ns
    pieces: Ints  # (S, 2) first row of every market, and the row after its last


def tape_of(rows: FeatureRows) -> Tape:
    """Return the rows of one market that an account may trade on; raises ConfigError where they are fewer than 2."""
    kept = np.flatnonzero((rows.flags & (REPEATED | WARMUP)) == 0)
    check(
        len(kept) >= 2, f"{len(kept)} rows are left past the warm-up of 512 good rows: give a longer market"
    )
    absent = np.full(len(kept), np.nan)
    return Tape(
        x=np.ascontiguousarray(rows.x[kept]),
        mid=rows.mid[kept],
        bid=rows.bid[kept] if rows.bid.size else absent,
        ask=rows.ask[kept] if rows.ask.size else absent.copy(),
        size=rows.size[kept] if rows.size.size else np.zeros(len(kept)),
        ts=rows.ts[kept],
        pieces=np.array([[0, len(kept)]]),
    )


def joined(tapes: Sequence[Tape]) -> Tape:
    """Return several tapes as one; no episode crosses from one market into the next."""
    starts = np.cumsum([0, *(len(tape.mid) for tape in tapes[:-1])])
    columns = {
        name: np.concatenate([getattr(tape, name) for tape in tapes])
        for name in Tape._fields
        if name != "pieces"
    }
    pieces = [tape.pieces + start for tape, start in zip(tapes, starts, strict=True)]
    return Tape(**columns, pieces=np.concatenate(pieces))


def part(tape: Tape, start: int, stop: int) -> Tape:
    """Return the rows start <= t < stop of a tape of one market."""
    columns = {name: getattr(tape, name)[start:stop].copy() for name in Tape._fields if name != "pieces"}
    return Tape(**columns, pieces=np.array([[0, stop - start]]))


def deviation(tape: Tape) -> float:
    """Return the standard deviation of the return of a row; raises ConfigError where the price never moves."""
    gain = np.delete(tape.mid[1:] / tape.mid[:-1] - 1.0, tape.pieces[1:, 0] - 1)
    spread = float(gain.std())
    check(spread > 0.0, "the price of what is learned from never moves: give other data")
    return spread
