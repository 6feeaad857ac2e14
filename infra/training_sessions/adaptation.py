"""Measures how far, and how fast, the weights of an ensemble follow a switch of the TRUE regime.

Simulated markets know their regimes, so what a switch costs and what moving the weights brings back can be told. The
edge of an agent in a regime is the mean of what its account earns in a row of that regime, less its mean over all rows:
what the regime adds. Weights w are then worth sum_i w_i edge_i a row in the regime. The weights of the last row before
a switch, held on, are what does not adapt; all weight on the agent with the best edge, at once, is the most that can be
had. In the first 512 rows after a switch, or up to the next one,

    lost = sum of best edge - value of the weights that are held
    back = sum of value of the weights that moved - value of the weights that are held

and the adaptability is the sum of back over all switches, divided by the sum of lost: 0 for weights that do not move, 1
for all weight on the best agent from the first row on, never above 1, and below 0 where the weights move to the wrong
agents. What is learned alike in all regimes cancels. The edges for an episode come from the other episodes, so noise
in an episode's prices cannot pass for skill of its weights: where nothing can be predicted, 0 is expected.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.regimes import REGIMES

WINDOW = 512
"""Rows after a switch that count."""

STEP = 16
"""Rows that share a point of the curve."""

_POINTS = WINDOW // STEP
_LATE = _POINTS * 3 // 4  # the first point of the last quarter
_GROUPS = 50
_SURE = 2.0  # standard errors above 0


class Moves(NamedTuple):
    """Sums over the rows of G groups of episodes, for P points of a window, the 7 regimes switched to and N agents."""

    moved: Floats  # (G, P, 7, N) weights less those held
    held: Floats  # (G, P, 7, N) weights held
    rows: Floats  # (G, P, 7) rows after switches
    earned: Floats  # (G, 7, N) by the agents' accounts in all rows, units of capital
    seen: Floats  # (G, 7) all rows


def adaptation(
    true: Sequence[Ints], weights: Sequence[Floats], earned: Sequence[Floats]
) -> tuple[dict[str, Any], dict[str, list[float | None]]]:
    """Return the figures of adapting over E episodes, and the curve by rows after a switch.

    true: for each episode (n,) true regimes, -1 where unknown; weights: (n, N) decided at each row; earned: (n, N) what
    each agent's account earned in each row, units of capital.

    The figures are regime_adaptability, NaN where no episode switches to a regime that another one has, too; its
    standard error by a jackknife over episodes, None for fewer than three; adaptation_rows, after which half of what is
    back in the last quarter of the window is back, to 16 rows, None where that is not two standard errors above 0; and
    regime_switches. The curve has rows, share (back over lost) and standard_error.
    """
    moves = _moves(true, weights, earned)
    back, lost = _sums(moves)
    groups = len(moves.seen)
    others = [_sums(Moves(*(np.delete(part, g, axis=0) for part in moves))) for g in range(groups)]

    def told(chosen: slice) -> tuple[float, float | None]:
        """Share and standard error over the points chosen."""
        left = np.array([_share(b[chosen].sum(), w[chosen].sum()) for b, w in others])
        known = groups > 2 and bool(np.isfinite(left).all())
        error = math.sqrt((groups - 1) * float(((left - left.mean()) ** 2).mean())) if known else None
        return _share(back[chosen].sum(), lost[chosen].sum()), error

    share, error = told(slice(None))
    curve = [told(slice(p, p + 1)) for p in range(_POINTS)]
    figures = {
        "regime_adaptability": share,
        "regime_adaptability_standard_error": error,
        "adaptation_rows": _half_way([value for value, _ in curve], *told(slice(_LATE, None))),
        "regime_switches": sum(len(_starts(t)) for t in true),
    }
    return figures, {
        "rows": [float(STEP * p) for p in range(_POINTS)],
        "share": [None if math.isnan(value) else value for value, _ in curve],
        "standard_error": [deviation for _, deviation in curve],
    }


def _starts(true: Ints) -> Ints:
    """The first rows of regimes that follow another known regime."""
    at = np.flatnonzero(true[1:] != true[:-1]) + 1
    return np.asarray(at[(true[at] >= 0) & (true[at - 1] >= 0)])


def _moves(true: Sequence[Ints], weights: Sequence[Floats], earned: Sequence[Floats]) -> Moves:
    """The sums of all episodes, dealt in turn to as many groups as there are episodes, but at most 50."""
    groups, agents = min(len(true), _GROUPS), weights[0].shape[1]
    cells = (groups, _POINTS, len(REGIMES))
    out = Moves(
        np.zeros((*cells, agents)),
        np.zeros((*cells, agents)),
        np.zeros(cells),
        np.zeros((groups, len(REGIMES), agents)),
        np.zeros((groups, len(REGIMES))),
    )
    for e, (t, w, g) in enumerate(zip(true, weights, earned, strict=True)):
        group, known = e % groups, t >= 0
        np.add.at(out.earned[group], t[known], g[known])
        np.add.at(out.seen[group], t[known], 1.0)
        row = np.arange(len(t))
        new = np.append(True, t[1:] != t[:-1])
        start = np.maximum.accumulate(np.where(new, row, 0))  # of the regime that a row is in
        after = np.isin(start, _starts(t)) & (row - start < WINDOW)
        held = w[start[after] - 1]
        cell = (row - start)[after] // STEP, t[after]
        np.add.at(out.moved[group], cell, w[after] - held)
        np.add.at(out.held[group], cell, held)
        np.add.at(out.rows[group], cell, 1.0)
    return out


def _sums(moves: Moves) -> tuple[Floats, Floats]:
    """What is back and what was lost (P,), over all switches; the edges for a group are those of the other groups."""
    seen = moves.seen.sum(axis=0) - moves.seen
    earned = moves.earned.sum(axis=0) - moves.earned
    mean = earned / np.maximum(seen, 1.0)[..., None]
    overall = earned.sum(axis=1) / np.maximum(seen.sum(axis=1), 1.0)[:, None]
    edge = np.where(seen[..., None] > 0, mean - overall[:, None], 0.0)[:, None]
    # Of a regime that no other group has all edges are 0, so its switches count for nothing.
    back = (moves.moved * edge).sum(axis=(0, 2, 3))
    lost = (moves.rows * edge.max(axis=3)).sum(axis=(0, 2)) - (moves.held * edge).sum(axis=(0, 2, 3))
    return back, lost


def _share(back: float, lost: float) -> float:
    """What is back of what was lost, NaN where nothing was; without the last digits, which equal weights move, too."""
    return round(float(back) / float(lost), 12) + 0.0 if lost > 0.0 else math.nan


def _half_way(curve: Sequence[float], late: float, error: float | None) -> int | None:
    """Rows until the curve has half of `late`, its value in the last quarter; None where that is not surely above 0."""
    if error is None or not late > _SURE * error:
        return None
    return STEP * next(p for p, value in enumerate(curve) if value >= late / 2)
