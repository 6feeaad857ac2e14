"""The order of the rows of a whole file, and which of them stand in it twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Ints
from windvane.metamodel.base.times import DAY
from windvane.metamodel.data.cleaning import BACKSTEP

NO_ID = np.iinfo(np.int64).min
_ALONE = 3
"""Rows that belong together: fewer, far from all others and out of line, have a wrong time."""


def in_order(ts: Ints, ids: Ints | None, rows: Ints, notes: list[str]) -> tuple[Ints, Ints]:
    """The rows in the order of time, and those whose time is wrong; ts, ids: (n,); rows: positions in the file.

    Rows of one time keep the order of the file, or go by their ids. A file that counts down is turned round first.
    Ids that rise while the clock steps back a little are the order, too: such rows stay where they are.
    """
    steps = np.diff(ts[rows])
    falls = int(np.count_nonzero(steps < 0))
    if falls * 2 >= max(len(rows), 2) or falls > np.count_nonzero(steps > 0):
        rows = rows[::-1]
        steps = -steps[::-1]
        notes.append("newest rows come first: order reversed")
    if not len(steps) or steps.min() >= 0:
        return _by_ids(ts, ids, rows), rows[:0]
    if ids is not None and steps.min() >= -BACKSTEP and (np.diff(ids[rows]) > 0).all():
        return rows, rows[:0]
    moments = ts[rows]
    known = ids is not None and bool((ids[rows] != NO_ID).all())
    order = (
        np.lexsort((ids[rows], moments)) if known and ids is not None else np.argsort(moments, kind="stable")
    )
    wrong = _alone(moments, order)
    back = int(np.count_nonzero(steps < 0))
    notes.append(f"time steps back {back} times in the file: rows sorted by time")
    return rows[order[~wrong]], rows[order[wrong]]


def _by_ids(ts: Ints, ids: Ints | None, rows: Ints) -> Ints:
    """Rows that are in the order of time, those of one time by their ids where ids then rise throughout."""
    if ids is None or (np.diff(ids[rows]) > 0).all():
        return rows
    order = np.lexsort((ids[rows], ts[rows]))
    return rows[order] if (np.diff(ids[rows[order]]) > 0).all() else rows


def _alone(moments: Ints, order: Ints) -> NDArray[np.bool_]:
    """(n,) in the order of time: rows that are far from all others and stand out of line in the file."""
    steps = np.diff(moments[order])
    usual = int(np.median(steps[steps > 0])) if (steps > 0).any() else 0
    group = np.concatenate([[0], np.cumsum(steps > max(100 * usual, DAY))])
    few = np.bincount(group)[group] < _ALONE
    if not few.any() or few.all():
        return np.zeros(len(order), bool)
    before = np.concatenate([[moments[0]], np.maximum.accumulate(moments)[:-1]])
    after = np.concatenate([np.minimum.accumulate(moments[::-1])[::-1][1:], [moments[-1]]])
    return few & ((moments < before) | (moments > after))[order]


def repeated_bars(ts: Ints, rows: Ints) -> NDArray[np.bool_]:
    """(r,) which of the rows, in the order of time, have a later one of the same time, which counts."""
    again = np.zeros(len(rows), bool)
    again[:-1] = np.diff(ts[rows]) == 0
    return again


def repeated_trades(ids: Ints, rows: Ints, columns: Sequence[NDArray[Any]]) -> NDArray[np.bool_] | None:
    """(r,) which of the rows repeat an earlier one of the same id; None where ids are not those of trades.

    columns: (n,) each, what two rows that are one trade have in common.
    """
    mine = ids[rows]
    if (np.diff(mine) > 0).all():
        return np.zeros(len(rows), bool)
    order = np.argsort(mine, kind="stable")
    same = np.zeros(len(rows), bool)
    same[1:] = (np.diff(mine[order]) == 0) & (mine[order[1:]] != NO_ID)
    equal = np.ones(len(rows), bool)
    for column in columns:
        values = column[rows][order]
        equal[1:] &= values[1:] == values[:-1]
    if np.count_nonzero(same & ~equal) * 20 > len(rows):
        return None
    again = np.zeros(len(rows), bool)
    again[order] = same
    return again
